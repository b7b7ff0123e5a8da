//! Which of several records stands, wherever they arrive and in whatever order.

use std::collections::BTreeMap;
use std::sync::Arc;

use flexstore::js::{self, Shelf};
use flexstore::{MemoryStorage, Versioned};
use flexstore_core::authority::{Member, Roster, Sealed};
use flexstore_core::record::{Content, Draft, ParseError};
use flexstore_core::storage::{Progress, Sequence};
use flexstore_core::sync::{Input, Keys, Output, Replica, Settings, Writing};
use flexstore_core::wire::RefusalReason;
use flexstore_core::{CollectionId, Digest, Kind, Signed, encode_base64url};
use flexstore_testkit::network::Network;
use futures_util::future::join_all;

use crate::*;

/// In the original the first to write under a tag has it, also under the tag of somebody's key.
#[test]
fn a_key_tag_cannot_be_squatted_in_any_collection() {
    let own = key(ALICE).tag().to_string();
    for (kind, name) in [
        (Kind::Mutable, "EncryptionKey"),
        (Kind::Mutable, "KeyRecovery"),
    ] {
        let id = CollectionId::new(kind, name).unwrap();
        let mut network = Network::new(1, 1, &id);
        let now = network.now;
        network.inject(0, &signed(&id, &own, plain("squat"), now, MALLORY));
        assert!(network.run(100));
        assert_eq!(shown(&network, 0, &own), None, "{name}");
        network.inject(0, &signed(&id, &own, plain("mine"), now, ALICE));
        assert!(network.run(100));
        assert_eq!(shown(&network, 0, &own).as_deref(), Some("mine"), "{name}");
    }
    // A Team record is signed by two; the team's own key must be one of them.
    let id_of_teams = CollectionId::team();
    let mut network = Network::new(3, 1, &id_of_teams);
    let member = key(MALLORY + 1);
    let roster = Roster {
        members: vec![Member::leaf(member.tag())],
        until: BTreeMap::new(),
        sealed: Some(Sealed {
            key: [7; 32],
            wrap: "sealed".into(),
        }),
    };
    for (owner, expected) in [(MALLORY, None), (ALICE, Some(roster.write()))] {
        let draft = Draft {
            collection: id_of_teams.clone(),
            tag: tag(&own),
            content: Content::Plain {
                payload: roster.write().into(),
                cty: Some("json".into()),
            },
            ant: None,
            iat: network.now,
        };
        network.inject(0, &draft.sign_for(&key(owner), &member).unwrap());
        assert!(network.run(100));
        assert_eq!(shown(&network, 0, &own), expected);
    }
    for kind in [Kind::Mutable, Kind::Versioned] {
        let id = id(kind);
        let mut network = Network::new(2, 1, &id);
        let now = network.now;
        network.inject(0, &signed(&id, &own, plain("squat"), now, MALLORY));
        network.inject(0, &signed(&id, &own, plain("mine"), now - 5, ALICE));
        network.inject(
            0,
            &signed(&id, &own, plain("squat again"), now + 1, MALLORY),
        );
        assert!(network.run(100));
        assert_eq!(shown(&network, 0, &own).as_deref(), Some("mine"));
    }
    // And in the original's own collections of keys, as we read them.
    for name in [js::ENCRYPTION_KEY, js::KEY_RECOVERY, js::TEAM] {
        let shelf = Shelf::credential(name).unwrap();
        let under = |n: u8| {
            let draft = js::Draft::text(shelf.clone(), tag(&own), "x", 5);
            let text = draft.sign(&key(n)).unwrap().text().clone();
            js::Signed::parse(text, &shelf, Some(&tag(&own))).map(drop)
        };
        assert_eq!(
            (under(ALICE), under(MALLORY)),
            (Ok(()), Err(ParseError::Tag))
        );
    }
}

/// The original has no upper bound: one record from the year 3000 stands for ever.
#[test]
fn a_far_future_iat_is_refused() {
    let mut network = Network::new(3, 2, &id(Kind::Mutable));
    write(&mut network, 1, "a", plain("now"), ALICE);
    network.nodes[0].skew = 1000 * 365 * 24 * 3600 * 1000;
    write(&mut network, 0, "a", plain("from the future"), ALICE);
    network.connect(0, 1);
    for _ in 0..1000 {
        if !network.nodes[0].refused.is_empty() {
            break;
        }
        network.step();
    }
    assert_eq!(network.nodes[0].refused, [RefusalReason::TooNew]);
    assert_eq!(shown(&network, 1, "a").as_deref(), Some("now"));
    write(&mut network, 1, "a", plain("later"), ALICE);
    assert_eq!(shown(&network, 1, "a").as_deref(), Some("later"));
}

/// The original's listing and sync leave tombstones out, and its relays forget them.
#[test]
fn a_tombstone_is_lost_neither_in_sync_nor_by_a_restart() {
    for kind in [Kind::Mutable, Kind::Immutable, Kind::Versioned] {
        let (author, relay, absent) = (0, 1, 2);
        let mut network = Network::new(4, 4, &id(kind));
        write(&mut network, author, "a", plain("x"), ALICE);
        let under = match kind {
            Kind::Immutable => Digest::of(b"x").to_string(),
            _ => "a".to_owned(),
        };
        let links = [
            network.connect(author, relay),
            network.connect(absent, relay),
        ];
        assert!(network.run(1000));
        assert_eq!(shown(&network, absent, &under).as_deref(), Some("x"));
        for link in links {
            network.disconnect(link);
        }
        write(&mut network, author, &under, Content::Tombstone, ALICE);
        network.connect(author, relay);
        assert!(network.run(1000));
        network.restart(relay);
        // The one that was absent brings the item, and learns that it is gone; so does a new one.
        network.connect(absent, relay);
        network.connect(3, relay);
        assert!(network.run(1000));
        for node in 0..4 {
            assert_eq!(shown(&network, node, &under), None, "{kind:?} at {node}");
        }
    }
}

/// In the original the older of two immutable records wins, and a deletion is always the younger.
#[test]
fn an_immutable_original_does_not_come_back_over_its_tombstone() {
    let id = id(Kind::Immutable);
    let under = Digest::of(b"x").to_string();
    let mut network = Network::new(5, 2, &id);
    let now = network.now;
    let original = signed(&id, &under, plain("x"), now - 100, ALICE);
    let earlier = signed(&id, &under, plain("x"), now - 200, ALICE);
    let tombstone = signed(&id, &under, Content::Tombstone, now - 50, ALICE);
    network.inject(0, &original);
    assert!(network.run(100));
    assert_eq!(shown(&network, 0, &under).as_deref(), Some("x"));
    for record in [&tombstone, &original, &earlier] {
        network.inject(0, record);
        assert!(network.run(100));
        assert_eq!(shown(&network, 0, &under), None);
    }
    for record in [&earlier, &tombstone, &original] {
        network.inject(1, record);
    }
    network.connect(0, 1);
    assert!(network.run(1000));
    assert_eq!(
        [shown(&network, 0, &under), shown(&network, 1, &under)],
        [None, None]
    );
    // Others' deletions hide nothing of alice's.
    let mut network = Network::new(6, 1, &id);
    network.inject(0, &original);
    network.inject(0, &signed(&id, &under, Content::Tombstone, now, MALLORY));
    assert!(network.run(100));
    assert_eq!(shown(&network, 0, &under).as_deref(), Some("x"));
}

const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Between two peers of the original, deletion and later rewrite change places for ever.
#[test]
fn a_tombstone_and_a_rewrite_do_not_swap() {
    let id = id(Kind::Mutable);
    for (deleted, rewritten, expected) in [(20, 30, Some("again")), (30, 20, None)] {
        let mut network = Network::new(7, ORDERS.len(), &id);
        let records = [
            signed(&id, "a", plain("first"), 10, ALICE),
            signed(&id, "a", Content::Tombstone, deleted, ALICE),
            signed(&id, "a", plain("again"), rewritten, ALICE),
        ];
        for (node, order) in ORDERS.iter().enumerate() {
            for n in order {
                network.inject(node, &records[*n]);
            }
        }
        assert!(network.run(1000));
        for node in 0..ORDERS.len() {
            assert_eq!(shown(&network, node, "a").as_deref(), expected);
        }
        // One has the deletion, the other the rewrite: they agree, and then are quiet.
        let mut network = Network::new(8, 2, &id);
        network.inject(0, &records[1]);
        network.inject(1, &records[2]);
        network.connect(0, 1);
        assert!(network.run(1000), "no end");
        for node in [0, 1] {
            assert_eq!(shown(&network, node, "a").as_deref(), expected);
        }
    }
}

/// With equal times the original's peers each keep their own, or swap.
#[test]
fn equal_time_ties_converge() {
    for kind in [Kind::Mutable, Kind::Versioned] {
        let id = id(kind);
        let records = ["one", "two", "three"].map(|text| signed(&id, "a", plain(text), 10, ALICE));
        let mut network = Network::new(9, ORDERS.len(), &id);
        for (node, order) in ORDERS.iter().enumerate() {
            for n in order {
                network.inject(node, &records[*n]);
            }
        }
        assert!(network.run(1000));
        let greatest = records.iter().max_by_key(|record| record.digest()).unwrap();
        let expected = String::from_utf8(greatest.payload().to_vec()).unwrap();
        for node in 0..ORDERS.len() {
            assert_eq!(
                shown(&network, node, "a"),
                Some(expected.clone()),
                "{kind:?}"
            );
        }
        let mut network = Network::new(10, 3, &id);
        for (node, record) in records.iter().enumerate() {
            network.inject(node, record);
        }
        network.connect(0, 1);
        network.connect(2, 1);
        assert!(network.run(1000), "no end");
        for node in 0..3 {
            assert_eq!(
                shown(&network, node, "a"),
                Some(expected.clone()),
                "{kind:?}"
            );
        }
    }
}

/// The original does not queue concurrent writes to one tag, and all but one state are lost.
#[tokio::test]
async fn ten_concurrent_versioned_stores_lose_no_state() {
    let peer = peer().await;
    let diary = peer.collection::<Versioned>("diary").open().unwrap();
    let stores = (0..10).map(|n| {
        let store = diary.store(format!("state {n}")).tag("day");
        async { store.await.unwrap() }
    });
    join_all(stores).await;
    assert_eq!(diary.timestamps("day").unwrap().len(), 10);
    let mut texts = Vec::new();
    for version in diary.versions("day").unwrap() {
        let item = diary
            .retrieve("day")
            .version(version)
            .await
            .unwrap()
            .unwrap();
        texts.push(item.text().unwrap().to_owned());
    }
    texts.sort();
    let all: Vec<_> = (0..10).map(|n| format!("state {n}")).collect();
    assert_eq!(texts, all);
}

/// The original emits `update` before it writes to the disk.
#[test]
fn update_comes_after_the_item_is_durable() {
    let storage = Arc::new(MemoryStorage::new());
    let mut replica = Replica::open(storage, id(Kind::Mutable), Settings::default()).unwrap();
    let told = |replica: &mut Replica| {
        let outputs: Vec<_> = std::iter::from_fn(|| replica.poll()).collect();
        let stored = outputs
            .iter()
            .any(|output| matches!(output, Output::Stored(_)));
        let update = outputs
            .iter()
            .any(|output| matches!(output, Output::Update(_)));
        (stored, update)
    };
    let writing = |content| Writing::new(tag("a"), content);
    replica
        .write(10, writing(plain("x")), Keys::Solo(&key(ALICE)))
        .unwrap();
    assert_eq!(
        told(&mut replica),
        (false, false),
        "the disk has not spoken"
    );
    replica.handle(11, Input::Stored(Progress::Durable(Sequence(1))));
    assert_eq!(told(&mut replica), (true, true));
    // What the disk did not take is told to nobody as stored.
    replica
        .write(20, writing(plain("y")), Keys::Solo(&key(ALICE)))
        .unwrap();
    assert_eq!(told(&mut replica), (false, false));
    replica.handle(21, Input::Stored(Progress::Failed(Sequence(2))));
    assert_eq!(told(&mut replica), (false, false));
}

/// Nothing in the original's items says where they belong, so whoever carries one can put it under
/// another tag, or into another collection.
#[test]
fn an_item_does_not_move_to_another_tag_or_collection() {
    for kind in [Kind::Immutable, Kind::Mutable, Kind::Versioned] {
        let (here, elsewhere) = (id(kind), CollectionId::new(kind, "elsewhere").unwrap());
        let record = signed(&here, "a", plain("x"), 10, ALICE);
        let under = record.header().tag.to_string();
        for (place, expected) in [(&here, Some("x")), (&elsewhere, None)] {
            let mut network = Network::new(11, 1, place);
            network.inject(0, &record);
            assert!(network.run(100));
            assert_eq!(shown(&network, 0, &under).as_deref(), expected, "{place}");
            assert_eq!(shown(&network, 0, "b"), None);
        }
        // To say another place, its text would have to change.
        let text = String::from_utf8(record.text().to_vec()).unwrap();
        let (protected, rest) = text.split_once('.').unwrap();
        let header = flexstore_core::decode_base64url(protected.as_bytes()).unwrap();
        let header = String::from_utf8(header).unwrap();
        let mut changes = vec![header.replace("/things", "/elsewhere")];
        if kind != Kind::Immutable {
            changes.push(header.replace(r#""a""#, r#""b""#));
        }
        for changed in changes {
            assert_ne!(changed, header);
            let text = format!("{}.{rest}", encode_base64url(changed.as_bytes()));
            assert!(
                Signed::parse(text).is_ok_and(|signed| signed.verify().is_err()),
                "{kind:?}"
            );
        }
    }
    // Nor does one of the original pass for one that says so.
    let of_js = js::Draft::text(shelf(), tag("a"), "x", 10)
        .sign(&key(ALICE))
        .unwrap();
    assert!(Signed::parse(of_js.text().clone()).is_err());
}
