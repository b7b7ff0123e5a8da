//! What no honest JavaScript client sends, at the real relay: whoever sends it is on their own, and
//! the relay is as well as before.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::javascript::place::Place;
use support::javascript::{Client, MUTABLE};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(30);
const LABEL: &str = "MutableCollection/attacked";
/// What the worst of it may cost the relay.
const MOST_MEMORY: u64 = 64 << 20;

/// A relay, somebody who attacks it, and what it held before.
struct Attack {
    place: Place,
    client: Client,
    memory: u64,
}

impl Attack {
    /// `None` where there is no node.
    async fn new() -> Option<Self> {
        let place = Place::new();
        let client = Client::start().await?;
        let attack = Self {
            memory: place.relay.memory(),
            place,
            client,
        };
        attack.raw("first").await;
        Some(attack)
    }

    async fn raw(&self, name: &str) {
        let request = json!({"service": self.place.service(), "label": LABEL, "as": name});
        self.client.ask("raw", request).await;
    }

    /// Whatever comes of it: the relay may close the channel while something is sent.
    async fn do_with(&self, what: &str, more: Value) -> Value {
        let mut request = more;
        request["as"] = "first".into();
        let answer = self.client.try_ask(what, request).await;
        answer.unwrap_or_default()
    }

    async fn send(&self, text: &str) {
        self.do_with("rawSend", json!({"text": text})).await;
    }

    /// Until the relay has closed the channel.
    async fn is_closed(&self) {
        let until = Instant::now() + SOON;
        loop {
            let seen = self.do_with("rawReceived", json!({})).await;
            if seen["open"] == false {
                return;
            }
            assert!(Instant::now() < until, "the channel is open still: {seen}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The relay answers at once, has not grown, and serves others.
    async fn ends_well(self) {
        let asked = Instant::now();
        let answer = self.place.relay.get("/healthz");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            asked.elapsed() < Duration::from_millis(500),
            "{:?}",
            asked.elapsed()
        );
        let grown = self.place.relay.memory().saturating_sub(self.memory);
        assert!(grown < MOST_MEMORY, "grew by {grown} bytes");
        let (ann, _) = self.place.person().await.unwrap();
        let notes = ann.open(MUTABLE, "attacked", &self.place.service()).await;
        notes.store("note", "as ever").await;
        notes.synchronized().await;
        let (ben, _) = self.place.person().await.unwrap();
        let same = ben.open(MUTABLE, "attacked", &self.place.service()).await;
        same.shows("note", "as ever").await;
    }
}

const VERSIONS: &str = r#"{"method":"versions","params":[17,17]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_inherited_methods_and_what_is_no_json() {
    let Some(attack) = Attack::new().await else {
        return;
    };
    for text in [
        r#"{"method":"fetch","params":["http://127.0.0.1/"]}"#,
        r#"{"method":"constructor","params":[]}"#,
        r#"{"method":"__proto__","params":[]}"#,
        r#"{"method":"toString","params":[]}"#,
        r#"{"method":"hash","params":[]}"#,
        r#"{"method":"hash","params":{"length":2}}"#,
        "no JSON",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    ] {
        attack.send(VERSIONS).await;
        attack.send(text).await;
        attack.is_closed().await;
        attack.raw("first").await;
    }
    attack.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_records_and_traversal_in_tags() {
    let Some(attack) = Attack::new().await else {
        return;
    };
    attack.send(VERSIONS).await;
    for tag in [
        "../../x",
        "..%2f..%2fx",
        "/etc/passwd",
        "a",
        "\u{0}",
        &"x".repeat(1000),
    ] {
        for text in [
            "no record",
            "a.b.c",
            "{}",
            r#"{"signatures":[],"payload":""}"#,
            "",
        ] {
            for method in ["put", "delete"] {
                let message = json!({"method": method, "params": [tag, text]});
                attack.send(&message.to_string()).await;
            }
        }
    }
    attack.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragment_bombs() {
    let Some(attack) = Attack::new().await else {
        return;
    };
    for (count, index) in [
        (1e15, 0.0),
        (2.0, 1e15),
        (-1.0, 0.0),
        (4e9, 3e9),
        (0.5, 0.0),
    ] {
        attack.send(VERSIONS).await;
        attack
            .do_with("rawBomb", json!({"count": count, "index": index}))
            .await;
        attack.is_closed().await;
        attack.raw("first").await;
    }
    attack.send(VERSIONS).await;
    attack.do_with("rawOpeners", json!({"count": 10_000})).await;
    attack.is_closed().await;
    attack.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_hashes() {
    let Some(attack) = Attack::new().await else {
        return;
    };
    attack.send(VERSIONS).await;
    attack.do_with("rawHashes", json!({"count": 100_000})).await;
    attack.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_signals_and_hundreds_of_candidates() {
    let Some(attack) = Attack::new().await else {
        return;
    };
    let service = attack.place.service();
    let url = format!("{service}/sync/{LABEL}/1");
    for size in [20_000, 100_000, 1_000_000] {
        let answer = attack
            .client
            .ask("post", json!({"url": url, "size": size}))
            .await;
        let status = answer["status"].as_u64().unwrap();
        assert!((400..500).contains(&status), "{size} bytes: {answer}");
    }
    for count in [65, 500] {
        let request = json!({"service": service, "label": LABEL, "count": count});
        let answer = attack.client.ask("candidates", request).await;
        let status = answer["status"].as_u64().unwrap();
        assert!((400..500).contains(&status), "{count} candidates: {answer}");
    }
    attack.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_under_a_uuid_does_not_end_the_first() {
    let Some(attack) = Attack::new().await else {
        return;
    };
    let uuid = "3b241101-e2bb-4255-8caf-4136c566a962";
    for name in ["one", "two"] {
        let request =
            json!({"service": attack.place.service(), "label": LABEL, "as": name, "uuid": uuid});
        attack.client.ask("raw", request).await;
    }
    sleep(Duration::from_secs(3)).await;
    for name in ["one", "two"] {
        let seen = attack.client.ask("rawReceived", json!({"as": name})).await;
        assert_eq!(seen["open"], true, "{name}: {seen}");
    }
    attack.ends_well().await;
}
