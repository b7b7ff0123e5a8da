//! Teams: making, changing and destroying them.

mod following;
mod renewal;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use flexstore_core::authority::{Judgement, Member, Roster};
use flexstore_core::{Digest, KeyTag, TagError};

use super::{Credentials, CredentialsError};

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
        let before = if self.remove.is_empty() {
            BTreeMap::new()
        } else {
            credentials.all_judged()?
        };
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
}
