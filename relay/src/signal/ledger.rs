//! What each address has of the service, and what all have together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Claims that an address may make at once: of a seat, of an announcement, of a free name, and
/// each call of a JavaScript route.
pub const CLAIMS_AT_ONCE: u32 = 60;
/// After how long an address may make one claim more.
pub const CLAIM_EVERY: Duration = Duration::from_secs(1);
/// The most places, seats and announcements and JavaScript calls together, of one address.
pub const MAX_OPEN_PER_ADDRESS: u32 = 64;
/// The most requests of one address that wait for something to come.
pub const MAX_POLLS_PER_ADDRESS: usize = 64;
/// The most bytes from one address that nobody has fetched yet.
pub const MAX_WAITING_PER_ADDRESS: usize = 1 << 20;
/// The most bytes that nobody has fetched yet. What is for somebody who has not come may fill
/// half of it, so that there is room for those who have.
pub const MAX_WAITING: usize = 64 << 20;
/// What a message costs beside its bytes.
pub(super) const MESSAGE_COST: usize = 128;

/// The most addresses that are remembered; beyond, claims are refused.
const MAX_ADDRESSES: usize = 1 << 20;

/// Whom the limits are for: an IPv4 address, or the half of an IPv6 address that names a network,
/// since whoever has one address of it has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    V4(u32),
    V6(u64),
    /// Without limits of its own.
    Exempt,
}

impl Address {
    pub(crate) fn new(ip: IpAddr, exempt_loopback: bool) -> Self {
        match ip.to_canonical() {
            ip if exempt_loopback && ip.is_loopback() => Self::Exempt,
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            // The upper half.
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// Whether somebody is there for whom a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Present,
    Absent,
}

/// What may be done so often at once, and then once in a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    pub(super) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one out, if there is one.
    pub(super) fn take(
        &mut self,
        now: Instant,
        at_once: u32,
        every: Duration,
        empty: Refusal,
    ) -> Result<(), Refusal> {
        let full_at = self.full_at.max(now) + every;
        if full_at > now + every * at_once {
            return Err(empty);
        }
        self.full_at = full_at;
        Ok(())
    }
}

struct Account {
    claims: Bucket,
    open: u32,
    waiting: usize,
    polls: Option<Arc<Semaphore>>,
}

impl Account {
    /// Whether forgetting it changes nothing.
    fn is_idle(&self, now: Instant) -> bool {
        let polls = |polls: &Arc<Semaphore>| polls.available_permits() < MAX_POLLS_PER_ADDRESS;
        self.claims.full_at <= now
            && self.open == 0
            && self.waiting == 0
            && !self.polls.as_ref().is_some_and(polls)
    }
}

/// The accounts. One that is as new is forgotten, sooner or later.
#[derive(Default)]
pub(super) struct Ledger {
    accounts: HashMap<Address, Account>,
    waiting: usize,
}

impl Ledger {
    /// Takes a claim out of the bucket.
    pub(super) fn claim(&mut self, address: Address, now: Instant) -> Result<(), Refusal> {
        let Some(account) = self.account(address, now)? else {
            return Ok(());
        };
        account
            .claims
            .take(now, CLAIMS_AT_ONCE, CLAIM_EVERY, Refusal::TooOften)
    }

    /// Notes a place that is taken, until it is given [`back`](Self::back).
    pub(super) fn open(&mut self, address: Address, now: Instant) -> Result<(), Refusal> {
        match self.account(address, now)? {
            Some(account) if account.open >= MAX_OPEN_PER_ADDRESS => Err(Refusal::TooMany),
            Some(account) => {
                account.open += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn back(&mut self, address: Address) {
        if let Some(account) = self.accounts.get_mut(&address) {
            account.open = account.open.saturating_sub(1);
        }
    }

    /// Notes bytes that wait, until they are [fetched](Self::fetched).
    pub(super) fn wait(
        &mut self,
        payer: Address,
        bytes: usize,
        reader: Reader,
    ) -> Result<(), Refusal> {
        let cost = bytes + MESSAGE_COST;
        let most = match reader {
            Reader::Present => MAX_WAITING,
            Reader::Absent => MAX_WAITING / 2,
        };
        if self.waiting + cost > most {
            return Err(Refusal::Full);
        }
        // Whoever sends has a place, and so an account.
        if let Some(account) = self.accounts.get_mut(&payer) {
            if account.waiting + cost > MAX_WAITING_PER_ADDRESS {
                return Err(Refusal::Full);
            }
            account.waiting += cost;
        }
        self.waiting += cost;
        Ok(())
    }

    pub(super) fn fetched(&mut self, payer: Address, bytes: usize) {
        let cost = bytes + MESSAGE_COST;
        self.waiting = self.waiting.saturating_sub(cost);
        if let Some(account) = self.accounts.get_mut(&payer) {
            account.waiting = account.waiting.saturating_sub(cost);
        }
    }

    /// Leave to let one more request wait; `None` for who needs no leave.
    pub(super) fn poll(
        &mut self,
        address: Address,
        now: Instant,
    ) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let Some(account) = self.account(address, now)? else {
            return Ok(None);
        };
        let polls = account
            .polls
            .get_or_insert_with(|| Arc::new(Semaphore::new(MAX_POLLS_PER_ADDRESS)));
        let permit = Arc::clone(polls).try_acquire_owned();
        permit.map(Some).map_err(|_| Refusal::TooMany)
    }

    /// Forgets the accounts that are as new.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.accounts.retain(|_, account| !account.is_idle(now));
        if self.accounts.capacity() > 4 * self.accounts.len().max(64) {
            self.accounts.shrink_to_fit();
        }
    }

    fn account(&mut self, address: Address, now: Instant) -> Result<Option<&mut Account>, Refusal> {
        if address == Address::Exempt {
            return Ok(None);
        }
        if self.accounts.len() >= MAX_ADDRESSES && !self.accounts.contains_key(&address) {
            return Err(Refusal::Full);
        }
        Ok(Some(self.accounts.entry(address).or_insert(Account {
            claims: Bucket::full(now),
            open: 0,
            waiting: 0,
            polls: None,
        })))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    #[cfg(test)]
    pub(super) fn addresses(&self) -> usize {
        self.accounts.len()
    }
}
