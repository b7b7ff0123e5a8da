//! A single record for a collection, from a request instead of a link.

use std::collections::BTreeMap;

use flexstore_core::storage::StorageError;
use flexstore_core::sync::{OfferError, Taken, Ticket};
use flexstore_core::wire::{CloseReason, RefusalReason};
use flexstore_core::{CollectionId, Verified};
use tokio::sync::oneshot;

use super::Hub;
use super::collection::Event;

/// Why a record was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PutError {
    /// The rules or the store do not admit it; when to try again, in milliseconds.
    Refused(RefusalReason, Option<u64>),
    /// It was taken, and then the store failed.
    NotStored(StorageError),
    /// The collection is not to be had.
    Closed(CloseReason),
}

impl From<OfferError> for PutError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Refused {
                reason,
                retry_after,
            } => Self::Refused(reason, retry_after),
            // Elsewhere: it was sent to the collection that it names.
            _ => Self::Closed(CloseReason::Internal),
        }
    }
}

pub(super) type Reply = oneshot::Sender<Result<Taken, PutError>>;

/// Records that are on their way to the disk, and who waits for that.
#[derive(Default)]
pub(super) struct Waiting(BTreeMap<Ticket, (Taken, Reply)>);

impl Waiting {
    pub(super) fn add(&mut self, ticket: Ticket, taken: Taken, reply: Reply) {
        self.0.insert(ticket, (taken, reply));
    }

    pub(super) fn tell(&mut self, ticket: Ticket, stored: Result<(), StorageError>) {
        if let Some((taken, reply)) = self.0.remove(&ticket) {
            let _ = reply.send(stored.map(|()| taken).map_err(PutError::NotStored));
        }
    }
}

impl Hub {
    /// Gives a record to its collection; answered when it is durable. Not to be dropped half-way:
    /// the collection would wait for an event that does not come.
    pub(crate) async fn put(self, id: CollectionId, record: Verified) -> Result<Taken, PutError> {
        let (from, inbox) = self.join(id).await.map_err(PutError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let put = Event::Put {
            record: Box::new(record),
            from,
            reply,
        };
        let sent = inbox.send(put).await;
        sent.map_err(|_| PutError::Closed(CloseReason::Internal))?;
        let internal = Err(PutError::Closed(CloseReason::Internal));
        answer.await.unwrap_or(internal)
    }
}
