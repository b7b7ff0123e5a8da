//! Where bytes rest: get, scan, atomic durable batches.

mod memory;

use std::ops::ControlFlow;

use bytes::Bytes;
pub use memory::MemoryStorage;

/// The key spaces of a store. Keys and values are opaque bytes to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Few and small: collection numbers, settings.
    Meta = 0,
    /// One small row a record of the set, ordered by tag.
    Register = 1,
    /// The text of each record, keyed by digest.
    Body = 2,
    /// One small row for each displaced record that waits for its space to be freed.
    Resting = 3,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Meta, Self::Register, Self::Body, Self::Resting];
}

/// One change of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key space.
    pub table: Table,
    /// The key.
    pub key: Bytes,
    /// The new value; `None` removes the key.
    pub value: Option<Bytes>,
}

/// Changes that take effect together or not at all, also across a crash. Where one key is named
/// twice, the later change counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            changes: Vec::new(),
        }
    }

    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change {
            table,
            key: key.into(),
            value: Some(value.into()),
        });
    }

    /// Removes a key; no error if it is not there.
    pub fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        self.changes.push(Change {
            table,
            key: key.into(),
            value: None,
        });
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes, in order.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }
}

/// The place of a batch in the order in which a store took them; 1 is the first since it was
/// opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// What became of submitted batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every batch up to and with this one survives a crash and a power loss.
    Durable(Sequence),
    /// Batches after the last durable one, up to and with this one, are not durable: they may
    /// or may not be there after a restart. Nothing of them may be acknowledged.
    Failed(Sequence),
}

/// What became of all batches so far, in a form that several can read at their own pace: no
/// failure is lost between two looks, and the successes do not pile up.
///
/// ```
/// use flexstore_core::storage::{History, Progress, Sequence};
///
/// let mut history = History::default();
/// let mut cursor = 0;
/// for n in 1..=3 {
///     history.push(Progress::Durable(Sequence(n)));
/// }
/// history.push(Progress::Failed(Sequence(5)));
/// let news = [Progress::Durable(Sequence(3)), Progress::Failed(Sequence(5))];
/// assert_eq!(history.since(&mut cursor), news);
/// ```
#[derive(Debug, Clone, Default)]
pub struct History(Vec<Progress>);

impl History {
    /// Adds the latest.
    pub fn push(&mut self, progress: Progress) {
        match (self.0.last_mut(), progress) {
            (Some(Progress::Durable(last)), Progress::Durable(sequence)) => *last = sequence,
            _ => self.0.push(progress),
        }
    }

    /// What was added since the reader's last look, at most one success repeated.
    pub fn since(&self, cursor: &mut usize) -> &[Progress] {
        let from = (*cursor).min(self.0.len());
        *cursor = self.0.len().saturating_sub(1);
        &self.0[from..]
    }
}

/// Told of [`Progress`], from a thread of the store's; returns at once.
pub type Observer = Box<dyn Fn(Progress) + Send + Sync>;

/// Sees one pair of a scan; breaks to end it.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Why a store does not answer or take a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The disk is full. Reads go on; writes go on once there is room.
    #[error("the disk is full")]
    Full,
    /// The store takes no more writes until the process restarts, since an fsync failed and what
    /// the disk holds is not known.
    #[error("the store is read-only until restart: writing to the disk failed")]
    ReadOnly,
    /// A stored value is not what was written.
    #[error("the store is damaged")]
    Damaged,
    /// The engine failed in another way; its own words.
    #[error("storage: {0}")]
    Engine(std::sync::Arc<str>),
}

/// A key-value store with atomic, durable batches.
///
/// Submitted changes are visible to `get` and `scan` at once, before they are durable; nobody is
/// told that something is stored until [`Progress::Durable`] says so. All implementations pass
/// the conformance suite in `flexstore-testkit`.
///
/// ```
/// use flexstore_core::storage::{Batch, MemoryStorage, Storage, Table};
///
/// let store = MemoryStorage::new();
/// let mut batch = Batch::new();
/// batch.put(Table::Meta, "name", "value");
/// store.submit(batch)?;
/// assert_eq!(store.get(Table::Meta, b"name")?.as_deref(), Some(&b"value"[..]));
/// # Ok::<(), flexstore_core::storage::StorageError>(())
/// ```
pub trait Storage: Send + Sync {
    /// The value under a key.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Visits the pairs with `from <= key < to` in ascending order of key, until the visitor
    /// breaks. The view is that of one moment; the visitor may read and write the store.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read; pairs visited until then are right.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: Visitor<'_>,
    ) -> Result<(), StorageError>;

    /// Takes a batch and returns at once, without waiting for the disk.
    ///
    /// # Errors
    /// [`StorageError`] if nothing of the batch was taken.
    fn submit(&self, batch: Batch) -> Result<Sequence, StorageError>;

    /// Registers who is told of [`Progress`]. Several can be registered; a store keeps them for
    /// as long as it lives.
    fn watch(&self, observer: Observer);
}
