//! Why an item counts, and who can read it.

use std::collections::BTreeMap;

use flexstore_core::authority::{Presence, Standing};
use flexstore_core::{Digest, KeyTag};

use super::{Credentials, CredentialsError};
use crate::item::Item;
use crate::seal;

/// One link of the chain from a team to a single key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A team,
    pub team: KeyTag,
    /// that listed this member: the key itself, or the team that the next step is about,
    pub member: KeyTag,
    /// first in this of its records in force,
    pub listed: Digest,
    /// and, if it was removed, last in this one.
    pub removed: Option<Digest>,
    /// The times at which what the member signs counts for the team.
    pub presence: Presence,
}

/// Whether an item counts, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Whether it does.
    pub standing: Standing,
    /// How the author belongs, or once belonged, to the owner; empty where both are one, and where
    /// the author never did.
    pub chain: Vec<Step>,
}

/// Who can read an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readers {
    /// It is plain.
    Everyone,
    /// The single keys that can open it, and how each belongs to its audience; empty where the key
    /// itself is of the audience. Whoever is listed later in a team of the audience can, too, and
    /// so can who has been removed since it was written.
    Keys(BTreeMap<KeyTag, Vec<Step>>),
}

impl Credentials<'_> {
    /// Whether an item counts, with the records behind the answer.
    ///
    /// # Errors
    /// [`CredentialsError::Storage`].
    pub fn why_counts(&self, item: &Item) -> Result<Reason, CredentialsError> {
        let (owner, author, time) = (item.owner(), item.author(), item.time());
        let judgement = self.keyring().judgement(&owner)?;
        let standing = match (owner == author, &judgement) {
            (true, None) => Standing::Counts,
            (true, Some(_)) => Standing::Void,
            (false, None) => Standing::Unjudged,
            (false, Some(judgement)) => judgement.standing(&author, time),
        };
        let counting = self.chain(&owner, &author, Some(time), &mut Vec::new())?;
        let chain = match counting {
            Some(chain) => chain,
            None => self
                .chain(&owner, &author, None, &mut Vec::new())?
                .unwrap_or_default(),
        };
        Ok(Reason { standing, chain })
    }

    /// Who can read an item, as far as the records here tell.
    ///
    /// # Errors
    /// [`CredentialsError::Storage`].
    pub fn who_can_read(&self, item: &Item) -> Result<Readers, CredentialsError> {
        if item.audience().is_empty() {
            return Ok(Readers::Everyone);
        }
        let mut keys = BTreeMap::new();
        let text = str::from_utf8(item.record().payload()).unwrap_or_default();
        for kid in seal::audience(text).unwrap_or_default() {
            let Some(record) = kid.record else {
                keys.insert(kid.tag, Vec::new());
                continue;
            };
            let Some(judgement) = self.keyring().judgement(&kid.tag)? else {
                continue;
            };
            for leaf in judgement.belonging_since(&record) {
                let chain = self.chain(&kid.tag, &leaf, None, &mut Vec::new())?;
                keys.entry(leaf).or_insert(chain.unwrap_or_default());
            }
        }
        Ok(Readers::Keys(keys))
    }

    /// How a single key belongs to a team: at a time, or ever.
    fn chain(
        &self,
        team: &KeyTag,
        leaf: &KeyTag,
        time: Option<u64>,
        above: &mut Vec<KeyTag>,
    ) -> Result<Option<Vec<Step>>, CredentialsError> {
        if above.contains(team) {
            return Ok(None);
        }
        let Some(judgement) = self.keyring().judgement(team)? else {
            return Ok(None);
        };
        above.push(*team);
        let mut found = None;
        for (member, presence) in judgement.members() {
            if time.is_some_and(|time| !presence.contains(time)) {
                continue;
            }
            let path = judgement.path();
            let listed = path.iter().find(|record| record.lists(member));
            let last = path.iter().rposition(|record| record.lists(member));
            let (Some(listed), Some(last)) = (listed, last) else {
                continue;
            };
            let step = Step {
                team: *team,
                member: *member,
                listed: listed.digest,
                removed: path.get(last + 1).map(|record| record.digest),
                presence: presence.clone(),
            };
            if member == leaf {
                found = Some(vec![step]);
                break;
            }
            if found.is_none()
                && let Some(rest) = self.chain(member, leaf, time, above)?
            {
                found = Some([vec![step], rest].concat());
            }
        }
        above.pop();
        Ok(found)
    }
}
