//! `spec/wire.md` 3: which records stay; and what those show.

use flexstore_core::authority::Standing;
use flexstore_core::{Digest, Kind, Verified};

use super::Teams;

/// All records ever received under one tag by one owner, and the standing of each.
pub struct Group {
    kind: Kind,
    is_team: bool,
    records: Vec<(Verified, Standing)>,
}

/// What a tag shows of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// Something is there, and nobody can tell whether it counts.
    Unjudged,
    /// The record of that digest.
    Record(Digest),
}

impl Group {
    /// Of records of one collection, tag and owner, in any order.
    #[must_use]
    pub fn new(teams: &Teams, kind: Kind, records: &[Verified]) -> Self {
        let records: Vec<_> = records
            .iter()
            .map(|record| {
                let header = record.header();
                let standing = teams.standing(&header.owner, &header.author, header.iat);
                (record.clone(), standing)
            })
            .collect();
        let is_team = records
            .iter()
            .any(|(record, _)| record.header().collection.is_team());
        Self {
            kind,
            is_team,
            records,
        }
    }

    fn displaces(&self, a: &(Verified, Standing), b: &(Verified, Standing)) -> bool {
        let (a_counts, b_counts) = (a.1 == Standing::Counts, b.1 == Standing::Counts);
        let (a, b) = (&a.0, &b.0);
        let one_author = a.header().author == b.header().author;
        let greater = a.stamp() > b.stamp();
        // A record for a team is one by a member of it.
        let for_team = a.header().owner != a.header().author;
        let one_form = for_team == (b.header().owner != b.header().author);
        let may = one_form && (a_counts || !b_counts) && (a_counts || one_author);
        may && match self.kind {
            _ if self.is_team => false,
            Kind::Immutable => {
                a.is_tombstone() && !b.is_tombstone()
                    || one_author && a.is_tombstone() == b.is_tombstone() && a.stamp() < b.stamp()
            }
            Kind::Mutable => {
                greater && (a.is_tombstone() || one_author && !(for_team && b.is_tombstone()))
            }
            Kind::Versioned => greater && a.is_tombstone(),
        }
    }

    fn stays(&self) -> impl Iterator<Item = &(Verified, Standing)> {
        let all = &self.records;
        all.iter()
            .filter(move |b| !all.iter().any(|a| self.displaces(a, b)))
    }

    /// What none displaces, with its standing, ascending.
    #[must_use]
    pub fn set(&self) -> Vec<(Digest, Standing)> {
        let mut set: Vec<_> = self.stays().map(|(r, s)| (r.digest(), *s)).collect();
        set.sort_unstable();
        set
    }

    /// The counting versions, in order of time, then digest.
    #[must_use]
    pub fn versions(&self) -> Vec<Digest> {
        let mut all: Vec<_> = self.counting().filter(|r| !r.is_tombstone()).collect();
        all.sort_by_key(|record| record.stamp());
        all.iter().map(|record| record.digest()).collect()
    }

    fn counting(&self) -> impl Iterator<Item = &Verified> {
        self.stays()
            .filter(|(_, standing)| *standing == Standing::Counts)
            .map(|(record, _)| record)
    }

    /// What is shown.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let items = || self.counting().filter(|record| !record.is_tombstone());
        let stamp = |record: &&Verified| record.stamp();
        let chosen = match self.kind {
            Kind::Mutable => self
                .counting()
                .max_by_key(stamp)
                .filter(|record| !record.is_tombstone()),
            Kind::Immutable => items().min_by_key(stamp),
            Kind::Versioned => items()
                .filter(|at| {
                    let state = at.state();
                    !items().any(|after| after.header().ant == Some(state))
                })
                .max_by_key(stamp),
        };
        match chosen {
            Some(record) => Shown::Record(record.digest()),
            None if self.counting().next().is_some() => Shown::Nothing,
            None if self.stays().any(|(_, s)| *s == Standing::Unjudged) => Shown::Unjudged,
            None => Shown::Nothing,
        }
    }
}
