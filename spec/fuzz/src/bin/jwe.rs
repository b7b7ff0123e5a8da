//! Sealed content: any text ends in a typed error; nothing but what was sealed opens.

#![no_main]

use flexstore::seal::{Binding, EncryptionSecret, Kid, js, open};
use flexstore_core::KeyTag;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let tag = KeyTag::from_bytes([7; 32]);
    let secret = EncryptionSecret::from_bytes([9; 32]);
    let binding = Binding {
        owner: tag,
        author: tag,
        col: "MutableCollection/f".into(),
        tag: Some("t".into()),
        prop: None,
    };
    // The key answers to every name, so that nothing ends before cryptography is reached.
    let _ = open(text, &binding, &|_: &Kid| Some(&secret));
    let _ = js::open(text, &|_| None);
});
