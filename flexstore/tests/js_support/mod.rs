//! What the tests of the js profile share: the vectors and their keys.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)] // a test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flexstore::js::{Draft, KEY_RECOVERY, KeySet, RsaSecret, Shelf, Verified};
use flexstore::{Digest, KeyTag};
use flexstore_core::{decode_base64url, encode_base64url};
use josekit::jwe::JweContentEncryption as _;
use josekit::jwe::enc::A256GCM;
use serde_json::Value;

/// The folder of the original's vectors, if the machine has it.
pub fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("FLEXSTORE_VECTORS");
    if folder.is_none() {
        println!("skipped: FLEXSTORE_VECTORS is not set");
    }
    folder.map(|folder| PathBuf::from(folder).join("js-flexstore"))
}

pub fn file(folder: &Path, name: &str) -> Value {
    let bytes = std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_slice(&bytes).unwrap()
}

/// The protected header of a compact JWE or JWS.
pub fn header_of(text: &str) -> Value {
    text_of_header(text.split('.').next().unwrap())
}

pub fn text_of_header(protected: &str) -> Value {
    serde_json::from_slice(&decode_base64url(protected.as_bytes()).unwrap()).unwrap()
}

/// The key sets of the vectors.
pub struct Keys {
    pub by_name: BTreeMap<String, Arc<KeySet>>,
}

impl Keys {
    pub fn read(folder: &Path) -> Self {
        let mut by_name = BTreeMap::new();
        let own = file(folder, "keys.json");
        let sets = own.as_object().unwrap().iter();
        let sets = sets.map(|(name, entry)| (name.clone(), entry["privateKeySet"].clone()));
        let other = file(folder, "flexstore.json");
        let others = other["privateKeySets"].as_object().unwrap().iter();
        let others = others.map(|(name, set)| (format!("flexstore {name}"), set.clone()));
        for (name, set) in sets.chain(others) {
            by_name.insert(name, Arc::new(KeySet::from_jwks(&set.to_string()).unwrap()));
        }
        Self { by_name }
    }

    pub fn get(&self, tag: &KeyTag) -> Option<Arc<KeySet>> {
        self.by_name.values().find(|set| set.tag() == *tag).cloned()
    }

    pub fn secret(&self, tag: &str) -> Option<&RsaSecret> {
        let found = self
            .by_name
            .values()
            .find(|set| set.tag().to_string() == tag);
        found.map(|set| set.opening())
    }

    /// Whether the signers of a record are here.
    pub fn holds(&self, record: &Verified) -> bool {
        let header = record.header();
        self.get(&header.owner).is_some() && self.get(&header.author).is_some()
    }

    /// Signs as the signers of a record.
    pub fn sign(&self, draft: Draft, like: &Verified) -> Verified {
        let header = like.header();
        let owner = self.get(&header.owner).unwrap();
        if header.owner == header.author {
            return draft.sign(owner.signing()).unwrap();
        }
        let author = self.get(&header.author).unwrap();
        draft.sign_for(owner.signing(), author.signing()).unwrap()
    }
}

/// Key set `n` of four that serve tests alone, with RSA of 2,048 bits.
pub fn test_keys(n: usize) -> KeySet {
    let sets: Value = serde_json::from_str(include_str!("keys.json")).unwrap();
    KeySet::from_jwks(&sets[n].to_string()).unwrap()
}

/// What the original would store for the keys under a secret: the bare hash as the key.
pub fn legacy_wrap(keys: &KeySet, secret: &str, prompt: &str) -> String {
    let header = format!(r#"{{"alg":"dir","enc":"A256GCM","prompt":"{prompt}","cty":"json"}}"#);
    let protected = encode_base64url(header.as_bytes());
    let key = Digest::of(secret.as_bytes());
    let text = keys.to_jwks();
    let (ciphertext, tag) = A256GCM
        .encrypt(
            key.as_bytes(),
            Some(&[7; 12]),
            text.as_bytes(),
            protected.as_bytes(),
        )
        .unwrap();
    let parts = [vec![], vec![7; 12], ciphertext, tag.unwrap()].map(|part| encode_base64url(&part));
    format!("{protected}.{}", parts.join("."))
}

/// The record of such a wrap in the collection `KeyRecovery`.
pub fn legacy_record(keys: &KeySet, wrap: &str, iat: u64) -> String {
    let shelf = Shelf::credential(KEY_RECOVERY).unwrap();
    let draft = Draft::text(shelf, keys.tag().tag(), wrap, iat);
    let record = draft.sign(keys.signing()).unwrap();
    String::from_utf8(record.text().to_vec()).unwrap()
}
