//! A collection of a client, and what it shows.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{Client, SOON, string, strings};

/// What a client shows of an item.
#[derive(Debug, Clone)]
pub struct Item {
    pub text: Option<String>,
    pub owner: String,
    pub author: String,
    pub iat: u64,
    /// All of the protected header that the signatures have in common.
    pub header: Value,
}

/// What a client has of a versioned item.
#[derive(Debug, Clone)]
pub struct Versions {
    pub heads: Vec<String>,
    /// The states that the heads lead to, newest first.
    pub chain: Vec<String>,
}

/// A collection of a client.
#[derive(Clone)]
pub struct Collection<'a> {
    pub(super) client: &'a Client,
    pub(super) kind: String,
    pub(super) name: String,
}

impl Collection<'_> {
    async fn try_ask(&self, name: &str, mut request: Value) -> Result<Value, String> {
        request["type"] = self.kind[..].into();
        request["name"] = self.name[..].into();
        self.client.try_ask(name, request).await
    }

    async fn ask(&self, name: &str, request: Value) -> Value {
        let answer = self.try_ask(name, request).await;
        answer.unwrap_or_else(|error| panic!("{}/{} {name}: {error}", self.kind, self.name))
    }

    /// Signs and stores text, JSON or `{"bytes": base64url}`; the tag.
    pub async fn store(&self, tag: &str, data: impl Into<Value>) -> String {
        let request = json!({"tag": tag, "data": data.into()});
        self.store_with(request).await.unwrap()
    }

    /// With any of `data, tag, owner, author, encryption, time, contentType, group, individual`.
    pub async fn store_with(&self, request: Value) -> Result<String, String> {
        self.try_ask("store", request).await.map(|tag| string(&tag))
    }

    pub async fn remove(&self, tag: &str) {
        self.remove_with(json!({"tag": tag})).await.unwrap();
    }

    /// With any of `tag, owner, author`.
    pub async fn remove_with(&self, request: Value) -> Result<Value, String> {
        self.try_ask("remove", request).await
    }

    /// Opened, where it is sealed.
    pub async fn retrieve(&self, tag: &str) -> Option<Item> {
        let found = self.ask("retrieve", json!({"tag": tag})).await;
        (!found.is_null()).then(|| Item {
            text: found["text"].as_str().map(str::to_owned),
            owner: string(&found["owner"]),
            author: string(&found["author"]),
            iat: found["iat"].as_u64().unwrap_or_default(),
            header: found["header"].clone(),
        })
    }

    pub async fn text(&self, tag: &str) -> Option<String> {
        self.retrieve(tag).await?.text
    }

    /// Undeleted tags, in order.
    pub async fn list(&self) -> Vec<String> {
        let mut tags = strings(&self.ask("list", json!({})).await);
        tags.sort_unstable();
        tags
    }

    pub async fn versions(&self, tag: &str) -> Versions {
        let found = self.ask("versions", json!({"tag": tag})).await;
        Versions {
            heads: strings(&found["heads"]),
            chain: strings(&found["chain"]),
        }
    }

    /// The stored string, deletions too.
    pub async fn signature(&self, tag: &str) -> Option<String> {
        let found = self.ask("signature", json!({"tag": tag})).await;
        found.as_str().map(str::to_owned)
    }

    /// Writes and pushes a string that was signed elsewhere; the words of the refusal.
    pub async fn put(&self, tag: &str, signature: &str) -> Result<Value, String> {
        let request = json!({"tag": tag, "signature": signature});
        self.try_ask("put", request).await
    }

    /// As if the tag had never been here.
    pub async fn forget(&self, tag: &str) {
        self.ask("forget", json!({"tag": tag})).await;
    }

    /// Waits until every channel of it is in step; how many tags each examined.
    pub async fn synchronized(&self) -> Vec<u64> {
        let timeout = SOON.as_millis() as u64;
        let examined = self.ask("synchronized", json!({"timeout": timeout})).await;
        let each = examined.as_array().unwrap().iter();
        each.map(|count| count.as_u64().unwrap()).collect()
    }

    /// Connects it to one more service.
    pub async fn connect(&self, service: &str) {
        self.ask("open", json!({"service": service})).await;
    }

    /// Closes its channels.
    pub async fn disconnect(&self) {
        self.ask("disconnect", json!({})).await;
    }

    /// Until the item has this text.
    pub async fn shows(&self, tag: &str, expected: &str) {
        let wait = async {
            while self.text(tag).await.as_deref() != Some(expected) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(SOON, wait).await.is_err() {
            let found = self.text(tag).await;
            panic!("{}/{tag}: {found:?} instead of {expected:?}", self.kind);
        }
    }

    /// Until the tag is listed.
    pub async fn has(&self, tag: &str) {
        self.lists(tag, true).await;
    }

    /// Until the tag is listed no more.
    pub async fn lacks(&self, tag: &str) {
        self.lists(tag, false).await;
    }

    async fn lists(&self, tag: &str, expected: bool) {
        let wait = async {
            while self.list().await.iter().any(|each| each == tag) != expected {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = timeout(SOON, wait).await.is_ok();
        assert!(in_time, "{}/{tag}: listed is not {expected}", self.kind);
    }
}
