//! Team records, pins and judgements in a store.
//!
//! ```text
//! Meta  "p" ‖ team                 ->  digest of a record that is in force
//! Meta  "t" ‖ number               ->  team: one entry for each Team record, in order of arrival
//! Meta  "g" ‖ place                ->  number: so many entries have been heeded in a collection
//! Meta  "j" ‖ place ‖ owner        ->  fingerprint of the judgement by which its rows stand
//!                                      ‖ the other teams that were consulted for it
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Standing;
use super::judge::{Teams, judge};
use super::judgement::Judgement;
use super::team::TeamRecord;
use crate::register::{Place, Register};
use crate::storage::{Batch, Storage, StorageError, Table};
use crate::{CollectionId, Digest, KeyTag};

/// Judgements and parsed records that are remembered; past it, all are forgotten and read again.
const MAX_REMEMBERED: usize = 4096;

/// Notes in a batch that a record of a team is in force, whatever others there are.
pub(crate) fn pin(batch: &mut Batch, team: &KeyTag, record: &Digest) {
    batch.put(Table::Meta, pin_key(team), record.as_bytes().to_vec());
}

/// All pins of a store.
///
/// # Errors
/// [`StorageError`].
pub fn pins(storage: &dyn Storage) -> Result<BTreeMap<KeyTag, Digest>, StorageError> {
    let mut pins = BTreeMap::new();
    storage.scan(Table::Meta, b"p", b"q", &mut |key, value| {
        if let (Some(team), Ok(first)) = (key.get(1..).and_then(key_tag), value.try_into()) {
            pins.insert(team, Digest::from_bytes(first));
        }
        ControlFlow::Continue(())
    })?;
    Ok(pins)
}

fn key_tag(bytes: &[u8]) -> Option<KeyTag> {
    Some(KeyTag::from_bytes(bytes.try_into().ok()?))
}

fn pin_key(team: &KeyTag) -> Vec<u8> {
    [b"p", &team.as_bytes()[..]].concat()
}

/// The Team records of a store.
struct Source {
    register: Register,
    parsed: BTreeMap<Digest, Arc<TeamRecord>>,
}

impl Teams for Source {
    fn records(&mut self, team: &KeyTag) -> Result<Vec<Arc<TeamRecord>>, StorageError> {
        let rows = self.register.group(&team.tag(), team)?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            let digest = row.stamp.digest;
            let parsed = match self.parsed.get(&digest) {
                Some(parsed) => Arc::clone(parsed),
                None => {
                    let Some(record) = self.register.record(&digest)? else {
                        continue;
                    };
                    let record = TeamRecord::of(&record).map_err(|_| StorageError::Damaged)?;
                    if self.parsed.len() >= MAX_REMEMBERED {
                        self.parsed.clear();
                    }
                    let record = Arc::new(record);
                    self.parsed.insert(digest, Arc::clone(&record));
                    record
                }
            };
            records.push(parsed);
        }
        Ok(records)
    }

    fn pin(&mut self, team: &KeyTag) -> Result<Option<Digest>, StorageError> {
        let value = self.register.storage().get(Table::Meta, &pin_key(team))?;
        value
            .map(|value| {
                let bytes = value[..].try_into().map_err(|_| StorageError::Damaged)?;
                Ok(Digest::from_bytes(bytes))
            })
            .transpose()
    }
}

/// Judges by the Team records and pins of a store, and remembers.
pub struct Authority {
    source: Source,
    /// `None` for a key that has no Team record: a single one.
    judged: BTreeMap<KeyTag, Option<Arc<Judgement>>>,
    /// The number of the next change to look at.
    next: u64,
}

impl Authority {
    /// Of a store; touches nothing.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let register = Register::new(storage, CollectionId::team());
        Self {
            source: Source {
                register,
                parsed: BTreeMap::new(),
            },
            judged: BTreeMap::new(),
            next: 0,
        }
    }

    /// Of a store of which so many changes have been looked at.
    #[must_use]
    pub fn resume(storage: Arc<dyn Storage>, seen: u64) -> Self {
        let next = seen;
        Self {
            next,
            ..Self::new(storage)
        }
    }

    /// How many changes of Team records have been looked at.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.next
    }

    /// Looks for Team records and pins that came since the last look, and forgets what they had
    /// to do with. The teams to which they belong.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn refresh(&mut self) -> Result<BTreeSet<KeyTag>, StorageError> {
        let storage = self.source.register.storage();
        let (changed, next) = changes_since(&**storage, self.next)?;
        self.next = next;
        self.forget(&changed);
        Ok(changed)
    }

    /// The Team records of the store.
    #[must_use]
    pub const fn register(&self) -> &Register {
        &self.source.register
    }

    /// The pin of a team, if there is one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn pin_of(&mut self, team: &KeyTag) -> Result<Option<Digest>, StorageError> {
        self.source.pin(team)
    }

    /// What a team's records say; `None` for a key that has none.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn of(&mut self, team: &KeyTag) -> Result<Option<Arc<Judgement>>, StorageError> {
        if let Some(known) = self.judged.get(team) {
            return Ok(known.clone());
        }
        let known = if self.source.register.some_rows(&team.tag(), 1)?.is_empty() {
            None
        } else {
            Some(Arc::new(judge(&mut self.source, team)?))
        };
        if self.judged.len() >= MAX_REMEMBERED {
            self.judged.clear();
        }
        self.judged.insert(*team, known.clone());
        Ok(known)
    }

    /// The standing of a record: whose it is, who wrote it, when (ms since 1970).
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn standing(
        &mut self,
        owner: &KeyTag,
        author: &KeyTag,
        iat: u64,
    ) -> Result<Standing, StorageError> {
        Ok(match (owner == author, self.of(owner)?) {
            (true, None) => Standing::Counts,
            // A team's key proves nothing by itself: former members may have kept it.
            (true, Some(_)) => Standing::Void,
            (false, None) => Standing::Unjudged,
            (false, Some(judgement)) => judgement.standing(author, iat),
        })
    }

    /// Forgets what the records of these teams had to do with.
    pub fn forget(&mut self, changed: &BTreeSet<KeyTag>) {
        self.judged.retain(|team, judgement| {
            let consulted = judgement.as_ref().map(|judgement| judgement.consulted());
            !changed.contains(team)
                && consulted.is_none_or(|consulted| consulted.is_disjoint(changed))
        });
    }

    /// The fingerprint by which an owner's rows stand, and the teams consulted for it.
    fn note_of(&mut self, owner: &KeyTag) -> Result<Vec<u8>, StorageError> {
        Ok(match self.of(owner)? {
            None => Digest::of(b"").as_bytes().to_vec(),
            Some(judgement) => {
                let mut note = judgement.fingerprint().as_bytes().to_vec();
                for team in judgement.consulted().iter().filter(|team| *team != owner) {
                    note.extend_from_slice(team.as_bytes());
                }
                note
            }
        })
    }

    /// Whether an owner's rows in a collection stand by the judgement of now. Where there is no
    /// note yet, there are no rows: it is made.
    pub(crate) fn is_heeded(
        &mut self,
        place: &Place,
        owner: &KeyTag,
        batch: &mut Batch,
    ) -> Result<bool, StorageError> {
        let note = self.note_of(owner)?;
        let key = note_key(place, owner);
        match self.source.register.storage().get(Table::Meta, &key)? {
            None => {
                batch.put(Table::Meta, key, note);
                Ok(true)
            }
            Some(there) => Ok(there[..] == note[..]),
        }
    }

    /// Notes that an owner's rows in a collection stand by the judgement of now.
    pub(crate) fn heed(
        &mut self,
        place: &Place,
        owner: &KeyTag,
        batch: &mut Batch,
    ) -> Result<(), StorageError> {
        let note = self.note_of(owner)?;
        batch.put(Table::Meta, note_key(place, owner), note);
        Ok(())
    }

    /// The owners with rows in a collection whose judgement consulted one of these teams.
    pub(crate) fn concerned(
        &self,
        place: &Place,
        changed: &BTreeSet<KeyTag>,
    ) -> Result<BTreeSet<KeyTag>, StorageError> {
        let prefix = [b"j", &place[..]].concat();
        let mut concerned = BTreeSet::new();
        let to = [b"j", &place[..], &[0xff; 33]].concat();
        let storage = self.source.register.storage();
        storage.scan(Table::Meta, &prefix, &to, &mut |key, note| {
            if let Some(owner) = key.get(prefix.len()..).and_then(key_tag) {
                let consulted = note.get(32..).unwrap_or_default().chunks_exact(32);
                if changed.contains(&owner)
                    || consulted
                        .filter_map(key_tag)
                        .any(|team| changed.contains(&team))
                {
                    concerned.insert(owner);
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(concerned)
    }
}

fn note_key(place: &Place, owner: &KeyTag) -> Vec<u8> {
    [b"j", &place[..], owner.as_bytes()].concat()
}

/// The teams whose records came, in order, from a number on; and the number after the last.
pub(crate) fn changes_since(
    storage: &dyn Storage,
    from: u64,
) -> Result<(BTreeSet<KeyTag>, u64), StorageError> {
    let (mut teams, mut next) = (BTreeSet::new(), from);
    let key = change_key(from);
    storage.scan(Table::Meta, &key, b"u", &mut |key, team| {
        if let Some(number) = key.get(1..).and_then(|n| n.try_into().ok()) {
            next = u64::from_be_bytes(number) + 1;
            teams.extend(key_tag(team));
        }
        ControlFlow::Continue(())
    })?;
    Ok((teams, next))
}

fn change_key(number: u64) -> Vec<u8> {
    [&b"t"[..], &number.to_be_bytes()].concat()
}

/// Notes that a record of a team came.
pub(crate) fn note_change(batch: &mut Batch, number: u64, team: &KeyTag) {
    batch.put(Table::Meta, change_key(number), team.as_bytes().to_vec());
}

/// How many changes a collection has heeded.
pub(crate) fn heeded(storage: &dyn Storage, place: &Place) -> Result<u64, StorageError> {
    let value = storage.get(Table::Meta, &[b"g", &place[..]].concat())?;
    Ok(value
        .and_then(|value| value[..].try_into().ok())
        .map_or(0, u64::from_be_bytes))
}

/// Notes it.
pub(crate) fn note_heeded(batch: &mut Batch, place: &Place, number: u64) {
    let key = [b"g", &place[..]].concat();
    batch.put(Table::Meta, key, number.to_be_bytes().to_vec());
}
