//! The strict reader of the original's records: what it takes, and each way of being refused.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use flexstore_core::record::js::{Claimed, Draft, Shelf, Signed, Verified};
use flexstore_core::record::{self, Content, Encryption, MAX_TIME, ParseError};
use flexstore_core::{Digest, Tag};
use proptest::prelude::*;
use support::{compact, general, key, part};

fn shelf(text: &str) -> Shelf {
    Shelf::parse(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn read(text: &str, place: &str, under: Option<&str>) -> Result<Signed, ParseError> {
    Signed::parse(text.to_owned(), &shelf(place), under.map(tag).as_ref())
}

fn h(payload: &[u8]) -> String {
    Digest::of(payload).to_string()
}

/// The header of a compact record by key 1 over `x`, from `alg` to what stands before `kid`.
fn solo(members: &str) -> String {
    let kid = key(1).tag();
    compact(
        1,
        format!(r#"{{"alg":"EdDSA"{members},"kid":"{kid}"}}"#).as_bytes(),
        b"x",
    )
}

fn note(text: &str) -> Result<Signed, ParseError> {
    read(text, "MutableCollection/notes", Some("t"))
}

#[test]
fn members_in_the_orders_of_the_original_and_no_others() {
    let (me, x) = (key(1).tag(), h(b"x"));
    let sub = format!(r#","iat":5,"sub":"{x}""#);
    for good in [
        r#","iat":5"#.to_owned(),
        sub.clone(),
        format!(r#","iss":""{sub},"encryption":null"#),
        format!(r#","iss":""{sub},"encryption":"","cty":"text/html""#),
        format!(r#","iss":""{sub},"cty":"text/html","encryption":null"#),
        format!(r#","iss":"{me}","act":"{me}"{sub}"#),
    ] {
        let record = note(&solo(&good)).unwrap().verify().unwrap();
        assert_eq!((record.header().owner, record.header().author), (me, me));
    }
    let layout = ParseError::HeaderLayout;
    for (bad, why) in [
        (format!(r#"{sub},"crit":["x"]"#), layout),
        (format!(r#"{sub},"jwk":"x""#), layout),
        (format!(r#"{sub},"typ":"JWT""#), layout),
        (format!(r#"{sub},"b64":false"#), layout),
        (format!(r#"{sub},"iat":5"#), layout),
        (format!(r#"{sub},"cty":"a","cty":"a""#), layout),
        (format!(r#","sub":"{x}","iat":5"#), layout),
        (format!(r#"{sub},"iss":"""#), layout),
        (format!(r#","iat": 5,"sub":"{x}""#), layout),
        (format!(r#"{sub},"cty":null"#), layout),
        (format!(r#"{sub},"cty":"te\u0078t""#), layout),
        (
            format!(r#","iss":"{}"{sub}"#, key(2).tag()),
            ParseError::Key,
        ),
        (
            format!(r#","act":"{}"{sub}"#, key(2).tag()),
            ParseError::Key,
        ),
        (format!(r#","iss":"me"{sub}"#), ParseError::Key),
        (format!(r#"{sub},"group":"{me}""#), ParseError::Key),
        (format!(r#","sub":"{x}""#), ParseError::Time),
        (format!(r#","iat":-1,"sub":"{x}""#), ParseError::Time),
        (format!(r#","iat":5.0,"sub":"{x}""#), ParseError::Time),
        (
            format!(r#","iat":{},"sub":"{x}""#, MAX_TIME + 1),
            ParseError::Time,
        ),
        (format!(r#","iat":"5","sub":"{x}""#), ParseError::Time),
        (
            format!(r#"{sub},"encryption":["{me}"]"#),
            ParseError::HeaderLayout,
        ),
        (format!(r#"{sub},"encryption":5"#), ParseError::Audience),
        (
            format!(r#"{sub},"encryption":"{me}""#),
            ParseError::ContentType,
        ),
        (
            format!(r#"{sub},"cty":"text/encrypted""#),
            ParseError::ContentType,
        ),
        (format!(r#"{sub},"ant":"{x}""#), ParseError::Antecedent),
        (format!(r#"{sub},"tag":"t""#), ParseError::Tag),
        (r#","iat":5,"sub":"other""#.to_owned(), ParseError::Payload),
    ] {
        assert_eq!(note(&solo(&bad)).unwrap_err(), why, "{bad}");
    }
    // The whole of MAX_TIME is a time.
    assert!(note(&solo(&format!(r#","iat":{MAX_TIME}"#))).is_ok());
    let none = compact(
        1,
        format!(r#"{{"alg":"none","iat":5,"kid":"{me}"}}"#).as_bytes(),
        b"x",
    );
    assert_eq!(note(&none).unwrap_err(), ParseError::Algorithm);
    for kid in [
        "",
        "AAAA",
        &format!("{me}A"),
        &format!(" {}", &me.to_string()[1..]),
    ] {
        let text = compact(
            1,
            format!(r#"{{"alg":"EdDSA","iat":5,"kid":"{kid}"}}"#).as_bytes(),
            b"x",
        );
        assert_eq!(note(&text).unwrap_err(), ParseError::Key, "{kid}");
    }
}

fn member_header(kid: u8, iss: u8, act: u8, more: &str) -> Vec<u8> {
    format!(
        r#"{{"kid":"{}","alg":"EdDSA","iss":"{}","act":"{}","iat":5{more}}}"#,
        key(kid).tag(),
        key(iss).tag(),
        key(act).tag()
    )
    .into_bytes()
}

fn signed_by(signers: &[(u8, u8, u8, &str)]) -> String {
    let parts: Vec<_> = signers
        .iter()
        .map(|(kid, iss, act, more)| part(*kid, &member_header(*kid, *iss, *act, more), b"x"))
        .collect();
    general(&parts, b"x")
}

#[test]
fn two_signatures_owner_then_member() {
    let good = signed_by(&[(1, 1, 2, ""), (2, 1, 2, "")]);
    let record = note(&good).unwrap().verify().unwrap();
    assert_eq!(record.header().owner, key(1).tag());
    assert_eq!(record.header().author, key(2).tag());
    let forms = [
        (signed_by(&[(1, 1, 2, "")]), ParseError::Form),
        (signed_by(&[(2, 1, 2, "")]), ParseError::Form),
        (
            signed_by(&[(1, 1, 2, ""), (2, 1, 2, ""), (3, 1, 2, "")]),
            ParseError::Form,
        ),
        (signed_by(&[(2, 1, 2, ""), (1, 1, 2, "")]), ParseError::Key),
        (signed_by(&[(1, 1, 2, ""), (1, 1, 2, "")]), ParseError::Key),
        (signed_by(&[(3, 1, 2, ""), (2, 1, 2, "")]), ParseError::Key),
        (
            signed_by(&[(1, 1, 2, ""), (2, 1, 2, r#","cty":"a""#)]),
            ParseError::Disagree,
        ),
        (
            signed_by(&[(1, 1, 2, ""), (2, 1, 3, "")]),
            ParseError::Disagree,
        ),
        (good.replacen('{', "{ ", 1), ParseError::Form),
        (
            good.replacen("\"payload\"", "\"header\":{},\"payload\"", 1),
            ParseError::Form,
        ),
        (
            good.replacen("\"protected\"", "\"header\":{},\"protected\"", 1),
            ParseError::Form,
        ),
        (format!("{good}\n"), ParseError::Form),
    ];
    for (text, why) in forms {
        assert_eq!(note(&text).unwrap_err(), why, "{text}");
    }
    // A header of another's signature under the right name.
    let stolen = general(
        &[
            part(1, &member_header(1, 1, 2, ""), b"x"),
            part(3, &member_header(2, 1, 2, ""), b"x"),
        ],
        b"x",
    );
    assert!(note(&stolen).unwrap().verify().is_err());
}

#[test]
fn where_a_record_stands() {
    let x = h(b"x");
    let sub = |sub: &str| solo(&format!(r#","iat":5,"sub":"{sub}""#));
    assert!(read(&sub(&x), "ImmutableCollection/i", None).is_ok());
    assert!(read(&sub(&x), "ImmutableCollection/i", Some(&x)).is_ok());
    for (text, place, under, why) in [
        (
            sub(&x),
            "ImmutableCollection/i",
            Some("other"),
            ParseError::Tag,
        ),
        (
            sub("other"),
            "ImmutableCollection/i",
            None,
            ParseError::Payload,
        ),
        (sub(&x), "MutableCollection/m", None, ParseError::Tag),
        (
            sub(&x),
            "MutableCollection/Team",
            Some("other"),
            ParseError::Tag,
        ),
        (
            sub(&x),
            "VersionedCollection/v",
            Some("t"),
            ParseError::Audience,
        ),
    ] {
        assert_eq!(
            read(&text, place, under).unwrap_err(),
            why,
            "{place} {under:?}"
        );
    }
    let own = key(1).tag().to_string();
    let credential = read(&sub(&x), "MutableCollection/EncryptionKey", None).unwrap();
    let header = credential.verify().unwrap().header().clone();
    assert_eq!(header.tag.as_str(), own);
    // States: the tag is a hash over the payload and what it follows.
    let first = Digest::of(b"x5");
    let state = read(
        &sub("subject"),
        "StateCollection/v",
        Some(&first.to_string()),
    )
    .unwrap();
    let state = state.verify().unwrap();
    assert_eq!(
        (state.state(), state.header().tag.as_str()),
        (Some(first), "subject")
    );
    let second = Digest::of_parts(&[b"x", first.to_string().as_bytes()]);
    let ant = solo(&format!(r#","iat":6,"sub":"subject","ant":"{first}""#));
    assert!(read(&ant, "StateCollection/v", Some(&second.to_string())).is_ok());
    for under in [first.to_string().as_str(), "subject"] {
        assert_eq!(
            read(&ant, "StateCollection/v", Some(under)).unwrap_err(),
            ParseError::Tag
        );
    }
    let no_subject = solo(r#","iat":6"#);
    assert_eq!(
        read(&no_subject, "StateCollection/v", None).unwrap_err(),
        ParseError::Tag
    );
}

fn sign(draft: Draft) -> Verified {
    draft.sign(&key(1)).unwrap()
}

fn tombstone(place: &str, under: &str, ant: Option<Digest>) -> Result<Verified, ParseError> {
    let mut draft = Draft::new(shelf(place), tag(under), Content::Tombstone, 9);
    draft.ant = ant;
    draft.sign(&key(1))
}

#[test]
fn tombstones_delete_what_they_name_and_nothing_else() {
    let own = key(1).tag().to_string();
    let content = h(b"x");
    for (place, under) in [
        ("MutableCollection/m", "t"),
        ("VersionedCollection/v", "t"),
        ("ImmutableCollection/i", content.as_str()),
        ("MutableCollection/Team", own.as_str()),
    ] {
        let dead = tombstone(place, under, None).unwrap();
        assert!(dead.is_tombstone() && dead.header().encryption == Encryption::Tombstone);
        let text = String::from_utf8(dead.text().to_vec()).unwrap();
        assert!(read(&text, place, Some(under)).is_ok(), "{place}");
        assert_eq!(
            read(&text, place, Some("other")).unwrap_err(),
            ParseError::Tag,
            "{place}"
        );
    }
    // What `destroy` makes names nothing but its signer.
    let destroyed = tombstone("MutableCollection/Team", &own, None).unwrap();
    let text = String::from_utf8(destroyed.text().to_vec()).unwrap();
    for (place, under) in [("MutableCollection/m", "t"), ("VersionedCollection/v", "t")] {
        assert_eq!(
            read(&text, place, Some(under)).unwrap_err(),
            ParseError::Tag
        );
    }
    let state = Digest::of(b"state");
    let dead = tombstone("StateCollection/v", "subject", Some(state)).unwrap();
    assert_eq!((dead.state(), dead.header().ant), (Some(state), None));
    assert_eq!(
        tombstone("StateCollection/v", "subject", None).unwrap_err(),
        ParseError::Antecedent
    );
}

#[test]
fn a_claimed_owner_is_never_the_owner() {
    let roots = shelf("VersionedCollection/v");
    let heads = [Digest::of(b"a"), Digest::of(b"b")];
    let mut draft = Draft::root(roots, tag("t"), &heads, 5);
    draft.claimed = Some(Claimed::Group(key(2).tag()));
    let list = sign(draft.clone());
    assert_eq!(list.header().owner, key(1).tag());
    assert_eq!(list.claimed(), Some(Claimed::Group(key(2).tag())));
    assert_eq!(list.heads(), heads);
    // Lists and states only.
    draft.shelf = shelf("MutableCollection/m");
    assert_eq!(draft.sign(&key(1)).unwrap_err(), ParseError::Key);
}

#[test]
fn a_root_is_a_list_of_distinct_states() {
    let one = h(b"a");
    let kid = key(1).tag();
    for (payload, good) in [
        (format!(r#"["{one}"]"#), true),
        ("[]".to_owned(), false),
        (format!(r#"["{one}","{one}"]"#), false),
        (r#"["t"]"#.to_owned(), false),
        (format!(r#"[["{one}"]]"#), false),
        (format!(r#"{{"a":"{one}"}}"#), false),
        ("no JSON".to_owned(), false),
    ] {
        let sub = h(payload.as_bytes());
        let header = format!(
            r#"{{"alg":"EdDSA","iss":"","iat":5,"sub":"{sub}","encryption":"","kid":"{kid}","cty":"json"}}"#
        );
        let text = compact(1, header.as_bytes(), payload.as_bytes());
        let read = read(&text, "VersionedCollection/v", Some("t"));
        assert_eq!(read.is_ok(), good, "{payload}: {read:?}");
    }
}

/// No text is a record of both profiles, in any collection.
#[test]
fn neither_profile_reads_the_others() {
    let own = key(1).tag();
    for place in SHELVES {
        let draft = Draft::text(shelf(place), tag("t"), "x", 5);
        let drafts = [
            draft.clone().sign(&key(1)),
            draft.sign_for(&key(1), &key(2)),
        ];
        for record in drafts.into_iter().flatten() {
            assert!(
                record::Signed::parse(record.text().clone()).is_err(),
                "{place}"
            );
        }
        let id = shelf(place).collection().clone();
        let native = record::Draft::text(id, tag("t"), "x", 5);
        for record in [
            native.clone().sign(&key(1)),
            native.sign_for(&key(1), &key(2)),
        ] {
            let record = record.unwrap();
            for place in SHELVES {
                for under in ["t", &h(b"x"), &own.to_string()] {
                    let text = String::from_utf8(record.text().to_vec()).unwrap();
                    assert!(read(&text, place, Some(under)).is_err(), "{place}");
                }
            }
        }
    }
}

/// Whatever one byte becomes, the record is another one or none.
#[test]
fn no_single_byte_can_be_changed() {
    let draft = Draft::text(shelf("MutableCollection/n"), tag("t"), "some text", 5);
    let texts = [
        draft.clone().sign(&key(1)),
        draft.sign_for(&key(1), &key(2)),
    ];
    for text in texts.map(|record| record.unwrap().text().to_vec()) {
        for at in 0..text.len() {
            for bit in [1, 0x20, 0x80] {
                let mut bytes = text.clone();
                bytes[at] ^= bit;
                let read = Signed::parse(bytes, &shelf("MutableCollection/n"), Some(&tag("t")));
                let passes = read.is_ok_and(|signed| signed.verify().is_ok());
                assert!(!passes, "byte {at}, bit {bit}");
            }
        }
    }
}

const SHELVES: [&str; 5] = [
    "ImmutableCollection/n",
    "MutableCollection/n",
    "VersionedCollection/n",
    "StateCollection/n",
    "MutableCollection/Team",
];

/// Members of a header, most of them sensible.
fn some_header() -> impl Strategy<Value = String> {
    let (one, two) = (key(1).tag(), key(2).tag());
    let (x, nothing) = (h(b"x"), h(b""));
    let value = prop::sample::select(vec![
        format!(r#""{one}""#),
        format!(r#""{two}""#),
        format!(r#""{x}""#),
        format!(r#""{nothing}""#),
        r#""EdDSA""#.to_owned(),
        r#""""#.to_owned(),
        r#""t""#.to_owned(),
        r#""json""#.to_owned(),
        r#""text/plain""#.to_owned(),
        r#""text/encrypted""#.to_owned(),
        "null".to_owned(),
        "5".to_owned(),
        "[]".to_owned(),
    ]);
    let names = [
        "iss",
        "act",
        "sub",
        "cty",
        "encryption",
        "ant",
        "group",
        "individual",
        "tag",
    ];
    let member = (prop::sample::select(names.to_vec()), value);
    prop::collection::vec(member, 0..5).prop_map(move |members| {
        let written = |names: &[&str]| -> String {
            let of_these = members.iter().filter(|(name, _)| names.contains(name));
            of_these
                .map(|(name, value)| format!(r#","{name}":{value}"#))
                .collect()
        };
        let (before, after) = (written(&names[..2]), written(&names[2..]));
        format!(r#"{{"alg":"EdDSA"{before},"iat":5{after},"kid":"{one}","cty":"text/plain"}}"#)
    })
}

proptest! {
    #[test]
    fn whatever_the_bytes_nothing_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        shelf_of in 0..SHELVES.len(),
    ) {
        let place = shelf(SHELVES[shelf_of]);
        for under in [None, Some(tag("t"))] {
            prop_assert!(Signed::parse(bytes.clone(), &place, under.as_ref()).is_err());
        }
    }

    /// What is taken is signed by its owner alone, is kept as it came, and reads the same again.
    #[test]
    fn whatever_the_header_an_accepted_record_is_its_signers(
        header in some_header(),
        payload in prop::sample::select(vec![&b""[..], b"x", b"[]"]),
        shelf_of in 0..SHELVES.len(),
    ) {
        let place = shelf(SHELVES[shelf_of]);
        let text = compact(1, header.as_bytes(), payload);
        for under in [None, Some(tag("t")), Some(key(1).tag().tag())] {
            let Ok(signed) = Signed::parse(text.clone(), &place, under.as_ref()) else {
                continue;
            };
            let record = signed.verify().unwrap();
            prop_assert_eq!(record.header().owner, key(1).tag());
            prop_assert_eq!(&record.text()[..], text.as_bytes());
            prop_assert_eq!(record.is_tombstone(), payload.is_empty());
            let stands = record.state().map_or(record.header().tag.clone(), |state| state.tag());
            if let Some(under) = &under {
                prop_assert_eq!(under, &stands);
            }
            let again = Signed::parse(text.clone(), &place, Some(&stands)).unwrap();
            prop_assert_eq!(again.digest(), record.digest());
            prop_assert!(record::Signed::parse(text.clone()).is_err());
        }
    }
}
