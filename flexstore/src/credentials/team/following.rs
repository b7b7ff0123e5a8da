//! Which record a change follows, and who signs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flexstore_core::KeyTag;
use flexstore_core::authority::{Judgement, TeamRecord};

use crate::credentials::keyset::KeySet;
use crate::credentials::{Credentials, CredentialsError};

impl Credentials<'_> {
    pub(in crate::credentials) fn judged(
        &self,
        team: &KeyTag,
    ) -> Result<Arc<Judgement>, CredentialsError> {
        let judgement = self.keyring().judgement(team)?;
        let judgement = judgement.ok_or(CredentialsError::NoTeam)?;
        match judgement.why_unjudged() {
            None => Ok(judgement),
            Some(why) => Err(CredentialsError::Unjudged { team: *team, why }),
        }
    }

    /// The key here that acts for a team: one that belongs to it now, else one that last did.
    pub(in crate::credentials) fn acting(
        &self,
        team: &KeyTag,
        judgement: &Judgement,
    ) -> Result<Arc<KeySet>, CredentialsError> {
        if let Some(set) = self.keyring().member(team)? {
            return Ok(set);
        }
        let sets = self.keyring().sets();
        let latest = (sets.into_iter())
            .filter(|set| judgement.last_place(&set.tag()).is_some())
            .max_by_key(|set| judgement.last_place(&set.tag()));
        latest.ok_or(CredentialsError::NotMember)
    }

    /// The record that a change by this author follows: the head. But what a removed key wrote while
    /// it counted no more is passed over, and so is what a key wrote that is struck off now, from
    /// the time given for it on; and where that has removed the author, its last place.
    pub(in crate::credentials) fn base(
        &self,
        judgement: &Judgement,
        author: &KeyTag,
        struck: &BTreeMap<KeyTag, u64>,
    ) -> Result<Arc<TeamRecord>, CredentialsError> {
        let path = judgement.path();
        let last = judgement.last_place(author);
        let mut at = last.ok_or(CredentialsError::NotMember)?;
        let struck_from = |record: &TeamRecord| struck.get(&record.author).copied();
        let destroyed = |record: &&Arc<TeamRecord>| {
            record.members.is_empty() && struck_from(record).is_none_or(|from| record.iat < from)
        };
        if path.last().filter(destroyed).is_some() {
            return Err(CredentialsError::Destroyed);
        }
        // Of a key that is struck off from the start, what it wrote stays: it may have founded the
        // team and listed the others.
        while at > 0 {
            let record = &path[at];
            let struck = struck_from(record).is_some_and(|from| from > 0 && record.iat >= from);
            if !struck && self.is_sound(judgement, record)? {
                break;
            }
            at -= 1;
        }
        if self.wins(judgement, author, at)? {
            Ok(Arc::clone(&path[at]))
        } else {
            Err(CredentialsError::NotMember)
        }
    }

    /// Whether a record by this author after a place of the path would win against what follows
    /// there: else it is not worth writing, and could only do harm later.
    pub(super) fn wins(
        &self,
        judgement: &Judgement,
        author: &KeyTag,
        place: usize,
    ) -> Result<bool, CredentialsError> {
        let order = judgement.seniority_at(place);
        let rank = |key: &KeyTag| -> Result<usize, CredentialsError> {
            for (rank, member) in order.iter().enumerate() {
                let within = self.keyring().judgement(member)?;
                if member == key || within.is_some_and(|within| within.current().contains(key)) {
                    return Ok(rank);
                }
            }
            Ok(order.len())
        };
        let own = rank(author)?;
        for record in &judgement.path()[place + 1..] {
            if rank(&record.author)? <= own {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the author of a record in force still counts for the time at which it wrote it. Of
    /// one that is struck off from the start nothing counts; but it may have founded the team, and
    /// whom it listed and removed in its time it did so rightly: until it was struck off.
    pub(super) fn is_sound(
        &self,
        judgement: &Judgement,
        record: &TeamRecord,
    ) -> Result<bool, CredentialsError> {
        let Some(presence) = judgement.leaves().get(&record.author) else {
            return Ok(true);
        };
        if !presence.spans().is_empty() {
            // Just before: a key that takes itself off the list does so rightly.
            return Ok(presence.contains(record.iat.saturating_sub(1)));
        }
        for team in judgement.consulted() {
            let Some(within) = self.keyring().judgement(team)? else {
                continue;
            };
            let path = within.path();
            let last = path.iter().rposition(|list| list.lists(&record.author));
            let struck_off = last.and_then(|last| path.get(last + 1));
            if struck_off.is_some_and(|list| record.iat > list.iat) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
