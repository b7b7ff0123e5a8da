//! To the client: frames in, events out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{LinkError, MAX_FRAME_BYTES};
use futures_util::{Sink, Stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};

use super::super::{FRAME_COST, LINGER, MAX_UNSEEN_BYTES, Over, events};
use super::Refused;
use super::shared::{Shared, wake};

/// Events are handed over together up to here.
const BATCH: usize = 64 << 10;

pub(super) struct Outgoing {
    shared: Arc<Shared>,
    /// Until when the client has time to take notice, once closing has begun.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            closing: None,
        }
    }
}

impl Sink<Bytes> for Outgoing {
    type Error = LinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut state = self.shared.lock();
        if let Some(over) = &state.over {
            return Poll::Ready(Err(over.error()));
        }
        if state.unseen_bytes < MAX_UNSEEN_BYTES {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        wake(&mut state.events);
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(LinkError::TooLong);
        }
        let mut state = self.shared.lock();
        if let Some(over) = &state.over {
            return Err(over.error());
        }
        state.unseen_bytes += frame.len() + FRAME_COST;
        state.unseen.push_back(frame);
        Ok(())
    }

    /// What waits is bounded, so it need not be waited for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut state = self.shared.lock();
        if let Some(over) = &state.over {
            return Poll::Ready(Err(over.error()));
        }
        wake(&mut state.events);
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
        let mut state = this.shared.lock();
        state.closing = true;
        wake(&mut state.events);
        if state.over.is_some() {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        drop(state);
        if late {
            this.shared.end(Over::Closed);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl Drop for Outgoing {
    /// Says goodbye; what was written before is still on its way if there is a stream for it.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        wake(&mut state.events);
        if state.detached.is_some() {
            drop(state);
            self.shared.end(Over::Closed);
        }
    }
}

/// The body of a stream of events.
pub struct Events {
    shared: Arc<Shared>,
    /// Which one it is; a later one takes its place.
    number: u64,
    /// Whether anything was said yet: proxies pass an answer on with its first byte.
    greeted: bool,
    /// Whether the end was said.
    ended: bool,
    clock: Interval,
}

impl Events {
    pub(super) fn attach(
        shared: Arc<Shared>,
        last: u64,
        heartbeat: Duration,
    ) -> Result<Self, Refused> {
        let mut state = shared.lock();
        if state.over.is_some() {
            return Err(Refused::Unknown);
        }
        if last > state.sent || last + 1 < state.first {
            return Err(Refused::OutOfPlace);
        }
        state.see(last);
        state.sent = last;
        state.stream += 1;
        state.detached = None;
        state.heard = Instant::now();
        wake(&mut state.events);
        let number = state.stream;
        drop(state);
        let mut clock = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            shared,
            number,
            greeted: false,
            ended: false,
            clock,
        })
    }
}

impl Stream for Events {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.greeted, true) {
            return Poll::Ready(Some(Bytes::from_static(events::COMMENT)));
        }
        let mut state = this.shared.lock();
        if this.ended || state.stream != this.number {
            return Poll::Ready(None);
        }
        let mut batch = Vec::new();
        while state.sent < state.last() && batch.len() < BATCH && state.over.is_none() {
            state.sent += 1;
            let at = (state.sent - state.first) as usize;
            if let Some(frame) = state.unseen.get(at) {
                events::write(&mut batch, state.sent, frame);
            }
        }
        if !batch.is_empty() {
            this.clock.reset();
            return Poll::Ready(Some(batch.into()));
        }
        if state.closing || state.over.is_some() {
            this.ended = true;
            drop(state);
            this.shared.end(Over::Closed);
            return Poll::Ready(Some(Bytes::from_static(events::END)));
        }
        state.events = Some(cx.waker().clone());
        drop(state);
        if this.clock.poll_tick(cx).is_ready() {
            return Poll::Ready(Some(Bytes::from_static(events::COMMENT)));
        }
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.stream != self.number {
            return;
        }
        state.detached = Some(Instant::now());
        let closes = state.closing;
        wake(&mut state.reader);
        drop(state);
        if closes {
            self.shared.end(Over::Closed);
        }
    }
}
