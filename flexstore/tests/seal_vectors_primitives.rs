//! Published vectors of the primitives under a JWE. What the wrapper cannot say is put through it
//! and refused; the rest runs on the primitive that it uses. Choices: `vector_choices.json`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use flexstore::seal::{EncryptionKey, EncryptionSecret, Malformed, OpenError, js};
use flexstore_core::encode_base64url;
use josekit::jwe::enc::A256GCM;
use josekit::jwe::{
    A256KW, JweContentEncryption as _, JweDecrypter as _, JweEncrypter as _, JweHeader,
    RSA_OAEP_256,
};
use josekit::jwk::Jwk;
use seal_support::vectors::*;
use seal_support::*;
use serde_json::json;

#[test]
fn wycheproof_x25519() {
    let file = "wycheproof/x25519_test.json";
    let Some(vectors) = vector_file(file) else {
        return;
    };
    let mut verdicts = Verdicts::new(file);
    for (_, test) in tests(&vectors) {
        let secret = EncryptionSecret::from_bytes(bytes(&test["private"]).try_into().unwrap());
        let ours = EncryptionKey::from_bytes(bytes(&test["public"]).try_into().unwrap())
            .and_then(|key| secret.agree(&key))
            .map(|shared| assert_eq!(hex::encode(*shared), text(&test["shared"])))
            .map_err(|why| format!("{why:?}"));
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(518);
}

#[test]
fn wycheproof_x25519_jwk() {
    let file = "wycheproof/x25519_jwk_test.json";
    let Some(vectors) = vector_file(file) else {
        return;
    };
    let mut verdicts = Verdicts::new(file);
    for (_, test) in tests(&vectors) {
        let secret = EncryptionSecret::from_jwk(&test["private"].to_string()).unwrap();
        let ours = EncryptionKey::from_jwk(&test["public"].to_string())
            .and_then(|key| secret.agree(&key))
            .map(|shared| assert_eq!(hex::encode(*shared), text(&test["shared"])))
            .map_err(|why| format!("{why:?}"));
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(531);
}

#[test]
fn wycheproof_aes_gcm() {
    let file = "wycheproof/aes_gcm_test.json";
    let Some(vectors) = vector_file(file) else {
        return;
    };
    let mut verdicts = Verdicts::new(file);
    for (group, test) in tests(&vectors) {
        let [key, iv, aad, msg, ct, tag] =
            ["key", "iv", "aad", "msg", "ct", "tag"].map(|name| bytes(&test[name]));
        assert_eq!(tag.len(), 16, "the vectors have no shorter tags");
        // What A256GCM with 96 bits of iv cannot say is refused by the wrapper.
        let jwe = with_part(&crafted(json!({})), 2, &encode_base64url(&iv));
        let ours = if iv.len() != 12 {
            let why = open_as(1, &jwe).unwrap_err();
            assert_eq!(why, Malformed::Length.into());
            Err(format!("{why:?}"))
        } else if group["keySize"] != 256 {
            let enc = format!("A{}GCM", group["keySize"]);
            let header = proper_header_text().replacen("A256GCM", &enc, 1);
            let why = open_as(1, &crafted_text(&header)).unwrap_err();
            assert_eq!(why, OpenError::Algorithm);
            Err(format!("{why:?}"))
        } else {
            let opened = A256GCM.decrypt(&key, Some(&iv), &ct, &aad, Some(&tag));
            if let Ok(opened) = &opened {
                assert_eq!(*opened, msg);
                let sealed = A256GCM.encrypt(&key, Some(&iv), &msg, &aad).unwrap();
                assert_eq!(sealed, (ct, Some(tag)));
            }
            opened.map(drop).map_err(|_| "A256GCM".into())
        };
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(316);
}

#[test]
fn wycheproof_aes_wrap() {
    let file = "wycheproof/aes_wrap_test.json";
    let Some(vectors) = vector_file(file) else {
        return;
    };
    let mut verdicts = Verdicts::new(file);
    let jwe = crafted(json!({}));
    for (group, test) in tests(&vectors) {
        let [key, msg, ct] = ["key", "msg", "ct"].map(|name| bytes(&test[name]));
        let ours = if group["keySize"] != 256 {
            let alg = format!("ECDH-ES+A{}KW", group["keySize"]);
            let header = proper_header_text().replacen("ECDH-ES+A256KW", &alg, 1);
            let why = open_as(1, &crafted_text(&header)).unwrap_err();
            assert_eq!(why, OpenError::Algorithm);
            Err(format!("{why:?}"))
        } else if ct.len() != 40 {
            let why = open_as(1, &with_part(&jwe, 1, &encode_base64url(&ct))).unwrap_err();
            assert_eq!(why, Malformed::Length.into());
            Err(format!("{why:?}"))
        } else {
            let none = JweHeader::new();
            let decrypter = A256KW.decrypter_from_bytes(&key).unwrap();
            let opened = decrypter.decrypt(Some(&ct), &A256GCM, &none);
            if let Ok(opened) = &opened {
                assert_eq!(**opened, msg);
                let encrypter = A256KW.encrypter_from_bytes(&key).unwrap();
                let wrapped = encrypter.encrypt(&msg, &none, &mut JweHeader::new());
                assert_eq!(wrapped.unwrap().unwrap(), ct);
            }
            opened.map(drop).map_err(|_| "A256KW".into())
        };
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(165);
}

#[test]
fn wycheproof_rsa_oaep() {
    for file in [
        "wycheproof/rsa_oaep_2048_sha256_mgf1sha256_test.json",
        "wycheproof/rsa_oaep_4096_sha256_mgf1sha256_test.json",
    ] {
        let Some(vectors) = vector_file(file) else {
            return;
        };
        let mut verdicts = Verdicts::new(file);
        for (group, test) in tests(&vectors) {
            let jwk = &group["privateKeyJwk"];
            let [msg, ct] = ["msg", "ct"].map(|name| bytes(&test[name]));
            // JWE knows no labels: the primitive under us refuses them.
            let decrypter = RSA_OAEP_256
                .decrypter_from_jwk(&Jwk::from_bytes(jwk.to_string()).unwrap())
                .unwrap();
            let opened = decrypter.decrypt(Some(&ct), &A256GCM, &JweHeader::new());
            if let Ok(opened) = &opened {
                assert_eq!(**opened, msg);
            }
            // The wrapper takes a content key of 32 bytes alone, and only from a whole block.
            let own = js::RsaSecret::from_jwk(&jwk.to_string()).unwrap();
            let cek: [u8; 32] = msg[..].try_into().unwrap_or([0; 32]);
            let jwe = js_crafted(&ct, &cek);
            let size = group["keySize"].as_u64().unwrap() as usize / 8;
            match js::open(&jwe, &|_| Some(&own)) {
                Ok(content) => assert!(opened.is_ok() && *content.content == *b"crafted"),
                Err(OpenError::Failed) => assert!(opened.is_err() || msg.len() != 32),
                Err(why) => {
                    assert_eq!(why, Malformed::Length.into());
                    assert!(ct.len() != size);
                }
            }
            let ours = opened.map(drop).map_err(|_| "RSA-OAEP-256".into());
            verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
        }
        verdicts.end(37);
    }
}

/// A compact JWE in the JavaScript form with this encrypted key and content key.
fn js_crafted(encrypted_key: &[u8], cek: &[u8; 32]) -> String {
    let header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k"}).to_string();
    let protected = encode_base64url(header.as_bytes());
    let iv = [1; 12];
    let (ciphertext, tag) = A256GCM
        .encrypt(cek, Some(&iv), b"crafted", protected.as_bytes())
        .unwrap();
    [
        protected,
        encode_base64url(encrypted_key),
        encode_base64url(&iv),
        encode_base64url(&ciphertext),
        encode_base64url(&tag.unwrap()),
    ]
    .join(".")
}
