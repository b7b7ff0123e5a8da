use std::fmt;

use crate::{CollectionId, CollectionIdError, Kind};

/// The name of the collection of public encryption keys.
pub const ENCRYPTION_KEY: &str = "EncryptionKey";
/// The name of the collection of key sets wrapped by a secret that a person knows.
pub const KEY_RECOVERY: &str = "KeyRecovery";
/// The name of the collection of teams.
pub const TEAM: &str = "Team";
/// The name of the local place of key sets wrapped for one device; never sent.
pub const DEVICE: &str = "Device";

/// Where the original keeps a record: a collection, and of a versioned one either the roots or
/// the states, which it keeps apart.
///
/// ```
/// use flexstore_core::record::js::Shelf;
///
/// let states = Shelf::parse("StateCollection/notes")?;
/// assert_eq!(states.collection().as_str(), "js:VersionedCollection/notes");
/// assert_eq!(states.to_string(), "StateCollection/notes");
/// # Ok::<(), flexstore_core::CollectionIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shelf {
    collection: CollectionId,
    states: bool,
}

const STATES: &str = "StateCollection/";

impl Shelf {
    /// Reads the original's word for it: `MutableCollection/name`, `StateCollection/name`.
    ///
    /// # Errors
    /// [`CollectionIdError`].
    pub fn parse(text: &str) -> Result<Self, CollectionIdError> {
        let (collection, states) = match text.strip_prefix(STATES) {
            Some(name) => (CollectionId::new(Kind::Versioned, name)?, true),
            None => (CollectionId::parse_native(text)?, false),
        };
        let collection = collection.javascript();
        Ok(Self { collection, states })
    }

    /// The items of a collection; of a versioned one the roots.
    #[must_use]
    pub fn items(collection: CollectionId) -> Self {
        Self {
            collection: collection.javascript(),
            states: false,
        }
    }

    /// One of the collections of keys and teams; `name` is one of the four constants.
    ///
    /// # Errors
    /// [`CollectionIdError::BadName`] for no name of a collection.
    pub fn credential(name: &str) -> Result<Self, CollectionIdError> {
        Ok(Self::items(CollectionId::new(Kind::Mutable, name)?))
    }

    /// The states of a versioned collection; the items of any other.
    #[must_use]
    pub fn states(collection: CollectionId) -> Self {
        Self {
            collection: collection.javascript(),
            states: collection.kind() == Kind::Versioned,
        }
    }

    /// Whether it holds the states of a versioned collection.
    #[must_use]
    pub const fn holds_states(&self) -> bool {
        self.states
    }

    /// The collection, which is of the js profile.
    #[must_use]
    pub const fn collection(&self) -> &CollectionId {
        &self.collection
    }

    /// Whether it holds keys or teams, whose tag is the owner's: in the original all of them are
    /// mutable collections.
    #[must_use]
    pub fn is_credential(&self) -> bool {
        self.collection.kind() == Kind::Mutable
            && [ENCRYPTION_KEY, KEY_RECOVERY, TEAM, DEVICE].contains(&self.collection.name())
    }

    pub(super) const fn role(&self) -> Role {
        match (self.collection.kind(), self.states) {
            (Kind::Immutable, _) => Role::Immutable,
            (Kind::Mutable, _) => Role::Mutable,
            (Kind::Versioned, false) => Role::Root,
            (Kind::Versioned, true) => Role::State,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Immutable,
    Mutable,
    Root,
    State,
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.states {
            write!(f, "{STATES}{}", self.collection.name())
        } else {
            f.write_str(self.collection.signed())
        }
    }
}
