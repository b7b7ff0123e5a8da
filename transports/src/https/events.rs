//! The stream of events, as the HTML standard has it (section 9.2), as far as it is used here:
//! `id` and `data` for a frame, `event: end` at the end, comments as signs of life.

use bytes::{Buf as _, Bytes, BytesMut};
use flexstore_core::link::{LinkError, MAX_FRAME_BYTES};
use flexstore_core::{decode_base64url, encode_base64url};

/// A sign of life.
pub(super) const COMMENT: &[u8] = b":\n\n";
/// All frames were sent, and no more will come.
pub(super) const END: &[u8] = b"event: end\ndata:\n\n";

/// The longest event: a frame in base64url, and room for what stands around it.
const MAX_EVENT_BYTES: usize = MAX_FRAME_BYTES.div_ceil(3) * 4 + 128;

/// Appends a frame's event.
pub(super) fn write(out: &mut Vec<u8>, number: u64, frame: &[u8]) {
    let head = format!("id: {number}\ndata: ");
    out.reserve(head.len() + frame.len().div_ceil(3) * 4 + 2);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(encode_base64url(frame).as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// What a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Frame(u64, Bytes),
    End,
}

/// Takes the stream apart.
#[derive(Default)]
pub(super) struct Parser {
    buffer: BytesMut,
    /// Of the buffer so much has no end of an event in it.
    searched: usize,
}

impl Parser {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event, if it is here whole.
    pub(super) fn next(&mut self) -> Result<Option<Event>, LinkError> {
        loop {
            let from = self.searched.saturating_sub(1);
            let rest = &self.buffer[from..];
            let Some(end) = rest.windows(2).position(|two| two == b"\n\n") else {
                self.searched = self.buffer.len();
                return if self.searched > MAX_EVENT_BYTES {
                    Err(LinkError::TooLong)
                } else {
                    Ok(None)
                };
            };
            let event = self.buffer.split_to(from + end);
            self.buffer.advance(2);
            self.searched = 0;
            if let Some(event) = read(&event)? {
                return Ok(Some(event));
            }
        }
    }
}

fn read(event: &[u8]) -> Result<Option<Event>, LinkError> {
    let (mut number, mut data, mut ends) = (None, None, false);
    for line in event.split(|byte| *byte == b'\n') {
        if let Some(id) = line.strip_prefix(b"id: ") {
            let id = str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            number = Some(id.ok_or(LinkError::Protocol)?);
        } else if let Some(text) = line.strip_prefix(b"data: ") {
            data = Some(text);
        } else if line == b"event: end" {
            ends = true;
        }
    }
    match (number, ends) {
        (_, true) => Ok(Some(Event::End)),
        (Some(number), false) => {
            let frame = decode_base64url(data.unwrap_or_default()).ok_or(LinkError::Protocol)?;
            if frame.len() > MAX_FRAME_BYTES {
                return Err(LinkError::TooLong);
            }
            Ok(Some(Event::Frame(number, frame.into())))
        }
        (None, false) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let frames = [vec![], vec![1], vec![255; 1000], vec![10; 7]];
        let mut stream = COMMENT.to_vec();
        for (number, frame) in frames.iter().enumerate() {
            write(&mut stream, number as u64 + 5, frame);
            stream.extend_from_slice(COMMENT);
        }
        stream.extend_from_slice(END);
        for size in (1..50).chain([stream.len()]) {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for piece in stream.chunks(size) {
                parser.feed(piece);
                while let Some(event) = parser.next().unwrap() {
                    events.push(event);
                }
            }
            let numbered = frames.iter().zip(5..);
            let mut expected: Vec<Event> = numbered
                .map(|(frame, number)| Event::Frame(number, frame.clone().into()))
                .collect();
            expected.push(Event::End);
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for bad in [
            "id: x\ndata: AA\n\n",
            "id: 1\ndata: A\n\n",
            "id: 1\ndata: %%\n\n",
        ] {
            let mut parser = Parser::default();
            parser.feed(bad.as_bytes());
            assert_eq!(parser.next(), Err(LinkError::Protocol), "{bad}");
        }
        let mut parser = Parser::default();
        parser.feed(&vec![b'a'; MAX_EVENT_BYTES]);
        assert_eq!(parser.next(), Ok(None));
        parser.feed(b"a");
        assert_eq!(parser.next(), Err(LinkError::TooLong));
        let mut parser = Parser::default();
        let mut long = Vec::new();
        write(&mut long, 1, &vec![0; MAX_FRAME_BYTES]);
        parser.feed(&long);
        assert!(matches!(parser.next(), Ok(Some(Event::Frame(1, _)))));
        let mut long = Vec::new();
        write(&mut long, 1, &vec![0; MAX_FRAME_BYTES + 1]);
        parser.feed(&long);
        assert_eq!(parser.next(), Err(LinkError::TooLong));
    }
}
