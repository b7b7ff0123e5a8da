//! Devices of people, and a relay in the same process.

use std::sync::Arc;
use std::time::Duration;

use flexstore::{
    Collection, ContentError, KeyTag, MemoryStorage, Mutable, Peer, RecoverySecret, RecoveryWords,
    TeamName,
};
use flexstore_relay::{Config, serve};
use flexstore_transports::Transports;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(30);

/// A relay in this process; it stops when this is dropped.
pub struct Relay {
    pub service: String,
    _stop: oneshot::Sender<()>,
}

pub async fn relay() -> Relay {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = format!("ws://{}/flexstore", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let storage = Arc::new(MemoryStorage::new());
    tokio::spawn(serve(Config::default(), listener, storage, shutdown));
    Relay {
        service,
        _stop: stop,
    }
}

/// One device of somebody.
pub struct Device {
    pub peer: Peer,
    pub service: String,
}

impl Device {
    pub async fn new(relay: &Relay) -> Self {
        let peer = Peer::connected(Arc::new(MemoryStorage::new()), Transports::new()).unwrap();
        peer.credentials().synchronize(&relay.service).unwrap();
        let service = relay.service.clone();
        let device = Self { peer, service };
        device.keys_in_step().await;
        device
    }

    pub async fn keys_in_step(&self) {
        let done = timeout(SOON, self.peer.credentials().synchronized()).await;
        done.unwrap().unwrap();
    }

    pub fn author(&self) -> KeyTag {
        self.peer.credentials().author().unwrap()
    }

    pub fn notes(&self) -> Collection<Mutable> {
        let open = self.peer.collection::<Mutable>("notes");
        open.service(&self.service).open().unwrap()
    }

    /// Cuts the device off from the relay.
    pub async fn cut(&self) {
        self.peer
            .credentials()
            .disconnect(&self.service)
            .await
            .unwrap();
        self.notes().disconnect(&self.service).await;
    }

    /// Connects it again.
    pub fn mend(&self) {
        self.peer.credentials().synchronize(&self.service).unwrap();
    }

    pub async fn in_step(&self) -> Collection<Mutable> {
        self.keys_in_step().await;
        let notes = self.notes();
        timeout(SOON, notes.synchronized()).await.unwrap();
        notes
    }

    pub async fn read(&self, tag: &str, owner: KeyTag) -> Option<String> {
        let notes = self.in_step().await;
        let item = notes.retrieve(tag).owner(owner).await.unwrap()?;
        match item.text() {
            Ok(text) => Some(text.to_owned()),
            Err(ContentError::Closed) => Some("closed".into()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Waits until a team has this member.
    pub async fn lists_with(&self, team: KeyTag, member: KeyTag) {
        let has = || match self.peer.credentials().team(team) {
            Ok(Some(team)) => team.members().contains(&member),
            _ => false,
        };
        let wait = async {
            while !has() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(SOON, wait).await.is_ok());
    }

    /// Waits until a team's members are these.
    pub async fn lists(&self, team: KeyTag, members: &[KeyTag]) {
        let now = || match self.peer.credentials().team(team) {
            Ok(Some(team)) => team.members().to_vec(),
            _ => Vec::new(),
        };
        let wait = async {
            while now() != members {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(SOON, wait).await.is_ok(), "{:?}", now());
    }

    /// Until everybody has the same.
    pub async fn reads(&self, tag: &str, owner: KeyTag, expected: Option<&str>) {
        let wait = async {
            while self.read(tag, owner).await.as_deref() != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(
            timeout(SOON, wait).await.is_ok(),
            "{tag}: {:?} instead of {expected:?}",
            self.read(tag, owner).await
        );
    }
}

pub fn words() -> (RecoveryWords, RecoverySecret) {
    let words = RecoveryWords::generate().unwrap();
    let secret = RecoverySecret::from(&words);
    (words, secret)
}

/// A person with a device.
pub async fn person(relay: &Relay) -> (Device, TeamName, RecoverySecret) {
    let device = Device::new(relay).await;
    let (_, secret) = words();
    let name = device
        .peer
        .credentials()
        .create_author(&secret)
        .await
        .unwrap();
    device.keys_in_step().await;
    (device, name, secret)
}
