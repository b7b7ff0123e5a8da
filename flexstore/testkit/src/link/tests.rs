//! The suite passes what behaves, and not what does not.

use std::pin::Pin;
use std::task::{Context, Poll};

use flexstore_core::link::Protocol;
use futures_util::{FutureExt as _, Stream};

use super::*;

#[tokio::test]
async fn memory_behaves() {
    link_conformance(async || memory(Protocol::Native)).await;
}

/// Loses every tenth frame.
struct Leaky(
    Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>,
    u32,
);

impl Stream for Leaky {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = self.0.as_mut().poll_next(cx);
            if let Poll::Ready(Some(_)) = &next {
                self.1 += 1;
                if self.1.is_multiple_of(10) {
                    continue;
                }
            }
            return next;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_loses_a_frame_does_not_pass() {
    let (dialled, mut accepted) = memory(Protocol::Native);
    accepted.incoming = Box::pin(Leaky(accepted.incoming, 0));
    let run = std::panic::AssertUnwindSafe(carries_every_length((dialled, accepted)));
    assert!(run.catch_unwind().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_takes_everything_does_not_pass() {
    let (mut dialled, accepted) = memory(Protocol::Native);
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let sink = futures_util::sink::unfold(sender, async |sender, frame| {
        sender.send(frame).map_err(|_| LinkError::Gone)?;
        Ok(sender)
    });
    dialled.outgoing = Box::pin(sink);
    let run = std::panic::AssertUnwindSafe(makes_the_writer_wait(dialled, accepted));
    assert!(run.catch_unwind().await.is_err());
    drop(receiver);
}
