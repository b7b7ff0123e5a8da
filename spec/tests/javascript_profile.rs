//! Collections of the js profile over a relay: what the JavaScript original's package of keys signs
//! and seals reaches another Rust device, and what that writes is read by the package.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use std::sync::Arc;

use flexstore::js::{Draft, Signed, TEAM, Verified};
use flexstore::{
    Collection, CollectionKind, IntoTag, Item, KeyTag, MemoryStorage, Mutable, Peer, Versioned,
};
use flexstore_core::record;
use flexstore_transports::Transports;
use serde_json::{Value, json};
use support::original::{Node, read};
use support::people::{Relay, SOON, relay};
use tokio::time::{sleep, timeout};

/// A device with what a user of the js profile needs.
struct Device {
    peer: Peer,
    service: String,
}

impl Device {
    async fn new(relay: &Relay) -> Self {
        let peer = Peer::connected(Arc::new(MemoryStorage::new()), Transports::new()).unwrap();
        peer.credentials().create_device().await.unwrap();
        let service = relay.service.clone();
        peer.credentials().synchronize_javascript(&service).unwrap();
        Self { peer, service }
    }

    fn open<K: CollectionKind>(&self, name: &str) -> Collection<K> {
        let open = self.peer.collection(name).javascript();
        open.service(&self.service).open().unwrap()
    }
}

async fn in_step<K: CollectionKind>(collection: &Collection<K>) {
    timeout(SOON, collection.synchronized()).await.unwrap();
}

/// Waits until an item is as it should be.
async fn until<K: CollectionKind>(
    collection: &Collection<K>,
    tag: impl IntoTag + Clone,
    holds: impl Fn(Option<&Item>) -> bool,
) {
    let waits = async {
        loop {
            match collection.retrieve(tag.clone()).await {
                Ok(item) if holds(item.as_ref()) => return,
                _ => sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    timeout(SOON, waits).await.unwrap();
}

/// What the original's collections ask of a signature.
fn verifies(node: &mut Node, text: &[u8]) -> Value {
    let signature = std::str::from_utf8(text).unwrap();
    let options = json!({"member": null});
    node.ask(json!({"do": "verify", "signature": signature, "options": options}))
}

/// As flexstore signs an item for a team.
fn acting(user: KeyTag, device: KeyTag, more: &[(&str, Value)]) -> Value {
    let mut options = json!({"team": user.to_string(), "member": device.to_string(),
        "time": now(), "encryption": null});
    for (name, value) in more {
        options[*name] = value.clone();
    }
    options
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_javascript_user_and_a_rust_user_share_a_collection() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let device = node.create(json!([]));
    let user = node.create(json!([device.to_string()]));
    let relay = relay().await;
    let (near, far) = (Device::new(&relay).await, Device::new(&relay).await);

    // The user's keys and team come with the first device, its items before.
    let sealed = node.text(json!({"do": "seal", "payload": "for us", "tags": [user.to_string()]}));
    let options = acting(
        user,
        device,
        &[
            ("contentType", "text/encrypted".into()),
            ("encryption", user.to_string().into()),
        ],
    );
    let theirs = node.sign(json!(sealed), options);
    let record = read(&theirs, "MutableCollection/notes", Some("t"));
    let notes = near.open::<Mutable>("notes");
    notes.insert(record.clone()).await.unwrap();
    let plain = node.sign(json!("plain"), acting(user, device, &[]));
    let other = read(&plain, "MutableCollection/notes", Some("p"));
    notes.insert(other).await.unwrap();
    for (name, tag) in [
        ("EncryptionKey", device),
        ("EncryptionKey", user),
        (TEAM, user),
    ] {
        let record = node.shared(name, &tag);
        near.open::<Mutable>(name).insert(record).await.unwrap();
    }
    let read_there = far.open::<Mutable>("notes");
    until(&read_there, "p", |item| {
        item.is_some_and(|item| item.text() == Ok("plain") && item.owner() == user)
    })
    .await;
    until(&read_there, "t", |item| {
        item.is_some_and(|item| !item.is_open())
    })
    .await;
    let keys = node.migrated(&device);
    let team = node.team(&user).open(&device, keys.opening()).unwrap();
    far.peer.credentials().add_javascript(team);
    far.peer.credentials().add_javascript(keys);
    until(&read_there, "t", |item| {
        item.is_some_and(|item| item.text() == Ok("for us"))
    })
    .await;

    // The same text, byte for byte.
    let item = read_there.retrieve("t").await.unwrap().unwrap();
    assert_eq!(item.record().text(), record.text());
    assert_eq!(item.record().hash(), record.digest());

    // What a Rust user writes there: the package verifies it, and opens what is for its user.
    let stranger = far.peer.credentials().author().unwrap();
    let tag = read_there
        .store(json!({"by": "rust"}))
        .seal_to([user])
        .await
        .unwrap();
    let as_user = read_there
        .store("acted")
        .tag("p")
        .author(device)
        .owner(user);
    as_user.await.unwrap();
    in_step(&read_there).await;
    until(&notes, tag.clone(), |item| item.is_some()).await;
    let item = notes.retrieve(&tag).await.unwrap().unwrap();
    let seen = verifies(&mut node, item.record().text());
    assert_eq!(seen["header"]["kid"], stranger.to_string());
    assert_eq!(seen["header"]["encryption"], user.to_string());
    assert_eq!(
        seen["header"]["sub"],
        flexstore::Digest::of(item.record().payload()).to_string()
    );
    assert_eq!(
        node.opens(seen["text"].as_str().unwrap(), &user).unwrap(),
        r#"{"by":"rust"}"#
    );
    until(&notes, "p", |item| {
        item.is_some_and(|item| item.text() == Ok("acted"))
    })
    .await;
    let item = notes.retrieve("p").await.unwrap().unwrap();
    let seen = verifies(&mut node, item.record().text());
    assert_eq!(seen["header"]["iss"], user.to_string());
    assert_eq!(seen["header"]["act"], device.to_string());

    // A removal there is one here, and the other way round.
    let options = acting(
        user,
        device,
        &[("encryption", "".into()), ("subject", "t".into())],
    );
    let removal = node.sign(json!(""), options);
    notes
        .insert(read(&removal, "MutableCollection/notes", Some("t")))
        .await
        .unwrap();
    until(&read_there, "t", |item| item.is_none()).await;
    read_there
        .remove("p")
        .author(device)
        .owner(user)
        .await
        .unwrap();
    until(&notes, "p", |item| item.is_none()).await;
    println!(r#"{{"accept":"interchange/profile","figure":1,"unit":"test","held":true}}"#);
}

/// The states of a versioned item are the versions, written by turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_and_native_versions_make_one_history() {
    let relay = relay().await;
    let (near, far) = (Device::new(&relay).await, Device::new(&relay).await);
    let (here, there) = (
        near.open::<Versioned>("pages"),
        far.open::<Versioned>("pages"),
    );
    let key = flexstore_core::SigningKey::from_seed(&[7; 32]);
    let subject = flexstore::Tag::new("page").unwrap();
    let shelf = flexstore::js::Shelf::parse("StateCollection/pages").unwrap();
    let (mut ant, mut states) = (None, Vec::new());
    for n in 0..6 {
        let iat = now() - 1000 + n;
        let record = if n % 2 == 0 {
            let mut draft = Draft::text(shelf.clone(), subject.clone(), &n.to_string(), iat);
            draft.ant = ant;
            record::Verified::from(draft.sign(&key).unwrap())
        } else {
            let id = here.id().clone();
            let mut draft = record::Draft::text(id, subject.clone(), &n.to_string(), iat);
            draft.ant = ant;
            draft.sign(&key).unwrap()
        };
        ant = Some(record.state());
        states.push(record.clone());
        // Whatever its form, it is a state to the original.
        if let Some(state) = Verified::of(&record) {
            let again = Signed::parse(record.text().clone(), &shelf, Some(&state.stands()));
            assert_eq!(again.unwrap().verify().unwrap().state(), ant);
            here.insert(state).await.unwrap();
        } else {
            there.insert(record).await.unwrap();
        }
    }
    for pages in [&here, &there] {
        until(pages, "page", |item| {
            item.is_some_and(|item| item.text() == Ok("5"))
        })
        .await;
        in_step(pages).await;
        assert_eq!(pages.versions("page").unwrap().len(), 6);
        let first = pages.retrieve("page").version(states[0].state()).await;
        assert_eq!(first.unwrap().unwrap().text().unwrap(), "0");
    }
}
