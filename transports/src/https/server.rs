//! The server's ends of links, for whatever speaks HTTP to find by their ids.

mod down;
mod shared;
mod up;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{Link, Protocol, Side};
use flexstore_core::{decode_base64url, encode_base64url};
use getrandom::SysRng;
use getrandom::rand_core::TryRng as _;

pub use self::down::Events;
use self::down::Outgoing;
use self::shared::Shared;
use self::up::Incoming;
use super::{HEARTBEAT, Over};

/// The id of a link: who knows it, speaks for its client.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId([u8; 16]);

impl LinkId {
    /// As a header has it.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        decode_base64url(text)?.try_into().ok().map(Self)
    }

    /// For a header.
    #[must_use]
    pub fn text(&self) -> String {
        encode_base64url(&self.0)
    }
}

impl fmt::Debug for LinkId {
    /// Without the id, which is as good as a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkId(..)")
    }
}

/// Why a request for a link is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no such link, or no more.
    #[error("no such link")]
    Unknown,
    /// There are as many links as there may be.
    #[error("too many links")]
    Full,
    /// There is no room yet; to be sent again.
    #[error("no room yet")]
    Busy,
    /// A place in the stream that no honest client names.
    #[error("not a place in the stream")]
    OutOfPlace,
}

type Open = Mutex<HashMap<LinkId, Arc<Shared>>>;

/// All links of a server.
#[derive(Clone)]
pub struct Links {
    open: Arc<Open>,
    most: usize,
    heartbeat: Duration,
}

impl Links {
    /// At most so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
            heartbeat: HEARTBEAT,
        }
    }

    /// A new link to a client with this address.
    ///
    /// # Errors
    /// [`Refused::Full`].
    pub fn open(&self, name: &str) -> Result<(LinkId, Link), Refused> {
        let mut id = [0; 16];
        SysRng.try_fill_bytes(&mut id).map_err(|_| Refused::Full)?;
        let id = LinkId(id);
        let (shared, pieces) = Shared::new();
        let shared = Arc::new(shared);
        {
            let mut open = lock(&self.open);
            if open.len() >= self.most {
                return Err(Refused::Full);
            }
            open.insert(id, Arc::clone(&shared));
        }
        let entry = Entry {
            open: Arc::downgrade(&self.open),
            id,
        };
        let link = Link {
            incoming: Box::pin(Incoming::new(
                Arc::clone(&shared),
                pieces,
                self.heartbeat,
                entry,
            )),
            outgoing: Box::pin(Outgoing::new(shared)),
            name: name.into(),
            side: Side::Accepted,
            protocol: Protocol::Native,
        };
        Ok((id, link))
    }

    /// The stream of events, from the frame after `last` on. A stream that there was before ends.
    ///
    /// # Errors
    /// [`Refused::Unknown`] or [`Refused::OutOfPlace`].
    pub fn events(&self, id: &LinkId, last: u64) -> Result<Events, Refused> {
        Events::attach(self.find(id)?, last, self.heartbeat)
    }

    /// Takes a body that begins at a place of the stream, when it is its turn and there is room.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn take(&self, id: &LinkId, at: u64, seen: u64, body: Bytes) -> Result<(), Refused> {
        self.find(id)?.take(at, seen, body).await
    }

    /// The client closes the link; what it sent before is still delivered.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn close(&self, id: &LinkId) -> Result<(), Refused> {
        self.find(id)?.end(Over::Closed);
        Ok(())
    }

    fn find(&self, id: &LinkId) -> Result<Arc<Shared>, Refused> {
        lock(&self.open).get(id).cloned().ok_or(Refused::Unknown)
    }
}

fn lock(open: &Open) -> std::sync::MutexGuard<'_, HashMap<LinkId, Arc<Shared>>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link's place among all, until nobody reads it any more.
struct Entry {
    open: Weak<Open>,
    id: LinkId,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(open) = self.open.upgrade() {
            lock(&open).remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests;
