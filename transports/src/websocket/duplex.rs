//! The two halves of one WebSocket, each polled by a task of its own.
//!
//! They share the stream under a lock that is held for the time of one poll and never across a
//! wait, so there is no task between a frame and the socket.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError, MAX_FRAME_BYTES, Protocol, Side};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Interval, MissedTickBehavior, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::LINGER;
use super::watched::Watched;

/// What a peer may still send while the link closes, before it is cut off.
const LINGER_BYTES: usize = 8 << 20;

struct Shared<S> {
    stream: WebSocketStream<Watched<S>>,
    /// Why the link is over; both halves answer with it.
    ended: Option<LinkError>,
    /// A close frame was sent or answered.
    said_goodbye: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    fn end(&mut self, error: LinkError) {
        self.ended.get_or_insert(error);
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }

    /// Queues a close frame and writes what the socket takes at once.
    fn goodbye(&mut self, code: CloseCode, reason: &'static str, cx: &mut Context<'_>) {
        if !self.said_goodbye {
            self.said_goodbye = true;
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            let stream = Pin::new(&mut self.stream);
            let _ = stream.start_send(Message::Close(Some(frame)));
        }
        let _ = Pin::new(&mut self.stream).poll_flush(cx);
    }

    fn ping(&mut self, cx: &mut Context<'_>) {
        // Where there is no room for a ping, the peer is not reading, and silence will tell.
        let _ = Pin::new(&mut self.stream).start_send(Message::Ping(Bytes::new()));
        let _ = Pin::new(&mut self.stream).poll_flush(cx);
        // The stream remembers one waker for writing, and now it is the reader's.
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn link<S>(
    stream: WebSocketStream<Watched<S>>,
    name: Box<str>,
    side: Side,
    ping: Duration,
) -> Link
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::new(Mutex::new(Shared {
        stream,
        ended: None,
        said_goodbye: false,
        reader: None,
        writer: None,
    }));
    let mut clock = tokio::time::interval_at(tokio::time::Instant::now() + ping, ping);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Link {
        incoming: Box::pin(Incoming {
            shared: Arc::clone(&shared),
            clock,
            heard: true,
            told: false,
        }),
        outgoing: Box::pin(Outgoing {
            shared,
            closing: None,
            discarded: 0,
        }),
        name,
        side,
        protocol: Protocol::Native,
    }
}

struct Incoming<S: AsyncRead + AsyncWrite + Unpin> {
    shared: Arc<Mutex<Shared<S>>>,
    clock: Interval,
    /// Whether anything came since the last ping.
    heard: bool,
    /// Whether the end was told.
    told: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    /// The next frame, `None` at an end without a reason.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, LinkError>>> {
        let mut shared = lock(&self.shared);
        loop {
            if let Some(error) = &shared.ended {
                return Poll::Ready(Some(Err(error.clone())));
            }
            let (error, goodbye) = match Pin::new(&mut shared.stream).poll_next(cx) {
                Poll::Ready(Some(Ok(Message::Binary(frame)))) => {
                    self.heard = true;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                    // Reading on sends the answer to the close frame.
                    let _ = Pin::new(&mut shared.stream).poll_next(cx);
                    shared.said_goodbye = true;
                    let Some(frame) = frame.filter(|frame| frame.code != CloseCode::Normal) else {
                        shared.end(LinkError::Gone);
                        return Poll::Ready(None);
                    };
                    (closed(frame), None)
                }
                Poll::Ready(Some(Ok(Message::Text(_)))) => (
                    LinkError::Protocol,
                    Some((CloseCode::Unsupported, "binary messages only")),
                ),
                Poll::Ready(Some(Ok(_))) => {
                    self.heard = true;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => judge(&error),
                Poll::Ready(None) => (LinkError::Gone, None),
                Poll::Pending => {
                    if self.clock.poll_tick(cx).is_pending() {
                        shared.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    if self.heard | shared.stream.get_mut().take_room() {
                        self.heard = false;
                        shared.ping(cx);
                        continue;
                    }
                    (LinkError::Gone, Some((CloseCode::Away, "no sign of life")))
                }
            };
            if let Some((code, reason)) = goodbye {
                shared.goodbye(code, reason, cx);
            }
            shared.end(error);
        }
    }
}

fn closed(frame: CloseFrame) -> LinkError {
    if frame.reason.is_empty() {
        LinkError::Closed(frame.code.to_string().into())
    } else {
        LinkError::Closed(frame.reason.as_str().into())
    }
}

fn judge(error: &WsError) -> (LinkError, Option<(CloseCode, &'static str)>) {
    match error {
        WsError::Capacity(_) => (
            LinkError::TooLong,
            Some((CloseCode::Size, "a message is too long")),
        ),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | WsError::Io(_)
        | WsError::ConnectionClosed
        | WsError::AlreadyClosed => (LinkError::Gone, None),
        _ => (
            LinkError::Protocol,
            Some((CloseCode::Protocol, "not as RFC 6455 has it")),
        ),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Incoming<S> {
    type Item = Result<Bytes, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.told {
            return Poll::Ready(None);
        }
        let next = ready!(this.next(cx));
        match next {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            other => {
                this.told = true;
                Poll::Ready(other)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Incoming<S> {
    /// A link that nobody reads is of no use to the other side: it would not hear a close, nor
    /// get an answer to a ping.
    fn drop(&mut self) {
        lock(&self.shared).end(LinkError::Gone);
    }
}

struct Outgoing<S: AsyncRead + AsyncWrite + Unpin> {
    shared: Arc<Mutex<Shared<S>>>,
    /// Until when the other side has time to take notice, once closing has begun.
    closing: Option<Pin<Box<Sleep>>>,
    discarded: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<S> {
    fn drive(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(
            Pin<&mut WebSocketStream<Watched<S>>>,
            &mut Context<'_>,
        ) -> Poll<Result<(), WsError>>,
    ) -> Poll<Result<(), LinkError>> {
        let mut shared = lock(&self.shared);
        if let Some(error) = &shared.ended {
            return Poll::Ready(Err(error.clone()));
        }
        match poll(Pin::new(&mut shared.stream), cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => {
                shared.end(LinkError::Gone);
                Poll::Ready(Err(LinkError::Gone))
            }
            Poll::Pending => {
                shared.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes the close frame and ends this direction, then reads and drops what still comes.
    fn wind_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.shared);
        let flushed = Pin::new(&mut shared.stream).poll_flush(cx);
        if ready!(flushed).is_err() {
            return Poll::Ready(());
        }
        let socket = shared.stream.get_mut();
        if ready!(Pin::new(&mut *socket).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        let mut bytes = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.discarded += buffer.filled().len(),
                _ => return Poll::Ready(()),
            }
            if self.discarded > LINGER_BYTES {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Bytes> for Outgoing<S> {
    type Error = LinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.drive(cx, |stream, cx| stream.poll_ready(cx))
    }

    fn start_send(self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(LinkError::TooLong);
        }
        let mut shared = lock(&self.shared);
        if let Some(error) = &shared.ended {
            return Err(error.clone());
        }
        let sent = Pin::new(&mut shared.stream).start_send(Message::Binary(frame));
        sent.map_err(|_| {
            shared.end(LinkError::Gone);
            LinkError::Gone
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.drive(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            this.closing = Some(Box::pin(tokio::time::sleep(LINGER)));
            let mut shared = lock(&this.shared);
            shared.goodbye(CloseCode::Normal, "", cx);
            shared.end(LinkError::Gone);
        }
        let late = this
            .closing
            .as_mut()
            .is_none_or(|deadline| deadline.as_mut().poll(cx).is_ready());
        if late || this.wind_up(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Outgoing<S> {
    /// Says goodbye if the socket takes it at once.
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        if shared.ended.is_none() {
            shared.goodbye(
                CloseCode::Normal,
                "",
                &mut Context::from_waker(Waker::noop()),
            );
        }
    }
}

#[cfg(test)]
mod tests;
