//! The rendezvous of JavaScript clients: one brings an offer and waits for the answer, the other
//! waits for the offer and brings the answer. Either may come first.
//!
//! Pure: the time and the ledger are arguments. A call that nobody waits for any more is as good
//! as over, which its `oneshot` tells.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::wire::signal::Name;
use tokio::sync::oneshot;

use super::Refusal;
use super::ledger::{Address, Ledger, Reader};

/// How long each side waits for the other.
pub const JAVASCRIPT_LIFETIME: Duration = Duration::from_secs(60);
/// The most names at which somebody waits.
pub const MAX_JAVASCRIPT: usize = 1 << 16;

/// Where the signals of the other side arrive, unless it does not come in time.
pub(crate) type Arriving = oneshot::Receiver<Bytes>;

#[derive(Default)]
struct Meeting {
    /// Who brought an offer.
    offers: Option<Call>,
    offer: Bytes,
    /// Whether somebody has it.
    fetched: bool,
    /// Who waits for an offer.
    seeks: Option<Call>,
}

/// A call that waits.
struct Call {
    reply: oneshot::Sender<Bytes>,
    address: Address,
    until: Instant,
}

impl Call {
    fn is_over(&self, now: Instant) -> bool {
        self.until <= now || self.reply.is_closed()
    }
}

/// All such meetings; the names are not those of the slots.
#[derive(Default)]
pub(super) struct Meetings {
    open: HashMap<Name, Meeting>,
    /// In the order of time: all wait equally long.
    timers: VecDeque<(Instant, Name)>,
}

impl Meetings {
    /// Brings an offer, to wait for the answer.
    pub(super) fn offer(
        &mut self,
        name: Name,
        address: Address,
        offer: Bytes,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<Arriving, Refusal> {
        self.enter(&name, address, now, ledger)?;
        if self
            .open
            .get(&name)
            .is_some_and(|open| open.offers.is_some())
        {
            return Err(Refusal::Taken);
        }
        ledger.open(address, now)?;
        if let Err(refusal) = ledger.wait(address, offer.len(), Reader::Absent) {
            ledger.back(address);
            return Err(refusal);
        }
        let meeting = self.open.entry(name.clone()).or_default();
        if let Some(seeker) = meeting.seeks.take() {
            ledger.back(seeker.address);
            meeting.fetched = seeker.reply.send(offer.clone()).is_ok();
        }
        let (call, arriving) = begin(address, now);
        meeting.offers = Some(call);
        meeting.offer = offer;
        self.timers.push_back((now + JAVASCRIPT_LIFETIME, name));
        Ok(arriving)
    }

    /// Asks for an offer, waiting for it if it is not there.
    pub(super) fn seek(
        &mut self,
        name: Name,
        address: Address,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<Arriving, Refusal> {
        self.enter(&name, address, now, ledger)?;
        if let Some(meeting) = self.open.get_mut(&name) {
            if meeting.seeks.is_some() || meeting.fetched {
                return Err(Refusal::Taken);
            }
            let (reply, arriving) = oneshot::channel();
            meeting.fetched = reply.send(meeting.offer.clone()).is_ok();
            return Ok(arriving);
        }
        ledger.open(address, now)?;
        let (call, arriving) = begin(address, now);
        self.open.entry(name.clone()).or_default().seeks = Some(call);
        self.timers.push_back((now + JAVASCRIPT_LIFETIME, name));
        Ok(arriving)
    }

    /// Brings the answer to an offer that waits; the name is free again.
    pub(super) fn answer(
        &mut self,
        name: &Name,
        address: Address,
        answer: Bytes,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        ledger.claim(address, now)?;
        self.clean(name, now, ledger);
        let meeting = self.open.get_mut(name).ok_or(Refusal::Nobody)?;
        let offers = meeting.end_offer(ledger).ok_or(Refusal::Nobody)?;
        self.drop_if_empty(name);
        offers.reply.send(answer).map_err(|_| Refusal::Nobody)
    }

    /// When to call [`tick`](Self::tick).
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.front().map(|(due, _)| *due)
    }

    /// Ends what is over by now: whoever waits hears that nothing will arrive.
    pub(super) fn tick(&mut self, now: Instant, ledger: &mut Ledger) {
        while self.next_timeout().is_some_and(|due| due <= now) {
            if let Some((_, name)) = self.timers.pop_front() {
                self.clean(&name, now, ledger);
            }
        }
    }

    /// Counts the call, and ends what is over at that name.
    fn enter(
        &mut self,
        name: &Name,
        address: Address,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        ledger.claim(address, now)?;
        self.clean(name, now, ledger);
        if self.open.len() >= MAX_JAVASCRIPT && !self.open.contains_key(name) {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    fn clean(&mut self, name: &Name, now: Instant, ledger: &mut Ledger) {
        let Some(meeting) = self.open.get_mut(name) else {
            return;
        };
        if meeting
            .offers
            .as_ref()
            .is_some_and(|call| call.is_over(now))
        {
            meeting.end_offer(ledger);
        }
        if let Some(seeker) = meeting.seeks.take_if(|call| call.is_over(now)) {
            ledger.back(seeker.address);
        }
        self.drop_if_empty(name);
    }

    fn drop_if_empty(&mut self, name: &Name) {
        let is_empty = |meeting: &Meeting| meeting.offers.is_none() && meeting.seeks.is_none();
        if self.open.get(name).is_some_and(is_empty) {
            self.open.remove(name);
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.open.len(), self.timers.len()]
    }
}

impl Meeting {
    fn end_offer(&mut self, ledger: &mut Ledger) -> Option<Call> {
        let call = self.offers.take()?;
        ledger.back(call.address);
        ledger.fetched(call.address, self.offer.len());
        self.offer = Bytes::new();
        self.fetched = false;
        Some(call)
    }
}

fn begin(address: Address, now: Instant) -> (Call, Arriving) {
    let (reply, arriving) = oneshot::channel();
    let until = now + JAVASCRIPT_LIFETIME;
    let call = Call {
        reply,
        address,
        until,
    };
    (call, arriving)
}
