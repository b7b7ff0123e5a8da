//! Sealing and opening: round trips, the frozen form, tampering, limits, properties.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use std::collections::HashSet;

use flexstore::seal::{
    Audience, BindingMember, EncryptionKey, EncryptionSecret, KeyError, Kid, MAX_AUDIENCES,
    MAX_CONTENT_BYTES, MAX_HEADER_BYTES, MAX_JWE_BYTES, Malformed, OpenError, SealError, open,
    open_properties, seal, seal_properties,
};
use flexstore_core::{Digest, KeyTag, decode_base64url};
use josekit::jwe::{ECDH_ES_A256KW, deserialize_compact, deserialize_json};
use josekit::jwk::Jwk;
use seal_support::*;
use serde_json::{Value, json};

#[test]
fn the_compact_form_is_frozen() {
    let mut binding = binding();
    binding.prop = Some("price".into());
    let jwe = seal(b"hello", Some("text/plain"), &binding, &[audience(1)]).unwrap();
    let header = header_of(&jwe);
    let names: Vec<_> = header.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "alg", "enc", "epk", "iss", "act", "col", "tag", "prop", "commit", "pad", "cty", "kid"
        ]
    );
    let epk: Vec<_> = header["epk"].as_object().unwrap().keys().collect();
    assert_eq!(epk, ["kty", "crv", "x"]);
    assert_eq!(header["kid"], kid(1).to_string());
    let lens: Vec<_> = jwe
        .split('.')
        .skip(1)
        .map(|part| decode_base64url(part.as_bytes()).unwrap().len())
        .collect();
    assert_eq!(lens, [40, 12, 32, 16]);
}

#[test]
fn the_general_form_is_frozen() {
    let mut binding = binding();
    binding.tag = None;
    let record = Some(Digest::of(b"team record"));
    let team = Audience {
        kid: Kid { record, ..kid(2) },
        ..audience(2)
    };
    let jwe = seal(b"hello", None, &binding, &[team, audience(1)]).unwrap();
    assert!(!jwe.contains(char::is_whitespace));
    let whole: Value = serde_json::from_str(&jwe).unwrap();
    let names: Vec<_> = whole.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["protected", "recipients", "iv", "ciphertext", "tag"]
    );
    let protected = whole["protected"].as_str().unwrap();
    let header = header_of(protected);
    let names: Vec<_> = header.keys().map(String::as_str).collect();
    assert_eq!(names, ["enc", "iss", "act", "col", "commit", "to", "pad"]);
    let recipients = whole["recipients"].as_array().unwrap();
    let names: Vec<_> = recipients[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["header", "encrypted_key"]);
    let names: Vec<_> = recipients[0]["header"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(names, ["alg", "epk", "kid"]);
    assert_eq!(recipients[0]["header"]["kid"], kid(1).to_string());
    assert_eq!(recipients[1]["header"]["kid"], team.kid.to_string());
    // The digest of the recipients, made again from the text by the rule in the documentation.
    let mut bytes = b"flexstore/recipients".to_vec();
    for recipient in recipients {
        let kid = recipient["header"]["kid"].as_str().unwrap();
        bytes.push(u8::try_from(kid.len()).unwrap());
        bytes.extend_from_slice(kid.as_bytes());
        for part in [
            &recipient["header"]["epk"]["x"],
            &recipient["encrypted_key"],
        ] {
            bytes.extend(decode_base64url(part.as_str().unwrap().as_bytes()).unwrap());
        }
    }
    assert_eq!(header["to"], Digest::of(&bytes).to_string());
}

#[test]
fn josekit_alone_opens_what_we_seal() {
    let decrypter = |n: u8| {
        let jwk = Jwk::from_bytes(secret(n).to_jwk().as_bytes()).unwrap();
        ECDH_ES_A256KW.decrypter_from_jwk(&jwk).unwrap()
    };
    let compact = seal(b"hello", None, &binding(), &[audience(1)]).unwrap();
    let (plain, _) = deserialize_compact(&compact, &decrypter(1)).unwrap();
    assert_eq!(plain, padded(b"hello"));
    let general = seal(b"hello", None, &binding(), &[audience(1), audience(2)]).unwrap();
    let (plain, _) = deserialize_json(&general, &decrypter(1)).unwrap();
    assert_eq!(plain, padded(b"hello"));
}

#[test]
fn we_open_what_josekit_alone_makes() {
    assert_eq!(
        *open_as(1, &crafted(json!({}))).unwrap().content,
        b"crafted"
    );
    let text = crafted_text(&proper_header_text());
    assert_eq!(*open_as(1, &text).unwrap().content, b"crafted");
}

#[test]
fn each_of_an_audience_opens_and_nobody_else() {
    let to: Vec<_> = [3, 1, 2].map(audience).into();
    let jwe = seal(b"for three", Some("x"), &binding(), &to).unwrap();
    for n in 1..=3 {
        let opened = open_as(n, &jwe).unwrap();
        assert_eq!(*opened.content, b"for three");
        assert_eq!(opened.cty.as_deref(), Some("x"));
        assert_eq!(opened.audience, [1, 2, 3].map(kid));
    }
    assert_eq!(open_as(4, &jwe).unwrap_err(), OpenError::NotForUs);
    let wrong = secret(4);
    let opened = open(&jwe, &binding(), &|_| Some(&wrong));
    assert_eq!(opened.unwrap_err(), OpenError::Failed);
}

#[test]
fn every_member_of_the_binding_is_checked() {
    let sealed = binding();
    let mut with_prop = binding();
    with_prop.prop = Some("a".into());
    let own = secret(1);
    for to in [vec![audience(1)], vec![audience(1), audience(2)]] {
        let jwe = seal(b"x", None, &sealed, &to).unwrap();
        let prop = seal(b"x", None, &with_prop, &to).unwrap();
        let cases = [
            (&jwe, BindingMember::Owner, 0),
            (&jwe, BindingMember::Author, 1),
            (&jwe, BindingMember::Collection, 2),
            (&jwe, BindingMember::Tag, 3),
            (&jwe, BindingMember::Tag, 4),
            (&jwe, BindingMember::Property, 5),
            (&prop, BindingMember::Property, 6),
        ];
        for (text, member, change) in cases {
            let mut expected = sealed.clone();
            match change {
                0 => expected.owner = tag(9),
                1 => expected.author = tag(9),
                2 => expected.col.push('x'),
                3 => expected.tag = None,
                4 => expected.tag = Some("other".into()),
                5 => expected.prop = Some("a".into()),
                _ => {}
            }
            let opened = open(text, &expected, &|_| Some(&own));
            assert_eq!(opened.unwrap_err(), OpenError::Binding(member));
        }
    }
}

#[test]
fn the_order_of_members_is_free_but_nothing_else() {
    let header = proper_header_text();
    let reversed: String = {
        let mut map: Vec<_> = serde_json::from_str::<serde_json::Map<String, Value>>(
            &header.replace("EPK", "\"EPK\""),
        )
        .unwrap()
        .into_iter()
        .collect();
        map.reverse();
        let map: serde_json::Map<_, _> = map.into_iter().collect();
        Value::Object(map).to_string().replace("\"EPK\"", "EPK")
    };
    assert!(open_as(1, &crafted_text(&reversed)).is_ok());
    let malformed =
        |from: &str, to: &str| match open_as(1, &crafted_text(&header.replacen(from, to, 1))) {
            Err(OpenError::Malformed(why)) => why,
            other => panic!("{from} -> {to}: {other:?}"),
        };
    for twice in [
        r#"{"alg":"ECDH-ES+A256KW","#,
        r#"{"\u0061lg":"ECDH-ES+A256KW","#,
        r#"{"zip":"DEF","zip":"DEF","#,
    ] {
        assert_eq!(malformed("{", twice), Malformed::DuplicateMember);
    }
    let epk = json!({"kty": "OKP", "crv": "X25519", "x": secret(2).public().to_string()});
    let twice = epk
        .to_string()
        .replace(r#""kty":"#, r#""kty":"OKP","kty":"#);
    assert_eq!(malformed("EPK", &twice), Malformed::DuplicateMember);
    let private = epk.to_string().replace('}', r#","d":"AA"}"#);
    assert_eq!(malformed("EPK", &private), Malformed::UnknownMember);
}

#[test]
fn limits_of_the_audience() {
    assert_eq!(
        seal(b"x", None, &binding(), &[]),
        Err(SealError::NoAudience)
    );
    assert_eq!(
        seal(b"x", None, &binding(), &[audience(1), audience(1)]),
        Err(SealError::DuplicateAudience)
    );
    let record = Some(Digest::of(b""));
    let same_tag = Audience {
        kid: Kid { record, ..kid(1) },
        ..audience(2)
    };
    assert_eq!(
        seal(b"x", None, &binding(), &[audience(1), same_tag]),
        Err(SealError::DuplicateAudience)
    );
    // The most, with the longest kids and the longest content, stays within the reader's limit.
    let mut most: Vec<_> = (0..=MAX_AUDIENCES)
        .map(|n| {
            let digest = Digest::of(&n.to_le_bytes());
            Audience {
                kid: Kid {
                    tag: KeyTag::from_bytes(*digest.as_bytes()),
                    record,
                },
                ..audience(1)
            }
        })
        .collect();
    assert_eq!(
        seal(b"x", None, &binding(), &most),
        Err(SealError::TooManyAudiences)
    );
    most.pop();
    let content = vec![1; MAX_CONTENT_BYTES];
    let jwe = seal(&content, None, &binding(), &most).unwrap();
    assert!(jwe.len() <= MAX_JWE_BYTES, "{}", jwe.len());
    let own = secret(1);
    let last = most.last().unwrap().kid;
    let opened = open(&jwe, &binding(), &|kid| (*kid == last).then_some(&own)).unwrap();
    assert_eq!(*opened.content, content);
    assert_eq!(opened.audience.len(), MAX_AUDIENCES);
    // One more recipient in the text.
    let entry = jwe.find(r#"{"header""#).unwrap();
    let comma = jwe[entry..].find("},{").unwrap() + entry + 2;
    let more = format!("{}{}", &jwe[..comma], &jwe[entry..]);
    assert_eq!(
        open_as(1, &more).unwrap_err(),
        Malformed::TooManyRecipients.into()
    );
}

#[test]
fn limits_of_lengths() {
    let own = secret(1);
    for len in [0, 1, 31, 32, MAX_CONTENT_BYTES] {
        let content = vec![7; len];
        let jwe = seal(&content, None, &binding(), &[audience(1)]).unwrap();
        assert_eq!(*open_as(1, &jwe).unwrap().content, content);
    }
    assert_eq!(
        seal(
            &vec![7; MAX_CONTENT_BYTES + 1],
            None,
            &binding(),
            &[audience(1)]
        ),
        Err(SealError::TooLong)
    );
    let fits = (0..MAX_HEADER_BYTES)
        .rev()
        .find(|len| seal(b"", Some(&"c".repeat(*len)), &binding(), &[audience(1)]).is_ok())
        .unwrap();
    let longest = "c".repeat(fits);
    let jwe = seal(b"", Some(&longest), &binding(), &[audience(1)]).unwrap();
    assert_eq!(open_as(1, &jwe).unwrap().cty, Some(longest));
    assert_eq!(
        seal(b"", Some(&"c".repeat(fits + 1)), &binding(), &[audience(1)]),
        Err(SealError::HeaderTooLong)
    );
    let long = crafted(json!({"cty": "c".repeat(MAX_HEADER_BYTES)}));
    assert_eq!(
        open_as(1, &long).unwrap_err(),
        Malformed::HeaderTooLong.into()
    );
    let filler = "A".repeat(MAX_JWE_BYTES);
    for (text, why) in [
        (&filler[..], Malformed::Shape),
        (&format!("{filler}A"), Malformed::TooLong),
    ] {
        assert_eq!(
            open(text, &binding(), &|_| Some(&own)).unwrap_err(),
            why.into()
        );
    }
}

#[test]
fn only_ascending_distinct_recipients_of_at_least_two() {
    let jwe = seal(b"x", None, &binding(), &[audience(1), audience(2)]).unwrap();
    let whole: Value = serde_json::from_str(&jwe).unwrap();
    let list = whole["recipients"].as_array().unwrap();
    for (recipients, why) in [
        (vec![], Malformed::Shape),
        (vec![&list[0]], Malformed::Order),
        (vec![&list[1], &list[0]], Malformed::Order),
        (vec![&list[0], &list[0]], Malformed::Order),
    ] {
        let mut other = whole.clone();
        other["recipients"] = json!(recipients);
        assert_eq!(open_as(1, &other.to_string()).unwrap_err(), why.into());
    }
}

#[test]
fn the_other_recipients_are_authenticated_too() {
    let jwe = seal(b"x", None, &binding(), &[1, 2, 3].map(audience)).unwrap();
    let whole: Value = serde_json::from_str(&jwe).unwrap();
    let mut dropped = whole.clone();
    dropped["recipients"].as_array_mut().unwrap().pop();
    let mut renamed = whole.clone();
    renamed["recipients"][2]["header"]["kid"] = kid(4).to_string().into();
    for other in [dropped, renamed] {
        assert_eq!(
            open_as(1, &other.to_string()).unwrap_err(),
            OpenError::Failed
        );
    }
}

#[test]
fn padding_that_we_do_not_make_is_refused() {
    let mut long = padded(b"x");
    long.extend([0; 32]);
    for plaintext in [&b"x"[..], b"x\x80", &[0; 32], &long] {
        let jwe = crafted_with(json!({}), plaintext);
        assert_eq!(open_as(1, &jwe).unwrap_err(), OpenError::Failed);
    }
}

#[test]
fn properties_are_sealed_one_by_one() {
    let plain = json!({"name": "Ann", "age": 41, "address": {"city": "Paris"}, "note": null});
    let mut object = plain.as_object().unwrap().clone();
    seal_properties(&mut object, &["age", "note"], &binding(), &[audience(1)]).unwrap();
    seal_properties(&mut object, &["address"], &binding(), &[audience(2)]).unwrap();
    assert_eq!(object["name"], "Ann");
    assert!(object["age"]["$sealed"].is_string());
    let own = secret(1);
    let as_one = |kid_: &Kid| (*kid_ == kid(1)).then_some(&own);

    // Two properties exchanged do not open, and the object stays as it is.
    let mut swapped = object.clone();
    swapped.insert("age".into(), object["note"].clone());
    swapped.insert("note".into(), object["age"].clone());
    let before = swapped.clone();
    assert_eq!(
        open_properties(&mut swapped, &binding(), &as_one),
        Err(OpenError::Binding(BindingMember::Property))
    );
    assert_eq!(swapped, before);

    let closed = open_properties(&mut object, &binding(), &as_one).unwrap();
    assert_eq!(closed, ["address"]);
    assert_eq!(object["age"], 41);
    assert_eq!(object["note"], Value::Null);
    let other = secret(2);
    let closed = open_properties(&mut object, &binding(), &|_| Some(&other)).unwrap();
    assert!(closed.is_empty());
    assert_eq!(Value::Object(object), plain);
}

#[test]
fn properties_that_cannot_be_sealed() {
    let mut object = json!({"a": 1, "b": {"$sealed": "x", "more": 1}});
    let object = object.as_object_mut().unwrap();
    let before = object.clone();
    for (names, error) in [
        (&["a", "c"][..], SealError::NoProperty("c".into())),
        (&["a", "b"], SealError::AlreadySealed("b".into())),
        (&["a", "a"], SealError::AlreadySealed("a".into())),
    ] {
        let sealed = seal_properties(object, names, &binding(), &[audience(1)]);
        assert_eq!(sealed, Err(error));
        assert_eq!(*object, before);
    }
    assert_eq!(
        open_properties(object, &binding(), &|_| None),
        Err(Malformed::MemberType.into())
    );
}

#[test]
fn keys_as_jwk() {
    let own = secret(5);
    let public = own.public();
    assert_eq!(EncryptionKey::from_jwk(&public.to_jwk()), Ok(public));
    let again = EncryptionSecret::from_jwk(&own.to_jwk()).unwrap();
    assert_eq!(again.public(), public);
    let x = public.to_string();
    let cases = [
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "kid": "k", "use": "enc"}),
            None,
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "use": "sig"}),
            Some(KeyError::Kind),
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
            Some(KeyError::Kind),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "alg": "ECDH-ES"}),
            Some(KeyError::Kind),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "d": x}),
            Some(KeyError::Jwk),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": &x[1..]}),
            Some(KeyError::Length),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": KeyTag::from_bytes([0; 32]).to_string()}),
            Some(KeyError::Point),
        ),
    ];
    for (jwk, error) in cases {
        assert_eq!(
            EncryptionKey::from_jwk(&jwk.to_string()).err(),
            error,
            "{jwk}"
        );
    }
    let strange =
        json!({"kty": "OKP", "crv": "X25519", "x": secret(6).public().to_string(), "d": x});
    assert_eq!(
        EncryptionSecret::from_jwk(&strange.to_string()).unwrap_err(),
        KeyError::Mismatch
    );
    assert_eq!(
        EncryptionKey::from_jwk(r#"{"kty":"OKP","kty":"OKP"}"#),
        Err(KeyError::Jwk)
    );
}

#[test]
fn small_order_and_unreduced_points_are_refused() {
    let mut p_plus_nine = [0xff; 32];
    p_plus_nine[0] = 0xf6;
    p_plus_nine[31] = 0x7f;
    let mut nine_with_top_bit = [0; 32];
    nine_with_top_bit[0] = 9;
    nine_with_top_bit[31] = 0x80;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let mut one = [0; 32];
    one[0] = 1;
    for point in [[0; 32], one, minus_one, p_plus_nine, nine_with_top_bit] {
        assert_eq!(EncryptionKey::from_bytes(point), Err(KeyError::Point));
    }
    // As ephemeral key: unreduced by form, small order when the keys are agreed.
    let epk = |bytes: [u8; 32]| {
        let x = KeyTag::from_bytes(bytes).to_string();
        let epk = json!({"kty": "OKP", "crv": "X25519", "x": x}).to_string();
        crafted_text(&proper_header_text().replace("EPK", &epk))
    };
    for point in [p_plus_nine, nine_with_top_bit] {
        assert_eq!(
            open_as(1, &epk(point)).unwrap_err(),
            Malformed::EphemeralKey.into()
        );
    }
    for point in [[0; 32], one, minus_one] {
        assert_eq!(open_as(1, &epk(point)).unwrap_err(), OpenError::Failed);
    }
}

#[test]
fn equal_contents_differ_sealed() {
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let jwe = seal(b"same", None, &binding(), &[audience(1)]).unwrap();
        for part in jwe.split('.') {
            assert!(seen.insert(part.to_owned()), "nothing occurs twice");
        }
    }
}
