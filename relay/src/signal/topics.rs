//! Topics: names at which many announce themselves.
//!
//! Pure: the time, the random numbers and the ledger are arguments.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::wire::signal::{AnnouncerId, Event, MAX_MESSAGE_BYTES, Name};

use super::inbox::{Fetched, Inbox};
use super::ledger::{Address, Bucket, Ledger, Reader};
use super::{Refusal, SILENCE, Token, is_repeated};

/// The most topics at a time.
pub const MAX_TOPICS: usize = 1 << 14;
/// The most announcers of a topic.
pub const MAX_ANNOUNCERS: usize = 64;
/// The most announcers of a topic that are of one address, so that nobody fills it alone.
pub const MAX_ANNOUNCERS_PER_ADDRESS: usize = 16;
/// The most messages and events that wait for an announcer. A message beyond is refused; an event
/// beyond ends who has not fetched so many, since it would not know any more who is there.
pub const MAX_TOPIC_INBOX: usize = 1024;
/// Messages that an announcer may send at once: a few to each of the others.
pub const MESSAGES_AT_ONCE: u32 = 256;
/// After how long it may send one more.
pub const MESSAGE_EVERY: Duration = Duration::from_millis(250);

struct Announcer {
    token: Token,
    address: Address,
    heard: Instant,
    sends: Bucket,
    sent: u64,
    inbox: Inbox,
}

/// In the order of their ids, which says nothing.
type Announcers = BTreeMap<AnnouncerId, Announcer>;

/// All topics.
#[derive(Default)]
pub(super) struct Topics {
    topics: HashMap<Name, Announcers>,
    seats: HashMap<Token, (Name, AnnouncerId)>,
    /// One for each announcer, when it would have been silent for too long, or before.
    timers: BinaryHeap<Reverse<(Instant, Token)>>,
}

impl Topics {
    /// Announces somebody, whom the token will tell and the id names to the others.
    pub(super) fn announce(
        &mut self,
        name: Name,
        address: Address,
        (token, id): (Token, AnnouncerId),
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        ledger.claim(address, now)?;
        match self.topics.get(&name) {
            Some(announcers) => has_room(announcers, address)?,
            None if self.topics.len() >= MAX_TOPICS => return Err(Refusal::Full),
            None => {}
        }
        ledger.open(address, now)?;
        let announcers = self.topics.entry(name.clone()).or_default();
        let mut inbox = Inbox::default();
        let mut told = inbox.tell(&Event::You(id), ledger);
        for other in announcers.keys() {
            told = told.and_then(|()| inbox.tell(&Event::Came(*other), ledger));
        }
        if let Err(refusal) = told {
            inbox.clear(ledger);
            ledger.back(address);
            if announcers.is_empty() {
                self.topics.remove(&name);
            }
            return Err(refusal);
        }
        let announcer = Announcer {
            token,
            address,
            heard: now,
            sends: Bucket::full(now),
            sent: 0,
            inbox,
        };
        announcers.insert(id, announcer);
        self.timers.push(Reverse((now + SILENCE, token)));
        self.seats.insert(token, (name.clone(), id));
        self.tell_others(&name, id, &Event::Came(id), ledger);
        Ok(())
    }

    /// Sends a message to one announcer of the same topic.
    pub(super) fn send(
        &mut self,
        token: Token,
        to: AnnouncerId,
        message: Bytes,
        number: Option<u64>,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(Refusal::TooLong);
        }
        let (name, from) = self.seats.get(&token).ok_or(Refusal::Gone)?;
        let announcers = self.topics.get_mut(name).ok_or(Refusal::Gone)?;
        let is_there = announcers.contains_key(&to);
        let sender = announcers.get_mut(from).ok_or(Refusal::Gone)?;
        sender.heard = now;
        if is_repeated(number, sender.sent)? {
            return Ok(());
        }
        let sends = &mut sender.sends;
        sends.take(now, MESSAGES_AT_ONCE, MESSAGE_EVERY, Refusal::TooOften)?;
        if !is_there {
            // It is done with all the same.
            sender.sent += 1;
            return Err(Refusal::Nobody);
        }
        let (payer, from) = (sender.address, *from);
        let receiver = announcers.get_mut(&to).ok_or(Refusal::Nobody)?;
        if receiver.inbox.len() >= MAX_TOPIC_INBOX / 2 {
            return Err(Refusal::Full);
        }
        let event = Event::Message { from, message };
        let inbox = &mut receiver.inbox;
        inbox.put(event.encode(), payer, Reader::Present, ledger)?;
        if let Some(sender) = announcers.get_mut(&from) {
            sender.sent += 1;
        }
        Ok(())
    }

    /// The events after a cursor.
    pub(super) fn fetch(
        &mut self,
        token: Token,
        cursor: u64,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<Fetched, Refusal> {
        let (name, id) = self.seats.get(&token).ok_or(Refusal::Gone)?;
        let announcers = self.topics.get_mut(name).ok_or(Refusal::Gone)?;
        let announcer = announcers.get_mut(id).ok_or(Refusal::Gone)?;
        announcer.heard = now;
        announcer.inbox.fetch(cursor, ledger)
    }

    /// Leaves; the others hear of it.
    pub(super) fn leave(&mut self, token: Token, ledger: &mut Ledger) {
        let Some((name, id)) = self.seats.remove(&token) else {
            return;
        };
        let Some(announcers) = self.topics.get_mut(&name) else {
            return;
        };
        if let Some(mut left) = announcers.remove(&id) {
            left.inbox.clear(ledger);
            ledger.back(left.address);
        }
        if announcers.is_empty() {
            self.topics.remove(&name);
        } else {
            self.tell_others(&name, id, &Event::Left(id), ledger);
        }
    }

    /// When to call [`tick`](Self::tick).
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Ends who has been silent.
    pub(super) fn tick(&mut self, now: Instant, ledger: &mut Ledger) {
        while let Some(Reverse((due, token))) = self.timers.peek().copied() {
            if due > now {
                return;
            }
            self.timers.pop();
            let Some(heard) = self.heard(token) else {
                continue;
            };
            if heard + SILENCE <= now {
                self.leave(token, ledger);
            } else {
                self.timers.push(Reverse((heard + SILENCE, token)));
            }
        }
    }

    fn heard(&self, token: Token) -> Option<Instant> {
        let (name, id) = self.seats.get(&token)?;
        Some(self.topics.get(name)?.get(id)?.heard)
    }

    fn tell_others(&mut self, name: &Name, of: AnnouncerId, event: &Event, ledger: &mut Ledger) {
        let Some(announcers) = self.topics.get_mut(name) else {
            return;
        };
        let mut lost = Vec::new();
        for (id, announcer) in announcers {
            if *id != of && announcer.inbox.tell(event, ledger).is_err() {
                lost.push(announcer.token);
            }
        }
        for token in lost {
            self.leave(token, ledger);
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 3] {
        [self.topics.len(), self.seats.len(), self.timers.len()]
    }
}

fn has_room(announcers: &Announcers, address: Address) -> Result<(), Refusal> {
    if announcers.len() >= MAX_ANNOUNCERS {
        return Err(Refusal::Taken);
    }
    let same = announcers.values().filter(|one| one.address == address);
    if address != Address::Exempt && same.count() >= MAX_ANNOUNCERS_PER_ADDRESS {
        return Err(Refusal::TooMany);
    }
    Ok(())
}

impl Inbox {
    /// On nobody's account: whoever is told did not ask for it, nor did whom it is about.
    fn tell(&mut self, event: &Event, ledger: &mut Ledger) -> Result<(), Refusal> {
        if self.len() >= MAX_TOPIC_INBOX {
            return Err(Refusal::Full);
        }
        self.put(event.encode(), Address::Exempt, Reader::Present, ledger)
    }
}
