//! Scans of one moment, which sled does not have: its iterator sees what is written while it runs.
//!
//! A scan reads a part of the range at a time. While it visits a part, batches may be applied; each
//! first leaves the old values of its keys with every scan under way, and the scan puts them back
//! in place in the parts that it reads later. So nobody waits for a visitor, and a visitor may read
//! and write.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use sled::IVec;

use super::fault;
use crate::backend::{Fault, Visit};

/// Pairs read at a time.
const PART: usize = 256;

/// The values that keys had when a scan began; `None` where there was none.
type Before = BTreeMap<Vec<u8>, Option<IVec>>;

#[derive(Default)]
pub(super) struct Views {
    /// Held for writing while a batch is applied, so that nobody sees half of one.
    applying: RwLock<()>,
    scans: Mutex<Vec<Arc<Mutex<Before>>>>,
}

impl Views {
    /// No batch is being applied while this is held.
    pub(super) fn quiet(&self) -> RwLockReadGuard<'_, ()> {
        self.applying.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn apply(
        &self,
        tree: &sled::Tree,
        keys: &[Vec<u8>],
        changes: sled::Batch,
    ) -> Result<(), Fault> {
        let _applying = self
            .applying
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for scan in lock(&self.scans).iter() {
            let mut before = lock(scan);
            for key in keys {
                if !before.contains_key(key) {
                    before.insert(key.clone(), tree.get(key).map_err(fault)?);
                }
            }
        }
        tree.apply_batch(changes).map_err(fault)
    }

    pub(super) fn scan(
        &self,
        tree: &sled::Tree,
        range: Range<Vec<u8>>,
        visit: Visit<'_>,
    ) -> Result<(), Fault> {
        let scan = Scan::begin(self);
        let mut from = Some(range.start);
        while let Some(start) = from.take() {
            let (part, rest) = {
                let _quiet = self.quiet();
                scan.part(tree, start, &range.end)?
            };
            for (key, value) in part {
                if visit(&key, &value).is_break() {
                    return Ok(());
                }
            }
            from = rest;
        }
        Ok(())
    }
}

struct Scan<'a> {
    views: &'a Views,
    before: Arc<Mutex<Before>>,
}

type Part = (BTreeMap<Vec<u8>, IVec>, Option<Vec<u8>>);

impl<'a> Scan<'a> {
    fn begin(views: &'a Views) -> Self {
        let before = Arc::new(Mutex::new(Before::new()));
        let _quiet = views.quiet();
        lock(&views.scans).push(Arc::clone(&before));
        Self { views, before }
    }

    /// The pairs of a part as they were when the scan began, and where the next part starts.
    fn part(&self, tree: &sled::Tree, start: Vec<u8>, end: &[u8]) -> Result<Part, Fault> {
        let mut pairs = BTreeMap::new();
        let mut next = None;
        for pair in tree.range(start.as_slice()..end) {
            let (key, value) = pair.map_err(fault)?;
            if pairs.len() == PART {
                next = Some(key.to_vec());
                break;
            }
            pairs.insert(key.to_vec(), value);
        }
        // What sled holds of the part ends where the next begins; so does what to put back.
        let until = next.as_deref().unwrap_or(end);
        for (key, value) in lock(&self.before).range(start..until.to_vec()) {
            match value {
                Some(value) => pairs.insert(key.clone(), value.clone()),
                None => pairs.remove(key),
            };
        }
        Ok((pairs, next))
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        lock(&self.views.scans).retain(|scan| !Arc::ptr_eq(scan, &self.before));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
