//! What happens to a replica, and what it wants done.

use super::session::SessionId;
use crate::Digest;
use crate::register::Row;
use crate::storage::{Progress, StorageError};
use crate::wire::{Checked, CloseReason, Message, RefusalReason};

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A link to a peer is there. The side that dialled opens.
    Connected {
        /// A number that no session has had.
        session: SessionId,
        /// Whether this side opens.
        opens: bool,
    },
    /// A message came.
    Received {
        /// From whom.
        session: SessionId,
        /// Checked.
        message: Checked,
    },
    /// The link is gone.
    Disconnected(SessionId),
    /// The store's word.
    Stored(Progress),
    /// The store has new Team records or pins, which another replica of it took.
    TeamsChanged,
    /// The time of [`Replica::next_timeout`](super::Replica::next_timeout) has come.
    Timeout,
}

/// What is to be done, or told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send a message to a peer.
    Send {
        /// To whom.
        session: SessionId,
        /// What.
        message: Message,
    },
    /// The session is over; close the link and say why.
    Close {
        /// Which.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// The set changed, durably.
    Update(Update),
    /// A write of this replica's is durable.
    Stored(Ticket),
    /// A write of this replica's is not durable, and may be gone.
    NotStored(Ticket, StorageError),
    /// A session has nothing more to compare or transfer, and is live.
    Synchronized {
        /// Which.
        session: SessionId,
    },
    /// How far a session is.
    Progress {
        /// Which.
        session: SessionId,
        /// How far.
        transfer: Transfer,
    },
    /// A peer did not take a record.
    Refused {
        /// Which peer.
        session: SessionId,
        /// Which record.
        digest: Digest,
        /// Why.
        reason: RefusalReason,
    },
    /// All peers that were asked for a tag have answered or gone.
    Answered(AskId),
}

/// How far a session is, since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfer {
    /// Records sent.
    pub sent: u64,
    /// Of them, known to be durable at the peer, or refused.
    pub acknowledged: u64,
    /// Records sent and known to be sent yet.
    pub to_send: u64,
    /// Records received.
    pub received: u64,
    /// Records received and known to be received yet.
    pub to_receive: u64,
    /// Bytes of the records sent.
    pub sent_bytes: u64,
    /// Bytes of the records received.
    pub received_bytes: u64,
}

impl Transfer {
    /// Bytes sent and to be sent, by the mean of those sent so far.
    #[must_use]
    pub const fn to_send_bytes(&self) -> u64 {
        extrapolate(self.sent_bytes, self.sent, self.to_send)
    }

    /// Bytes received and to be received, by the mean of those received so far.
    #[must_use]
    pub const fn to_receive_bytes(&self) -> u64 {
        extrapolate(self.received_bytes, self.received, self.to_receive)
    }
}

const fn extrapolate(bytes: u64, done: u64, all: u64) -> u64 {
    if done == 0 {
        0
    } else {
        (bytes as u128 * all as u128 / done as u128) as u64
    }
}

/// A write on its way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A question to the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Where a change came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Written here.
    Written,
    /// Pushed live by a peer.
    Pushed(SessionId),
    /// Transferred by a reconciliation, or on demand.
    Synced(SessionId),
    /// It was here, and Team records that came tell otherwise of it now.
    Judged,
}

impl Origin {
    pub(super) const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Written | Self::Judged => None,
            Self::Pushed(session) | Self::Synced(session) => Some(*session),
        }
    }
}

/// A durable change of the set.
#[derive(Debug, Clone)]
pub struct Update {
    /// The record that is new.
    pub row: Row,
    /// Where it came from.
    pub origin: Origin,
}
