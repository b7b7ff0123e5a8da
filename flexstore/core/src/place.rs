//! Which collection: a kind, a name, and the profile of its records.

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

/// Whose records a collection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Only records that sign where they belong.
    Native,
    /// Those of the JavaScript original too. **Weaker by design**: nothing in them tells where
    /// they belong, so that whoever carries one can move it.
    JavaScript,
}

/// The identity of a collection, the same on every device: its kind, its name and its profile.
/// Collections of one name and of different profiles are different ones.
///
/// ```
/// use flexstore_core::{CollectionId, Kind};
///
/// let id = CollectionId::new(Kind::Mutable, "cities")?;
/// assert_eq!(id.as_str(), "MutableCollection/cities");
/// assert_eq!(CollectionId::parse("MutableCollection/cities"), Ok(id.clone()));
/// assert_eq!(id.javascript().as_str(), "js:MutableCollection/cities");
/// # Ok::<(), flexstore_core::CollectionIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId {
    kind: Kind,
    profile: Profile,
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
const JAVASCRIPT: &str = "js:";
const JAVASCRIPT_TEAM: &str = "js:MutableCollection/Team";

impl CollectionId {
    /// Native, of a kind and a name of 1 to [`MAX_NAME_BYTES`] bytes without control characters.
    ///
    /// # Errors
    /// [`CollectionIdError::BadName`].
    pub fn new(kind: Kind, name: &str) -> Result<Self, CollectionIdError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(CollectionIdError::BadName);
        }
        Ok(Self {
            kind,
            profile: Profile::Native,
            text: format!("{}/{name}", kind.as_str()).into(),
        })
    }

    /// Reads the form `MutableCollection/name`, or `js:MutableCollection/name`.
    ///
    /// # Errors
    /// [`CollectionIdError`].
    pub fn parse(text: &str) -> Result<Self, CollectionIdError> {
        match text.strip_prefix(JAVASCRIPT) {
            Some(text) => Self::parse_native(text).map(|id| id.javascript()),
            None => Self::parse_native(text),
        }
    }

    /// Reads the form that records sign: of a native collection.
    pub(crate) fn parse_native(text: &str) -> Result<Self, CollectionIdError> {
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

    /// Whose records it holds.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The collection of the js profile of this kind and name.
    #[must_use]
    pub fn javascript(&self) -> Self {
        match self.profile {
            Profile::JavaScript => self.clone(),
            Profile::Native => Self {
                kind: self.kind,
                profile: Profile::JavaScript,
                text: format!("{JAVASCRIPT}{}", self.text).into(),
            },
        }
    }

    /// The native collection of this kind and name.
    #[must_use]
    pub fn native(&self) -> Self {
        match self.profile {
            Profile::Native => self.clone(),
            Profile::JavaScript => Self {
                kind: self.kind,
                profile: Profile::Native,
                text: self.signed().into(),
            },
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.signed()[self.kind.as_str().len() + 1..]
    }

    /// Whether the collection holds the keys and teams of all others: `EncryptionKey` and
    /// `KeyRecovery` (mutable), `Team` (versioned; under the js profile mutable).
    #[must_use]
    pub fn is_credential(&self) -> bool {
        matches!(
            self.as_str(),
            "MutableCollection/EncryptionKey"
                | "MutableCollection/KeyRecovery"
                | TEAM
                | "js:MutableCollection/EncryptionKey"
                | "js:MutableCollection/KeyRecovery"
                | JAVASCRIPT_TEAM
        )
    }

    /// The collection of Team records.
    #[must_use]
    pub fn team() -> Self {
        Self {
            kind: Kind::Versioned,
            profile: Profile::Native,
            text: TEAM.into(),
        }
    }

    /// The collection of the Team records of the js profile.
    #[must_use]
    pub fn javascript_team() -> Self {
        Self {
            kind: Kind::Mutable,
            profile: Profile::JavaScript,
            text: JAVASCRIPT_TEAM.into(),
        }
    }

    /// Whether it is the collection of native Team records.
    #[must_use]
    pub fn is_team(&self) -> bool {
        self.as_str() == TEAM
    }

    /// Whether it is the collection of the Team records of the js profile.
    #[must_use]
    pub fn is_javascript_team(&self) -> bool {
        self.as_str() == JAVASCRIPT_TEAM
    }

    /// Whether it holds Team records of either profile, by which other collections judge.
    #[must_use]
    pub fn holds_teams(&self) -> bool {
        self.is_team() || self.is_javascript_team()
    }

    /// Kind and name as a record signs them in `col`, whatever the profile:
    /// `MutableCollection/name`.
    #[must_use]
    pub fn signed(&self) -> &str {
        match self.profile {
            Profile::Native => &self.text,
            Profile::JavaScript => &self.text[JAVASCRIPT.len()..],
        }
    }

    /// As sent on the wire: `MutableCollection/name`, `js:MutableCollection/name`.
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

    #[test]
    fn a_profile_is_part_of_the_identity() {
        let native = CollectionId::new(Kind::Versioned, "js:x").unwrap();
        let js = native.javascript();
        assert_ne!(native, js);
        assert_eq!(js.as_str(), "js:VersionedCollection/js:x");
        assert_eq!(js.signed(), native.as_str());
        assert_eq!((js.name(), js.kind()), (native.name(), native.kind()));
        assert_eq!(CollectionId::parse(js.as_str()), Ok(js.clone()));
        assert_eq!((js.native(), js.javascript()), (native, js));
        assert!(CollectionId::parse("js:js:VersionedCollection/x").is_err());
        assert!(CollectionId::parse_native("js:VersionedCollection/x").is_err());
        assert!(CollectionId::parse("JS:VersionedCollection/x").is_err());
    }

    #[test]
    fn the_team_collections_are_told_apart() {
        let (native, js) = (CollectionId::team(), CollectionId::javascript_team());
        assert!(native.is_team() && !native.is_javascript_team() && native.holds_teams());
        assert!(js.is_javascript_team() && !js.is_team() && js.holds_teams());
        assert_eq!(CollectionId::parse(js.as_str()), Ok(js.clone()));
        assert!(native.is_credential() && js.is_credential());
        // Of the other kind they are collections like any.
        for other in [native.javascript(), js.native()] {
            assert!(!other.holds_teams() && !other.is_credential());
        }
    }
}
