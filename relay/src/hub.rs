//! The collections, and who talks to them.
//!
//! ```text
//!  link task (reads, verifies) ──inbox──> collection task (owns the Replica) ──> Storage
//!  link task (writes) <──outbox──────────────────┘            ^
//!        └── join ──> registry (who is open)       Ledger ────┘ durable, failed
//! ```
//!
//! Every state has one owner, and they talk by channels. A full inbox makes the links wait that
//! fill it, and so the peers behind them; an outbox never waits: a peer that lets it fill is closed
//! as too slow.

mod collection;
mod link;
mod outbox;
mod progress;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flexstore_core::CollectionId;
use flexstore_core::link::Link;
use flexstore_core::storage::{Batch, Storage, StorageError, Table};
use flexstore_core::sync::SessionId;
use flexstore_core::wire::CloseReason;
use getrandom::SysRng;
use getrandom::rand_core::TryRng as _;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::collection::{Event, MAX_INBOX, Opening};
use self::link::Seat;
use self::progress::Ledger;
use crate::Config;

/// Requests that wait for the registry; links that have more wait.
const MAX_REQUESTS: usize = 256;
/// The key under which the store's replica id is kept.
const REPLICA_KEY: &[u8] = b"replica";

/// Where links are handed to.
#[derive(Clone)]
pub(crate) struct Hub {
    requests: mpsc::Sender<Request>,
    stall: Duration,
}

/// What every collection needs.
struct Shared {
    storage: Arc<dyn Storage>,
    ledger: watch::Receiver<Ledger>,
    replica: [u8; 16],
    idle: Duration,
    /// Counts changes of Team records, so that all collections heed them.
    teams: watch::Sender<u64>,
}

enum Request {
    /// A link wants to talk to a collection.
    Join {
        id: CollectionId,
        reply: oneshot::Sender<Result<Seat, CloseReason>>,
    },
    /// A collection that has seen so many joins wants to close.
    Idle {
        id: CollectionId,
        joins: u64,
        reply: oneshot::Sender<bool>,
    },
    /// A collection did not open.
    Failed(CollectionId),
}

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
            replica: replica_id(&*storage)?,
            ledger: progress::follow(&*storage),
            storage,
            idle: config.idle(),
            teams: watch::Sender::new(0),
        };
        let (requests, inbox) = mpsc::channel(MAX_REQUESTS);
        let registry = registry(
            inbox,
            requests.downgrade(),
            Arc::new(shared),
            config.max_collections,
        );
        let hub = Self {
            requests,
            stall: config.stall(),
        };
        Ok((hub, tokio::spawn(registry)))
    }

    /// Serves a link until either side ends it or `stopping` is true.
    pub(crate) async fn serve(self, link: Link, stopping: watch::Receiver<bool>) {
        link::serve(link, self, stopping).await;
    }

    async fn join(&self, id: CollectionId) -> Result<Seat, CloseReason> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(Request::Join { id, reply }).await;
        sent.map_err(|_| CloseReason::Internal)?;
        answer.await.unwrap_or(Err(CloseReason::Internal))
    }
}

async fn registry(
    mut requests: mpsc::Receiver<Request>,
    handle: mpsc::WeakSender<Request>,
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
                let entry = open.entry(id.clone()).or_insert_with_key(|id| {
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
                let seat = Seat {
                    id,
                    session: SessionId(sessions),
                    inbox: entry.inbox.clone(),
                };
                // A link that left meanwhile does not join.
                if reply.send(Ok(seat)).is_ok() {
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
        }
    }
    open.clear();
    while tasks.join_next().await.is_some() {}
}

/// The store's replica id: random, made when the store is first used.
fn replica_id(storage: &dyn Storage) -> Result<[u8; 16], StorageError> {
    if let Some(id) = storage.get(Table::Meta, REPLICA_KEY)? {
        return id[..].try_into().map_err(|_| StorageError::Damaged);
    }
    let mut id = [0; 16];
    SysRng
        .try_fill_bytes(&mut id)
        .map_err(|error| StorageError::Engine(error.to_string().into()))?;
    let mut batch = Batch::new();
    batch.put(Table::Meta, REPLICA_KEY, id.to_vec());
    storage.submit(batch)?;
    Ok(id)
}
