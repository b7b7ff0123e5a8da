//! The JavaScript dialect's JWE.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use std::sync::LazyLock;

use flexstore::seal::{KeyError, MAX_CONTENT_BYTES, Malformed, OpenError, SealError, js, open};
use flexstore_core::{decode_base64url, encode_base64url};
use josekit::jwe::{JweEncrypter as _, JweHeader, RSA_OAEP_256};
use josekit::jwk::alg::rsa::RsaKeyPair;
use seal_support::*;
use serde_json::{Value, json};

static PAIRS: LazyLock<[RsaKeyPair; 2]> =
    LazyLock::new(|| [0; 2].map(|_| RSA_OAEP_256.generate_key_pair(2048).unwrap()));

fn rsa_secret(n: usize) -> js::RsaSecret {
    js::RsaSecret::from_jwk(&PAIRS[n].to_jwk_private_key().to_string()).unwrap()
}

fn rsa_audience(n: usize) -> js::Audience {
    js::Audience {
        kid: format!("member {n}"),
        key: js::RsaKey::from_jwk(&PAIRS[n].to_jwk_public_key().to_string()).unwrap(),
    }
}

fn js_open_as(n: usize, jwe: &str) -> Result<js::Opened, OpenError> {
    let own = rsa_secret(n);
    let name = format!("member {n}");
    js::open(jwe, &|kid| (kid == Some(&name)).then_some(&own))
}

#[test]
fn both_forms_round_trip() {
    for content in [&b""[..], b"x", &[7; 5000]] {
        let one = js::seal(content, Some("text/plain"), &[rsa_audience(0)]).unwrap();
        let names: Vec<_> = header_of(&one).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["alg", "enc", "kid", "cty"]);
        assert_eq!(*js_open_as(0, &one).unwrap().content, content);
        assert_eq!(js_open_as(1, &one).unwrap_err(), OpenError::NotForUs);
        let two = js::seal(content, None, &[rsa_audience(1), rsa_audience(0)]).unwrap();
        for n in 0..2 {
            let opened = js_open_as(n, &two).unwrap();
            assert_eq!(*opened.content, content);
            assert_eq!(opened.audience, ["member 1", "member 0"]);
        }
        let stranger = rsa_secret(1);
        assert_eq!(
            js::open(&one, &|_| Some(&stranger)).unwrap_err(),
            OpenError::Failed
        );
    }
}

#[test]
fn neither_profile_opens_the_others() {
    let rsa = js::seal(b"x", None, &[rsa_audience(0)]).unwrap();
    let rsa_general = js::seal(b"x", None, &[rsa_audience(0), rsa_audience(1)]).unwrap();
    let own = secret(1);
    for text in [&rsa, &rsa_general] {
        assert!(matches!(
            open(text, &binding(), &|_| Some(&own)),
            Err(OpenError::Malformed(_) | OpenError::Algorithm)
        ));
    }
    // An RSA recipient with all the rest of the native header.
    let mut header = shared_members(&[42; 32]);
    header.insert("alg".into(), "RSA-OAEP-256".into());
    header.insert("kid".into(), kid(1).to_string().into());
    let text = crafted_text(&Value::Object(header).to_string());
    assert_eq!(open_as(1, &text).unwrap_err(), OpenError::Algorithm);
    // A content under X25519 in the JavaScript form: no binding, no commitment.
    let bare =
        json!({"iss": null, "act": null, "col": null, "tag": null, "commit": null, "pad": null});
    assert_eq!(
        open_as(1, &crafted(bare)).unwrap_err(),
        Malformed::MissingMember.into()
    );
    let rsa_own = rsa_secret(0);
    for to in [vec![audience(1)], vec![audience(1), audience(2)]] {
        let native = flexstore::seal::seal(b"x", None, &binding(), &to).unwrap();
        assert!(js::open(&native, &|_| Some(&rsa_own)).is_err());
    }
}

#[test]
fn no_single_byte_can_be_changed_in_the_compact_form() {
    let jwe = js::seal(b"content", None, &[rsa_audience(0)]).unwrap();
    let own = rsa_secret(0);
    for at in 0..jwe.len() {
        let mut bytes = jwe.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        assert!(js::open(&text, &|_| Some(&own)).is_err(), "byte {at}");
    }
}

#[test]
fn every_cryptographic_failure_is_one_error() {
    let jwe = js::seal(b"content", None, &[rsa_audience(0)]).unwrap();
    let own = rsa_secret(0);
    let key = decode_base64url(jwe.split('.').nth(1).unwrap().as_bytes()).unwrap();
    for len in [0, 1, 255, 257, 512] {
        let text = with_part(&jwe, 1, &encode_base64url(&vec![1; len]));
        assert_eq!(
            js::open(&text, &|_| Some(&own)).unwrap_err(),
            Malformed::Length.into()
        );
    }
    let mut altered = key.clone();
    altered[100] ^= 1;
    // A content key of 16 bytes, properly wrapped.
    let encrypted_short = rsa_wrap(&[1; 16]);
    for key in [vec![0; 256], vec![0xff; 256], altered, encrypted_short] {
        let text = with_part(&jwe, 1, &encode_base64url(&key));
        assert_eq!(
            js::open(&text, &|_| Some(&own)).unwrap_err(),
            OpenError::Failed
        );
    }
}

#[test]
fn limits() {
    assert_eq!(js::seal(b"", None, &[]), Err(SealError::NoAudience));
    let twice = [rsa_audience(0), rsa_audience(0)];
    assert_eq!(
        js::seal(b"", None, &twice),
        Err(SealError::DuplicateAudience)
    );
    let long = vec![0; MAX_CONTENT_BYTES + 1];
    assert_eq!(js::seal(&long, None, &twice[..1]), Err(SealError::TooLong));
    let most = js::seal(&long[1..], None, &twice[..1]).unwrap();
    assert_eq!(
        js_open_as(0, &most).unwrap().content.len(),
        MAX_CONTENT_BYTES
    );
    for (len, fits) in [(0, false), (1, true), (256, true), (257, false)] {
        let to = js::Audience {
            kid: "k".repeat(len),
            ..rsa_audience(0)
        };
        assert_eq!(js::seal(b"", None, &[to]).is_ok(), fits);
    }
}

#[test]
fn rsa_keys_out_of_bounds() {
    let public: Value = serde_json::from_str(&PAIRS[0].to_jwk_public_key().to_string()).unwrap();
    let with = |name: &str, value: Value| {
        let mut jwk = public.clone();
        jwk[name] = value;
        js::RsaKey::from_jwk(&jwk.to_string()).err()
    };
    assert_eq!(with("use", "enc".into()), None);
    assert_eq!(with("e", "AQ".into()), Some(KeyError::Rsa));
    assert_eq!(with("e", "Aw".into()), Some(KeyError::Rsa));
    assert_eq!(
        with("n", encode_base64url(&[0x80; 128]).into()),
        Some(KeyError::Rsa)
    );
    assert_eq!(
        with("n", encode_base64url(&[0x80; 513]).into()),
        Some(KeyError::Rsa)
    );
    assert_eq!(with("n", "A".into()), Some(KeyError::Length));
    assert_eq!(with("alg", "RSA1_5".into()), Some(KeyError::Kind));
    assert_eq!(with("use", "sig".into()), Some(KeyError::Kind));
    assert_eq!(with("kty", "oct".into()), Some(KeyError::Kind));
    assert_eq!(with("d", "AQAB".into()), Some(KeyError::Jwk));
    assert!(js::RsaSecret::from_jwk(&public.to_string()).is_err());
    assert_eq!(format!("{:?}", rsa_secret(0)), "RsaSecret(..)");
}

#[test]
fn every_header_is_exact() {
    let cek = [42; 32];
    let own = rsa_secret(0);
    let key = rsa_wrap(&cek);
    let make = |protected: Value, second: Value| {
        let mut shared = json!({"enc": "A256GCM", "iat": 1_700_000_000_123_u64});
        merge(shared.as_object_mut().unwrap(), &protected);
        let mut recipients = ["a", "b"].map(|kid| json!({"alg": "RSA-OAEP-256", "kid": kid}));
        merge(recipients[1].as_object_mut().unwrap(), &second);
        let recipients: Vec<_> = recipients
            .iter()
            .map(|header| json!({"header": header, "encrypted_key": encode_base64url(&key)}))
            .collect();
        let jwe = general(&shared, &json!(recipients), &cek);
        js::open(&jwe, &|kid| (kid == Some("a")).then_some(&own))
    };
    let none = json!({});
    assert!(make(none.clone(), none.clone()).is_ok());
    let unknown = OpenError::from(Malformed::UnknownMember);
    let cases = [
        (
            json!({"iat": "yesterday"}),
            none.clone(),
            Malformed::MemberType.into(),
        ),
        (
            json!({"iat": -1}),
            none.clone(),
            Malformed::MemberType.into(),
        ),
        (
            json!({"enc": "A128GCM"}),
            none.clone(),
            OpenError::Algorithm,
        ),
        (
            json!({"enc": null}),
            none.clone(),
            Malformed::MissingMember.into(),
        ),
        (json!({"zip": "DEF"}), none.clone(), unknown),
        (json!({"crit": ["exp"]}), none.clone(), unknown),
        (json!({"kid": "a"}), none.clone(), unknown),
        (none.clone(), json!({"crit": ["exp"]}), unknown),
        (
            none.clone(),
            json!({"jku": "https://127.0.0.1:9/"}),
            unknown,
        ),
        (none.clone(), json!({"kid": "a"}), Malformed::Order.into()),
        (
            none.clone(),
            json!({"kid": ""}),
            Malformed::MemberType.into(),
        ),
        (
            none.clone(),
            json!({"kid": null}),
            Malformed::MissingMember.into(),
        ),
        (none.clone(), json!({"alg": "RSA1_5"}), OpenError::Algorithm),
        (
            none.clone(),
            json!({"alg": "RSA-OAEP"}),
            OpenError::Algorithm,
        ),
    ];
    for (protected, second, error) in cases {
        let label = format!("{protected} {second}");
        assert_eq!(make(protected, second).unwrap_err(), error, "{label}");
    }
}

/// A content key wrapped for member 0 by josekit.
fn rsa_wrap(cek: &[u8]) -> Vec<u8> {
    let encrypter = RSA_OAEP_256
        .encrypter_from_jwk(&PAIRS[0].to_jwk_public_key())
        .unwrap();
    let none = JweHeader::new();
    encrypter
        .encrypt(cek, &none, &mut none.clone())
        .unwrap()
        .unwrap()
}
