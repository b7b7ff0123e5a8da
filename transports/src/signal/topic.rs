//! A topic, and the links that come of it.

use std::collections::HashMap;

use bytes::Bytes;
use flexstore_core::link::{DialError, Link, LinkError, Protocol, Side};
use flexstore_core::wire::signal::{AnnouncerId, Event, MAX_MESSAGE_BYTES, to_announcer};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::one_by_one::{OneByOne, Outlet, Sending};

/// Frames to and from the others that wait.
const MAX_WAITING: usize = 64;
/// Arrivals that wait; of more than that an app hears nothing.
const MAX_ARRIVALS: usize = 256;

/// One's place among those who announce under the same name.
pub struct Topic {
    id: AnnouncerId,
    arrivals: mpsc::Receiver<Arrival>,
    /// Keeps the place.
    _outgoing: mpsc::Sender<ToOne>,
}

/// Another who announces under the same name.
pub struct Arrival {
    /// What the relay calls it.
    pub id: AnnouncerId,
    /// To it alone. The side is [`Dialled`](Side::Dialled) at the one of the two with the greater
    /// id. It ends when the other leaves; a frame that the other sends after it was dropped makes
    /// the other arrive again.
    pub link: Link,
}

type ToOne = (AnnouncerId, Bytes);

impl Topic {
    /// On a link to the topic's seat.
    pub(super) async fn new(mut link: Link) -> Result<Self, DialError> {
        let gone = || DialError::Unreachable("the seat is gone".into());
        let first = link.incoming.next().await.ok_or_else(gone)?;
        let Ok(Event::You(id)) = Event::decode(&first.map_err(|_| gone())?) else {
            return Err(DialError::Refused(
                "the relay does not say who we are".into(),
            ));
        };
        let (arrived, arrivals) = mpsc::channel(MAX_ARRIVALS);
        let (outgoing, to_send) = mpsc::channel(MAX_WAITING);
        let others = Others {
            id,
            relay: link.name.clone(),
            arrived,
            outgoing: outgoing.downgrade(),
            present: HashMap::new(),
        };
        tokio::spawn(drive(link, others, to_send));
        Ok(Self {
            id,
            arrivals,
            _outgoing: outgoing,
        })
    }

    /// What the relay calls this one.
    #[must_use]
    pub const fn id(&self) -> AnnouncerId {
        self.id
    }

    /// The next of the others: first those who were there before. `None` when the relay is gone.
    pub async fn next(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }
}

/// Until nobody sends any more, or the relay is gone.
async fn drive(link: Link, mut others: Others, mut to_send: mpsc::Receiver<ToOne>) {
    let Link {
        mut incoming,
        mut outgoing,
        ..
    } = link;
    let write = async {
        while let Some((to, message)) = to_send.recv().await {
            if outgoing.send(to_announcer(to, &message)).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        while let Some(Ok(frame)) = incoming.next().await {
            let Ok(event) = Event::decode(&frame) else {
                return;
            };
            others.hear(event);
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    drop(others);
    let _ = outgoing.close().await;
}

struct Others {
    id: AnnouncerId,
    relay: Box<str>,
    arrived: mpsc::Sender<Arrival>,
    outgoing: mpsc::WeakSender<ToOne>,
    present: HashMap<AnnouncerId, mpsc::Sender<Bytes>>,
}

impl Others {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Came(id) => self.arrive(id),
            Event::Left(id) => {
                self.present.remove(&id);
            }
            Event::Message { from, message } => {
                let gone = |inbox: &mpsc::Sender<Bytes>| inbox.is_closed();
                if self.present.get(&from).is_none_or(gone) {
                    self.arrive(from);
                }
                let taken = self.present.get(&from).map(|inbox| inbox.try_send(message));
                if taken.is_some_and(|taken| taken.is_err()) {
                    // A frame that is lost would be missed in the middle: rather no link at all.
                    self.present.remove(&from);
                }
            }
            _ => {}
        }
    }

    fn arrive(&mut self, id: AnnouncerId) {
        let Some(outgoing) = self.outgoing.upgrade() else {
            return;
        };
        let (inbox, frames) = mpsc::channel(MAX_WAITING);
        let link = Link {
            incoming: Box::pin(futures_util::stream::unfold(frames, next)),
            outgoing: Box::pin(OneByOne::new(One { outgoing, id })),
            name: format!("{id} at {}", self.relay).into(),
            side: if self.id > id {
                Side::Dialled
            } else {
                Side::Accepted
            },
            protocol: Protocol::Native,
        };
        if self.arrived.try_send(Arrival { id, link }).is_ok() {
            self.present.insert(id, inbox);
        }
    }
}

async fn next(
    mut frames: mpsc::Receiver<Bytes>,
) -> Option<(Result<Bytes, LinkError>, mpsc::Receiver<Bytes>)> {
    let frame = frames.recv().await?;
    Some((Ok(frame), frames))
}

/// The way to one of the others.
struct One {
    outgoing: mpsc::Sender<ToOne>,
    id: AnnouncerId,
}

impl Outlet for One {
    fn send(&mut self, frame: Bytes) -> Result<Sending, LinkError> {
        if frame.len() > MAX_MESSAGE_BYTES {
            return Err(LinkError::TooLong);
        }
        let (outgoing, to) = (self.outgoing.clone(), self.id);
        Ok(Box::pin(async move {
            let sent = outgoing.send((to, frame)).await;
            sent.map_err(|_| LinkError::Gone)
        }))
    }
}
