//! Team records, pins and judgements in a store.
//!
//! ```text
//! Meta  "p" ‖ team                 ->  digest of a record that is in force
//! Meta  "t" ‖ number               ->  team: one entry for each Team record, in order of arrival
//! Meta  "T" ‖ number               ->  the same, of those of the js profile
//! Meta  "g" ‖ place                ->  number: so many entries have been heeded in a collection
//!                                      ‖ and of those of the js profile, under that
//! Meta  "j" ‖ place ‖ owner        ->  fingerprint of the judgement by which its rows stand
//!                                      ‖ the other teams that were consulted for it
//! ```

mod changes;
mod javascript;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) use changes::Heeded;
use changes::{NATIVE, teams_since};
pub(crate) use javascript::JavascriptTeams;

use super::Standing;
use super::judge::{Teams, judge};
use super::judgement::Judgement;
use super::team::TeamRecord;
use crate::register::{Place, Register};
use crate::storage::{Batch, Storage, StorageError, Table};
use crate::{CollectionId, Digest, KeyTag, Profile};

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
    /// Where teams of the js profile count too.
    javascript: Option<JavascriptTeams>,
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
            javascript: None,
            judged: BTreeMap::new(),
            next: 0,
        }
    }

    /// Of a store, for collections of a profile. Under the js profile a key may have Team records
    /// of either profile, which are never mixed: where it has both, it is judged by those among
    /// which its pin is, and by none if there is no pin. (By whichever came first would depend on
    /// the order of arrival; and a former member who kept a team's key could make a record of the
    /// profile that wins.)
    #[must_use]
    pub fn under(profile: Profile, storage: Arc<dyn Storage>) -> Self {
        let javascript =
            (profile == Profile::JavaScript).then(|| JavascriptTeams::new(Arc::clone(&storage)));
        Self {
            javascript,
            ..Self::new(storage)
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
        let (changed, next) = teams_since(&**storage, NATIVE, self.next)?;
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

    /// The Team records of the js profile, where they count.
    pub(crate) const fn javascript(&mut self) -> Option<&mut JavascriptTeams> {
        self.javascript.as_mut()
    }

    /// What a team's records say; `None` for a key that has none.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn of(&mut self, team: &KeyTag) -> Result<Option<Arc<Judgement>>, StorageError> {
        if let Some(known) = self.judged.get(team) {
            return Ok(known.clone());
        }
        let mut known = if self.source.register.some_rows(&team.tag(), 1)?.is_empty() {
            None
        } else {
            Some(Arc::new(judge(&mut self.source, team)?))
        };
        if let Some(javascript) = &mut self.javascript {
            let pin = self.source.pin(team)?;
            known = javascript.judge_beside(team, pin.as_ref(), known)?;
        }
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
            (true, Some(judgement)) => judgement.standing_alone(iat),
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
