//! What the JavaScript original gets wrong, flaw by flaw, and what happens here instead. Each test
//! also shows that the honest way works, so that refusing everything would fail it too.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod js_support;

use std::ops::ControlFlow;
use std::sync::Arc;

use ed25519_dalek::Signer as _;
use flexstore::js::{self, ClaimedOwner, Member, MigrateError, Shelf, Team, judge, migrate};
use flexstore::{
    ContentError, KeySet, MemoryStorage, Mutable, Peer, Storage, StoreError, Versioned, seal,
};
use flexstore_core::record::{Content, Draft, ParseError};
use flexstore_core::register::Selection;
use flexstore_core::storage::{Progress, Sequence, Table};
use flexstore_core::sync::{Input, Keys, Output, Replica, Settings, Writing};
use flexstore_core::wire::{Message, RefusalReason};
use flexstore_core::{
    CollectionId, Digest, Kind, Signed, SigningKey, Tag, Verified, encode_base64url,
};
use flexstore_testkit::network::Network;
use futures_util::future::join_all;
use js_support::{legacy_record, legacy_wrap, test_keys};

const ALICE: u8 = 1;
const MALLORY: u8 = 66;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn id(kind: Kind) -> CollectionId {
    CollectionId::new(kind, "things").unwrap()
}

fn shelf() -> Shelf {
    Shelf::items(id(Kind::Mutable))
}

fn signature(n: u8, input: &str) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    encode_base64url(&key.sign(input.as_bytes()).to_bytes())
}

/// A compact JWS with any header, well signed by `n`.
fn compact(n: u8, header: &str, payload: &[u8]) -> String {
    let header = encode_base64url(header.as_bytes());
    let input = format!("{header}.{}", encode_base64url(payload));
    format!("{input}.{}", signature(n, &input))
}

/// A general JWS over `x` with these signers and headers.
fn general(parts: &[(u8, &str)]) -> String {
    let payload = encode_base64url(b"x");
    let parts: Vec<_> = parts
        .iter()
        .map(|(n, header)| {
            let protected = encode_base64url(header.as_bytes());
            let signature = signature(*n, &format!("{protected}.{payload}"));
            format!(r#"{{"signature":"{signature}","protected":"{protected}"}}"#)
        })
        .collect();
    format!(
        r#"{{"signatures":[{}],"payload":"{payload}"}}"#,
        parts.join(",")
    )
}

fn read_js(text: &str) -> Result<js::Verified, String> {
    js::Signed::parse(text.to_owned(), &shelf(), Some(&tag("t")))
        .map_err(|error| format!("{error:?}"))?
        .verify()
        .map_err(|error| format!("{error:?}"))
}

/// A native record.
fn signed(id: &CollectionId, under: &str, content: Content, iat: u64, n: u8) -> Verified {
    let draft = Draft {
        collection: id.clone(),
        tag: tag(under),
        content,
        ant: None,
        iat,
    };
    draft.sign(&key(n)).unwrap()
}

fn plain(text: &str) -> Content {
    Content::Plain {
        payload: text.to_owned().into(),
        cty: Some("text/plain".into()),
    }
}

fn write(network: &mut Network, node: usize, under: &str, content: Content, n: u8) {
    let writing = Writing {
        tag: tag(under),
        content,
    };
    network.write(node, writing, Keys::Solo(&key(n))).unwrap();
}

fn shown(network: &Network, node: usize, under: &str) -> Option<String> {
    let register = network.nodes[node].replica.register();
    let record = register.read(&tag(under), None, Selection::Latest);
    let payload = record.unwrap()?.payload().to_vec();
    Some(String::from_utf8(payload).unwrap())
}

async fn peer() -> Peer {
    let peer = Peer::open(Arc::new(MemoryStorage::new())).unwrap();
    peer.credentials().create_device().await.unwrap();
    peer
}

/// The original takes `iss` for the owner whether or not it signed.
#[test]
fn a_forged_iss_header_is_refused() {
    let (alice, mallory) = (key(ALICE).tag(), key(MALLORY).tag());
    let honest = compact(
        ALICE,
        &format!(r#"{{"alg":"EdDSA","iss":"","iat":5,"kid":"{alice}"}}"#),
        b"x",
    );
    assert_eq!(read_js(&honest).unwrap().header().owner, alice);
    let claims = [
        format!(r#"{{"alg":"EdDSA","iss":"{alice}","iat":5,"kid":"{mallory}"}}"#),
        format!(r#"{{"alg":"EdDSA","iss":"{alice}","act":"{mallory}","iat":5,"kid":"{mallory}"}}"#),
        format!(r#"{{"alg":"EdDSA","iss":"{alice}","act":"{alice}","iat":5,"kid":"{mallory}"}}"#),
    ];
    for header in claims {
        assert_eq!(
            read_js(&compact(MALLORY, &header, b"x")).unwrap_err(),
            "Key",
            "{header}"
        );
    }
    let part = |kid| {
        format!(r#"{{"kid":"{kid}","alg":"EdDSA","iss":"{alice}","act":"{mallory}","iat":5}}"#)
    };
    let (of_alice, of_mallory) = (part(alice), part(mallory));
    let both = general(&[(ALICE, &of_alice), (MALLORY, &of_mallory)]);
    assert_eq!(read_js(&both).unwrap().header().owner, alice);
    for (parts, why) in [
        (vec![(MALLORY, &of_mallory)], "Form"),
        (vec![(MALLORY, &of_mallory), (MALLORY, &of_mallory)], "Key"),
        (
            vec![(MALLORY, &of_alice), (MALLORY, &of_mallory)],
            "BadSignature",
        ),
    ] {
        let parts: Vec<_> = parts.iter().map(|(n, header)| (*n, &header[..])).collect();
        assert_eq!(read_js(&general(&parts)).unwrap_err(), why);
    }
}

/// The original takes `group` for the owner of a list or state.
#[test]
fn a_forged_group_header_makes_nobody_the_owner() {
    let (alice, mallory) = (key(ALICE).tag(), key(MALLORY));
    let versions = id(Kind::Versioned);
    let states = [Digest::of(b"a"), Digest::of(b"b")];
    let claimed = [ClaimedOwner::Group(alice), ClaimedOwner::Individual(alice)];
    for claimed in claimed {
        let root = js::Draft::root(Shelf::items(versions.clone()), tag("t"), &states, 5);
        let state = js::Draft::text(Shelf::states(versions.clone()), tag("t"), "x", 5);
        for mut draft in [root, state] {
            let honest = draft.clone().sign(&key(ALICE)).unwrap();
            assert_eq!((honest.header().owner, honest.claimed()), (alice, None));
            draft.claimed = Some(claimed);
            let forged = draft.clone().sign(&mallory).unwrap();
            assert_eq!(forged.header().owner, mallory.tag());
            assert_eq!(
                forged.claimed(),
                Some(claimed),
                "kept as what it is: a claim"
            );
        }
        // An item cannot even say so.
        let mut item = js::Draft::text(shelf(), tag("t"), "x", 5);
        item.claimed = Some(claimed);
        assert_eq!(item.sign(&mallory).unwrap_err(), ParseError::Key);
    }
}

/// Former members of the original's teams keep the team's key, and a record of theirs replaces the
/// one that removed them.
#[test]
fn a_removed_member_cannot_readd_itself() {
    let (senior, junior) = (test_keys(0), test_keys(1));
    let member = |keys: &js::KeySet| Member {
        tag: keys.tag(),
        key: keys.encryption_key().unwrap(),
    };
    let both = [member(&senior), member(&junior)];
    let made = Team::create(&both, senior.signing(), 10).unwrap();
    let honest = judge(&[made.team.judged()], None).unwrap();
    assert!(honest.counts(&junior.tag(), 40));
    let removal = made
        .team
        .change(&made.keys, &both[..1], senior.signing(), 20)
        .unwrap();
    for iat in [15, 30] {
        let again = made
            .team
            .change(&made.keys, &both, junior.signing(), iat)
            .unwrap();
        let alone = made
            .team
            .change(&made.keys, &both[1..], junior.signing(), iat)
            .unwrap();
        let mut records = [&made.team, &removal, &again, &alone].map(Team::judged);
        for _ in 0..records.len() {
            records.rotate_left(1);
            let judged = judge(&records, None).unwrap();
            assert_eq!(judged.members(), [senior.tag()], "at {iat}");
            assert!(!judged.counts(&junior.tag(), 40) && judged.counts(&junior.tag(), 12));
        }
    }
}

/// In the original the first to write under a tag has it, also under the tag of somebody's key.
#[test]
fn a_key_tag_cannot_be_squatted_in_any_collection() {
    let own = key(ALICE).tag().to_string();
    for (kind, name) in [
        (Kind::Mutable, "EncryptionKey"),
        (Kind::Mutable, "KeyRecovery"),
        (Kind::Versioned, "Team"),
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

/// Any of these ends the original's process.
#[test]
fn malformed_json_and_jws_are_typed_refusals() {
    let good = js::Draft::text(shelf(), tag("t"), "x", 5);
    let texts = [good.clone().sign(&key(1)), good.sign_for(&key(1), &key(2))];
    let mut bad: Vec<Vec<u8>> = [
        "",
        "{",
        "}",
        "[]",
        "null",
        "\"\"",
        "{}",
        "..",
        "...",
        "a.b.c",
        "{\"signatures\":[]}",
        "{\"signatures\":null,\"payload\":null}",
        "\u{feff}{}",
        "e30.e30.",
        "bnVsbA.e30.e30",
        "\0",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    bad.push(vec![0xff; 1000]);
    bad.push(vec![b'{'; 100_000]);
    bad.push([&b"{\"a\":"[..], &[b'['; 100_000]].concat());
    for text in texts.map(|record| record.unwrap().text().to_vec()) {
        assert!(js::Signed::parse(text.clone(), &shelf(), Some(&tag("t"))).is_ok());
        bad.extend((0..text.len()).map(|end| text[..end].to_vec()));
    }
    for bytes in bad {
        let of_js: Result<_, ParseError> =
            js::Signed::parse(bytes.clone(), &shelf(), Some(&tag("t")));
        let native: Result<_, ParseError> = Signed::parse(bytes.clone());
        assert!(
            of_js.is_err() && native.is_err(),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        // Nor is it a message.
        assert!(Message::decode(&bytes.into()).is_err());
    }
}

/// A payload without `cty` ends the original's process.
#[tokio::test]
async fn a_binary_payload_is_an_item_like_any_other() {
    let bytes = [0, 255, 254, b'{'];
    let payload = bytes.to_vec().into();
    let content = Content::Plain { payload, cty: None };
    let record = js::Draft::new(shelf(), tag("t"), content, 5)
        .sign(&key(ALICE))
        .unwrap();
    let text = String::from_utf8(record.text().to_vec()).unwrap();
    let read = read_js(&text).unwrap();
    assert_eq!(
        (&read.payload()[..], read.header().cty.as_deref()),
        (&bytes[..], None)
    );
    let peer = peer().await;
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    let under = notes.store(&bytes[..]).await.unwrap();
    let item = notes.retrieve(&under).await.unwrap().unwrap();
    assert_eq!(item.bytes().unwrap(), bytes);
    assert_eq!(item.text(), Err(ContentError::NotText));
    assert!(matches!(item.json(), Err(ContentError::Json(_))));
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

/// With several audience tags the original signs `[object Object]`, and the data is gone.
#[tokio::test]
async fn several_audience_tags_lose_no_data() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let peer = Peer::open(Arc::clone(&storage)).unwrap();
    let readers = [KeySet::generate().unwrap(), KeySet::generate().unwrap()];
    let texts = readers.each_ref().map(KeySet::to_jwks);
    let [first, second] = readers.each_ref().map(KeySet::tag);
    for keys in readers {
        peer.credentials().add(keys).await.unwrap();
    }
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    notes
        .store("for both")
        .tag("a")
        .seal_to([first, second])
        .await
        .unwrap();
    let item = notes.retrieve("a").await.unwrap().unwrap();
    assert_eq!(item.audience().len(), 2);
    peer.close().await;
    for text in texts {
        // Each alone, with nothing but its own keys.
        let peer = Peer::open(Arc::clone(&storage)).unwrap();
        peer.credentials()
            .add(KeySet::from_jwks(&text).unwrap())
            .await
            .unwrap();
        let notes = peer.collection::<Mutable>("notes").open().unwrap();
        let item = notes.retrieve("a").await.unwrap().unwrap();
        assert_eq!(item.text().unwrap(), "for both");
        peer.close().await;
    }
    // In the original's own form there is one audience, or a refusal before anything is signed.
    let sealed = |audience: Vec<Tag>| {
        let jwe = "x".into();
        let content = Content::Sealed { jwe, audience };
        js::Draft::new(shelf(), tag("t"), content, 5)
            .sign(&key(ALICE))
            .map(drop)
    };
    assert_eq!(sealed(vec![first.tag()]), Ok(()));
    assert_eq!(
        sealed(vec![first.tag(), second.tag()]),
        Err(ParseError::Audience)
    );
}

/// The original's `retrieve` by time answers the ciphertext.
#[tokio::test]
async fn retrieve_at_a_time_answers_the_content() {
    let peer = peer().await;
    let me = peer.credentials().author().unwrap();
    let diary = peer.collection::<Versioned>("diary").open().unwrap();
    for text in ["one", "two", "three"] {
        diary.store(text).tag("day").seal_to([me]).await.unwrap();
    }
    let times = diary.timestamps("day").unwrap();
    assert_eq!(times.len(), 3);
    for (time, text) in times.iter().zip(["one", "two", "three"]) {
        let item = diary.retrieve("day").at(time.ms).await.unwrap().unwrap();
        assert_eq!(item.text().unwrap(), text);
        assert!(
            !item.record().payload().starts_with(text.as_bytes()),
            "sealed where it rests"
        );
    }
    assert!(
        diary
            .retrieve("day")
            .at(times[0].ms - 1)
            .await
            .unwrap()
            .is_none()
    );
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
    let writing = |content| Writing {
        tag: tag("a"),
        content,
    };
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

/// The original wraps keys with the SHA-256 of an answer: no salt, no cost, public on relays.
#[test]
fn a_bare_hash_wraps_no_key_and_opens_only_by_migrate() {
    let keys = test_keys(0);
    let wrap = legacy_wrap(&keys, "Rex", "first pet?");
    let record = legacy_record(&keys, &wrap, 5);
    assert_eq!(
        migrate(record.clone(), "Rex").unwrap().keys.tag(),
        keys.tag()
    );
    assert_eq!(
        migrate(record.clone(), "Max").unwrap_err(),
        MigrateError::Secret
    );
    // Whatever else opens or reads something does not know the form.
    let binding = seal::Binding {
        owner: keys.tag(),
        author: keys.tag(),
        col: "MutableCollection/KeyRecovery".into(),
        tag: Some(keys.tag().to_string()),
        prop: None,
    };
    let native = seal::EncryptionSecret::generate().unwrap();
    assert!(seal::open(&wrap, &binding, &|_| Some(&native)).is_err());
    assert!(seal::js::open(&wrap, &|_| Some(keys.opening())).is_err());
    assert!(js::KeySet::from_jwks(&wrap).is_err() && KeySet::from_jwks(&wrap).is_err());
    let shelf = Shelf::credential(js::KEY_RECOVERY).unwrap();
    let record = js::Signed::parse(record, &shelf, None)
        .unwrap()
        .verify()
        .unwrap();
    assert!(js::open_item(&record, &|_| Some(keys.opening())).is_err());
    assert_eq!(Team::read(record).unwrap_err(), js::TeamError::NotATeam);
}

/// The original wraps a device's keys with the device's tag, which everybody knows.
#[tokio::test]
async fn a_public_string_is_no_device_secret() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let peer = Peer::open(Arc::clone(&storage)).unwrap();
    let set = KeySet::generate().unwrap();
    let jwks: serde_json::Value = serde_json::from_str(&set.to_jwks()).unwrap();
    let device = peer.credentials().add(set).await.unwrap();
    peer.credentials().create_device().await.unwrap();
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    notes.store("x").seal_to([device]).await.unwrap();
    peer.close().await;
    // Nothing that rests is a private key in plain, or one under a secret: `dir`.
    let mut texts = Vec::new();
    for table in Table::ALL {
        let mut visit = |_: &[u8], value: &[u8]| {
            texts.push(value.to_vec());
            ControlFlow::Continue(())
        };
        storage.scan(table, &[], &[0xff; 64], &mut visit).unwrap();
    }
    let has = |needle: &str| {
        let within = |text: &Vec<u8>| {
            text.windows(needle.len())
                .any(|part| part == needle.as_bytes())
        };
        texts.iter().any(within)
    };
    assert!(has("eyJhbGci"), "records are there, {} values", texts.len());
    for n in [0, 1] {
        let d = jwks["keys"][n]["key"]["d"].as_str().unwrap();
        let raw = flexstore_core::decode_base64url(d.as_bytes()).unwrap();
        assert!(!has(d));
        assert!(
            !texts
                .iter()
                .any(|text| text.windows(32).any(|part| part == raw))
        );
    }
    assert!(!has(&encode_base64url(br#"{"alg":"dir","#)));
    // What the original made in that way opens for whoever knows the tag, and by migrate alone.
    let legacy = test_keys(0);
    let public = legacy.tag().to_string();
    let record = legacy_record(&legacy, &legacy_wrap(&legacy, &public, ""), 5);
    assert!(migrate(record, &public).is_ok());
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

/// An empty text deletes in the original, whoever meant it.
#[tokio::test]
async fn an_empty_text_is_no_deletion_by_accident() {
    let peer = peer().await;
    let notes = peer.collection::<Mutable>("notes").open().unwrap();
    notes.store("x").tag("a").await.unwrap();
    let empty = notes.store("").tag("a").await;
    assert!(matches!(empty, Err(StoreError::Empty)));
    assert_eq!(
        notes.retrieve("a").await.unwrap().unwrap().text().unwrap(),
        "x"
    );
    // One that the original signed names no item, so it deletes none.
    let alice = key(ALICE).tag();
    let sub = Digest::of(b"");
    let header = format!(
        r#"{{"alg":"EdDSA","iss":"","iat":5,"sub":"{sub}","encryption":null,"kid":"{alice}","cty":"text/plain"}}"#
    );
    assert_eq!(read_js(&compact(ALICE, &header, b"")).unwrap_err(), "Tag");
}
