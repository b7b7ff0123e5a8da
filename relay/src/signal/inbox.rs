//! What waits for one who may fetch it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::Refusal;
use super::ledger::{Address, Ledger, Reader};

/// About how many bytes are fetched at once; at least one message.
pub const MAX_FETCHED_BYTES: usize = 64 << 10;

/// A message, and on whose account it waits.
struct Parcel {
    bytes: Bytes,
    payer: Address,
}

/// Messages in order, kept until whoever fetched them says so by asking for what comes after.
#[derive(Default)]
pub(super) struct Inbox {
    /// The cursor of the first.
    first: u64,
    parcels: VecDeque<Parcel>,
    bell: Option<Arc<Notify>>,
}

/// What was fetched.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// These; what comes after them has this cursor.
    Messages(Vec<Bytes>, u64),
    /// Nothing yet. It rings when there may be something, also if that was before anybody listened.
    Nothing(Arc<Notify>),
}

impl Inbox {
    pub(super) fn len(&self) -> usize {
        self.parcels.len()
    }

    pub(super) fn put(
        &mut self,
        bytes: Bytes,
        payer: Address,
        reader: Reader,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        ledger.wait(payer, bytes.len(), reader)?;
        self.parcels.push_back(Parcel { bytes, payer });
        self.ring();
        Ok(())
    }

    /// Whoever waits looks again.
    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.notify_one();
        }
    }

    /// What follows a cursor; what is before it is forgotten.
    pub(super) fn fetch(&mut self, cursor: u64, ledger: &mut Ledger) -> Result<Fetched, Refusal> {
        let done = cursor.checked_sub(self.first).ok_or(Refusal::Cursor)?;
        let done = usize::try_from(done).map_err(|_| Refusal::Cursor)?;
        if done > self.parcels.len() {
            return Err(Refusal::Cursor);
        }
        for parcel in self.parcels.drain(..done) {
            ledger.fetched(parcel.payer, parcel.bytes.len());
        }
        self.first = cursor;
        let mut messages = Vec::new();
        let mut bytes = 0;
        for parcel in &self.parcels {
            bytes += parcel.bytes.len();
            if bytes > MAX_FETCHED_BYTES && !messages.is_empty() {
                break;
            }
            messages.push(parcel.bytes.clone());
        }
        if messages.is_empty() {
            let bell = self.bell.get_or_insert_default();
            return Ok(Fetched::Nothing(Arc::clone(bell)));
        }
        let next = cursor + messages.len() as u64;
        Ok(Fetched::Messages(messages, next))
    }

    /// Forgets all; whoever waits looks again.
    pub(super) fn clear(&mut self, ledger: &mut Ledger) {
        for parcel in self.parcels.drain(..) {
            ledger.fetched(parcel.payer, parcel.bytes.len());
        }
        self.ring();
    }
}
