//! Which Team records came, in order, and how far a collection has heeded them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::key_tag;
use crate::register::Place;
use crate::storage::{Batch, Storage, StorageError, Table};
use crate::{CollectionId, KeyTag, Profile};

pub(super) const NATIVE: u8 = b't';
const JAVASCRIPT: u8 = b'T';

/// How many changes of Team records a collection has heeded; under the js profile of both kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heeded {
    native: u64,
    javascript: u64,
}

impl Heeded {
    /// As noted in a store for a collection; of one that holds Team records, how many there are.
    pub(crate) fn read(
        storage: &dyn Storage,
        id: &CollectionId,
        place: &Place,
    ) -> Result<Self, StorageError> {
        if id.holds_teams() {
            let mut all = Self::default();
            all.advance(storage, id.profile())?;
            return Ok(all);
        }
        let value = storage.get(Table::Meta, &key(place))?.unwrap_or_default();
        let (native, javascript) = value.split_at(value.len().min(8));
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
        Ok(Self {
            native: number(native),
            javascript: number(javascript),
        })
    }

    /// Notes it.
    pub(crate) fn note(self, batch: &mut Batch, place: &Place) {
        let mut value = self.native.to_be_bytes().to_vec();
        if self.javascript > 0 {
            value.extend_from_slice(&self.javascript.to_be_bytes());
        }
        batch.put(Table::Meta, key(place), value);
    }

    /// The teams whose records came since; from now on they are heeded.
    pub(crate) fn advance(
        &mut self,
        storage: &dyn Storage,
        profile: Profile,
    ) -> Result<BTreeSet<KeyTag>, StorageError> {
        let (mut teams, native) = teams_since(storage, NATIVE, self.native)?;
        if profile == Profile::JavaScript {
            let (more, javascript) = teams_since(storage, JAVASCRIPT, self.javascript)?;
            self.javascript = javascript;
            teams.extend(more);
        }
        self.native = native;
        Ok(teams)
    }

    /// Notes that a record of a team came to a collection of Team records.
    pub(crate) fn tell(&mut self, batch: &mut Batch, id: &CollectionId, team: &KeyTag) {
        let (log, number) = match id.profile() {
            Profile::Native => (NATIVE, &mut self.native),
            Profile::JavaScript => (JAVASCRIPT, &mut self.javascript),
        };
        let key = change_key(log, *number);
        batch.put(Table::Meta, key, team.as_bytes().to_vec());
        *number += 1;
    }
}

/// The teams whose records came, in order, from a number on; and the number after the last.
pub(super) fn teams_since(
    storage: &dyn Storage,
    log: u8,
    from: u64,
) -> Result<(BTreeSet<KeyTag>, u64), StorageError> {
    let (mut teams, mut next) = (BTreeSet::new(), from);
    let key = change_key(log, from);
    storage.scan(Table::Meta, &key, &[log + 1], &mut |key, team| {
        if let Some(number) = key.get(1..).and_then(|n| n.try_into().ok()) {
            next = u64::from_be_bytes(number) + 1;
            teams.extend(key_tag(team));
        }
        ControlFlow::Continue(())
    })?;
    Ok((teams, next))
}

fn change_key(log: u8, number: u64) -> Vec<u8> {
    [&[log][..], &number.to_be_bytes()].concat()
}

fn key(place: &Place) -> Vec<u8> {
    [b"g", &place[..]].concat()
}
