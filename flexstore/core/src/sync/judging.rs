//! Judging again what was admitted, when Team records have changed.
//!
//! Rows carry their standing, so that reading and admission need no look at Team records. When
//! those of an owner change, the rows of that owner, and what rests, are judged anew in slices;
//! in between, everything goes on.

use std::collections::BTreeSet;

use super::event::Origin;
use super::replica::{Effect, Replica};
use crate::admission::{Contender, displaces};
use crate::authority::{Heeded, Standing};
use crate::register::{Resting, Row};
use crate::storage::StorageError;
use crate::{Digest, KeyTag, Kind, Tag};

/// Rows looked at before others have their turn.
const SLICE: usize = 4096;
/// Owners remembered as standing by the judgement of now.
const MAX_SOUND: usize = 4096;

/// What is judged anew.
#[derive(Default)]
pub(super) struct Judging {
    /// Whose rows this pass looks at.
    owners: BTreeSet<KeyTag>,
    /// Whose rows the next pass looks at.
    waiting: BTreeSet<KeyTag>,
    /// Where this pass is.
    after: Option<(Tag, KeyTag)>,
    /// Owners whose rows stand by the judgement of now, or will after this pass and the next.
    sound: BTreeSet<KeyTag>,
    /// How many changes of Team records were heeded.
    pub(super) next: Heeded,
}

impl Judging {
    pub(super) fn is_running(&self) -> bool {
        !self.owners.is_empty()
    }

    fn schedule(&mut self, owner: KeyTag) {
        if self.owners.is_empty() {
            self.owners.insert(owner);
        } else {
            self.waiting.insert(owner);
        }
    }

    /// After a failure nothing is known for sure.
    pub(super) fn reset(&mut self) {
        let next = self.next;
        *self = Self {
            next,
            ..Self::default()
        };
    }
}

impl Replica {
    /// Whether a record counts, by the Team records that are here.
    pub(super) fn standing(
        &mut self,
        owner: &KeyTag,
        author: &KeyTag,
        iat: u64,
    ) -> Result<Standing, StorageError> {
        if self.register.id().holds_teams() {
            return Ok(Standing::Counts);
        }
        if !self.judging.sound.contains(owner) {
            let place = *self.register.place();
            if self.judging.sound.len() >= MAX_SOUND {
                self.judging.sound.clear();
            }
            self.judging.sound.insert(*owner);
            let batch = &mut self.work.batch;
            if !self.authority.is_heeded(&place, owner, batch)? {
                self.judging.schedule(*owner);
            }
        }
        self.authority.standing(owner, author, iat)
    }

    /// Team records changed: begins to judge anew whom it concerns.
    pub(super) fn heed_changes(&mut self, now: u64) -> Result<(), StorageError> {
        self.note_concerned()?;
        self.judge_slice(now)
    }

    /// Whom new Team records concern is to be judged anew.
    fn note_concerned(&mut self) -> Result<(), StorageError> {
        if self.register.id().holds_teams() {
            return Ok(());
        }
        self.flush();
        let (storage, profile) = (self.register.storage(), self.register.id().profile());
        let changed = self.judging.next.advance(&**storage, profile)?;
        if changed.is_empty() {
            return Ok(());
        }
        self.authority.forget(&changed);
        let place = *self.register.place();
        for owner in self.authority.concerned(&place, &changed)? {
            self.judging.sound.insert(owner);
            if !self
                .authority
                .is_heeded(&place, &owner, &mut self.work.batch)?
            {
                self.judging.schedule(owner);
            }
        }
        Ok(())
    }

    /// Reads how far changes of Team records were heeded when the collection was last open. The
    /// judging itself waits for the first time-out: only then is it known what time it is, and so
    /// from when on rests what is displaced.
    pub(super) fn resume_judging(&mut self) -> Result<(), StorageError> {
        let (storage, id) = (self.register.storage(), self.register.id());
        self.judging.next = Heeded::read(&**storage, id, self.register.place())?;
        self.note_concerned()
    }

    /// Judges a slice of the rows anew.
    pub(super) fn judge_slice(&mut self, now: u64) -> Result<(), StorageError> {
        if !self.judging.is_running() {
            return Ok(());
        }
        self.flush();
        let after = self.judging.after.take();
        let (groups, finished) = self.register.groups_after(after.as_ref(), SLICE)?;
        for (tag, owner) in &groups {
            if self.judging.owners.contains(owner) {
                self.judge_group(now, tag, owner)?;
            }
        }
        self.judging.after = groups.into_iter().next_back();
        if finished {
            self.judging.after = None;
            let place = *self.register.place();
            for owner in std::mem::take(&mut self.judging.owners) {
                self.authority.heed(&place, &owner, &mut self.work.batch)?;
            }
            self.judging.owners = std::mem::take(&mut self.judging.waiting);
            if !self.judging.is_running() {
                self.judging.next.note(&mut self.work.batch, &place);
            }
        }
        self.flush();
        Ok(())
    }

    /// Which of one owner's records under a tag are the set, of all that are here or rest.
    fn judge_group(&mut self, now: u64, tag: &Tag, owner: &KeyTag) -> Result<(), StorageError> {
        let mut rows = self.register.group(tag, owner)?;
        let live = rows.len();
        rows.extend(self.register.shaded(tag, owner)?);
        let mut changed = Vec::with_capacity(rows.len());
        for row in &mut rows {
            let standing = self.authority.standing(owner, &row.author, row.stamp.iat)?;
            changed.push(standing != row.standing);
            row.standing = standing;
        }
        let successors = successors(self.register.id().kind(), &rows);
        let mut left = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            let batch = &mut self.work.batch;
            match (i < live, successors[i]) {
                (true, Some(successor)) => {
                    left.push(row.stamp);
                    let resting = Resting {
                        since: now,
                        successor,
                    };
                    self.register.displace(batch, &row, resting);
                }
                (false, None) => {
                    self.register.restore(batch, &row);
                    self.work.effects.push(Effect::Joined(row, Origin::Judged));
                }
                (true, None) if changed[i] => {
                    self.register.put_row(batch, &row);
                    self.work.effects.push(Effect::Restands(row));
                }
                (false, Some(_)) if changed[i] => self.register.put_shade(batch, &row),
                _ => {}
            }
        }
        if !left.is_empty() {
            self.work.effects.push(Effect::Left(left));
        }
        self.work.touched.insert(tag.clone());
        Ok(())
    }
}

/// Of each record of one tag and owner, one that displaces it and is displaced by none.
fn successors(kind: Kind, rows: &[Row]) -> Vec<Option<Digest>> {
    let contenders: Vec<Contender> = rows.iter().map(Row::contender).collect();
    // Versions displace nothing, and there may be very many.
    let able = |one: &&Contender| kind != Kind::Versioned || one.tombstone;
    let mut greatest: Vec<&Contender> = contenders.iter().filter(able).collect();
    let all = greatest.clone();
    greatest.retain(|one| !all.iter().any(|other| displaces(kind, other, one)));
    let by = |one| {
        greatest
            .iter()
            .find(|other| displaces(kind, other, one))
            .map(|other| other.stamp.digest)
    };
    contenders.iter().map(by).collect()
}
