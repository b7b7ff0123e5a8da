//! Why a channel ends.

use super::fragments::FragmentError;
use super::message::MessageError;
use crate::storage::StorageError;

/// Why a channel is over, for this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// No common version.
    #[error("no common version")]
    Version,
    /// What came is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// What came in pieces is no message.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// A message that may not come here, or not twice.
    #[error("a message out of its turn")]
    OutOfTurn,
    /// The other side never said which versions it speaks.
    #[error("no versions came")]
    Silent,
    /// More answers are outstanding than may be.
    #[error("over a limit")]
    Limit,
    /// The other side does not read.
    #[error("too slow")]
    TooSlow,
    /// The store does not answer; this side's own fault.
    #[error("out of order")]
    Internal,
}

impl From<StorageError> for Ended {
    fn from(_: StorageError) -> Self {
        Self::Internal
    }
}
