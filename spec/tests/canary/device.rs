//! Devices with a store and a vault on disk, and all secrets that are in them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flexstore::authority::Roster;
use flexstore::seal::{self, Binding, EncryptionSecret};
use flexstore::{
    Collection, CollectionId, KeyTag, Kind, Mutable, Peer, RecoverySecret, Storage, Vault,
};
use flexstore_core::register::Register;
use flexstore_core::{Verified, decode_base64url};
use flexstore_storage::{OpenError, Options};
use flexstore_transports::Transports;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::finder::Finder;
use crate::support::people::SOON;

/// One device of somebody.
pub(crate) struct Device {
    pub(crate) folder: TempDir,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) peer: Peer,
    service: String,
}

impl Device {
    pub(crate) async fn new(service: &str, passphrase: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(folder.path().join("vault"), passphrase).unwrap();
        Self::start(folder, service, vault).await
    }

    async fn start(folder: TempDir, service: &str, vault: Vault) -> Self {
        let storage = open(&folder).await;
        let peer = Peer::connected(Arc::clone(&storage), Transports::new()).unwrap();
        peer.credentials().use_vault(vault).await.unwrap();
        peer.credentials().synchronize(service).unwrap();
        let service = service.to_owned();
        let device = Self {
            folder,
            storage,
            peer,
            service,
        };
        device.in_step().await;
        device
    }

    /// Ends the process, as it were; its folder stays.
    pub(crate) async fn stop(self) -> TempDir {
        self.peer.close().await;
        let Self {
            folder,
            storage,
            peer,
            ..
        } = self;
        drop((storage, peer));
        drop(open(&folder).await);
        folder
    }

    /// A new process: from the folder alone.
    pub(crate) async fn again(self, passphrase: &str) -> Self {
        let service = self.service.clone();
        let folder = self.stop().await;
        let vault = Vault::open(folder.path().join("vault"), passphrase).unwrap();
        Self::start(folder, &service, vault).await
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    pub(crate) fn author(&self) -> KeyTag {
        self.peer.credentials().author().unwrap()
    }

    pub(crate) async fn in_step(&self) -> Collection<Mutable> {
        let credentials = self.peer.credentials();
        let keys = timeout(SOON, credentials.synchronized());
        keys.await.unwrap().unwrap();
        let notes = self.peer.collection("notes");
        let notes = notes.service(&self.service).open().unwrap();
        timeout(SOON, notes.synchronized()).await.unwrap();
        notes
    }

    pub(crate) async fn write(&self, tag: &str, text: &str, owner: KeyTag, to: KeyTag) {
        let notes = self.in_step().await;
        let store = notes.store(text).tag(tag).owner(owner);
        store.seal_to([to]).await.unwrap();
        self.in_step().await;
    }

    /// Waits until an item reads so.
    pub(crate) async fn reads(&self, tag: &str, owner: KeyTag, expected: &str) {
        let wait = async {
            loop {
                let notes = self.in_step().await;
                let item = notes.retrieve(tag).owner(owner).await.unwrap();
                if item.is_some_and(|item| item.text() == Ok(expected)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(SOON, wait).await.is_ok(), "{tag}");
    }

    fn records(&self, kind: Kind, name: &str) -> Vec<Verified> {
        let id = CollectionId::new(kind, name).unwrap();
        let register = Register::new(Arc::clone(&self.storage), id);
        let mut digests = Vec::new();
        let each = register.each(&mut |row| {
            digests.push(row.stamp.digest);
            ControlFlow::Continue(())
        });
        each.unwrap();
        let records = digests
            .iter()
            .filter_map(|digest| register.record(digest).unwrap());
        records.filter(|record| !record.is_tombstone()).collect()
    }

    /// Looks up all private keys that are in the vault, wrapped by these secrets, or within Team
    /// records.
    pub(crate) async fn confess(
        &self,
        keys: &mut Keys,
        finder: &mut Finder,
        secrets: &[&RecoverySecret],
    ) {
        let credentials = self.peer.credentials();
        let vault = credentials.take_vault().unwrap();
        for name in vault.names().filter(|name| name.starts_with("key/")) {
            let text = str::from_utf8(vault.get(name).unwrap()).unwrap();
            keys.add_jwks(finder, "device", text);
        }
        credentials.use_vault(vault).await.unwrap();
        for record in self.records(Kind::Mutable, "KeyRecovery") {
            let owner = record.header().owner;
            if keys.has(&owner) {
                continue;
            }
            let text = str::from_utf8(record.payload()).unwrap();
            for secret in secrets {
                if let Ok(content) = secret.open(text, &owner.to_string()) {
                    keys.add_jwks(finder, "recovery", str::from_utf8(&content).unwrap());
                }
            }
        }
        let teams = self.records(Kind::Versioned, "Team");
        let mut before = 0;
        while keys.0.len() > before {
            before = keys.0.len();
            teams
                .iter()
                .for_each(|record| keys.add_team(finder, record));
        }
    }
}

/// Opens a store that a task of the process before may still hold.
async fn open(folder: &TempDir) -> Arc<dyn Storage> {
    let path = folder.path().join("store");
    // As long as anything here may take.
    let until = Instant::now() + SOON;
    loop {
        assert!(Instant::now() < until, "the store is not let go of");
        match flexstore_storage::open(&path, Options::default()) {
            Err(OpenError::Locked) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
}

/// All private encryption keys that were found, by their holders.
#[derive(Default)]
pub(crate) struct Keys(Vec<(KeyTag, EncryptionSecret)>);

impl Keys {
    fn has(&self, holder: &KeyTag) -> bool {
        self.0.iter().any(|(tag, _)| tag == holder)
    }

    pub(crate) fn add_jwks(&mut self, finder: &mut Finder, what: &str, text: &str) {
        let set: Value = serde_json::from_str(text).unwrap();
        let tag = KeyTag::parse(set["keys"][1]["key"]["x"].as_str().unwrap()).unwrap();
        let bytes = |at: usize| decode(set["keys"][at]["key"]["d"].as_str().unwrap());
        finder.add(format!("{what} {tag} X25519"), &bytes(0));
        finder.add(format!("{what} {tag} Ed25519"), &bytes(1));
        self.add(tag, bytes(0));
    }

    fn add(&mut self, holder: KeyTag, secret: [u8; 32]) {
        let same = |(tag, known): &(KeyTag, EncryptionSecret)| {
            *tag == holder && *known.to_bytes() == secret
        };
        if !self.0.iter().any(same) {
            self.0.push((holder, EncryptionSecret::from_bytes(secret)));
        }
    }

    fn add_team(&mut self, finder: &mut Finder, record: &Verified) {
        let header = record.header();
        let Some(sealed) = Roster::parse(record.payload()).unwrap().sealed else {
            return;
        };
        let binding = Binding {
            owner: header.owner,
            author: header.author,
            col: CollectionId::team().as_str().into(),
            tag: Some(header.owner.to_string()),
            prop: None,
        };
        let opened = self.0.iter().find_map(|(holder, secret)| {
            let find = |kid: &seal::Kid| (kid.tag == *holder).then_some(secret);
            seal::open(&sealed.wrap, &binding, &find).ok()
        });
        let Some(opened) = opened else { return };
        let wrapped: Value = serde_json::from_slice(&opened.content).unwrap();
        let team = header.owner;
        let signing = decode(wrapped["signing"].as_str().unwrap());
        finder.add(format!("team {team} Ed25519"), &signing);
        for text in wrapped["encryption"].as_array().unwrap() {
            let secret = decode(text.as_str().unwrap());
            finder.add(format!("team {team} X25519"), &secret);
            self.add(team, secret);
        }
    }
}

fn decode(text: &str) -> [u8; 32] {
    decode_base64url(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}
