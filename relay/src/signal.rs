//! Rendezvous: where peers meet to tell each other how to connect.
//!
//! ```text
//!  request ──> routes ──ask──> owner task: Rendezvous { slots, topics, meetings, ledger }
//!  WebSocket ─> frames ─ask──>        │ rings the bell of whoever waits
//! ```
//!
//! The state has one owner; what the routes ask of it runs there, one after the other, and none of
//! it waits. Nothing is written to disk, and nothing that passes is understood: peers seal it.
//!
//! Deliberately absent: a way to list slots or topics, or to learn whether a name is taken without
//! taking a seat at it.

mod frames;
mod inbox;
mod javascript;
mod ledger;
mod owner;
mod routes;
mod slots;
mod topics;

use std::fmt;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::{Rng as _, UnwrapErr};

use self::javascript::Meetings;
use self::ledger::Ledger;
use self::slots::Slots;
use self::topics::Topics;

pub(crate) use self::owner::Signal;
pub(crate) use self::routes::Around;

pub use self::inbox::MAX_FETCHED_BYTES;
pub use self::javascript::{JAVASCRIPT_LIFETIME, MAX_JAVASCRIPT};
pub use self::ledger::{
    CLAIM_EVERY, CLAIMS_AT_ONCE, MAX_OPEN_PER_ADDRESS, MAX_POLLS_PER_ADDRESS, MAX_WAITING,
    MAX_WAITING_PER_ADDRESS,
};
pub use self::routes::POLL_TIME;
pub use self::slots::{MAX_SLOT_BYTES, MAX_SLOT_MESSAGES, MAX_SLOTS, SLOT_LIFETIME};
pub use self::topics::{
    MAX_ANNOUNCERS, MAX_ANNOUNCERS_PER_ADDRESS, MAX_TOPIC_INBOX, MAX_TOPICS, MESSAGE_EVERY,
    MESSAGES_AT_ONCE,
};

/// Who neither sends nor fetches for so long has left, and so has who asked for a free name and
/// did not use it.
pub const SILENCE: Duration = Duration::from_secs(60);

/// Tells who has a seat: random, and known to nobody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Token(u128);

impl Token {
    fn draw() -> Self {
        Self(u128::from_ne_bytes(draw()))
    }

    /// As it stands in a header.
    fn text(self) -> String {
        format!("{:032x}", self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u128::from_str_radix(text, 16).ok());
        number.flatten().map(Self)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

fn draw<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    UnwrapErr(SysRng).fill_bytes(&mut bytes);
    bytes
}

/// Whether a message was taken before: whoever does not know whether it was may number its
/// messages, from 0, and send the last again.
fn is_repeated(number: Option<u64>, taken: u64) -> Result<bool, Refusal> {
    match number {
        Some(number) if number > taken => Err(Refusal::Number),
        Some(number) => Ok(number < taken),
        None => Ok(false),
    }
}

/// Why the service does not do what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("all seats are taken")]
    Taken,
    #[error("nobody is there under this name")]
    Nobody,
    #[error("the seat is gone: the other left, or time is over")]
    Gone,
    #[error("too often, for now")]
    TooOften,
    #[error("too much is open from this address")]
    TooMany,
    #[error("no room for what nobody has fetched yet, for now")]
    Full,
    #[error("a message is too long")]
    TooLong,
    #[error("this seat has sent all that it may")]
    Spent,
    #[error("no such cursor")]
    Cursor,
    #[error("messages before this one are missing")]
    Number,
    #[error("the relay is stopping")]
    Stopping,
}

/// All of the service's state.
#[derive(Default)]
struct Rendezvous {
    ledger: Ledger,
    slots: Slots,
    topics: Topics,
    meetings: Meetings,
}

impl Rendezvous {
    fn next_timeout(&self) -> Option<Instant> {
        let parts = [
            self.slots.next_timeout(),
            self.topics.next_timeout(),
            self.meetings.next_timeout(),
        ];
        parts.into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant) {
        self.slots.tick(now, &mut self.ledger);
        self.topics.tick(now, &mut self.ledger);
        self.meetings.tick(now, &mut self.ledger);
    }
}

#[cfg(test)]
mod tests;
