//! What the store asks of an engine, and the keys that it stores.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flexstore_core::storage::{Batch, StorageError, Table};

use crate::open::{OpenError, Options};

/// The longest key: fjall's limit of 65,535 bytes less the table's.
pub(crate) const MAX_KEY: usize = 65_534;

/// The longest value; fjall's limit. A batch past it would panic inside the engine.
pub(crate) const MAX_VALUE: usize = u32::MAX as usize;

/// Who is shown the pairs of a scan.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// One engine. The store calls `commit` from one thread at a time and never after a fault other
/// than [`Fault::NoRoom`].
pub(crate) trait Backend: Send + Sync + Sized + 'static {
    /// Opens the engine's files in a directory of its own, or makes them in a `new` one. Files
    /// that are missing from another are damage, never a reason to begin anew.
    fn open(dir: &Path, new: bool, options: &Options) -> Result<Self, OpenError>;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault>;

    fn scan(&self, table: Table, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), Fault>;

    /// Applies a batch, visible to reads and whole or absent after a crash. No fsync.
    fn commit(&self, batch: Batch) -> Result<(), Fault>;

    /// Makes durable what was committed before the call.
    fn sync(&self) -> Result<(), Fault>;

    /// Writes down how far the engine is durable, after that was told; exactly, if nothing has come
    /// for a while.
    fn settle(&self, quiet: bool) -> Result<(), Fault>;

    /// Ends the engine so that the next opening has nothing to replay.
    fn close(self);

    /// Ends the engine after [`Fault::Full`], so that it can be opened again and holds nothing of
    /// the batch that failed.
    fn abandon(self);
}

/// How an engine fails.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No room for this batch; the engine is as it was.
    NoRoom,
    /// The disk ran full while the engine wrote: it has to be opened again.
    Full,
    /// An fsync failed: what the disk holds is not known.
    Sync(io::Error),
    /// The engine stopped itself for a reason that it does not tell.
    Stopped,
    /// What was read is not what was written.
    Damaged,
    /// Another failure, in the engine's words.
    Engine(Arc<str>),
}

impl Fault {
    pub(crate) fn engine(words: &impl ToString) -> Self {
        Self::Engine(words.to_string().into())
    }

    /// What a reader is told.
    pub(crate) fn of_read(self) -> StorageError {
        match self {
            Self::NoRoom | Self::Full => StorageError::Full,
            Self::Damaged => StorageError::Damaged,
            Self::Sync(error) => StorageError::Engine(error.to_string().into()),
            Self::Stopped => StorageError::Engine("the engine stopped".into()),
            Self::Engine(words) => StorageError::Engine(words),
        }
    }
}

/// Whether an I/O error says that there is no room: ENOSPC or EDQUOT.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// What an engine's I/O error at opening means: a file that it counts on is gone or cut short, or
/// the system refused.
pub(crate) fn open_io(error: io::Error) -> OpenError {
    use io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotFound, UnexpectedEof};
    match error.kind() {
        NotFound | UnexpectedEof | AlreadyExists | InvalidData | InvalidInput => {
            OpenError::Damaged(error.to_string().into())
        }
        _ => error.into(),
    }
}

/// A key as it is stored. The table's byte in front lets sled keep every table in one tree, which
/// its atomic batches need, and gives fjall the empty key, at which it panics otherwise.
pub(crate) fn stored_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.push(table as u8);
    stored.extend_from_slice(key);
    stored
}

/// The key of a stored key.
pub(crate) fn bare_key(stored: &[u8]) -> &[u8] {
    stored.get(1..).unwrap_or_default()
}
