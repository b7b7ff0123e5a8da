//! Two people, their devices and a relay: what apps see, over real sockets.

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::sync::Arc;
use std::time::Duration;

use flexstore::{
    Collection, ContentError, KeySet, MemoryStorage, Mutable, Peer, RetrieveError, Source,
    Versioned,
};
use flexstore_transports::Transports;
use futures_util::StreamExt as _;
use serde_json::json;
use support::people::{SOON, relay};
use tokio::time::timeout;

fn peer() -> Peer {
    Peer::connected(Arc::new(MemoryStorage::new()), Transports::new()).unwrap()
}

async fn person(service: &str) -> (Peer, flexstore::KeyTag) {
    let peer = peer();
    let tag = peer.credentials().create_device().await.unwrap();
    peer.credentials().synchronize(service).unwrap();
    timeout(SOON, peer.credentials().synchronized())
        .await
        .unwrap()
        .unwrap();
    (peer, tag)
}

fn notes(peer: &Peer, services: &[&str]) -> Collection<Mutable> {
    let mut open = peer.collection::<Mutable>("notes");
    for service in services {
        open = open.service(service);
    }
    open.open().unwrap()
}

async fn in_step(collection: &Collection<Mutable>) {
    timeout(SOON, collection.synchronized()).await.unwrap();
}

async fn text(collection: &Collection<Mutable>, tag: &str) -> Option<String> {
    let item = collection.retrieve(tag).await.unwrap()?;
    Some(item.text().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_items_reach_whom_they_are_sealed_to_and_nobody_else() {
    let relay = relay().await;
    let (alice, a) = person(&relay.service).await;
    let (bob, b) = person(&relay.service).await;
    let (eve, _) = person(&relay.service).await;
    let (hers, his, theirs) = (
        notes(&alice, &[&relay.service]),
        notes(&bob, &[&relay.service]),
        notes(&eve, &[&relay.service]),
    );
    // Bob's key comes from the relay.
    hers.store(json!({"n": 1}))
        .tag("a")
        .seal_to([a, b])
        .await
        .unwrap();
    in_step(&hers).await;
    let item = timeout(SOON, his.retrieve("a"))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(item.json().unwrap()["n"], 1);
    assert_eq!((item.author(), item.owner()), (a, a));
    let item = timeout(SOON, theirs.retrieve("a"))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(item.json(), Err(ContentError::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_changes_arrive_and_say_where_they_came_from() {
    let relay = relay().await;
    let (alice, _) = person(&relay.service).await;
    let (bob, _) = person(&relay.service).await;
    let (hers, his) = (
        notes(&alice, &[&relay.service]),
        notes(&bob, &[&relay.service]),
    );
    in_step(&hers).await;
    in_step(&his).await;
    let mut updates = his.updates();
    hers.store("live").tag("a").await.unwrap();
    let change = timeout(SOON, updates.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(change.tag().as_str(), "a");
    assert_eq!(
        *change.source(),
        Source::Pushed(relay.service.as_str().into())
    );
    assert_eq!(text(&his, "a").await.as_deref(), Some("live"));
    hers.remove("a").await.unwrap();
    let change = timeout(SOON, updates.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(change.is_removal());
    assert_eq!(text(&his, "a").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_edits_meet_and_both_sides_show_the_same() {
    let relay = relay().await;
    let (alice, a) = person(&relay.service).await;
    // A second device of hers, with the same keys.
    let (keys, device) = (KeySet::generate().unwrap(), peer());
    let shared = keys.tag();
    alice
        .credentials()
        .add(KeySet::from_jwks(&keys.to_jwks()).unwrap())
        .await
        .unwrap();
    device.credentials().add(keys).await.unwrap();
    let (here, there) = (notes(&alice, &[]), notes(&device, &[]));
    for n in 0..50 {
        here.store(format!("here {n}"))
            .tag(format!("{n}"))
            .author(shared)
            .await
            .unwrap();
        there
            .store(format!("there {n}"))
            .tag(format!("{}", n + 25))
            .author(shared)
            .await
            .unwrap();
    }
    here.remove("30").author(shared).await.unwrap();
    for collection in [&here, &there] {
        collection.synchronize(&relay.service);
        in_step(collection).await;
    }
    in_step(&here).await;
    timeout(SOON, async {
        while here.list().unwrap() != there.list().unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(here.list().unwrap().len() >= 74);
    for tag in here.list().unwrap() {
        assert_eq!(
            text(&here, tag.as_str()).await,
            text(&there, tag.as_str()).await
        );
    }
    assert_ne!(a, shared);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_that_know_nothing_of_each_other_converge_through_a_client() {
    let (first, second) = (relay().await, relay().await);
    let (alice, _) = person(&first.service).await;
    let (bob, _) = person(&second.service).await;
    let (both, _) = person(&first.service).await;
    let hers = notes(&alice, &[&first.service]);
    let his = notes(&bob, &[&second.service]);
    let between = notes(&both, &[&first.service, &second.service]);
    hers.store("from hers").tag("a").await.unwrap();
    his.store("from his").tag("b").await.unwrap();
    in_step(&hers).await;
    in_step(&his).await;
    in_step(&between).await;
    timeout(SOON, async {
        while text(&hers, "b").await.is_none() || text(&his, "a").await.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_archived_is_fetched_back_when_it_is_read() {
    let relay = relay().await;
    let (alice, a) = person(&relay.service).await;
    let pages = alice
        .collection::<Versioned>("pages")
        .service(&relay.service)
        .open()
        .unwrap();
    let page = pages.store("0").seal_to([a]).await.unwrap();
    for n in 1..10 {
        pages
            .store(n.to_string())
            .tag(&page)
            .seal_to([a])
            .await
            .unwrap();
    }
    assert_eq!(
        timeout(SOON, pages.archive(u64::MAX)).await.unwrap(),
        Ok(10)
    );
    let times = pages.timestamps(&page).unwrap();
    assert_eq!(times.len(), 10);
    let item = timeout(SOON, pages.retrieve(&page).at(times[3].ms))
        .await
        .unwrap();
    assert_eq!(item.unwrap().unwrap().text().unwrap(), "3");
    // Without a service, it says what is missing.
    timeout(SOON, pages.archive(u64::MAX))
        .await
        .unwrap()
        .unwrap();
    pages.disconnect(&relay.service).await;
    timeout(SOON, async {
        while !pages.progress().borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let error = timeout(SOON, pages.retrieve(&page))
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, RetrieveError::Archived(_)), "{error}");
}
