//! What judging a team comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::presence::Presence;
use super::team::TeamRecord;
use super::{Standing, Unjudged};
use crate::{Digest, KeyTag};

/// What the records of one team say.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub(super) unjudged: Option<Unjudged>,
    pub(super) path: Vec<Arc<TeamRecord>>,
    pub(super) sidelined: Vec<Arc<TeamRecord>>,
    pub(super) seniority: Vec<KeyTag>,
    pub(super) members: BTreeMap<KeyTag, Presence>,
    pub(super) leaves: BTreeMap<KeyTag, Presence>,
    /// Those who belong to the head now, through the heads of teams within it.
    pub(super) current: BTreeSet<KeyTag>,
    /// The last place on the path to which each key belongs.
    pub(super) last: BTreeMap<KeyTag, usize>,
    /// Of each valid record, the place on the path where its branch leaves.
    pub(super) leaves_path_at: BTreeMap<Digest, usize>,
    pub(super) incomplete: bool,
    pub(super) consulted: BTreeSet<KeyTag>,
    /// How many levels of teams are within it.
    pub(super) height: usize,
    /// Until when (ms since 1970) counts what the team's key signs alone; `None` where nobody can
    /// tell. A native team's proves nothing by itself: former members may have kept it.
    pub(super) alone: Option<u64>,
}

impl Judgement {
    pub(super) fn unjudged(why: Unjudged) -> Self {
        Self {
            unjudged: Some(why),
            path: Vec::new(),
            sidelined: Vec::new(),
            seniority: Vec::new(),
            members: BTreeMap::new(),
            leaves: BTreeMap::new(),
            current: BTreeSet::new(),
            last: BTreeMap::new(),
            leaves_path_at: BTreeMap::new(),
            incomplete: true,
            consulted: BTreeSet::new(),
            height: 0,
            alone: Some(0),
        }
    }

    pub(super) fn javascript_unjudged(team: KeyTag, why: Unjudged) -> Self {
        Self {
            consulted: BTreeSet::from([team]),
            alone: None,
            ..Self::unjudged(why)
        }
    }

    /// Why nobody can tell who belongs to it, if so.
    #[must_use]
    pub const fn why_unjudged(&self) -> Option<Unjudged> {
        self.unjudged
    }

    /// The records in force, the first one first; empty if unjudged.
    #[must_use]
    pub fn path(&self) -> &[Arc<TeamRecord>] {
        &self.path
    }

    /// The last record in force.
    #[must_use]
    pub fn head(&self) -> Option<&Arc<TeamRecord>> {
        self.path.last()
    }

    /// Valid records that lost a fork.
    #[must_use]
    pub fn sidelined(&self) -> &[Arc<TeamRecord>] {
        &self.sidelined
    }

    /// The members now, the most senior first.
    #[must_use]
    pub fn seniority(&self) -> &[KeyTag] {
        &self.seniority
    }

    /// The members at a place of the path, the most senior first.
    #[must_use]
    pub fn seniority_at(&self, place: usize) -> Vec<KeyTag> {
        let mut seniority = Vec::new();
        for record in self.path.iter().take(place + 1) {
            follow(&mut seniority, record);
        }
        seniority
    }

    /// The single keys that belong to it now, directly or through teams within it.
    #[must_use]
    pub const fn current(&self) -> &BTreeSet<KeyTag> {
        &self.current
    }

    /// The last place on the path to whose list a single key belongs, if any.
    #[must_use]
    pub fn last_place(&self, key: &KeyTag) -> Option<usize> {
        self.last.get(key).copied()
    }

    /// Whether somebody who belonged to it at one of its records or later does no more, so that a
    /// team that wraps its keys to that record is due for new ones.
    #[must_use]
    pub fn lost_since(&self, record: &Digest) -> bool {
        let from = self.leaves_path_at.get(record);
        from.is_none_or(|from| {
            self.last
                .iter()
                .any(|(key, last)| last >= from && !self.current.contains(key))
        })
    }

    /// The single keys that belonged to it at one of its records or later: they hold the key that
    /// it carries.
    #[must_use]
    pub fn belonging_since(&self, record: &Digest) -> Vec<KeyTag> {
        let from = self.leaves_path_at.get(record);
        let belonging = |last: &usize| from.is_some_and(|from| last >= from);
        (self.last.iter())
            .filter(|(_, last)| belonging(last))
            .map(|(key, _)| *key)
            .collect()
    }

    /// All that were ever listed, and the times at which they were members.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<KeyTag, Presence> {
        &self.members
    }

    /// All single keys that ever belonged to it, and the times at which what they signed counts.
    #[must_use]
    pub const fn leaves(&self) -> &BTreeMap<KeyTag, Presence> {
        &self.leaves
    }

    /// The teams whose records were looked at or missed.
    #[must_use]
    pub const fn consulted(&self) -> &BTreeSet<KeyTag> {
        &self.consulted
    }

    /// Whether a record that this author signed for the team at a time (ms since 1970) counts.
    #[must_use]
    pub fn standing(&self, author: &KeyTag, iat: u64) -> Standing {
        let counts = |presence: &Presence| presence.contains(iat);
        if self.leaves.get(author).is_some_and(counts) {
            Standing::Counts
        } else if self.incomplete {
            Standing::Unjudged
        } else {
            Standing::Void
        }
    }

    /// Whether a record that the team's key alone signed at a time (ms since 1970) counts.
    #[must_use]
    pub const fn standing_alone(&self, iat: u64) -> Standing {
        match self.alone {
            Some(until) if iat < until => Standing::Counts,
            Some(_) => Standing::Void,
            None => Standing::Unjudged,
        }
    }

    /// Equal for judgements by which the same records count.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        let mut text = format!("{:?} {}", self.unjudged, self.incomplete).into_bytes();
        if self.alone != Some(0) {
            text.extend_from_slice(format!("{:?}", self.alone).as_bytes());
        }
        for record in &self.path {
            text.extend_from_slice(record.digest.as_bytes());
        }
        for (leaf, presence) in &self.leaves {
            text.extend_from_slice(leaf.as_bytes());
            for (start, end) in presence.spans() {
                text.extend_from_slice(&start.to_be_bytes());
                text.extend_from_slice(&end.to_be_bytes());
            }
        }
        Digest::of(&text)
    }
}

/// Who is not listed leaves, and who is new follows in the list's order.
pub(super) fn follow(seniority: &mut Vec<KeyTag>, record: &TeamRecord) {
    let listed: BTreeSet<KeyTag> = record.members.iter().map(|member| member.tag).collect();
    seniority.retain(|tag| listed.contains(tag));
    let joined: BTreeSet<KeyTag> = seniority.iter().copied().collect();
    let new = record.members.iter().map(|member| member.tag);
    seniority.extend(new.filter(|tag| !joined.contains(tag)));
}
