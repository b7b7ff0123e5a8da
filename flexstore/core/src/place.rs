//! Which collection: a kind and a name.

use std::fmt;
use std::sync::Arc;

/// The longest name of a collection, in UTF-8 bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The admission rule of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The tag is the hash of the content; the earliest record of it stays.
    Immutable,
    /// The latest record of a tag stays.
    Mutable,
    /// Every version of a tag stays.
    Versioned,
}

impl Kind {
    /// The kind's word in a record's header and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immutable => "ImmutableCollection",
            Self::Mutable => "MutableCollection",
            Self::Versioned => "VersionedCollection",
        }
    }
}

/// The identity of a collection, the same on every device: its kind and its name.
///
/// ```
/// use flexstore_core::{CollectionId, Kind};
///
/// let id = CollectionId::new(Kind::Mutable, "cities")?;
/// assert_eq!(id.as_str(), "MutableCollection/cities");
/// assert_eq!(CollectionId::parse("MutableCollection/cities"), Ok(id));
/// # Ok::<(), flexstore_core::CollectionIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId {
    kind: Kind,
    text: Arc<str>,
}

/// Why a string names no collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionIdError {
    /// The word before the slash is no kind.
    #[error("not a kind of collection")]
    UnknownKind,
    /// The name is empty, longer than [`MAX_NAME_BYTES`], or holds a control character.
    #[error("a collection's name has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    BadName,
}

const TEAM: &str = "VersionedCollection/Team";

impl CollectionId {
    /// Of a kind and a name of 1 to [`MAX_NAME_BYTES`] bytes without control characters.
    ///
    /// # Errors
    /// [`CollectionIdError::BadName`].
    pub fn new(kind: Kind, name: &str) -> Result<Self, CollectionIdError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(CollectionIdError::BadName);
        }
        Ok(Self {
            kind,
            text: format!("{}/{name}", kind.as_str()).into(),
        })
    }

    /// Reads the form `MutableCollection/name`.
    ///
    /// # Errors
    /// [`CollectionIdError`].
    pub fn parse(text: &str) -> Result<Self, CollectionIdError> {
        let (word, name) = text.split_once('/').ok_or(CollectionIdError::UnknownKind)?;
        let kind = [Kind::Immutable, Kind::Mutable, Kind::Versioned]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or(CollectionIdError::UnknownKind)?;
        Self::new(kind, name)
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.kind.as_str().len() + 1..]
    }

    /// Whether the collection holds the keys and teams of all others: `EncryptionKey` and
    /// `KeyRecovery` (mutable), `Team` (versioned).
    #[must_use]
    pub fn is_credential(&self) -> bool {
        matches!(
            self.as_str(),
            "MutableCollection/EncryptionKey" | "MutableCollection/KeyRecovery" | TEAM
        )
    }

    /// The collection of Team records.
    #[must_use]
    pub fn team() -> Self {
        Self {
            kind: Kind::Versioned,
            text: TEAM.into(),
        }
    }

    /// Whether it is the collection of Team records.
    #[must_use]
    pub fn is_team(&self) -> bool {
        self.as_str() == TEAM
    }

    /// Kind and name as signed in `col` and sent on the wire: `MutableCollection/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectionId({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_at_and_past_the_limit() {
        assert!(CollectionId::new(Kind::Mutable, &"n".repeat(MAX_NAME_BYTES)).is_ok());
        for bad in ["", &"n".repeat(MAX_NAME_BYTES + 1), "a\0b"] {
            assert_eq!(
                CollectionId::new(Kind::Mutable, bad),
                Err(CollectionIdError::BadName)
            );
        }
        assert_eq!(
            CollectionId::parse("Mutable/x"),
            Err(CollectionIdError::UnknownKind)
        );
        assert_eq!(
            CollectionId::parse("ImmutableCollection/a/b")
                .unwrap()
                .name(),
            "a/b"
        );
    }
}
