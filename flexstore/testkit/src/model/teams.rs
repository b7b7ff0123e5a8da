//! `spec/wire.md` 3.1, step by step.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use flexstore_core::authority::{Standing, TeamRecord, Unjudged};
use flexstore_core::{Digest, KeyTag};

/// Deeper nested teams add nobody.
const DEEPEST: usize = 32;

/// All Team records and pins that somebody has.
///
/// Every step is asked of a *line* of teams: the one in question is its last, and those before
/// wait for it, each for the sake of the one before, so they add nobody.
#[derive(Default)]
pub struct Teams {
    records: BTreeMap<KeyTag, BTreeMap<Digest, TeamRecord>>,
    pins: BTreeMap<KeyTag, Digest>,
    /// Only so that a test ends the same day; a line is always judged the same.
    judged: RefCell<BTreeMap<Vec<KeyTag>, Rc<Judged>>>,
}

/// What is known of a team.
struct Judged {
    valid: BTreeSet<Digest>,
    path: Result<Vec<TeamRecord>, Unjudged>,
}

impl Judged {
    fn path(&self) -> &[TeamRecord] {
        self.path.as_deref().unwrap_or_default()
    }
}

impl Teams {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A record of a team came.
    pub fn add(&mut self, team: KeyTag, record: TeamRecord) {
        self.judged.borrow_mut().clear();
        let records = self.records.entry(team).or_default();
        records.insert(record.digest, record);
    }

    /// A record of a team is known to be right.
    pub fn pin(&mut self, team: KeyTag, record: Digest) {
        self.judged.borrow_mut().clear();
        self.pins.insert(team, record);
    }

    /// The records in force, the first one first.
    ///
    /// # Errors
    /// Why nobody can tell.
    pub fn path(&self, team: &KeyTag) -> Result<Vec<Digest>, Unjudged> {
        let judged = self.judge(&[*team]);
        let path = judged.path.as_ref().map_err(|why| *why)?;
        Ok(path.iter().map(|record| record.digest).collect())
    }

    /// The entries of the last record in force, in the order of joining.
    #[must_use]
    pub fn seniority(&self, team: &KeyTag) -> Vec<KeyTag> {
        joined(self.judge(&[*team]).path())
    }

    /// All entries that records in force ever listed.
    #[must_use]
    pub fn ever_listed(&self, team: &KeyTag) -> BTreeSet<KeyTag> {
        let judged = self.judge(&[*team]);
        let entries = judged.path().iter().flat_map(|record| &record.members);
        entries.map(|entry| entry.tag).collect()
    }

    /// Whether a single key belongs to the last record in force, through the last ones of teams
    /// within.
    #[must_use]
    pub fn is_current(&self, team: &KeyTag, key: &KeyTag) -> bool {
        self.in_head(&[*team], key)
    }

    /// Whether a record counts: whose it is, who wrote it, when.
    #[must_use]
    pub fn standing(&self, owner: &KeyTag, author: &KeyTag, iat: u64) -> Standing {
        if owner != author {
            return self.counts(&[*owner], author, iat);
        }
        if self.records.contains_key(owner) {
            Standing::Void
        } else {
            Standing::Counts
        }
    }

    fn record(&self, line: &[KeyTag], digest: &Digest) -> Option<&TeamRecord> {
        self.records.get(line.last()?)?.get(digest)
    }

    /// The line on which a nested team is asked, if it adds anybody at all.
    fn enter(line: &[KeyTag], team: KeyTag) -> Option<Vec<KeyTag>> {
        let depth = line.len();
        (!line.contains(&team) && depth <= DEEPEST).then(|| [line, &[team]].concat())
    }

    fn judge(&self, line: &[KeyTag]) -> Rc<Judged> {
        if let Some(done) = self.judged.borrow().get(line) {
            return Rc::clone(done);
        }
        let records = line.last().and_then(|team| self.records.get(team));
        let valid: BTreeSet<Digest> = records
            .into_iter()
            .flatten()
            .filter(|(_, record)| self.is_valid(line, record))
            .map(|(digest, _)| *digest)
            .collect();
        let path = self.first(line, &valid).map(|first| {
            let mut path = vec![first.clone()];
            while let Some(next) = self.next(line, &valid, &path) {
                path.push(next.clone());
            }
            path
        });
        let judged = Rc::new(Judged { valid, path });
        let mut all = self.judged.borrow_mut();
        all.insert(line.to_vec(), Rc::clone(&judged));
        judged
    }

    /// 1. Valid.
    fn is_valid(&self, line: &[KeyTag], record: &TeamRecord) -> bool {
        match &record.ant {
            None => self.belongs(line, &record.author, record),
            Some(ant) => self.record(line, ant).is_some_and(|ant| {
                ant.iat < record.iat
                    && self.is_valid(line, ant)
                    && self.belongs(line, &record.author, ant)
            }),
        }
    }

    /// 2. Belongs to the list of a record.
    fn belongs(&self, line: &[KeyTag], key: &KeyTag, record: &TeamRecord) -> bool {
        record.members.iter().any(|entry| match &entry.record {
            None => entry.tag == *key,
            Some(from) => self.belongs_through(line, key, entry.tag, from),
        })
    }

    fn belongs_through(&self, line: &[KeyTag], key: &KeyTag, team: KeyTag, from: &Digest) -> bool {
        let Some(line) = Self::enter(line, team) else {
            return false;
        };
        let judged = self.judge(&line);
        self.since(&line, &judged, from).is_some_and(|since| {
            judged.path()[since..]
                .iter()
                .any(|record| self.belongs(&line, key, record))
        })
    }

    /// The place on the path of a record, or of the last one before the fork that it lost.
    fn since(&self, line: &[KeyTag], judged: &Judged, from: &Digest) -> Option<usize> {
        if !judged.valid.contains(from) {
            return None;
        }
        let found = judged.path().iter().position(|at| at.digest == *from);
        found.or_else(|| {
            let ant = self.record(line, from)?.ant?;
            self.since(line, judged, &ant)
        })
    }

    /// 3. First.
    fn first(&self, line: &[KeyTag], valid: &BTreeSet<Digest>) -> Result<&TeamRecord, Unjudged> {
        let Some(pin) = line.last().and_then(|team| self.pins.get(team)) else {
            let mut firsts = valid
                .iter()
                .filter_map(|digest| self.record(line, digest))
                .filter(|record| record.ant.is_none());
            return match (firsts.next(), firsts.next()) {
                (None, _) => Err(Unjudged::Missing),
                (Some(first), None) => Ok(first),
                (Some(_), Some(_)) => Err(Unjudged::Rivals),
            };
        };
        // A pinned record must be in force. One that cannot be leaves nothing to go by.
        if !valid.contains(pin) {
            return Err(Unjudged::Missing);
        }
        self.above(line, pin)
            .last()
            .copied()
            .ok_or(Unjudged::Missing)
    }

    /// A record and those that it follows, up to the first.
    fn above(&self, line: &[KeyTag], digest: &Digest) -> Vec<&TeamRecord> {
        let mut all = Vec::new();
        let mut next = self.record(line, digest);
        while let Some(record) = next {
            all.push(record);
            next = record.ant.and_then(|ant| self.record(line, &ant));
        }
        all
    }

    /// 4. In force: the record after the last of a path.
    fn next(
        &self,
        line: &[KeyTag],
        valid: &BTreeSet<Digest>,
        path: &[TeamRecord],
    ) -> Option<&TeamRecord> {
        let forked = path.last()?;
        let pin = line.last().and_then(|team| self.pins.get(team));
        let leads_to = |child: &Digest, to: &Digest| {
            let above = self.above(line, to);
            above.iter().any(|record| record.digest == *child)
        };
        let rank = |key: &KeyTag| self.rank(line, path, forked, key);
        valid
            .iter()
            .filter_map(|digest| self.record(line, digest))
            .filter(|record| record.ant == Some(forked.digest))
            .min_by_key(|child| {
                let branch = valid.iter().filter(|at| leads_to(&child.digest, at));
                let signers = branch.filter_map(|at| Some(self.record(line, at)?.author));
                (
                    !pin.is_some_and(|pin| leads_to(&child.digest, pin)),
                    signers.map(|signer| rank(&signer)).min(),
                    rank(&child.author),
                    child.digest,
                )
            })
    }

    /// The rank of a key in the last record of a path.
    fn rank(
        &self,
        line: &[KeyTag],
        path: &[TeamRecord],
        forked: &TeamRecord,
        key: &KeyTag,
    ) -> usize {
        let joined = joined(path);
        let last = joined.len();
        let ranks = forked.members.iter().map(|entry| {
            let place = joined.iter().position(|tag| *tag == entry.tag);
            let belongs = match &entry.record {
                None => entry.tag == *key,
                Some(from) => {
                    self.belongs_through(line, key, entry.tag, from)
                        && Self::enter(line, entry.tag).is_some_and(|line| self.in_head(&line, key))
                }
            };
            place.filter(|_| belongs).unwrap_or(last)
        });
        ranks.min().unwrap_or(last)
    }

    fn in_head(&self, line: &[KeyTag], key: &KeyTag) -> bool {
        let judged = self.judge(line);
        judged.path().last().is_some_and(|head| {
            head.members.iter().any(|entry| match &entry.record {
                None => entry.tag == *key,
                Some(from) => Self::enter(line, entry.tag).is_some_and(|line| {
                    let within = self.judge(&line);
                    self.since(&line, &within, from).is_some() && self.in_head(&line, key)
                }),
            })
        })
    }

    /// 6. Counts.
    fn counts(&self, line: &[KeyTag], author: &KeyTag, iat: u64) -> Standing {
        let judged = self.judge(line);
        let path = judged.path();
        let entries: BTreeSet<_> = path
            .iter()
            .flat_map(|record| &record.members)
            .map(|entry| (entry.tag, entry.record.is_some()))
            .collect();
        let counts = entries.iter().any(|(tag, nested)| {
            !in_gap(path, tag, iat)
                && if *nested {
                    Self::enter(line, *tag)
                        .is_some_and(|line| self.counts(&line, author, iat) == Standing::Counts)
                } else {
                    tag == author
                }
        });
        if counts {
            Standing::Counts
        } else if self.is_complete(line) {
            Standing::Void
        } else {
            Standing::Unjudged
        }
    }

    /// Whether neither the team nor any within it is unjudged.
    fn is_complete(&self, line: &[KeyTag]) -> bool {
        let judged = self.judge(line);
        let mut entries = judged.path().iter().flat_map(|record| &record.members);
        judged.path.is_ok()
            && entries.all(|entry| {
                entry.record.is_none()
                    || Self::enter(line, entry.tag).is_none_or(|line| self.is_complete(&line))
            })
    }
}

/// The order of joining at the end of a path.
fn joined(path: &[TeamRecord]) -> Vec<KeyTag> {
    let mut order: Vec<KeyTag> = Vec::new();
    for record in path {
        let listed: Vec<KeyTag> = record.members.iter().map(|entry| entry.tag).collect();
        order.retain(|tag| listed.contains(tag));
        for tag in listed {
            if !order.contains(&tag) {
                order.push(tag);
            }
        }
    }
    order
}

/// 5. Gaps: whether a time is in one of an entry's.
fn in_gap(path: &[TeamRecord], tag: &KeyTag, time: u64) -> bool {
    let lists = |at: usize| path[at].members.iter().any(|entry| entry.tag == *tag);
    if path.iter().any(|record| record.until.get(tag) == Some(&0)) {
        return true;
    }
    (1..path.len())
        .filter(|at| lists(at - 1) && !lists(*at))
        .any(|removed| {
            let again = (removed..path.len()).find(|at| lists(*at));
            let away = &path[removed..again.unwrap_or(path.len())];
            let until = away.iter().rev().find_map(|record| record.until.get(tag));
            let start = path[removed].iat.min(*until.unwrap_or(&u64::MAX));
            let end = again.map_or(u64::MAX, |at| path[at].iat);
            (start..end).contains(&time)
        })
}
