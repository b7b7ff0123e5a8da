//! The halves that the app has.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flexstore_core::link::{LinkError, MAX_FRAME_BYTES};
use futures_util::{Sink, Stream};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::super::{FRAME_COST, LINGER, MAX_POST_BYTES, MAX_UNSEEN_BYTES, Over, deframe};
use super::shared::Shared;

/// When the server is told what was read, at the latest.
const UNSAID: usize = MAX_UNSEEN_BYTES / 4;

/// Frames with their numbers.
pub(super) type Batch = VecDeque<(u64, Bytes)>;

pub(super) struct Incoming {
    shared: Arc<Shared>,
    batches: mpsc::Receiver<Batch>,
    batch: Batch,
    told: bool,
}

impl Incoming {
    pub(super) const fn new(shared: Arc<Shared>, batches: mpsc::Receiver<Batch>) -> Self {
        Self {
            shared,
            batches,
            batch: Batch::new(),
            told: false,
        }
    }

    fn see(&self, number: u64, frame: &Bytes) {
        let mut up = self.shared.lock();
        up.seen = number;
        up.unsaid += frame.len() + FRAME_COST;
        if up.unsaid >= UNSAID {
            drop(up);
            self.shared.poke.notify_one();
        }
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some((number, frame)) = this.batch.pop_front() {
                this.see(number, &frame);
                return Poll::Ready(Some(Ok(frame)));
            }
            match this.batches.poll_recv(cx) {
                Poll::Ready(Some(batch)) => this.batch = batch,
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        let told = std::mem::replace(&mut this.told, true);
        Poll::Ready(match this.shared.why_over() {
            Some(Over::Broken(error)) if !told => Some(Err(error)),
            _ => None,
        })
    }
}

impl Drop for Incoming {
    /// A link that nobody reads is of no use to the other side; what was written still goes there.
    fn drop(&mut self) {
        self.batches.close();
        self.shared.lock().closed = true;
        self.shared.poke.notify_one();
    }
}

pub(super) struct Outgoing {
    shared: Arc<Shared>,
    /// Until when the server has time to take notice, once closing has begun.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            closing: None,
        }
    }

    fn check(&self) -> Result<(), LinkError> {
        match self.shared.why_over() {
            Some(over) => Err(over.error()),
            None => Ok(()),
        }
    }
}

impl Sink<Bytes> for Outgoing {
    type Error = LinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut up = self.shared.lock();
        self.check()?;
        if up.refused || up.closed {
            return Poll::Ready(Err(LinkError::Gone));
        }
        if up.buffer.len() < MAX_POST_BYTES {
            return Poll::Ready(Ok(()));
        }
        up.writer = Some(cx.waker().clone());
        self.shared.poke.notify_one();
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(LinkError::TooLong);
        }
        self.check()?;
        deframe::frame(&mut self.shared.lock().buffer, &frame);
        Ok(())
    }

    /// What waits is bounded, so it need not be waited for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.check()?;
        self.shared.poke.notify_one();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let this = self.get_mut();
        let late = this
            .closing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)))
            .as_mut()
            .poll(cx)
            .is_ready();
        let mut up = this.shared.lock();
        up.closed = true;
        up.writer = Some(cx.waker().clone());
        drop(up);
        this.shared.poke.notify_one();
        if late || this.shared.why_over().is_some() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl Drop for Outgoing {
    /// Says goodbye when what was written is delivered.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.poke.notify_one();
    }
}
