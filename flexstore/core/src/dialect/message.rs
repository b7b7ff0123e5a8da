//! The nine messages of version 17, exactly as the original writes them, and nothing else.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::piece::Piece;
use crate::record::MAX_ITEM_BYTES;
use crate::tag::MAX_TAG_BYTES;
use crate::{Digest, Tag};

/// The longest message, in bytes of its JSON text: one item of the greatest size under the longest
/// tag, with every quote in them escaped.
pub const MAX_MESSAGE_BYTES: usize = MAX_ITEM_BYTES + 2 * MAX_TAG_BYTES + 256;

/// One message of the original.
///
/// ```
/// use flexstore_core::dialect::Message;
///
/// let text = r#"{"method":"versions","params":[17,17]}"#;
/// let message = Message::parse(text)?;
/// assert_eq!(message, Message::Versions { min: 17, max: 17 });
/// assert_eq!(message.write(), text);
/// assert!(Message::parse(r#"{"method":"toString","params":[]}"#).is_err());
/// # Ok::<(), flexstore_core::dialect::MessageError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The versions that the sender speaks.
    Versions {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// What the sender has under a tag: SHA-256 of the record's text.
    Hash {
        /// The tag.
        tag: Tag,
        /// The hash.
        hash: Digest,
    },
    /// The sender has told all its tags.
    EndTags,
    /// Asks for what stands under a tag.
    Get(Tag),
    /// Answers that, or brings something new.
    Put {
        /// The tag.
        tag: Tag,
        /// The record's text; `None` if there is none.
        record: Option<Bytes>,
    },
    /// Something was deleted.
    Delete {
        /// The tag.
        tag: Tag,
        /// The tombstone's text.
        record: Bytes,
    },
    /// The sender has compared so many of the other's tags, and has what it asked for.
    SynchronizationComplete(u64),
    /// A message that is too long for one frame follows in pieces.
    Fragments {
        /// The sender's number for it.
        id: u64,
        /// How many pieces.
        count: u64,
    },
    /// A piece.
    Frag {
        /// Of which message.
        id: u64,
        /// Its place, from 0.
        index: u64,
        /// The piece.
        text: Piece,
    },
}

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("a message has at most {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// Not JSON as the original writes it.
    #[error("not JSON")]
    NotJson,
    /// Not an object of a method and its parameters, in this order.
    #[error("not an object of method and params")]
    Shape,
    /// None of the nine.
    #[error("no such method")]
    Method,
    /// Too few, too many or other parameters than the method has.
    #[error("the parameters are not those of the method")]
    Params,
    /// A well-formed message about something that cannot be a tag here.
    #[error("not a tag")]
    Tag,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`]; never panics, and takes memory in proportion to the text.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(MessageError::TooLong);
        }
        // The byte strings of the parser, which pieces need, would let these through.
        if text.bytes().any(|byte| byte < 0x20) {
            return Err(MessageError::NotJson);
        }
        let mut fault = MessageError::Shape;
        let mut parser = serde_json::Deserializer::from_str(text);
        let whole = parser
            .deserialize_map(Whole { fault: &mut fault })
            .and_then(|message| parser.end().map(|()| message));
        whole.map_err(|error| match (fault, error.classify()) {
            (MessageError::Method | MessageError::Tag, _)
            | (_, serde_json::error::Category::Data) => fault,
            _ => MessageError::NotJson,
        })
    }

    /// The method's word.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Versions { .. } => "versions",
            Self::Hash { .. } => "hash",
            Self::EndTags => "endTags",
            Self::Get(_) => "get",
            Self::Put { .. } => "put",
            Self::Delete { .. } => "delete",
            Self::SynchronizationComplete(_) => "synchronizationComplete",
            Self::Fragments { .. } => "fragments",
            Self::Frag { .. } => "frag",
        }
    }

    /// The text, as `JSON.stringify` gives it.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = format!(r#"{{"method":"{}","params":["#, self.method());
        match self {
            Self::EndTags => {}
            Self::Versions { min: a, max: b } | Self::Fragments { id: a, count: b } => {
                out.push_str(&format!("{a},{b}"));
            }
            Self::SynchronizationComplete(n) => out.push_str(&n.to_string()),
            Self::Hash { tag, hash } => {
                Piece::from(tag.as_str()).write_json(&mut out);
                out.push_str(&format!(",\"{hash}\""));
            }
            Self::Get(tag) => Piece::from(tag.as_str()).write_json(&mut out),
            Self::Put { tag, record: None } => {
                Piece::from(tag.as_str()).write_json(&mut out);
                out.push_str(",null");
            }
            Self::Put {
                tag,
                record: Some(record),
            }
            | Self::Delete { tag, record } => {
                Piece::from(tag.as_str()).write_json(&mut out);
                out.push(',');
                Piece::of_wtf8(record).write_json(&mut out);
            }
            Self::Frag { id, index, text } => {
                out.push_str(&format!("{id},{index},"));
                text.write_json(&mut out);
            }
        }
        out.push_str("]}");
        out
    }
}

struct Whole<'a> {
    /// What is wrong if the parser stops here.
    fault: &'a mut MessageError,
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Message, A::Error> {
        let shape = || A::Error::custom("shape");
        if access.next_key::<String>()?.as_deref() != Some("method") {
            return Err(shape());
        }
        let method: String = access.next_value()?;
        if access.next_key::<String>()?.as_deref() != Some("params") {
            return Err(shape());
        }
        *self.fault = MessageError::Params;
        let message = access.next_value_seed(Params {
            method: &method,
            fault: self.fault,
        })?;
        *self.fault = MessageError::Shape;
        if access.next_key::<String>()?.is_some() {
            return Err(shape());
        }
        Ok(message)
    }
}

struct Params<'a> {
    method: &'a str,
    fault: &'a mut MessageError,
}

impl<'de> DeserializeSeed<'de> for Params<'_> {
    type Value = Message;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Message, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Params<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the method's parameters")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Message, A::Error> {
        let mut list = List {
            access,
            fault: self.fault,
        };
        let message = match self.method {
            "versions" => Message::Versions {
                min: list.number()?,
                max: list.number()?,
            },
            "hash" => Message::Hash {
                tag: list.tag()?,
                hash: list.hash()?,
            },
            "endTags" => Message::EndTags,
            "get" => Message::Get(list.tag()?),
            "put" => Message::Put {
                tag: list.tag()?,
                record: list.record()?,
            },
            "delete" => {
                let tag = list.tag()?;
                let record = list
                    .record()?
                    .ok_or_else(|| A::Error::custom("no record"))?;
                Message::Delete { tag, record }
            }
            "synchronizationComplete" => Message::SynchronizationComplete(list.number()?),
            "fragments" => Message::Fragments {
                id: list.number()?,
                count: list.number()?,
            },
            "frag" => Message::Frag {
                id: list.number()?,
                index: list.number()?,
                text: Piece::of_wtf8(&list.bytes()?),
            },
            _ => {
                *list.fault = MessageError::Method;
                return Err(A::Error::custom("method"));
            }
        };
        list.end()?;
        Ok(message)
    }
}

struct List<'a, A> {
    access: A,
    fault: &'a mut MessageError,
}

impl<'de, A: SeqAccess<'de>> List<'_, A> {
    fn missing() -> A::Error {
        A::Error::custom("missing")
    }

    fn number(&mut self) -> Result<u64, A::Error> {
        self.access.next_element()?.ok_or_else(Self::missing)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, A::Error> {
        self.access
            .next_element_seed(Wtf8)?
            .ok_or_else(Self::missing)
    }

    fn tag(&mut self) -> Result<Tag, A::Error> {
        let bytes = self.bytes()?;
        let tag = str::from_utf8(&bytes)
            .ok()
            .and_then(|text| Tag::new(text).ok());
        tag.ok_or_else(|| {
            *self.fault = MessageError::Tag;
            A::Error::custom("tag")
        })
    }

    fn hash(&mut self) -> Result<Digest, A::Error> {
        let text: String = self.access.next_element()?.ok_or_else(Self::missing)?;
        Digest::parse(&text).map_err(A::Error::custom)
    }

    fn record(&mut self) -> Result<Option<Bytes>, A::Error> {
        let text: Option<String> = self.access.next_element()?.ok_or_else(Self::missing)?;
        Ok(text.map(Bytes::from))
    }

    fn end(&mut self) -> Result<(), A::Error> {
        // Of whatever type it is, the first letter of one more is refused.
        match self.access.next_element_seed(Wtf8)? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("one more")),
        }
    }
}

/// A string as the parser's bytes: WTF-8.
struct Wtf8;

impl<'de> DeserializeSeed<'de> for Wtf8 {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Wtf8 {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}
