//! Strict JSON: what it accepts, the plain parser accepts with an equal value.

#![no_main]

use std::fmt::Debug;
use std::str::FromStr;

use flexstore_core::json::parse_strict;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(strict) = parse_strict(data) else {
        return;
    };
    match std::str::from_utf8(data) {
        Ok(text) => assert_eq!(plain(&strict, text), strict),
        Err(error) => panic!("only the strict parser accepts: {error}"),
    }
    // Written again it is accepted again.
    assert!(parse_strict(strict.to_string().as_bytes()).is_ok());
});

/// What the type of a value, which is serde_json's, reads by itself.
fn plain<V: FromStr<Err: Debug>>(_: &V, text: &str) -> V {
    match text.parse() {
        Ok(value) => value,
        Err(error) => panic!("only the strict parser accepts: {error:?}"),
    }
}
