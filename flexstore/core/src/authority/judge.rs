//! Judging a team by its records.
//!
//! ```text
//!  records by `ant`          a tree. A record is valid if its author belongs to its antecedent
//!    └─ forks: seniority     the winning path
//!         └─ who was listed  spans of time, through teams within the team
//! ```
//!
//! All of it is a function of the records and pins; their order of arrival does not enter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Unjudged;
use super::judgement::{Judgement, follow};
use super::presence::Presence;
use super::team::TeamRecord;
use crate::storage::StorageError;
use crate::{Digest, KeyTag};

/// How deep teams within teams are followed; deeper ones add nobody.
pub const MAX_NESTING: usize = 32;
/// How much work one team within a team may be, in looks at a member. Of one that takes more, such
/// as a thicket of teams that all list each other, nobody can tell who belongs to it; the other
/// members of the team around are none the worse.
pub const MAX_LOOKS: usize = 1 << 20;
/// How much work all of them may be.
pub const MAX_LOOKS_IN_ALL: usize = 1 << 24;

/// Where Team records and pins come from.
pub trait Teams {
    /// All records of a team, in any order.
    ///
    /// # Errors
    /// [`StorageError`].
    fn records(&mut self, team: &KeyTag) -> Result<Vec<Arc<TeamRecord>>, StorageError>;

    /// A record of a team that is known to be right, if any: its first one, or the one by which
    /// an invitation was claimed. It is in force, and so is what it follows.
    ///
    /// # Errors
    /// [`StorageError`].
    fn pin(&mut self, team: &KeyTag) -> Result<Option<Digest>, StorageError>;
}

/// Judges a team.
///
/// # Errors
/// [`StorageError`] of the source.
pub fn judge(teams: &mut dyn Teams, team: &KeyTag) -> Result<Judgement, StorageError> {
    let mut judge = Judge {
        teams,
        done: BTreeMap::new(),
        stack: Vec::new(),
        looks: 0,
        looks_in_all: 0,
        consulted: BTreeSet::new(),
    };
    let (found, _) = judge.team(team)?;
    let mut judgement = match found {
        Some(judgement) => Arc::unwrap_or_clone(judgement),
        None => Judgement::unjudged(Unjudged::Missing),
    };
    judgement.consulted = judge.consulted;
    Ok(judgement)
}

struct Judge<'a> {
    teams: &'a mut dyn Teams,
    /// Judged whatever of others was on the stack.
    done: BTreeMap<KeyTag, Arc<Judgement>>,
    /// The teams being judged, each for the sake of the one before. They add nothing to those
    /// after, so a cycle of teams adds nobody.
    stack: Vec<KeyTag>,
    looks: usize,
    looks_in_all: usize,
    consulted: BTreeSet<KeyTag>,
}

/// The lowest place of the stack that a result depends on; `usize::MAX` for none.
type Depends = usize;

/// One team while it is judged.
struct Bench {
    records: Vec<Arc<TeamRecord>>,
    place: BTreeMap<Digest, usize>,
    /// What is pinned, and what it follows.
    pinned: BTreeSet<usize>,
    nested: BTreeMap<KeyTag, Option<Arc<Judgement>>>,
    depends: Depends,
    consulted: BTreeSet<KeyTag>,
    height: usize,
    /// A team within it was too much work.
    tangled: bool,
}

impl Judge<'_> {
    fn look(&mut self, looks: usize) {
        self.looks += looks;
        self.looks_in_all += looks;
    }

    const fn is_too_much(&self) -> bool {
        self.looks > MAX_LOOKS || self.looks_in_all > MAX_LOOKS_IN_ALL
    }

    fn team(&mut self, team: &KeyTag) -> Result<(Option<Arc<Judgement>>, Depends), StorageError> {
        // A judgement would be another where a team that it consulted waits for it, or where some
        // of those would be nested too deep.
        let fits = |done: &&Arc<Judgement>| {
            self.stack.len() + done.height <= MAX_NESTING
                && !self
                    .stack
                    .iter()
                    .any(|above| done.consulted.contains(above))
        };
        if let Some(done) = self.done.get(team).filter(fits) {
            return Ok((Some(Arc::clone(done)), Depends::MAX));
        }
        if let Some(at) = self.stack.iter().position(|above| above == team) {
            return Ok((None, at));
        }
        if self.stack.len() > MAX_NESTING || self.is_too_much() {
            return Ok((None, 0));
        }
        self.consulted.insert(*team);
        let mut records = self.teams.records(team)?;
        // An antecedent is earlier, so it stands before those that follow it.
        records.sort_unstable_by_key(|record| (record.iat, record.digest));
        let place = (records.iter().enumerate()).map(|(i, record)| (record.digest, i));
        let mut bench = Bench {
            place: place.collect(),
            records,
            pinned: BTreeSet::new(),
            nested: BTreeMap::new(),
            depends: Depends::MAX,
            consulted: BTreeSet::new(),
            height: 0,
            tangled: false,
        };
        let depth = self.stack.len();
        self.stack.push(*team);
        let judgement = self.try_team(team, &mut bench);
        self.stack.pop();
        let judgement = Arc::new(Judgement {
            consulted: bench.consulted,
            height: bench.height,
            ..judgement?
        });
        if bench.depends >= depth {
            self.done.insert(*team, Arc::clone(&judgement));
            bench.depends = Depends::MAX;
        }
        Ok((Some(judgement), bench.depends))
    }

    fn try_team(&mut self, team: &KeyTag, bench: &mut Bench) -> Result<Judgement, StorageError> {
        let root = match self.root(team, bench)? {
            Ok(root) => root,
            Err(why) => return Ok(Judgement::unjudged(why)),
        };
        let (children, valid) = self.tree(root, bench)?;
        if bench.pinned.iter().any(|at| !valid[*at]) {
            return Ok(Judgement::unjudged(Unjudged::Missing));
        }
        let mut signers = signers(root, &children, bench);
        let (path, seniority) = self.descend(root, &children, &mut signers, bench)?;
        self.conclude(&path, seniority, &children, root, bench)
    }

    /// The first record: the one that is pinned or leads to what is, or the only valid one.
    fn root(
        &mut self,
        team: &KeyTag,
        bench: &mut Bench,
    ) -> Result<Result<usize, Unjudged>, StorageError> {
        if let Some(pin) = self.teams.pin(team)? {
            let mut next = Some(pin);
            while let Some(digest) = next {
                // One that does not lead to a first record leads nowhere: digests make no circle.
                let Some(&at) = bench.place.get(&digest) else {
                    return Ok(Err(Unjudged::Missing));
                };
                bench.pinned.insert(at);
                next = bench.records[at].ant;
            }
        }
        let mut valid = Vec::new();
        for i in 0..bench.records.len() {
            let record = Arc::clone(&bench.records[i]);
            if record.ant.is_none()
                && (bench.pinned.is_empty() || bench.pinned.contains(&i))
                && self.belongs(&record.author, &record, bench)?
            {
                valid.push(i);
            }
        }
        Ok(match valid[..] {
            [] => Err(Unjudged::Missing),
            [root] => Ok(root),
            _ => Err(Unjudged::Rivals),
        })
    }

    /// The valid records from the root on: of each, those that follow it; and which are valid.
    fn tree(
        &mut self,
        root: usize,
        bench: &mut Bench,
    ) -> Result<(Vec<Vec<usize>>, Vec<bool>), StorageError> {
        let mut children = vec![Vec::new(); bench.records.len()];
        let mut valid = vec![false; bench.records.len()];
        valid[root] = true;
        for i in 0..bench.records.len() {
            let record = Arc::clone(&bench.records[i]);
            let Some(&ant) = record.ant.and_then(|ant| bench.place.get(&ant)) else {
                continue;
            };
            let antecedent = Arc::clone(&bench.records[ant]);
            if valid[ant]
                && record.iat > antecedent.iat
                && self.belongs(&record.author, &antecedent, bench)?
            {
                valid[i] = true;
                children[ant].push(i);
            }
        }
        Ok((children, valid))
    }

    /// From the root down, at each fork into the branch that wins.
    fn descend(
        &mut self,
        root: usize,
        children: &[Vec<usize>],
        signers: &mut [BTreeSet<KeyTag>],
        bench: &mut Bench,
    ) -> Result<(Vec<usize>, Vec<KeyTag>), StorageError> {
        let mut path = Vec::new();
        let mut seniority: Vec<KeyTag> = Vec::new();
        let mut next = Some(root);
        while let Some(at) = next {
            let record = Arc::clone(&bench.records[at]);
            path.push(at);
            follow(&mut seniority, &record);
            next = match &children[at][..] {
                [] => None,
                [only] => Some(*only),
                forks if forks.iter().any(|fork| bench.pinned.contains(fork)) => forks
                    .iter()
                    .copied()
                    .find(|fork| bench.pinned.contains(fork)),
                forks => {
                    let places = seniority.iter().enumerate().map(|(i, tag)| (*tag, i));
                    let places: BTreeMap<KeyTag, usize> = places.collect();
                    let mut best = None;
                    for &fork in forks {
                        let mut senior = usize::MAX;
                        for signer in std::mem::take(&mut signers[fork]) {
                            senior = senior.min(self.rank(&signer, &record, &places, bench)?);
                        }
                        let first = Arc::clone(&bench.records[fork]);
                        let own = self.rank(&first.author, &record, &places, bench)?;
                        let claim = (senior, own, first.digest, fork);
                        best = best.min(Some(claim)).or(Some(claim));
                    }
                    best.map(|(.., fork)| fork)
                }
            };
        }
        Ok((path, seniority))
    }

    /// How senior a key is in a record's list: through a team within the team as senior as that
    /// team is, and the very last once that team has removed it.
    fn rank(
        &mut self,
        key: &KeyTag,
        record: &TeamRecord,
        places: &BTreeMap<KeyTag, usize>,
        bench: &mut Bench,
    ) -> Result<usize, StorageError> {
        let mut best = usize::MAX;
        self.look(record.members.len());
        for member in &record.members {
            let place = places.get(&member.tag).copied();
            let rank = if member.record.is_none() {
                place.filter(|_| member.tag == *key)
            } else if self.belongs_through(key, &member.tag, member.record, bench)? {
                let within = self.nested(&member.tag, bench)?;
                if within.is_some_and(|team| team.current.contains(key)) {
                    place
                } else {
                    Some(usize::MAX - 1)
                }
            } else {
                None
            };
            best = best.min(rank.unwrap_or(usize::MAX));
        }
        Ok(best)
    }

    /// Whether a key belongs to a record's list, directly or through a team within the team.
    fn belongs(
        &mut self,
        key: &KeyTag,
        record: &TeamRecord,
        bench: &mut Bench,
    ) -> Result<bool, StorageError> {
        self.look(record.members.len());
        if record
            .members
            .iter()
            .any(|member| member.record.is_none() && member.tag == *key)
        {
            return Ok(true);
        }
        for member in &record.members {
            if self.belongs_through(key, &member.tag, member.record, bench)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a key belongs to a team within the team, as it was at the record named or later.
    /// So who was removed from it before that record can no longer act for the team around.
    fn belongs_through(
        &mut self,
        key: &KeyTag,
        team: &KeyTag,
        since: Option<Digest>,
        bench: &mut Bench,
    ) -> Result<bool, StorageError> {
        let Some(since) = since else { return Ok(false) };
        let Some(within) = self.nested(team, bench)? else {
            return Ok(false);
        };
        let from = within.leaves_path_at.get(&since);
        let last = within.last.get(key);
        Ok(from.zip(last).is_some_and(|(from, last)| last >= from))
    }

    fn nested(
        &mut self,
        team: &KeyTag,
        bench: &mut Bench,
    ) -> Result<Option<Arc<Judgement>>, StorageError> {
        if let Some(known) = bench.nested.get(team) {
            return Ok(known.clone());
        }
        let outermost = self.stack.len() == 1;
        if outermost {
            self.looks = 0;
        }
        let (mut found, depends) = self.team(team)?;
        if outermost && self.is_too_much() {
            found = None;
            bench.tangled = true;
        }
        bench.depends = bench.depends.min(depends);
        bench.consulted.insert(*team);
        if let Some(within) = &found {
            bench.consulted.extend(&within.consulted);
            bench.height = bench.height.max(within.height + 1);
        }
        bench.nested.insert(*team, found.clone());
        Ok(found)
    }

    fn conclude(
        &mut self,
        path: &[usize],
        seniority: Vec<KeyTag>,
        children: &[Vec<usize>],
        root: usize,
        bench: &mut Bench,
    ) -> Result<Judgement, StorageError> {
        let mut out = Judgement::unjudged(Unjudged::Missing);
        out.unjudged = None;
        out.incomplete = false;
        out.seniority = seniority;
        out.path = path
            .iter()
            .map(|&at| Arc::clone(&bench.records[at]))
            .collect();
        for (i, record) in out.path.clone().iter().enumerate() {
            for member in &record.members {
                self.look(1);
                let Some(since) = member.record else {
                    out.last.insert(member.tag, i);
                    continue;
                };
                let Some(within) = self.nested(&member.tag, bench)? else {
                    continue;
                };
                out.incomplete |= within.incomplete;
                let Some(&from) = within.leaves_path_at.get(&since) else {
                    continue;
                };
                self.look(within.last.len());
                let belonging = within.last.iter().filter(|(_, last)| **last >= from);
                out.last.extend(belonging.map(|(key, _)| (*key, i)));
            }
        }
        out.members = spans(&out.path);
        for record in &out.path {
            for member in &record.members {
                let span = &out.members[&member.tag];
                if member.record.is_none() {
                    let leaf = out.leaves.entry(member.tag).or_default();
                    *leaf = leaf.or(span);
                }
            }
        }
        let teams: BTreeSet<KeyTag> = (out.path.iter())
            .flat_map(|record| &record.members)
            .filter(|member| member.record.is_some())
            .map(|member| member.tag)
            .collect();
        for team in teams {
            let Some(within) = self.nested(&team, bench)? else {
                continue;
            };
            self.look(within.leaves.len());
            for (key, presence) in &within.leaves {
                let through = presence.and(&out.members[&team]);
                let leaf = out.leaves.entry(*key).or_default();
                *leaf = leaf.or(&through);
            }
        }
        if let Some(head) = out.path.last() {
            for member in &head.members {
                if member.record.is_none() {
                    out.current.insert(member.tag);
                } else if let Some(since) = member.record
                    && let Some(within) = self.nested(&member.tag, bench)?
                    && within.leaves_path_at.contains_key(&since)
                {
                    out.current.extend(within.current.iter().copied());
                }
            }
        }
        out.incomplete |= bench.tangled;
        // Where each branch leaves the path, from the root down.
        let on_path: BTreeMap<usize, usize> =
            path.iter().enumerate().map(|(i, at)| (*at, i)).collect();
        let mut todo = vec![(root, 0)];
        while let Some((at, above)) = todo.pop() {
            let here = on_path.get(&at).copied().unwrap_or(above);
            let record = &bench.records[at];
            out.leaves_path_at.insert(record.digest, here);
            if !on_path.contains_key(&at) {
                out.sidelined.push(Arc::clone(record));
            }
            todo.extend(children[at].iter().map(|child| (*child, here)));
        }
        out.sidelined
            .sort_unstable_by_key(|record| (record.iat, record.digest));
        Ok(out)
    }
}

/// Of every record that begins a fork's branch, all who signed anywhere in that branch.
fn signers(root: usize, children: &[Vec<usize>], bench: &Bench) -> Vec<BTreeSet<KeyTag>> {
    let mut signers = vec![BTreeSet::new(); bench.records.len()];
    // Those that follow stand after, so this comes to them first.
    for at in (0..bench.records.len()).rev() {
        let follows = at == root || bench.records[at].ant.is_some();
        if !follows {
            continue;
        }
        let mut all = match &children[at][..] {
            [] => BTreeSet::new(),
            [only] => std::mem::take(&mut signers[*only]),
            forks => {
                let mut all: BTreeSet<KeyTag> = BTreeSet::new();
                for fork in forks {
                    all.extend(&signers[*fork]);
                }
                all
            }
        };
        all.insert(bench.records[at].author);
        signers[at] = all;
    }
    signers
}

/// Of everyone who was ever listed on a path, the times outside the gaps: each from the removal's
/// `until` to the record that lists the key again.
fn spans(path: &[Arc<TeamRecord>]) -> BTreeMap<KeyTag, Presence> {
    #[derive(Default)]
    struct Course {
        gaps: Vec<(u64, u64)>,
        /// Start of the gap that is open, and when it was opened.
        out: Option<(u64, u64)>,
        never: bool,
        joined: bool,
    }
    let mut courses: BTreeMap<KeyTag, Course> = BTreeMap::new();
    let mut listed: BTreeSet<KeyTag> = BTreeSet::new();
    for record in path {
        let now: BTreeSet<KeyTag> = record.members.iter().map(|member| member.tag).collect();
        for tag in now.difference(&listed) {
            let course = courses.entry(*tag).or_default();
            course.joined = true;
            if let Some((start, _)) = course.out.take() {
                course.gaps.push((start, record.iat));
            }
        }
        for tag in listed.difference(&now) {
            courses.entry(*tag).or_default().out = Some((record.iat, record.iat));
        }
        for (tag, &until) in &record.until {
            // Also of somebody who is listed only later: 0 is final.
            let course = courses.entry(*tag).or_default();
            course.never |= until == 0;
            if let Some((start, opened)) = &mut course.out {
                *start = until.min(*opened);
            }
        }
        listed = now;
    }
    let presence = |course: Course| {
        if course.never {
            return Presence::never();
        }
        let open = course.out.map(|(start, _)| (start, u64::MAX));
        Presence::except(course.gaps.into_iter().chain(open).collect())
    };
    courses
        .into_iter()
        .filter(|(_, course)| course.joined)
        .map(|(tag, course)| (tag, presence(course)))
        .collect()
}
