use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

use super::{Batch, Observer, Progress, Sequence, Storage, StorageError, Table, Visitor};

type Maps = [BTreeMap<Bytes, Bytes>; Table::ALL.len()];

/// A store that forgets everything when it is dropped, and calls every batch durable at once.
/// For tests, and for apps that keep nothing.
#[derive(Default)]
pub struct MemoryStorage {
    /// Shared with the scans under way, so that a visitor may call the store: a batch that comes
    /// meanwhile copies the maps and leaves the scans theirs.
    maps: RwLock<Arc<Maps>>,
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    last: u64,
    observers: Vec<Observer>,
}

impl MemoryStorage {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        Ok(maps[table as usize].get(key).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: Visitor<'_>,
    ) -> Result<(), StorageError> {
        if from >= to {
            return Ok(());
        }
        let maps = Arc::clone(&self.maps.read().unwrap_or_else(PoisonError::into_inner));
        let range = (Bound::Included(from), Bound::Excluded(to));
        for (key, value) in maps[table as usize].range::<[u8], _>(range) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn submit(&self, batch: Batch) -> Result<Sequence, StorageError> {
        let mut order = self.order();
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::make_mut(&mut maps);
        for change in batch.into_changes() {
            let map = &mut current[change.table as usize];
            match change.value {
                Some(value) => map.insert(change.key, value),
                None => map.remove(&change.key),
            };
        }
        drop(maps);
        order.last += 1;
        let sequence = Sequence(order.last);
        for observer in &order.observers {
            observer(Progress::Durable(sequence));
        }
        Ok(sequence)
    }

    fn watch(&self, observer: Observer) {
        self.order().observers.push(observer);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    #[test]
    fn a_visitor_may_submit() {
        let store = MemoryStorage::new();
        for key in ["a", "b"] {
            let mut batch = Batch::new();
            batch.put(Table::Meta, key, key);
            store.submit(batch).unwrap();
        }
        let mut seen = 0;
        let mut visit = |key: &[u8], _: &[u8]| {
            seen += 1;
            let mut batch = Batch::new();
            batch.put(Table::Meta, [key, b"x"].concat(), "new");
            batch.delete(Table::Meta, "b");
            store.submit(batch).unwrap();
            ControlFlow::Continue(())
        };
        store.scan(Table::Meta, b"", b"z", &mut visit).unwrap();
        assert_eq!(seen, 2);
    }
}
