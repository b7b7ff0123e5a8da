//! The private keys of this process, and what they open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use flexstore_core::authority::{Authority, Judgement, TeamRecord};
use flexstore_core::storage::{Storage, StorageError};
use flexstore_core::{Digest, KeyTag};

use super::keyset::KeySet;
use super::team_keys::{TeamKeys, kid};
use crate::js;
use crate::seal::{EncryptionSecret, Kid};

/// Key sets, the teams that they open, and what is taken where a call does not say.
pub(crate) struct Keyring {
    held: RwLock<Held>,
    teams: Mutex<Teams>,
    /// Held while a Team record is written.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    sets: BTreeMap<KeyTag, Arc<KeySet>>,
    /// Key sets of the JavaScript original.
    javascript: BTreeMap<KeyTag, Arc<js::KeySet>>,
    /// Of our own, those that are here for one call, such as a recovery key.
    lent: BTreeSet<KeyTag>,
    defaults: Defaults,
    /// The only tags whose keys may be used, if there are such.
    scope: Option<BTreeSet<KeyTag>>,
}

/// What is taken where a call does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The single key that signs.
    pub author: Option<KeyTag>,
    /// Whose items are written; the author's own, if nobody's.
    pub owner: Option<KeyTag>,
    /// To whom items are sealed; plain, if to nobody.
    pub audience: Vec<KeyTag>,
}

struct Teams {
    authority: Authority,
    unlocked: BTreeMap<KeyTag, Arc<TeamKeys>>,
    /// Teams that no key here opens, as things are.
    locked: BTreeSet<KeyTag>,
    /// How many teams have been tried for the sake of the outermost one.
    tried: usize,
    /// One of them waits for itself, so that those in between may be opened in part only.
    circled: bool,
}

/// A key set that is held for one call.
pub(super) struct Lent<'a> {
    keyring: &'a Keyring,
    set: Arc<KeySet>,
}

impl std::ops::Deref for Lent<'_> {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        &self.set
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let tag = self.set.tag();
        self.keyring.change(|held| {
            if held.lent.remove(&tag) {
                held.sets.remove(&tag);
            }
        });
    }
}

/// How many teams are tried for the sake of one: a thicket of teams that all list each other could
/// keep this busy for ever.
const MAX_TRIED: usize = 4096;

/// Secrets with which something is opened.
pub(crate) struct Opener {
    sets: Vec<Arc<KeySet>>,
    teams: Vec<(KeyTag, Arc<TeamKeys>)>,
}

impl Opener {
    pub(crate) fn find(&self, kid: &Kid) -> Option<&EncryptionSecret> {
        match &kid.record {
            None => self
                .sets
                .iter()
                .find(|set| set.tag() == kid.tag)
                .map(|set| set.encryption()),
            Some(record) => self
                .teams
                .iter()
                .find(|(team, _)| *team == kid.tag)
                .and_then(|(_, keys)| keys.secret(record)),
        }
    }
}

impl Keyring {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        let teams = Teams {
            authority: Authority::new(storage),
            unlocked: BTreeMap::new(),
            locked: BTreeSet::new(),
            tried: 0,
            circled: false,
        };
        Self {
            held: RwLock::default(),
            teams: Mutex::new(teams),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner));
        let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        teams.locked.clear();
        teams.unlocked.clear();
    }

    /// The teams, as the Team records here tell by now.
    fn teams(&self) -> Result<MutexGuard<'_, Teams>, StorageError> {
        let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = teams.authority.refresh()?;
        if !changed.is_empty() {
            teams.unlocked.retain(|team, _| !changed.contains(team));
            teams.locked.clear();
        }
        Ok(teams)
    }

    /// All key sets that may be used.
    pub(crate) fn sets(&self) -> Vec<Arc<KeySet>> {
        let held = self.held();
        let allowed = |tag: &KeyTag| held.allows(tag);
        (held.sets.values())
            .filter(|set| allowed(&set.tag()))
            .cloned()
            .collect()
    }

    /// All key sets that are this device's to keep, whatever may be used.
    pub(super) fn own(&self) -> Vec<Arc<KeySet>> {
        let held = self.held();
        let own = held.sets.values();
        own.filter(|set| !held.lent.contains(&set.tag()))
            .cloned()
            .collect()
    }

    pub(crate) fn get(&self, tag: &KeyTag) -> Option<Arc<KeySet>> {
        let held = self.held();
        held.sets.get(tag).filter(|_| held.allows(tag)).cloned()
    }

    /// A key set of the JavaScript original.
    pub(crate) fn javascript(&self, tag: &KeyTag) -> Option<Arc<js::KeySet>> {
        let held = self.held();
        let keys = held.javascript.get(tag);
        keys.filter(|_| held.allows(tag)).cloned()
    }

    pub(super) fn add_javascript(&self, keys: js::KeySet) {
        let (tag, keys) = (keys.tag(), Arc::new(keys));
        self.change(|held| {
            held.javascript.insert(tag, keys);
        });
    }

    pub(crate) fn defaults(&self) -> Defaults {
        self.held().defaults.clone()
    }

    pub(super) fn set_defaults(&self, change: impl FnOnce(&mut Defaults)) {
        self.change(|held| change(&mut held.defaults));
    }

    pub(super) fn restrict(&self, scope: Option<BTreeSet<KeyTag>>) {
        self.change(|held| held.scope = scope);
    }

    pub(super) fn add(&self, set: KeySet) -> Arc<KeySet> {
        let set = Arc::new(set);
        self.change(|held| {
            held.lent.remove(&set.tag());
            held.sets.insert(set.tag(), Arc::clone(&set));
        });
        set
    }

    /// One who is about to write a Team record waits for the others.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn remove(&self, tag: &KeyTag) {
        self.change(|held| {
            held.lent.remove(tag);
            held.sets.remove(tag);
        });
    }

    /// Holds a key set for as long as the guard lives, also if the call that needs it is given up
    /// half-way. One that is held anyway stays.
    pub(super) fn lend(&self, set: KeySet) -> Lent<'_> {
        let set = Arc::new(set);
        let tag = set.tag();
        self.change(|held| {
            if !held.sets.contains_key(&tag) {
                held.lent.insert(tag);
                held.sets.insert(tag, Arc::clone(&set));
            }
        });
        Lent { keyring: self, set }
    }

    /// What a team's records say; `None` for a single key.
    pub(crate) fn judgement(&self, team: &KeyTag) -> Result<Option<Arc<Judgement>>, StorageError> {
        self.teams()?.authority.of(team)
    }

    /// All teams of which records are here.
    pub(super) fn known_teams(&self) -> Result<Vec<KeyTag>, StorageError> {
        let tags = self.teams()?.authority.register().tags()?;
        Ok(tags
            .iter()
            .filter_map(|tag| KeyTag::parse(tag.as_str()).ok())
            .collect())
    }

    pub(super) fn pin_of(&self, team: &KeyTag) -> Result<Option<Digest>, StorageError> {
        self.teams()?.authority.pin_of(team)
    }

    /// The private keys of a team, if a key here opens them.
    pub(crate) fn team(&self, team: &KeyTag) -> Result<Option<Arc<TeamKeys>>, StorageError> {
        let held = self.held();
        self.teams()?.unlock(&held, team, &mut Vec::new())
    }

    /// A key here that may act for a team now: the default author, if it may.
    pub(crate) fn member(&self, team: &KeyTag) -> Result<Option<Arc<KeySet>>, StorageError> {
        let Some(judgement) = self.judgement(team)? else {
            return Ok(None);
        };
        let held = self.held();
        let may = |tag: &KeyTag| judgement.current().contains(tag) && held.allows(tag);
        let default = held.defaults.author.filter(|tag| may(tag));
        let tag = default.or_else(|| held.sets.keys().copied().find(|tag| may(tag)));
        Ok(tag.and_then(|tag| held.sets.get(&tag).cloned()))
    }

    /// What opens something sealed to these tags.
    pub(crate) fn opener(&self, tags: impl IntoIterator<Item = KeyTag>) -> Opener {
        let held = self.held();
        let mut opener = Opener {
            sets: Vec::new(),
            teams: Vec::new(),
        };
        for tag in tags {
            if let Some(set) = held.sets.get(&tag).filter(|_| held.allows(&tag)) {
                opener.sets.push(Arc::clone(set));
                continue;
            }
            // A store that does not answer opens nothing.
            if let Ok(mut teams) = self.teams()
                && let Ok(Some(keys)) = teams.unlock(&held, &tag, &mut Vec::new())
            {
                opener.teams.push((tag, keys));
            }
        }
        opener
    }
}

impl Held {
    fn allows(&self, tag: &KeyTag) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.contains(tag))
    }
}

impl Teams {
    fn unlock(
        &mut self,
        held: &Held,
        team: &KeyTag,
        under_way: &mut Vec<KeyTag>,
    ) -> Result<Option<Arc<TeamKeys>>, StorageError> {
        if let Some(keys) = self.unlocked.get(team).filter(|_| held.allows(team)) {
            return Ok(Some(Arc::clone(keys)));
        }
        if under_way.is_empty() {
            (self.tried, self.circled) = (0, false);
        }
        if under_way.contains(team) || self.tried >= MAX_TRIED {
            self.circled = true;
            return Ok(None);
        }
        if !held.allows(team) || self.locked.contains(team) {
            return Ok(None);
        }
        self.tried += 1;
        let Some(judgement) = self.authority.of(team)? else {
            return Ok(None);
        };
        under_way.push(*team);
        let records: Vec<Arc<TeamRecord>> = (judgement.path().iter().rev())
            .chain(judgement.sidelined().iter().rev())
            .cloned()
            .collect();
        let mut keys: Option<TeamKeys> = None;
        for record in &records {
            let known = keys.as_mut().is_some_and(|keys| keys.note(record));
            if known || record.key.is_none() {
                continue;
            }
            if let Some(mut found) = self.open(held, record, under_way)? {
                found.limit(&records);
                match &mut keys {
                    None => keys = Some(found),
                    Some(keys) => keys.merge(found),
                }
                if let Some(keys) = &mut keys {
                    keys.note(record);
                }
            }
        }
        under_way.pop();
        let Some(mut keys) = keys else {
            // Within a circle of teams it may still open from another side.
            if under_way.is_empty() {
                self.locked.insert(*team);
            }
            return Ok(None);
        };
        keys.limit(&records);
        for record in &records {
            if !keys.has(&record.digest) {
                keys.note(record);
            }
        }
        let keys = Arc::new(keys);
        if under_way.is_empty() || !self.circled {
            self.unlocked.insert(*team, Arc::clone(&keys));
        }
        Ok(Some(keys))
    }

    /// Opens one Team record as any member whose keys are here.
    fn open(
        &mut self,
        held: &Held,
        record: &TeamRecord,
        under_way: &mut Vec<KeyTag>,
    ) -> Result<Option<TeamKeys>, StorageError> {
        for member in &record.members {
            let mut opener = Opener {
                sets: Vec::new(),
                teams: Vec::new(),
            };
            if member.record.is_none() {
                let set = held.sets.get(&member.tag);
                opener
                    .sets
                    .extend(set.filter(|_| held.allows(&member.tag)).cloned());
            } else if self.may_open(held, &member.tag)?
                && let Some(keys) = self.unlock(held, &member.tag, under_way)?
            {
                opener.teams.push((member.tag, keys));
            }
            if opener.find(&kid(member)).is_none() {
                continue;
            }
            let Some(verified) = self.authority.register().record(&record.digest)? else {
                return Ok(None);
            };
            if let Some(keys) = TeamKeys::open(&verified, &|kid| opener.find(kid)) {
                return Ok(Some(keys));
            }
        }
        Ok(None)
    }

    /// Whether a key here ever belonged to a team, so that trying is worth it.
    fn may_open(&mut self, held: &Held, team: &KeyTag) -> Result<bool, StorageError> {
        let judgement = self.authority.of(team)?;
        Ok(judgement.is_some_and(|judgement| {
            (held.sets.keys()).any(|tag| judgement.leaves().contains_key(tag))
        }))
    }
}
