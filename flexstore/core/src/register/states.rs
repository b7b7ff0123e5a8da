//! Versions by their state, under which the JavaScript original keeps them apart from their
//! subjects. Only collections of the js profile have these entries.

use std::ops::ControlFlow;

use super::{Register, Row, after};
use crate::storage::{Batch, StorageError, Table};
use crate::{Digest, Kind, Profile};

/// A version, or a tombstone of one, found by its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Its row.
    pub row: Row,
    /// Whether it is of the set; otherwise another displaced it, and it rests.
    pub stays: bool,
}

impl Register {
    /// The versions of a state, and the tombstones that name it. More than one where several
    /// owners or authors signed it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn of_state(&self, state: &Digest) -> Result<Vec<Stated>, StorageError> {
        let prefix = self.state_prefix(state);
        let mut keys = Vec::new();
        self.storage
            .scan(Table::Body, &prefix, &after(&prefix), &mut |_, key| {
                keys.push(key.to_vec());
                ControlFlow::Continue(())
            })?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            for (place, stays) in [(&self.place, true), (&self.shade, false)] {
                let key = [&place[..], &key].concat();
                if let Some(value) = self.storage.get(Table::Register, &key)? {
                    let row = Row::read(&key, &value).ok_or(StorageError::Damaged)?;
                    found.push(Stated { row, stays });
                    break;
                }
            }
        }
        Ok(found)
    }

    /// At most so many states after one, ascending by their bytes, whatever became of them.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn states_after(
        &self,
        state: Option<&Digest>,
        most: usize,
    ) -> Result<Vec<Digest>, StorageError> {
        let place = self.states_place();
        let from = state.map_or_else(|| place.to_vec(), |state| after(&self.state_prefix(state)));
        let mut found: Vec<Digest> = Vec::new();
        self.storage
            .scan(Table::Body, &from, &after(&place), &mut |key, _| {
                let state = key.get(16..48).and_then(|state| state.try_into().ok());
                let state = state.map(Digest::from_bytes);
                if let Some(state) = state.filter(|state| found.last() != Some(state)) {
                    if found.len() >= most {
                        return ControlFlow::Break(());
                    }
                    found.push(state);
                }
                ControlFlow::Continue(())
            })?;
        Ok(found)
    }

    pub(crate) fn note_state(&self, batch: &mut Batch, row: &Row) {
        if let Some(state) = row.state.filter(|_| self.has_states()) {
            let key = self.state_key(&state, &row.stamp.digest);
            batch.put(Table::Body, key, self.row_key(row)[16..].to_vec());
        }
    }

    /// The state of a row that rests, of which this is the rest of the key.
    pub(super) fn state_of(&self, key: &[u8]) -> Result<Option<Digest>, StorageError> {
        if key.is_empty() || !self.has_states() {
            return Ok(None);
        }
        let key = [&self.shade[..], key].concat();
        let value = self.storage.get(Table::Register, &key)?;
        Ok(value.and_then(|value| Row::read(&key, &value)?.state))
    }

    pub(super) fn state_key(&self, state: &Digest, digest: &Digest) -> Vec<u8> {
        let mut key = self.state_prefix(state);
        key.extend_from_slice(digest.as_bytes());
        key
    }

    fn state_prefix(&self, state: &Digest) -> Vec<u8> {
        [&self.states_place()[..], state.as_bytes()].concat()
    }

    fn states_place(&self) -> [u8; 16] {
        self.place_of(b"states")
    }

    fn has_states(&self) -> bool {
        self.id.profile() == Profile::JavaScript && self.id.kind() == Kind::Versioned
    }

    /// Where entries of another use begin.
    pub(super) fn place_of(&self, use_: &[u8]) -> [u8; 16] {
        let digest = Digest::of_parts(&[use_, self.id.as_str().as_bytes()]);
        let mut place = [0; 16];
        place.copy_from_slice(&digest.as_bytes()[..16]);
        place
    }
}
