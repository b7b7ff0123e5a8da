//! What the sealing tests share.
#![allow(dead_code, missing_docs)]

use flexstore::seal::{Binding, Kid};
use flexstore_core::{KeyTag, decode_base64url};

pub fn kid(n: u8) -> Kid {
    Kid::new(KeyTag::from_bytes([n; 32]))
}

pub fn binding() -> Binding {
    Binding {
        owner: KeyTag::from_bytes([101; 32]),
        author: KeyTag::from_bytes([102; 32]),
        col: "MutableCollection/notes".into(),
        tag: Some("shopping".into()),
        prop: None,
    }
}

pub fn header_text(jwe: &str) -> String {
    let header = jwe.split('.').next().unwrap();
    String::from_utf8(decode_base64url(header.as_bytes()).unwrap()).unwrap()
}
