//! A peer: a store, the keys that are here, the collections that are open, and links to services.

mod driver;
mod service;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use driver::Driver;
pub(crate) use driver::{Command, Signers, Statuses};
use flexstore_core::link::{DialError, Dialer, Dialing, Link};
use flexstore_core::storage::{Batch, History, Storage, StorageError, Table};
use flexstore_core::sync::{Replica, Settings, Transfer};
use flexstore_core::wire::{CloseReason, RefusalReason};
use flexstore_core::{CollectionId, CollectionIdError, Digest};
use service::Services;
use tokio::sync::{broadcast, mpsc, watch};

use crate::collection::{Channel, CollectionKind, OpenCollection};
use crate::credentials::{Credentials, EVENTS, Kept, Keyring, TeamEvent, TeamEvents, keep};
use crate::random;

/// Commands to one collection that wait before their senders do.
const INBOX: usize = 1024;

/// Why a peer or a collection cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] CollectionIdError),
    /// The store does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// The collection is open with other settings.
    #[error("the collection is open with other settings")]
    OtherSettings,
    /// There is no tokio runtime around the call.
    #[error("a peer needs a tokio runtime")]
    NoRuntime,
}

/// How a collection stands with one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServiceState {
    /// Trying to connect.
    #[default]
    Connecting,
    /// The last try failed; another follows.
    Unreachable(DialError),
    /// Connected: comparing and transferring.
    Transferring,
    /// Everything is here, and new items come and go at once.
    Live,
    /// One side ended it; another try follows.
    Closed(CloseReason),
}

/// How a collection stands with one service, and how far the transfer is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceStatus {
    /// The state.
    pub state: ServiceState,
    /// Items and bytes, done and expected, since the link was made.
    pub transfer: Transfer,
    /// How many items of ours the service did not take since the link was made.
    pub refused: u64,
    /// The last of them, and why.
    pub last_refusal: Option<(Digest, RefusalReason)>,
    /// Since when there has been no link, in ms since 1970; none while there is one.
    pub offline_since: Option<u64>,
}

/// What an app shows of a [`ServiceStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A link is being made, and nothing speaks against it so far.
    Connecting,
    /// Comparing and transferring.
    Syncing {
        /// Items that came or went and are safe.
        done: u64,
        /// Items that are known to come or go, with those.
        of: u64,
    },
    /// Everything is in step, and new items come and go at once.
    Live,
    /// No link, and none could be made; another try follows.
    Offline {
        /// In ms since 1970.
        since: u64,
    },
}

impl ServiceStatus {
    /// In one word, or two numbers.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match (&self.state, self.offline_since) {
            (ServiceState::Unreachable(_) | ServiceState::Closed(_), Some(since)) => {
                Connection::Offline { since }
            }
            (ServiceState::Connecting, _) => Connection::Connecting,
            (ServiceState::Live, _) if self.is_settled() => Connection::Live,
            _ => Connection::Syncing {
                done: self.transfer.acknowledged + self.transfer.received,
                of: self.transfer.to_send + self.transfer.to_receive,
            },
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.state == ServiceState::Live && self.transfer.acknowledged >= self.transfer.to_send
    }
}

/// One app on one device: a store, keys and collections. Cheap to clone; all clones are one peer.
///
/// ```
/// # use std::sync::Arc;
/// use flexstore::{MemoryStorage, Mutable, Peer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = Arc::new(MemoryStorage::new()); // or `flexstore_storage::open(dir, options)?`
/// let peer = Peer::open(storage)?; // or `Peer::connected(storage, Transports::new())?`
/// peer.credentials().create_device().await?;
/// let notes = peer.collection::<Mutable>("notes").open()?;
/// notes.store("milk").tag("shopping").await?;
/// peer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Arc<dyn Storage>,
    keyring: Arc<Keyring>,
    replica: [u8; 16],
    history: watch::Receiver<History>,
    open: Mutex<BTreeMap<CollectionId, (Settings, Channel)>>,
    services: Arc<Services>,
    /// Counts changes of Team records.
    teams: watch::Sender<u64>,
    /// The time of the latest record that was written here.
    latest: Arc<AtomicU64>,
    events: broadcast::Sender<TeamEvent>,
    vault: Kept,
}

/// A peer that may be gone.
pub(crate) struct WeakPeer(Weak<Inner>);

impl WeakPeer {
    pub(crate) fn upgrade(&self) -> Option<Peer> {
        Some(Peer {
            inner: self.0.upgrade()?,
        })
    }
}

/// For a peer that stays offline.
struct NoDialer;

impl Dialer for NoDialer {
    fn dial(&self, _: &str) -> Dialing {
        Box::pin(async { Err(DialError::UnknownService) })
    }
}

impl Peer {
    /// Opens a peer that stays offline.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, OpenError> {
        Self::connected(storage, NoDialer)
    }

    /// Opens a peer that reaches services through a dialer, such as `Transports` of
    /// `flexstore-transports`. One store belongs to one peer at a time.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn connected(
        storage: Arc<dyn Storage>,
        dialer: impl Dialer + 'static,
    ) -> Result<Self, OpenError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(OpenError::NoRuntime);
        }
        let (news, history) = watch::channel(History::default());
        storage.watch(Box::new(move |progress| {
            news.send_modify(|news| news.push(progress))
        }));
        let replica = replica_id(&*storage)?;
        let services = Arc::new(Services::new(Arc::new(dialer), Arc::new(AtomicU64::new(1))));
        let teams = watch::Sender::new(0);
        let changes = teams.subscribe();
        let inner = Inner {
            keyring: Arc::new(Keyring::new(Arc::clone(&storage))),
            storage,
            replica,
            history,
            open: Mutex::default(),
            services,
            teams,
            latest: Arc::default(),
            events: broadcast::channel(EVENTS).0,
            vault: Kept::default(),
        };
        let inner = Arc::new(inner);
        let weak = WeakPeer(Arc::downgrade(&inner));
        tokio::spawn(keep(weak, changes));
        Ok(Self { inner })
    }

    /// The keys.
    #[must_use]
    pub const fn credentials(&self) -> Credentials<'_> {
        Credentials::of(self)
    }

    /// A collection by its name. Set what it is to have, then call
    /// [`open`](OpenCollection::open).
    pub fn collection<'a, K: CollectionKind>(&'a self, name: &'a str) -> OpenCollection<'a, K> {
        OpenCollection::new(self, name)
    }

    /// Syncs over a link that the app made: with signals carried by hand, say, or from a dialer of
    /// its own on another day. It serves the collections that are synchronized with `service`,
    /// which may be any name that no transport knows, until it ends or another is given for the
    /// name.
    pub fn serve(&self, service: &str, link: Link) {
        self.inner.services.serve(service, link);
    }

    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.inner.storage)
    }

    pub(crate) fn vault(&self) -> &Kept {
        &self.inner.vault
    }

    pub(crate) fn tell(&self, event: TeamEvent) {
        // Nobody may be listening.
        let _ = self.inner.events.send(event);
    }

    pub(crate) fn team_events(&self) -> TeamEvents {
        TeamEvents::new(self.inner.events.subscribe())
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.inner.services
    }

    pub(crate) fn channel(
        &self,
        id: CollectionId,
        settings: Option<Settings>,
    ) -> Result<Channel, OpenError> {
        // Held while the replica opens, which for one store must not happen twice at a time.
        let mut open = self
            .inner
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((was, channel)) = open.get(&id)
            && !channel.inbox.is_closed()
        {
            let same = |settings: &Settings| {
                (&settings.policy, &settings.filter, settings.rest_ms)
                    == (&was.policy, &was.filter, was.rest_ms)
            };
            if settings.as_ref().is_some_and(|settings| !same(settings)) {
                return Err(OpenError::OtherSettings);
            }
            return Ok(channel.clone());
        }
        let mut settings = settings.unwrap_or_default();
        settings.replica = self.inner.replica;
        let storage = Arc::clone(&self.inner.storage);
        let replica = Replica::open(storage, id.clone(), settings.clone())?;
        let (inbox, commands) = mpsc::channel(INBOX);
        let register = replica.register().clone();
        let (driver, changes, status) = Driver::new(
            replica,
            commands,
            self.inner.history.clone(),
            self.inner.teams.clone(),
            Arc::clone(&self.inner.latest),
        );
        tokio::spawn(driver.run());
        let channel = Channel {
            register,
            inbox,
            changes,
            status,
        };
        open.insert(id, (settings, channel.clone()));
        Ok(channel)
    }
}

impl Peer {
    /// Ends all links and collections, and waits until they have let go of the store. Writes that
    /// were not acknowledged by then fail. The store itself closes when the last handle of a
    /// collection and of the peer is dropped.
    pub async fn close(&self) {
        let channels: Vec<Channel> = {
            let mut open = self
                .inner
                .open
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *open)
                .into_values()
                .map(|(_, channel)| channel)
                .collect()
        };
        self.inner.services.close();
        for channel in channels {
            let _ = channel.inbox.send(Command::Close).await;
            // Whoever tells of it drops the replica first, and with it the store.
            let mut status = channel.status.clone();
            while status.changed().await.is_ok() {}
        }
    }
}

/// The store's own random name, made once.
fn replica_id(storage: &dyn Storage) -> Result<[u8; 16], OpenError> {
    const KEY: &[u8] = b"replica";
    if let Some(id) = storage.get(Table::Meta, KEY)? {
        return Ok(id[..].try_into().map_err(|_| StorageError::Damaged)?);
    }
    let id = random::bytes::<16>().map_err(|_| OpenError::NoRandom)?;
    let mut batch = Batch::new();
    batch.put(Table::Meta, KEY, id.to_vec());
    storage.submit(batch)?;
    Ok(id)
}
