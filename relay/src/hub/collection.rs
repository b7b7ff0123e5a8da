//! One open collection: the task that owns its replica.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flexstore_core::record::js::Shelf;
use flexstore_core::storage::{Sequence, Storage, StorageError};
use flexstore_core::sync::{Input, Origin, Output, Replica, SessionId, Settings};
use flexstore_core::wire::{Checked, CloseReason, Message};
use flexstore_core::{CollectionId, Verified};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::originals::{self, Originals, Texts};
use super::outbox::Outbox;
use super::progress::Ledger;
use super::put::{Reply, Waiting};
use super::{Request, Shared};

/// Messages that wait for a collection, at most; beyond, the links that bring more wait.
pub(super) const MAX_INBOX: usize = 64;
/// How often the space of displaced records is freed.
const FREE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Between two slices of freeing.
const FREE_PAUSE: Duration = Duration::from_millis(100);

/// What links tell a collection.
pub(super) enum Event {
    /// A channel was opened.
    Join {
        session: SessionId,
        /// Whether this relay opened it.
        opens: bool,
        channel: u32,
        outbox: Outbox,
        /// Held for as long as the session is.
        held: Arc<()>,
    },
    /// A message came, checked.
    Message {
        session: SessionId,
        message: Checked,
        /// Where the message asks for something: let go of when the answers are in the outbox.
        turn: Option<OwnedSemaphorePermit>,
    },
    /// The channel is closed or its link is gone.
    Leave(SessionId),
    /// A JavaScript client opened a channel.
    Front {
        session: SessionId,
        shelf: Shelf,
        texts: Texts,
        /// Held for as long as the channel is served.
        held: Arc<()>,
    },
    /// A message of a JavaScript client, unchecked.
    Text {
        session: SessionId,
        text: String,
        turn: OwnedSemaphorePermit,
    },
    /// A JavaScript client has read what waited for it.
    Room,
    /// A record without a link.
    Put {
        record: Box<Verified>,
        from: SessionId,
        reply: Reply,
    },
}

impl Event {
    /// Whether the registry counted who brings it.
    const fn joins(&self) -> bool {
        matches!(self, Self::Join { .. } | Self::Put { .. })
    }
}

/// What a collection's task is made of.
pub(super) struct Opening {
    pub(super) id: CollectionId,
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: mpsc::Receiver<Event>,
    pub(super) registry: mpsc::WeakSender<Request>,
    /// Openings of one store do not run at the same time.
    pub(super) one_at_a_time: Arc<Semaphore>,
}

/// One session.
struct Taken {
    opens: bool,
    channel: u32,
    outbox: Outbox,
    _held: Arc<()>,
}

struct Collection {
    replica: Replica,
    seats: BTreeMap<SessionId, Taken>,
    waiting: Waiting,
    originals: Option<Originals>,
    settled: Sequence,
    /// Of the requests that are being answered.
    turns: Vec<OwnedSemaphorePermit>,
    /// Whom to tell of Team records, if these are they.
    teams: Option<watch::Sender<u64>>,
}

/// Opens the collection and serves it until nobody has used it for a while, or all its senders
/// are gone.
pub(super) async fn run(mut opening: Opening) {
    let replica = match open(&opening).await {
        Ok(replica) => replica,
        Err(error) => {
            tracing::error!(collection = %opening.id, %error, "a collection does not open");
            return refuse_all(opening).await;
        }
    };
    tracing::debug!(collection = %opening.id, records = replica.index().len(), "opened");
    let mut ledger = opening.shared.ledger.clone();
    let mut teams = opening.shared.teams.subscribe();
    let settled = ledger.borrow_and_update().settled();
    let mut collection = Collection {
        replica,
        seats: BTreeMap::new(),
        waiting: Waiting::default(),
        originals: Originals::of(opening.id.profile(), &opening.shared.signer),
        settled,
        turns: Vec::new(),
        teams: opening
            .id
            .holds_teams()
            .then(|| opening.shared.teams.clone()),
    };
    if let Err(error) = originals::introduce(&mut collection.replica, &opening.shared.signer, now())
    {
        tracing::error!(%error, "JavaScript clients do not learn this relay's key");
    }
    // Team records that came while it opened.
    collection.replica.handle(now(), Input::TeamsChanged);
    collection.drain();
    let mut joins = 0;
    let mut free_at = Instant::now();
    let mut idle_since = Instant::now();
    loop {
        let idle = collection.is_unused();
        let until = collection.wake_at(free_at, idle.then_some(idle_since + opening.shared.idle));
        tokio::select! {
            biased;
            changed = ledger.changed(), if collection.replica.is_waiting() => {
                if changed.is_err() {
                    return;
                }
                collection.settle(&mut ledger);
            }
            Ok(()) = teams.changed(), if collection.teams.is_none() => {
                collection.replica.handle(now(), Input::TeamsChanged);
            }
            event = opening.inbox.recv() => {
                let mut next = event;
                if next.is_none() {
                    return;
                }
                let mut taken = 0;
                while let Some(event) = next {
                    joins += u64::from(event.joins());
                    collection.take(event);
                    taken += 1;
                    next = if taken < MAX_INBOX { opening.inbox.try_recv().ok() } else { None };
                }
                if collection.is_unused() {
                    idle_since = Instant::now();
                }
            }
            () = tokio::time::sleep_until(until) => {
                collection.replica.handle(now(), Input::Timeout);
                if let Some(originals) = &mut collection.originals {
                    originals.handle_timeout(now());
                }
                if Instant::now() >= free_at {
                    free_at = Instant::now() + collection.free();
                }
                let resting = collection.is_unused() && !collection.replica.is_waiting();
                if resting && idle_since.elapsed() >= opening.shared.idle {
                    if opening.may_close(joins).await {
                        tracing::debug!(collection = %opening.id, "closed");
                        return collection.leave();
                    }
                    idle_since = Instant::now();
                }
            }
        }
        collection.drain();
    }
}

async fn open(opening: &Opening) -> Result<Replica, StorageError> {
    // Closed by nobody; if it were, openings would only run side by side.
    let _turn = opening.one_at_a_time.acquire().await;
    let storage: Arc<dyn Storage> = Arc::clone(&opening.shared.storage);
    let id = opening.id.clone();
    let settings = Settings {
        replica: opening.shared.replica,
        ..Settings::default()
    };
    // Reading the whole set takes a while where it is big.
    tokio::task::spawn_blocking(move || Replica::open(storage, id, settings))
        .await
        .unwrap_or_else(|_| Err(StorageError::Engine("opening was interrupted".into())))
}

/// Tells everybody who comes that there is no such collection to be had, until nobody can.
async fn refuse_all(mut opening: Opening) {
    if let Some(registry) = opening.registry.upgrade() {
        let _ = registry.send(Request::Failed(opening.id.clone())).await;
    }
    while let Some(event) = opening.inbox.recv().await {
        if let Event::Join {
            channel, outbox, ..
        } = event
        {
            outbox.end(channel, CloseReason::Internal);
        }
    }
}

impl Opening {
    /// Asks whether nobody is on the way here. After a yes nobody will be.
    async fn may_close(&self, joins: u64) -> bool {
        let Some(registry) = self.registry.upgrade() else {
            return true;
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        let request = Request::Idle {
            id: self.id.clone(),
            joins,
            reply,
        };
        registry.send(request).await.is_err() || answer.await.unwrap_or(true)
    }
}

impl Taken {
    /// Nothing is wrong with a link of which a channel is done or has a twin; its others go on.
    fn close(self, reason: CloseReason) {
        match reason {
            CloseReason::Done | CloseReason::Known => {
                self.outbox.send(self.channel, &Message::Close(reason));
            }
            _ => self.outbox.end(self.channel, reason),
        }
    }
}

impl Collection {
    /// Whether nobody but this relay itself wants it open.
    fn is_unused(&self) -> bool {
        let originals = self.originals.as_ref();
        self.seats.values().all(|seat| seat.opens) && originals.is_none_or(Originals::is_empty)
    }

    /// Closes what this relay opened.
    fn leave(self) {
        for seat in self.seats.into_values() {
            seat.close(CloseReason::Done);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Join {
                session,
                opens,
                channel,
                outbox,
                held,
            } => {
                let taken = Taken {
                    opens,
                    channel,
                    outbox,
                    _held: held,
                };
                self.seats.insert(session, taken);
                self.replica
                    .handle(now(), Input::Connected { session, opens });
            }
            Event::Message {
                session,
                message,
                turn,
            } => {
                self.turns.extend(turn);
                // Of a session that was closed, what was under way may still come.
                if self.seats.contains_key(&session) {
                    self.replica
                        .handle(now(), Input::Received { session, message });
                }
            }
            Event::Front {
                session,
                shelf,
                texts,
                held,
            } => {
                if let Some(originals) = &mut self.originals {
                    originals.open(now(), session, shelf, texts, held);
                }
            }
            Event::Text {
                session,
                text,
                turn,
            } => {
                if let Some(originals) = &mut self.originals {
                    originals.receive(now(), session, &text, turn, &mut self.replica);
                }
            }
            // What there is for it is sent after every event.
            Event::Room => {}
            Event::Leave(session) => {
                let original = self.originals.as_mut();
                if original.is_some_and(|originals| originals.close(session)) {
                    return;
                }
                if self.seats.remove(&session).is_some() {
                    self.replica.handle(now(), Input::Disconnected(session));
                }
            }
            Event::Put {
                record,
                from,
                reply,
            } => match self.replica.offer(now(), &record, Origin::Pushed(from)) {
                Ok((ticket, taken)) => self.waiting.add(ticket, taken, reply),
                Err(error) => {
                    let _ = reply.send(Err(error.into()));
                }
            },
        }
    }

    fn settle(&mut self, ledger: &mut watch::Receiver<Ledger>) {
        let news: Vec<_> = {
            let ledger = ledger.borrow_and_update();
            let since = std::mem::replace(&mut self.settled, ledger.settled());
            ledger.since(since).collect()
        };
        for progress in news {
            self.replica.handle(now(), Input::Stored(progress));
        }
    }

    fn drain(&mut self) {
        loop {
            self.put_out();
            let originals = self.originals.as_mut();
            if !originals.is_some_and(|originals| originals.pump(now(), &mut self.replica)) {
                break;
            }
        }
        self.turns.clear();
    }

    fn put_out(&mut self) {
        while let Some(output) = self.replica.poll() {
            if let Some(originals) = &mut self.originals {
                originals.observe(now(), &output);
            }
            match output {
                Output::Send { session, message } => {
                    if let Some(seat) = self.seats.get(&session) {
                        seat.outbox.send(seat.channel, &message);
                    }
                }
                Output::Close { session, reason } => {
                    if let Some(seat) = self.seats.remove(&session) {
                        seat.close(reason);
                    }
                }
                Output::Update(_) => {
                    if let Some(teams) = &self.teams {
                        teams.send_modify(|count| *count += 1);
                    }
                }
                Output::Stored(ticket) => self.waiting.tell(ticket, Ok(())),
                Output::NotStored(ticket, error) => self.waiting.tell(ticket, Err(error)),
                // The rest is for apps.
                _ => {}
            }
        }
    }

    /// Frees a slice of what rested long enough; when to come again.
    fn free(&mut self) -> Duration {
        match self.replica.free_rested(now()) {
            Ok(0) => FREE_INTERVAL,
            Ok(_) => FREE_PAUSE,
            Err(error) => {
                tracing::warn!(%error, "displaced records are not freed");
                FREE_INTERVAL
            }
        }
    }

    fn wake_at(&self, free_at: Instant, idle_at: Option<Instant>) -> Instant {
        let originals = self.originals.as_ref().and_then(Originals::next_timeout);
        let due = (self.replica.next_timeout().into_iter())
            .chain(originals)
            .min()
            .map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(now())));
        [due, idle_at]
            .into_iter()
            .flatten()
            .fold(free_at, Instant::min)
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
