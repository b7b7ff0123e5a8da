//! The messages between peers: the only definitions of them.
//!
//! A link carries frames. A frame is one CBOR array (RFC 8949): channel number, message number,
//! and the message's own members. Whoever dialled the link opens channels; each carries the sync of
//! one collection. `spec/wire.md` has the layout of every message.

mod decode;
mod encode;
pub mod signal;

use bytes::Bytes;
pub use decode::DecodeError;
use rand_core::CryptoRng;

use crate::record::{BadSignature, ParseError};
use crate::{CollectionId, Digest, KeyTag, Signed, Tag, Verified};

/// The version of the protocol spoken here, and the only one so far.
pub const PROTOCOL_VERSION: u16 = 1;
/// The most channels that a link may have open.
pub const MAX_CHANNELS: u32 = 1024;
/// The most owners that a filter names.
pub const MAX_FILTER_OWNERS: usize = 1024;
/// The most digests in one `Want` and records in one `Records`.
pub const MAX_LISTED: usize = 4096;

/// Which records a session compares and sends. Both sides use that of who opened it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only records of these owners; all if absent. At most [`MAX_FILTER_OWNERS`].
    pub owners: Option<Vec<KeyTag>>,
    /// Only records with this `iat` or a later one; ms since 1970.
    pub since: Option<u64>,
    /// Only records with an earlier `iat`; ms since 1970.
    pub until: Option<u64>,
}

impl Filter {
    /// Whether it lets everything through.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.owners.is_none() && self.since.is_none() && self.until.is_none()
    }

    /// Whether it lets a record through.
    #[must_use]
    pub fn matches(&self, owner: &KeyTag, iat: u64) -> bool {
        self.since.is_none_or(|since| iat >= since)
            && self.until.is_none_or(|until| iat < until)
            && self
                .owners
                .as_ref()
                .is_none_or(|owners| owners.contains(owner))
    }
}

/// A count and a fingerprint of the records that a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// See [`crate::sync::index::Index::fingerprint`].
    pub fingerprint: [u8; 16],
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Its time is more than five minutes ahead.
    TooNew,
    /// The collection's policy does not admit its owner, author or lack of sealing.
    Policy,
    /// There is no room.
    Full,
    /// The store takes no writes until somebody mends it.
    ReadOnly,
}

/// Why a channel or link is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nothing is wrong.
    #[error("done")]
    Done,
    /// No common version of the protocol.
    #[error("no common version")]
    Version,
    /// The other side sent what is no message, or none that belongs here.
    #[error("a message that makes no sense")]
    Protocol,
    /// The other side sent a record that does not verify or belongs elsewhere.
    #[error("a record that does not verify or belongs elsewhere")]
    BadRecord,
    /// The other side went over a limit.
    #[error("over a limit")]
    Limit,
    /// The other side takes nothing of what is sent to it.
    #[error("too slow")]
    TooSlow,
    /// This side cannot go on; its own fault.
    #[error("out of order")]
    Internal,
    /// Both stores have another session for this collection, which the other one opened.
    #[error("there is a session already")]
    Known,
}

/// One message, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// First on a channel, from the side that dialled.
    Open {
        /// The least version that it speaks.
        oldest: u16,
        /// The greatest version that it speaks.
        newest: u16,
        /// The collection.
        collection: CollectionId,
        /// Random, of the replica's store, so that a replica knows itself.
        replica: [u8; 16],
        /// What both sides compare.
        filter: Filter,
        /// What the sender has of it.
        summary: Summary,
    },
    /// The answer to `Open`.
    Welcome {
        /// The version that both speak.
        version: u16,
        /// As in `Open`.
        replica: [u8; 16],
        /// What this side has.
        summary: Summary,
    },
    /// A step of the reconciliation, from the side that opened, and its answers.
    Reconcile(Bytes),
    /// The side that opened has sent and received all that the reconciliation found.
    Reconciled,
    /// Records, each as [`Verified::sent`]: new ones, offered ones, asked ones.
    Records(Vec<Bytes>),
    /// The first so many records sent on this channel are durable here, or refused.
    Acknowledge(u64),
    /// A record was not taken.
    Refused {
        /// Which.
        digest: Digest,
        /// Why.
        reason: RefusalReason,
        /// In how many milliseconds to try again; not at all in this session if absent.
        retry_after: Option<u64>,
    },
    /// Asks for records.
    Want(Vec<Digest>),
    /// A wanted record was displaced.
    Gone {
        /// Which.
        digest: Digest,
        /// By which.
        successor: Digest,
    },
    /// A wanted record's text is not here.
    Absent(Digest),
    /// Asks for every record under a tag, at once.
    Ask {
        /// The asker's number for the question.
        id: u64,
        /// The tag.
        tag: Tag,
    },
    /// All records for an `Ask` have been sent.
    Told(u64),
    /// The last message on a channel.
    Close(CloseReason),
}

/// A message whose records are verified.
#[derive(Debug, Clone)]
pub enum Checked {
    /// Records, all of which hold.
    Records(Vec<Verified>),
    /// Any other.
    Plain(Message),
}

/// A peer sent what no honest peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Not a frame.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// Not a record.
    #[error(transparent)]
    Record(#[from] ParseError),
    /// A signature does not hold.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl Violation {
    /// What to tell the other side.
    #[must_use]
    pub const fn reason(&self) -> CloseReason {
        match self {
            Self::Frame(_) => CloseReason::Protocol,
            Self::Record(_) | Self::Signature(_) => CloseReason::BadRecord,
        }
    }
}

impl Message {
    /// Checks the records that the message carries, in one batch: those of the collection whose
    /// channel it came on. The random numbers must be unpredictable to the signers.
    ///
    /// # Errors
    /// [`Violation`] if one is no record or does not verify.
    pub fn check(
        self,
        id: &CollectionId,
        random: &mut impl CryptoRng,
    ) -> Result<Checked, Violation> {
        let Self::Records(sent) = self else {
            return Ok(Checked::Plain(self));
        };
        let signed: Result<Vec<_>, _> = (sent.into_iter())
            .map(|sent| Signed::parse_for(sent, id))
            .collect();
        let verified: Result<Vec<_>, _> =
            Signed::verify_batch(signed?, random).into_iter().collect();
        Ok(Checked::Records(verified?))
    }
}
