//! The two halves of a link, and the bounded queues between them and the task that has the
//! connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError, MAX_FRAME_BYTES, Protocol, Side};
use futures_util::{Sink, Stream};
use tokio::sync::Notify;

/// What may wait to be read by us before the other side has to wait, in bytes, and one frame more.
const INBOX_BYTES: usize = 256 << 10;
/// What a waiting frame costs beside its bytes.
const FRAME_COST: usize = 64;

/// Makes messages out of frames.
pub(super) trait Outbox: Default + Send + 'static {
    /// What the task sends.
    type Message: Send;
    /// What may wait, in bytes, and one frame more.
    const BYTES: usize;
    /// Takes a frame.
    fn push(&mut self, frame: Bytes) -> Result<(), LinkError>;
    /// Gives a message.
    fn take(&mut self) -> Option<Self::Message>;
    /// How much waits.
    fn bytes(&self) -> usize;
}

/// What was asked of the sending half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// It was dropped: what waits is sent, and then goodbye.
    Dropped,
    /// It was closed, and somebody waits for that.
    Closed,
}

struct State<O> {
    outbox: O,
    sending: Sending,
    /// Nobody can read any more.
    unread: bool,
    inbox: VecDeque<Bytes>,
    inbox_bytes: usize,
    /// The link is over: with an error, or well.
    over: Option<Result<(), LinkError>>,
    /// The task is done with the connection.
    finished: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<O> State<O> {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

struct Shared<O> {
    state: Mutex<State<O>>,
    /// Something for the task that writes.
    work: Notify,
    /// Something for the task that reads.
    room: Notify,
    /// Nobody waits for more.
    deaf: Notify,
}

/// What the task has of a link.
pub(super) struct Pipe<O: Outbox>(Arc<Shared<O>>);

/// The two halves, and the task's end of them.
pub(super) fn pipe<O: Outbox>(name: Box<str>, side: Side, protocol: Protocol) -> (Pipe<O>, Link) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            outbox: O::default(),
            sending: Sending::Open,
            unread: false,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            over: None,
            finished: false,
            reader: None,
            writer: None,
        }),
        work: Notify::new(),
        room: Notify::new(),
        deaf: Notify::new(),
    });
    let link = Link {
        incoming: Box::pin(Incoming {
            shared: Arc::clone(&shared),
            told: false,
        }),
        outgoing: Box::pin(Outgoing(Arc::clone(&shared))),
        name,
        side,
        protocol,
    };
    (Pipe(shared), link)
}

impl<O> Shared<O> {
    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Outbox> Pipe<O> {
    /// The next message to send; `None` when the sending half is done with.
    pub(super) async fn next(&self) -> Option<O::Message> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(message) = state.outbox.take() {
                    if let Some(writer) = state.writer.take() {
                        writer.wake();
                    }
                    return Some(message);
                }
                if state.sending != Sending::Open || state.unread {
                    return None;
                }
            }
            self.0.work.notified().await;
        }
    }

    /// Hands over what came, whether or not there is room.
    pub(super) fn deliver(&self, frame: Bytes) {
        let mut state = self.0.lock();
        if state.unread || state.sending == Sending::Closed {
            return;
        }
        state.inbox_bytes += frame.len() + FRAME_COST;
        state.inbox.push_back(frame);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Waits until there is room in the inbox.
    pub(super) async fn room(&self) {
        while self.0.lock().inbox_bytes >= INBOX_BYTES {
            self.0.room.notified().await;
        }
    }

    /// Resolves when nobody waits for what the other side still sends.
    pub(super) async fn deaf(&self) {
        loop {
            {
                let state = self.0.lock();
                if state.unread || state.sending == Sending::Closed {
                    return;
                }
            }
            self.0.deaf.notified().await;
        }
    }

    /// Resolves when nobody has a half of the link any more, or it was closed.
    pub(super) async fn unwanted(&self) {
        self.deaf().await;
        while self.0.lock().sending == Sending::Open {
            self.0.work.notified().await;
        }
    }

    /// The link is over, for both halves; what came before can still be read.
    pub(super) fn end(&self, how: Result<(), LinkError>) {
        let mut state = self.0.lock();
        state.over.get_or_insert(how);
        state.wake();
    }
}

impl<O: Outbox> Drop for Pipe<O> {
    /// The task is gone, and the connection with it.
    fn drop(&mut self) {
        self.end(Err(LinkError::Gone));
        let mut state = self.0.lock();
        state.finished = true;
        state.wake();
    }
}

struct Incoming<O> {
    shared: Arc<Shared<O>>,
    /// Whether the end was told.
    told: bool,
}

impl<O> Stream for Incoming<O> {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.told {
            return Poll::Ready(None);
        }
        let mut state = this.shared.lock();
        if let Some(frame) = state.inbox.pop_front() {
            state.inbox_bytes -= frame.len() + FRAME_COST;
            if state.inbox_bytes < INBOX_BYTES {
                this.shared.room.notify_one();
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        match &state.over {
            Some(how) => {
                this.told = true;
                Poll::Ready(how.clone().err().map(Err))
            }
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<O> Drop for Incoming<O> {
    /// A link that nobody reads is of no use to the other side.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.unread = true;
        state.inbox.clear();
        state.inbox_bytes = 0;
        drop(state);
        self.shared.room.notify_one();
        self.shared.deaf.notify_one();
        self.shared.work.notify_one();
    }
}

struct Outgoing<O>(Arc<Shared<O>>);

impl<O: Outbox> Outgoing<O> {
    fn open(state: &State<O>) -> Result<(), LinkError> {
        match &state.over {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(())) => Err(LinkError::Gone),
            None if state.unread || state.sending != Sending::Open => Err(LinkError::Gone),
            None => Ok(()),
        }
    }
}

impl<O: Outbox> Sink<Bytes> for Outgoing<O> {
    type Error = LinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut state = self.0.lock();
        Self::open(&state)?;
        if state.outbox.bytes() < O::BYTES {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(LinkError::TooLong);
        }
        let mut state = self.0.lock();
        Self::open(&state)?;
        state.outbox.push(frame)?;
        drop(state);
        self.0.work.notify_one();
        Ok(())
    }

    /// What waits is sent without more ado, so that frames sent one by one can share a message.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut state = self.0.lock();
        if state.finished {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        state.sending = Sending::Closed;
        state.inbox.clear();
        state.inbox_bytes = 0;
        drop(state);
        self.0.room.notify_one();
        self.0.deaf.notify_one();
        self.0.work.notify_one();
        Poll::Pending
    }
}

impl<O> Drop for Outgoing<O> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.sending == Sending::Open {
            state.sending = Sending::Dropped;
        }
        drop(state);
        self.0.work.notify_one();
    }
}
