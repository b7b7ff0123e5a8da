//! The task that owns the state, and what can be asked of it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::wire::signal::{AnnouncerId, Name, addressed};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::sleep_until;

use super::inbox::Fetched;
use super::javascript::Arriving;
use super::ledger::Address;
use super::{Refusal, Rendezvous, Token, draw};

/// How often accounts of addresses that are gone are forgotten.
const SWEEP: Duration = Duration::from_secs(30);
/// Questions that wait for the owner; who has more to ask waits.
const MAX_ASKED: usize = 1024;

type Question = Box<dyn FnOnce(&mut Rendezvous, Instant) + Send>;

/// Where a seat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Slot,
    Topic,
}

/// The service, for all who ask of it.
#[derive(Clone)]
pub(crate) struct Signal {
    owner: mpsc::Sender<Question>,
    exempt_loopback: bool,
}

impl Signal {
    /// Starts the owner. It ends when nobody is left to ask.
    pub(crate) fn start(exempt_loopback: bool) -> Self {
        let (owner, questions) = mpsc::channel(MAX_ASKED);
        tokio::spawn(own(questions));
        Self {
            owner,
            exempt_loopback,
        }
    }

    pub(super) fn address(&self, client: IpAddr) -> Address {
        Address::new(client, self.exempt_loopback)
    }

    pub(super) async fn free(&self, address: Address) -> Result<Name, Refusal> {
        self.ask(move |all, now| {
            let random = || u32::from_ne_bytes(draw());
            all.slots.free(address, now, random, &mut all.ledger)
        })
        .await
    }

    pub(super) async fn claim(
        &self,
        place: Place,
        name: Name,
        address: Address,
    ) -> Result<Token, Refusal> {
        let token = Token::draw();
        self.ask(move |all, now| match place {
            Place::Slot => all.slots.claim(name, address, token, now, &mut all.ledger),
            Place::Topic => {
                let seat = (token, AnnouncerId(draw()));
                all.topics
                    .announce(name, address, seat, now, &mut all.ledger)
            }
        })
        .await?;
        Ok(token)
    }

    pub(super) async fn send(
        &self,
        place: Place,
        token: Token,
        frame: Bytes,
        number: Option<u64>,
    ) -> Result<(), Refusal> {
        self.ask(move |all, now| match place {
            Place::Slot => {
                let ledger = &mut all.ledger;
                all.slots.send(token, frame, number, now, ledger)
            }
            Place::Topic => {
                let (to, message) = addressed(&frame).map_err(|_| Refusal::Nobody)?;
                let ledger = &mut all.ledger;
                all.topics.send(token, to, message, number, now, ledger)
            }
        })
        .await
    }

    pub(super) async fn fetch(
        &self,
        place: Place,
        token: Token,
        cursor: u64,
    ) -> Result<Fetched, Refusal> {
        self.ask(move |all, now| match place {
            Place::Slot => all.slots.fetch(token, cursor, now, &mut all.ledger),
            Place::Topic => all.topics.fetch(token, cursor, now, &mut all.ledger),
        })
        .await
    }

    /// Does not wait, so that a seat can be left wherever it is let go of.
    pub(super) fn leave(&self, place: Place, token: Token) {
        let question: Question = Box::new(move |all, _| match place {
            Place::Slot => all.slots.leave(token, &mut all.ledger),
            Place::Topic => all.topics.leave(token, &mut all.ledger),
        });
        if let Err(TrySendError::Full(question)) = self.owner.try_send(question)
            && let Ok(runtime) = Handle::try_current()
        {
            let owner = self.owner.clone();
            runtime.spawn(async move { owner.send(question).await });
        }
    }

    /// Leave to wait for something to come.
    pub(super) async fn poll(
        &self,
        address: Address,
    ) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        self.ask(move |all, now| all.ledger.poll(address, now))
            .await
    }

    pub(super) async fn offer(
        &self,
        name: Name,
        address: Address,
        offer: Bytes,
    ) -> Result<Arriving, Refusal> {
        self.ask(move |all, now| {
            let ledger = &mut all.ledger;
            all.meetings.offer(name, address, offer, now, ledger)
        })
        .await
    }

    pub(super) async fn seek(&self, name: Name, address: Address) -> Result<Arriving, Refusal> {
        self.ask(move |all, now| all.meetings.seek(name, address, now, &mut all.ledger))
            .await
    }

    pub(super) async fn answer(
        &self,
        name: Name,
        address: Address,
        answer: Bytes,
    ) -> Result<(), Refusal> {
        self.ask(move |all, now| {
            let ledger = &mut all.ledger;
            all.meetings.answer(&name, address, answer, now, ledger)
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Rendezvous, Instant) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |all, now| {
            // Who asked may not wait any more.
            let _ = reply.send(question(all, now));
        });
        let sent = self.owner.send(question).await;
        sent.map_err(|_| Refusal::Stopping)?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }
}

async fn own(mut questions: mpsc::Receiver<Question>) {
    let mut all = Rendezvous::default();
    let mut sweep = Instant::now() + SWEEP;
    loop {
        let due = all.next_timeout().map_or(sweep, |due| due.min(sweep));
        tokio::select! {
            biased;
            () = sleep_until(due.into()) => {}
            next = questions.recv() => match next {
                Some(question) => question(&mut all, Instant::now()),
                None => return,
            },
        }
        let now = Instant::now();
        all.tick(now);
        if sweep <= now {
            all.ledger.sweep(now);
            sweep = now + SWEEP;
        }
    }
}
