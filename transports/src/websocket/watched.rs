//! A socket that notes when the other side made room.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A ping waits behind what is being written, which on a slow path takes longer than a peer is
/// given to answer. That room appears where there was none is a sign of life too; a write that
/// the system's buffer takes at once is none.
pub(super) struct Watched<S> {
    socket: S,
    blocked: bool,
    room: bool,
}

impl<S> Watched<S> {
    pub(super) const fn new(socket: S) -> Self {
        Self {
            socket,
            blocked: false,
            room: false,
        }
    }

    /// Whether room appeared since this was last asked.
    pub(super) fn take_room(&mut self) -> bool {
        std::mem::take(&mut self.room)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        match &written {
            Poll::Ready(Ok(_)) => self.room |= std::mem::take(&mut self.blocked),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.blocked = true,
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
