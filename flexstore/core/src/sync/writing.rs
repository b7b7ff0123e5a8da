//! What is asked of a replica when something is written, and what it answers.

use super::event::{Origin, Ticket};
use super::replica::{Effect, MAX_AHEAD_MS, Replica};
use super::taking::{Admitted, OfferError};
use crate::authority::Standing;
use crate::record::{Content, Draft, ParseError, Stamp};
use crate::register::{Row, Selection, shown};
use crate::storage::StorageError;
use crate::wire::RefusalReason;
use crate::{Digest, KeyTag, Kind, SigningKey, Tag};

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
        let OfferError::Refused { reason, .. } = error else {
            return Self::Refused(error);
        };
        match reason {
            RefusalReason::Policy => Self::Policy,
            RefusalReason::Full => Self::Storage(StorageError::Full),
            RefusalReason::ReadOnly => Self::Storage(StorageError::ReadOnly),
            RefusalReason::TooNew => Self::Refused(error),
        }
    }
}

/// Why a record was not taken, and in how many milliseconds to try again.
pub type Refusal = (RefusalReason, Option<u64>);

impl Replica {
    /// Writes a record here: its time is the greatest of now and 1 + that of every record it is
    /// to stand above. Acknowledged by [`Output::Stored`](super::Output::Stored) with the ticket.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing was written.
    pub fn write(
        &mut self,
        now: u64,
        writing: Writing,
        keys: Keys<'_>,
    ) -> Result<Written, WriteError> {
        let (owner, author) = keys.tags();
        let Writing {
            mut tag,
            content,
            follows,
        } = writing;
        if let (Kind::Immutable, Content::Plain { payload, .. }) = (self.kind(), &content) {
            tag = Digest::of(payload).tag();
        } else if let (Kind::Immutable, Content::Sealed { jwe, .. }) = (self.kind(), &content) {
            tag = Digest::of(jwe).tag();
        }
        self.before(&tag)?;
        let group = self.register.group(&tag, &owner)?;
        let newest = self.newest(&group, &owner, &author, follows.as_ref())?;
        let iat = newest.map_or(now, |newest| now.max(newest + 1));
        if iat > now + MAX_AHEAD_MS {
            return Err(WriteError::ClockBehind {
                newest: newest.unwrap_or(0),
            });
        }
        if self.standing(&owner, &author, iat)? == Standing::Void {
            return Err(WriteError::NotMember);
        }
        let removing = matches!(content, Content::Tombstone);
        if removing && !group.iter().any(|row| !row.tombstone) {
            return Err(WriteError::NotFound);
        }
        let ant = if self.register.id().is_team() {
            follows
        } else if self.kind() == Kind::Versioned && !removing {
            match shown(Kind::Versioned, &group, &owner, Selection::Latest) {
                Ok(row) => row.and_then(|row| row.state),
                // A team whose records are missing: go on from its greatest version.
                Err(_) => group
                    .iter()
                    .max_by_key(|row| row.stamp)
                    .and_then(|row| row.state),
            }
        } else {
            None
        };
        let draft = Draft {
            collection: self.register.id().clone(),
            tag,
            content,
            ant,
            iat,
        };
        let record = match keys {
            Keys::Solo(key) => draft.sign(key)?,
            Keys::Member { owner, author } => draft.sign_for(owner, author)?,
        };
        let tag = record.header().tag.clone();
        if !record.belongs_in(self.register.id()) || !self.admits(&record) {
            return Err(WriteError::Policy);
        }
        let mut stamp = record.stamp();
        match self.admit(now, &record, Origin::Written)? {
            Admitted::New | Admitted::Known => {}
            Admitted::Displaced(by) if by.tombstone => return Err(WriteError::Deleted),
            // The same content by the same author stands here already.
            Admitted::Displaced(by) => stamp = by.stamp,
        }
        let ticket = Ticket(self.number());
        self.work.effects.push(Effect::Written(ticket));
        Ok(Written { ticket, tag, stamp })
    }

    /// The time of the newest record that a write is to stand above.
    fn newest(
        &mut self,
        group: &[Row],
        owner: &KeyTag,
        author: &KeyTag,
        follows: Option<&Digest>,
    ) -> Result<Option<u64>, StorageError> {
        let iat = |row: &Row| row.stamp.iat;
        // Of a team only the record that is followed: a former member may have dated others ahead.
        if self.register.id().is_team() {
            let followed = |row: &&Row| Some(&row.stamp.digest) == follows;
            return Ok(group.iter().find(followed).map(iat));
        }
        let heeded = |row: &&Row| row.counts() || row.author == *author;
        let newest = group.iter().filter(heeded).map(iat).max();
        let judgement = self.authority.of(owner)?;
        let head = judgement.and_then(|judgement| judgement.head().map(|head| head.iat));
        Ok(newest.max(head))
    }
}
