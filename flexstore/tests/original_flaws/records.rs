//! What one record or seal says, and who may say it.

use std::ops::ControlFlow;
use std::sync::Arc;

use flexstore::js::{self, ClaimedOwner, Member, MigrateError, Shelf, Team, judge, migrate};
use flexstore::{
    ContentError, KeySet, MemoryStorage, Mutable, Peer, Storage, StoreError, Versioned, seal,
};
use flexstore_core::record::{Content, ParseError};
use flexstore_core::storage::Table;
use flexstore_core::wire::Message;
use flexstore_core::{Digest, Kind, Signed, Tag, encode_base64url};

use crate::js_support::{legacy_record, legacy_wrap, test_keys};
use crate::*;

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
