//! What the suites share: where the vectors are, frozen choices, hand-made records.

#![allow(dead_code, reason = "every suite uses its own part")]

use std::path::{Path, PathBuf};

use ed25519_dalek::Signer as _;
use flexstore_core::{SigningKey, encode_base64url};
use serde_json::Value;

/// The folder of the vectors, if the machine has it.
pub(crate) fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("FLEXSTORE_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: FLEXSTORE_VECTORS is not set");
    }
    folder
}

pub(crate) fn read_json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// Tells the figure that a suite came to, on a line of its own.
pub(crate) fn tell(accept: &str, figure: &str, goal: &str, held: bool) {
    println!(
        "{}",
        serde_json::json!({"accept": accept, "figure": figure, "goal": goal, "held": held})
    );
}

/// Tells the figure, and fails unless it held.
pub(crate) fn report(accept: &str, figure: &str, goal: &str, held: bool) {
    tell(accept, figure, goal, held);
    assert!(held, "{accept}: {figure}, but the goal is {goal}");
}

/// Compares outcomes with those frozen in `tests/choices`. `BLESS=1` freezes anew.
pub(crate) fn frozen(name: &str, outcomes: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/choices")
        .join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, outcomes).unwrap();
        return;
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    for (i, (was, is)) in before.lines().zip(outcomes.lines()).enumerate() {
        assert_eq!(was, is, "{name}, line {}: another outcome", i + 1);
    }
    assert_eq!(before, outcomes, "{name}: other outcomes");
}

/// A JSON object of one member a line, so that a change shows as a line of a diff.
pub(crate) fn lines(members: impl IntoIterator<Item = (String, Value)>) -> String {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| format!("  {}: {value}", Value::from(name)))
        .collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

/// The key of a seed that repeats one byte.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// A signature over anything, which the library itself gives to nobody.
pub(crate) fn signature(seed: u8, message: &[u8]) -> [u8; 64] {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
        .sign(message)
        .to_bytes()
}

/// A compact JWS over any header, well signed.
pub(crate) fn compact(seed: u8, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", encode_base64url(header), encode_base64url(payload));
    let signature = encode_base64url(&signature(seed, input.as_bytes()));
    format!("{input}.{signature}")
}

/// One signature of the general form over any header, well signed.
pub(crate) fn part(seed: u8, header: &[u8], payload: &[u8]) -> String {
    let protected = encode_base64url(header);
    let input = format!("{protected}.{}", encode_base64url(payload));
    let signature = encode_base64url(&signature(seed, input.as_bytes()));
    format!(r#"{{"signature":"{signature}","protected":"{protected}"}}"#)
}

/// The general form around any signatures.
pub(crate) fn general(parts: &[String], payload: &[u8]) -> String {
    format!(
        r#"{{"signatures":[{}],"payload":"{}"}}"#,
        parts.join(","),
        encode_base64url(payload)
    )
}
