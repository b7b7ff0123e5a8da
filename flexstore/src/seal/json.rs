//! A strict JSON reader: no member twice at any depth, a small depth limit (RFC 7516 §4).

use flexstore_core::json::{JsonError, parse_to_depth};
use serde_json::{Map, Value};

use super::error::Malformed;

/// How deep arrays and objects may nest in a key or an envelope.
pub(super) const ENVELOPE_DEPTH: usize = 8;

/// How deep arrays and objects may nest in a sealed property.
pub(super) use flexstore_core::json::MAX_JSON_DEPTH as CONTENT_DEPTH;

/// Reads one JSON value of at most `depth` levels.
pub(super) fn parse(text: &str, depth: usize) -> Result<Value, Malformed> {
    parse_to_depth(text.as_bytes(), depth).map_err(|error| match error {
        JsonError::DuplicateKey => Malformed::DuplicateMember,
        _ => Malformed::Json,
    })
}

/// Reads one JSON object.
pub(super) fn parse_object(text: &str) -> Result<Map<String, Value>, Malformed> {
    match parse(text, ENVELOPE_DEPTH)? {
        Value::Object(map) => Ok(map),
        _ => Err(Malformed::Json),
    }
}

/// Takes a string out of an object.
pub(crate) fn take_string(
    map: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<String>, Malformed> {
    match map.swap_remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed::MemberType),
    }
}

/// Takes a string that must be there.
pub(crate) fn need_string(map: &mut Map<String, Value>, name: &str) -> Result<String, Malformed> {
    take_string(map, name)?.ok_or(Malformed::MissingMember)
}

/// What is left in an object after everything known was taken out is unknown.
pub(crate) fn nothing_left(map: &Map<String, Value>) -> Result<(), Malformed> {
    if map.is_empty() {
        Ok(())
    } else {
        Err(Malformed::UnknownMember)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"[[{"a":null,"\u0061":1}]]"#,
        ] {
            assert_eq!(parse(text, 8), Err(Malformed::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn depth_is_limited_without_recursing() {
        assert!(parse(&format!("{}{}", "[".repeat(8), "]".repeat(8)), 8).is_ok());
        assert_eq!(
            parse(&format!("{}{}", "[".repeat(9), "]".repeat(9)), 8),
            Err(Malformed::Json)
        );
        assert_eq!(parse(&"[".repeat(100_000), 64), Err(Malformed::Json));
    }

    #[test]
    fn trailing_text_and_bad_json_are_refused() {
        for text in ["", "{} {}", "{}x", "{'a':1}", "{\"a\":1,}", "1e999", "nul"] {
            assert_eq!(parse(text, 8), Err(Malformed::Json), "{text}");
        }
        assert_eq!(parse(" 1 ", 8), Ok(Value::from(1)));
    }
}
