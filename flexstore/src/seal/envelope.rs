//! The outer form of a JWE (RFC 7516 §7), read strictly before josekit sees any of it.

use std::borrow::Cow;

use flexstore_core::decode_base64url;
use serde_json::{Map, Value};

use super::error::Malformed;
use super::{MAX_AUDIENCES, MAX_HEADER_BYTES, MAX_JWE_BYTES, json};

/// A JWE in either form, each part of the right shape and length.
pub(super) struct Envelope<'a> {
    /// The protected header as it stands in the text.
    pub(super) protected: Cow<'a, str>,
    /// The members of the protected header.
    pub(super) header: Map<String, Value>,
    /// Whom it is for; in the compact form one, without a header of its own.
    pub(super) recipients: Vec<Recipient>,
    /// Whether it was in the compact form.
    pub(super) compact: bool,
    pub(super) iv: Cow<'a, str>,
    pub(super) ciphertext: Cow<'a, str>,
    pub(super) tag: Cow<'a, str>,
}

/// One recipient of the general form.
pub(super) struct Recipient {
    pub(super) header: Map<String, Value>,
    pub(super) encrypted_key: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Reads either form. What the headers say is not judged here.
    pub(super) fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > MAX_JWE_BYTES {
            return Err(Malformed::TooLong);
        }
        if text.starts_with('{') {
            Self::general(text)
        } else {
            Self::compact(text)
        }
    }

    /// Reads the compact form alone.
    pub(super) fn compact(text: &'a str) -> Result<Self, Malformed> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(Malformed::Shape);
        let (protected, key, iv, ciphertext, tag) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(Malformed::Shape);
        }
        let recipient = Recipient {
            header: Map::new(),
            encrypted_key: bytes(key)?,
        };
        Self::checked(
            protected.into(),
            vec![recipient],
            true,
            [iv.into(), ciphertext.into(), tag.into()],
        )
    }

    fn general(text: &str) -> Result<Self, Malformed> {
        let mut map = json::parse_object(text)?;
        let protected = json::need_string(&mut map, "protected")?;
        let recipients = match map.swap_remove("recipients") {
            Some(Value::Array(list)) => list,
            Some(_) => return Err(Malformed::MemberType),
            None => return Err(Malformed::MissingMember),
        };
        let parts = [
            json::need_string(&mut map, "iv")?.into(),
            json::need_string(&mut map, "ciphertext")?.into(),
            json::need_string(&mut map, "tag")?.into(),
        ];
        json::nothing_left(&map)?;
        if recipients.is_empty() {
            return Err(Malformed::Shape);
        }
        if recipients.len() > MAX_AUDIENCES {
            return Err(Malformed::TooManyRecipients);
        }
        let recipients = recipients
            .into_iter()
            .map(Recipient::parse)
            .collect::<Result<_, _>>()?;
        Self::checked(protected.into(), recipients, false, parts)
    }

    fn checked(
        protected: Cow<'a, str>,
        recipients: Vec<Recipient>,
        compact: bool,
        [iv, ciphertext, tag]: [Cow<'a, str>; 3],
    ) -> Result<Self, Malformed> {
        if protected.len() > MAX_HEADER_BYTES {
            return Err(Malformed::HeaderTooLong);
        }
        let header = String::from_utf8(bytes(&protected)?).map_err(|_| Malformed::Json)?;
        let header = json::parse_object(&header)?;
        // josekit takes shorter tags, and with 8 bits of tag a forgery passes soon.
        if bytes(&iv)?.len() != 12 || bytes(&tag)?.len() != 16 {
            return Err(Malformed::Length);
        }
        bytes(&ciphertext)?;
        Ok(Self {
            protected,
            header,
            recipients,
            compact,
            iv,
            ciphertext,
            tag,
        })
    }
}

impl Recipient {
    fn parse(value: Value) -> Result<Self, Malformed> {
        let Value::Object(mut map) = value else {
            return Err(Malformed::MemberType);
        };
        let header = match map.swap_remove("header") {
            Some(Value::Object(header)) => header,
            Some(_) => return Err(Malformed::MemberType),
            None => return Err(Malformed::MissingMember),
        };
        let encrypted_key = bytes(&json::need_string(&mut map, "encrypted_key")?)?;
        json::nothing_left(&map)?;
        Ok(Self {
            header,
            encrypted_key,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Malformed> {
    decode_base64url(text.as_bytes()).ok_or(Malformed::Base64)
}
