//! From the client: bodies in, frames out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use flexstore_core::link::LinkError;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout_at};

use super::super::deframe::Deframer;
use super::super::{MAX_POST_BYTES, MAX_POSTS, Over, RESUME_TIME, ROOM_TIMEOUT};
use super::shared::Shared;
use super::{Entry, Refused};

impl Shared {
    /// Takes a body when it is its turn and there is room.
    pub(super) async fn take(&self, at: u64, seen: u64, body: Bytes) -> Result<(), Refused> {
        {
            let mut state = self.lock();
            state.heard = Instant::now();
            if seen > state.sent {
                return Err(Refused::OutOfPlace);
            }
            state.see(seen);
            if state.over.is_some() {
                return Err(Refused::Unknown);
            }
        }
        if body.is_empty() {
            return Ok(());
        }
        let furthest = *self.taken.borrow() + (MAX_POSTS * MAX_POST_BYTES) as u64;
        if at > furthest || body.len() > MAX_POST_BYTES {
            return Err(Refused::OutOfPlace);
        }
        let until = Instant::now() + ROOM_TIMEOUT;
        let mut over = self.over.subscribe();
        tokio::select! {
            _ = over.wait_for(|over| *over) => Err(Refused::Unknown),
            taken = timeout_at(until, self.take_in_turn(at, body)) => {
                taken.unwrap_or(Err(Refused::Busy))
            }
        }
    }

    async fn take_in_turn(&self, at: u64, mut body: Bytes) -> Result<(), Refused> {
        let mut taken = self.taken.subscribe();
        let turn = taken.wait_for(|taken| *taken >= at).await;
        turn.map_err(|_| Refused::Unknown)?;
        let pieces = self.pieces.lock().await;
        // Of a request that is sent again, only what is new.
        let known = self.taken.borrow().saturating_sub(at);
        if known >= body.len() as u64 {
            return Ok(());
        }
        body.advance(known as usize);
        let room = pieces.reserve().await.map_err(|_| Refused::Unknown)?;
        let length = body.len() as u64;
        room.send(body);
        self.taken.send_modify(|taken| *taken += length);
        Ok(())
    }
}

/// The frames of a client.
pub(super) struct Incoming {
    shared: Arc<Shared>,
    pieces: mpsc::Receiver<Bytes>,
    deframer: Deframer,
    clock: Interval,
    silence: Duration,
    told: bool,
    _entry: Entry,
}

impl Incoming {
    pub(super) fn new(
        shared: Arc<Shared>,
        pieces: mpsc::Receiver<Bytes>,
        heartbeat: Duration,
        entry: Entry,
    ) -> Self {
        let mut clock = tokio::time::interval(heartbeat / 8);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            shared,
            pieces,
            deframer: Deframer::default(),
            clock,
            silence: 2 * heartbeat,
            told: false,
            _entry: entry,
        }
    }

    /// The next frame, or why there is none.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Over>> {
        loop {
            if let Some(frame) = self.deframer.next().map_err(Over::Broken)? {
                return Poll::Ready(Ok(frame));
            }
            match self.pieces.poll_recv(cx) {
                Poll::Ready(Some(piece)) => {
                    self.deframer.feed(piece);
                    continue;
                }
                // The sender is in `shared`.
                Poll::Ready(None) => return Poll::Ready(Err(Over::Closed)),
                Poll::Pending => {}
            }
            let mut ticked = false;
            while self.clock.poll_tick(cx).is_ready() {
                ticked = true;
            }
            let mut state = self.shared.lock();
            if let Some(over) = &state.over {
                return Poll::Ready(Err(over.clone()));
            }
            let lost = state.heard.elapsed() > self.silence
                || state
                    .detached
                    .is_some_and(|since| since.elapsed() > RESUME_TIME);
            if ticked && lost {
                return Poll::Ready(Err(Over::Broken(LinkError::Gone)));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.told {
            return Poll::Ready(None);
        }
        this.next(cx).map(|next| match next {
            Ok(frame) => Some(Ok(frame)),
            Err(over) => {
                this.told = true;
                this.shared.end(over.clone());
                match over {
                    Over::Closed => None,
                    Over::Broken(error) => Some(Err(error)),
                }
            }
        })
    }
}

impl Drop for Incoming {
    /// A link that nobody reads is of no use to the other side.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.over.is_none() && state.closing {
            // What was written before closing is still on its way.
            return;
        }
        drop(std::mem::take(&mut state.reader));
        drop(state);
        self.shared.end(Over::Closed);
    }
}
