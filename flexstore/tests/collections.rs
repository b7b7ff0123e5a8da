//! What an app sees of one peer's collections, without any service.

#![allow(clippy::unwrap_used)] // a test

use std::sync::Arc;

use flexstore::{
    ArchiveError, ContentError, KeySet, KeyTag, MemoryStorage, Mutable, OpenError, Peer, Policy,
    RetrieveError, Source, StoreError, Versioned,
};
use flexstore::{Immutable, Selection};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

async fn peer() -> (Peer, KeyTag) {
    let peer = Peer::open(Arc::new(MemoryStorage::new())).unwrap();
    let me = peer.credentials().create_device().await.unwrap();
    (peer, me)
}

/// Another key set on the same peer, so that the author can change.
async fn another(peer: &Peer) -> KeyTag {
    peer.credentials()
        .add(KeySet::generate().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn json_text_and_bytes_come_back_as_they_were() {
    let (peer, me) = peer().await;
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    for sealed in [false, true] {
        let audience = || sealed.then_some(me);
        let value = json!({"n": [1, 2.5, null], "é": "✓"});
        let tag = notes
            .store(value.clone())
            .seal_to(audience())
            .await
            .unwrap();
        let item = notes.retrieve(&tag).await.unwrap().unwrap();
        assert_eq!(
            (item.json().unwrap(), item.content_type()),
            (value, Some("json"))
        );
        assert_eq!(item.audience().len(), usize::from(sealed));

        let tag = notes.store("line\nline").seal_to(audience()).await.unwrap();
        let item = notes.retrieve(&tag).await.unwrap().unwrap();
        assert_eq!(
            (item.text().unwrap(), item.content_type()),
            ("line\nline", Some("text/plain"))
        );
        assert!(matches!(item.json(), Err(ContentError::Json(_))));

        let tag = notes
            .store(vec![0, 255, 7])
            .seal_to(audience())
            .await
            .unwrap();
        let item = notes.retrieve(&tag).await.unwrap().unwrap();
        assert_eq!(
            (item.bytes().unwrap(), item.content_type()),
            (&[0, 255, 7][..], None)
        );
        assert!(matches!(item.text(), Err(ContentError::NotText)));
        assert_eq!((item.owner(), item.author()), (me, me));
    }
    assert!(matches!(notes.store("").await, Err(StoreError::Empty)));
    // Sealed, an empty content is one like any other.
    let tag = notes.store("").seal_to([me]).await.unwrap();
    assert_eq!(
        notes.retrieve(&tag).await.unwrap().unwrap().text().unwrap(),
        ""
    );
}

#[tokio::test]
async fn only_the_audience_opens_and_the_author_need_not_be_in_it() {
    let (peer, author) = peer().await;
    let reader = another(&peer).await;
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    let tag = notes
        .store("for the reader")
        .author(author)
        .seal_to([reader])
        .await
        .unwrap();
    let item = notes.retrieve(&tag).await.unwrap().unwrap();
    assert_eq!(
        (item.author(), item.text().unwrap()),
        (author, "for the reader")
    );
    assert_eq!(item.audience(), [reader.tag()]);
    // Not opened unless wanted.
    let sealed = notes.retrieve(&tag).sealed().await.unwrap().unwrap();
    assert!(!sealed.is_open());
    assert_eq!(sealed.text(), Err(ContentError::Closed));
    assert!(
        !sealed
            .record()
            .payload()
            .windows(6)
            .any(|window| window == b"reader")
    );

    let unknown = KeySet::generate().unwrap().tag();
    let refused = notes.store("x").seal_to([unknown]).await;
    assert!(matches!(refused, Err(StoreError::UnknownAudience(tag)) if tag == unknown));
    let refused = notes.store("x").author(unknown).await;
    assert!(matches!(refused, Err(StoreError::NoKeys)));
}

#[tokio::test]
async fn single_properties_are_sealed_inside_a_plain_item() {
    let (peer, me) = peer().await;
    let people = peer.collection::<Mutable>("people").open().unwrap();
    let tag = people
        .store(json!({"name": "Ada", "phone": "12 34", "born": {"year": 1815}}))
        .seal_property("phone", [me])
        .seal_property("born", [me])
        .await
        .unwrap();
    let item = people.retrieve(&tag).await.unwrap().unwrap();
    assert_eq!(item.json().unwrap()["phone"], "12 34");
    assert_eq!(item.json().unwrap()["born"]["year"], 1815);
    let raw: Value = serde_json::from_slice(item.record().payload()).unwrap();
    assert_eq!(raw["name"], "Ada");
    assert!(raw["phone"]["$sealed"].is_string() && raw["born"]["$sealed"].is_string());
    let refused = people.store("text").seal_property("phone", [me]).await;
    assert!(matches!(refused, Err(StoreError::NotAnObject)));
    let refused = people.store(json!({})).seal_property("phone", [me]).await;
    assert!(matches!(refused, Err(StoreError::Seal(_))));
}

#[tokio::test]
async fn what_is_removed_is_gone_and_can_be_written_again_if_mutable() {
    let (peer, _) = peer().await;
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    assert!(matches!(notes.remove("a").await, Err(StoreError::NotFound)));
    notes.store("one").tag("a").await.unwrap();
    notes.remove("a").await.unwrap();
    assert!(notes.retrieve("a").await.unwrap().is_none());
    assert!(notes.list().unwrap().is_empty());
    assert!(matches!(notes.remove("a").await, Err(StoreError::NotFound)));
    notes.store("two").tag("a").await.unwrap();
    assert_eq!(
        notes.retrieve("a").await.unwrap().unwrap().text().unwrap(),
        "two"
    );

    let photos = peer.collection::<Immutable>("photos").open().unwrap();
    let tag = photos.store(vec![1, 2, 3]).await.unwrap();
    assert_eq!(
        photos.store(vec![1, 2, 3]).await.unwrap(),
        tag,
        "stored twice is stored once"
    );
    photos.remove(&tag).await.unwrap();
    assert!(photos.retrieve(&tag).await.unwrap().is_none());
    assert!(matches!(
        photos.store(vec![1, 2, 3]).await,
        Err(StoreError::Deleted)
    ));
}

#[tokio::test]
async fn several_signers_of_one_content_are_no_error_and_of_one_name_are() {
    let (peer, first) = peer().await;
    let second = another(&peer).await;
    let photos = peer.collection::<Immutable>("photos").open().unwrap();
    let tag = photos.store("same").author(first).await.unwrap();
    // Of one millisecond, the digest would decide who is shown.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    assert_eq!(photos.store("same").author(second).await.unwrap(), tag);
    let mut signers = photos.signers(&tag).unwrap();
    signers.sort();
    let mut both = vec![first, second];
    both.sort();
    assert_eq!(signers, both);
    assert_eq!(
        photos.retrieve(&tag).await.unwrap().unwrap().author(),
        first
    );

    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    notes.store("mine").tag("a").author(first).await.unwrap();
    notes
        .store("mine too")
        .tag("a")
        .author(second)
        .await
        .unwrap();
    let error = notes.retrieve("a").await.unwrap_err();
    assert!(matches!(error, RetrieveError::SeveralOwners(owners) if owners.len() == 2));
    let item = notes.retrieve("a").owner(second).await.unwrap().unwrap();
    assert_eq!(item.text().unwrap(), "mine too");
    // A name that the library made tells whose it is, whatever others put under it.
    let made = notes.store("mine").author(first).await.unwrap();
    notes
        .store("squatter")
        .tag(&made)
        .author(second)
        .await
        .unwrap();
    assert_eq!(
        notes
            .retrieve(&made)
            .await
            .unwrap()
            .unwrap()
            .text()
            .unwrap(),
        "mine"
    );
    // And a key's own tag is its holder's.
    notes
        .store("squatter")
        .tag(first)
        .author(second)
        .await
        .unwrap();
    notes
        .store("profile")
        .tag(first)
        .author(first)
        .await
        .unwrap();
    assert_eq!(
        notes
            .retrieve(first)
            .await
            .unwrap()
            .unwrap()
            .text()
            .unwrap(),
        "profile"
    );
}

#[tokio::test]
async fn versions_are_read_now_then_and_by_name() {
    let (peer, me) = peer().await;
    let pages = peer.collection::<Versioned>("pages").open().unwrap();
    let page = pages.store("0").seal_to([me]).await.unwrap();
    for n in 1..5 {
        pages
            .store(n.to_string())
            .tag(&page)
            .seal_to([me])
            .await
            .unwrap();
    }
    let times = pages.timestamps(&page).unwrap();
    let versions = pages.versions(&page).unwrap();
    assert_eq!((times.len(), versions.len()), (5, 5));
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    let text = |item: Option<flexstore::Item>| item.unwrap().text().unwrap().to_owned();
    for (n, (time, version)) in times.iter().zip(&versions).enumerate() {
        assert_eq!(
            text(pages.retrieve(&page).at(time.ms).await.unwrap()),
            n.to_string()
        );
        assert_eq!(
            text(pages.retrieve(&page).version(*version).await.unwrap()),
            n.to_string()
        );
    }
    assert_eq!(text(pages.retrieve(&page).await.unwrap()), "4");
    assert!(
        pages
            .retrieve(&page)
            .at(times[0].ms - 1)
            .await
            .unwrap()
            .is_none()
    );
    pages.remove(&page).await.unwrap();
    assert!(pages.retrieve(&page).await.unwrap().is_none());
    assert!(pages.timestamps(&page).unwrap().is_empty());
    assert_eq!(Selection::default(), Selection::Latest);
}

#[tokio::test]
async fn a_replay_hook_folds_versions_and_writes_nothing() {
    let (peer, me) = peer().await;
    let counts = peer
        .collection::<Versioned>("counts")
        .replay(|sum, item| {
            let sum = sum.as_ref().and_then(Value::as_i64).unwrap_or(0);
            json!(
                sum + item
                    .json()
                    .ok()
                    .as_ref()
                    .and_then(Value::as_i64)
                    .unwrap_or(0)
            )
        })
        .open()
        .unwrap();
    let tag = counts.store(json!(1)).seal_to([me]).await.unwrap();
    for n in 2..=4 {
        counts
            .store(json!(n))
            .tag(&tag)
            .seal_to([me])
            .await
            .unwrap();
    }
    assert_eq!(
        counts
            .retrieve(&tag)
            .await
            .unwrap()
            .unwrap()
            .json()
            .unwrap(),
        10
    );
    let second = counts.timestamps(&tag).unwrap()[1];
    assert_eq!(
        counts
            .retrieve(&tag)
            .at(second.ms)
            .await
            .unwrap()
            .unwrap()
            .json()
            .unwrap(),
        3
    );
    assert_eq!(counts.versions(&tag).unwrap().len(), 4);
}

#[tokio::test]
async fn items_are_found_by_what_they_hold() {
    let (peer, me) = peer().await;
    let cities = peer.collection::<Mutable>("cities").open().unwrap();
    for (name, country) in [("Oslo", "NO"), ("Bergen", "NO"), ("Paris", "FR")] {
        let city = json!({"name": name, "country": country});
        cities.store(city).tag(name).seal_to([me]).await.unwrap();
    }
    cities.store("no json").tag("text").await.unwrap();
    let find = |wanted: Value| {
        let found = cities.find(wanted.as_object().unwrap()).unwrap();
        found
            .iter()
            .map(|item| item.tag().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(find(json!({"country": "NO"})), ["Bergen", "Oslo"]);
    assert_eq!(find(json!({"country": "NO", "name": "Oslo"})), ["Oslo"]);
    assert!(find(json!({"country": "SE"})).is_empty());
}

#[tokio::test]
async fn a_policy_holds_for_ones_own_writes_and_settings_are_one() {
    let (peer, me) = peer().await;
    let other = another(&peer).await;
    let policy = Policy {
        owners: Some([me].into()),
        authors: None,
        sealed_only: true,
    };
    let notes = peer
        .collection::<Mutable>("notes")
        .policy(policy)
        .open()
        .unwrap();
    assert!(matches!(
        notes.store("plain").await,
        Err(StoreError::Policy)
    ));
    let refused = notes.store("x").author(other).seal_to([me]).await;
    assert!(matches!(refused, Err(StoreError::Policy)));
    notes.store("x").tag("a").seal_to([me]).await.unwrap();
    notes.remove("a").await.unwrap();
    let error = peer
        .collection::<Mutable>("notes")
        .policy(Policy::default())
        .open()
        .err();
    assert_eq!(error, Some(OpenError::OtherSettings));
    assert!(peer.collection::<Mutable>("notes").open().is_ok());
    assert!(matches!(
        peer.collection::<Mutable>("").open().err(),
        Some(OpenError::Name(_))
    ));
}

#[tokio::test]
async fn changes_are_told_when_durable() {
    let (peer, me) = peer().await;
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    let mut updates = notes.updates();
    notes.store("one").tag("a").await.unwrap();
    notes.remove("a").await.unwrap();
    let first = updates.next().await.unwrap().unwrap();
    assert_eq!(
        (first.tag().as_str(), first.author(), first.is_removal()),
        ("a", me, false)
    );
    assert_eq!(*first.source(), Source::Written);
    let second = updates.next().await.unwrap().unwrap();
    assert!(second.is_removal() && second.time() > first.time());
    assert_eq!(notes.archive(u64::MAX).await, Err(ArchiveError::NoService));
}

#[tokio::test]
async fn a_closed_peer_lets_go_of_its_store() {
    let storage = Arc::new(MemoryStorage::new());
    let peer = Peer::open(Arc::<MemoryStorage>::clone(&storage)).unwrap();
    let me = peer.credentials().create_device().await.unwrap();
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    notes.store("kept").tag("a").seal_to([me]).await.unwrap();
    peer.close().await;
    assert!(matches!(notes.store("late").await, Err(StoreError::Closed)));
    drop((notes, peer));
    assert_eq!(Arc::strong_count(&storage), 1);
    let peer = Peer::open(storage).unwrap();
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    let item = notes.retrieve("a").await.unwrap().unwrap();
    assert_eq!(
        item.text(),
        Err(ContentError::Closed),
        "keys are not in the store"
    );
}
