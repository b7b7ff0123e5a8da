//! One link: reads frames, checks the records in them, and hands them to their collections.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use flexstore_core::CollectionId;
use flexstore_core::link::{Link, LinkError, Side};
use flexstore_core::sync::SessionId;
use flexstore_core::wire::{Checked, CloseReason, MAX_CHANNELS, Message};
use futures_util::{Stream, StreamExt as _};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use tokio::sync::{Semaphore, mpsc, watch};

use super::Hub;
use super::collection::Event;
use super::dialled::Dialled;
use super::outbox::{self, Ending, Outbox};

/// Records that are verified in one go, before other tasks get their turn.
const SLICE: usize = 256;

pub(super) type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>;

/// A channel's place at its collection.
pub(super) struct Seat {
    pub(super) id: CollectionId,
    pub(super) session: SessionId,
    pub(super) inbox: mpsc::Sender<Event>,
    /// Held by the collection while the session is.
    pub(super) held: Weak<()>,
}

impl Seat {
    pub(super) fn is_held(&self) -> bool {
        self.held.strong_count() > 0
    }
}

/// Seats by channel.
pub(super) type Seats = HashMap<u32, Seat>;

enum Next {
    Frame(Result<Bytes, LinkError>),
    /// A collection, and the channel to open for it.
    Open(CollectionId, u32),
}

struct Reader {
    hub: Hub,
    outbox: Outbox,
    /// Keyed by the peer's numbers; the map's hash is keyed, so the peer cannot aim for collisions.
    seats: Seats,
    /// One request at a time is answered: only then is it known how much waits for the peer, and
    /// whether it may ask for more.
    turn: Arc<Semaphore>,
}

/// Serves a link until either side ends it or `stopping` is true.
pub(super) async fn serve(link: Link, hub: Hub, mut stopping: watch::Receiver<bool>) {
    let Link {
        mut incoming,
        outgoing,
        name,
        side,
        ..
    } = link;
    let (outbox, write) = outbox::open(outgoing, hub.stall);
    let writer = tokio::spawn(write);
    let mut reader = Reader {
        hub,
        outbox: outbox.clone(),
        seats: HashMap::new(),
        turn: Arc::new(Semaphore::new(1)),
    };
    let dialled = (side == Side::Dialled).then(|| Dialled::new(&reader.hub));
    let ending = reader.run(&mut incoming, dialled, &mut stopping).await;
    if let Some(Ending { channel, reason }) = ending {
        outbox.end(channel, reason);
    }
    for (_, seat) in reader.seats.drain() {
        let _ = seat.inbox.send(Event::Leave(seat.session)).await;
    }
    drop((reader, outbox));
    match writer.await {
        Ok(Some(Ending { reason, .. })) if reason != CloseReason::Done => {
            tracing::info!(peer = %name, %reason, "closed a link");
        }
        _ => tracing::debug!(peer = %name, "a link is over"),
    }
}

impl Reader {
    /// Why to end the link; `None` if that is known or the other side did.
    ///
    /// Only waiting is cut short, never the handling of a frame: what a collection was told of a
    /// session must be what stands in `seats`.
    async fn run(
        &mut self,
        incoming: &mut Incoming,
        mut dialled: Option<Dialled>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Option<Ending> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.outbox.ended() => return None,
                _ = stopping.wait_for(|stopping| *stopping) => {
                    return Some(Ending { channel: 0, reason: CloseReason::Done });
                }
                next = async {
                    drop(self.turn.acquire().await);
                    self.outbox.eased().await;
                    incoming.next().await
                } => Next::Frame(next?),
                (id, channel) = wanted(&mut dialled, &self.seats) => Next::Open(id, channel),
            };
            let frame = match next {
                Next::Frame(Ok(frame)) => frame,
                Next::Frame(Err(error)) => return self.broken(&error),
                Next::Open(id, channel) => {
                    self.make_room();
                    // A collection that cannot be had is asked for again at the next review.
                    let _ = Box::pin(self.join(id, channel, true)).await;
                    continue;
                }
            };
            let (channel, message) = match Message::decode(&frame) {
                Ok(decoded) => decoded,
                Err(_) => {
                    return Some(Ending {
                        channel: 0,
                        reason: CloseReason::Protocol,
                    });
                }
            };
            if dialled.is_some() && matches!(message, Message::Open { .. }) {
                let reason = CloseReason::Protocol;
                return Some(Ending { channel, reason });
            }
            // In a box: a link at rest, of which there are many, shall not hold the room for it.
            if let Err(reason) = Box::pin(self.take(channel, message)).await {
                return Some(Ending { channel, reason });
            }
        }
    }

    fn broken(&self, error: &LinkError) -> Option<Ending> {
        let reason = match error {
            LinkError::TooLong => CloseReason::Limit,
            LinkError::Protocol => CloseReason::Protocol,
            _ => return None,
        };
        Some(Ending { channel: 0, reason })
    }

    async fn take(&mut self, channel: u32, message: Message) -> Result<(), CloseReason> {
        match message {
            Message::Open { ref collection, .. } if !self.seats.contains_key(&channel) => {
                self.make_room();
                if self.seats.len() >= MAX_CHANNELS as usize {
                    return Err(CloseReason::Limit);
                }
                self.join(collection.clone(), channel, false).await?;
                self.hand(channel, Checked::Plain(message)).await
            }
            Message::Close(_) => match self.seats.remove(&channel) {
                Some(seat) => give(&seat, Event::Leave(seat.session)).await,
                None => Err(CloseReason::Protocol),
            },
            Message::Records(texts) if texts.len() > SLICE => {
                let mut rest = texts;
                while !rest.is_empty() {
                    let tail = rest.split_off(SLICE.min(rest.len()));
                    let slice = std::mem::replace(&mut rest, tail);
                    self.check(channel, Message::Records(slice)).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            message => self.check(channel, message).await,
        }
    }

    /// Forgets the channels that a collection has closed, once there is no room for more: until
    /// then what was under way on them may still come.
    fn make_room(&mut self) {
        if self.seats.len() >= MAX_CHANNELS as usize {
            self.seats.retain(|_, seat| seat.is_held());
        }
    }

    async fn join(
        &mut self,
        id: CollectionId,
        channel: u32,
        opens: bool,
    ) -> Result<(), CloseReason> {
        let (session, inbox) = self.hub.join(id.clone()).await?;
        let held = Arc::new(());
        let seat = Seat {
            id,
            session,
            inbox,
            held: Arc::downgrade(&held),
        };
        let join = Event::Join {
            session,
            opens,
            channel,
            outbox: self.outbox.clone(),
            held,
        };
        give(&seat, join).await?;
        self.seats.insert(channel, seat);
        Ok(())
    }

    async fn check(&self, channel: u32, message: Message) -> Result<(), CloseReason> {
        let seat = self.seats.get(&channel).ok_or(CloseReason::Protocol)?;
        // Weights of a batch must not be known to who signed: the system's own random numbers.
        let checked = message
            .check(&seat.id, &mut UnwrapErr(SysRng))
            .map_err(|violation| violation.reason())?;
        self.hand(channel, checked).await
    }

    async fn hand(&self, channel: u32, message: Checked) -> Result<(), CloseReason> {
        let seat = self.seats.get(&channel).ok_or(CloseReason::Protocol)?;
        let session = seat.session;
        let asks = !matches!(
            message,
            Checked::Records(_) | Checked::Plain(Message::Acknowledge(_))
        );
        // Free: nothing was read since the last request was answered.
        let turn = asks.then(|| Arc::clone(&self.turn).try_acquire_owned().ok());
        let message = Event::Message {
            session,
            message,
            turn: turn.flatten(),
        };
        give(seat, message).await
    }
}

/// Waits while the collection is busy: that is the back-pressure on the peer. For one that has
/// closed the channel nothing matters any more.
async fn give(seat: &Seat, event: Event) -> Result<(), CloseReason> {
    match seat.inbox.send(event).await {
        Err(_) if seat.is_held() => Err(CloseReason::Internal),
        _ => Ok(()),
    }
}

/// The next collection to open, and on which channel; never, on a link that was accepted.
async fn wanted(dialled: &mut Option<Dialled>, seats: &Seats) -> (CollectionId, u32) {
    match dialled {
        Some(dialled) => {
            let id = dialled.next(seats).await;
            let channel = dialled.channel(&id);
            (id, channel)
        }
        None => std::future::pending().await,
    }
}
