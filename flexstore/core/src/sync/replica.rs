use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::event::{AskId, Input, Origin, Output, Ticket, Update};
use super::index::Index;
use super::judging::Judging;
use super::session::{Context, Ended, Session, SessionId};
use super::settings::Settings;
use super::taking::refusal;
use crate::authority::Authority;
use crate::record::Stamp;
use crate::register::{Register, Row};
use crate::storage::{Batch, Progress, Sequence, Storage, StorageError};
use crate::wire::{Checked, CloseReason, Filter, Message};
use crate::{CollectionId, Digest, KeyTag, Kind, Tag};

/// How far a record's time may be ahead of the clock, in milliseconds: five minutes.
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;
/// Sessions with a filter that one collection serves at a time.
pub const MAX_FILTERED: usize = 64;
/// Displaced records freed, and records archived, in one go.
const SLICE: usize = 1000;

pub(super) enum Effect {
    /// A peer's record is dealt with.
    Handled(SessionId, Digest),
    Written(Ticket),
    /// No more of the set.
    Left(Vec<Stamp>),
    /// Of the set from now on.
    Joined(Row, Origin),
    /// Judged anew: of the set as before, but counts no more, or now.
    Restands(Row),
    Told(SessionId, AskId),
}

#[derive(Default)]
pub(super) struct Work {
    pub(super) batch: Batch,
    pub(super) touched: BTreeSet<Tag>,
    pub(super) effects: Vec<Effect>,
}

/// One collection as one device or relay has it. See the [module](super) for how it is driven.
///
/// ```
/// use std::sync::Arc;
/// use flexstore_core::record::Content;
/// use flexstore_core::storage::{MemoryStorage, Progress, Sequence};
/// use flexstore_core::sync::{Input, Keys, Output, Replica, Settings, Writing};
/// use flexstore_core::{CollectionId, Kind, SigningKey, Tag};
///
/// let id = CollectionId::new(Kind::Mutable, "notes")?;
/// let mut replica = Replica::open(Arc::new(MemoryStorage::new()), id, Settings::default())?;
/// let key = SigningKey::from_seed(&[7; 32]); // a random one, really
/// let content = Content::Plain { payload: "milk".into(), cty: None };
/// let writing = Writing::new(Tag::new("shopping")?, content);
/// let written = replica.write(1_700_000_000_000, writing, Keys::Solo(&key))?;
///
/// while replica.poll().is_some() {} // hands the batch to the store
/// let durable = Progress::Durable(Sequence(1)); // the store's word, as its observer hears it
/// replica.handle(1_700_000_000_001, Input::Stored(durable));
/// let outputs: Vec<Output> = std::iter::from_fn(|| replica.poll()).collect();
/// assert!(outputs.iter().any(|output| matches!(output, Output::Stored(t) if *t == written.ticket)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replica {
    pub(super) register: Register,
    pub(super) authority: Authority,
    pub(super) judging: Judging,
    index: Index,
    pub(super) settings: Settings,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) work: Work,
    /// Sessions that may have something to send.
    dirty: BTreeSet<SessionId>,
    pending: VecDeque<(Sequence, Vec<Effect>)>,
    durable: Sequence,
    /// The store failed: what is on disk must be read again before anything is taken.
    stale: bool,
    asked: BTreeMap<AskId, BTreeSet<SessionId>>,
    numbers: u64,
    pub(super) outputs: VecDeque<Output>,
}

impl Replica {
    /// Opens the collection in a store and reads its set.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(
        storage: Arc<dyn Storage>,
        id: CollectionId,
        settings: Settings,
    ) -> Result<Self, StorageError> {
        let authority = Authority::under(id.profile(), Arc::clone(&storage));
        let register = Register::new(storage, id);
        let index = Index::build(register.stamps()?);
        let mut replica = Self {
            register,
            authority,
            judging: Judging::default(),
            index,
            settings,
            sessions: BTreeMap::new(),
            work: Work::default(),
            dirty: BTreeSet::new(),
            pending: VecDeque::new(),
            durable: Sequence(0),
            stale: false,
            asked: BTreeMap::new(),
            numbers: 0,
            outputs: VecDeque::new(),
        };
        replica.resume_judging()?;
        Ok(replica)
    }

    /// The rows, for reading by any thread.
    #[must_use]
    pub const fn register(&self) -> &Register {
        &self.register
    }

    /// The set.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Whether anything waits for the store.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether rows are being judged anew, slice by slice.
    #[must_use]
    pub fn is_judging(&self) -> bool {
        self.judging.is_running()
    }

    /// What to do next; `None` when all is done until something happens.
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.flush();
            self.pump();
        }
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`], in ms since 1970.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        if self.judging.is_running() {
            return Some(0);
        }
        self.sessions
            .values()
            .filter_map(Session::next_timeout)
            .min()
    }

    /// Takes what happened. `now` is in milliseconds since 1970.
    pub fn handle(&mut self, now: u64, input: Input) {
        match input {
            Input::Connected { session, opens } => {
                let filter = if opens {
                    self.settings.filter.clone()
                } else {
                    Filter::default()
                };
                self.sessions
                    .insert(session, Session::new(session, opens, filter));
                if opens {
                    self.with_session(session, |session, cx| session.open(cx));
                }
            }
            Input::Received { session, message } => match message {
                Checked::Records(records) => self.receive(now, session, records),
                Checked::Plain(Message::Told(id)) => {
                    self.work.effects.push(Effect::Told(session, AskId(id)));
                }
                Checked::Plain(Message::Close(_)) => self.drop_session(session),
                Checked::Plain(Message::Open { ref replica, .. }) if self.has_twin(replica) => {
                    self.close(session, CloseReason::Known);
                }
                Checked::Plain(message) => {
                    let welcomed = matches!(message, Message::Welcome { .. });
                    self.flush();
                    self.with_session(session, |session, cx| session.handle(message, now, cx));
                    self.dirty.insert(session);
                    self.limit_filters(session);
                    if welcomed {
                        self.part_twins(session);
                    }
                }
            },
            Input::Disconnected(session) => self.drop_session(session),
            Input::Stored(progress) => self.settle(progress),
            Input::TeamsChanged => {
                if self.heed_changes(now).is_err() {
                    self.judging.reset();
                }
            }
            Input::Timeout => {
                if self.judge_slice(now).is_err() {
                    self.judging.reset();
                }
                for session in self.sessions.values_mut() {
                    session.handle_timeout(now);
                    self.dirty.insert(session.id);
                }
            }
        }
    }

    /// Asks all open sessions for what they have under a tag, archived texts included; answered
    /// by [`Output::Answered`] once it is stored here. `None` if there is nobody to ask.
    pub fn ask(&mut self, tag: &Tag, owner: Option<&KeyTag>) -> Option<AskId> {
        let id = AskId(self.number());
        let mut asked = BTreeSet::new();
        let mut cx = Context {
            register: &self.register,
            index: &self.index,
            replica: self.settings.replica,
            outputs: &mut self.outputs,
        };
        for session in self.sessions.values() {
            if session.is_open() && session.covers(owner) {
                session.ask(id.0, tag, &mut cx);
                asked.insert(session.id);
            }
        }
        if asked.is_empty() {
            return None;
        }
        self.asked.insert(id, asked);
        Some(id)
    }

    /// Drops the texts of all records written before a time (ms since 1970), and keeps their
    /// rows: the set stays equal to that of others. What no peer holds is then gone, so call it
    /// when synchronized. Returns how many; acknowledged by [`Output::Stored`].
    ///
    /// # Errors
    /// [`StorageError`]; then some may be archived and others not.
    pub fn archive(&mut self, before: u64) -> Result<(Ticket, usize), StorageError> {
        self.flush();
        let mut rows = Vec::new();
        self.register.each(&mut |row| {
            let kept = row.archived || row.tombstone || !self.index.contains(&row.stamp);
            if row.stamp.iat < before && !kept {
                rows.push(row);
            }
            std::ops::ControlFlow::Continue(())
        })?;
        for slice in rows.chunks(SLICE) {
            for row in slice {
                self.register.archive(&mut self.work.batch, row);
            }
            self.flush();
        }
        let ticket = Ticket(self.number());
        self.work.effects.push(Effect::Written(ticket));
        Ok((ticket, rows.len()))
    }

    /// Frees the space of records that have rested long enough; at most a thousand in one call.
    /// Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn free_rested(&mut self, now: u64) -> Result<usize, StorageError> {
        let before = now.saturating_sub(self.settings.rest_ms);
        let rested = self.register.rested(before, SLICE)?;
        for one in &rested {
            self.register.forget(&mut self.work.batch, one);
        }
        Ok(rested.len())
    }

    pub(super) fn kind(&self) -> Kind {
        self.register.id().kind()
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Makes what was written to a tag visible before it is looked at again, and reads the set
    /// again after a failure of the store.
    pub(super) fn before(&mut self, tag: &Tag) -> Result<(), StorageError> {
        if self.stale && self.pending.is_empty() {
            self.index = Index::build(self.register.stamps()?);
            self.judging.reset();
            self.stale = false;
        }
        if self.work.touched.contains(tag) {
            self.flush();
        }
        Ok(())
    }

    /// Hands the work so far to the store.
    pub(super) fn flush(&mut self) {
        let Work {
            mut batch, effects, ..
        } = std::mem::take(&mut self.work);
        if batch.is_empty() {
            match self.pending.back_mut() {
                Some((_, waiting)) => waiting.extend(effects),
                None => self.perform(effects),
            }
            return;
        }
        if self.index.is_empty() {
            self.register.note(&mut batch);
        }
        match self.register.storage().submit(batch) {
            Ok(sequence) if sequence <= self.durable => self.perform(effects),
            Ok(sequence) => self.pending.push_back((sequence, effects)),
            Err(error) => self.fail(effects, &error),
        }
    }

    fn settle(&mut self, progress: Progress) {
        self.flush();
        match progress {
            Progress::Durable(sequence) => {
                self.durable = self.durable.max(sequence);
                while self
                    .pending
                    .front()
                    .is_some_and(|(first, _)| *first <= sequence)
                {
                    if let Some((_, effects)) = self.pending.pop_front() {
                        self.perform(effects);
                    }
                }
            }
            Progress::Failed(sequence) => {
                while self
                    .pending
                    .front()
                    .is_some_and(|(first, _)| *first <= sequence)
                {
                    if let Some((_, effects)) = self.pending.pop_front() {
                        self.fail(effects, &StorageError::ReadOnly);
                        self.stale = true;
                    }
                }
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        let mut handled = BTreeSet::new();
        for effect in effects {
            match effect {
                Effect::Handled(id, _) => {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.handled();
                        handled.insert(id);
                    }
                }
                Effect::Written(ticket) => self.outputs.push_back(Output::Stored(ticket)),
                Effect::Left(stamps) => self.left(&stamps),
                Effect::Joined(row, origin) => self.joined(row, origin),
                Effect::Restands(row) => {
                    let origin = Origin::Judged;
                    self.outputs
                        .push_back(Output::Update(Update { row, origin }));
                }
                Effect::Told(session, id) => self.told(session, id),
            }
        }
        for id in handled {
            self.dirty.insert(id);
            self.with_session(id, |session, cx| {
                session.acknowledge(cx);
                Ok(())
            });
        }
    }

    /// Records are no more of the set.
    fn left(&mut self, stamps: &[Stamp]) {
        for stamp in stamps {
            self.index.remove(stamp);
        }
        for session in self.sessions.values_mut() {
            session.left(stamps);
        }
    }

    /// A record is of the set.
    fn joined(&mut self, row: Row, origin: Origin) {
        self.index.insert(row.stamp);
        for session in self.sessions.values_mut() {
            if session.joined(&row, origin.session()) {
                self.dirty.insert(session.id);
            }
        }
        self.outputs
            .push_back(Output::Update(Update { row, origin }));
    }

    fn fail(&mut self, effects: Vec<Effect>, error: &StorageError) {
        for effect in effects {
            match effect {
                Effect::Handled(id, digest) => {
                    let (reason, retry_after) = refusal(error);
                    let message = Message::Refused {
                        digest,
                        reason,
                        retry_after,
                    };
                    self.outputs.push_back(Output::Send {
                        session: id,
                        message,
                    });
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.handled();
                    }
                }
                Effect::Written(ticket) => {
                    self.outputs
                        .push_back(Output::NotStored(ticket, error.clone()));
                }
                Effect::Told(session, id) => self.told(session, id),
                Effect::Left(_) | Effect::Joined(..) | Effect::Restands(_) => {}
            }
        }
    }

    /// A filtered session has an index of its own, so there may not be many.
    fn limit_filters(&mut self, latest: SessionId) {
        let filtered = |session: &&Session| session.is_filtered();
        if self.sessions.get(&latest).as_ref().is_some_and(filtered)
            && self.sessions.values().filter(filtered).count() > MAX_FILTERED
        {
            self.close(latest, CloseReason::Limit);
        }
    }

    fn told(&mut self, session: SessionId, id: AskId) {
        if let Some(asked) = self.asked.get_mut(&id) {
            asked.remove(&session);
            if asked.is_empty() {
                self.asked.remove(&id);
                self.outputs.push_back(Output::Answered(id));
            }
        }
    }

    fn pump(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            self.with_session(id, |session, cx| session.pump(cx));
        }
    }

    fn with_session(
        &mut self,
        id: SessionId,
        call: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<(), Ended>,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut cx = Context {
            register: &self.register,
            index: &self.index,
            replica: self.settings.replica,
            outputs: &mut self.outputs,
        };
        match call(session, &mut cx) {
            Ok(()) => {}
            Err(Ended::Because(reason)) => self.close(id, reason),
            Err(Ended::Storage) => self.close(id, CloseReason::Internal),
        }
    }

    pub(super) fn close(&mut self, id: SessionId, reason: CloseReason) {
        self.drop_session(id);
        self.outputs.push_back(Output::Close {
            session: id,
            reason,
        });
    }

    fn drop_session(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        let asked: Vec<AskId> = self.asked.keys().copied().collect();
        for ask in asked {
            self.told(id, ask);
        }
    }
}
