//! New keys: for teams around one that has lost somebody, and for those that are sealed to.

use std::collections::BTreeMap;
use std::sync::Arc;

use flexstore_core::authority::{Judgement, Member, TeamRecord, Unjudged};
use flexstore_core::{Digest, KeyTag};

use super::{Change, MAX_ABOVE, MAX_TRIES};
use crate::credentials::keyset::KeySet;
use crate::credentials::team_keys::kid;
use crate::credentials::{Credentials, CredentialsError};
use crate::seal::{Audience, EncryptionKey};

impl Credentials<'_> {
    pub(super) fn all_judged(&self) -> Result<BTreeMap<KeyTag, Arc<Judgement>>, CredentialsError> {
        let mut all = BTreeMap::new();
        for team in self.keyring().known_teams()? {
            if let Some(judgement) = self.keyring().judgement(&team)? {
                all.insert(team, judgement);
            }
        }
        Ok(all)
    }

    /// Every team that lists this one, and every team around those, is given a new key, if we can:
    /// the removed keys reached them through this one. Also, what they had signed there ranks last
    /// now, so that a fork may win that had lost until then: there we sign for what was in force.
    pub(super) async fn rotate_around(
        &self,
        team: &KeyTag,
        removed: &[KeyTag],
        before: &BTreeMap<KeyTag, Arc<Judgement>>,
    ) -> Result<(), CredentialsError> {
        let teams = self.keyring().known_teams()?;
        let mut around: Vec<KeyTag> = vec![*team];
        let mut next = 0;
        while let Some(within) = around.get(next).copied() {
            next += 1;
            for outer in teams.iter().copied() {
                let Some(judgement) = self.keyring().judgement(&outer)? else {
                    continue;
                };
                let lost = before.get(&outer).filter(|was| {
                    let head = was.head().map(|head| head.digest);
                    let holds = |head| judgement.path().iter().any(|record| record.digest == head);
                    !head.is_none_or(holds)
                });
                let judged = lost.unwrap_or(&judgement);
                let lists = judged.head().is_some_and(|head| head.lists(&within));
                let mut removed = removed.iter();
                let reached =
                    lost.is_none() && removed.all(|tag| judgement.current().contains(tag));
                if !lists || around.contains(&outer) || reached {
                    continue;
                }
                around.push(outer);
                let renewed = match lost {
                    Some(was) => self.sign_for(&outer, was, &within).await,
                    None => self.try_renew(&outer, &judgement).await,
                };
                // Where it cannot be done now, whoever seals to it next does it. One that
                // strangers made so that it never can be must not keep the others waiting.
                if let Err(error) = renewed {
                    tracing::warn!(team = %outer, %error, "a team around has no new key yet");
                }
            }
        }
        Ok(())
    }

    /// Gives a team a new key, if we can.
    pub(super) async fn try_renew(
        &self,
        team: &KeyTag,
        judgement: &Judgement,
    ) -> Result<(), CredentialsError> {
        for _ in 0..MAX_TRIES {
            if self.renewer(team, judgement)?.is_none() || self.renew(team, &[]).await?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Gives a team a new key by a record that follows what was in force and is so no more, signed
    /// through a member whose seniority makes it win again.
    pub(super) async fn sign_for(
        &self,
        team: &KeyTag,
        was: &Judgement,
        through: &KeyTag,
    ) -> Result<(), CredentialsError> {
        let Some(author) = self.keyring().member(through)? else {
            return Ok(());
        };
        let member = self.judged(through)?;
        let sound = |record: &TeamRecord| match member.leaves().get(&record.author) {
            Some(presence) => presence.contains(record.iat),
            None => self.is_sound(was, record).unwrap_or(false),
        };
        let mut records = was.path().iter().rev();
        let Some(base) = records.find(|record| record.lists(through) && sound(record)) else {
            return Ok(());
        };
        let change = Change {
            members: base.members.iter().map(|member| member.tag).collect(),
            until: BTreeMap::new(),
            rotate: true,
            head: None,
        };
        Box::pin(self.write_change(team, &author, base, change)).await?;
        Ok(())
    }

    /// Gives a team a new key by a record with an unchanged list; `None` if something else was
    /// written meanwhile.
    pub(super) async fn renew(
        &self,
        team: &KeyTag,
        above: &[KeyTag],
    ) -> Result<Option<Digest>, CredentialsError> {
        let judgement = self.judged(team)?;
        let author = self.acting(team, &judgement)?;
        let base = self.base(&judgement, &author.tag(), &BTreeMap::new())?;
        let change = Change {
            members: base.members.iter().map(|member| member.tag).collect(),
            until: BTreeMap::new(),
            rotate: true,
            head: judgement.head().map(|head| head.digest),
        };
        let above = [above, &[*team]].concat();
        Box::pin(self.write_change_within(team, &author, &base, change, &above)).await
    }

    /// The key to which something for a team is sealed now. Those above are being changed, each for
    /// the sake of the one before, so that teams in a circle come to an end.
    pub(in crate::credentials) async fn team_key(
        &self,
        team: &KeyTag,
        above: &[KeyTag],
    ) -> Result<Audience, CredentialsError> {
        if self.keyring().judgement(team)?.is_none() {
            self.fetch_team(team).await;
        }
        let mut judgement = match self.judged(team) {
            Err(CredentialsError::NoTeam) => return Err(CredentialsError::UnknownKey(*team)),
            judged => judged?,
        };
        let may = above.len() < MAX_ABOVE && !above.contains(team);
        while may && self.is_due(team, &judgement)? && self.renewer(team, &judgement)?.is_some() {
            let renewed = Box::pin(self.renew(team, above)).await?;
            judgement = self.judged(team)?;
            if renewed.is_some() {
                break;
            }
        }
        let missing = CredentialsError::Unjudged {
            team: *team,
            why: Unjudged::Missing,
        };
        let head = judgement.head().ok_or(missing)?;
        let key = head.key.ok_or(CredentialsError::Destroyed)?;
        let key = EncryptionKey::from_bytes(key);
        Ok(Audience {
            kid: kid(&Member {
                tag: *team,
                record: Some(head.digest),
            }),
            key: key.map_err(|_| CredentialsError::UnknownKey(*team))?,
        })
    }

    /// Whether somebody who belongs to a team no more can read what is sealed to its present key,
    /// and a new one would help: who made the key, or was listed since, is gone; or a nested team
    /// has lost someone and gone on. Or whether a member here cannot read it.
    pub(super) fn is_due(
        &self,
        team: &KeyTag,
        judgement: &Judgement,
    ) -> Result<bool, CredentialsError> {
        let path = judgement.path();
        let Some(head) = path.last().filter(|head| head.key.is_some()) else {
            return Ok(false);
        };
        let since: Vec<&Arc<TeamRecord>> = (path.iter())
            .skip_while(|record| record.key != head.key)
            .collect();
        let gone = |record: &&Arc<TeamRecord>| {
            let mut members = record.members.iter();
            members.any(|member| !head.lists(&member.tag))
        };
        let made = since
            .first()
            .is_some_and(|record| !judgement.current().contains(&record.author));
        if made || since.iter().any(gone) {
            return Ok(true);
        }
        // A member may have made a key that it keeps to itself.
        let keys = self.keyring().team(team)?;
        if keys.is_some_and(|keys| keys.secret(&head.digest).is_none()) {
            return Ok(true);
        }
        for member in &head.members {
            if let Some(record) = &member.record
                && let Some(within) = self.keyring().judgement(&member.tag)?
                && within.head().is_some_and(|last| last.digest != *record)
                && within.lost_since(record)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A key here that can give a team a new key so that it counts.
    pub(super) fn renewer(
        &self,
        team: &KeyTag,
        judgement: &Judgement,
    ) -> Result<Option<Arc<KeySet>>, CredentialsError> {
        let stays = |set: &Arc<KeySet>| {
            let presence = judgement.leaves().get(&set.tag());
            presence.is_some_and(|presence| presence.contains(u64::MAX - 1))
        };
        Ok(self.keyring().member(team)?.filter(stays))
    }
}
