//! Slots: names at which two meet.
//!
//! Pure: the time, the random numbers and the ledger are arguments.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::wire::signal::{MAX_MESSAGE_BYTES, Name};

use super::inbox::{Fetched, Inbox};
use super::ledger::{Address, Ledger, Reader};
use super::{Refusal, SILENCE, Token, is_repeated};

/// The most slots that are open at a time.
pub const MAX_SLOTS: usize = 1 << 20;
/// How long a slot is kept from the first claim of it.
pub const SLOT_LIFETIME: Duration = Duration::from_secs(600);
/// The most messages that one seat may send.
pub const MAX_SLOT_MESSAGES: u64 = 80;
/// The most bytes that one seat may send.
pub const MAX_SLOT_BYTES: usize = 256 << 10;

/// Free names have so many digits: a thousand times as many as there can be slots, so that one is
/// soon found, and hard to come upon by trying.
const NAME_DIGITS: u32 = 9;
/// How often an unused name is looked for.
const DRAWS: usize = 32;

/// Unlike a name, never used again.
type SlotId = u64;

struct Slot {
    name: Name,
    until: Instant,
    /// Who asked for the free name, until a seat is taken; and when that was.
    asked: Option<(Address, Instant)>,
    sides: [Option<Box<Side>>; 2],
    /// One has left: nothing is sent any more.
    over: bool,
}

/// One of the two: a seat, or what waits for whoever takes it.
#[derive(Default)]
struct Side {
    seat: Option<Seat>,
    inbox: Inbox,
}

struct Seat {
    token: Token,
    address: Address,
    heard: Instant,
    messages: u64,
    bytes: usize,
}

impl Slot {
    fn seat(&self, side: usize) -> Option<&Seat> {
        self.sides[side].as_ref()?.seat.as_ref()
    }

    fn is_free(&self, side: usize) -> bool {
        self.seat(side).is_none()
    }

    /// When something may be due.
    fn due(&self) -> Instant {
        let heard = self
            .sides
            .iter()
            .flatten()
            .filter_map(|side| side.seat.as_ref());
        let heard = heard.map(|seat| seat.heard);
        let asked = self.asked.map(|(_, asked)| asked);
        let silent = heard.chain(asked).min().map(|heard| heard + SILENCE);
        silent.map_or(self.until, |silent| silent.min(self.until))
    }
}

/// All slots.
#[derive(Default)]
pub(super) struct Slots {
    names: HashMap<Name, SlotId>,
    open: HashMap<SlotId, Slot>,
    seats: HashMap<Token, (SlotId, usize)>,
    /// One for each slot, at its `due` or before; others name no slot any more.
    timers: BinaryHeap<Reverse<(Instant, SlotId)>>,
    last: SlotId,
}

impl Slots {
    /// A name that nobody uses, kept for whoever asked until it is used, or [`SILENCE`] has passed.
    pub(super) fn free(
        &mut self,
        address: Address,
        now: Instant,
        mut random: impl FnMut() -> u32,
        ledger: &mut Ledger,
    ) -> Result<Name, Refusal> {
        ledger.claim(address, now)?;
        for _ in 0..DRAWS {
            let number = random() % 10_u32.pow(NAME_DIGITS);
            let width = NAME_DIGITS as usize;
            let Ok(name) = format!("{number:0width$}").parse::<Name>() else {
                continue;
            };
            if !self.names.contains_key(&name) {
                self.begin(name.clone(), now, |slot| slot.asked = Some((address, now)))?;
                if let Err(refusal) = ledger.open(address, now) {
                    self.forget(&name);
                    return Err(refusal);
                }
                return Ok(name);
            }
        }
        Err(Refusal::Full)
    }

    /// Takes a seat, which the token will tell.
    pub(super) fn claim(
        &mut self,
        name: Name,
        address: Address,
        token: Token,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        ledger.claim(address, now)?;
        let found = self.names.get(&name).copied();
        let side = match found.and_then(|id| self.open.get(&id)) {
            Some(slot) => (0..2)
                .find(|side| slot.is_free(*side))
                .ok_or(Refusal::Taken)?,
            None => 0,
        };
        ledger.open(address, now)?;
        let id = match found {
            Some(id) => id,
            None => match self.begin(name, now, |_| {}) {
                Ok(id) => id,
                Err(refusal) => {
                    ledger.back(address);
                    return Err(refusal);
                }
            },
        };
        let Some(slot) = self.open.get_mut(&id) else {
            return Err(Refusal::Gone);
        };
        if let Some((asker, _)) = slot.asked.take() {
            ledger.back(asker);
        }
        slot.sides[side].get_or_insert_default().seat = Some(Seat {
            token,
            address,
            heard: now,
            messages: 0,
            bytes: 0,
        });
        self.seats.insert(token, (id, side));
        Ok(())
    }

    /// Sends a message to the other seat, or to whoever takes it.
    pub(super) fn send(
        &mut self,
        token: Token,
        message: Bytes,
        number: Option<u64>,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<(), Refusal> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(Refusal::TooLong);
        }
        let (id, side) = *self.seats.get(&token).ok_or(Refusal::Gone)?;
        let slot = self.open.get_mut(&id).ok_or(Refusal::Gone)?;
        if slot.over {
            return Err(Refusal::Gone);
        }
        let reader = if slot.is_free(1 - side) {
            Reader::Absent
        } else {
            Reader::Present
        };
        let [here, there] = &mut slot.sides;
        let (here, there) = if side == 0 {
            (here, there)
        } else {
            (there, here)
        };
        let seat = here.as_mut().and_then(|side| side.seat.as_mut());
        let seat = seat.ok_or(Refusal::Gone)?;
        seat.heard = now;
        if is_repeated(number, seat.messages)? {
            return Ok(());
        }
        let len = message.len();
        if seat.messages >= MAX_SLOT_MESSAGES || seat.bytes + len > MAX_SLOT_BYTES {
            return Err(Refusal::Spent);
        }
        let inbox = &mut there.get_or_insert_default().inbox;
        inbox.put(message, seat.address, reader, ledger)?;
        seat.messages += 1;
        seat.bytes += len;
        Ok(())
    }

    /// What the other sent, after a cursor. [`Refusal::Gone`] once the other left and all that it
    /// sent is fetched.
    pub(super) fn fetch(
        &mut self,
        token: Token,
        cursor: u64,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Result<Fetched, Refusal> {
        let (id, side) = *self.seats.get(&token).ok_or(Refusal::Gone)?;
        let slot = self.open.get_mut(&id).ok_or(Refusal::Gone)?;
        let over = slot.over;
        let here = slot.sides[side].as_mut().ok_or(Refusal::Gone)?;
        let seat = here.seat.as_mut().ok_or(Refusal::Gone)?;
        seat.heard = now;
        match here.inbox.fetch(cursor, ledger)? {
            Fetched::Nothing(_) if over => {
                self.leave(token, ledger);
                Err(Refusal::Gone)
            }
            fetched => Ok(fetched),
        }
    }

    /// Leaves a seat: the name is free, and the other hears of it after what was sent before.
    pub(super) fn leave(&mut self, token: Token, ledger: &mut Ledger) {
        let Some((id, side)) = self.seats.remove(&token) else {
            return;
        };
        let Some(slot) = self.open.get_mut(&id) else {
            return;
        };
        slot.over = true;
        if self.names.get(&slot.name) == Some(&id) {
            self.names.remove(&slot.name);
        }
        if let Some(mut left) = slot.sides[side].take() {
            left.inbox.clear(ledger);
            if let Some(seat) = left.seat {
                ledger.back(seat.address);
            }
        }
        match slot.sides[1 - side].as_ref() {
            Some(other) if other.seat.is_some() => other.inbox.ring(),
            _ => self.end(id, ledger),
        }
    }

    /// When to call [`tick`](Self::tick).
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Ends what is over by now.
    pub(super) fn tick(&mut self, now: Instant, ledger: &mut Ledger) {
        while let Some(Reverse((due, id))) = self.timers.peek().copied() {
            if due > now {
                return;
            }
            self.timers.pop();
            let Some(slot) = self.open.get(&id) else {
                continue;
            };
            let asked_in_vain = slot.asked.is_some_and(|(_, asked)| asked + SILENCE <= now);
            if slot.until <= now || asked_in_vain {
                self.end(id, ledger);
                continue;
            }
            for side in 0..2 {
                let seat = self.open.get(&id).and_then(|slot| slot.seat(side));
                let silent = seat.filter(|seat| seat.heard + SILENCE <= now);
                if let Some(token) = silent.map(|seat| seat.token) {
                    self.leave(token, ledger);
                }
            }
            if let Some(slot) = self.open.get(&id) {
                self.timers.push(Reverse((slot.due(), id)));
            }
        }
    }

    fn begin(
        &mut self,
        name: Name,
        now: Instant,
        with: impl FnOnce(&mut Slot),
    ) -> Result<SlotId, Refusal> {
        if self.open.len() >= MAX_SLOTS {
            return Err(Refusal::Full);
        }
        self.last += 1;
        let mut slot = Slot {
            name: name.clone(),
            until: now + SLOT_LIFETIME,
            asked: None,
            sides: [None, None],
            over: false,
        };
        with(&mut slot);
        self.names.insert(name, self.last);
        self.open.insert(self.last, slot);
        // Nothing is due before.
        self.timers.push(Reverse((now + SILENCE, self.last)));
        Ok(self.last)
    }

    fn forget(&mut self, name: &Name) {
        if let Some(id) = self.names.remove(name) {
            self.open.remove(&id);
        }
    }

    fn end(&mut self, id: SlotId, ledger: &mut Ledger) {
        let Some(slot) = self.open.remove(&id) else {
            return;
        };
        if self.names.get(&slot.name) == Some(&id) {
            self.names.remove(&slot.name);
        }
        if let Some((asker, _)) = slot.asked {
            ledger.back(asker);
        }
        for mut side in slot.sides.into_iter().flatten() {
            side.inbox.clear(ledger);
            if let Some(seat) = side.seat {
                ledger.back(seat.address);
                self.seats.remove(&seat.token);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn knows(&self, token: Token) -> bool {
        self.seats.contains_key(&token)
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 4] {
        [
            self.open.len(),
            self.names.len(),
            self.seats.len(),
            self.timers.len(),
        ]
    }
}
