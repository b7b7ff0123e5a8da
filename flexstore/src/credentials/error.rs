use flexstore_core::authority::Unjudged;
use flexstore_core::storage::StorageError;
use flexstore_core::{Digest, KeyTag};

use super::{KeySetError, UnwrapError, WrapError, WriteVaultError};
use crate::collection::StoreError;
use crate::peer::OpenError;
use crate::seal::SealError;

/// Why keys or a team could not be made, changed or published.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// A credential collection cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A credential cannot be stored.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The store does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The keys of a team cannot be sealed to its members.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The recovery key cannot be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The vault did not take a key.
    #[error(transparent)]
    Vault(std::sync::Arc<WriteVaultError>),
    /// The vault holds something that is no key.
    #[error("the vault holds something that is no key")]
    VaultContent,
    /// The private keys of this tag are not here.
    #[error("the private keys of this tag are not here")]
    NotHeld,
    /// Nobody knows an encryption key of this tag.
    #[error("the encryption key of {0} is not known")]
    UnknownKey(KeyTag),
    /// Nobody can tell who belongs to this team.
    #[error("the records of team {team} do not tell who belongs to it: {why:?}")]
    Unjudged {
        /// Which.
        team: KeyTag,
        /// Why.
        why: Unjudged,
    },
    /// This tag is a single key, or its Team records are not here.
    #[error("no team")]
    NoTeam,
    /// No key here may act for the team.
    #[error("no key here may act for the team")]
    NotMember,
    /// The team was destroyed.
    #[error("the team was destroyed")]
    Destroyed,
    /// The record was written, and lost against another that somebody more senior had signed.
    #[error("the change lost against one by somebody more senior")]
    DidNotStick(Digest),
    /// A team without members can neither be unlocked nor changed; destroy it instead.
    #[error("a team needs a member")]
    NoMembers,
    /// The invitation was claimed already, or is none.
    #[error("the invitation was claimed already, or is none")]
    NoInvitation,
    /// Nothing among the recovery keys of this name opens with this secret: it is wrong, or the
    /// record is damaged or withheld.
    #[error("no recovery key opens: {}", .0.map_or("none is here".to_owned(), |error| error.to_string()))]
    NotRecovered(Option<UnwrapError>),
}

impl From<StoreError> for CredentialsError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<WriteVaultError> for CredentialsError {
    fn from(error: WriteVaultError) -> Self {
        Self::Vault(std::sync::Arc::new(error))
    }
}
