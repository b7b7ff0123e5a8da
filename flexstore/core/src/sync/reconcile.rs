//! Range-based set reconciliation: two replicas find out which records only one of them has, at
//! a cost that follows the difference.
//!
//! The messages are those of the negentropy protocol, version 1: a list of ranges of the order,
//! each skipped, or with a fingerprint, or with the digests in it. Whoever gets a fingerprint
//! that is not its own answers with sixteen finer ones, or, where its part is small, with the
//! digests. Nothing is remembered between messages, so the sets may change meanwhile.
//!
//! Written here and not taken from the `negentropy` crate, because the crate walks a range to
//! take its fingerprint and offers no way to answer from a tree; the tests have it as the peer.

use super::index::{Fingerprint, Index};
use crate::Digest;
use crate::record::Stamp;

/// The longest message of a reconciliation, in bytes.
pub const MAX_RECONCILE_BYTES: usize = 128 << 10;

const VERSION: u8 = 0x61;
const BUCKETS: usize = 16;
const SKIP: u64 = 0;
const FINGERPRINT: u64 = 1;
const DIGESTS: u64 = 2;

/// Why a message makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// Longer than [`MAX_RECONCILE_BYTES`].
    #[error("the message is longer than {MAX_RECONCILE_BYTES} bytes")]
    TooLong,
    /// Another version of the method.
    #[error("unknown version")]
    Version,
    /// Ends early, or holds a number or mode that cannot be.
    #[error("malformed")]
    Malformed,
    /// The ranges are not in ascending order.
    #[error("the ranges are out of order")]
    Order,
}

/// What the side that asked has learnt.
#[derive(Debug, Default)]
pub struct Found {
    /// Records that the other side lacks.
    pub have: Vec<Stamp>,
    /// Digests of records that only the other side has.
    pub need: Vec<Digest>,
}

/// What the side that asks keeps between answers: parts of them that it looks at later.
///
/// It asks at a time for what is likely to fit into one answer. Were it to ask for everything that
/// differs, answers would break off early and what was asked beyond be asked again: of 100,000
/// records with 10,000 differences that made 1.43 times the bytes of a message without limit.
#[derive(Debug)]
pub struct Later {
    answers: Vec<Vec<u8>>,
    /// How long an answer may become, if all that it is asked about differs in all its parts.
    room: usize,
    /// How long the next answer becomes in that case.
    expected: usize,
}

impl Default for Later {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            // Where little differs, one part of sixteen does.
            room: Writer::LIMIT * BUCKETS,
            expected: 0,
        }
    }
}

impl Later {
    /// Learns from the length of an answer.
    fn adapt(&mut self, answer: usize) {
        if answer + 64 > Writer::LIMIT {
            self.room = Writer::LIMIT * 3 / 4;
        } else if self.expected > self.room / 2 && answer < Writer::LIMIT / 2 {
            self.room = (self.room * 2).min(Writer::LIMIT * BUCKETS);
        }
    }
}

/// Every answer that is put off lies within the part of the one before that is looked at, so an
/// honest peer's pile is as deep as the tree of ranges: each level has sixteen times the records.
const MAX_LATER: usize = 16;

/// The first message of the side that asks.
#[must_use]
pub fn initiate(index: &Index) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.split(index, 0, index.len(), Bound::END);
    writer.out
}

/// The answer to a message of the side that asks.
///
/// # Errors
/// [`ReconcileError`] if the message makes no sense.
pub fn respond(index: &Index, message: &[u8]) -> Result<Vec<u8>, ReconcileError> {
    check_length(message)?;
    step(index, message, None)
}

/// Takes an answer in; the next message, or `None` at the end.
///
/// # Errors
/// [`ReconcileError`] if the answer makes no sense.
pub fn advance(
    index: &Index,
    answer: &[u8],
    found: &mut Found,
    later: &mut Later,
) -> Result<Option<Vec<u8>>, ReconcileError> {
    check_length(answer)?;
    later.adapt(answer.len());
    let mut next = step(index, answer, Some((found, later)))?;
    while next.len() == 1
        && let Some(answer) = later.answers.pop()
    {
        next = step(index, &answer, Some((found, later)))?;
    }
    Ok((next.len() > 1).then_some(next))
}

const fn check_length(message: &[u8]) -> Result<(), ReconcileError> {
    if message.len() > MAX_RECONCILE_BYTES {
        return Err(ReconcileError::TooLong);
    }
    Ok(())
}

/// About how long the answer is to what [`Writer::split`] says of so many records.
const fn answer_bytes(count: usize) -> usize {
    const FINGERPRINT_BYTES: usize = 22;
    let bucket = count / BUCKETS;
    if count < 2 * BUCKETS {
        count * 32
    } else if bucket < 2 * BUCKETS {
        BUCKETS * bucket * 32
    } else {
        BUCKETS * BUCKETS * FINGERPRINT_BYTES
    }
}

fn step(
    index: &Index,
    message: &[u8],
    mut asking: Option<(&mut Found, &mut Later)>,
) -> Result<Vec<u8>, ReconcileError> {
    // What the answer to the message that is being written will take.
    let mut expected = 0;
    let mut reader = Reader::new(message)?;
    let mut writer = Writer::new();
    let mut lower_bound = Bound::START;
    let mut lower = 0;
    // Ranges that need no word are joined, and said only if something follows them.
    let mut skipped = false;
    loop {
        if let Some((_, later)) = &mut asking
            && expected > later.room
        {
            if later.answers.len() == MAX_LATER {
                return Err(ReconcileError::TooLong);
            }
            later.answers.extend(reader.remainder(&lower_bound));
            break;
        }
        let Some((bound, mode)) = reader.range()? else {
            break;
        };
        if bound < lower_bound {
            return Err(ReconcileError::Order);
        }
        let mut upper = bound.rank(index).max(lower);
        let mut full = false;
        let mut part = Writer {
            out: Vec::new(),
            last: writer.last,
        };
        if skipped {
            part.bound(&lower_bound);
            part.varint(SKIP);
        }
        match (mode, &mut asking) {
            (Mode::Skip, _) => skipped = true,
            (Mode::Fingerprint(theirs), _) if index.fingerprint(lower, upper) == theirs => {
                skipped = true;
            }
            (Mode::Fingerprint(_), _) => {
                expected += answer_bytes(upper - lower);
                part.split(index, lower, upper, bound);
                writer.push(part);
                skipped = false;
            }
            (Mode::Digests(mut theirs), Some((found, _))) => {
                theirs.sort_unstable();
                theirs.dedup();
                let mut common = vec![false; theirs.len()];
                index.visit(lower, upper, &mut |stamp| {
                    match theirs.binary_search(&stamp.digest) {
                        Ok(at) => common[at] = true,
                        Err(_) => found.have.push(stamp),
                    }
                    true
                });
                let missing = theirs.iter().zip(common).filter(|(_, common)| !common);
                found.need.extend(missing.map(|(digest, _)| *digest));
                skipped = true;
            }
            (Mode::Digests(_), None) => {
                let room = Writer::LIMIT.saturating_sub(writer.out.len()) / 32;
                let end = upper.min(lower + room);
                let cut = if end < upper {
                    index.get(end).map(Bound::at)
                } else {
                    None
                };
                part.digests(index, lower, end, cut.as_ref().unwrap_or(&bound));
                writer.push(part);
                skipped = false;
                full = cut.is_some();
                upper = end;
            }
        }
        if full || writer.out.len() > Writer::LIMIT {
            // No room for the rest of what was asked: one fingerprint stands for it, and the next
            // round goes on.
            let mut end = bound;
            while let Some((bound, _)) = reader.range()? {
                if bound < end {
                    return Err(ReconcileError::Order);
                }
                end = bound;
            }
            writer.rest(index, upper, &end);
            break;
        }
        lower = upper;
        lower_bound = bound;
    }
    if let Some((_, later)) = asking {
        later.expected = expected;
    }
    Ok(writer.out)
}

/// A place between records: all with a lesser stamp are below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bound {
    iat: u64,
    digest: [u8; 32],
    /// How many bytes of the digest matter; the others are zero.
    len: usize,
}

impl Bound {
    const START: Self = Self {
        iat: 0,
        digest: [0; 32],
        len: 0,
    };
    const END: Self = Self {
        iat: u64::MAX,
        digest: [0; 32],
        len: 0,
    };

    fn at(stamp: Stamp) -> Self {
        Self {
            iat: stamp.iat,
            digest: *stamp.digest.as_bytes(),
            len: 32,
        }
    }

    /// The shortest bound between two neighbours.
    fn between(before: Stamp, after: Stamp) -> Self {
        let mut bound = Self {
            iat: after.iat,
            ..Self::START
        };
        if before.iat == after.iat {
            let pairs = before.digest.as_bytes().iter().zip(after.digest.as_bytes());
            let len = (pairs.take_while(|(a, b)| a == b).count() + 1).min(32);
            bound.digest[..len].copy_from_slice(&after.digest.as_bytes()[..len]);
            bound.len = len;
        }
        bound
    }

    fn rank(&self, index: &Index) -> usize {
        if *self == Self::END {
            return index.len();
        }
        index.rank(&Stamp {
            iat: self.iat,
            digest: Digest::from_bytes(self.digest),
        })
    }
}

enum Mode {
    Skip,
    Fingerprint(Fingerprint),
    Digests(Vec<Digest>),
}

struct Reader<'a> {
    rest: &'a [u8],
    last: u64,
}

impl<'a> Reader<'a> {
    fn new(message: &'a [u8]) -> Result<Self, ReconcileError> {
        match message.split_first() {
            Some((&VERSION, rest)) => Ok(Self { rest, last: 0 }),
            _ => Err(ReconcileError::Version),
        }
    }

    /// A message of the ranges that were not read, from a bound on; `None` if there are none.
    fn remainder(&self, from: &Bound) -> Option<Vec<u8>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut writer = Writer::new();
        writer.bound(from);
        writer.varint(SKIP);
        writer.out.extend_from_slice(self.rest);
        Some(writer.out)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], ReconcileError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(ReconcileError::Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, ReconcileError> {
        let mut value = 0u64;
        for _ in 0..10 {
            let byte = self.bytes(1)?[0];
            if value > u64::MAX >> 7 {
                return Err(ReconcileError::Malformed);
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReconcileError::Malformed)
    }

    fn range(&mut self) -> Result<Option<(Bound, Mode)>, ReconcileError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        // 0 stands for the end of time, n for n - 1 past the bound before.
        let iat = match self.varint()? {
            0 => u64::MAX,
            past => self.last.saturating_add(past - 1),
        };
        self.last = iat;
        let len = self.varint()?;
        let len = usize::try_from(len).ok().filter(|len| *len <= 32);
        let len = len.ok_or(ReconcileError::Malformed)?;
        let mut bound = Bound {
            iat,
            digest: [0; 32],
            len,
        };
        bound.digest[..len].copy_from_slice(self.bytes(len)?);
        let mode = match self.varint()? {
            SKIP => Mode::Skip,
            FINGERPRINT => {
                let mut fingerprint = [0; 16];
                fingerprint.copy_from_slice(self.bytes(16)?);
                Mode::Fingerprint(fingerprint)
            }
            DIGESTS => {
                let count = self.varint()?;
                // Nothing is reserved for what has not arrived.
                let bytes = usize::try_from(count)
                    .ok()
                    .and_then(|count| count.checked_mul(32));
                let bytes = self.bytes(bytes.ok_or(ReconcileError::Malformed)?)?;
                let (digests, _) = bytes.as_chunks::<32>();
                Mode::Digests(digests.iter().copied().map(Digest::from_bytes).collect())
            }
            _ => return Err(ReconcileError::Malformed),
        };
        Ok(Some((bound, mode)))
    }
}

struct Writer {
    out: Vec<u8>,
    last: u64,
}

impl Writer {
    /// Leaves room for a skip and the fingerprint of the rest.
    const LIMIT: usize = MAX_RECONCILE_BYTES - 4096;

    fn new() -> Self {
        Self {
            out: vec![VERSION],
            last: 0,
        }
    }

    fn push(&mut self, part: Self) {
        self.out.extend_from_slice(&part.out);
        self.last = part.last;
    }

    fn varint(&mut self, value: u64) {
        put_varint(&mut self.out, value);
    }

    fn bound(&mut self, bound: &Bound) {
        if bound.iat == u64::MAX {
            self.varint(0);
        } else {
            self.varint(bound.iat.saturating_sub(self.last).saturating_add(1));
        }
        self.last = bound.iat;
        self.varint(bound.len as u64);
        self.out.extend_from_slice(&bound.digest[..bound.len]);
    }

    fn digests(&mut self, index: &Index, lower: usize, upper: usize, bound: &Bound) {
        self.bound(bound);
        self.varint(DIGESTS);
        self.varint((upper - lower) as u64);
        index.visit(lower, upper, &mut |stamp| {
            self.out.extend_from_slice(stamp.digest.as_bytes());
            true
        });
    }

    fn split(&mut self, index: &Index, lower: usize, upper: usize, end: Bound) {
        let count = upper - lower;
        if count < 2 * BUCKETS {
            self.digests(index, lower, upper, &end);
            return;
        }
        let mut from = lower;
        for bucket in 0..BUCKETS {
            let to = from + count / BUCKETS + usize::from(bucket < count % BUCKETS);
            let bound = match (index.get(to - 1), index.get(to)) {
                (Some(before), Some(after)) if to < upper => Bound::between(before, after),
                _ => end,
            };
            self.bound(&bound);
            self.varint(FINGERPRINT);
            self.out.extend_from_slice(&index.fingerprint(from, to));
            from = to;
        }
    }

    fn rest(&mut self, index: &Index, from: usize, end: &Bound) {
        self.bound(end);
        self.varint(FINGERPRINT);
        let to = end.rank(index).max(from);
        self.out.extend_from_slice(&index.fingerprint(from, to));
    }
}

/// Seven bits a byte, the most significant first, as negentropy has it.
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    let groups = (64 - value.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let bits = (value >> (group * 7)) as u8 & 0x7f;
        out.push(if group > 0 { bits | 0x80 } else { bits });
    }
}

#[cfg(test)]
mod tests;
