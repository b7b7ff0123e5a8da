//! What is asked of a replica when something is written, and what it answers.

use super::event::Ticket;
use super::taking::OfferError;
use crate::record::{Content, ParseError, Stamp};
use crate::storage::StorageError;
use crate::wire::RefusalReason;
use crate::{Digest, KeyTag, SigningKey, Tag};

/// Whose keys sign.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// One key is owner and author.
    Solo(&'a SigningKey),
    /// A member acts for an owner.
    Member {
        /// The owner's.
        owner: &'a SigningKey,
        /// The member's.
        author: &'a SigningKey,
    },
}

impl Keys<'_> {
    pub(super) fn tags(&self) -> (KeyTag, KeyTag) {
        match self {
            Self::Solo(key) => (key.tag(), key.tag()),
            Self::Member { owner, author } => (owner.tag(), author.tag()),
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone)]
pub struct Writing {
    /// The tag; ignored for immutable content.
    pub tag: Tag,
    /// What.
    pub content: Content,
    /// Of a Team record, the digest of the one that it follows. Of other versions, which follow
    /// the latest, nothing.
    pub follows: Option<Digest>,
}

impl Writing {
    /// Of anything but a Team record.
    #[must_use]
    pub const fn new(tag: Tag, content: Content) -> Self {
        Self {
            tag,
            content,
            follows: None,
        }
    }
}

/// A write that was taken, and will be acknowledged by [`Output::Stored`](super::Output::Stored).
#[derive(Debug, Clone)]
pub struct Written {
    /// For [`Output::Stored`](super::Output::Stored).
    pub ticket: Ticket,
    /// The tag under which it stands.
    pub tag: Tag,
    /// Its time and digest.
    pub stamp: Stamp,
}

/// Why something was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It cannot be made a record.
    #[error(transparent)]
    Draft(#[from] ParseError),
    /// What stands under the tag is from more than five minutes ahead of this clock.
    #[error("this clock is behind: the tag holds a record of {newest} ms since 1970")]
    ClockBehind {
        /// The time of the newest record there, in ms since 1970.
        newest: u64,
    },
    /// The owner deleted this immutable content; storing it again would not show it.
    #[error("the owner deleted this content")]
    Deleted,
    /// There is nothing to remove.
    #[error("there is nothing under this tag")]
    NotFound,
    /// It would not count: the author is no member of the team, or the owner is a team whose own
    /// key signs alone.
    #[error("the author is no member of the owner")]
    NotMember,
    /// It belongs in another collection, or is dated ahead of this clock.
    #[error("the record is not for this collection, or not yet: {0}")]
    Refused(OfferError),
    /// The collection's policy does not admit it.
    #[error("the collection's policy does not admit this")]
    Policy,
    /// The store did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<OfferError> for WriteError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Refused { reason, .. } if reason == RefusalReason::Policy => Self::Policy,
            OfferError::Refused { reason, .. } if reason == RefusalReason::Full => {
                Self::Storage(StorageError::Full)
            }
            OfferError::Refused { reason, .. } if reason == RefusalReason::ReadOnly => {
                Self::Storage(StorageError::ReadOnly)
            }
            error => Self::Refused(error),
        }
    }
}

/// Why a record was not taken, and in how many milliseconds to try again.
pub type Refusal = (RefusalReason, Option<u64>);
