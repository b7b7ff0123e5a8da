//! The protected header: one frozen layout, byte for byte.
//!
//! ```text
//! compact:  {"alg":"EdDSA","iat":N,"sub":S,"encryption":E[,"ant":A],"typ":"flexstore+jws","col":C[,"tag":T],"kid":K[,"cty":Y]}
//! general:  {"kid":K,"alg":"EdDSA","iss":O,"act":M,"iat":N,"sub":S,"encryption":E[,"ant":A],"typ":"flexstore+jws","col":C[,"tag":T][,"cty":Y]}
//! ```
//!
//! The order is the JavaScript original's, with `typ`, `col` and `tag` after its extras. Reading
//! writes the header again and compares, so there is exactly one accepted text for one meaning.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::ParseError;
use crate::{CollectionId, Digest, KeyTag, Kind, Tag};

/// `typ` of every record (RFC 8725 §3.11), so that no record passes for a token of another kind.
pub const TYP: &str = "flexstore+jws";
/// `cty` of a sealed payload, a JWE.
pub const CTY_SEALED: &str = "text/encrypted";
/// `cty` of text, and of a tombstone.
pub const CTY_TEXT: &str = "text/plain";
/// `cty` of JSON.
pub const CTY_JSON: &str = "json";
/// The longest `cty`, in bytes.
pub const MAX_CTY_BYTES: usize = 128;
/// The most audience tags of one record.
pub const MAX_AUDIENCES: usize = 1024;
/// The greatest `iat`: the last integer that JavaScript counts exactly.
pub const MAX_TIME: u64 = (1 << 53) - 1;

/// What a record says of its payload's secrecy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// `null`: plain.
    Plain,
    /// `""`: a tombstone.
    Tombstone,
    /// Sealed to these tags, ascending and distinct.
    Sealed(Vec<Tag>),
}

/// What the signers of a record signed, besides the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose item it is.
    pub owner: KeyTag,
    /// Who wrote it: the owner itself, or a member of that team.
    pub author: KeyTag,
    /// When, in milliseconds since 1970, as the author says.
    pub iat: u64,
    /// Plain, sealed or a tombstone.
    pub encryption: Encryption,
    /// The state tag of the version that this one follows.
    pub ant: Option<Digest>,
    /// The collection to which the record belongs.
    pub collection: CollectionId,
    /// The tag under which it is stored; of a version its subject, of an immutable item the hash
    /// of its payload.
    pub tag: Tag,
    /// What the payload is; absent for bytes.
    pub cty: Option<Box<str>>,
    /// `sub` of an immutable or mutable item, which must be the hash of its payload.
    pub(super) payload_hash: Option<Digest>,
}

/// Which key of which form a header is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The only signature of the compact form.
    Only,
    /// The owner's signature of the general form.
    Owner,
    /// The author's signature of the general form.
    Author,
}

impl Header {
    pub(super) const fn is_tombstone(&self) -> bool {
        matches!(self.encryption, Encryption::Tombstone)
    }

    pub(super) fn write(&self, slot: Slot) -> String {
        let mut out = String::with_capacity(320);
        if slot == Slot::Only {
            out.push_str(r#"{"alg":"EdDSA""#);
        } else {
            let kid = if slot == Slot::Owner {
                &self.owner
            } else {
                &self.author
            };
            out.push_str(r#"{"kid":""#);
            out.push_str(&kid.to_string());
            out.push_str(r#"","alg":"EdDSA","iss":""#);
            out.push_str(&self.owner.to_string());
            out.push_str(r#"","act":""#);
            out.push_str(&self.author.to_string());
            out.push('"');
        }
        out.push_str(r#","iat":"#);
        out.push_str(&self.iat.to_string());
        member(&mut out, "sub", &self.sub());
        out.push_str(r#","encryption":"#);
        match &self.encryption {
            Encryption::Plain => out.push_str("null"),
            Encryption::Tombstone => out.push_str(r#""""#),
            Encryption::Sealed(tags) => match &tags[..] {
                [one] => string(&mut out, one.as_str()),
                many => {
                    for (i, tag) in many.iter().enumerate() {
                        out.push(if i == 0 { '[' } else { ',' });
                        string(&mut out, tag.as_str());
                    }
                    out.push(']');
                }
            },
        }
        if let Some(ant) = &self.ant {
            member(&mut out, "ant", &ant.to_string());
        }
        member(&mut out, "typ", TYP);
        member(&mut out, "col", self.collection.as_str());
        if self.collection.kind() == Kind::Mutable {
            member(&mut out, "tag", self.tag.as_str());
        }
        if slot == Slot::Only {
            member(&mut out, "kid", &self.author.to_string());
        }
        if let Some(cty) = &self.cty {
            member(&mut out, "cty", cty);
        }
        out.push('}');
        out
    }

    fn sub(&self) -> Cow<'_, str> {
        match &self.payload_hash {
            Some(hash) => hash.to_string().into(),
            None => self.tag.as_str().into(),
        }
    }

    /// Reads the header of one signature. Whether the payload fits is the caller's to check.
    pub(super) fn parse(text: &[u8], slot: Slot) -> Result<Self, ParseError> {
        let members: Members<'_> =
            serde_json::from_slice(text).map_err(|_| ParseError::HeaderLayout)?;
        let header = members.read(slot)?;
        if header.write(slot).as_bytes() != text {
            return Err(ParseError::HeaderLayout);
        }
        Ok(header)
    }
}

fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    string(out, value);
}

/// Writes a JSON string as `JSON.stringify` does.
fn string(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string always serialises.
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    iss: Option<Cow<'a, str>>,
    #[serde(borrow)]
    act: Option<Cow<'a, str>>,
    iat: u64,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    encryption: RawEncryption,
    #[serde(borrow)]
    ant: Option<Cow<'a, str>>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    col: Cow<'a, str>,
    #[serde(borrow)]
    tag: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cty: Option<Cow<'a, str>>,
}

impl Members<'_> {
    fn read(self, slot: Slot) -> Result<Header, ParseError> {
        if self.alg != "EdDSA" || self.typ != TYP {
            return Err(ParseError::Algorithm);
        }
        let key = |text: &str| KeyTag::parse(text).map_err(|_| ParseError::Key);
        let kid = key(&self.kid)?;
        let (owner, author) = match (slot, self.iss, self.act) {
            (Slot::Only, None, None) => (kid, kid),
            (Slot::Owner | Slot::Author, Some(iss), Some(act)) => {
                let (iss, act) = (key(&iss)?, key(&act)?);
                let signer = if slot == Slot::Owner { iss } else { act };
                if iss == act || signer != kid {
                    return Err(ParseError::Key);
                }
                (iss, act)
            }
            _ => return Err(ParseError::Key),
        };
        if self.iat > MAX_TIME {
            return Err(ParseError::Time);
        }
        let collection =
            CollectionId::parse_native(&self.col).map_err(|_| ParseError::Collection)?;
        let encryption = self.encryption.read()?;
        let tombstone = encryption == Encryption::Tombstone;
        let cty = self.cty.map(|cty| Box::from(&*cty));
        check_cty(cty.as_deref(), &encryption)?;
        let ant = match self.ant {
            None => None,
            Some(text) if collection.kind() == Kind::Versioned && !tombstone => {
                Some(Digest::parse(&text).map_err(|_| ParseError::Antecedent)?)
            }
            Some(_) => return Err(ParseError::Antecedent),
        };
        let tag = |text: &str| Tag::new(text).map_err(|_| ParseError::Tag);
        let hash = |text: &str| Digest::parse(text).map_err(|_| ParseError::Tag);
        let (tag, payload_hash) = match (collection.kind(), self.tag) {
            (Kind::Immutable, None) => {
                let hash = hash(&self.sub)?;
                (hash.tag(), (!tombstone).then_some(hash))
            }
            (Kind::Mutable, Some(text)) if tombstone => {
                if text != self.sub {
                    return Err(ParseError::Tag);
                }
                (tag(&text)?, None)
            }
            (Kind::Mutable, Some(text)) => (tag(&text)?, Some(hash(&self.sub)?)),
            (Kind::Versioned, None) => (tag(&self.sub)?, None),
            _ => return Err(ParseError::Tag),
        };
        let iat = self.iat;
        Ok(Header {
            owner,
            author,
            iat,
            encryption,
            ant,
            collection,
            tag,
            cty,
            payload_hash,
        })
    }
}

/// The rules that tie `cty` to `encryption`; the same for reading and for signing.
pub(super) fn check_cty(cty: Option<&str>, encryption: &Encryption) -> Result<(), ParseError> {
    let fits = match (encryption, cty) {
        (Encryption::Plain, Some(cty)) => {
            cty != CTY_SEALED
                && !cty.is_empty()
                && cty.len() <= MAX_CTY_BYTES
                && !cty.chars().any(char::is_control)
        }
        (Encryption::Plain, None) => true,
        (Encryption::Tombstone, cty) => cty == Some(CTY_TEXT),
        (Encryption::Sealed(_), cty) => cty == Some(CTY_SEALED),
    };
    if fits {
        Ok(())
    } else {
        Err(ParseError::ContentType)
    }
}

/// Audience tags as signed: 1 to [`MAX_AUDIENCES`], ascending, distinct.
pub(super) fn check_audience(tags: &[Tag]) -> Result<(), ParseError> {
    let ordered = tags.windows(2).all(|pair| pair[0] < pair[1]);
    if tags.is_empty() || tags.len() > MAX_AUDIENCES || !ordered {
        return Err(ParseError::Audience);
    }
    Ok(())
}

enum RawEncryption {
    Null,
    One(String),
    Many(Vec<String>),
}

impl RawEncryption {
    fn read(self) -> Result<Encryption, ParseError> {
        let tag = |text: String| Tag::new(text).map_err(|_| ParseError::Audience);
        let tags = match self {
            Self::Null => return Ok(Encryption::Plain),
            Self::One(text) if text.is_empty() => return Ok(Encryption::Tombstone),
            Self::One(text) => vec![tag(text)?],
            // An array of one would be a second form of the same record.
            Self::Many(texts) if texts.len() < 2 => return Err(ParseError::Audience),
            Self::Many(texts) => texts.into_iter().map(tag).collect::<Result<_, _>>()?,
        };
        check_audience(&tags)?;
        Ok(Encryption::Sealed(tags))
    }
}

impl<'de> Deserialize<'de> for RawEncryption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = RawEncryption;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, a tag or an array of tags")
            }

            fn visit_unit<E>(self) -> Result<RawEncryption, E> {
                Ok(RawEncryption::Null)
            }

            fn visit_str<E>(self, text: &str) -> Result<RawEncryption, E> {
                Ok(RawEncryption::One(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawEncryption, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(RawEncryption::Many(texts))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
