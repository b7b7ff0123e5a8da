//! Frames in messages of a data channel.
//!
//! A message is a row of pieces; a piece is two bytes, big-endian, and so many bytes of a frame as
//! their low 15 bits say. The high bit says that the frame ends with the piece. A message that is
//! zero in two bytes says that the sender sends nothing more, and one in four that it has read all
//! that there was until the other side said so; no piece that goes on is empty otherwise. A side
//! that has both may close, and nothing is lost: what is acknowledged need not have been read.
//!
//! So a long frame takes several messages and short ones share one: messages much shorter than
//! [`MESSAGE_BYTES`] are slow, and much longer ones are not for every peer.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use flexstore_core::link::{LinkError, MAX_FRAME_BYTES};

/// The longest message that is sent, in bytes.
pub const MESSAGE_BYTES: usize = 16 << 10;

/// What stands before a piece.
const HEADER_BYTES: usize = 2;
const LAST: u16 = 1 << 15;
/// A piece that goes on and is empty.
const GOODBYE: u16 = 0;
/// How much is reserved beyond what was received of a frame.
const AHEAD_BYTES: usize = 64 << 10;

/// Cuts frames into messages.
#[derive(Default)]
pub(super) struct Cutter {
    full: VecDeque<BytesMut>,
    /// The message that has room.
    open: BytesMut,
    bytes: usize,
}

impl Cutter {
    pub(super) fn push(&mut self, mut frame: Bytes) {
        loop {
            if self.open.len() + HEADER_BYTES >= MESSAGE_BYTES {
                self.full.push_back(std::mem::take(&mut self.open));
            }
            let room = MESSAGE_BYTES - HEADER_BYTES - self.open.len();
            let piece = frame.split_to(room.min(frame.len()));
            // A message is far shorter than what 15 bits count.
            let length = u16::try_from(piece.len()).unwrap_or(0);
            let last = if frame.is_empty() { LAST } else { 0 };
            self.open.extend_from_slice(&(length | last).to_be_bytes());
            self.open.extend_from_slice(&piece);
            self.bytes += HEADER_BYTES + piece.len();
            if frame.is_empty() {
                return;
            }
        }
    }

    /// The next message, full or not.
    pub(super) fn take(&mut self) -> Option<BytesMut> {
        let message = match self.full.pop_front() {
            Some(message) => message,
            None if self.open.is_empty() => return None,
            None => std::mem::take(&mut self.open),
        };
        self.bytes -= message.len();
        Some(message)
    }

    /// How much waits.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The message that says that nothing more comes.
pub(super) fn goodbye() -> BytesMut {
    BytesMut::zeroed(HEADER_BYTES)
}

/// The message that says that all was read.
pub(super) fn heard() -> BytesMut {
    BytesMut::zeroed(2 * HEADER_BYTES)
}

/// What a message came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// There may be more.
    More,
    /// The sender sends nothing more.
    Goodbye,
    /// The sender has read all.
    Heard,
}

/// Puts frames together again.
#[derive(Default)]
pub(super) struct Joiner {
    partial: Vec<u8>,
}

impl Joiner {
    /// Hands over each frame that ends in the message.
    pub(super) fn message(
        &mut self,
        mut message: Bytes,
        mut frame: impl FnMut(Bytes),
    ) -> Result<Met, LinkError> {
        let shared = message.len();
        while !message.is_empty() {
            if message.len() < HEADER_BYTES {
                return Err(LinkError::Protocol);
            }
            let header = message.get_u16();
            if header == GOODBYE {
                return match (&*message, self.partial.is_empty(), shared) {
                    ([], true, HEADER_BYTES) => Ok(Met::Goodbye),
                    ([0, 0], true, _) => Ok(Met::Heard),
                    _ => Err(LinkError::Protocol),
                };
            }
            let length = usize::from(header & !LAST);
            if length > message.len() {
                return Err(LinkError::Protocol);
            }
            if self.partial.len() + length > MAX_FRAME_BYTES {
                return Err(LinkError::TooLong);
            }
            let piece = message.split_to(length);
            let last = header & LAST != 0;
            if !last || !self.partial.is_empty() {
                self.append(&piece);
                if last {
                    frame(std::mem::take(&mut self.partial).into());
                }
            } else if length * 2 < shared {
                // A short frame must not keep a whole message.
                frame(Bytes::copy_from_slice(&piece));
            } else {
                frame(piece);
            }
        }
        Ok(Met::More)
    }

    /// Reserves little beyond what came, and yet not anew for every piece.
    fn append(&mut self, piece: &[u8]) {
        if self.partial.capacity() - self.partial.len() < piece.len() {
            self.partial.reserve_exact(piece.len().max(AHEAD_BYTES));
        }
        self.partial.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests;
