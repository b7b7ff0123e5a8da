//! Who is who: people, devices and teams, and which private keys are here.
//!
//! ```text
//!  team "family"                       a team: its name never changes, its members do
//!    ├── team "Ann" (a person)
//!    │     ├── recovery key            wrapped by Ann's words, kept by relays
//!    │     ├── phone                   a device: its keys never leave it
//!    │     └── laptop
//!    └── team "Ben" (a person)
//!          └── ...
//! ```
//!
//! A **person** is a team of devices and a way back in. What a device writes for its person is
//! signed by both, so everyone can tell whose it is and which device wrote it; a device that is
//! lost is removed from the list, and the person's name stays. A **team** lists people and teams
//! in the same way. Whoever is listed can unlock the team's keys; who is removed reads nothing
//! newer and writes nothing that counts.
//!
//! All of it is items of three collections that sync like any others: `EncryptionKey`,
//! `KeyRecovery` and `Team`.

mod error;
mod explain;
mod javascript;
mod kdf;
mod keeper;
mod kept;
mod keyring;
mod keyset;
mod people;
mod secret;
mod team;
mod team_keys;
mod vault;
mod wrap;

pub use self::error::CredentialsError;
pub use self::explain::{Readers, Reason, Step};
pub use self::kdf::{Cost, CostError};
pub(crate) use self::keeper::{EVENTS, run as keep};
pub use self::keeper::{TeamEvent, TeamEvents};
use self::kept::Contents;
pub(crate) use self::kept::Kept;
pub use self::keyring::Defaults;
pub(crate) use self::keyring::Keyring;
pub use self::keyset::{KeySet, KeySetError};
pub use self::people::{Authorize, Invitation};
pub use self::secret::{
    ChosenSecret, ChosenSecretError, MIN_GUESSES, PassphraseError, RecoverySecret, RecoveryWords,
    RecoveryWordsError, Weakness,
};
pub use self::team::{ChangeMembership, Team, TeamName, TeamNameError};
pub use self::vault::{
    ChangePassphraseError, CreateVaultError, MAX_VAULT_BYTES, OpenVaultError, Vault, WipeError,
    WriteVaultError,
};
pub use self::wrap::{MAX_WRAPPED_BYTES, UnwrapError, WrapError};

use std::collections::BTreeSet;

use flexstore_core::KeyTag;
use flexstore_core::authority;
use flexstore_core::register::Selection;
use serde_json::{Value, json};

use crate::collection::{Collection, Mutable, OpenCollection, Versioned};
use crate::peer::{OpenError, Peer};
use crate::seal::{Audience, EncryptionKey, Kid};

/// The collection of public encryption keys, each under its holder's tag.
const ENCRYPTION_KEYS: &str = "EncryptionKey";
/// The collection of recovery keys, wrapped by secrets.
const RECOVERIES: &str = "KeyRecovery";
/// The collection of Team records.
const TEAMS: &str = "Team";

/// The keys of a peer: its own private ones, and the public ones of others.
///
/// ```
/// # use std::sync::Arc;
/// # use flexstore::{MemoryStorage, Mutable, Peer, RecoveryWords};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let peer = Peer::open(Arc::new(MemoryStorage::new()))?;
/// let words = RecoveryWords::generate()?; // show them once: they are the way back in
/// let me = peer.credentials().create_author(&(&words).into()).await?;
///
/// let notes = peer.collection::<Mutable>("notes").open()?;
/// notes.store("milk").tag("shopping").seal_to([me.tag]).await?;
/// let item = notes.retrieve("shopping").await?.ok_or("gone")?;
/// assert_eq!(item.owner(), me.tag); // the person
/// assert_ne!(item.author(), me.tag); // the device
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    peer: &'a Peer,
}

impl<'a> Credentials<'a> {
    pub(crate) const fn of(peer: &'a Peer) -> Self {
        Self { peer }
    }

    fn keyring(&self) -> &Keyring {
        self.peer.keyring()
    }

    /// Makes a key set for this device and publishes its encryption key. It belongs to nobody
    /// yet; for a person use [`create_author`](Self::create_author). The first one made or added
    /// is the default author.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn create_device(&self) -> Result<KeyTag, CredentialsError> {
        self.add(KeySet::generate()?).await
    }

    /// Adds private keys that the app holds, and publishes their encryption key unless that
    /// stands already. They go into the vault, if one is in use.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn add(&self, set: KeySet) -> Result<KeyTag, CredentialsError> {
        self.peer.vault().keep(&set)?;
        let tag = self.hold(set).await?;
        self.choose(|defaults| defaults.author = defaults.author.or(Some(tag)))?;
        Ok(tag)
    }

    /// Changes the defaults: in the vault first, so that what holds now holds after a restart.
    fn choose(&self, change: impl FnOnce(&mut Defaults)) -> Result<(), CredentialsError> {
        let mut defaults = self.keyring().defaults();
        change(&mut defaults);
        self.peer.vault().keep_defaults(&defaults)?;
        self.keyring().set_defaults(|now| *now = defaults);
        Ok(())
    }

    /// Holds private keys in memory, and publishes their encryption key.
    async fn hold(&self, set: KeySet) -> Result<KeyTag, CredentialsError> {
        let set = self.keyring().add(set);
        self.publish(&set).await?;
        Ok(set.tag())
    }

    /// Publishes the encryption key of a key set that is held, unless that stands already.
    async fn publish(&self, set: &KeySet) -> Result<(), CredentialsError> {
        let keys = self.encryption_keys()?;
        let (tag, key) = (set.tag(), set.encryption_key());
        if self.local_key(&keys, &tag) != Some(key) {
            let jwk: Value = serde_json::from_str(&key.to_jwk()).unwrap_or_else(|_| json!(null));
            keys.store(jwk).tag(tag).author(tag).owner(tag).await?;
        }
        Ok(())
    }

    /// Uses a vault: takes the keys, pins and defaults that are in it, and puts into it what is
    /// here and every device key, pin and default from now on. So a device that starts again is
    /// who it was, and writes for whom it did. Defaults that were chosen here before stay. Of the
    /// vault's names `defaults` and those that begin with `key/` or `pin/` are the library's.
    ///
    /// # Errors
    /// [`CredentialsError`]; [`CredentialsError::Vault`] if something that is here cannot be put
    /// in.
    pub async fn use_vault(&self, vault: Vault) -> Result<(), CredentialsError> {
        let contents = Contents::of(&vault)?;
        let pins = authority::pins(&*self.peer.storage())?;
        self.peer.vault().set(vault);
        for set in self.keyring().own() {
            self.peer.vault().keep(&set)?;
        }
        for (tag, record) in pins {
            self.peer.vault().keep_pin(&TeamName { tag, record })?;
        }
        let here = self.keyring().defaults();
        let mut tags = Vec::new();
        for set in contents.sets {
            tags.push(self.hold(set).await?);
        }
        for name in contents.pins {
            self.pin(&name).await?;
        }
        self.choose(|defaults| {
            let kept = contents.defaults;
            if here.author.is_none() {
                let held = kept.author.filter(|tag| tags.contains(tag));
                defaults.author = held.or_else(|| tags.first().copied());
                defaults.owner = here.owner.or(kept.owner);
            }
            if here.audience.is_empty() {
                defaults.audience = kept.audience;
            }
        })
    }

    /// Takes the vault back, to change its passphrase or to wipe it. Keys stay in memory until
    /// the peer is dropped.
    #[must_use]
    pub fn take_vault(&self) -> Option<Vault> {
        self.peer.vault().take()
    }

    /// What becomes of teams from now on.
    #[must_use]
    pub fn events(&self) -> TeamEvents {
        self.peer.team_events()
    }

    /// What is taken where a call does not say.
    #[must_use]
    pub fn defaults(&self) -> Defaults {
        self.keyring().defaults()
    }

    /// The default author.
    #[must_use]
    pub fn author(&self) -> Option<KeyTag> {
        self.defaults().author
    }

    /// Makes one of the held key sets the default author.
    ///
    /// # Errors
    /// [`CredentialsError::NotHeld`]; [`CredentialsError::Vault`], and nothing is changed.
    pub fn set_author(&self, tag: KeyTag) -> Result<(), CredentialsError> {
        if self.keyring().get(&tag).is_none() {
            return Err(CredentialsError::NotHeld);
        }
        self.choose(|defaults| defaults.author = Some(tag))
    }

    /// The default owner: whose items are written; `None`: the author's own.
    ///
    /// # Errors
    /// [`CredentialsError::Vault`], and nothing is changed.
    pub fn set_owner(&self, tag: Option<KeyTag>) -> Result<(), CredentialsError> {
        self.choose(|defaults| defaults.owner = tag)
    }

    /// The default audience: to whom items are sealed; nobody: they are plain.
    ///
    /// # Errors
    /// [`CredentialsError::Vault`], and nothing is changed.
    pub fn set_audience(
        &self,
        tags: impl IntoIterator<Item = KeyTag>,
    ) -> Result<(), CredentialsError> {
        self.choose(|defaults| defaults.audience = tags.into_iter().collect())
    }

    /// Uses no keys but those of these tags, from now on; `None`: all.
    pub fn restrict(&self, scope: Option<BTreeSet<KeyTag>>) {
        self.keyring().restrict(scope);
    }

    /// Keeps keys, recoveries and teams in step with a service.
    ///
    /// # Errors
    /// [`CredentialsError::Open`].
    pub fn synchronize(&self, service: &str) -> Result<(), CredentialsError> {
        self.encryption_keys()?.synchronize(service);
        self.recoveries()?.synchronize(service);
        self.teams()?.synchronize(service);
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`CredentialsError::Open`].
    pub async fn disconnect(&self, service: &str) -> Result<(), CredentialsError> {
        self.encryption_keys()?.disconnect(service).await;
        self.recoveries()?.disconnect(service).await;
        self.teams()?.disconnect(service).await;
        Ok(())
    }

    /// Waits until keys, recoveries and teams are in step with all services.
    ///
    /// # Errors
    /// [`CredentialsError::Open`].
    pub async fn synchronized(&self) -> Result<(), CredentialsError> {
        self.encryption_keys()?.synchronized().await;
        self.recoveries()?.synchronized().await;
        self.teams()?.synchronized().await;
        Ok(())
    }

    /// The key to which something for a tag is sealed now; from here, or from a service. A team
    /// of ours that is due for a new key is given one first.
    pub(crate) async fn audience(&self, tag: &KeyTag) -> Result<Audience, CredentialsError> {
        self.audience_within(tag, &[]).await
    }

    async fn audience_within(
        &self,
        tag: &KeyTag,
        above: &[KeyTag],
    ) -> Result<Audience, CredentialsError> {
        if self.keyring().judgement(tag)?.is_none()
            && let Some(key) = self.single_key(tag).await
        {
            let kid = Kid::new(*tag);
            return Ok(Audience { kid, key });
        }
        self.team_key(tag, above).await
    }

    async fn single_key(&self, tag: &KeyTag) -> Option<EncryptionKey> {
        if let Some(set) = self.keyring().get(tag) {
            return Some(set.encryption_key());
        }
        let keys = self.encryption_keys().ok()?;
        if let Some(key) = self.local_key(&keys, tag) {
            return Some(key);
        }
        let item = keys.retrieve(tag.tag()).owner(*tag).ask().await.ok()??;
        EncryptionKey::from_jwk(item.text().ok()?).ok()
    }

    fn local_key(&self, keys: &Collection<Mutable>, tag: &KeyTag) -> Option<EncryptionKey> {
        let found = keys
            .register()
            .read(&tag.tag(), Some(*tag), Selection::Latest);
        let record = found.ok()??;
        EncryptionKey::from_jwk(str::from_utf8(record.payload()).ok()?).ok()
    }

    fn encryption_keys(&self) -> Result<Collection<Mutable>, OpenError> {
        let open: OpenCollection<'_, Mutable> = self.peer.collection(ENCRYPTION_KEYS);
        open.open()
    }

    fn recoveries(&self) -> Result<Collection<Mutable>, OpenError> {
        let open: OpenCollection<'_, Mutable> = self.peer.collection(RECOVERIES);
        open.open()
    }

    fn teams(&self) -> Result<Collection<Versioned>, OpenError> {
        let open: OpenCollection<'_, Versioned> = self.peer.collection(TEAMS);
        open.open()
    }
}
