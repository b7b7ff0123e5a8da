//! Where a record of the original stands, which it does not tell, and the form that does.

use bytes::Bytes;

use super::{Rest, Shelf};
use crate::record::{Header, ParseError};
use crate::{CollectionId, Digest, MAX_TAG_BYTES, Tag};

/// Before a text of the items and roots. No record's text begins like this.
const ITEMS: u8 = 1;
/// Before a text of the states.
const STATES: u8 = 2;

/// What a record of the original is besides its text and header.
#[derive(Debug)]
pub(in crate::record) struct Place {
    /// As it is stored and sent.
    pub(in crate::record) sent: Bytes,
    /// SHA-256 of the text.
    pub(in crate::record) hash: Digest,
    pub(in crate::record) rest: Rest,
}

impl Place {
    /// `sent` where the text was read from it.
    pub(super) fn of(
        text: &Bytes,
        header: &Header,
        rest: Rest,
        shelf: &Shelf,
        sent: Option<Bytes>,
    ) -> Self {
        let mut place = Self {
            sent: Bytes::new(),
            hash: Digest::of(text),
            rest,
        };
        place.sent = sent.unwrap_or_else(|| wrap(shelf, &place.stands(header), text));
        place
    }

    pub(super) fn stands(&self, header: &Header) -> Tag {
        match &self.rest.state {
            Some(state) => state.tag(),
            None => header.tag.clone(),
        }
    }
}

fn wrap(shelf: &Shelf, tag: &Tag, text: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(tag.as_str().len() + 2 + text.len());
    out.push(if shelf.holds_states() { STATES } else { ITEMS });
    out.extend_from_slice(tag.as_str().as_bytes());
    out.push(0);
    out.extend_from_slice(text);
    out.into()
}

/// Shelf, tag and text of what is stored and sent. A tag has no control characters, so that there
/// is one way to read it.
pub(super) fn unwrap(sent: &Bytes, id: &CollectionId) -> Result<(Shelf, Tag, Bytes), ParseError> {
    let shelf = match sent.first() {
        Some(&ITEMS) => Shelf::items(id.clone()),
        Some(&STATES) if id.kind() == crate::Kind::Versioned => Shelf::states(id.clone()),
        _ => return Err(ParseError::Form),
    };
    let end = sent
        .iter()
        .take(MAX_TAG_BYTES + 2)
        .position(|byte| *byte == 0);
    let end = end.ok_or(ParseError::Tag)?;
    let tag = str::from_utf8(&sent[1..end]).map_err(|_| ParseError::Tag)?;
    let tag = Tag::new(tag).map_err(|_| ParseError::Tag)?;
    Ok((shelf, tag, sent.slice(end + 1..)))
}
