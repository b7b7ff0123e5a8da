//! The collections, and who talks to them.
//!
//! ```text
//!  link task (reads, verifies) ──inbox──> collection task (owns the Replica) ──> Storage
//!  link task (writes) <──outbox──────────────────┘            ^
//!        └── join ──> registry (who is open)       Ledger ────┘ durable, failed
//! ```
//!
//! A link that this relay dialled, to another relay, differs in one thing: the collections to open
//! on it are those that are open here.
//!
//! JavaScript clients come over a link of another protocol, with a channel for each shelf of a
//! collection; a [front](originals) of the collection's replica serves them.
//!
//! Every state has one owner, and they talk by channels. A full inbox makes the links wait that
//! fill it, and so the peers behind them; an outbox never waits: a peer that lets it fill is closed
//! as too slow.

mod collection;
mod dialled;
mod identity;
mod javascript;
mod link;
mod originals;
mod outbox;
mod progress;
mod put;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use flexstore_core::link::{Link, Protocol};
use flexstore_core::register::Register;
use flexstore_core::storage::{Storage, StorageError};
use flexstore_core::sync::SessionId;
use flexstore_core::wire::CloseReason;
use flexstore_core::{CollectionId, SigningKey};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use self::collection::{Event, MAX_INBOX, Opening};
use self::progress::Ledger;
pub(crate) use self::put::PutError;
use crate::Config;

/// Requests that wait for the registry; links that have more wait.
const MAX_REQUESTS: usize = 256;

/// Where links are handed to.
#[derive(Clone)]
pub(crate) struct Hub {
    requests: mpsc::Sender<Request>,
    /// Tells of every collection that opens; held weakly, so that the last hub ends the registry.
    openings: broadcast::WeakSender<CollectionId>,
    storage: Arc<dyn Storage>,
    stall: Duration,
}

/// What every collection needs.
struct Shared {
    storage: Arc<dyn Storage>,
    ledger: watch::Receiver<Ledger>,
    replica: [u8; 16],
    /// Signs lists of versions for JavaScript clients, and nothing else.
    signer: SigningKey,
    idle: Duration,
    /// Counts changes of Team records, so that all collections heed them.
    teams: watch::Sender<u64>,
}

enum Request {
    /// A link wants to talk to a collection.
    Join {
        id: CollectionId,
        reply: oneshot::Sender<Result<Place, CloseReason>>,
    },
    /// A collection that has seen so many joins wants to close.
    Idle {
        id: CollectionId,
        joins: u64,
        reply: oneshot::Sender<bool>,
    },
    /// A collection did not open.
    Failed(CollectionId),
    /// Which are open?
    List(oneshot::Sender<Vec<CollectionId>>),
}

/// A new session's number, and the way to its collection.
type Place = (SessionId, mpsc::Sender<Event>);

struct Open {
    inbox: mpsc::Sender<Event>,
    joins: u64,
}

impl Hub {
    /// Starts the registry. It ends, with all collections, when no hub is left.
    ///
    /// # Errors
    /// [`StorageError`] if the store cannot be read or written.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        config: &Config,
    ) -> Result<(Self, JoinHandle<()>), StorageError> {
        let shared = Shared {
            replica: identity::replica(&*storage)?,
            signer: identity::signer(&*storage)?,
            ledger: progress::follow(&*storage),
            storage: Arc::clone(&storage),
            idle: config.idle(),
            teams: watch::Sender::new(0),
        };
        let (requests, inbox) = mpsc::channel(MAX_REQUESTS);
        let (openings, _) = broadcast::channel(MAX_REQUESTS);
        let hub = Self {
            requests,
            openings: openings.downgrade(),
            storage: Arc::clone(&shared.storage),
            stall: config.stall(),
        };
        let registry = registry(
            inbox,
            hub.requests.downgrade(),
            openings,
            Arc::new(shared),
            config.max_collections,
        );
        Ok((hub, tokio::spawn(registry)))
    }

    /// Serves a link until either side ends it or `stopping` is true.
    pub(crate) async fn serve(self, link: Link, stopping: watch::Receiver<bool>) {
        match link.protocol {
            Protocol::Native => link::serve(link, self, stopping).await,
            Protocol::JavaScript => javascript::serve(link, self, stopping).await,
        }
    }

    /// The collections that are open, and with `stored` also those of which the store holds
    /// anything.
    async fn collections(&self, stored: bool) -> BTreeSet<CollectionId> {
        let (reply, answer) = oneshot::channel();
        let mut all = BTreeSet::new();
        if self.requests.send(Request::List(reply)).await.is_ok() {
            all.extend(answer.await.unwrap_or_default());
        }
        if stored {
            let storage = Arc::clone(&self.storage);
            let found = spawn_blocking(move || Register::collections(&*storage)).await;
            // A store that cannot be read says so to everybody who opens a collection.
            all.extend(found.ok().and_then(Result::ok).unwrap_or_default());
        }
        all
    }

    /// What the store has of a collection, for reading by any thread.
    pub(crate) fn register(&self, id: CollectionId) -> Register {
        Register::new(Arc::clone(&self.storage), id)
    }

    async fn join(&self, id: CollectionId) -> Result<Place, CloseReason> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(Request::Join { id, reply }).await;
        sent.map_err(|_| CloseReason::Internal)?;
        answer.await.unwrap_or(Err(CloseReason::Internal))
    }
}

async fn registry(
    mut requests: mpsc::Receiver<Request>,
    handle: mpsc::WeakSender<Request>,
    openings: broadcast::Sender<CollectionId>,
    shared: Arc<Shared>,
    max_collections: usize,
) {
    let mut open: HashMap<CollectionId, Open> = HashMap::new();
    let mut tasks = JoinSet::new();
    let one_at_a_time = Arc::new(Semaphore::new(1));
    let mut sessions = 0;
    while let Some(request) = requests.recv().await {
        while tasks.try_join_next().is_some() {}
        match request {
            Request::Join { id, reply } => {
                if !open.contains_key(&id) && open.len() >= max_collections {
                    let _ = reply.send(Err(CloseReason::Limit));
                    continue;
                }
                let entry = open.entry(id).or_insert_with_key(|id| {
                    // Nobody may be listening.
                    let _ = openings.send(id.clone());
                    let (sender, inbox) = mpsc::channel(MAX_INBOX);
                    tasks.spawn(collection::run(Opening {
                        id: id.clone(),
                        shared: Arc::clone(&shared),
                        inbox,
                        registry: handle.clone(),
                        one_at_a_time: Arc::clone(&one_at_a_time),
                    }));
                    Open {
                        inbox: sender,
                        joins: 0,
                    }
                });
                sessions += 1;
                let place = (SessionId(sessions), entry.inbox.clone());
                // A link that left meanwhile does not join.
                if reply.send(Ok(place)).is_ok() {
                    entry.joins += 1;
                }
            }
            Request::Idle { id, joins, reply } => {
                let closes = open.get(&id).is_some_and(|entry| entry.joins == joins);
                if closes {
                    open.remove(&id);
                }
                let _ = reply.send(closes);
            }
            Request::Failed(id) => {
                open.remove(&id);
            }
            Request::List(reply) => {
                let _ = reply.send(open.keys().cloned().collect());
            }
        }
    }
    open.clear();
    while tasks.join_next().await.is_some() {}
}
