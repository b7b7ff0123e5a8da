//! A sink whose frames are sent one after the other, each by a future of its own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flexstore_core::link::LinkError;
use futures_util::Sink;

pub(super) type Sending = Pin<Box<dyn Future<Output = Result<(), LinkError>> + Send>>;

/// What sends the frames.
pub(super) trait Outlet: Unpin {
    /// Begins to send one.
    fn send(&mut self, frame: Bytes) -> Result<Sending, LinkError>;

    /// After the last.
    fn close(&mut self) {}
}

pub(super) struct OneByOne<O> {
    outlet: O,
    sending: Option<Sending>,
}

impl<O> OneByOne<O> {
    pub(super) const fn new(outlet: O) -> Self {
        let sending = None;
        Self { outlet, sending }
    }
}

impl<O: Outlet> Sink<Bytes> for OneByOne<O> {
    type Error = LinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        Poll::Ready(sent)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        self.sending = Some(self.outlet.send(frame)?);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.poll_ready(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        ready!(self.as_mut().poll_ready(cx))?;
        self.outlet.close();
        Poll::Ready(Ok(()))
    }
}
