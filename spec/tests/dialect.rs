//! JavaScript clients in node, unchanged in what they say, at the real relay: with each other, and
//! with Rust apps, to which they are as any other.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use std::sync::Arc;
use std::time::Duration;

use flexstore::{Collection, CollectionKind, KeyTag, MemoryStorage, Mutable, Peer, Versioned};
use flexstore_transports::Transports;
use serde_json::json;
use support::javascript::place::Place;
use support::javascript::{self, Client, IMMUTABLE, MUTABLE, VERSIONED};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(30);

/// A Rust app.
struct App {
    peer: Peer,
    service: String,
}

impl App {
    async fn new(place: &Place) -> Self {
        let peer = Peer::connected(Arc::new(MemoryStorage::new()), Transports::new()).unwrap();
        peer.credentials().create_device().await.unwrap();
        let service = place.relay.service();
        peer.credentials().synchronize_javascript(&service).unwrap();
        Self { peer, service }
    }

    fn open<K: CollectionKind>(&self, name: &str) -> Collection<K> {
        let open = self.peer.collection(name).javascript();
        open.service(&self.service).open().unwrap()
    }
}

/// Ann with a JavaScript app and Ben with a Rust one, at one relay.
struct Both {
    ann: Client,
    author: KeyTag,
    ben: App,
    me: KeyTag,
    service: String,
    _place: Place,
}

impl Both {
    /// `None` where there is no node.
    async fn new() -> Option<Self> {
        let place = Place::new();
        let (ann, author) = place.person().await?;
        let ben = App::new(&place).await;
        Some(Self {
            ann,
            author: KeyTag::parse(&author.tag).unwrap(),
            me: ben.peer.credentials().author().unwrap(),
            ben,
            service: place.service(),
            _place: place,
        })
    }
}

/// Stores a text; content under its hash is given no name.
async fn store(
    notes: &javascript::collection::Collection<'_>,
    kind: &str,
    name: &str,
    text: &str,
) -> String {
    let mut request = json!({"data": text});
    if kind != IMMUTABLE {
        request["tag"] = name.into();
    }
    notes.store_with(request).await.unwrap()
}

/// Waits until an owner's item has this text, or none.
async fn shows<K: CollectionKind>(
    collection: &Collection<K>,
    tag: &str,
    owner: KeyTag,
    expected: Option<&str>,
) {
    let mut found = None;
    let waits = async {
        loop {
            let item = collection.retrieve(tag).owner(owner).await;
            found = item
                .ok()
                .flatten()
                .and_then(|item| Some(item.text().ok()?.to_owned()));
            if found.as_deref() == expected {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = timeout(SOON, waits).await.is_ok();
    assert!(in_time, "{tag}: {found:?} instead of {expected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_clients_share_all_kinds_of_collections() {
    let place = Place::new();
    let service = place.service();
    let Some((ann, _)) = place.person().await else {
        return;
    };
    let (ben, _) = place.person().await.unwrap();
    let long = "x".repeat(100_000);
    for kind in [IMMUTABLE, MUTABLE, VERSIONED] {
        // Before the other comes, then live.
        let left = ann.open(kind, "shared", &service).await;
        let early = store(&left, kind, "early", "from before").await;
        let right = ben.open(kind, "shared", &service).await;
        right.shows(&early, "from before").await;
        let live = store(&left, kind, "live", "at once").await;
        right.shows(&live, "at once").await;
        let back = store(&right, kind, "back", &long).await;
        left.shows(&back, &long).await;
        left.remove(&live).await;
        right.lacks(&live).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_step_moves_nothing_when_it_comes_again() {
    let place = Place::new();
    let service = place.service();
    let Some((ann, _)) = place.person().await else {
        return;
    };
    for kind in [IMMUTABLE, MUTABLE, VERSIONED] {
        let notes = ann.open(kind, "again", &service).await;
        for number in 0..20 {
            let name = format!("note {number}");
            store(&notes, kind, &name, &format!("text {number}")).await;
        }
        notes.synchronized().await;
        ann.disconnect(&service).await;
        ann.reset_counts().await;
        let notes = ann.open(kind, "again", &service).await;
        notes.synchronized().await;
        assert_eq!(ann.moved().await, 0, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rust_app_and_a_javascript_app_share_a_collection() {
    let Some(both) = Both::new().await else {
        return;
    };
    let Both {
        ann,
        author,
        ben,
        me,
        service,
        ..
    } = &both;
    let (author, me) = (*author, *me);

    let left = ann.open(MUTABLE, "notes", service).await;
    let right: Collection<Mutable> = ben.open("notes");
    left.store("hers", "from JavaScript").await;
    shows(&right, "hers", author, Some("from JavaScript")).await;
    right.store("from Rust").tag("his").await.unwrap();
    left.shows("his", "from Rust").await;
    // Edits and deletions, both ways.
    left.store("hers", "edited").await;
    shows(&right, "hers", author, Some("edited")).await;
    right.store("edited too").tag("his").await.unwrap();
    left.shows("his", "edited too").await;
    left.remove("hers").await;
    shows(&right, "hers", author, None).await;
    right.remove("his").await.unwrap();
    left.lacks("his").await;

    // What is deleted while a JavaScript client is away stays deleted, though it has it still.
    right.store("to be deleted").tag("gone").await.unwrap();
    left.has("gone").await;
    ann.disconnect(service).await;
    right.remove("gone").await.unwrap();
    timeout(SOON, right.synchronized()).await.unwrap();
    let left = ann.open(MUTABLE, "notes", service).await;
    left.lacks("gone").await;
    shows(&right, "gone", me, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_the_same_for_both() {
    let Some(both) = Both::new().await else {
        return;
    };
    let Both {
        ann,
        author,
        ben,
        me,
        service,
        ..
    } = &both;
    let (author, me) = (*author, *me);
    let left = ann.open(VERSIONED, "pages", service).await;
    let right: Collection<Versioned> = ben.open("pages");
    left.store("hers", "one").await;
    left.store("hers", "two").await;
    shows(&right, "hers", author, Some("two")).await;
    right.store("uno").tag("his").await.unwrap();
    left.shows("his", "uno").await;
    right.store("due").tag("his").await.unwrap();
    left.shows("his", "due").await;
    shows(&right, "his", me, Some("due")).await;
    assert_eq!(left.versions("his").await.chain.len(), 2);
}
