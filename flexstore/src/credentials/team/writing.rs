//! Writing Team records.

use std::collections::{BTreeMap, BTreeSet};

use flexstore_core::authority::{Member, Roster, TeamRecord};
use flexstore_core::record::{CTY_JSON, Content};
use flexstore_core::sync::Writing;
use flexstore_core::{Digest, KeyTag};

use super::{Change, TeamName};
use crate::credentials::keyset::KeySet;
use crate::credentials::team_keys::TeamKeys;
use crate::credentials::{Credentials, CredentialsError};
use crate::peer::Signers;
use crate::seal::{EncryptionKey, SealError};

impl Credentials<'_> {
    /// Makes a new team by this author.
    pub(in crate::credentials) async fn found_team(
        &self,
        author: &KeySet,
        members: Vec<KeyTag>,
    ) -> Result<TeamName, CredentialsError> {
        let keys = TeamKeys::generate().ok_or(CredentialsError::Seal(SealError::Failed))?;
        let members = self.entries(&members, &[], &[]).await?;
        let roster = keys.roster(&author.tag(), &members, BTreeMap::new())?;
        let record = self.write_roster(&keys, author, roster, None).await?;
        let name = TeamName {
            tag: keys.signing().tag(),
            record,
        };
        self.pin(&name).await?;
        Ok(name)
    }

    /// Writes a record that follows another; `None` if something else was written meanwhile.
    pub(in crate::credentials) async fn write_change(
        &self,
        team: &KeyTag,
        author: &KeySet,
        base: &TeamRecord,
        change: Change,
    ) -> Result<Option<Digest>, CredentialsError> {
        let above = [*team];
        self.write_change_within(team, author, base, change, &above)
            .await
    }

    pub(super) async fn write_change_within(
        &self,
        team: &KeyTag,
        author: &KeySet,
        base: &TeamRecord,
        change: Change,
        above: &[KeyTag],
    ) -> Result<Option<Digest>, CredentialsError> {
        if change.members.is_empty() {
            return Err(CredentialsError::NoMembers);
        }
        let keys = self.keyring().team(team)?;
        let mut keys = keys.ok_or(CredentialsError::NotMember)?.copy();
        let members = self.entries(&change.members, &base.members, above).await?;
        // Whoever a nested team has lost since could still read.
        let lost = |member: &Member| -> Result<bool, CredentialsError> {
            let Some(record) = &member.record else {
                return Ok(false);
            };
            let within = self.keyring().judgement(&member.tag)?;
            Ok(within.is_none_or(|within| within.lost_since(record)))
        };
        let judgement = self.judged(team)?;
        let mut rotate = change.rotate || self.is_due(team, &judgement)?;
        for member in &base.members {
            rotate |= lost(member)?;
        }
        let kept = base.key.as_ref().filter(|_| !rotate);
        if kept.and_then(|key| keys.make_current(key)).is_none() {
            keys.rotate().ok_or(SealError::Failed)?;
        }
        let listed: BTreeSet<KeyTag> = change.members.iter().copied().collect();
        let mut until = change.until;
        until.retain(|tag, _| !listed.contains(tag));
        let roster = keys.roster(&author.tag(), &members, until)?;
        self.write_next(&keys, author, roster, base, change.head)
            .await
    }

    /// Writes a record that follows another, if the last one in force is still the one that was
    /// seen.
    pub(super) async fn write_next(
        &self,
        keys: &TeamKeys,
        author: &KeySet,
        roster: Roster,
        base: &TeamRecord,
        seen: Option<Digest>,
    ) -> Result<Option<Digest>, CredentialsError> {
        let team = keys.signing().tag();
        // Two changes of one peer follow each other.
        let turn = self.keyring().turn().await;
        let head = self.judged(&team)?.head().map(|head| head.digest);
        if seen.is_some() && seen != head {
            return Ok(None);
        }
        let digest = self
            .write_roster(keys, author, roster, Some(base.digest))
            .await?;
        drop(turn);
        let judgement = self.judged(&team)?;
        if judgement
            .path()
            .iter()
            .any(|record| record.digest == digest)
        {
            Ok(Some(digest))
        } else {
            Err(CredentialsError::DidNotStick(digest))
        }
    }

    pub(super) async fn write_roster(
        &self,
        keys: &TeamKeys,
        author: &KeySet,
        roster: Roster,
        follows: Option<Digest>,
    ) -> Result<Digest, CredentialsError> {
        let writing = Writing {
            tag: keys.signing().tag().tag(),
            content: Content::Plain {
                payload: roster.write().into(),
                cty: Some(CTY_JSON.into()),
            },
            follows,
        };
        let signers = Signers {
            author: author.signing().clone(),
            owner: Some(keys.signing().clone()),
        };
        let written = self.teams()?.write(writing, signers).await?;
        Ok(written.stamp.digest)
    }

    /// The entries of a list, and the keys to which the team's are wrapped: none for a member of
    /// before that was destroyed since, which must not stand in the way of the others.
    pub(super) async fn entries(
        &self,
        members: &[KeyTag],
        before: &[Member],
        above: &[KeyTag],
    ) -> Result<Vec<(Member, Option<EncryptionKey>)>, CredentialsError> {
        let mut entries = Vec::with_capacity(members.len());
        for tag in members {
            let found = Box::pin(self.audience_within(tag, above)).await;
            let destroyed = match found {
                Ok(audience) => {
                    let member = Member {
                        tag: *tag,
                        record: audience.kid.record,
                    };
                    entries.push((member, Some(audience.key)));
                    continue;
                }
                Err(CredentialsError::Destroyed) => self.judged(tag)?.head().map(|head| Member {
                    tag: *tag,
                    record: Some(head.digest),
                }),
                Err(CredentialsError::UnknownKey(_)) if self.is_destroyed(tag)? => {
                    Some(Member::leaf(*tag))
                }
                Err(error) => return Err(error),
            };
            let listed = before.iter().any(|member| member.tag == *tag);
            let destroyed = destroyed.filter(|_| listed);
            entries.push((destroyed.ok_or(CredentialsError::UnknownKey(*tag))?, None));
        }
        Ok(entries)
    }

    /// Whether a single key was destroyed by its holder.
    pub(super) fn is_destroyed(&self, tag: &KeyTag) -> Result<bool, CredentialsError> {
        let keys = self.encryption_keys()?;
        let rows = keys.register().group(&tag.tag(), tag)?;
        Ok(rows.iter().any(|row| row.tombstone))
    }
}
