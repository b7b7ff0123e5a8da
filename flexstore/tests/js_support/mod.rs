//! What the tests of the js profile share: the vectors and their keys.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)] // a test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flexstore::KeyTag;
use flexstore::js::{Draft, KeySet, RsaSecret, Verified};
use flexstore_core::decode_base64url;
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
