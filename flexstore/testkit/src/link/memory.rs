//! A link between two tasks.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError, MAX_FRAME_BYTES, Protocol, Side};
use futures_util::{Sink, Stream};

/// Frames that wait for the reader.
const MAX_FRAMES: usize = 64;

/// Two connected ends: who dialled, who accepted.
#[must_use]
pub fn memory(protocol: Protocol) -> (Link, Link) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let end = |side, reads: usize| Link {
        incoming: Box::pin(Half {
            shared: Arc::clone(&shared),
            way: reads,
        }),
        outgoing: Box::pin(Half {
            shared: Arc::clone(&shared),
            way: 1 - reads,
        }),
        name: "memory".into(),
        side,
        protocol,
    };
    (end(Side::Dialled, 0), end(Side::Accepted, 1))
}

#[derive(Default)]
struct Shared {
    closed: bool,
    ways: [Way; 2],
}

/// One direction.
#[derive(Default)]
struct Way {
    frames: VecDeque<Bytes>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Half {
    shared: Arc<Mutex<Shared>>,
    way: usize,
}

impl Half {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut shared = self.lock();
        shared.closed = true;
        for way in &mut shared.ways {
            let wakers = [way.reader.take(), way.writer.take()];
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

impl Stream for Half {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.lock();
        let closed = shared.closed;
        let way = &mut shared.ways[self.way];
        if let Some(frame) = way.frames.pop_front() {
            way.writer.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(frame)));
        }
        if closed {
            return Poll::Ready(None);
        }
        way.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sink<Bytes> for Half {
    type Error = LinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut shared = self.lock();
        if shared.closed {
            return Poll::Ready(Err(LinkError::Gone));
        }
        let way = &mut shared.ways[self.way];
        if way.frames.len() < MAX_FRAMES {
            return Poll::Ready(Ok(()));
        }
        way.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(LinkError::TooLong);
        }
        let mut shared = self.lock();
        let way = &mut shared.ways[self.way];
        way.frames.push_back(frame);
        way.reader.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(if self.lock().closed {
            Err(LinkError::Gone)
        } else {
            Ok(())
        })
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.close();
    }
}
