//! Records: the strict JWS, and the way from [`Signed`] to [`Verified`].
//!
//! ```text
//! bytes --Signed::parse--> Signed --verify--> Verified --> admission, reading
//!                             \--verify_batch--/
//! Draft --sign--> Verified
//! ```
//!
//! A record is a JWS (RFC 7515) in exactly one of two forms: compact with one signature, or
//! general JSON (§7.2.1) with two, the owner's and then the author's. Every other form is refused,
//! so nobody can mint a second form of somebody's record.
//!
//! Collections of the js profile hold records of the JavaScript original too: see [`js`].

mod draft;
mod header;
mod held;
pub mod js;
mod key;
mod verdict;

use std::sync::Arc;

use bytes::Bytes;
pub use draft::{Content, Draft};
use header::Slot;
pub use header::{
    CTY_JSON, CTY_SEALED, CTY_TEXT, Encryption, Header, MAX_AUDIENCES, MAX_CTY_BYTES, MAX_TIME, TYP,
};
pub use key::SigningKey;
use rand_core::CryptoRng;
pub use verdict::{Claim, verify, verify_all};

use crate::Digest;
use crate::tag::decode_base64url;

/// The longest record, in bytes of its JWS text.
pub const MAX_ITEM_BYTES: usize = 1 << 20;
/// The longest protected header, in bytes of its JSON text.
pub const MAX_HEADER_BYTES: usize = 64 << 10;

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Longer than [`MAX_ITEM_BYTES`].
    #[error("a record has at most {MAX_ITEM_BYTES} bytes")]
    TooLong,
    /// Neither of the two forms, byte for byte.
    #[error("not one of the two forms of a record")]
    Form,
    /// A part is not canonical base64url.
    #[error("a part is not canonical base64url")]
    Base64,
    /// The header is not the frozen layout: unknown, missing, repeated or reordered members.
    #[error("the header is not laid out as frozen")]
    HeaderLayout,
    /// `alg` is not EdDSA, or `typ` is another.
    #[error("alg or typ is another")]
    Algorithm,
    /// A key name is no key tag, or signers and names do not fit each other.
    #[error("the signers do not fit the names")]
    Key,
    /// `iat` is past [`MAX_TIME`].
    #[error("iat is out of range")]
    Time,
    /// `col` names no collection.
    #[error("col names no collection")]
    Collection,
    /// `tag` or `sub` does not fit the kind of the collection.
    #[error("tag or sub does not fit the collection")]
    Tag,
    /// `ant` stands where none may, or is no state tag.
    #[error("ant does not fit")]
    Antecedent,
    /// `encryption` is no audience.
    #[error("encryption is no audience")]
    Audience,
    /// `cty` does not fit `encryption`.
    #[error("cty does not fit")]
    ContentType,
    /// The payload is not the one whose hash is signed, or is empty where it may not be.
    #[error("the payload does not fit the header")]
    Payload,
    /// The two signatures' headers disagree.
    #[error("the headers disagree")]
    Disagree,
}

/// A signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature does not hold")]
pub struct BadSignature;

#[derive(Clone)]
struct Inner {
    text: Bytes,
    digest: Digest,
    header: Header,
    payload: Bytes,
    /// Of a record of the original, where it stands.
    javascript: Option<Arc<js::Place>>,
}

/// A well-formed record whose signatures nobody has checked yet. It offers no payload and no
/// header.
///
/// ```
/// # use flexstore_core::{record::*, *};
/// # let key = SigningKey::from_seed(&[1; 32]);
/// # let id = CollectionId::new(Kind::Mutable, "notes").unwrap();
/// # let draft = Draft::text(id, Tag::new("a").unwrap(), "hello", 1_700_000_000_000);
/// # let text = draft.sign(&key).unwrap().text().clone();
/// let verified = Signed::parse(text)?.verify()?;
/// assert_eq!(&verified.payload()[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// # use flexstore_core::record::*;
/// fn peek(record: &Signed) -> usize {
///     record.payload().len() // not before verification
/// }
/// ```
#[derive(Clone)]
pub struct Signed {
    inner: Inner,
    signatures: Signatures,
}

#[derive(Clone)]
enum Signatures {
    One([u8; 64]),
    /// The signing inputs (protected header, dot, payload) and signatures of owner and author.
    Two(Box<[(Bytes, [u8; 64]); 2]>),
}

/// A record whose signatures hold. Admission takes nothing else.
#[derive(Clone)]
pub struct Verified(Inner);

impl Signed {
    /// Reads the text of a record. Everything but the signatures is checked: form, layout,
    /// limits, and that the payload is the one whose hash is signed.
    ///
    /// # Errors
    /// [`ParseError`]; never panics, whatever the bytes.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, ParseError> {
        let signed = Self::read(text.into())?;
        let Inner {
            header, payload, ..
        } = &signed.inner;
        let fits = payload.is_empty() == header.is_tombstone()
            && header
                .payload_hash
                .is_none_or(|hash| Digest::of(payload) == hash);
        if fits {
            Ok(signed)
        } else {
            Err(ParseError::Payload)
        }
    }

    /// All but whether the payload is the one whose hash is signed.
    fn read(text: Bytes) -> Result<Self, ParseError> {
        if text.len() > MAX_ITEM_BYTES {
            return Err(ParseError::TooLong);
        }
        if text.first() == Some(&b'{') {
            Self::parse_general(text)
        } else {
            Self::parse_compact(text)
        }
    }

    fn parse_compact(text: Bytes) -> Result<Self, ParseError> {
        let mut parts = text.split(|&byte| byte == b'.');
        let (Some(protected), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseError::Form);
        };
        let header = Header::parse(&decode_header(protected)?, Slot::Only)?;
        let payload = decode_payload(payload)?;
        let signature = decode_signature(signature)?;
        let digest = Digest::of(&text);
        let inner = Inner {
            text,
            digest,
            header,
            payload,
            javascript: None,
        };
        Ok(Self {
            inner,
            signatures: Signatures::One(signature),
        })
    }

    fn parse_general(text: Bytes) -> Result<Self, ParseError> {
        let whole: General<'_> = serde_json::from_slice(&text).map_err(|_| ParseError::Form)?;
        if whole.write().as_bytes() != text {
            return Err(ParseError::Form);
        }
        let [owner, author] = &whole.signatures;
        let header = Header::parse(&decode_header(owner.protected.as_bytes())?, Slot::Owner)?;
        let second = Header::parse(&decode_header(author.protected.as_bytes())?, Slot::Author)?;
        if header != second {
            return Err(ParseError::Disagree);
        }
        let payload = decode_payload(whole.payload.as_bytes())?;
        let input = |part: &Part<'_>| -> Result<(Bytes, [u8; 64]), ParseError> {
            let input = format!("{}.{}", part.protected, whole.payload);
            Ok((input.into(), decode_signature(part.signature.as_bytes())?))
        };
        let signatures = Signatures::Two(Box::new([input(owner)?, input(author)?]));
        let digest = Digest::of(&text);
        Ok(Self {
            inner: Inner {
                text,
                digest,
                header,
                payload,
                javascript: None,
            },
            signatures,
        })
    }

    /// The record's identity on the wire: SHA-256 of what is sent, which is the text.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// Checks the signatures.
    ///
    /// # Errors
    /// [`BadSignature`] if one does not hold.
    pub fn verify(self) -> Result<Verified, BadSignature> {
        if self.claims().iter().flatten().all(verify) {
            Ok(Verified(self.inner))
        } else {
            Err(BadSignature)
        }
    }

    /// Checks the signatures of many records at once, several times faster than one by one where
    /// few authors signed many. The verdicts are the same. The random numbers must be
    /// unpredictable to the signers.
    pub fn verify_batch(
        records: Vec<Self>,
        random: &mut impl CryptoRng,
    ) -> Vec<Result<Verified, BadSignature>> {
        let claims: Vec<_> = records.iter().flat_map(Self::claims).flatten().collect();
        if verify_all(&claims, random) {
            return records
                .into_iter()
                .map(|record| Ok(Verified(record.inner)))
                .collect();
        }
        records.into_iter().map(Self::verify).collect()
    }

    fn claims(&self) -> [Option<Claim<'_>>; 2] {
        let header = &self.inner.header;
        match &self.signatures {
            Signatures::One(signature) => {
                let end = self
                    .inner
                    .text
                    .iter()
                    .rposition(|&byte| byte == b'.')
                    .unwrap_or(0);
                let message = &self.inner.text[..end];
                [
                    Some(Claim {
                        key: &header.author,
                        signature,
                        message,
                    }),
                    None,
                ]
            }
            Signatures::Two(both) => {
                let claim = |key, i: usize| Claim {
                    key,
                    signature: &both[i].1,
                    message: &both[i].0,
                };
                [
                    Some(claim(&header.owner, 0)),
                    Some(claim(&header.author, 1)),
                ]
            }
        }
    }
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed({})", self.inner.digest)
    }
}

impl Verified {
    /// The JWS text, as signed.
    #[must_use]
    pub const fn text(&self) -> &Bytes {
        &self.0.text
    }

    /// The record's identity: SHA-256 of what is [sent](Self::sent).
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.0.digest
    }

    /// What was signed besides the payload.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.0.header
    }

    /// The payload: text, JSON or bytes, or the text of a JWE if sealed; empty for a tombstone.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// Whether the record deletes.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        self.0.header.is_tombstone()
    }

    /// The place of the record in the order of its register: time, then digest.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        Stamp {
            iat: self.0.header.iat,
            digest: self.0.digest,
        }
    }

    /// The state tag of a version: SHA-256 of the payload and of its antecedent, or of its
    /// decimal time where it has none. Of a Team record its digest, since two members can sign
    /// one payload.
    #[must_use]
    pub fn state(&self) -> Digest {
        let header = &self.0.header;
        if header.collection.is_team() {
            return self.0.digest;
        }
        if let Some(state) = self.deletes_state() {
            return state;
        }
        let rest = match &header.ant {
            Some(ant) => ant.to_string(),
            None => header.iat.to_string(),
        };
        Digest::of_parts(&[&self.0.payload, rest.as_bytes()])
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Verified({} {} @{})",
            self.0.header.tag, self.0.digest, self.0.header.iat
        )
    }
}

/// The total order of records: time (ms since 1970), then digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub iat: u64,
    /// SHA-256 of the record's text.
    pub digest: Digest,
}

fn decode_header(part: &[u8]) -> Result<Vec<u8>, ParseError> {
    // Before decoding, so that an overlong header costs nothing; what is decoded may still be two
    // bytes past the limit, which no signer would write.
    if part.len() > MAX_HEADER_BYTES.div_ceil(3) * 4 {
        return Err(ParseError::TooLong);
    }
    let text = decode_base64url(part).ok_or(ParseError::Base64)?;
    if text.len() > MAX_HEADER_BYTES {
        return Err(ParseError::TooLong);
    }
    Ok(text)
}

fn decode_signature(part: &[u8]) -> Result<[u8; 64], ParseError> {
    let bytes = decode_base64url(part).ok_or(ParseError::Base64)?;
    bytes.try_into().map_err(|_| ParseError::Form)
}

fn decode_payload(part: &[u8]) -> Result<Bytes, ParseError> {
    decode_base64url(part)
        .map(Bytes::from)
        .ok_or(ParseError::Base64)
}

/// The envelope of RFC 7515 §7.2.1, with exactly two signatures and no unprotected header.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct General<'a> {
    #[serde(borrow)]
    signatures: [Part<'a>; 2],
    #[serde(borrow)]
    payload: std::borrow::Cow<'a, str>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Part<'a> {
    #[serde(borrow)]
    signature: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    protected: std::borrow::Cow<'a, str>,
}

impl General<'_> {
    /// Base64url needs no escapes; a text that has some is not equal to what is written here.
    fn write(&self) -> String {
        let [owner, author] = &self.signatures;
        format!(
            concat!(
                r#"{{"signatures":[{{"signature":"{}","protected":"{}"}},"#,
                r#"{{"signature":"{}","protected":"{}"}}],"payload":"{}"}}"#
            ),
            owner.signature, owner.protected, author.signature, author.protected, self.payload
        )
    }
}
