//! What a peer is known to have.

use std::collections::{BTreeMap, VecDeque};

use crate::{Digest, Tag};

/// Tags of which it is remembered what the peer has.
const MAX_KNOWN: usize = 1024;

/// What the peer was last told or told us of a tag, so that nothing is sent back to who sent it.
/// Of so many tags only: what is forgotten is sent once more, and does no harm.
#[derive(Default)]
pub(super) struct Known {
    pub(super) hashes: BTreeMap<u64, Digest>,
    order: VecDeque<u64>,
}

impl Known {
    /// Whether this is another than the last.
    pub(super) fn note(&mut self, tag: &Tag, hash: Digest) -> bool {
        let tag = short(tag);
        match self.hashes.insert(tag, hash) {
            Some(before) => before != hash,
            None => {
                self.order.push_back(tag);
                if self.order.len() > MAX_KNOWN
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.hashes.remove(&oldest);
                }
                true
            }
        }
    }
}

/// A hash of a tag, in little room.
pub(super) fn short(tag: &Tag) -> u64 {
    let hash = Digest::of(tag.as_str().as_bytes());
    hash.as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
