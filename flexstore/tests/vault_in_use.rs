//! A peer with a vault: what is put into it, and who the device is when it starts again.
#![allow(clippy::unwrap_used)] // a test

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flexstore::{
    CredentialsError, KeySet, KeyTag, MemoryStorage, Mutable, OpenVaultError, Peer, RecoverySecret,
    RecoveryWords, StoreError, Vault, WriteVaultError,
};
use futures_util::poll;
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse";

/// A device that can be switched off and on.
struct Device {
    folder: TempDir,
    storage: Arc<MemoryStorage>,
    peer: Peer,
}

impl Device {
    /// One without a vault yet.
    fn new() -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let peer = Peer::open(storage.clone()).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            storage,
            peer,
        }
    }

    async fn with_vault() -> Self {
        let device = Self::new();
        let vault = device.create();
        device.peer.credentials().use_vault(vault).await.unwrap();
        device
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    fn create(&self) -> Vault {
        Vault::create(self.path(), PASSPHRASE).unwrap()
    }

    /// A new process: the same store, the same vault file, nothing else.
    async fn again(self, passphrase: &str) -> Self {
        let device = self.again_without_vault().await;
        let vault = Vault::open(device.path(), passphrase).unwrap();
        device.peer.credentials().use_vault(vault).await.unwrap();
        device
    }

    async fn again_without_vault(mut self) -> Self {
        self.peer.close().await;
        drop(self.peer.credentials().take_vault());
        self.peer = Peer::open(self.storage.clone()).unwrap();
        self
    }

    fn author(&self) -> KeyTag {
        self.peer.credentials().author().unwrap()
    }

    async fn write(&self, tag: &str, text: &str, to: KeyTag) -> Result<(), StoreError> {
        let notes = self.peer.collection::<Mutable>("notes").open().unwrap();
        notes.store(text).tag(tag).seal_to([to]).await.map(|_| ())
    }

    /// The text of an item and its owner.
    async fn read(&self, tag: &str) -> (String, KeyTag) {
        let notes = self.peer.collection::<Mutable>("notes").open().unwrap();
        let item = notes.retrieve(tag).await.unwrap().unwrap();
        (item.text().unwrap().to_owned(), item.owner())
    }

    /// The names in the vault, which is taken back.
    fn names(&self) -> BTreeSet<String> {
        let vault = self.peer.credentials().take_vault().unwrap();
        vault.names().map(str::to_owned).collect()
    }

    /// Keeps the vault from writing: a directory stands where a write makes its file.
    fn jam(&self) {
        std::fs::create_dir(self.folder.path().join("vault.new")).unwrap();
    }

    fn free(&self) {
        std::fs::remove_dir(self.folder.path().join("vault.new")).unwrap();
    }
}

fn secret() -> RecoverySecret {
    RecoverySecret::from(&RecoveryWords::generate().unwrap())
}

fn is_jammed<T>(result: &Result<T, CredentialsError>) -> bool {
    matches!(result, Err(CredentialsError::Vault(error)) if matches!(**error, WriteVaultError::Io(_)))
}

#[tokio::test]
async fn what_was_made_before_and_after_is_in_it() {
    let device = Device::new();
    let credentials = device.peer.credentials();
    let before = credentials.create_device().await.unwrap();
    let person = credentials.create_author(&secret()).await.unwrap();
    let own = device.author();
    // Whatever may be used just now, all keys are kept.
    credentials.restrict(Some(BTreeSet::from([own])));
    credentials.use_vault(device.create()).await.unwrap();
    credentials.restrict(None);
    let after = credentials.create_device().await.unwrap();
    let team = credentials.create_team([after]).await.unwrap();
    let added = KeySet::generate().unwrap();
    let jwks = added.to_jwks();
    let added = credentials.add(added).await.unwrap();

    let vault = credentials.take_vault().unwrap();
    let kept = vault.get(&format!("key/{added}")).unwrap();
    assert_eq!(kept, jwks.as_bytes());
    for pinned in [person, team] {
        let pin = vault.get(&format!("pin/{}", pinned.tag));
        assert_eq!(pin.unwrap(), pinned.record.as_bytes());
    }
    // The recovery key, which was held while the person was made, is not.
    let keys: BTreeSet<String> = (vault.names())
        .filter_map(|name| Some(name.strip_prefix("key/")?.to_owned()))
        .collect();
    assert_eq!(
        keys,
        [before, own, after, added]
            .map(|tag| tag.to_string())
            .into()
    );
}

#[tokio::test]
async fn a_device_that_starts_again_is_who_it_was() {
    let device = Device::with_vault().await;
    let credentials = device.peer.credentials();
    // Its key is not the only one, and not the first.
    for _ in 0..4 {
        credentials.create_device().await.unwrap();
    }
    let me = credentials.create_author(&secret()).await.unwrap().tag;
    credentials.set_audience([me]).unwrap();
    device.write("note", "milk", me).await.unwrap();
    let chosen = credentials.defaults();
    assert_eq!(chosen.owner, Some(me));

    let device = device.again(PASSPHRASE).await;
    assert_eq!(device.peer.credentials().defaults(), chosen);
    assert_eq!(device.read("note").await, ("milk".into(), me));
    device.write("note", "bread", me).await.unwrap();
    assert_eq!(device.read("note").await, ("bread".into(), me));
    assert_eq!(device.peer.credentials().known_teams().unwrap(), [me]);

    // What is chosen later is kept as well.
    let other = device.peer.credentials().create_device().await.unwrap();
    device.peer.credentials().set_author(other).unwrap();
    device.peer.credentials().set_owner(None).unwrap();
    device.peer.credentials().set_audience([]).unwrap();
    let device = device.again(PASSPHRASE).await;
    let defaults = device.peer.credentials().defaults();
    assert_eq!((defaults.author, defaults.owner), (Some(other), None));
    assert!(defaults.audience.is_empty());
}

#[tokio::test]
async fn without_its_vault_a_device_is_nobody() {
    let device = Device::with_vault().await;
    let me = device.peer.credentials().create_author(&secret()).await;
    let me = me.unwrap().tag;
    device.write("note", "milk", me).await.unwrap();
    let device = device.again_without_vault().await;
    assert_eq!(device.peer.credentials().defaults(), Default::default());
    assert!(device.write("note", "bread", me).await.is_err());
    let notes = device.peer.collection::<Mutable>("notes").open().unwrap();
    let item = notes.retrieve("note").owner(me).await.unwrap().unwrap();
    assert!(item.text().is_err());
}

#[tokio::test]
async fn what_was_chosen_before_the_vault_came_stays() {
    let device = Device::with_vault().await;
    device.peer.credentials().create_device().await.unwrap();
    let device = device.again_without_vault().await;
    let me = device.peer.credentials().create_author(&secret()).await;
    let (me, author) = (me.unwrap().tag, device.author());
    let vault = Vault::open(device.path(), PASSPHRASE).unwrap();
    device.peer.credentials().use_vault(vault).await.unwrap();
    let device = device.again(PASSPHRASE).await;
    let defaults = device.peer.credentials().defaults();
    assert_eq!((defaults.author, defaults.owner), (Some(author), Some(me)));
    assert_eq!(
        device
            .names()
            .iter()
            .filter(|name| name.starts_with("key/"))
            .count(),
        2
    );
}

#[tokio::test]
async fn the_passphrase_changes_and_the_vault_goes_on() {
    let device = Device::with_vault().await;
    let credentials = device.peer.credentials();
    let me = credentials.create_author(&secret()).await.unwrap().tag;
    let mut vault = credentials.take_vault().unwrap();
    vault
        .change_passphrase(PASSPHRASE, "battery staple")
        .unwrap();
    credentials.use_vault(vault).await.unwrap();
    device.write("note", "milk", me).await.unwrap();
    let author = device.author();

    let device = device.again_without_vault().await;
    let old = Vault::open(device.path(), PASSPHRASE);
    assert!(matches!(old, Err(OpenVaultError::Failed)));
    let device = device.again("battery staple").await;
    assert_eq!(device.author(), author);
    assert_eq!(device.read("note").await, ("milk".into(), me));
}

#[tokio::test]
async fn after_a_wipe_nothing_opens() {
    let device = Device::with_vault().await;
    let credentials = device.peer.credentials();
    let me = credentials.create_author(&secret()).await.unwrap().tag;
    device.write("note", "milk", me).await.unwrap();
    credentials.take_vault().unwrap().wipe().unwrap();
    // Until the peer is dropped its keys are in memory; no vault is made again by the way.
    device.write("note", "bread", me).await.unwrap();
    credentials.create_device().await.unwrap();
    assert!(!device.path().exists() && credentials.take_vault().is_none());

    let device = device.again_without_vault().await;
    let gone = Vault::open(device.path(), PASSPHRASE);
    assert!(matches!(gone, Err(OpenVaultError::NotFound)));
    let fresh = device.create();
    device.peer.credentials().use_vault(fresh).await.unwrap();
    assert!(device.peer.credentials().author().is_none());
    assert!(device.write("note", "beer", me).await.is_err());
}

#[tokio::test]
async fn a_destroyed_key_leaves_the_vault_and_the_defaults() {
    let device = Device::with_vault().await;
    let credentials = device.peer.credentials();
    let gone = credentials.create_device().await.unwrap();
    credentials.set_owner(Some(gone)).unwrap();
    credentials.destroy(gone).await.unwrap();
    assert_eq!(credentials.defaults(), Default::default());
    let next = credentials.create_device().await.unwrap();
    assert_eq!(device.author(), next);
    device.write("note", "milk", next).await.unwrap();

    let device = device.again(PASSPHRASE).await;
    assert_eq!(device.author(), next);
    assert_eq!(device.read("note").await, ("milk".into(), next));
    let again = device.peer.credentials().set_author(gone);
    assert!(matches!(again, Err(CredentialsError::NotHeld)));
    assert!(!device.names().contains(&format!("key/{gone}")));
}

/// A disk that takes nothing: no key is used, and no default holds, that would be gone after a
/// restart.
#[cfg(unix)]
#[tokio::test]
async fn a_key_that_the_vault_does_not_take_is_not_used() {
    let device = Device::with_vault().await;
    let credentials = device.peer.credentials();
    let me = credentials.create_author(&secret()).await.unwrap().tag;
    let defaults = credentials.defaults();
    device.jam();
    let set = KeySet::generate().unwrap();
    let (tag, jwks) = (set.tag(), set.to_jwks());
    assert!(is_jammed(&credentials.add(set).await));
    assert!(is_jammed(&credentials.create_device().await));
    assert!(is_jammed(&credentials.create_author(&secret()).await));
    assert!(is_jammed(
        &credentials.create_author_without_recovery().await
    ));
    assert!(is_jammed(&credentials.set_owner(None)));
    assert!(is_jammed(&credentials.set_audience([me])));
    assert!(is_jammed(&credentials.destroy(device.author()).await));
    let unheld = credentials.set_author(tag);
    assert!(matches!(unheld, Err(CredentialsError::NotHeld)));
    assert_eq!(credentials.defaults(), defaults);
    // Nor was it published.
    let keys = device
        .peer
        .collection::<Mutable>("EncryptionKey")
        .open()
        .unwrap();
    assert!(keys.retrieve(tag.tag()).owner(tag).await.unwrap().is_none());

    device.free();
    credentials
        .add(KeySet::from_jwks(&jwks).unwrap())
        .await
        .unwrap();
    credentials.set_author(tag).unwrap();
    let device = device.again(PASSPHRASE).await;
    assert_eq!(device.author(), tag);
}

#[cfg(unix)]
#[tokio::test]
async fn a_vault_that_takes_no_key_that_is_here_says_so() {
    let device = Device::new();
    device.peer.credentials().create_device().await.unwrap();
    let vault = device.create();
    device.jam();
    assert!(is_jammed(&device.peer.credentials().use_vault(vault).await));
    device.free();
    // It can be had back, and tried again.
    let vault = device.peer.credentials().take_vault().unwrap();
    device.peer.credentials().use_vault(vault).await.unwrap();
    assert_eq!(device.names().len(), 2, "a key and the defaults");
}

/// A person who gives up waiting: the recovery key that was open for the call is held no more, and
/// while it was, a vault did not get it.
#[tokio::test]
async fn a_recovery_that_is_given_up_leaves_no_key() {
    let device = Device::with_vault().await;
    let credentials = device.peer.credentials();
    let secret = secret();
    let me = credentials.create_author(&secret).await.unwrap();
    let members = credentials.team(me.tag).unwrap().unwrap();
    let recovery = members.members()[0];
    let is_held = || credentials.set_author(recovery).is_ok();

    let mut removal = Box::pin(credentials.remove_device(me.tag, recovery, None, Some(&secret)));
    while !is_held() {
        assert!(poll!(&mut removal).is_pending(), "over before it was seen");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let vault = credentials.take_vault().unwrap();
    credentials.use_vault(vault).await.unwrap();
    drop(removal);
    assert!(!is_held());
    assert!(!device.names().contains(&format!("key/{recovery}")));
}

#[tokio::test]
async fn what_is_no_key_or_default_is_told() {
    let device = Device::new();
    for (name, value) in [
        ("key/x", &b"\xff"[..]),
        ("pin/x", b"x"),
        ("defaults", b"{}"),
        ("defaults", b"[]"),
        ("defaults", br#"{"author":1,"owner":null,"audience":[]}"#),
    ] {
        let mut vault = device.create();
        vault.put(name, value).unwrap();
        let used = device.peer.credentials().use_vault(vault).await;
        assert!(
            matches!(used, Err(CredentialsError::VaultContent)),
            "{name}"
        );
        Vault::wipe_file(device.path()).unwrap();
    }
    let mut vault = device.create();
    vault.put("an app's own", b"anything").unwrap();
    device.peer.credentials().use_vault(vault).await.unwrap();
}
