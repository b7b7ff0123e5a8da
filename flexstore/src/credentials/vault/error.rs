//! Why a vault did not do what was asked. None shows a name, a value or a passphrase.

use std::io;

use super::super::secret::PassphraseError;

/// Why no vault was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateVaultError {
    /// There is something at this path, which stays as it is.
    #[error("there is a file already")]
    Exists,
    /// Another process, or another value in this one, has it open.
    #[error("the vault is open elsewhere")]
    Locked,
    /// No passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The system has not the memory that Argon2id takes (64 MiB).
    #[error("not enough memory")]
    NoMemory,
    /// The operating system gave no random bytes, or the cipher failed.
    #[error("sealing failed")]
    Failed,
    /// The disk.
    #[error("the vault's file: {0}")]
    Io(#[from] io::Error),
}

/// Why a vault was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenVaultError {
    /// There is no file at this path.
    #[error("there is no vault")]
    NotFound,
    /// Another process, or another value in this one, has it open.
    #[error("the vault is open elsewhere")]
    Locked,
    /// A later release wrote it.
    #[error("a vault of version {found}, and {known} is the newest known")]
    NewerVersion {
        /// The file's.
        found: u32,
        /// The newest that this release reads.
        known: u32,
    },
    /// A wrong passphrase, or a file that is damaged or never was a vault: one answer for all.
    #[error("a wrong passphrase or a damaged vault")]
    Failed,
    /// The system has not the memory that Argon2id takes (64 MiB).
    #[error("not enough memory")]
    NoMemory,
    /// The disk.
    #[error("the vault's file: {0}")]
    Io(#[source] io::Error),
}

/// Why an entry was not written or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteVaultError {
    /// A name that is empty or longer than 255 bytes.
    #[error("a name that is empty or longer than the limit")]
    Name,
    /// More than [`MAX_VAULT_BYTES`](super::MAX_VAULT_BYTES) in all.
    #[error("more than a vault holds")]
    TooLong,
    /// The operating system gave no random bytes, or the cipher failed.
    #[error("sealing failed")]
    Failed,
    /// The disk.
    #[error("the vault's file: {0}")]
    Io(#[from] io::Error),
}

/// Why a passphrase was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangePassphraseError {
    /// The old passphrase is another.
    #[error("the old passphrase is wrong")]
    WrongPassphrase,
    /// The new one is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The system has not the memory that Argon2id takes (64 MiB).
    #[error("not enough memory")]
    NoMemory,
    /// The operating system gave no random bytes, or the cipher failed.
    #[error("sealing failed")]
    Failed,
    /// The disk.
    #[error("the vault's file: {0}")]
    Io(#[from] io::Error),
}

/// Why a vault was not destroyed, or not to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WipeError {
    /// There is no file at this path.
    #[error("there is no vault")]
    NotFound,
    /// Another process, or another value in this one, has it open.
    #[error("the vault is open elsewhere")]
    Locked,
    /// The file does not begin as a vault does.
    #[error("not a vault")]
    NotAVault,
    /// The disk.
    #[error("the vault's file: {0}")]
    Io(#[from] io::Error),
}

/// Why a path could not be taken.
#[derive(Debug)]
pub(super) enum TakeError {
    Locked,
    Io(io::Error),
}

impl From<io::Error> for TakeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a file's bytes were not opened.
#[derive(Debug)]
pub(super) enum ReadError {
    NewerVersion(u32),
    NoMemory,
    Failed,
}

impl From<ReadError> for OpenVaultError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NewerVersion(found) => Self::NewerVersion {
                found,
                known: super::VERSION,
            },
            ReadError::NoMemory => Self::NoMemory,
            ReadError::Failed => Self::Failed,
        }
    }
}

impl From<io::Error> for OpenVaultError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::NotFound
        } else {
            Self::Io(error)
        }
    }
}

/// Why a vault's bytes were not made or not written.
#[derive(Debug)]
pub(super) enum SealError {
    TooLong,
    NoMemory,
    Failed,
    Io(io::Error),
}

impl From<io::Error> for SealError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

// A new vault, or one whose key alone changes, is never too long.

impl From<SealError> for CreateVaultError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoMemory => Self::NoMemory,
            SealError::TooLong | SealError::Failed => Self::Failed,
            SealError::Io(error) => Self::Io(error),
        }
    }
}

impl From<SealError> for ChangePassphraseError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoMemory => Self::NoMemory,
            SealError::TooLong | SealError::Failed => Self::Failed,
            SealError::Io(error) => Self::Io(error),
        }
    }
}

// A write derives nothing, so it lacks no memory for that.
impl From<SealError> for WriteVaultError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLong => Self::TooLong,
            SealError::NoMemory | SealError::Failed => Self::Failed,
            SealError::Io(error) => Self::Io(error),
        }
    }
}
