//! A storage that fails when it is told to.

use std::collections::BTreeMap;
use std::mem;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flexstore_core::storage::{
    Batch, Change, MemoryStorage, Observer, Progress, Sequence, Storage, StorageError, Table,
};

/// A store in memory whose durability, room and fsync a test holds in its hand.
///
/// Without being told otherwise it makes every batch durable at once.
///
/// ```
/// use flexstore_core::storage::{Batch, Storage, Table};
/// use flexstore_testkit::storage::FaultyStorage;
///
/// let store = FaultyStorage::new();
/// store.hold();
/// let mut batch = Batch::new();
/// batch.put(Table::Meta, "name", "value");
/// store.submit(batch)?;
/// // Visible, but not durable: gone after a crash.
/// assert!(store.get(Table::Meta, b"name")?.is_some());
/// let store = store.crash();
/// assert!(store.get(Table::Meta, b"name")?.is_none());
/// # Ok::<(), flexstore_core::storage::StorageError>(())
/// ```
#[derive(Default)]
pub struct FaultyStorage {
    state: Mutex<State>,
    /// Apart from the state, so that who is told may read and write.
    observers: Mutex<Vec<Arc<Observer>>>,
}

#[derive(Default)]
struct State {
    visible: Arc<MemoryStorage>,
    durable: BTreeMap<(Table, Bytes), Bytes>,
    pending: Vec<Change>,
    submitted: Sequence,
    settled: Sequence,
    held: bool,
    full: bool,
    read_only: bool,
}

impl FaultyStorage {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on batches stay pending until [`release`](Self::release).
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// Makes durable what is pending, and from now on every batch at once.
    pub fn release(&self) {
        self.state().held = false;
        self.settle();
    }

    /// Makes durable what is pending; what comes after is held if this was.
    pub fn settle(&self) {
        let mut state = self.state();
        let pending = mem::take(&mut state.pending);
        for change in pending {
            let key = (change.table, change.key);
            match change.value {
                Some(value) => state.durable.insert(key, value),
                None => state.durable.remove(&key),
            };
        }
        let news = state.settled < state.submitted;
        state.settled = state.submitted;
        let progress = Progress::Durable(state.settled);
        drop(state);
        if news {
            self.tell(progress);
        }
    }

    /// Whether the disk is full from now on: then batches are refused with
    /// [`StorageError::Full`].
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// How many batches are neither durable nor failed.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let state = self.state();
        state.submitted.0 - state.settled.0
    }

    /// Fails the pending fsync: what is pending is dropped and [`Progress::Failed`] is told. The
    /// store is read-only from now on; [`crash`](Self::crash) is the way out.
    pub fn fail_sync(&self) {
        let mut state = self.state();
        state.read_only = true;
        state.pending.clear();
        state.visible = load(&state.durable);
        state.settled = state.submitted;
        let progress = Progress::Failed(state.settled);
        drop(state);
        self.tell(progress);
    }

    /// The store as it is after a crash and a restart: with what is durable and nothing else,
    /// nobody watching, and nothing wrong with it. This one stays as it is.
    #[must_use]
    pub fn crash(&self) -> Self {
        let durable = self.state().durable.clone();
        Self {
            state: Mutex::new(State {
                visible: load(&durable),
                durable,
                ..State::default()
            }),
            observers: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, progress: Progress) {
        let observers = self
            .observers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for observer in observers {
            observer(progress);
        }
    }
}

fn load(durable: &BTreeMap<(Table, Bytes), Bytes>) -> Arc<MemoryStorage> {
    let mut batch = Batch::new();
    for ((table, key), value) in durable {
        batch.put(*table, key.clone(), value.clone());
    }
    let store = MemoryStorage::new();
    // Memory takes every batch.
    drop(store.submit(batch));
    Arc::new(store)
}

impl Storage for FaultyStorage {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let visible = Arc::clone(&self.state().visible);
        visible.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let visible = Arc::clone(&self.state().visible);
        visible.scan(table, from, to, visit)
    }

    fn submit(&self, batch: Batch) -> Result<Sequence, StorageError> {
        let mut state = self.state();
        if state.read_only {
            return Err(StorageError::ReadOnly);
        }
        if state.full {
            return Err(StorageError::Full);
        }
        state.pending.extend_from_slice(batch.changes());
        state.visible.submit(batch)?;
        state.submitted.0 += 1;
        let (sequence, held) = (state.submitted, state.held);
        drop(state);
        if !held {
            self.settle();
        }
        Ok(sequence)
    }

    fn watch(&self, observer: Observer) {
        self.observers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(observer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance;

    fn put(store: &FaultyStorage, key: &'static str) -> Result<Sequence, StorageError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, key, "v");
        store.submit(batch)
    }

    fn has(store: &FaultyStorage, key: &str) -> bool {
        store.get(Table::Meta, key.as_bytes()).unwrap().is_some()
    }

    #[test]
    fn behaves_while_nothing_is_asked() {
        conformance::behaves(&|| Arc::new(FaultyStorage::new()));
    }

    #[test]
    fn memory_behaves() {
        conformance::behaves(&|| Arc::new(MemoryStorage::new()));
    }

    #[test]
    fn durability_waits_until_released() {
        let store = FaultyStorage::new();
        let told = conformance::watch(&store);
        put(&store, "a").unwrap();
        assert_eq!(told.try_recv(), Ok(Progress::Durable(Sequence(1))));
        store.hold();
        put(&store, "b").unwrap();
        put(&store, "c").unwrap();
        assert!(told.try_recv().is_err());
        assert_eq!(store.pending(), 2);
        assert!(has(&store, "c"));
        assert!(!has(&store.crash(), "b") && has(&store.crash(), "a"));
        store.release();
        assert_eq!(told.try_recv(), Ok(Progress::Durable(Sequence(3))));
        assert!(has(&store.crash(), "c"));
    }

    #[test]
    fn a_full_disk_refuses_and_recovers() {
        let store = FaultyStorage::new();
        store.set_full(true);
        assert_eq!(put(&store, "a"), Err(StorageError::Full));
        assert!(!has(&store, "a"));
        store.set_full(false);
        assert_eq!(put(&store, "a"), Ok(Sequence(1)));
    }

    #[test]
    fn a_failed_fsync_drops_what_is_pending_for_good() {
        let store = FaultyStorage::new();
        let told = conformance::watch(&store);
        put(&store, "a").unwrap();
        store.hold();
        put(&store, "b").unwrap();
        store.fail_sync();
        assert_eq!(told.try_recv(), Ok(Progress::Durable(Sequence(1))));
        assert_eq!(told.try_recv(), Ok(Progress::Failed(Sequence(2))));
        assert!(has(&store, "a") && !has(&store, "b"));
        assert_eq!(put(&store, "c"), Err(StorageError::ReadOnly));
        let store = store.crash();
        assert_eq!(put(&store, "c"), Ok(Sequence(1)));
    }
}
