//! Messages that are too long for one frame: cut, and put together again.

use std::collections::BTreeMap;

use super::message::{MAX_MESSAGE_BYTES, Message};
use super::piece::{Cut, PIECE_UNITS, Piece, units};

/// Messages of which some pieces are here, at most.
pub const MAX_OPEN: usize = 16;
/// The most pieces that a message has.
pub const MAX_PIECES: u64 = MAX_MESSAGE_BYTES.div_ceil(PIECE_UNITS) as u64;
/// Bytes of all messages of which some pieces are here, at most.
pub const MAX_OPEN_BYTES: usize = 4 * MAX_MESSAGE_BYTES;
/// How long the next piece of a message may take, in milliseconds.
pub const PIECE_TIMEOUT_MS: u64 = 30_000;

/// Why pieces are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// More than [`MAX_OPEN`] at a time.
    #[error("at most {MAX_OPEN} messages may be under way in pieces")]
    TooMany,
    /// None, or more than [`MAX_PIECES`].
    #[error("a message has 1 to {MAX_PIECES} pieces")]
    Count,
    /// A number that is under way already.
    #[error("the number is in use")]
    Reused,
    /// A piece of a message that was not announced, or is complete.
    #[error("a piece of no message")]
    Unknown,
    /// A place outside the message.
    #[error("the place is outside the message")]
    Index,
    /// A piece that is here already.
    #[error("a piece came twice")]
    Twice,
    /// Together longer than a message may be.
    #[error("a message has at most {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// With all others more than [`MAX_OPEN_BYTES`].
    #[error("at most {MAX_OPEN_BYTES} bytes may be under way in pieces")]
    TooMuch,
    /// Half a surrogate pair is left over.
    #[error("the pieces are no text")]
    NotText,
    /// The next piece took longer than [`PIECE_TIMEOUT_MS`].
    #[error("the rest of a message did not come")]
    Late,
}

struct Set {
    pieces: Vec<Option<Piece>>,
    missing: usize,
    bytes: usize,
    until: u64,
}

/// The messages of one channel that are coming in pieces. Holds what came, and 64 KiB at most.
#[derive(Default)]
pub struct Fragments {
    sets: BTreeMap<u64, Set>,
}

impl Fragments {
    /// A message of so many pieces was announced.
    ///
    /// # Errors
    /// [`FragmentError`].
    pub fn open(&mut self, now: u64, id: u64, count: u64) -> Result<(), FragmentError> {
        if !(1..=MAX_PIECES).contains(&count) {
            return Err(FragmentError::Count);
        }
        if self.sets.contains_key(&id) {
            return Err(FragmentError::Reused);
        }
        if self.sets.len() >= MAX_OPEN {
            return Err(FragmentError::TooMany);
        }
        let count = count as usize;
        let set = Set {
            pieces: vec![None; count],
            missing: count,
            bytes: 0,
            until: now + PIECE_TIMEOUT_MS,
        };
        self.sets.insert(id, set);
        Ok(())
    }

    /// Takes a piece; the whole text if it was the last.
    ///
    /// # Errors
    /// [`FragmentError`].
    pub fn take(
        &mut self,
        now: u64,
        id: u64,
        index: u64,
        piece: Piece,
    ) -> Result<Option<String>, FragmentError> {
        let open: usize = self.sets.values().map(|set| set.bytes).sum();
        let set = self.sets.get_mut(&id).ok_or(FragmentError::Unknown)?;
        let slot = usize::try_from(index).ok();
        let slot = slot.and_then(|index| set.pieces.get_mut(index));
        let slot = slot.ok_or(FragmentError::Index)?;
        if slot.is_some() {
            return Err(FragmentError::Twice);
        }
        set.bytes += piece.len();
        if set.bytes > MAX_MESSAGE_BYTES {
            return Err(FragmentError::TooLong);
        }
        if open + piece.len() > MAX_OPEN_BYTES {
            return Err(FragmentError::TooMuch);
        }
        *slot = Some(piece);
        set.missing -= 1;
        set.until = now + PIECE_TIMEOUT_MS;
        if set.missing > 0 {
            return Ok(None);
        }
        let Some(set) = self.sets.remove(&id) else {
            return Err(FragmentError::Unknown);
        };
        let text = Piece::join(set.pieces.into_iter().flatten(), set.bytes);
        text.map(Some).ok_or(FragmentError::NotText)
    }

    /// When the first of them is late.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        self.sets.values().map(|set| set.until).min()
    }

    /// Bytes reserved for what is under way.
    #[must_use]
    pub fn reserved(&self) -> usize {
        let slots = |set: &Set| set.pieces.capacity() * size_of::<Option<Piece>>() + set.bytes;
        self.sets.values().map(slots).sum()
    }
}

/// The frames of one message: itself, or its pieces, made one by one as they are sent.
pub struct Frames {
    whole: Option<String>,
    cut: Option<Cut>,
    id: u64,
    index: u64,
}

impl Frames {
    /// Of a message; `number` gives the next number of the sender's where it takes pieces.
    pub fn of(message: &Message, number: &mut u64) -> Self {
        let text = message.write();
        let units = units(&text);
        let id = *number;
        if units < PIECE_UNITS {
            return Self {
                whole: Some(text),
                cut: None,
                id,
                index: 0,
            };
        }
        *number += 1;
        let count = units.div_ceil(PIECE_UNITS) as u64;
        let whole = Some(Message::Fragments { id, count }.write());
        Self {
            whole,
            cut: Some(Cut::new(text)),
            id,
            index: 0,
        }
    }

    /// Whether all were taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.whole.is_none() && self.cut.as_ref().is_none_or(Cut::is_done)
    }
}

impl Iterator for Frames {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.whole.is_some() {
            return self.whole.take();
        }
        let text = self.cut.as_mut()?.next()?;
        let (id, index) = (self.id, self.index);
        self.index += 1;
        Some(Message::Frag { id, index, text }.write())
    }
}
