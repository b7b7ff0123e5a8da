//! Published vectors, judged by what this crate offers. Where our verdict is not the vector's, or
//! the vector leaves it free, it is frozen in `vector_choices.json`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use std::collections::BTreeMap;

use flexstore::seal::{EncryptionKey, EncryptionSecret, Malformed, OpenError, js, open};
use flexstore_core::encode_base64url;
use josekit::jwe::enc::A256GCM;
use josekit::jwe::{
    A256KW, JweContentEncryption as _, JweDecrypter as _, JweEncrypter as _, JweHeader,
    RSA_OAEP_256,
};
use josekit::jwk::Jwk;
use seal_support::*;
use serde_json::{Value, json};

/// Our verdicts on one file: what happened, by case.
struct Verdicts {
    file: &'static str,
    /// Verdict, then the cases with it.
    choices: BTreeMap<String, Vec<Value>>,
    cases: usize,
}

impl Verdicts {
    fn new(file: &'static str) -> Self {
        Self {
            file,
            choices: BTreeMap::new(),
            cases: 0,
        }
    }

    /// Notes our verdict unless it is the vector's own (`valid` or `invalid`).
    fn note(&mut self, id: Value, expected: &str, ours: &Result<(), String>) {
        self.cases += 1;
        let agrees = match expected {
            "valid" => ours.is_ok(),
            "invalid" => ours.is_err(),
            _ => false,
        };
        if !agrees {
            let verdict = match ours {
                Ok(()) => format!("{expected}, accepted"),
                Err(why) => format!("{expected}, refused: {why}"),
            };
            self.choices.entry(verdict).or_default().push(id);
        }
    }

    /// Compares with the frozen choices.
    fn end(self, cases: usize) {
        assert_eq!(self.cases, cases, "{}: number of cases", self.file);
        let frozen: Value = serde_json::from_str(include_str!("vector_choices.json")).unwrap();
        let frozen = frozen.get(self.file).cloned().unwrap_or(json!({}));
        let ours = json!(self.choices);
        assert!(ours == frozen, "{}: our choices are now\n{ours}", self.file);
    }
}

/// Every test of a Wycheproof file with its group.
fn tests(file: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let groups = file["testGroups"].as_array().unwrap();
    groups.iter().flat_map(|group| {
        let tests = group["tests"].as_array().unwrap();
        tests.iter().map(move |test| (group, test))
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

/// Opens a foreign JWE with a foreign key, in both profiles.
fn open_foreign(key: &Value, jwe: &str, content: &[u8]) -> Result<(), String> {
    // Whatever its key, nothing but ours opens natively, and nothing panics.
    let own = secret(1);
    assert!(open(jwe, &binding(), &|_| Some(&own)).is_err());
    let rsa = match js::RsaSecret::from_jwk(&key.to_string()) {
        Ok(rsa) => rsa,
        Err(why) => {
            let pair = EncryptionSecret::from_jwk(&key.to_string());
            assert!(pair.is_err(), "no X25519 key among them");
            return Err(format!("key {why:?}"));
        }
    };
    let opened = js::open(jwe, &|_| Some(&rsa)).map_err(|why| format!("{why:?}"))?;
    assert_eq!(*opened.content, content);
    Ok(())
}

#[test]
fn wycheproof_json_web_encryption() {
    let file = "wycheproof/json_web_encryption_test.json";
    let Some(vectors) = vector_file(file) else {
        return;
    };
    let mut verdicts = Verdicts::new(file);
    for (group, test) in tests(&vectors) {
        let jwe = match &test["jwe"] {
            Value::String(compact) => compact.clone(),
            other => other.to_string(),
        };
        let content = test["pt"].as_str().map(|pt| hex::decode(pt).unwrap());
        let ours = open_foreign(&group["private"], &jwe, &content.unwrap_or_default());
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(139);
}

#[test]
fn cookbook() {
    let Some(folder) = vectors() else { return };
    let mut verdicts = Verdicts::new("jose-cookbook");
    let mut files: Vec<_> = std::fs::read_dir(folder.join("jose-cookbook/jwe"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(folder.join("jose-cookbook/curve25519/ecdh-es.json"));
    files.sort();
    for path in files {
        let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let keys = match &vector["input"]["key"] {
            Value::Array(keys) => keys.clone(),
            key => vec![key.clone()],
        };
        for (form, output) in vector["output"].as_object().unwrap() {
            let jwe = match output {
                Value::String(compact) => compact.clone(),
                other => other.to_string(),
            };
            for key in &keys {
                let own = EncryptionSecret::from_jwk(&key.to_string()).unwrap_or(secret(1));
                let native = open(&jwe, &binding(), &|_| Some(&own));
                let rsa = js::RsaSecret::from_jwk(&key.to_string());
                let foreign = js::open(&jwe, &|_| rsa.as_ref().ok());
                let ours = match (native, foreign) {
                    (Err(_), Err(why)) => Err(format!("{why:?}")),
                    _ => Ok(()),
                };
                verdicts.note(format!("{name} {form}").into(), "valid", &ours);
            }
        }
    }
    let cases = verdicts.cases;
    assert!(cases >= 30, "{cases}");
    assert!(
        verdicts.choices.keys().all(|why| why.contains("refused")),
        "none of its algorithms is offered"
    );
    verdicts.end(cases);
}

#[test]
fn js_flexstore_encryption() {
    let (Some(vectors), Some(keys)) = (
        vector_file("js-flexstore/encryption.json"),
        vector_file("js-flexstore/keys.json"),
    ) else {
        return;
    };
    let rsa = |name: &str| {
        let set = keys[name]["privateKeySet"]["keys"].as_array().unwrap();
        let key = set.iter().find(|key| key["kty"] == "RSA").unwrap();
        js::RsaSecret::from_jwk(&key.to_string()).unwrap()
    };
    let mut opened_count = 0;
    for vector in vectors.as_array().unwrap() {
        let Some(expect) = vector.get("expect").and_then(Value::as_object) else {
            continue;
        };
        let (Some(jwe), true) = (vector.get("jwe"), vector["options"]["tags"].is_array()) else {
            // Wrapped by a secret: `dir` under a bare hash, which opens only by migration.
            let jwe = vector["jwe"].as_str().unwrap_or_default();
            let own = rsa("user");
            assert!(js::open(jwe, &|_| Some(&own)).is_err());
            continue;
        };
        let jwe = match jwe {
            Value::String(compact) => compact.clone(),
            other => other.to_string(),
        };
        for (name, expected) in expect {
            let own = rsa(name);
            let own_tag = text(&keys[name]["tag"]);
            let opened = js::open(&jwe, &|kid| (kid == Some(own_tag)).then_some(&own));
            let label = format!("{} as {name}", vector["label"]);
            if expected["decrypts"] == true {
                let opened = opened.unwrap_or_else(|why| panic!("{label}: {why}"));
                let content = text(&expected["payloadBase64url"]);
                assert_eq!(encode_base64url(&opened.content), content, "{label}");
                let mut tags: Vec<_> = vector["options"]["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .collect();
                let mut audience: Vec<_> = opened.audience.iter().collect();
                tags.sort_by_key(|tag| tag.as_str());
                audience.sort();
                assert!(
                    audience.iter().zip(&tags).all(|(a, b)| **a == **b),
                    "{label}"
                );
                assert_eq!(audience.len(), tags.len());
                opened_count += 1;
            } else {
                assert_eq!(opened.unwrap_err(), OpenError::NotForUs, "{label}");
                let forced = js::open(&jwe, &|_| Some(&own));
                assert_eq!(forced.unwrap_err(), OpenError::Failed, "{label}");
            }
        }
    }
    assert_eq!(opened_count, 12);
}

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
            .map(|shared| assert_eq!(hex::encode(&*shared), text(&test["shared"])))
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
            .map(|shared| assert_eq!(hex::encode(&*shared), text(&test["shared"])))
            .map_err(|why| format!("{why:?}"));
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(531);
}

#[test]
fn wycheproof_json_web_key() {
    let file = "wycheproof/json_web_key_test.json";
    let Some(vectors) = vector_file(file) else {
        return;
    };
    let mut verdicts = Verdicts::new(file);
    for (group, test) in tests(&vectors) {
        let keys = group["private"]["keys"].as_array().unwrap();
        // None of them is a key to encrypt to by an algorithm of ours.
        let refused = keys.iter().all(|key| {
            let jwk = key.to_string();
            EncryptionSecret::from_jwk(&jwk).is_err()
                && EncryptionKey::from_jwk(&jwk).is_err()
                && js::RsaSecret::from_jwk(&jwk).is_err()
                && js::RsaKey::from_jwk(&jwk).is_err()
        });
        let ours = if refused {
            Err("another kind of key".into())
        } else {
            Ok(())
        };
        verdicts.note(test["tcId"].clone(), text(&test["result"]), &ours);
    }
    verdicts.end(26);
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
