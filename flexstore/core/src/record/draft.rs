//! Records to be signed.

use bytes::Bytes;

use super::header::{Slot, check_audience, check_cty};
use super::{
    CTY_SEALED, CTY_TEXT, Encryption, General, Header, Inner, MAX_HEADER_BYTES, MAX_ITEM_BYTES,
    MAX_TIME, ParseError, Part, SigningKey, Verified,
};
use crate::{CollectionId, Digest, KeyTag, Kind, Tag, encode_base64url};

/// What a draft holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Open to everyone. `cty` is absent for bytes.
    Plain {
        /// At least one byte; an empty payload would be a tombstone.
        payload: Bytes,
        /// What the payload is.
        cty: Option<Box<str>>,
    },
    /// A JWE that only the audience opens.
    Sealed {
        /// The JWE's text.
        jwe: Bytes,
        /// For whom; ascending and distinct.
        audience: Vec<Tag>,
    },
    /// Deletes what stands under the tag.
    Tombstone,
}

/// A record to be signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it belongs. In one of the js profile too it signs kind and name.
    pub collection: CollectionId,
    /// The tag, or the subject of a version. Of immutable content it is computed, and this one is
    /// ignored; of its tombstone it is the content's tag.
    pub tag: Tag,
    /// The payload.
    pub content: Content,
    /// The state tag of the version before, if any.
    pub ant: Option<Digest>,
    /// Milliseconds since 1970.
    pub iat: u64,
}

impl Draft {
    /// A plain text.
    #[must_use]
    pub fn text(collection: CollectionId, tag: Tag, text: &str, iat: u64) -> Self {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        let content = Content::Plain {
            payload,
            cty: Some(CTY_TEXT.into()),
        };
        Self {
            collection,
            tag,
            content,
            ant: None,
            iat,
        }
    }

    /// Signs as one key that is owner and author.
    ///
    /// # Errors
    /// [`ParseError`] if no reader would accept the result.
    pub fn sign(self, key: &SigningKey) -> Result<Verified, ParseError> {
        let (header, payload) = self.header(key.tag(), key.tag())?;
        let mut text = encode_header(&header, Slot::Only)?;
        text.reserve_exact(payload.len().div_ceil(3) * 4 + 2 + 86);
        text.push('.');
        text.push_str(&encode_base64url(&payload));
        let signature = key.sign(text.as_bytes());
        text.push('.');
        text.push_str(&encode_base64url(&signature));
        seal_up(text.into(), header, payload)
    }

    /// Signs as an owner and the member that acts for it.
    ///
    /// # Errors
    /// [`ParseError`] if no reader would accept the result; [`ParseError::Key`] if both are one.
    pub fn sign_for(self, owner: &SigningKey, author: &SigningKey) -> Result<Verified, ParseError> {
        if owner.tag() == author.tag() {
            return Err(ParseError::Key);
        }
        let (header, payload) = self.header(owner.tag(), author.tag())?;
        let encoded = encode_base64url(&payload);
        let part = |slot, key: &SigningKey| -> Result<Part<'_>, ParseError> {
            let protected = encode_header(&header, slot)?;
            let signature = key.sign(format!("{protected}.{encoded}").as_bytes());
            Ok(Part {
                signature: encode_base64url(&signature).into(),
                protected: protected.into(),
            })
        };
        let signatures = [part(Slot::Owner, owner)?, part(Slot::Author, author)?];
        let text = General {
            signatures,
            payload: encoded.as_str().into(),
        }
        .write();
        seal_up(text.into(), header, payload)
    }

    fn header(self, owner: KeyTag, author: KeyTag) -> Result<(Header, Bytes), ParseError> {
        let (encryption, payload, cty) = match self.content {
            Content::Plain { payload, cty } => (Encryption::Plain, payload, cty),
            Content::Sealed { jwe, audience } => {
                check_audience(&audience)?;
                (Encryption::Sealed(audience), jwe, Some(CTY_SEALED.into()))
            }
            Content::Tombstone => (Encryption::Tombstone, Bytes::new(), Some(CTY_TEXT.into())),
        };
        check_cty(cty.as_deref(), &encryption)?;
        let tombstone = encryption == Encryption::Tombstone;
        if payload.is_empty() != tombstone {
            return Err(ParseError::Payload);
        }
        if self.ant.is_some() && (self.collection.kind() != Kind::Versioned || tombstone) {
            return Err(ParseError::Antecedent);
        }
        if self.iat > MAX_TIME {
            return Err(ParseError::Time);
        }
        let (tag, payload_hash) = match self.collection.kind() {
            Kind::Immutable if tombstone => (
                Digest::parse(self.tag.as_str())
                    .map_err(|_| ParseError::Tag)?
                    .tag(),
                None,
            ),
            Kind::Immutable => {
                let hash = Digest::of(&payload);
                (hash.tag(), Some(hash))
            }
            Kind::Mutable => (self.tag, (!tombstone).then(|| Digest::of(&payload))),
            Kind::Versioned => (self.tag, None),
        };
        let Self {
            collection,
            ant,
            iat,
            ..
        } = self;
        let header = Header {
            owner,
            author,
            iat,
            encryption,
            ant,
            collection: collection.native(),
            tag,
            cty,
            payload_hash,
        };
        Ok((header, payload))
    }
}

fn seal_up(text: Bytes, header: Header, payload: Bytes) -> Result<Verified, ParseError> {
    if text.len() > MAX_ITEM_BYTES {
        return Err(ParseError::TooLong);
    }
    let digest = Digest::of(&text);
    Ok(Verified(Inner {
        text,
        digest,
        header,
        payload,
        javascript: None,
    }))
}

fn encode_header(header: &Header, slot: Slot) -> Result<String, ParseError> {
    let text = header.write(slot);
    if text.len() > MAX_HEADER_BYTES {
        return Err(ParseError::TooLong);
    }
    Ok(encode_base64url(text.as_bytes()))
}
