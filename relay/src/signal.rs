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

mod inbox;
mod javascript;
mod ledger;
mod slots;
mod topics;

use std::fmt;
use std::time::{Duration, Instant};

use flexstore_core::wire::signal::AnnouncerId;
use getrandom::SysRng;
use getrandom::rand_core::{Rng as _, UnwrapErr};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use self::javascript::Meetings;
use self::ledger::Ledger;
use self::slots::Slots;
use self::topics::Topics;

pub use self::inbox::MAX_FETCHED_BYTES;
pub use self::javascript::{JAVASCRIPT_LIFETIME, MAX_JAVASCRIPT};
pub use self::ledger::{
    CLAIM_EVERY, CLAIMS_AT_ONCE, MAX_OPEN_PER_ADDRESS, MAX_POLLS_PER_ADDRESS, MAX_WAITING,
    MAX_WAITING_PER_ADDRESS,
};
pub use self::slots::{MAX_SLOT_BYTES, MAX_SLOT_MESSAGES, MAX_SLOTS, SLOT_LIFETIME};
pub use self::topics::{
    MAX_ANNOUNCERS, MAX_ANNOUNCERS_PER_ADDRESS, MAX_TOPIC_INBOX, MAX_TOPICS,
};

/// Who neither sends nor fetches for so long has left, and so has who asked for a free name and
/// did not use it.
pub const SILENCE: Duration = Duration::from_secs(60);

/// How often accounts of addresses that are gone are forgotten.
const SWEEP: Duration = Duration::from_secs(30);
/// Questions that wait for the owner; who has more to ask waits.
const MAX_ASKED: usize = 1024;

/// Tells who has a seat: random, and known to nobody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(u128);

impl Token {
    pub(crate) fn draw() -> Self {
        let mut bytes = [0; 16];
        UnwrapErr(SysRng).fill_bytes(&mut bytes);
        Self(u128::from_ne_bytes(bytes))
    }

    /// As it stands in a header.
    pub(crate) fn text(self) -> String {
        format!("{:032x}", self.0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
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

/// Why the service does not do what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("all seats are taken")]
    Taken,
    #[error("nobody is there under this name")]
    Nobody,
    #[error("the seat is gone: the other left, or time is over")]
    Gone,
    #[error("too many claims from this address, for now")]
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
    #[error("the relay is stopping")]
    Stopping,
}

/// All of the service's state.
#[derive(Default)]
pub(crate) struct Rendezvous {
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

type Asked = Box<dyn FnOnce(&mut Rendezvous, Instant) + Send>;

/// The service, for all who ask of it.
#[derive(Clone)]
pub(crate) struct Signal {
    owner: mpsc::Sender<Asked>,
}

impl Signal {
    /// Starts the owner. It ends when nobody is left to ask.
    pub(crate) fn start() -> Self {
        let (owner, asked) = mpsc::channel(MAX_ASKED);
        tokio::spawn(own(asked));
        Self { owner }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Rendezvous, Instant) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let asked: Asked = Box::new(move |rendezvous, now| {
            // Who asked may not wait any more.
            let _ = reply.send(question(rendezvous, now));
        });
        let sent = self.owner.send(asked).await;
        sent.map_err(|_| Refusal::Stopping)?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }
}

async fn own(mut asked: mpsc::Receiver<Asked>) {
    let mut rendezvous = Rendezvous::default();
    let mut sweep = Instant::now() + SWEEP;
    loop {
        let due = rendezvous.next_timeout().map_or(sweep, |due| due.min(sweep));
        tokio::select! {
            biased;
            () = sleep_until(due.into()) => {}
            next = asked.recv() => match next {
                Some(question) => question(&mut rendezvous, Instant::now()),
                None => return,
            },
        }
        let now = Instant::now();
        rendezvous.tick(now);
        if sweep <= now {
            rendezvous.ledger.sweep(now);
            sweep = now + SWEEP;
        }
    }
}

#[cfg(test)]
mod tests;
