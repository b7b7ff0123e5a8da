//! Teams: making, changing and destroying them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use flexstore_core::authority::{Judgement, Member, Roster, TeamRecord, Unjudged};
use flexstore_core::record::{CTY_JSON, Content};
use flexstore_core::sync::Writing;
use flexstore_core::{Digest, KeyTag, TagError};

use super::keyset::KeySet;
use super::team_keys::{TeamKeys, kid};
use super::{Credentials, CredentialsError};
use crate::peer::Signers;
use crate::seal::{Audience, EncryptionKey, SealError};

/// How a team or person is named to others: its tag, and the digest of a record of it that is
/// right, so that nobody can pass off another list under the same tag. As text `tag#digest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TeamName {
    /// The team.
    pub tag: KeyTag,
    /// Its first record, or the one by which an invitation was claimed.
    pub record: Digest,
}

/// A text is no [`TeamName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a team's name")]
pub struct TeamNameError;

impl fmt::Display for TeamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.tag, self.record)
    }
}

impl FromStr for TeamName {
    type Err = TeamNameError;

    fn from_str(text: &str) -> Result<Self, TeamNameError> {
        let read = |text: &str| -> Result<Option<Self>, TagError> {
            let member = Member::parse(text)?;
            Ok(member.record.map(|record| Self {
                tag: member.tag,
                record,
            }))
        };
        read(text).ok().flatten().ok_or(TeamNameError)
    }
}

/// A team as its records show it now.
#[derive(Debug, Clone)]
pub struct Team {
    tag: KeyTag,
    pinned: Option<Digest>,
    judgement: Arc<Judgement>,
}

impl Team {
    /// Its tag.
    #[must_use]
    pub const fn tag(&self) -> KeyTag {
        self.tag
    }

    /// How to name it to others.
    #[must_use]
    pub fn name(&self) -> Option<TeamName> {
        let first = self.judgement.path().first();
        let record = self.pinned.or(first.map(|first| first.digest))?;
        let tag = self.tag;
        Some(TeamName { tag, record })
    }

    /// Its members, the most senior first: single keys, people, teams.
    #[must_use]
    pub fn members(&self) -> &[KeyTag] {
        self.judgement.seniority()
    }

    /// The single keys that belong to it, directly or through its members.
    #[must_use]
    pub fn leaves(&self) -> &BTreeSet<KeyTag> {
        self.judgement.current()
    }

    /// The digests of its records in force, the first one first.
    #[must_use]
    pub fn records(&self) -> Vec<Digest> {
        let digests = self.judgement.path().iter().map(|record| record.digest);
        digests.collect()
    }

    /// What the records say in full.
    #[must_use]
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// A change of a team's list about to be made; `await` it.
#[must_use = "await it"]
pub struct ChangeMembership<'a> {
    credentials: Credentials<'a>,
    team: KeyTag,
    add: Vec<KeyTag>,
    remove: Vec<KeyTag>,
    until: BTreeMap<KeyTag, u64>,
    rotate: bool,
    author: Option<KeyTag>,
}

impl ChangeMembership<'_> {
    /// Lists a member: a single key, a person, a team.
    #[allow(clippy::should_implement_trait)] // nobody adds up members with `+`
    pub fn add(mut self, member: KeyTag) -> Self {
        self.add.push(member);
        self
    }

    /// Lists it no more. What it writes from now on does not count, and what is sealed from now
    /// on it cannot read.
    pub fn remove(mut self, member: KeyTag) -> Self {
        self.remove.push(member);
        self
    }

    /// Of a member that is removed, or was: what it signed at or after this time (ms since 1970)
    /// does not count. 0, for a stolen device: nothing that it ever signed counts, and what it
    /// deleted comes back.
    pub fn until(mut self, member: KeyTag, time: u64) -> Self {
        self.until.insert(member, time);
        self
    }

    /// Makes a new encryption key, though nobody is removed.
    pub const fn rotate(mut self) -> Self {
        self.rotate = true;
        self
    }

    /// Signed by this held key, and not the one that the library chooses.
    pub const fn author(mut self, author: KeyTag) -> Self {
        self.author = Some(author);
        self
    }

    async fn run(self) -> Result<Digest, CredentialsError> {
        let Self {
            credentials, team, ..
        } = self;
        let keyring = credentials.keyring();
        let before = credentials.all_judged()?;
        let (mut tries, mut removed) = (0, Vec::new());
        let digest = loop {
            tries += 1;
            let judgement = credentials.judged(&team)?;
            let author = match &self.author {
                Some(tag) => keyring.get(tag).ok_or(CredentialsError::NotHeld)?,
                None => credentials.acting(&team, &judgement)?,
            };
            let base = credentials.base(&judgement, &author.tag(), &self.until)?;
            let mut members: Vec<KeyTag> = base.members.iter().map(|member| member.tag).collect();
            let goes = |tag: &&KeyTag| members.contains(tag);
            removed.extend(self.remove.iter().filter(goes).copied());
            let removes = members.iter().any(|tag| self.remove.contains(tag));
            members.retain(|tag| !self.remove.contains(tag));
            for tag in &self.add {
                if !members.contains(tag) {
                    members.push(*tag);
                }
            }
            let head = judgement.head().map(|head| head.digest);
            let change = Change {
                members,
                until: self.until.clone(),
                rotate: self.rotate || head != Some(base.digest) || removes,
                head: head.filter(|_| tries < MAX_TRIES),
            };
            let written = credentials.write_change(&team, &author, &base, change);
            if let Some(digest) = written.await? {
                break digest;
            }
        };
        if !removed.is_empty() {
            credentials.rotate_around(&team, &removed, &before).await?;
        }
        Ok(digest)
    }
}

impl<'a> IntoFuture for ChangeMembership<'a> {
    type Output = Result<Digest, CredentialsError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// How often a change is made on top of another that came in between, before it is made beside it.
const MAX_TRIES: usize = 16;
/// How many teams are given new keys, each for the sake of the one around it.
const MAX_ABOVE: usize = 16;

/// What a new record is to say.
pub(super) struct Change {
    pub(super) members: Vec<KeyTag>,
    pub(super) until: BTreeMap<KeyTag, u64>,
    pub(super) rotate: bool,
    /// The last record in force as it was seen; if it is another when it comes to writing, nothing
    /// is written.
    pub(super) head: Option<Digest>,
}

impl<'a> Credentials<'a> {
    /// A team as its records show it now; `None` if none of them is here.
    ///
    /// # Errors
    /// [`CredentialsError::Unjudged`] if they contradict each other.
    pub fn team(&self, tag: KeyTag) -> Result<Option<Team>, CredentialsError> {
        if self.keyring().judgement(&tag)?.is_none() {
            return Ok(None);
        }
        let judgement = self.judged(&tag)?;
        let pinned = self.keyring().pin_of(&tag)?;
        Ok(Some(Team {
            tag,
            pinned,
            judgement,
        }))
    }

    /// All teams of which records are here.
    ///
    /// # Errors
    /// [`CredentialsError::Storage`].
    pub fn known_teams(&self) -> Result<Vec<KeyTag>, CredentialsError> {
        Ok(self.keyring().known_teams()?)
    }

    /// Accepts that this is the team of that name, whatever other records come under its tag.
    /// Teams made or joined here are pinned at once; others when their first record comes.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn pin(&self, name: &TeamName) -> Result<(), CredentialsError> {
        self.teams()?.pin(name.tag, name.record).await?;
        self.peer.vault().keep_pin(name)?;
        Ok(())
    }

    /// Pins what was seen first; in the vault only as long as there are not many, since strangers may
    /// make any number of teams.
    pub(super) async fn pin_seen(&self, name: &TeamName) -> Result<(), CredentialsError> {
        if self.peer.vault().has_room_for_pins() {
            return self.pin(name).await;
        }
        Ok(self.teams()?.pin(name.tag, name.record).await?)
    }

    /// Makes a team that lists the default owner (else the default author) and these members.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn create_team(
        &self,
        members: impl IntoIterator<Item = KeyTag>,
    ) -> Result<TeamName, CredentialsError> {
        let defaults = self.keyring().defaults();
        let me = defaults.owner.or(defaults.author);
        let me = me.ok_or(CredentialsError::NotHeld)?;
        let mut list = vec![me];
        for member in members {
            if !list.contains(&member) {
                list.push(member);
            }
        }
        let author = match self.keyring().get(&me) {
            Some(set) => set,
            None => {
                let judgement = self.judged(&me)?;
                self.acting(&me, &judgement)?
            }
        };
        self.found_team(&author, list).await
    }

    /// Changes who is listed. Removing makes a new encryption key, here and in every team that
    /// the removed key reached through this one.
    pub fn change_membership(&self, team: KeyTag) -> ChangeMembership<'a> {
        ChangeMembership {
            credentials: *self,
            team,
            add: Vec::new(),
            remove: Vec::new(),
            until: BTreeMap::new(),
            rotate: false,
            author: None,
        }
    }

    /// Destroys a team, for ever, or the keys of a single key that are here.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn destroy(&self, tag: KeyTag) -> Result<(), CredentialsError> {
        if self.keyring().judgement(&tag)?.is_none() {
            return self.destroy_single(tag).await;
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let judgement = self.judged(&tag)?;
            let author = self.acting(&tag, &judgement)?;
            let base = self.base(&judgement, &author.tag(), &BTreeMap::new())?;
            let keys = self.keyring().team(&tag)?;
            let keys = keys.ok_or(CredentialsError::NotMember)?;
            let roster = Roster {
                members: Vec::new(),
                until: BTreeMap::new(),
                sealed: None,
            };
            let head = judgement.head().map(|head| head.digest);
            let head = head.filter(|_| tries < MAX_TRIES);
            let written = self.write_next(&keys, &author, roster, &base, head);
            if written.await?.is_some() {
                return Ok(());
            }
        }
    }

    async fn destroy_single(&self, tag: KeyTag) -> Result<(), CredentialsError> {
        let set = self.keyring().get(&tag).ok_or(CredentialsError::NotHeld)?;
        for collection in [self.encryption_keys()?, self.recoveries()?] {
            if collection
                .register()
                .find(&tag.tag(), Some(tag), Default::default())
                .ok()
                .flatten()
                .is_some()
            {
                let tag = set.tag();
                collection.remove(tag).author(tag).owner(tag).await?;
            }
        }
        self.peer.vault().forget(&tag)?;
        self.keyring().remove(&tag);
        // A key that is gone signs nothing; the next one made or added takes its place.
        if self.keyring().defaults().author == Some(tag) {
            self.choose(|defaults| {
                defaults.author = None;
                defaults.owner = defaults.owner.filter(|owner| *owner != tag);
            })?;
        }
        Ok(())
    }

    pub(super) fn judged(&self, team: &KeyTag) -> Result<Arc<Judgement>, CredentialsError> {
        let judgement = self.keyring().judgement(team)?;
        let judgement = judgement.ok_or(CredentialsError::NoTeam)?;
        match judgement.why_unjudged() {
            None => Ok(judgement),
            Some(why) => Err(CredentialsError::Unjudged { team: *team, why }),
        }
    }

    /// The key here that acts for a team: one that belongs to it now, else one that last did.
    pub(super) fn acting(
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
    pub(super) fn base(
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
    fn wins(
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
    fn is_sound(
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

    /// Makes a new team by this author.
    pub(super) async fn found_team(
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
    pub(super) async fn write_change(
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

    async fn write_change_within(
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
    async fn write_next(
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

    async fn write_roster(
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
    async fn entries(
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

    fn all_judged(&self) -> Result<BTreeMap<KeyTag, Arc<Judgement>>, CredentialsError> {
        let mut all = BTreeMap::new();
        for team in self.keyring().known_teams()? {
            if let Some(judgement) = self.keyring().judgement(&team)? {
                all.insert(team, judgement);
            }
        }
        Ok(all)
    }

    /// Whether a single key was destroyed by its holder.
    fn is_destroyed(&self, tag: &KeyTag) -> Result<bool, CredentialsError> {
        let keys = self.encryption_keys()?;
        let rows = keys.register().group(&tag.tag(), tag)?;
        Ok(rows.iter().any(|row| row.tombstone))
    }

    /// Every team that lists this one, and every team around those, is given a new key, if we can:
    /// the removed keys reached them through this one. Also, what they had signed there ranks last
    /// now, so that a fork may win that had lost until then: there we sign for what was in force.
    async fn rotate_around(
        &self,
        team: &KeyTag,
        removed: &[KeyTag],
        before: &BTreeMap<KeyTag, Arc<Judgement>>,
    ) -> Result<(), CredentialsError> {
        let mut around: Vec<KeyTag> = vec![*team];
        let mut next = 0;
        while let Some(within) = around.get(next).copied() {
            next += 1;
            for outer in self.keyring().known_teams()? {
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
    async fn try_renew(
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
    async fn sign_for(
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
    async fn renew(
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
    pub(super) async fn team_key(
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
    fn is_due(&self, team: &KeyTag, judgement: &Judgement) -> Result<bool, CredentialsError> {
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
    fn renewer(
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
