//! Names: of key holders, of content, of mutable things.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The longest tag, in UTF-8 bytes.
pub const MAX_TAG_BYTES: usize = 256;

/// The name under which an item is stored: any string of 1 to [`MAX_TAG_BYTES`] bytes without
/// control characters.
///
/// The name of a key holder ([`KeyTag`]) and of content ([`Digest`]) are tags too: 32 bytes in
/// base64url without padding, 43 characters.
///
/// ```
/// use flexstore_core::{Digest, Tag};
///
/// let paris = Tag::new("cities/Paris")?;
/// assert_eq!(paris.as_str(), "cities/Paris");
/// assert_eq!(Digest::of(b"").tag().as_str(), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
/// assert!(Tag::new("a\u{0}b").is_err());
/// # Ok::<(), flexstore_core::TagError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

/// Why a string is not a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The string has no characters.
    #[error("a tag has at least one character")]
    Empty,
    /// The string is longer than [`MAX_TAG_BYTES`].
    #[error("a tag has at most {MAX_TAG_BYTES} bytes")]
    TooLong,
    /// The string holds a control character (Unicode category Cc).
    #[error("a tag has no control characters")]
    ControlCharacter,
    /// The string is not 32 bytes in canonical base64url.
    #[error("not 32 bytes in base64url without padding")]
    NotKey,
}

impl Tag {
    /// Makes a tag of a string.
    ///
    /// # Errors
    /// [`TagError`] if the string is empty, too long or holds control characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, TagError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > MAX_TAG_BYTES {
            return Err(TagError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(TagError::ControlCharacter);
        }
        Ok(Self(text.into()))
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Length of a name that the library makes: 16 random bytes and 24 of a hash, in base64url.
const MADE_BYTES: usize = 40;

impl Tag {
    /// A fresh name that commits to its owner, so that nobody else's item under it is taken for
    /// the owner's. `nonce` must be random.
    #[must_use]
    pub fn made_by(owner: &KeyTag, nonce: &[u8; 16]) -> Self {
        let hash = Digest::of_parts(&[b"flexstore/tag", owner.as_bytes(), nonce]);
        let mut bytes = [0; MADE_BYTES];
        bytes[..16].copy_from_slice(nonce);
        bytes[16..].copy_from_slice(&hash.as_bytes()[..24]);
        Self(encode_base64url(&bytes).into())
    }

    /// Whether the name itself tells that it is this owner's: it is the owner's key, or was made
    /// by [`Tag::made_by`] for it.
    #[must_use]
    pub fn belongs_to(&self, owner: &KeyTag) -> bool {
        if KeyTag::parse(&self.0) == Ok(*owner) {
            return true;
        }
        let bytes = decode_base64url(self.0.as_bytes()).unwrap_or_default();
        bytes.len() == MADE_BYTES
            && bytes
                .first_chunk()
                .is_some_and(|nonce| Self::made_by(owner, nonce) == *self)
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

/// 32 bytes as base64url without padding; the 43 characters of a key tag or content tag.
#[must_use]
pub fn encode_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes canonical base64url without padding (RFC 4648 §5): no white space, no padding, and
/// the unused low bits of the last character are zero. `None` for anything else.
#[must_use]
pub fn decode_base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn decode_32(text: &str) -> Result<[u8; 32], TagError> {
    let mut out = [0; 32];
    // A 43-character text decodes to exactly 32 bytes; `decode_slice` wants room for its estimate.
    let mut room = [0; 33];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut room) {
        Ok(32) if text.len() == 43 => {
            out.copy_from_slice(&room[..32]);
            Ok(out)
        }
        _ => Err(TagError::NotKey),
    }
}

macro_rules! bytes32 {
    ($name:ident) => {
        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From the 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Reads 43 characters of canonical base64url.
            ///
            /// # Errors
            /// [`TagError::NotKey`] for anything else.
            pub fn parse(text: &str) -> Result<Self, TagError> {
                decode_32(text).map(Self)
            }

            /// The same name as a [`Tag`].
            #[must_use]
            pub fn tag(&self) -> Tag {
                Tag(encode_base64url(&self.0).into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode_base64url(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

/// The name of a key holder: a raw Ed25519 public key (RFC 8032 §5.1.5). It is its own
/// verification key, so verifying needs no look-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyTag([u8; 32]);
bytes32!(KeyTag);

impl From<KeyTag> for Tag {
    fn from(key: KeyTag) -> Self {
        key.tag()
    }
}

/// A SHA-256 digest: of a record's text, of content, of a state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);
bytes32!(Digest);

impl Digest {
    /// SHA-256 of the bytes (FIPS 180-4).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256 of several byte strings, one after the other.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_limits_hold_at_and_past_the_edge() {
        assert!(Tag::new("x".repeat(MAX_TAG_BYTES)).is_ok());
        assert_eq!(
            Tag::new("x".repeat(MAX_TAG_BYTES + 1)),
            Err(TagError::TooLong)
        );
        assert_eq!(Tag::new(""), Err(TagError::Empty));
        assert_eq!(Tag::new("a\nb"), Err(TagError::ControlCharacter));
        assert!(
            Tag::new("../../x").is_ok(),
            "a tag is data and never a path"
        );
    }

    #[test]
    fn a_made_name_tells_its_owner() {
        let (mine, other) = (KeyTag::from_bytes([1; 32]), KeyTag::from_bytes([2; 32]));
        let tag = Tag::made_by(&mine, &[9; 16]);
        assert!(tag.belongs_to(&mine) && !tag.belongs_to(&other));
        assert!(mine.tag().belongs_to(&mine) && !mine.tag().belongs_to(&other));
        assert!(!Tag::new("notes").unwrap().belongs_to(&mine));
    }

    #[test]
    fn key_tags_are_canonical() {
        let key = KeyTag::from_bytes([0xff; 32]);
        let text = key.to_string();
        assert_eq!(KeyTag::parse(&text), Ok(key));
        // The last character carries two unused bits: flip one.
        let mut loose = text.clone();
        loose.pop();
        loose.push('9');
        assert_ne!(text, loose);
        assert_eq!(KeyTag::parse(&loose), Err(TagError::NotKey));
        for bad in ["", "AAAA", &format!("{text}="), &format!(" {}", &text[1..])] {
            assert_eq!(KeyTag::parse(bad), Err(TagError::NotKey));
        }
    }
}
