use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flexstore_core::register::Row;
use flexstore_core::{Digest, KeyTag, Tag};
use futures_core::Stream;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// Where a change came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Written by this peer.
    Written,
    /// Pushed by a service as it happened elsewhere.
    Pushed(Arc<str>),
    /// Found by comparing with a service, or fetched from it.
    Synced(Arc<str>),
    /// It was here; Team records that came tell otherwise of it: it is shown now, or no more.
    Judged,
}

/// A durable change of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    row: Row,
    source: Source,
}

impl Change {
    pub(crate) const fn new(row: Row, source: Source) -> Self {
        Self { row, source }
    }

    /// The tag that changed.
    #[must_use]
    pub const fn tag(&self) -> &Tag {
        &self.row.tag
    }

    /// The record that is new.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.row.stamp.digest
    }

    /// Whose item it is.
    #[must_use]
    pub const fn owner(&self) -> KeyTag {
        self.row.owner
    }

    /// Who wrote it.
    #[must_use]
    pub const fn author(&self) -> KeyTag {
        self.row.author
    }

    /// When it was written, in ms since 1970.
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.row.stamp.iat
    }

    /// Whether the item was removed.
    #[must_use]
    pub const fn is_removal(&self) -> bool {
        self.row.tombstone
    }

    /// Where it came from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }
}

/// The listener was too slow, and so many changes passed it by. What changed can be read from the
/// collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} changes were missed")]
pub struct Missed(pub u64);

/// A stream of changes.
pub struct Changes {
    stream: BroadcastStream<Change>,
}

impl Changes {
    pub(crate) fn new(receiver: broadcast::Receiver<Change>) -> Self {
        Self {
            stream: BroadcastStream::new(receiver),
        }
    }
}

impl Stream for Changes {
    type Item = Result<Change, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.stream).poll_next(cx);
        next.map_err(|BroadcastStreamRecvError::Lagged(count)| Missed(count))
    }
}
