//! Rendezvous at a relay: what both ends of the service `signal` must agree on.
//!
//! A **slot** is a name at which two meet: what one sends, as it is, the other gets. A **topic**
//! is a name at which many announce themselves: each hears of the others as [`Event`]s, and sends
//! to one of them ([`to_announcer`]). Over a WebSocket each message of a slot, or frame of a topic,
//! is one binary message; over HTTPS one body takes it there, and a [`pack`] of them back.
//!
//! A relay forwards and understands nothing of it. JavaScript clients meet by other routes, whose
//! bodies [`javascript`] checks.

pub mod javascript;

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::DecodeError;

/// The longest name of a slot or topic, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest message, in bytes, from one to the other.
pub const MAX_MESSAGE_BYTES: usize = 16 << 10;
/// What an announcer's message is longer by on the way to the relay: to whom.
pub const ADDRESS_BYTES: usize = 16;
/// The longest frame that a relay takes.
pub const MAX_FRAME_BYTES: usize = MAX_MESSAGE_BYTES + ADDRESS_BYTES;
/// The header with which whoever has a seat shows it: what the relay gave with the seat.
pub const SEAT_HEADER: &str = "flexstore-seat";
/// The header of an answer that says with which cursor to ask for what comes after it.
pub const CURSOR_HEADER: &str = "flexstore-cursor";

/// The name of a slot or topic: 1 to [`MAX_NAME_BYTES`] bytes without control characters, and
/// neither `.` nor `..`, which have a meaning of their own in a path.
///
/// ```
/// use flexstore_core::wire::signal::Name;
///
/// let name: Name = "tea at 5/6".parse()?;
/// assert_eq!(name.segment(), "tea%20at%205%2F6");
/// assert!("..".parse::<Name>().is_err());
/// # Ok::<(), flexstore_core::wire::signal::BadName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// A text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 1 to {MAX_NAME_BYTES} bytes of text without control characters")]
pub struct BadName;

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len())
            && !text.chars().any(char::is_control)
            && !matches!(text, "." | "..");
        fits.then(|| Self(text.into())).ok_or(BadName)
    }
}

impl Name {
    /// As a segment of a path, percent-encoded where it must be (RFC 3986, section 2.1).
    #[must_use]
    pub fn segment(&self) -> String {
        let mut segment = String::new();
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    segment.push(char::from(byte));
                }
                byte => segment.push_str(&format!("%{byte:02X}")),
            }
        }
        segment
    }

    /// As it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An announcer at a topic, as the relay names it: random, and of no meaning elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnouncerId(pub [u8; 16]);

impl fmt::Display for AnnouncerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AnnouncerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnnouncerId({self})")
    }
}

/// What an announcer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first: which announcer it is itself.
    You(AnnouncerId),
    /// Another is there: first those who were before, later each who comes.
    Came(AnnouncerId),
    /// Another left; what it sent before came before.
    Left(AnnouncerId),
    /// Another sent this to it.
    Message {
        /// Who.
        from: AnnouncerId,
        /// What.
        message: Bytes,
    },
}

impl Event {
    /// One byte for the kind, the announcer, and the message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, id, message) = match self {
            Self::You(id) => (0, id, &[][..]),
            Self::Came(id) => (1, id, &[][..]),
            Self::Left(id) => (2, id, &[][..]),
            Self::Message { from, message } => (3, from, &message[..]),
        };
        let mut frame = BytesMut::with_capacity(1 + ADDRESS_BYTES + message.len());
        frame.put_u8(kind);
        frame.put_slice(&id.0);
        frame.put_slice(message);
        frame.freeze()
    }

    /// The reverse of [`encode`](Self::encode).
    ///
    /// # Errors
    /// [`DecodeError`] if it is none.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        let (&kind, rest) = frame.split_first().ok_or(DecodeError::Malformed)?;
        let (&id, rest) = rest.split_first_chunk().ok_or(DecodeError::Malformed)?;
        let id = AnnouncerId(id);
        match (kind, rest.len()) {
            (0, 0) => Ok(Self::You(id)),
            (1, 0) => Ok(Self::Came(id)),
            (2, 0) => Ok(Self::Left(id)),
            (3, 0..=MAX_MESSAGE_BYTES) => Ok(Self::Message {
                from: id,
                message: frame.slice(1 + ADDRESS_BYTES..),
            }),
            _ => Err(DecodeError::Malformed),
        }
    }
}

/// A message to one announcer, as it is sent to the relay.
#[must_use]
pub fn to_announcer(to: AnnouncerId, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(ADDRESS_BYTES + message.len());
    frame.put_slice(&to.0);
    frame.put_slice(message);
    frame.freeze()
}

/// The reverse of [`to_announcer`].
///
/// # Errors
/// [`DecodeError`] if it is addressed to nobody.
pub fn addressed(frame: &Bytes) -> Result<(AnnouncerId, Bytes), DecodeError> {
    let (&id, _) = frame.split_first_chunk().ok_or(DecodeError::Malformed)?;
    Ok((AnnouncerId(id), frame.slice(ADDRESS_BYTES..)))
}

/// Several frames in one body: each after its length as four bytes, big-endian.
#[must_use]
pub fn pack(frames: &[Bytes]) -> Bytes {
    let len = frames.iter().map(|frame| 4 + frame.len()).sum();
    let mut body = BytesMut::with_capacity(len);
    for frame in frames {
        // A frame is never near 4 GiB.
        body.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        body.put_slice(frame);
    }
    body.freeze()
}

/// The reverse of [`pack`].
///
/// # Errors
/// [`DecodeError`] if it is none.
pub fn unpack(mut body: Bytes) -> Result<Vec<Bytes>, DecodeError> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let (&len, _) = body.split_first_chunk().ok_or(DecodeError::Malformed)?;
        let len = usize::try_from(u32::from_be_bytes(len)).map_err(|_| DecodeError::Malformed)?;
        drop(body.split_to(4));
        if len > body.len() {
            return Err(DecodeError::Malformed);
        }
        frames.push(body.split_to(len));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests;
