//! JSON as strictly as RFC 8259 allows: one meaning for every text that is accepted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep arrays and objects may nest.
pub const MAX_JSON_DEPTH: usize = 64;

/// Why a text is not JSON to us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON (RFC 8259), or a number that no `f64` holds.
    #[error("not JSON, at line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// One object names a member twice, which parsers read differently (RFC 8259 §4).
    #[error("a member is named twice")]
    DuplicateKey,
    /// Nested deeper than [`MAX_JSON_DEPTH`], or than the caller allows.
    #[error("nested too deep")]
    TooDeep,
}

// serde carries only text through a parser, so the two causes of ours travel as fixed words.
const DUPLICATE: &str = "flexstore: duplicate key";
const DEEP: &str = "flexstore: too deep";

/// Parses a text that is JSON from its first to its last byte. Refuses member names that occur
/// twice at any depth, and nesting deeper than [`MAX_JSON_DEPTH`].
///
/// # Errors
/// [`JsonError`]; never panics, and takes memory in proportion to the text.
pub fn parse_strict(text: &[u8]) -> Result<Value, JsonError> {
    parse_to_depth(text, MAX_JSON_DEPTH)
}

/// The same with a depth of the caller's, which is at most [`MAX_JSON_DEPTH`].
///
/// # Errors
/// As [`parse_strict`].
pub fn parse_to_depth(text: &[u8], depth: usize) -> Result<Value, JsonError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let result = Strict {
        left: depth.min(MAX_JSON_DEPTH),
    }
    .deserialize(&mut parser)
    .and_then(|value| parser.end().map(|()| value));
    result.map_err(|error| {
        let words = error.to_string();
        if words.starts_with(DUPLICATE) {
            JsonError::DuplicateKey
        } else if words.starts_with(DEEP) || words.starts_with("recursion limit") {
            JsonError::TooDeep
        } else {
            JsonError::Syntax {
                line: error.line(),
                column: error.column(),
            }
        }
    })
}

#[derive(Clone, Copy)]
struct Strict {
    /// Levels that may still be entered.
    left: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom(DEEP))?;
        Ok(Self { left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(DUPLICATE));
            }
            members.insert(key, access.next_value_seed(inner)?);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_parsers_disagree_on() {
        assert_eq!(
            parse_strict(br#"{"a":1,"a":1}"#),
            Err(JsonError::DuplicateKey)
        );
        assert_eq!(
            parse_strict(br#"[{"a":{"b":1,"\u0062":2}}]"#),
            Err(JsonError::DuplicateKey)
        );
        assert!(matches!(
            parse_strict(b"1 2"),
            Err(JsonError::Syntax { .. })
        ));
        assert!(matches!(
            parse_strict(b"NaN"),
            Err(JsonError::Syntax { .. })
        ));
        assert_eq!(
            parse_strict(b"[1.5,null]").unwrap(),
            serde_json::json!([1.5, null])
        );
    }

    #[test]
    fn depth_holds_at_and_past_the_limit() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_strict(nested(MAX_JSON_DEPTH).as_bytes()).is_ok());
        assert_eq!(
            parse_strict(nested(MAX_JSON_DEPTH + 1).as_bytes()),
            Err(JsonError::TooDeep)
        );
        assert_eq!(
            parse_strict("[".repeat(100_000).as_bytes()),
            Err(JsonError::TooDeep)
        );
    }
}
