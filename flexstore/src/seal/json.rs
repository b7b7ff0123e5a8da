//! A strict JSON reader: no member twice at any depth, a small depth limit (RFC 7516 §4).

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::Malformed;

/// How deep arrays and objects may nest in a key or an envelope.
pub(super) const ENVELOPE_DEPTH: usize = 8;

/// How deep arrays and objects may nest in a sealed property.
pub(super) const CONTENT_DEPTH: usize = 64;

/// Reads one JSON value of at most `depth` levels.
pub(super) fn parse(text: &str, depth: usize) -> Result<Value, Malformed> {
    let duplicate = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        depth,
        duplicate: &duplicate,
    };
    let value = seed.deserialize(&mut reader);
    if duplicate.get() {
        return Err(Malformed::DuplicateMember);
    }
    let value = value.map_err(|_| Malformed::Json)?;
    reader.end().map_err(|_| Malformed::Json)?;
    Ok(value)
}

/// Reads one JSON object.
pub(super) fn parse_object(text: &str) -> Result<Map<String, Value>, Malformed> {
    match parse(text, ENVELOPE_DEPTH)? {
        Value::Object(map) => Ok(map),
        _ => Err(Malformed::Json),
    }
}

/// Takes a string out of an object.
pub(super) fn take_string(
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
pub(super) fn need_string(map: &mut Map<String, Value>, name: &str) -> Result<String, Malformed> {
    take_string(map, name)?.ok_or(Malformed::MissingMember)
}

/// What is left in an object after everything known was taken out is unknown.
pub(super) fn nothing_left(map: &Map<String, Value>) -> Result<(), Malformed> {
    if map.is_empty() {
        Ok(())
    } else {
        Err(Malformed::UnknownMember)
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    // serde's errors carry text only, and a caller matches on this one.
    duplicate: &'a Cell<bool>,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                self.duplicate.set(true);
                return Err(de::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(map))
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
