//! A single record from outside of any session, as a request over HTTP brings it.

use super::event::{Origin, Ticket};
use super::replica::{Admitted, Effect, Replica};
use super::session::SessionId;
use super::writing::Refusal;
use crate::Verified;
use crate::record::Stamp;
use crate::wire::RefusalReason;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is of the set from now on.
    New,
    /// It was already.
    Known,
    /// This record displaces it.
    Displaced {
        /// Time and digest of the one that stands.
        by: Stamp,
        /// Whether that one deletes.
        tombstone: bool,
    },
}

/// A record that was taken. What became of it holds when
/// [`Output::Stored`](super::Output::Stored) comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// For [`Output::Stored`](super::Output::Stored).
    pub ticket: Ticket,
    /// What became of it.
    pub placed: Placed,
}

impl Replica {
    /// Takes a record as if a peer had pushed it. `from` is a number that no session has.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was written. A record of another collection is against policy.
    pub fn put(&mut self, now: u64, record: &Verified, from: SessionId) -> Result<Put, Refusal> {
        if record.header().collection != *self.register.id() {
            return Err((RefusalReason::Policy, None));
        }
        let placed = match self.take(now, record, Origin::Pushed(from))? {
            Admitted::New => Placed::New,
            Admitted::Known => Placed::Known,
            Admitted::Displaced(by) => Placed::Displaced {
                by: by.stamp,
                tombstone: by.tombstone,
            },
        };
        let ticket = Ticket(self.number());
        self.work.effects.push(Effect::Written(ticket));
        Ok(Put { ticket, placed })
    }
}
