//! Sealing and opening: round trips, the frozen form, tampering.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use std::collections::HashSet;

use flexstore::seal::{Audience, BindingMember, Kid, Malformed, OpenError, open, seal};
use flexstore_core::{Digest, decode_base64url};
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

/// Sealed by the first version of this format: to secret 1, and to secrets 1 and 2.
#[test]
fn what_was_sealed_once_opens_for_ever() {
    let golden: Value = serde_json::from_str(include_str!("seal_golden.json")).unwrap();
    for (form, readers) in [("compact", 1), ("general", 2)] {
        for n in 1..=readers {
            let opened = open_as(n, golden[form].as_str().unwrap()).unwrap();
            assert_eq!(*opened.content, b"golden");
            assert_eq!(opened.cty.as_deref(), Some("text/plain"));
        }
    }
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
fn every_header_is_exact_in_both_forms() {
    let none = json!({});
    assert!(open_as(2, &crafted_general(&none, &none)).is_ok());
    let why = |jwe: &str| open_as(2, jwe).unwrap_err();
    let cases = [
        (
            json!({"more": 1}),
            OpenError::from(Malformed::UnknownMember),
        ),
        (json!({"zip": "DEF"}), Malformed::UnknownMember.into()),
        (json!({"pad": "none"}), OpenError::Algorithm),
        (json!({"pad": null}), Malformed::MissingMember.into()),
        (json!({"commit": null}), Malformed::MissingMember.into()),
        (json!({"commit": "AAAA"}), Malformed::MemberType.into()),
        (json!({"iss": null}), Malformed::MissingMember.into()),
        (json!({"act": 1}), Malformed::MemberType.into()),
        (json!({"cty": []}), Malformed::MemberType.into()),
        (json!({"tag": null}), OpenError::Binding(BindingMember::Tag)),
    ];
    for (more, error) in cases {
        assert_eq!(why(&crafted_general(&more, &none)), error, "{more}");
        let compact = crafted_text(&compact_header(&more));
        assert_eq!(open_as(1, &compact).unwrap_err(), error, "{more}");
    }
    let misplaced = [
        (json!({"alg": "ECDH-ES+A256KW"}), none.clone()),
        (json!({"kid": kid(2).to_string()}), none.clone()),
        (none.clone(), json!({"enc": "A256GCM"})),
        (none.clone(), json!({"to": "AAAA"})),
    ];
    for (protected, recipient) in misplaced {
        let jwe = crafted_general(&protected, &recipient);
        assert_eq!(why(&jwe), Malformed::UnknownMember.into());
    }
    for (member, error) in [
        (json!({"kid": null}), Malformed::MissingMember),
        (json!({"kid": "../../etc/passwd"}), Malformed::MemberType),
        (json!({"kid": 7}), Malformed::MemberType),
        (json!({"epk": null}), Malformed::MissingMember),
        (json!({"epk": "x"}), Malformed::MemberType),
        (json!({"alg": null}), Malformed::MissingMember),
    ] {
        assert_eq!(
            why(&crafted_general(&none, &member)),
            error.into(),
            "{member}"
        );
    }
    let to = json!({"to": Digest::of(b"others").to_string()});
    assert_eq!(why(&crafted_general(&to, &none)), OpenError::Failed);
    assert_eq!(
        why(&crafted_text(&proper_header_text().replacen(
            '{',
            r#"{"to":"AAAA","#,
            1
        ))),
        Malformed::UnknownMember.into()
    );
}

/// The text of a proper compact header with more members.
fn compact_header(more: &Value) -> String {
    let mut header: serde_json::Map<String, Value> =
        serde_json::from_str(&proper_header_text().replace("EPK", "\"EPK\"")).unwrap();
    merge(&mut header, more);
    Value::Object(header).to_string().replace("\"EPK\"", "EPK")
}

#[test]
fn base64url_is_canonical_everywhere() {
    let jwe = seal(b"hello", None, &binding(), &[audience(1)]).unwrap();
    for index in 0..5 {
        let part = jwe.split('.').nth(index).unwrap();
        for loose in [
            format!("{part}="),
            format!("{part}=="),
            format!(" {part}"),
            format!("{part}\n"),
            part.replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1),
            part.replacen(|c: char| c.is_ascii_alphanumeric(), "/", 1),
        ] {
            let opened = open_as(1, &with_part(&jwe, index, &loose));
            assert_eq!(opened.unwrap_err(), Malformed::Base64.into(), "{index}");
        }
    }
    // 40 and 16 bytes leave unused bits in the last character, and so do the 32 of the plaintext.
    for index in [1, 3, 4] {
        let part = jwe.split('.').nth(index).unwrap();
        let last = part.chars().last().unwrap();
        let loose = char::from(last as u8 + 1); // canonical last characters lie apart
        let text = format!("{}{loose}", &part[..part.len() - 1]);
        let opened = open_as(1, &with_part(&jwe, index, &text));
        assert_eq!(opened.unwrap_err(), Malformed::Base64.into(), "{index}");
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
fn equal_contents_differ_sealed() {
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let jwe = seal(b"same", None, &binding(), &[audience(1)]).unwrap();
        for part in jwe.split('.') {
            assert!(seen.insert(part.to_owned()), "nothing occurs twice");
        }
    }
}
