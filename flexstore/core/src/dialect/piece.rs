use std::fmt;

/// The longest text of one piece, in UTF-16 units: where the original cuts.
pub const PIECE_UNITS: usize = 16_000;

/// A cut of a text, in WTF-8: UTF-8 in which the half of a surrogate pair may stand, since the
/// original cuts between any two UTF-16 units.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece(Box<[u8]>);

/// Bytes of one half in WTF-8.
const HALF: usize = 3;

impl Piece {
    /// From what a JSON parser gives for a string whose escapes may name lone halves.
    pub(super) fn of_wtf8(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Bytes held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As `JSON.stringify` writes it: a lone half is an escape.
    pub(super) fn write_json(&self, out: &mut String) {
        out.push('"');
        let mut rest = &self.0[..];
        while let Some(at) = rest
            .windows(2)
            .position(|two| two[0] == 0xed && two[1] >= 0xa0)
        {
            escape(&rest[..at], out);
            let half = 0xd000
                | u16::from(rest[at + 1] & 0x3f) << 6
                | u16::from(rest.get(at + 2).map_or(0, |byte| byte & 0x3f));
            out.push_str(&format!("\\u{half:04x}"));
            rest = rest.get(at + HALF..).unwrap_or_default();
        }
        escape(rest, out);
        out.push('"');
    }

    /// Puts the pieces of a text together; `None` where half a pair is left over.
    pub(super) fn join(pieces: impl Iterator<Item = Self>, len: usize) -> Option<String> {
        let mut text: Vec<u8> = Vec::with_capacity(len);
        for piece in pieces {
            let mut bytes = &piece.0[..];
            if let (Some(&[0xed, high, x]), Some(&[0xed, low, y])) =
                (text.last_chunk::<HALF>(), bytes.first_chunk::<HALF>())
                && (0xa0..0xb0).contains(&high)
                && low >= 0xb0
            {
                text.truncate(text.len() - HALF);
                bytes = &bytes[HALF..];
                let unit = |a: u8, b: u8| u32::from(a & 0x0f) << 6 | u32::from(b & 0x3f);
                let pair = 0x1_0000 + (unit(high, x) << 10) + unit(low, y);
                text.extend_from_slice(char::from_u32(pair)?.encode_utf8(&mut [0; 4]).as_bytes());
            }
            text.extend_from_slice(bytes);
        }
        String::from_utf8(text).ok()
    }
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.len())
    }
}

fn escape(valid: &[u8], out: &mut String) {
    // By the same rules as `JSON.stringify`; what comes between halves is UTF-8.
    let text = String::from_utf8_lossy(valid);
    let quoted = serde_json::Value::from(&*text).to_string();
    out.push_str(&quoted[1..quoted.len() - 1]);
}

/// Cuts a text into pieces of [`PIECE_UNITS`].
pub(super) struct Cut {
    text: String,
    at: usize,
    /// The second half of a pair that was cut.
    half: Option<u16>,
}

impl Cut {
    pub(super) const fn new(text: String) -> Self {
        Self {
            text,
            at: 0,
            half: None,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.half.is_none() && self.at == self.text.len()
    }

    pub(super) fn next(&mut self) -> Option<Piece> {
        let mut units = 0;
        let mut bytes = Vec::new();
        if let Some(half) = self.half.take() {
            push_half(&mut bytes, half);
            units = 1;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        for letter in rest.chars() {
            if units == PIECE_UNITS {
                break;
            }
            self.at += letter.len_utf8();
            if units + letter.len_utf16() > PIECE_UNITS {
                let mut pair = [0; 2];
                letter.encode_utf16(&mut pair);
                push_half(&mut bytes, pair[0]);
                self.half = Some(pair[1]);
                break;
            }
            units += letter.len_utf16();
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        (!bytes.is_empty()).then(|| Piece(bytes.into()))
    }
}

fn push_half(bytes: &mut Vec<u8>, half: u16) {
    let low = |bits: u16| 0x80 | (bits & 0x3f) as u8;
    bytes.extend_from_slice(&[0xed, low(half >> 6), low(half)]);
}

/// UTF-16 units of a text, by which the original measures.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
