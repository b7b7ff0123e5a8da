//! Which records of a team count under the js profile.
//!
//! In the original a Team is one mutable record that every change replaces. Its signing key never
//! rotates and former members keep it, so a record is judged by its `act`: a pure function of all
//! Team records of one tag, whatever the order in which they came.
//!
//! **Antecedent.** Records are taken in the order of time, then digest. The antecedent of one is
//! the greatest earlier record whose list holds its `act`, on the path that wins among the earlier
//! ones if there is such a record there, else anywhere. (Without that preference a removed member
//! could list others in a losing record, and all that they write later would hang on it.) A record
//! of an `act` that no earlier list holds is a first one if its own list holds it, and nothing
//! otherwise.
//!
//! **Forks.** Of several records with one antecedent, that branch wins in which the most senior
//! member of the antecedent has signed anywhere, then the one begun by the more senior, then the
//! smaller digest. Seniority: the first record's list as signed, then joining. So a removed junior
//! cannot re-add itself; a senior can undo juniors.
//!
//! **Counting.** A team item counts if its `act` was ever listed on the winning path and its `iat`
//! lies in none of its gaps, each from the `iat` of a record that removes it (inclusive) to that of
//! the one that adds it again (exclusive). An item signed by the team's key alone counts until the
//! first removal of anybody: from then on somebody outside has the key.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use record::TeamRecordError;

use super::{Member, Presence, judgement, team};
use crate::record::Stamp;
use crate::{Digest, KeyTag};

/// The most records of one team; of more nobody can tell who belongs to it.
pub const MAX_RECORDS: usize = 256;
/// The most entries that all lists of one team may have together.
pub const MAX_ENTRIES: usize = 1 << 14;

/// What judging needs of one verified Team record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRecord {
    /// SHA-256 of its text.
    pub digest: Digest,
    /// Milliseconds since 1970.
    pub iat: u64,
    /// The member that signed it beside the team.
    pub act: KeyTag,
    /// Its list, in the order signed; empty if it destroys the team.
    pub members: Vec<KeyTag>,
}

impl TeamRecord {
    const fn stamp(&self) -> Stamp {
        Stamp {
            iat: self.iat,
            digest: self.digest,
        }
    }
}

/// Why a team cannot be judged; then nothing of it counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// There is no first record.
    #[error("no first record of the team")]
    Unjudged,
    /// The pinned first record is not at hand.
    #[error("the pinned record is not at hand")]
    PinMissing,
    /// Several first records, and none is pinned.
    #[error("several first records")]
    SeveralFirst(Vec<Digest>),
    /// More than [`MAX_RECORDS`], or than [`MAX_ENTRIES`].
    #[error("more records or members than anybody judges")]
    TooMany,
}

/// How a team stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    path: Vec<Digest>,
    members: Vec<KeyTag>,
    /// Of all ever listed: when they were outside, each from (inclusive) to (exclusive).
    gaps: BTreeMap<KeyTag, Vec<(u64, Option<u64>)>>,
    first_removal: Option<u64>,
}

impl Judgement {
    /// The winning list; empty if the team is destroyed.
    #[must_use]
    pub fn members(&self) -> &[KeyTag] {
        &self.members
    }

    /// The records of the winning path, from the first to the one in force.
    #[must_use]
    pub fn path(&self) -> &[Digest] {
        &self.path
    }

    /// Whether an item of the team counts that this member signed at this time (ms since 1970).
    #[must_use]
    pub fn counts(&self, act: &KeyTag, iat: u64) -> bool {
        self.gaps.get(act).is_some_and(|gaps| {
            !gaps
                .iter()
                .any(|(from, to)| *from <= iat && to.is_none_or(|to| iat < to))
        })
    }

    /// The same in the form in which native teams are judged, of these records.
    pub(super) fn in_full(self, team: KeyTag, records: &[TeamRecord]) -> judgement::Judgement {
        let presence = |gaps: Vec<(u64, Option<u64>)>| {
            let ends = |(from, to): (u64, Option<u64>)| (from, to.unwrap_or(u64::MAX));
            Presence::except(gaps.into_iter().map(ends).collect())
        };
        let leaves: BTreeMap<_, _> = self
            .gaps
            .into_iter()
            .map(|(key, gaps)| (key, presence(gaps)))
            .collect();
        let of = |digest: &Digest| records.iter().find(|record| record.digest == *digest);
        judgement::Judgement {
            path: self.path.iter().filter_map(of).map(in_full).collect(),
            seniority: self.members.clone(),
            members: leaves.clone(),
            leaves,
            current: self.members.into_iter().collect(),
            consulted: BTreeSet::from([team]),
            incomplete: false,
            unjudged: None,
            sidelined: Vec::new(),
            last: BTreeMap::new(),
            leaves_path_at: BTreeMap::new(),
            height: 0,
            alone: Some(self.first_removal.unwrap_or(u64::MAX)),
        }
    }

    /// Whether an item counts that the team's key alone signed at this time (ms since 1970).
    #[must_use]
    pub fn solo_counts(&self, iat: u64) -> bool {
        self.first_removal.is_none_or(|removal| iat < removal)
    }
}

fn in_full(record: &TeamRecord) -> Arc<team::TeamRecord> {
    Arc::new(team::TeamRecord {
        digest: record.digest,
        ant: None,
        iat: record.iat,
        author: record.act,
        members: record.members.iter().copied().map(Member::leaf).collect(),
        until: BTreeMap::new(),
        key: None,
    })
}

/// Judges the verified Team records of one tag. `pin` is the first record as others named it.
///
/// Made for the tens or hundreds of records that a team has: without forks it takes time in
/// proportion to the square of their number, at worst the cube.
///
/// # Errors
/// [`JudgeError`].
pub fn judge(records: &[TeamRecord], pin: Option<&Digest>) -> Result<Judgement, JudgeError> {
    let mut sorted: Vec<&TeamRecord> = records.iter().collect();
    sorted.sort_unstable_by_key(|record| record.stamp());
    sorted.dedup_by_key(|record| record.digest);
    let entries: usize = sorted.iter().map(|record| record.members.len()).sum();
    if sorted.len() > MAX_RECORDS || entries > MAX_ENTRIES {
        return Err(JudgeError::TooMany);
    }
    let tree = match pin {
        Some(pin) => {
            let at = sorted.iter().position(|record| record.digest == *pin);
            let at = at.ok_or(JudgeError::PinMissing)?;
            Tree::grow(sorted[at], &sorted[at + 1..])
        }
        None => {
            let firsts = firsts(&sorted);
            match firsts[..] {
                [] => return Err(JudgeError::Unjudged),
                [at] => Tree::grow(sorted[at], &sorted[at + 1..]),
                _ => {
                    let digests = firsts.iter().map(|at| sorted[*at].digest);
                    return Err(JudgeError::SeveralFirst(digests.collect()));
                }
            }
        }
    };
    let path: Vec<_> = tree
        .path()
        .iter()
        .map(|at| tree.nodes[*at].record)
        .collect();
    Ok(told(&path))
}

/// Those that hang on nothing earlier and list their own author.
fn firsts(sorted: &[&TeamRecord]) -> Vec<usize> {
    let mut listed: BTreeSet<&KeyTag> = BTreeSet::new();
    let mut firsts = Vec::new();
    for (at, record) in sorted.iter().enumerate() {
        let hangs = listed.contains(&record.act);
        if !hangs && record.members.contains(&record.act) {
            firsts.push(at);
        }
        if hangs || firsts.last() == Some(&at) {
            listed.extend(&record.members);
        }
    }
    firsts
}

struct Node<'a> {
    record: &'a TeamRecord,
    children: Vec<usize>,
}

/// All that hangs on one first record, which is number 0.
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Tree<'a> {
    fn grow(first: &'a TeamRecord, later: &[&'a TeamRecord]) -> Self {
        let node = |record| Node {
            record,
            children: Vec::new(),
        };
        let mut tree = Self {
            nodes: vec![node(first)],
        };
        let mut path = vec![0];
        for record in later {
            let holds = |at: &usize| tree.nodes[*at].record.members.contains(&record.act);
            let antecedent = path.iter().rev().copied().find(|at| holds(at));
            let anywhere = || (0..tree.nodes.len()).rev().find(|at| holds(at));
            if let Some(antecedent) = antecedent.or_else(anywhere) {
                let at = tree.nodes.len();
                tree.nodes.push(node(record));
                tree.nodes[antecedent].children.push(at);
                path = tree.path();
            }
        }
        tree
    }

    /// The path that wins, from the first record on.
    fn path(&self) -> Vec<usize> {
        let mut at = 0;
        let mut path = vec![0];
        let mut seniority: BTreeMap<&KeyTag, usize> = BTreeMap::new();
        loop {
            let Node { record, children } = &self.nodes[at];
            for member in &record.members {
                let last = seniority.len();
                seniority.entry(member).or_insert(last);
            }
            let rank = |key: &KeyTag| {
                let place = seniority.get(key).copied();
                place.filter(|_| record.members.contains(key))
            };
            let order = |child: &usize| {
                let begun = self.nodes[*child].record;
                // Nobody of the antecedent's list ranks below everybody of it.
                let last = seniority.len();
                (
                    self.most_senior(*child, &rank).unwrap_or(last),
                    rank(&begun.act).unwrap_or(last),
                    begun.digest,
                )
            };
            let next = match children[..] {
                [] => return path,
                [only] => only,
                _ => match children.iter().copied().min_by_key(order) {
                    Some(next) => next,
                    None => return path,
                },
            };
            path.push(next);
            at = next;
        }
    }

    fn most_senior(&self, branch: usize, rank: &dyn Fn(&KeyTag) -> Option<usize>) -> Option<usize> {
        let mut left = vec![branch];
        let mut best: Option<usize> = None;
        while let Some(at) = left.pop() {
            let Node { record, children } = &self.nodes[at];
            let own = rank(&record.act);
            best = best.into_iter().chain(own).min();
            left.extend(children);
        }
        best
    }
}

/// What a path of records comes to.
fn told(path: &[&TeamRecord]) -> Judgement {
    let mut gaps: BTreeMap<KeyTag, Vec<(u64, Option<u64>)>> = BTreeMap::new();
    let mut first_removal = None;
    let mut before: &[KeyTag] = &[];
    for record in path {
        for gone in before.iter().filter(|key| !record.members.contains(key)) {
            gaps.entry(*gone).or_default().push((record.iat, None));
            first_removal.get_or_insert(record.iat);
        }
        for member in &record.members {
            if let Some((_, to @ None)) = gaps.entry(*member).or_default().last_mut() {
                *to = Some(record.iat);
            }
        }
        before = &record.members;
    }
    Judgement {
        path: path.iter().map(|record| record.digest).collect(),
        members: before.to_vec(),
        gaps,
        first_removal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u8 = 1;
    const B: u8 = 2;
    const C: u8 = 3;

    fn key(n: u8) -> KeyTag {
        KeyTag::from_bytes([n; 32])
    }

    fn record(name: u8, iat: u64, act: u8, members: &[u8]) -> TeamRecord {
        TeamRecord {
            digest: Digest::of(&[name]),
            iat,
            act: key(act),
            members: members.iter().map(|n| key(*n)).collect(),
        }
    }

    fn members(judged: &Judgement) -> Vec<u8> {
        judged
            .members()
            .iter()
            .map(|key| key.as_bytes()[0])
            .collect()
    }

    /// The same in every order of arrival.
    fn judged(records: &[TeamRecord], pin: Option<&Digest>) -> Result<Judgement, JudgeError> {
        let verdict = judge(records, pin);
        let mut turned = records.to_vec();
        for _ in records {
            turned.rotate_left(1);
            assert_eq!(judge(&turned, pin), verdict);
            let backwards: Vec<_> = turned.iter().rev().cloned().collect();
            assert_eq!(judge(&backwards, pin), verdict);
        }
        let twice = [records, records].concat();
        assert_eq!(judge(&twice, pin), verdict);
        verdict
    }

    #[test]
    fn a_chain_is_its_last_record() {
        let chain = [
            record(0, 10, A, &[A]),
            record(1, 20, A, &[A, B]),
            record(2, 30, B, &[B, C]),
            record(3, 40, C, &[C, A]),
        ];
        let judged = judged(&chain, None).unwrap();
        assert_eq!(members(&judged), [C, A]);
        assert_eq!(judged.path().len(), 4);
        for (act, iat, counts) in [
            (A, 5, true),
            (A, 29, true),
            (A, 30, false),
            (A, 39, false),
            (A, 40, true),
            (B, 5, true),
            (B, 39, true),
            (B, 40, false),
            (C, 99, true),
            (9, 15, false),
        ] {
            assert_eq!(judged.counts(&key(act), iat), counts, "{act} at {iat}");
        }
        assert!(judged.solo_counts(29) && !judged.solo_counts(30));
    }

    #[test]
    fn a_removed_junior_cannot_add_itself_again() {
        let mut records = vec![
            record(0, 10, A, &[A, B]),
            record(1, 20, A, &[A]),
            record(2, 30, B, &[A, B]),
        ];
        let once = judged(&records, None).unwrap();
        assert_eq!(members(&once), [A]);
        assert!(!once.counts(&key(B), 31));
        // Back-dated it is no better, and what A does later does not hang on it.
        records.push(record(3, 15, B, &[B]));
        records.push(record(4, 40, A, &[A, C]));
        let judged = judged(&records, None).unwrap();
        assert_eq!(members(&judged), [A, C]);
        assert!(!judged.counts(&key(B), 31) && judged.counts(&key(C), 50));
    }

    #[test]
    fn a_senior_undoes_a_junior() {
        let records = [
            record(0, 10, A, &[A, B]),
            record(1, 20, B, &[B]),
            record(2, 30, A, &[A]),
        ];
        assert_eq!(members(&judged(&records, None).unwrap()), [A]);
    }

    #[test]
    fn a_branch_weighs_as_much_as_the_most_senior_that_signed_in_it() {
        let mut records = vec![
            record(0, 10, A, &[A, B, C]),
            record(1, 20, C, &[A, C]),
            record(2, 40, B, &[B]),
        ];
        assert_eq!(members(&judged(&records, None).unwrap()), [B]);
        // The founder went on from the junior's record.
        records.push(record(3, 30, A, &[A, C, 7]));
        assert_eq!(members(&judged(&records, None).unwrap()), [A, C, 7]);
    }

    #[test]
    fn of_two_at_one_time_the_greater_digest_follows_the_other() {
        let fork = [
            record(0, 10, A, &[A]),
            record(1, 20, A, &[A, B]),
            record(2, 20, A, &[A, C]),
        ];
        let judged = judged(&fork, None).unwrap();
        let last = fork[1..].iter().max_by_key(|record| record.digest).unwrap();
        assert_eq!(judged.members(), last.members);
        assert_eq!(judged.path().len(), 3);
    }

    #[test]
    fn two_first_records_are_an_error_unless_one_is_pinned() {
        let records = [
            record(0, 10, A, &[A, B]),
            record(1, 5, C, &[C]),
            record(2, 20, B, &[B]),
        ];
        let error = JudgeError::SeveralFirst(vec![records[1].digest, records[0].digest]);
        assert_eq!(judged(&records, None), Err(error));
        let pinned = judged(&records, Some(&records[0].digest)).unwrap();
        assert_eq!(members(&pinned), [B]);
        let other = judged(&records, Some(&records[1].digest)).unwrap();
        assert_eq!(members(&other), [C]);
        assert_eq!(
            judged(&records, Some(&Digest::of(b"?"))),
            Err(JudgeError::PinMissing)
        );
        assert_eq!(judged(&[], None), Err(JudgeError::Unjudged));
        // A stranger's record hangs on nothing and is nothing.
        let stranger = [record(0, 10, A, &[A]), record(1, 20, C, &[A])];
        assert_eq!(judged(&stranger, None).unwrap().path().len(), 1);
    }

    #[test]
    fn destroyed_it_has_no_members() {
        let records = [record(0, 10, A, &[A, B]), record(1, 20, B, &[])];
        let judged = judged(&records, None).unwrap();
        assert_eq!(judged.members(), []);
        assert!(judged.counts(&key(A), 19) && !judged.counts(&key(A), 20));
    }
}
