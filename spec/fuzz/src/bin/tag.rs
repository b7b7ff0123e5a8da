//! Names: what is accepted has exactly one spelling.

#![no_main]

use flexstore_core::{Digest, KeyTag, Tag, decode_base64url, encode_base64url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(bytes) = decode_base64url(data) {
        assert_eq!(encode_base64url(&bytes).as_bytes(), data);
    }
    assert_eq!(decode_base64url(encode_base64url(data).as_bytes()).as_deref(), Some(data));

    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(tag) = Tag::new(text) {
        assert_eq!(tag.as_str(), text);
    }
    if let Ok(key) = KeyTag::parse(text) {
        assert_eq!(key.to_string(), text);
        assert_eq!(key.tag().as_str(), text);
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.to_string(), text);
    }
});
