//! Frames in a stream of bytes: each after its length in four bytes.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flexstore_core::link::{LinkError, MAX_FRAME_BYTES};

/// Bytes of a length.
const LENGTH: usize = 4;

/// Appends a frame, of which somebody knows that it is not too long.
pub(super) fn frame(out: &mut BytesMut, frame: &[u8]) {
    out.reserve(LENGTH + frame.len());
    out.put_u32(frame.len() as u32);
    out.put_slice(frame);
}

/// Takes pieces of the stream and gives frames. Holds one piece and less than one frame.
#[derive(Default)]
pub(super) struct Deframer {
    /// The start of a frame whose end is in no piece yet.
    start: BytesMut,
    piece: Bytes,
}

impl Deframer {
    /// Takes the next piece. All frames of the one before must have been taken.
    pub(super) fn feed(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, LinkError> {
        if self.start.is_empty() {
            let Some(length) = length(&self.piece)? else {
                self.keep(LENGTH);
                return Ok(None);
            };
            if self.piece.len() >= LENGTH + length {
                self.piece.advance(LENGTH);
                return Ok(Some(self.piece.split_to(length)));
            }
        }
        self.keep(LENGTH);
        let Some(length) = length(&self.start)? else {
            return Ok(None);
        };
        self.keep(LENGTH + length);
        if self.start.len() < LENGTH + length {
            return Ok(None);
        }
        self.start.advance(LENGTH);
        let frame = self.start.split_to(length).freeze();
        self.start = BytesMut::new();
        Ok(Some(frame))
    }

    /// Moves bytes to the start until there are so many of them.
    fn keep(&mut self, many: usize) {
        let missing = many.saturating_sub(self.start.len());
        let moved = self.piece.split_to(missing.min(self.piece.len()));
        self.start.extend_from_slice(&moved);
    }
}

fn length(bytes: &[u8]) -> Result<Option<usize>, LinkError> {
    let Some(length) = bytes.first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(LinkError::TooLong);
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_the_stream_is_cut() {
        let lengths = [0, 1, 3, 4, 5, 100, 0, 1000, 7];
        let mut stream = BytesMut::new();
        for length in lengths {
            frame(&mut stream, &vec![length as u8; length]);
        }
        let stream = stream.freeze();
        for size in (1..40).chain([stream.len()]) {
            let mut deframer = Deframer::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                deframer.feed(Bytes::copy_from_slice(piece));
                while let Some(frame) = deframer.next().unwrap() {
                    assert!(frame.iter().all(|byte| *byte == frame.len() as u8));
                    found.push(frame.len());
                }
            }
            assert_eq!(found, lengths, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_has_the_greatest_length_and_no_more() {
        let length = |length: usize| {
            let mut deframer = Deframer::default();
            deframer.feed(Bytes::copy_from_slice(&(length as u32).to_be_bytes()));
            deframer.next()
        };
        assert_eq!(length(MAX_FRAME_BYTES), Ok(None));
        assert_eq!(length(MAX_FRAME_BYTES + 1), Err(LinkError::TooLong));
    }
}
