//! A seat over a WebSocket: one binary message is one message of a slot, or one frame of a topic.

use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::inbox::Fetched;
use super::owner::{Place, Signal};
use super::{Refusal, SILENCE, Token};

/// How long a message is held back that there is no room for now.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A seat that is left when it is let go of.
pub(super) struct Seat {
    pub(super) signal: Signal,
    pub(super) place: Place,
    pub(super) token: Token,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.signal.leave(self.place, self.token);
    }
}

impl Seat {
    /// Forwards until either side ends it, the seat is gone, or `stopping` is true.
    pub(super) async fn serve(
        self,
        link: Link,
        stall: Duration,
        mut stopping: watch::Receiver<bool>,
    ) {
        let Link {
            mut incoming,
            mut outgoing,
            ..
        } = link;
        tokio::select! {
            () = self.take(&mut incoming) => {}
            () = self.give(&mut outgoing, stall) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        let _ = timeout(FAREWELL, outgoing.close()).await;
    }

    async fn take(
        &self,
        incoming: &mut (impl futures_util::Stream<Item = Result<Bytes, LinkError>> + Unpin),
    ) {
        while let Some(Ok(frame)) = incoming.next().await {
            loop {
                match self
                    .signal
                    .send(self.place, self.token, frame.clone(), None)
                    .await
                {
                    // Nothing more is taken meanwhile, so whoever sends waits too.
                    Err(Refusal::Full | Refusal::TooOften) => sleep(PAUSE).await,
                    // Whom a message on a topic is for may just have left.
                    Ok(()) | Err(Refusal::Nobody) => break,
                    Err(refusal) => {
                        tracing::debug!(%refusal, "a seat is closed");
                        return;
                    }
                }
            }
        }
    }

    async fn give(
        &self,
        outgoing: &mut (impl futures_util::Sink<Bytes, Error = LinkError> + Unpin),
        stall: Duration,
    ) {
        let mut cursor = 0;
        while let Ok(fetched) = self.signal.fetch(self.place, self.token, cursor).await {
            match fetched {
                Fetched::Nothing(bell) => {
                    // Looking again now and then says that somebody is there.
                    let _ = timeout(SILENCE / 3, bell.notified()).await;
                }
                Fetched::Messages(messages, next) => {
                    let mut messages = futures_util::stream::iter(messages.into_iter().map(Ok));
                    match timeout(stall, outgoing.send_all(&mut messages)).await {
                        Ok(Ok(())) => cursor = next,
                        _ => return,
                    }
                }
            }
        }
    }
}
