#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod flood;
mod meetings;
mod model;
mod slots;
mod topics;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use flexstore_core::wire::signal::{AnnouncerId, Name};

use super::inbox::Fetched;
use super::ledger::Address;
use super::*;

/// The state with a clock of its own, which all calls go through.
struct World {
    all: Rendezvous,
    now: Instant,
    swept: Instant,
    drawn: u128,
}

fn address(last: u32) -> Address {
    Address::new(IpAddr::V4(Ipv4Addr::from_bits(last)), false)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            all: Rendezvous::default(),
            now,
            swept: now,
            drawn: 0,
        }
    }

    /// Lets time pass as the owner does: nothing that is due is late.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.all.next_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.all.tick(self.now);
        }
        self.now = end;
        if self.swept + Duration::from_secs(30) <= end {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        self.swept = self.now;
        self.all.ledger.sweep(self.now);
    }

    fn token(&mut self) -> Token {
        self.drawn += 1;
        Token(self.drawn)
    }

    fn claim(&mut self, slot: &str, of: Address) -> Result<Token, Refusal> {
        let token = self.token();
        let Rendezvous { slots, ledger, .. } = &mut self.all;
        slots.claim(name(slot), of, token, self.now, ledger)?;
        Ok(token)
    }

    fn free(&mut self, of: Address, random: impl FnMut() -> u32) -> Result<Name, Refusal> {
        let Rendezvous { slots, ledger, .. } = &mut self.all;
        slots.free(of, self.now, random, ledger)
    }

    fn send(&mut self, token: Token, message: impl Into<Bytes>) -> Result<(), Refusal> {
        let Rendezvous { slots, ledger, .. } = &mut self.all;
        slots.send(token, message.into(), None, self.now, ledger)
    }

    fn fetch(&mut self, token: Token, cursor: u64) -> Result<Vec<Bytes>, Refusal> {
        let Rendezvous { slots, ledger, .. } = &mut self.all;
        slots.fetch(token, cursor, self.now, ledger).map(messages)
    }

    fn leave(&mut self, token: Token) {
        self.all.slots.leave(token, &mut self.all.ledger);
    }

    fn announce(&mut self, topic: &str, of: Address) -> Result<(Token, AnnouncerId), Refusal> {
        let token = self.token();
        let seat = (token, AnnouncerId(token.0.to_be_bytes()));
        let Rendezvous { topics, ledger, .. } = &mut self.all;
        topics.announce(name(topic), of, seat, self.now, ledger)?;
        Ok(seat)
    }

    /// Nothing is left of anything.
    fn assert_empty(&mut self) {
        self.pass(CLAIM_EVERY * (CLAIMS_AT_ONCE + 1));
        self.sweep();
        assert_eq!(self.all.slots.counts(), [0; 4]);
        assert_eq!(self.all.topics.counts(), [0; 3]);
        assert_eq!(self.all.meetings.counts(), [0; 2]);
        assert_eq!(self.all.ledger.waiting(), 0);
        assert_eq!(self.all.ledger.addresses(), 0);
    }
}

fn messages(fetched: Fetched) -> Vec<Bytes> {
    match fetched {
        Fetched::Messages(messages, _) => messages,
        Fetched::Nothing(_) => Vec::new(),
    }
}

#[test]
fn addresses_are_counted_as_networks() {
    let of = |text: &str| Address::new(text.parse().unwrap(), false);
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
    assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    for local in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
        "::ffff:127.0.0.9".parse().unwrap(),
    ] {
        assert_eq!(Address::new(local, true), Address::Exempt);
        assert_ne!(Address::new(local, false), Address::Exempt);
    }
    assert_ne!(
        Address::new("1.2.3.4".parse().unwrap(), true),
        Address::Exempt
    );
}

#[test]
fn claims_up_to_the_limit_and_past_it() {
    let mut world = World::new();
    let now = world.now;
    let ledger = &mut world.all.ledger;
    for _ in 0..CLAIMS_AT_ONCE {
        assert_eq!(ledger.claim(address(1), now), Ok(()));
    }
    assert_eq!(ledger.claim(address(1), now), Err(Refusal::TooOften));
    assert_eq!(ledger.claim(address(2), now), Ok(()));
    let later = now + CLAIM_EVERY;
    assert_eq!(ledger.claim(address(1), later), Ok(()));
    assert_eq!(ledger.claim(address(1), later), Err(Refusal::TooOften));
    for _ in 0..10 * CLAIMS_AT_ONCE {
        assert_eq!(ledger.claim(Address::Exempt, now), Ok(()));
    }
    world.assert_empty();
}

#[test]
fn polls_up_to_the_limit_and_past_it() {
    let mut world = World::new();
    let now = world.now;
    let poll = |world: &mut World, of| world.all.ledger.poll(of, now);
    let mut polls: Vec<_> = (0..MAX_POLLS_PER_ADDRESS)
        .map(|_| poll(&mut world, address(1)).unwrap().unwrap())
        .collect();
    assert!(matches!(
        poll(&mut world, address(1)),
        Err(Refusal::TooMany)
    ));
    assert!(poll(&mut world, address(2)).unwrap().is_some());
    assert!(poll(&mut world, Address::Exempt).unwrap().is_none());
    // An address that polls is not forgotten.
    world.all.ledger.sweep(now);
    assert!(matches!(
        poll(&mut world, address(1)),
        Err(Refusal::TooMany)
    ));
    polls.pop();
    assert!(poll(&mut world, address(1)).is_ok());
    drop(polls);
    world.assert_empty();
}
