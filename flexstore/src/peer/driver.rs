//! The loop round one replica: commands and frames in, outputs to where they belong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::DialError;
use flexstore_core::storage::{History, StorageError};
use flexstore_core::sync::{
    AskId, Input, Keys, Origin, Output, Replica, SessionId, Ticket, WriteError, Writing, Written,
};
use flexstore_core::wire::{Checked, CloseReason, Message};
use flexstore_core::{Digest, KeyTag, SigningKey, Tag, Verified};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::{ServiceState, ServiceStatus};
use crate::collection::{Change, Source};
use crate::random;

/// Commands taken before the replica's work goes to the store, so that they share one batch.
const COALESCE: usize = 512;
/// Changes that a slow listener may be behind.
const CHANGES: usize = 1 << 14;
/// How far ahead of the clock a Team record may be for the sake of what this peer wrote before.
const MAX_LEAD_MS: u64 = 1000;
/// How often the space of displaced items is freed.
const FREE_EVERY: Duration = Duration::from_secs(3600);

/// The keys that sign.
pub(crate) struct Signers {
    pub(crate) author: SigningKey,
    pub(crate) owner: Option<SigningKey>,
}

impl Signers {
    pub(crate) const fn owner(&self) -> KeyTag {
        match &self.owner {
            Some(owner) => owner.tag(),
            None => self.author.tag(),
        }
    }
}

/// A durable write.
pub(crate) type Stored = Result<Written, WriteError>;

pub(crate) enum Command {
    Write {
        writing: Writing,
        signers: Signers,
        reply: oneshot::Sender<Stored>,
    },
    /// A record that was signed elsewhere.
    Insert {
        record: Verified,
        reply: oneshot::Sender<Stored>,
    },
    Archive {
        before: u64,
        reply: oneshot::Sender<Result<usize, StorageError>>,
    },
    Ask {
        tag: Tag,
        owner: Option<KeyTag>,
        reply: oneshot::Sender<()>,
    },
    Synchronized(oneshot::Sender<()>),
    /// Pins a team's record; for the collection of Team records.
    Pin {
        team: KeyTag,
        record: Digest,
        reply: oneshot::Sender<Result<(), StorageError>>,
    },
    /// Answered when all rows stand by the Team records that are here.
    Judged(oneshot::Sender<()>),
    Close,
    Attached(Arc<str>),
    Detached(Arc<str>),
    Unreachable {
        service: Arc<str>,
        error: DialError,
    },
    Up {
        session: SessionId,
        uplink: Uplink,
        /// Whether this side opens the channel.
        opens: bool,
    },
    Received {
        session: SessionId,
        message: Checked,
    },
    Down {
        session: SessionId,
    },
}

/// One collection's share of a link.
pub(crate) struct Uplink {
    pub(crate) service: Arc<str>,
    pub(crate) channel: u32,
    pub(crate) frames: mpsc::Sender<Bytes>,
    pub(crate) hang_up: Arc<Notify>,
}

impl Uplink {
    fn close(&self, reason: CloseReason) {
        // A queue that is full belongs to a link that will not live long.
        let _ = self
            .frames
            .try_send(Message::Close(reason).encode(self.channel));
    }
}

/// Per service, how it stands.
pub(crate) type Statuses = BTreeMap<Arc<str>, ServiceStatus>;

pub(crate) struct Driver {
    replica: Replica,
    commands: mpsc::Receiver<Command>,
    history: watch::Receiver<History>,
    cursor: usize,
    uplinks: BTreeMap<SessionId, Uplink>,
    writes: BTreeMap<Ticket, (oneshot::Sender<Stored>, Written)>,
    archives: BTreeMap<Ticket, (oneshot::Sender<Result<usize, StorageError>>, usize)>,
    asks: BTreeMap<AskId, oneshot::Sender<()>>,
    pins: BTreeMap<Ticket, oneshot::Sender<Result<(), StorageError>>>,
    waiting: Vec<oneshot::Sender<()>>,
    judged: Vec<oneshot::Sender<()>>,
    changes: broadcast::Sender<Change>,
    statuses: watch::Sender<Statuses>,
    /// The time of the latest record that this peer wrote, in ms since 1970.
    latest: Arc<AtomicU64>,
    /// Counts changes of Team records: told by their collection, heeded by all others.
    teams: watch::Sender<u64>,
    teams_seen: watch::Receiver<u64>,
}

impl Driver {
    pub(crate) fn new(
        replica: Replica,
        commands: mpsc::Receiver<Command>,
        history: watch::Receiver<History>,
        teams: watch::Sender<u64>,
        latest: Arc<AtomicU64>,
    ) -> (Self, broadcast::Sender<Change>, watch::Receiver<Statuses>) {
        let (changes, _) = broadcast::channel(CHANGES);
        let (statuses, status) = watch::channel(Statuses::new());
        let driver = Self {
            replica,
            commands,
            history,
            cursor: 0,
            uplinks: BTreeMap::new(),
            writes: BTreeMap::new(),
            archives: BTreeMap::new(),
            asks: BTreeMap::new(),
            pins: BTreeMap::new(),
            waiting: Vec::new(),
            judged: Vec::new(),
            changes: changes.clone(),
            statuses,
            latest,
            teams_seen: teams.subscribe(),
            teams,
        };
        (driver, changes, status)
    }

    /// Runs until every handle of the collection is gone, or the peer is closed.
    pub(crate) async fn run(mut self) {
        let mut free = Instant::now() + FREE_EVERY;
        let tells = self.replica.register().id().holds_teams();
        // Team records that came while it opened.
        self.replica.handle(random::now(), Input::TeamsChanged);
        self.drain();
        loop {
            let timeout = self.replica.next_timeout().map(until);
            tokio::select! {
                biased;
                _ = self.history.changed(), if self.replica.is_waiting() => {}
                _ = self.teams_seen.changed(), if !tells => {
                    self.replica.handle(random::now(), Input::TeamsChanged);
                }
                command = self.commands.recv() => {
                    let Some(command) = command else { break };
                    self.take(command);
                    for _ in 0..COALESCE {
                        let Ok(command) = self.commands.try_recv() else { break };
                        self.take(command);
                    }
                }
                () = sleep_until(timeout.unwrap_or(free)), if timeout.is_some() => {
                    self.replica.handle(random::now(), Input::Timeout);
                }
                () = sleep_until(free) => {
                    free = Instant::now() + FREE_EVERY;
                    self.free();
                }
            }
            self.drain();
        }
    }

    fn free(&mut self) {
        match self.replica.free_rested(random::now()) {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "displaced items stay for now"),
        }
    }

    fn take(&mut self, command: Command) {
        let now = random::now();
        match command {
            Command::Write {
                writing,
                signers,
                reply,
            } => {
                let author = &signers.author;
                let keys = match &signers.owner {
                    None => Keys::Solo(author),
                    Some(owner) => Keys::Member { owner, author },
                };
                // A removal must not be dated before, or with, what was written before it: the author
                // may be the one that is removed.
                let latest = self.latest.load(Ordering::Relaxed);
                let now = if self.replica.register().id().is_team() {
                    now.max((latest + 1).min(now + MAX_LEAD_MS))
                } else {
                    now
                };
                match self.replica.write(now, writing, keys) {
                    Ok(written) => {
                        self.latest.fetch_max(written.stamp.iat, Ordering::Relaxed);
                        self.writes.insert(written.ticket, (reply, written));
                    }
                    Err(error) => {
                        let _ = reply.send(Err(error));
                    }
                }
            }
            Command::Insert { record, reply } => {
                match self.replica.offer(now, &record, Origin::Written) {
                    Ok((ticket, _)) => {
                        let (tag, stamp) = (record.header().tag.clone(), record.stamp());
                        let written = Written { ticket, tag, stamp };
                        self.writes.insert(ticket, (reply, written));
                    }
                    Err(error) => {
                        let _ = reply.send(Err(error.into()));
                    }
                }
            }
            Command::Archive { before, reply } => match self.replica.archive(before) {
                Ok((ticket, count)) => {
                    self.archives.insert(ticket, (reply, count));
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Command::Ask { tag, owner, reply } => {
                // With nobody to ask, dropping the reply answers.
                if let Some(id) = self.replica.ask(&tag, owner.as_ref()) {
                    self.asks.insert(id, reply);
                }
            }
            Command::Synchronized(reply) => self.waiting.push(reply),
            Command::Pin {
                team,
                record,
                reply,
            } => {
                let ticket = self.replica.pin(&team, &record);
                self.pins.insert(ticket, reply);
            }
            Command::Judged(reply) => {
                self.replica.handle(now, Input::TeamsChanged);
                self.judged.push(reply);
            }
            // No more commands are taken; those that wait are dealt with first.
            Command::Close => self.commands.close(),
            Command::Attached(service) => {
                self.statuses.send_modify(|all| {
                    all.entry(service).or_insert_with(|| ServiceStatus {
                        offline_since: Some(now),
                        ..ServiceStatus::default()
                    });
                });
            }
            Command::Detached(service) => self.detach(now, &service),
            Command::Unreachable { service, error } => {
                self.set(&service, |status| {
                    status.state = ServiceState::Unreachable(error)
                });
            }
            Command::Up {
                session,
                uplink,
                opens,
            } => {
                if !self.statuses.borrow().contains_key(&uplink.service) {
                    // Detached while the link was being made.
                    return uplink.close(CloseReason::Done);
                }
                self.set(&uplink.service, |status| {
                    *status = ServiceStatus {
                        state: ServiceState::Transferring,
                        ..ServiceStatus::default()
                    };
                });
                self.uplinks.insert(session, uplink);
                self.replica
                    .handle(now, Input::Connected { session, opens });
            }
            Command::Received { session, message } => {
                if let Checked::Plain(Message::Close(reason)) = &message {
                    self.closed(session, *reason);
                }
                self.replica
                    .handle(now, Input::Received { session, message });
            }
            Command::Down { session } => {
                if let Some(uplink) = self.uplinks.remove(&session) {
                    self.set(&uplink.service, |status| {
                        status.offline_since = Some(now);
                        if !matches!(status.state, ServiceState::Closed(_)) {
                            status.state = ServiceState::Connecting;
                        }
                    });
                }
                self.replica.handle(now, Input::Disconnected(session));
            }
        }
    }

    /// Ends the sessions with a service. The channel's last frame goes out here, behind all others.
    fn detach(&mut self, now: u64, service: &str) {
        let gone = |uplink: &Uplink| &*uplink.service == service;
        let sessions: Vec<SessionId> = self
            .uplinks
            .iter()
            .filter(|(_, up)| gone(up))
            .map(|(id, _)| *id)
            .collect();
        for session in sessions {
            if let Some(uplink) = self.uplinks.remove(&session) {
                uplink.close(CloseReason::Done);
            }
            self.replica.handle(now, Input::Disconnected(session));
        }
        self.statuses.send_modify(|all| {
            all.remove(service);
        });
    }

    fn drain(&mut self) {
        // A copy, so that the store's committer never waits for what is done with the news.
        let news = self
            .history
            .borrow_and_update()
            .since(&mut self.cursor)
            .to_vec();
        if self.replica.is_waiting() {
            for progress in news {
                self.replica.handle(random::now(), Input::Stored(progress));
            }
        }
        while let Some(output) = self.replica.poll() {
            self.put(output);
        }
        if !self.replica.is_judging() {
            for judged in self.judged.drain(..) {
                let _ = judged.send(());
            }
        }
        // What came last may still be on its way to the disk.
        if !self.replica.is_waiting()
            && !self.waiting.is_empty()
            && self
                .statuses
                .borrow()
                .values()
                .all(ServiceStatus::is_settled)
        {
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
    }

    fn put(&mut self, output: Output) {
        match output {
            Output::Send { session, message } => {
                let Some(uplink) = self.uplinks.get(&session) else {
                    return;
                };
                let frame = message.encode(uplink.channel);
                if uplink.frames.try_send(frame).is_err() {
                    // The other side has stopped reading: a new link starts afresh.
                    self.hang_up(session, CloseReason::TooSlow);
                }
            }
            Output::Close { session, reason } => {
                if let Some(uplink) = self.uplinks.get(&session) {
                    uplink.close(reason);
                }
                self.hang_up(session, reason);
            }
            Output::Update(update) => {
                let source = match update.origin {
                    Origin::Written => Source::Written,
                    Origin::Pushed(session) => Source::Pushed(self.service(session)),
                    Origin::Synced(session) => Source::Synced(self.service(session)),
                    Origin::Judged => Source::Judged,
                };
                if self.replica.register().id().holds_teams() {
                    self.teams.send_modify(|count| *count += 1);
                }
                // Nobody may be listening.
                let _ = self.changes.send(Change::new(update.row, source));
            }
            Output::Stored(ticket) => {
                if let Some((reply, written)) = self.writes.remove(&ticket) {
                    let _ = reply.send(Ok(written));
                } else if let Some((reply, count)) = self.archives.remove(&ticket) {
                    let _ = reply.send(Ok(count));
                } else if let Some(reply) = self.pins.remove(&ticket) {
                    self.teams.send_modify(|count| *count += 1);
                    let _ = reply.send(Ok(()));
                }
            }
            Output::NotStored(ticket, error) => {
                if let Some((reply, _)) = self.writes.remove(&ticket) {
                    let _ = reply.send(Err(error.into()));
                } else if let Some((reply, _)) = self.archives.remove(&ticket) {
                    let _ = reply.send(Err(error));
                } else if let Some(reply) = self.pins.remove(&ticket) {
                    let _ = reply.send(Err(error));
                }
            }
            Output::Synchronized { session } => {
                let service = self.service(session);
                self.set(&service, |status| status.state = ServiceState::Live);
            }
            Output::Progress { session, transfer } => {
                let service = self.service(session);
                self.set(&service, |status| status.transfer = transfer);
            }
            Output::Refused {
                session,
                digest,
                reason,
            } => {
                let service = self.service(session);
                tracing::warn!(%service, %digest, ?reason, "a service did not take an item");
                self.set(&service, |status| {
                    status.refused += 1;
                    status.last_refusal = Some((digest, reason));
                });
            }
            Output::Answered(id) => {
                if let Some(reply) = self.asks.remove(&id) {
                    let _ = reply.send(());
                }
            }
            _ => {}
        }
    }

    fn service(&self, session: SessionId) -> Arc<str> {
        self.uplinks
            .get(&session)
            .map_or_else(|| "".into(), |uplink| Arc::clone(&uplink.service))
    }

    fn set(&self, service: &str, change: impl FnOnce(&mut ServiceStatus)) {
        self.statuses
            .send_if_modified(|all| match all.get_mut(service) {
                Some(status) => {
                    change(status);
                    true
                }
                None => false,
            });
    }

    fn hang_up(&mut self, session: SessionId, reason: CloseReason) {
        self.closed(session, reason);
        if let Some(uplink) = self.uplinks.get(&session) {
            uplink.hang_up.notify_one();
        }
    }

    fn closed(&self, session: SessionId, reason: CloseReason) {
        let service = self.service(session);
        self.set(&service, |status| {
            status.state = ServiceState::Closed(reason)
        });
    }
}

/// The moment at which a time in ms since 1970 comes.
fn until(at: u64) -> Instant {
    Instant::now() + Duration::from_millis(at.saturating_sub(random::now()))
}
