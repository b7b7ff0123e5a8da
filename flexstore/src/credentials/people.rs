//! People: making one, coming back in, inviting one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use flexstore_core::KeyTag;

use super::keyring::Lent;
use super::keyset::KeySet;
use super::secret::{RecoverySecret, RecoveryWords};
use super::team::{Change, TeamName};
use super::wrap::UnwrapError;
use super::{Credentials, CredentialsError};

/// A person who has no device yet: whoever has the words can become that person.
pub struct Invitation {
    /// How the person is named to others, until the invitation is claimed.
    pub name: TeamName,
    /// The words to hand over, by a way that nobody else sees.
    pub words: RecoveryWords,
}

/// A way back in about to be taken, on a new device; `await` it.
#[must_use = "await it"]
pub struct Authorize<'a> {
    credentials: Credentials<'a>,
    name: TeamName,
    secret: &'a RecoverySecret,
    lost: Vec<KeyTag>,
    until: BTreeMap<KeyTag, u64>,
}

impl Authorize<'_> {
    /// Removes a device that is lost, at the same time.
    pub fn lost(mut self, device: KeyTag) -> Self {
        self.lost.push(device);
        self
    }

    /// Removes a device that was stolen, at the same time: what it signed at or after this time
    /// (ms since 1970) does not count; 0: nothing that it ever signed, and what it deleted comes
    /// back.
    pub fn stolen(mut self, device: KeyTag, until: u64) -> Self {
        self.until.insert(device, until);
        self.lost(device)
    }

    async fn run(self) -> Result<KeyTag, CredentialsError> {
        let credentials = self.credentials;
        let before = credentials.pin_no_less(&self.name).await?;
        let done = self.come_in().await;
        credentials.pin_as_before(before, &done).await?;
        done
    }

    async fn come_in(self) -> Result<KeyTag, CredentialsError> {
        let credentials = self.credentials;
        let team = self.name.tag;
        let recovery = credentials.recover(&team, self.secret).await?;
        let device = KeySet::generate()?;
        let tag = credentials.add(device).await?;
        let lent = credentials.keyring().lend(recovery);
        let mut change = credentials.change_membership(team).author(lent.tag());
        for device in self.lost {
            change = change.remove(device);
        }
        for (device, time) in self.until {
            change = change.until(device, time);
        }
        let done = change.add(tag).await;
        drop(lent);
        if let Err(error) = done {
            // A device that belongs to nobody is of no use.
            let judgement = credentials.keyring().judgement(&team)?;
            if !judgement.is_some_and(|judgement| judgement.current().contains(&tag)) {
                credentials.destroy(tag).await?;
            }
            return Err(error);
        }
        credentials.become_person(team, tag)?;
        Ok(tag)
    }
}

impl<'a> IntoFuture for Authorize<'a> {
    type Output = Result<KeyTag, CredentialsError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<'a> Credentials<'a> {
    /// Makes a person: a device here, a recovery key that the secret opens, and the team of both,
    /// in which the recovery key is the most senior, so that no stolen device can outdo it. The
    /// person becomes the default owner, the device the default author.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn create_author(
        &self,
        secret: &RecoverySecret,
    ) -> Result<TeamName, CredentialsError> {
        let recovery = self.create_recovery(secret).await?;
        self.create_person(vec![recovery]).await
    }

    /// Makes a person of this device alone, with no way back in: no private key, wrapped or not,
    /// ever leaves the device.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn create_author_without_recovery(&self) -> Result<TeamName, CredentialsError> {
        self.create_person(Vec::new()).await
    }

    async fn create_person(&self, mut members: Vec<KeyTag>) -> Result<TeamName, CredentialsError> {
        let device = self.add(KeySet::generate()?).await?;
        members.push(device);
        let set = self.keyring().get(&device);
        let set = set.ok_or(CredentialsError::NotHeld)?;
        let name = self.found_team(&set, members).await?;
        self.become_person(name.tag, device)?;
        Ok(name)
    }

    fn become_person(&self, person: KeyTag, device: KeyTag) -> Result<(), CredentialsError> {
        self.choose(|defaults| {
            defaults.author = Some(device);
            defaults.owner = Some(person);
        })
    }

    /// Comes back in as a person, on this new device, by the recovery secret.
    pub fn authorize_author(&self, name: TeamName, secret: &'a RecoverySecret) -> Authorize<'a> {
        Authorize {
            credentials: *self,
            name,
            secret,
            lost: Vec::new(),
            until: BTreeMap::new(),
        }
    }

    /// Removes a device of a person that is lost or was stolen, in one call: nothing that it signed
    /// at or after `until` (ms since 1970; `None`: now) counts, and all teams that it reached get
    /// new keys. Signed by the recovery key, where the secret is given: a device that is senior to
    /// this one could otherwise undo it.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn remove_device(
        &self,
        person: KeyTag,
        device: KeyTag,
        until: Option<u64>,
        secret: Option<&RecoverySecret>,
    ) -> Result<(), CredentialsError> {
        let lent = match secret {
            Some(secret) => Some(self.keyring().lend(self.recover(&person, secret).await?)),
            None => None,
        };
        let mut change = self.change_membership(person).remove(device);
        if let Some(recovery) = &lent {
            change = change.author(recovery.tag());
        }
        if let Some(until) = until {
            change = change.until(device, until);
        }
        change.await.map(|_| ())
    }

    /// Gives a person a new recovery secret, in place of the present ones. With the old one, where it
    /// is still known, the change is signed by the most senior key there is, and what the old secret
    /// opens is deleted, so that it is of use only to somebody who has copied that before. Without
    /// it, the old secret goes on opening its key, which is senior to the devices and can undo them.
    /// The new key is the most junior: a device that is older can contest what it signs.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn change_recovery(
        &self,
        person: KeyTag,
        new: &RecoverySecret,
        old: Option<&RecoverySecret>,
    ) -> Result<(), CredentialsError> {
        let judgement = self.judged(&person)?;
        let recoveries = self.recoveries()?;
        let is_recovery = |tag: &KeyTag| {
            let register = recoveries.register();
            let wrapped = register.find(&tag.tag(), Some(*tag), Default::default());
            matches!(wrapped, Ok(Some(_)))
        };
        let members = judgement.seniority().iter().copied();
        let present: Vec<KeyTag> = members.filter(is_recovery).collect();
        let opened = match old {
            Some(old) => Some(self.recover(&person, old).await?),
            None => None,
        };
        let added = self.create_recovery(new).await?;
        let lent = opened.map(|opened| self.keyring().lend(opened));
        let mut change = self.change_membership(person).add(added);
        if let Some(old) = &lent {
            change = change.author(old.tag());
        }
        for tag in present {
            change = change.remove(tag);
        }
        let record = change.await?;
        let Some(lent) = lent else { return Ok(()) };
        let name = TeamName {
            tag: person,
            record,
        };
        self.pin(&name).await?;
        self.destroy(lent.tag()).await
    }

    /// Makes a person for somebody else, who needs no device yet.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn create_invitation(&self) -> Result<Invitation, CredentialsError> {
        let words = RecoveryWords::generate()?;
        let set = KeySet::generate()?;
        let set = self.publish_recovery(set, &(&words).into()).await?;
        let name = self.found_team(&set, vec![set.tag()]).await?;
        Ok(Invitation { name, words })
    }

    /// Becomes the person of an invitation, with this device and a recovery secret of one's own;
    /// the invitation's words open nothing newer. The name that is returned, and no longer the
    /// invitation's, is the one to give to others: should somebody else who knew the words claim
    /// it too, theirs does not count for those who have this one.
    ///
    /// # Errors
    /// [`CredentialsError::NoInvitation`] if it was claimed; others.
    pub async fn claim_invitation(
        &self,
        name: &TeamName,
        words: &RecoveryWords,
        secret: &RecoverySecret,
    ) -> Result<TeamName, CredentialsError> {
        let before = self.pin_no_less(name).await?;
        let claimed = self.claim(name, words, secret).await;
        self.pin_as_before(before, &claimed).await?;
        claimed
    }

    async fn claim(
        &self,
        name: &TeamName,
        words: &RecoveryWords,
        secret: &RecoverySecret,
    ) -> Result<TeamName, CredentialsError> {
        let invited = self.recover(&name.tag, &words.into()).await?;
        let judgement = self.judged(&name.tag)?;
        let invitee = invited.tag();
        if judgement.path().len() != 1 || judgement.seniority() != [invitee] {
            return Err(CredentialsError::NoInvitation);
        }
        let recovery = self.create_recovery(secret).await?;
        let device = self.add(KeySet::generate()?).await?;
        let base = Arc::clone(&judgement.path()[0]);
        let lent = self.keyring().lend(invited);
        let change = Change {
            members: vec![recovery, device],
            until: BTreeMap::new(),
            rotate: true,
            head: Some(base.digest),
        };
        let written = self.write_change(&name.tag, &lent, &base, change);
        let record = match written.await {
            Ok(Some(record)) => record,
            failed => {
                // A device that belongs to nobody is of no use.
                self.destroy(device).await?;
                return Err(failed.err().unwrap_or(CredentialsError::NoInvitation));
            }
        };
        let tag = name.tag;
        let claimed = TeamName { tag, record };
        self.pin(&claimed).await?;
        self.become_person(tag, device)?;
        if let Err(error) = self.destroy(invitee).await {
            tracing::warn!(%error, "a claimed invitation's words still open its key");
        }
        Ok(claimed)
    }

    /// Pins a name, unless a record that follows the one that it names is pinned; the pin of before.
    async fn pin_no_less(&self, name: &TeamName) -> Result<Option<TeamName>, CredentialsError> {
        let tag = name.tag;
        let before = self.keyring().pin_of(&tag)?;
        if let (Some(before), Some(judgement)) = (before, self.keyring().judgement(&tag)?) {
            let place = |digest| {
                let mut path = judgement.path().iter();
                path.position(|record| record.digest == digest)
            };
            if place(name.record).is_some_and(|named| Some(named) <= place(before)) {
                return Ok(None);
            }
        }
        self.pin(name).await?;
        Ok(before.map(|record| TeamName { tag, record }))
    }

    /// Pins again what was pinned before something failed.
    async fn pin_as_before<T>(
        &self,
        before: Option<TeamName>,
        done: &Result<T, CredentialsError>,
    ) -> Result<(), CredentialsError> {
        match before {
            Some(before) if done.is_err() => self.pin(&before).await,
            _ => Ok(()),
        }
    }

    /// Makes a recovery key, and publishes it wrapped by the secret; it is not kept here.
    async fn create_recovery(&self, secret: &RecoverySecret) -> Result<KeyTag, CredentialsError> {
        let set = self.publish_recovery(KeySet::generate()?, secret).await?;
        Ok(set.tag())
    }

    async fn publish_recovery(
        &self,
        set: KeySet,
        secret: &RecoverySecret,
    ) -> Result<Lent<'a>, CredentialsError> {
        let tag = set.tag();
        let (secret, text) = (secret.copy(), set.to_jwks());
        let kid = tag.to_string();
        // Some tenths of a second of work.
        let wrapped = tokio::task::spawn_blocking(move || secret.wrap(text.as_bytes(), &kid));
        let wrapped = wrapped.await.map_err(|_| CredentialsError::NotHeld)??;
        let set = self.peer.keyring().lend(set);
        self.publish(&set).await?;
        let recoveries = self.recoveries()?;
        recoveries
            .store(wrapped)
            .tag(tag)
            .author(tag)
            .owner(tag)
            .await?;
        Ok(set)
    }

    /// The recovery key of a person that the secret opens.
    async fn recover(
        &self,
        person: &KeyTag,
        secret: &RecoverySecret,
    ) -> Result<KeySet, CredentialsError> {
        self.fetch_team(person).await;
        let judgement = self.judged(person)?;
        let recoveries = self.recoveries()?;
        let mut failed = None;
        // In turn a present one, and one that is listed no more, which still serves if a stolen
        // device removed it; each in the order of joining. So nobody can put many in front.
        let mut known: BTreeSet<KeyTag> = judgement.seniority().iter().copied().collect();
        let all = judgement.path().iter().flat_map(|record| &record.members);
        let gone: Vec<KeyTag> = (all.filter(|member| member.record.is_none()))
            .map(|member| member.tag)
            .filter(|tag| known.insert(*tag))
            .collect();
        let mut queues = [
            VecDeque::from(judgement.seniority().to_vec()),
            VecDeque::from(gone),
        ];
        let mut turn = 0;
        while queues.iter().any(|queue| !queue.is_empty()) {
            let Some(tag) = queues[turn].pop_front() else {
                turn = 1 - turn;
                continue;
            };
            let Ok(Some(item)) = recoveries.retrieve(tag.tag()).owner(tag).await else {
                continue;
            };
            let Ok(text) = item.text() else { continue };
            turn = 1 - turn;
            let (secret, text, kid) = (secret.copy(), text.to_owned(), tag.to_string());
            let opened = tokio::task::spawn_blocking(move || secret.open(&text, &kid)).await;
            match opened.unwrap_or(Err(UnwrapError::Failed)) {
                Err(error) => failed = Some(error),
                Ok(content) => {
                    let text = str::from_utf8(&content).unwrap_or_default();
                    let set = KeySet::from_jwks(text)?;
                    if set.tag() == tag {
                        return Ok(set);
                    }
                    failed = Some(UnwrapError::Kid);
                }
            }
        }
        Err(CredentialsError::NotRecovered(failed))
    }

    /// Makes sure that a team's records are here, and those of the teams within it, if a service
    /// has them.
    pub(crate) async fn fetch_team(&self, team: &KeyTag) {
        let mut asked = BTreeSet::new();
        let mut ask = BTreeSet::from([*team]);
        while let Some(next) = ask.pop_first() {
            if !asked.insert(next) {
                continue;
            }
            let here = |tag: &KeyTag| matches!(self.keyring().judgement(tag), Ok(Some(_)));
            if !here(&next)
                && let Ok(teams) = self.teams()
            {
                let _ = teams.retrieve(next.tag()).owner(next).sealed().ask().await;
            }
            if let Ok(Some(judgement)) = self.keyring().judgement(team) {
                let consulted = judgement.consulted().iter().copied();
                ask.extend(consulted.filter(|tag| !here(tag) && !asked.contains(tag)));
            }
        }
    }
}
