//! The eight holes of josekit 0.10.3: each first shown to be there, then to be stopped.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use std::time::{Duration, Instant};

use flexstore::seal::{Malformed, OpenError, js, open, seal};
use flexstore_core::{decode_base64url, encode_base64url};
use josekit::jwe::enc::A256GCM;
use josekit::jwe::{
    A256KW, ECDH_ES_A256KW, JweDecrypter as _, JweHeader, JweHeaderSet, PBES2_HS512_A256KW,
    deserialize_compact, deserialize_json, serialize_general_json,
};
use josekit::jwk::Jwk;
use josekit::jws::EdDSA;
use seal_support::*;
use serde_json::{Value, json};

fn josekit_decrypter(n: u8) -> josekit::jwe::alg::ecdh_es::EcdhEsJweDecrypter {
    let jwk = Jwk::from_bytes(secret(n).to_jwk().as_bytes()).unwrap();
    ECDH_ES_A256KW.decrypter_from_jwk(&jwk).unwrap()
}

fn one() -> String {
    seal(b"hello", None, &binding(), &[audience(1)]).unwrap()
}

fn two() -> Value {
    let jwe = seal(b"hello", None, &binding(), &[audience(1), audience(2)]).unwrap();
    serde_json::from_str(&jwe).unwrap()
}

#[test]
fn hole_1_truncated_tags() {
    let jwe = one();
    let tag = decode_base64url(jwe.rsplit('.').next().unwrap().as_bytes()).unwrap();
    let cut = |len: usize| with_part(&jwe, 4, &encode_base64url(&tag[..len]));
    assert!(
        deserialize_compact(&cut(1), &josekit_decrypter(1)).is_ok(),
        "josekit takes a tag of one byte"
    );
    for len in 0..16 {
        assert_eq!(open_as(1, &cut(len)).unwrap_err(), Malformed::Length.into());
        let mut general = two();
        general["tag"] = encode_base64url(&tag[..len]).into();
        assert_eq!(
            open_as(1, &general.to_string()).unwrap_err(),
            Malformed::Length.into()
        );
    }
    let long = encode_base64url(&[&tag[..], &[0]].concat());
    assert_eq!(
        open_as(1, &with_part(&jwe, 4, &long)).unwrap_err(),
        Malformed::Length.into()
    );
}

#[test]
fn hole_2_short_encrypted_keys() {
    let josekit = std::panic::catch_unwind(|| {
        let decrypter = A256KW.decrypter_from_bytes([1; 32]).unwrap();
        let _ = decrypter.decrypt(Some(&[1, 2, 3]), &A256GCM, &JweHeader::new());
    });
    assert!(josekit.is_err(), "josekit panics");
    let jwe = one();
    for len in (0..200).filter(|len| *len != 40) {
        let key = encode_base64url(&vec![1; len]);
        assert_eq!(
            open_as(1, &with_part(&jwe, 1, &key)).unwrap_err(),
            Malformed::Length.into()
        );
        let mut general = two();
        general["recipients"][0]["encrypted_key"] = key.into();
        assert_eq!(
            open_as(1, &general.to_string()).unwrap_err(),
            Malformed::Length.into()
        );
    }
}

#[test]
fn hole_3_crit_is_refused_wherever_it_stands() {
    let crits = [
        json!(["exp"]),
        json!([]),
        json!(["alg"]),
        json!(["exp", "exp"]),
        json!(["http://example.com/x"]),
        json!("exp"),
        json!(1),
    ];
    let unknown = OpenError::from(Malformed::UnknownMember);
    let jwe = crafted(json!({"crit": ["exp"], "exp": 1}));
    assert!(
        deserialize_compact(&jwe, &josekit_decrypter(1)).is_ok(),
        "josekit ignores an unknown crit"
    );
    assert_eq!(open_as(1, &jwe).unwrap_err(), unknown);
    for crit in crits {
        let text = format!(r#"{{"crit":{crit},"#);
        let header = proper_header_text().replacen('{', &text, 1);
        assert_eq!(open_as(1, &crafted_text(&header)).unwrap_err(), unknown);
        let mut general = two();
        general["recipients"][0]["header"]["crit"] = crit.clone();
        assert_eq!(open_as(1, &general.to_string()).unwrap_err(), unknown);
        let mut general = two();
        general["unprotected"] = json!({ "crit": crit });
        assert_eq!(open_as(1, &general.to_string()).unwrap_err(), unknown);
        let mut general = two();
        general["crit"] = crit;
        assert_eq!(open_as(1, &general.to_string()).unwrap_err(), unknown);
    }
}

#[test]
fn hole_4_alg_counts_only_where_it_belongs_and_only_ours() {
    let unknown = OpenError::from(Malformed::UnknownMember);
    let mut general = two();
    general["unprotected"] = json!({"alg": "dir"});
    assert_eq!(open_as(1, &general.to_string()).unwrap_err(), unknown);
    let mut general = two();
    let alg = general["recipients"][0]["header"]
        .as_object_mut()
        .unwrap()
        .shift_remove("alg");
    general["unprotected"] = json!({ "alg": alg });
    assert_eq!(open_as(1, &general.to_string()).unwrap_err(), unknown);
    for alg in [
        "none",
        "None",
        "dir",
        "A256KW",
        "ECDH-ES",
        "ECDH-ES+A128KW",
        "ecdh-es+a256kw",
        "ECDH-ES+A256KW ",
        " ECDH-ES+A256KW",
        "RSA-OAEP-256",
        "RSA-OAEP",
        "RSA1_5",
        "PBES2-HS512+A256KW",
        "A256GCMKW",
        "",
    ] {
        let header = proper_header_text().replacen("ECDH-ES+A256KW", alg, 1);
        assert_eq!(
            open_as(1, &crafted_text(&header)).unwrap_err(),
            OpenError::Algorithm,
            "{alg}"
        );
        let mut general = two();
        general["recipients"][1]["header"]["alg"] = alg.into();
        assert_eq!(
            open_as(1, &general.to_string()).unwrap_err(),
            OpenError::Algorithm
        );
    }
    for enc in ["A128GCM", "A256CBC-HS512", "a256gcm", ""] {
        let header = proper_header_text().replacen("A256GCM", enc, 1);
        assert_eq!(
            open_as(1, &crafted_text(&header)).unwrap_err(),
            OpenError::Algorithm
        );
    }
    for (name, value) in [
        ("zip", json!("DEF")),
        ("jwk", json!({"kty": "oct"})),
        ("jku", json!("https://127.0.0.1:9/keys")),
        ("x5u", json!("https://127.0.0.1:9/cert")),
        ("x5c", json!(["AAAA"])),
        ("apu", json!("AAAA")),
        ("apv", json!("AAAA")),
        ("typ", json!("JOSE")),
        ("b64", json!(false)),
    ] {
        let text = format!(r#"{{"{name}":{value},"#);
        let header = proper_header_text().replacen('{', &text, 1);
        assert_eq!(
            open_as(1, &crafted_text(&header)).unwrap_err(),
            unknown,
            "{name}"
        );
    }
}

#[test]
fn hole_5_empty_contents() {
    let key = Chosen::new(&secret(1).public(), [3; 32]);
    let mut header = JweHeaderSet::new();
    header.set_content_encryption("A256GCM", true);
    let empty = serialize_general_json(b"", Some(&header), &[(None, &key)], None).unwrap();
    assert!(
        deserialize_json(&empty, &josekit_decrypter(1)).is_err(),
        "josekit does not open what it made of nothing"
    );
    for to in [vec![audience(1)], vec![audience(1), audience(2)]] {
        let jwe = seal(b"", None, &binding(), &to).unwrap();
        assert!(open_as(1, &jwe).unwrap().content.is_empty());
    }
    // The js profile has no padding; its own tests open an empty content of the original.
    let jwk = RSA.to_jwk_key_pair().to_string();
    let own = js::RsaSecret::from_jwk(&jwk).unwrap();
    let public = js::RsaKey::from_jwk(&RSA.to_jwk_public_key().to_string()).unwrap();
    let to = ["a", "b"].map(|kid| js::Audience {
        kid: kid.into(),
        key: public.clone(),
    });
    for to in [&to[..1], &to[..]] {
        let jwe = js::seal(b"", Some("text/plain"), to).unwrap();
        let opened = js::open(&jwe, &|_| Some(&own)).unwrap();
        assert!(opened.content.is_empty());
        let tag_at = jwe.len() - if to.len() == 1 { 1 } else { 4 };
        let mut altered = jwe.into_bytes();
        altered[tag_at - 3] = if altered[tag_at - 3] == b'A' {
            b'B'
        } else {
            b'A'
        };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(
            js::open(&altered, &|_| Some(&own)).unwrap_err(),
            OpenError::Failed
        );
    }
}

static RSA: std::sync::LazyLock<josekit::jwk::alg::rsa::RsaKeyPair> =
    std::sync::LazyLock::new(|| josekit::jwe::RSA_OAEP_256.generate_key_pair(2048).unwrap());

#[test]
fn hole_6_every_recipient_can_open() {
    let jwe = seal(b"hello", None, &binding(), &[1, 2, 3].map(audience)).unwrap();
    assert!(deserialize_json(&jwe, &josekit_decrypter(1)).is_ok());
    for n in 2..=3 {
        assert!(
            deserialize_json(&jwe, &josekit_decrypter(n)).is_err(),
            "josekit tries the first alone"
        );
        assert_eq!(*open_as(n, &jwe).unwrap().content, b"hello");
    }
}

#[test]
fn hole_7_passwords_are_refused_at_once() {
    let header = json!({
        "alg": "PBES2-HS512+A256KW", "enc": "A256GCM",
        "p2s": "AAAAAAAAAAAAAAAAAAAAAA", "p2c": 1_000_000,
    });
    let key = encode_base64url(&[1; 40]);
    let slow = |header: &Value| {
        let protected = encode_base64url(header.to_string().as_bytes());
        format!("{protected}.{key}.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
    };
    let started = Instant::now();
    let decrypter = PBES2_HS512_A256KW.decrypter_from_bytes(b"pw").unwrap();
    assert!(deserialize_compact(&slow(&header), &decrypter).is_err());
    let josekit = started.elapsed();
    assert!(
        josekit > Duration::from_millis(50),
        "josekit hashes on: {josekit:?}"
    );

    let own = secret(1);
    let mut hostile = proper_header_text();
    hostile = hostile
        .replacen("ECDH-ES+A256KW", "PBES2-HS512+A256KW", 1)
        .replacen('{', r#"{"p2s":"AAAA","p2c":2147483647,"#, 1);
    let hidden = proper_header_text().replacen('{', r#"{"p2c":2147483647,"#, 1);
    let texts = [slow(&header), crafted_text(&hostile), crafted_text(&hidden)];
    let started = Instant::now();
    for text in &texts {
        assert!(open(text, &binding(), &|_| Some(&own)).is_err());
        assert!(js::open(text, &|_| None).is_err());
    }
    let ours = started.elapsed();
    assert!(ours * 10 < josekit, "{ours:?} for six refusals");
}

#[test]
fn hole_8_keys_travel_as_okp_jwk() {
    // What ed25519-dalek writes as PKCS#8 (RFC 8410 §7, version 1 with the public key).
    let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let mut der = hex::decode("3051020101300506032b657004220420").unwrap();
    der.extend([7; 32]);
    der.extend([0x81, 0x21, 0x00]);
    der.extend(signing.verifying_key().as_bytes());
    assert!(EdDSA.signer_from_der(&der).is_err(), "josekit refuses it");
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "d": encode_base64url(&[7; 32]),
        "x": encode_base64url(signing.verifying_key().as_bytes()),
    });
    let jwk = Jwk::from_bytes(jwk.to_string()).unwrap();
    assert!(EdDSA.signer_from_jwk(&jwk).is_ok());
    // Ours go that way: josekit reads both halves of an X25519 pair as we write them.
    let text = one();
    assert!(deserialize_compact(&text, &josekit_decrypter(1)).is_ok());
    let public = Jwk::from_bytes(secret(1).public().to_jwk()).unwrap();
    assert!(ECDH_ES_A256KW.encrypter_from_jwk(&public).is_ok());
}
