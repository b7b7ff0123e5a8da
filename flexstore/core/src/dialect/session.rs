//! One channel of the dialect: one shelf of a collection, and one peer.
//!
//! ```text
//!  either side                           the other
//!    versions       <------------------>  versions                 at once, both
//!    hash... endTags ------------------>
//!                   <-------------------  get, for what is missing or another
//!    put            ------------------->
//!                   <-------------------  synchronizationComplete
//!    put, delete    <------------------>  put, delete              live, from the first moment
//! ```
//!
//! What is to be sent is looked up when it is pulled, so that a peer that does not read costs the
//! names of what it will be told and nothing else.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ended::Ended;
use super::fragments::{FragmentError, Fragments, Frames};
use super::known::{Known, short};
use super::message::{Message, MessageError};
use super::shelves::{Compared, Shelves, Taken};
use crate::{Digest, Tag};

/// The version spoken here, and the only one.
pub const VERSION: u64 = 17;
/// How long after the channel is open `versions` is sent, in milliseconds; as the original does,
/// which needs it to be ready.
pub const VERSIONS_DELAY_MS: u64 = 200;
/// How long after finding no common version the channel is closed, in milliseconds.
pub const FAREWELL_MS: u64 = 500;
/// How long the peer's `versions` may take, in milliseconds.
pub const HANDSHAKE_MS: u64 = 15_000;
/// How long a peer may read nothing while something waits for it, in milliseconds.
pub const STALL_MS: u64 = 15_000;
/// While more than this waits for the peer, [`Session::is_ready`] is false, in bytes.
pub const HIGH_BYTES: usize = 256 << 10;
/// A peer for which more than this waits is closed as too slow, in bytes.
pub const MAX_WAITING_BYTES: usize = 960 << 10;
/// Tags asked for and not yet answered, at most.
pub const MAX_AWAITED: usize = 100_000;

/// What a queued tag costs beside its text.
const TAG_COST: usize = 64;
/// Tags looked up in one go for the stream of hashes.
const PAGE: usize = 128;

/// Who begins the stream of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A client that dialled, and peers: begins when the versions are agreed.
    Active,
    /// A relay: begins when the other side has.
    Passive,
}

/// How far the own stream of hashes is.
enum Stream {
    Waiting,
    Running {
        page: VecDeque<(Tag, Digest)>,
        next: Option<Tag>,
        last: bool,
    },
    Ended,
}

/// One channel.
pub struct Session {
    role: Role,
    versions_at: Option<u64>,
    /// Until when the peer must say its versions.
    silent_at: Option<u64>,
    /// Whether the peer's versions hold ours; `None` until it said them.
    agreed: Option<bool>,
    close_at: Option<u64>,
    fragments: Fragments,
    /// The next number for a message in pieces.
    number: u64,
    sending: Option<Frames>,
    /// More of what a tag shows.
    more: VecDeque<Message>,
    to_get: VecDeque<Tag>,
    to_answer: VecDeque<Tag>,
    /// Tags of which the peer is to be told what they show; and whether also that some of it was
    /// deleted, since the peer still has that.
    changed: BTreeMap<Tag, bool>,
    known: Known,
    waiting: usize,
    /// Since when nothing of what waits was pulled.
    waiting_since: Option<u64>,
    /// Short hashes of the tags asked for: a hundred thousand of them in little room. A peer that
    /// makes two tags of one hash confuses its own synchronization only.
    awaited: BTreeSet<u64>,
    unsettled: usize,
    stream: Stream,
    examined: u64,
    peer_ended: bool,
    peer_complete: bool,
    complete: bool,
}

impl Session {
    /// Of a channel that is open since `now`, in milliseconds since 1970.
    #[must_use]
    pub fn new(role: Role, now: u64) -> Self {
        Self {
            role,
            versions_at: Some(now + VERSIONS_DELAY_MS),
            silent_at: Some(now + HANDSHAKE_MS),
            agreed: None,
            close_at: None,
            fragments: Fragments::default(),
            number: 0,
            sending: None,
            more: VecDeque::new(),
            to_get: VecDeque::new(),
            to_answer: VecDeque::new(),
            changed: BTreeMap::new(),
            known: Known::default(),
            waiting: 0,
            waiting_since: None,
            awaited: BTreeSet::new(),
            unsettled: 0,
            stream: Stream::Waiting,
            examined: 0,
            peer_ended: false,
            peer_complete: false,
            complete: false,
        }
    }

    /// Whether more may be read from the peer. Where this is false, it should read first.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.waiting <= HIGH_BYTES
    }

    /// Whether both sides have compared and transferred everything.
    #[must_use]
    pub const fn is_synchronized(&self) -> bool {
        self.complete && self.peer_complete
    }

    /// Bytes that this session holds for its peer, about.
    #[must_use]
    pub fn held(&self) -> usize {
        let awaited = self.awaited.len() * size_of::<u64>();
        let known = self.known.hashes.len() * size_of::<(u64, u64, Digest)>();
        self.waiting + self.fragments.reserved() + awaited + known
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// [`Ended`]: the channel is to be closed.
    pub fn handle(&mut self, now: u64, text: &str, shelf: &mut dyn Shelves) -> Result<(), Ended> {
        if self.agreed == Some(false) {
            return Ok(());
        }
        let message = match Message::parse(text) {
            // What cannot be stored here stays with the other side; that hurts nobody else.
            Err(MessageError::Tag) => return Ok(()),
            parsed => parsed?,
        };
        let message = match message {
            Message::Fragments { id, count } => return Ok(self.fragments.open(now, id, count)?),
            Message::Frag { id, index, text } => {
                let Some(whole) = self.fragments.take(now, id, index, text)? else {
                    return Ok(());
                };
                match Message::parse(&whole) {
                    Err(MessageError::Tag) => return Ok(()),
                    Ok(Message::Fragments { .. } | Message::Frag { .. }) => {
                        return Err(Ended::OutOfTurn);
                    }
                    parsed => parsed?,
                }
            }
            message => message,
        };
        self.take(now, message, shelf)?;
        if self.waiting > MAX_WAITING_BYTES {
            return Err(Ended::TooSlow);
        }
        self.note_waiting(now);
        Ok(())
    }

    fn take(&mut self, now: u64, message: Message, shelf: &mut dyn Shelves) -> Result<(), Ended> {
        match message {
            Message::Versions { min, max } => {
                if self.agreed.is_some() {
                    return Err(Ended::OutOfTurn);
                }
                self.silent_at = None;
                let agreed = (min..=max).contains(&VERSION);
                self.agreed = Some(agreed);
                if !agreed {
                    self.close_at = Some(now + FAREWELL_MS);
                } else if self.role == Role::Active {
                    self.begin();
                }
            }
            Message::Hash { tag, hash } => {
                self.in_stream()?;
                self.examined += 1;
                self.known.note(&tag, hash);
                match shelf.compare(&tag, &hash)? {
                    Compared::Known => {}
                    Compared::Deleted => self.change(tag, true),
                    Compared::Unknown => self.queue(tag, |session| &mut session.to_get),
                }
            }
            Message::EndTags => {
                self.in_stream()?;
                self.peer_ended = true;
            }
            Message::Get(tag) => self.queue(tag, |session| &mut session.to_answer),
            Message::Put { tag, record: None } => {
                self.awaited.remove(&short(&tag));
            }
            Message::Put {
                tag,
                record: Some(text),
            }
            | Message::Delete { tag, record: text } => {
                self.awaited.remove(&short(&tag));
                self.known.note(&tag, Digest::of(&text));
                match shelf.take(&tag, text)? {
                    Taken::Pending => self.unsettled += 1,
                    Taken::Done => {}
                    Taken::Deleted => self.change(tag, true),
                }
            }
            Message::SynchronizationComplete(_) if self.agreed.is_some() && !self.peer_complete => {
                self.peer_complete = true;
            }
            Message::SynchronizationComplete(_)
            | Message::Fragments { .. }
            | Message::Frag { .. } => return Err(Ended::OutOfTurn),
        }
        Ok(())
    }

    /// A hash or the end of them: only after the versions, and before the end.
    fn in_stream(&mut self) -> Result<(), Ended> {
        if self.agreed.is_none() || self.peer_ended {
            return Err(Ended::OutOfTurn);
        }
        self.begin();
        Ok(())
    }

    fn begin(&mut self) {
        if matches!(self.stream, Stream::Waiting) {
            self.stream = Stream::Running {
                page: VecDeque::new(),
                next: None,
                last: false,
            };
        }
    }

    fn queue(&mut self, tag: Tag, queue: impl Fn(&mut Self) -> &mut VecDeque<Tag>) {
        self.waiting += cost(&tag);
        queue(self).push_back(tag);
    }

    fn change(&mut self, tag: Tag, deleted: bool) {
        let cost = cost(&tag);
        match self.changed.entry(tag) {
            Entry::Occupied(mut entry) => *entry.get_mut() |= deleted,
            Entry::Vacant(entry) => {
                entry.insert(deleted);
                self.waiting += cost;
            }
        }
    }

    /// What a tag shows has changed.
    ///
    /// # Errors
    /// [`Ended::TooSlow`] if too much waits for the peer already.
    pub fn changed(&mut self, now: u64, tag: &Tag) -> Result<(), Ended> {
        self.change(tag.clone(), false);
        if self.waiting > MAX_WAITING_BYTES {
            return Err(Ended::TooSlow);
        }
        self.note_waiting(now);
        Ok(())
    }

    /// So many of the records that came are durable now, or never will be.
    pub fn settled(&mut self, now: u64, count: usize) {
        self.unsettled = self.unsettled.saturating_sub(count);
        self.note_waiting(now);
    }

    fn note_waiting(&mut self, now: u64) {
        if self.has_waiting() {
            self.waiting_since.get_or_insert(now);
        }
    }

    fn has_waiting(&self) -> bool {
        let cut = self
            .sending
            .as_ref()
            .is_some_and(|frames| !frames.is_done());
        let queued = cut || self.waiting > 0 || !self.more.is_empty();
        let running = matches!(self.stream, Stream::Running { .. });
        self.versions_at.is_none() && (queued || running || self.may_complete())
    }

    fn may_complete(&self) -> bool {
        !self.complete
            && self.peer_ended
            && matches!(self.stream, Stream::Ended)
            && self.to_get.is_empty()
            && self.awaited.is_empty()
            && self.unsettled == 0
    }

    /// The next frame for the peer; `None` until something happens. To be pulled as the peer reads.
    ///
    /// # Errors
    /// [`Ended`]: the channel is to be closed.
    pub fn poll(&mut self, now: u64, shelf: &mut dyn Shelves) -> Result<Option<String>, Ended> {
        if self.versions_at.is_some_and(|at| now < at) {
            return Ok(None);
        }
        loop {
            if let Some(frame) = self.sending.as_mut().and_then(Iterator::next) {
                self.waiting_since = self.has_waiting().then_some(now);
                return Ok(Some(frame));
            }
            self.sending = None;
            match self.next_message(shelf)? {
                Some(message) => {
                    self.sending = Some(Frames::of(&message, &mut self.number));
                }
                None => {
                    self.waiting_since = None;
                    return Ok(None);
                }
            }
        }
    }

    fn next_message(&mut self, shelf: &mut dyn Shelves) -> Result<Option<Message>, Ended> {
        if self.versions_at.take().is_some() {
            let (min, max) = (VERSION, VERSION);
            return Ok(Some(Message::Versions { min, max }));
        }
        if self.agreed == Some(false) {
            return Ok(None);
        }
        if let Some(message) = self.more.pop_front() {
            return Ok(Some(message));
        }
        if let Some(tag) = self.to_get.pop_front() {
            self.waiting -= cost(&tag);
            if self.awaited.len() >= MAX_AWAITED {
                return Err(Ended::Limit);
            }
            self.awaited.insert(short(&tag));
            return Ok(Some(Message::Get(tag)));
        }
        if let Some(tag) = self.to_answer.pop_front() {
            self.waiting -= cost(&tag);
            let record = shelf.shown(&tag)?;
            if let Some(record) = &record {
                self.known.note(&tag, Digest::of(record));
            }
            return Ok(Some(Message::Put { tag, record }));
        }
        while let Some((tag, deleted)) = self.changed.pop_first() {
            self.waiting -= cost(&tag);
            self.tell(tag, deleted, shelf)?;
            if let Some(message) = self.more.pop_front() {
                return Ok(Some(message));
            }
        }
        if let Some(message) = self.next_of_stream(shelf)? {
            return Ok(Some(message));
        }
        if self.may_complete() {
            self.complete = true;
            return Ok(Some(Message::SynchronizationComplete(self.examined)));
        }
        Ok(None)
    }

    /// What a tag shows, unless the peer is known to have that.
    fn tell(&mut self, tag: Tag, deleted: bool, shelf: &mut dyn Shelves) -> Result<(), Ended> {
        let shown = shelf.shown(&tag)?;
        if deleted || shown.is_none() {
            for record in shelf.tombstones(&tag)? {
                if self.known.note(&tag, Digest::of(&record)) || deleted {
                    let tag = tag.clone();
                    self.more.push_back(Message::Delete { tag, record });
                }
            }
        }
        if let Some(record) = shown
            && self.known.note(&tag, Digest::of(&record))
        {
            let record = Some(record);
            self.more.push_back(Message::Put { tag, record });
        }
        Ok(())
    }

    fn next_of_stream(&mut self, shelf: &mut dyn Shelves) -> Result<Option<Message>, Ended> {
        let Stream::Running { page, next, last } = &mut self.stream else {
            return Ok(None);
        };
        while page.is_empty() && !*last {
            let found = shelf.page(next.as_ref(), PAGE)?;
            page.extend(found.shown);
            *last = found.next.is_none();
            *next = found.next;
        }
        let message = match page.pop_front() {
            Some((tag, hash)) => Message::Hash { tag, hash },
            None => {
                self.stream = Stream::Ended;
                Message::EndTags
            }
        };
        Ok(Some(message))
    }

    /// When to call [`Session::handle_timeout`], in milliseconds since 1970.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        let stalled = self.waiting_since.map(|since| since + STALL_MS);
        [
            self.versions_at,
            self.silent_at,
            self.close_at,
            stalled,
            self.fragments.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Looks whether something took too long. Then poll.
    ///
    /// # Errors
    /// [`Ended`]: the channel is to be closed.
    pub fn handle_timeout(&mut self, now: u64) -> Result<(), Ended> {
        let past = |at: Option<u64>| at.is_some_and(|at| at <= now);
        if past(self.close_at) {
            return Err(Ended::Version);
        }
        if past(self.silent_at) {
            return Err(Ended::Silent);
        }
        if past(self.fragments.next_timeout()) {
            return Err(FragmentError::Late.into());
        }
        if past(self.waiting_since.map(|since| since + STALL_MS)) {
            return Err(Ended::TooSlow);
        }
        Ok(())
    }
}

fn cost(tag: &Tag) -> usize {
    tag.as_str().len() + TAG_COST
}
