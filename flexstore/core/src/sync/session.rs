//! One replica and one peer: compare, transfer, stay live.
//!
//! ```text
//!  opener                                responder
//!    Open{summary}  ------------------->
//!                   <-------------------  Welcome{summary}         equal: both are done
//!    Reconcile      <------------------>  Reconcile                until nothing differs
//!    Records, Want  <------------------>  Records, Acknowledge
//!    Reconciled     ------------------->
//!    Records        <------------------>  Records                  live, from the first moment
//! ```

mod pump;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::event::{Output, Transfer};
use super::index::Index;
use super::reconcile::{self, Found, Later};
use crate::record::Stamp;
use crate::register::{Register, Row};
use crate::storage::StorageError;
use crate::wire::{CloseReason, Filter, MAX_LISTED, Message, PROTOCOL_VERSION, Summary};
use crate::{Digest, KeyTag, Tag};

/// Once so many bytes of records are on their way and not acknowledged, no further record is sent.
/// It bounds what a peer that stops reading can make this side hold.
pub const WINDOW_BYTES: usize = 512 << 10;
/// Digests that wait to be sent live. Past it they are dropped, and a reconciliation finds them
/// again once the queue has drained.
const MAX_LIVE_QUEUE: usize = 1 << 14;
/// Records that the peer may ask for before it has taken the earlier ones.
const MAX_ASKED: usize = 4 * MAX_LISTED;
/// Digests asked for and not yet answered.
const MAX_WANTED: usize = 2 * MAX_LISTED;
/// Text of one `Records` message, so that other channels get their turn.
const RECORDS_BYTES: usize = 128 << 10;
/// Rounds of one reconciliation.
const MAX_ROUNDS: u32 = 4096;
/// Refused records that are remembered for another try.
const MAX_REFUSED: usize = 10_000;

/// The least wait before a refused record is offered again, in milliseconds.
const MIN_RETRY_MS: u64 = 1000;

/// A session, by the number that the driver gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

enum Outgoing {
    /// Ours to offer; left out if it was displaced meanwhile.
    Offer(Digest),
    /// Asked for by its tag.
    Asked(Digest),
    /// Asked for by its digest: answered with `Gone` or `Absent` if it cannot be sent.
    Wanted(Digest),
    Told(u64),
    /// Everything that the reconciliation found stands before this.
    Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing heard yet.
    Opening,
    Reconciling,
    /// Nothing more to find; what was found is on its way.
    Transferring,
    Live,
}

pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) opener: bool,
    /// The other side's store, once it has said so.
    pub(super) remote: Option<[u8; 16]>,
    phase: Phase,
    filter: Filter,
    /// The set under the filter, where there is one.
    filtered: Option<Index>,
    outgoing: VecDeque<Outgoing>,
    /// How many of them the peer asked for.
    asked: usize,
    /// How many of them are no records.
    words: usize,
    overflowed: bool,
    unacknowledged: VecDeque<usize>,
    in_flight: usize,
    sent: u64,
    acknowledged: u64,
    /// What `acknowledged` must reach for the transfer to be over.
    mark: Option<u64>,
    wanted: BTreeSet<Digest>,
    to_want: VecDeque<Digest>,
    /// Records that go live one way or the other while the reconciliation runs, which may find
    /// them too, and whether they have crossed: none shall twice. At most [`MAX_LIVE_QUEUE`].
    crossed: BTreeMap<Digest, bool>,
    next_query: Option<Vec<u8>>,
    later: Later,
    rounds: u32,
    received: u64,
    told: u64,
    retry: BTreeMap<Digest, u64>,
    transfer: Transfer,
    shown: Transfer,
}

/// What a session sees of its replica.
pub(super) struct Context<'a> {
    pub(super) register: &'a Register,
    pub(super) index: &'a Index,
    pub(super) replica: [u8; 16],
    pub(super) outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    fn send(&mut self, session: SessionId, message: Message) {
        self.outputs.push_back(Output::Send { session, message });
    }
}

/// Why a session ends: the peer's fault or the store's.
pub(super) enum Ended {
    Because(CloseReason),
    Storage,
}

impl From<StorageError> for Ended {
    fn from(_: StorageError) -> Self {
        Self::Storage
    }
}

impl Session {
    pub(super) fn new(id: SessionId, opener: bool, filter: Filter) -> Self {
        Self {
            id,
            opener,
            remote: None,
            phase: Phase::Opening,
            filter,
            filtered: None,
            outgoing: VecDeque::new(),
            asked: 0,
            words: 0,
            overflowed: false,
            unacknowledged: VecDeque::new(),
            in_flight: 0,
            sent: 0,
            acknowledged: 0,
            mark: None,
            wanted: BTreeSet::new(),
            to_want: VecDeque::new(),
            crossed: BTreeMap::new(),
            next_query: None,
            later: Later::default(),
            rounds: 0,
            received: 0,
            told: 0,
            retry: BTreeMap::new(),
            transfer: Transfer::default(),
            shown: Transfer::default(),
        }
    }

    pub(super) const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    pub(super) const fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Opening)
    }

    fn index<'a>(&'a self, whole: &'a Index) -> &'a Index {
        self.filtered.as_ref().unwrap_or(whole)
    }

    fn summary(&self, whole: &Index) -> Summary {
        let index = self.index(whole);
        let count = index.len();
        Summary {
            count: count as u64,
            fingerprint: index.fingerprint(0, count),
        }
    }

    fn apply_filter(&mut self, register: &Register) -> Result<(), StorageError> {
        if self.filter.is_all() {
            return Ok(());
        }
        let mut stamps = Vec::new();
        register.each(&mut |row| {
            if self.filter.matches(&row.owner, row.stamp.iat) {
                stamps.push(row.stamp);
            }
            std::ops::ControlFlow::Continue(())
        })?;
        self.filtered = Some(Index::build(stamps));
        Ok(())
    }

    pub(super) fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        self.apply_filter(cx.register)?;
        let message = Message::Open {
            oldest: PROTOCOL_VERSION,
            newest: PROTOCOL_VERSION,
            collection: cx.register.id().clone(),
            replica: cx.replica,
            filter: self.filter.clone(),
            summary: self.summary(cx.index),
        };
        cx.send(self.id, message);
        Ok(())
    }

    /// Records left the set: keeps the filtered copy in step.
    pub(super) fn left(&mut self, stamps: &[Stamp]) {
        if let Some(filtered) = &mut self.filtered {
            for stamp in stamps {
                filtered.remove(stamp);
            }
        }
    }

    /// A record joined the set: keeps the filtered copy in step, and queues it. Whether there is
    /// something to send.
    pub(super) fn joined(&mut self, added: &Row, from: Option<SessionId>) -> bool {
        let matches = self.filter.matches(&added.owner, added.stamp.iat);
        if matches && let Some(filtered) = &mut self.filtered {
            filtered.insert(added.stamp);
        }
        if !matches || from == Some(self.id) || !self.is_open() {
            return false;
        }
        if self.outgoing.len() < MAX_LIVE_QUEUE {
            self.note_live(&added.stamp.digest, false);
            self.outgoing.push_back(Outgoing::Offer(added.stamp.digest));
        } else {
            self.overflowed = true;
        }
        true
    }

    fn note_live(&mut self, digest: &Digest, crossed: bool) {
        if !self.is_live() && self.crossed.len() < MAX_LIVE_QUEUE {
            self.crossed.insert(*digest, crossed);
        }
    }

    pub(super) const fn is_filtered(&self) -> bool {
        self.filtered.is_some()
    }

    /// Whether a record that came was asked for, or belongs to the first transfer.
    pub(super) fn arrived(&mut self, digest: &Digest, len: usize) -> bool {
        self.received += 1;
        self.transfer.received += 1;
        self.transfer.received_bytes += len as u64;
        let wanted = self.wanted.remove(digest);
        if !wanted {
            self.note_live(digest, true);
        }
        wanted || !self.is_live()
    }

    /// So many of the peer's records are durable or refused.
    pub(super) fn handled(&mut self) {
        self.told += 1;
    }

    pub(super) fn acknowledge(&mut self, cx: &mut Context<'_>) {
        cx.send(self.id, Message::Acknowledge(self.told));
    }

    pub(super) fn ask(&self, id: u64, tag: &Tag, cx: &mut Context<'_>) {
        cx.send(
            self.id,
            Message::Ask {
                id,
                tag: tag.clone(),
            },
        );
    }

    /// Takes any message but `Records`.
    pub(super) fn handle(
        &mut self,
        message: Message,
        now: u64,
        cx: &mut Context<'_>,
    ) -> Result<(), Ended> {
        let protocol = Err(Ended::Because(CloseReason::Protocol));
        match message {
            Message::Open {
                oldest,
                newest,
                filter,
                summary,
                replica,
                ..
            } if !self.opener && self.phase == Phase::Opening => {
                if !(oldest..=newest).contains(&PROTOCOL_VERSION) {
                    return Err(Ended::Because(CloseReason::Version));
                }
                self.remote = Some(replica);
                self.filter = filter;
                self.apply_filter(cx.register)?;
                self.phase = Phase::Reconciling;
                self.welcome(cx);
                if self.summary(cx.index) == summary {
                    self.live(cx);
                }
            }
            Message::Welcome {
                version,
                summary,
                replica,
            } if self.opener => {
                if version != PROTOCOL_VERSION {
                    return Err(Ended::Because(CloseReason::Version));
                }
                self.remote = Some(replica);
                match self.phase {
                    // A reconciliation that runs will find what the peer means.
                    Phase::Reconciling => {}
                    _ if self.summary(cx.index) == summary => {
                        if self.phase == Phase::Opening {
                            self.live(cx);
                        }
                    }
                    _ => self.reconcile(cx),
                }
            }
            _ if !self.is_open() => return protocol,
            Message::Reconcile(bytes) if self.opener => self.answer(&bytes, cx)?,
            Message::Reconcile(bytes) => {
                let answer = reconcile::respond(self.index(cx.index), &bytes);
                let answer = answer.map_err(|_| Ended::Because(CloseReason::Protocol))?;
                cx.send(self.id, Message::Reconcile(answer.into()));
            }
            Message::Reconciled if !self.opener => {
                if !self.is_live() {
                    self.live(cx);
                }
            }
            Message::Acknowledge(count) => {
                if count > self.sent {
                    return protocol;
                }
                while self.acknowledged < count {
                    self.in_flight -= self.unacknowledged.pop_front().unwrap_or(0);
                    self.acknowledged += 1;
                }
                self.transfer.acknowledged = self.acknowledged;
            }
            Message::Refused {
                digest,
                reason,
                retry_after,
            } => {
                // By this side's clock: the other one's may be off, which is often why it refused.
                if let Some(wait) = retry_after
                    && self.retry.len() < MAX_REFUSED
                {
                    self.retry
                        .insert(digest, now.saturating_add(wait.max(MIN_RETRY_MS)));
                }
                cx.outputs.push_back(Output::Refused {
                    session: self.id,
                    digest,
                    reason,
                });
            }
            Message::Want(digests) => {
                self.asked += digests.len();
                if self.asked > MAX_ASKED {
                    return Err(Ended::Because(CloseReason::Limit));
                }
                self.outgoing
                    .extend(digests.into_iter().map(Outgoing::Wanted));
            }
            Message::Gone { digest, successor } => {
                self.wanted.remove(&digest);
                let known = cx.register.sent(&successor)?.is_some();
                if !known && self.to_want.len() < MAX_WANTED {
                    self.to_want.push_back(successor);
                }
            }
            Message::Absent(digest) => {
                self.wanted.remove(&digest);
            }
            Message::Ask { id, tag } => {
                let rows = cx.register.some_rows(&tag, MAX_LISTED)?;
                self.asked += rows.iter().filter(|row| !row.archived).count() + 1;
                if self.asked > MAX_ASKED {
                    return Err(Ended::Because(CloseReason::Limit));
                }
                self.outgoing.push_front(Outgoing::Told(id));
                self.words += 1;
                for row in rows.iter().filter(|row| !row.archived) {
                    self.outgoing.push_front(Outgoing::Asked(row.stamp.digest));
                }
            }
            _ => return protocol,
        }
        Ok(())
    }

    fn welcome(&self, cx: &mut Context<'_>) {
        let summary = self.summary(cx.index);
        let message = Message::Welcome {
            version: PROTOCOL_VERSION,
            replica: cx.replica,
            summary,
        };
        cx.send(self.id, message);
    }

    fn live(&mut self, cx: &mut Context<'_>) {
        self.phase = Phase::Live;
        self.crossed.clear();
        cx.outputs
            .push_back(Output::Synchronized { session: self.id });
    }

    fn reconcile(&mut self, cx: &mut Context<'_>) {
        self.phase = Phase::Reconciling;
        self.rounds = 0;
        self.later = Later::default();
        let first = reconcile::initiate(self.index(cx.index));
        cx.send(self.id, Message::Reconcile(first.into()));
    }

    fn answer(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Result<(), Ended> {
        self.rounds += 1;
        if self.phase != Phase::Reconciling || self.next_query.is_some() {
            return Err(Ended::Because(CloseReason::Protocol));
        }
        if self.rounds > MAX_ROUNDS {
            return Err(Ended::Because(CloseReason::Limit));
        }
        let mut found = Found::default();
        let index = self.filtered.as_ref().unwrap_or(cx.index);
        let next = reconcile::advance(index, bytes, &mut found, &mut self.later)
            .map_err(|_| Ended::Because(CloseReason::Protocol))?;
        let offers = found
            .have
            .into_iter()
            .filter(|stamp| !self.retry.contains_key(&stamp.digest))
            .map(|stamp| Outgoing::Offer(stamp.digest));
        self.outgoing.extend(offers);
        let needs = found.need.into_iter();
        self.to_want
            .extend(needs.filter(|digest| !self.crossed.contains_key(digest)));
        if next.is_none() {
            self.phase = Phase::Transferring;
            self.outgoing.push_back(Outgoing::Mark);
            self.words += 1;
        }
        self.next_query = next;
        Ok(())
    }

    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.retry.values().min().copied()
    }

    pub(super) fn handle_timeout(&mut self, now: u64) {
        let due: Vec<Digest> = self
            .retry
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(digest, _)| *digest)
            .collect();
        for digest in due {
            self.retry.remove(&digest);
            self.outgoing.push_back(Outgoing::Offer(digest));
        }
    }

    /// Whether an owner's records pass the filter at some time; for a read that waits.
    pub(super) fn covers(&self, owner: Option<&KeyTag>) -> bool {
        match (&self.filter.owners, owner) {
            (Some(owners), Some(owner)) => owners.contains(owner),
            _ => true,
        }
    }
}
