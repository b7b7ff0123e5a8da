//! The rows of a collection on disk, and what is read from them.
//!
//! ```text
//! Register  place ‖ tag ‖ 0 ‖ owner ‖ life ‖ author ‖ digest   ->  flags ‖ iat [‖ state [‖ ant]]
//! Body      place ‖ digest                               ->  the record's text
//! Resting   place ‖ digest                               ->  when ‖ successor ‖ the row's key
//! Meta      "c" ‖ kind/name                              ->  nothing
//! ```
//!
//! Numbers are big-endian; `place` is the first half of the SHA-256 of `kind/name`, so that
//! opening a collection needs no look-up and leaves no trace until something is written.
//! `life` is 0 for a tombstone and 1 for an item, so that an owner's tombstones are found without
//! a walk over all versions.
//!
//! The row of a team's record that was displaced goes to a second place, the other half of that
//! hash, since a later Team record may bring it back. (A single key's records all count, or none
//! does; who displaces whom among them does not change.)

mod reading;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
pub(crate) use reading::shown;
pub use reading::{ReadError, Selection, Timestamp, Versions};

use crate::admission::Contender;
use crate::authority::Standing;
use crate::record::{ParseError, Stamp};
use crate::storage::{Batch, Storage, StorageError, Table};
use crate::{CollectionId, Digest, KeyTag, Kind, Tag, Verified};

const TOMBSTONE: u8 = 1;
const ARCHIVED: u8 = 2;
const VERSION: u8 = 4;
const ANTECEDENT: u8 = 8;
const UNJUDGED: u8 = 16;
const VOID: u8 = 32;

/// Where the rows of a collection begin.
pub(crate) type Place = [u8; 16];

/// One record of the set, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The tag under which it is stored.
    pub tag: Tag,
    /// Whose it is.
    pub owner: KeyTag,
    /// Who wrote it.
    pub author: KeyTag,
    /// Time, then digest.
    pub stamp: Stamp,
    /// Whether it deletes.
    pub tombstone: bool,
    /// Whether its text was dropped by `archive`.
    pub archived: bool,
    /// The state tag, if it is a version.
    pub state: Option<Digest>,
    /// The state tag of the version that it follows.
    pub ant: Option<Digest>,
    /// Whether it counts, by the Team records that were here when it was last judged.
    pub standing: Standing,
}

impl Row {
    /// The row of a record.
    #[must_use]
    pub fn of(record: &Verified, standing: Standing) -> Self {
        let header = record.header();
        let version = header.collection.kind() == Kind::Versioned && !record.is_tombstone();
        Self {
            tag: header.tag.clone(),
            owner: header.owner,
            author: header.author,
            stamp: record.stamp(),
            tombstone: record.is_tombstone(),
            archived: false,
            state: version.then(|| record.state()),
            ant: header.ant,
            standing,
        }
    }

    /// Whether it was written for a team by a member.
    #[must_use]
    pub fn is_team(&self) -> bool {
        self.owner != self.author
    }

    /// Whether it counts.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.standing == Standing::Counts
    }

    /// What admission looks at.
    #[must_use]
    pub fn contender(&self) -> Contender {
        Contender {
            stamp: self.stamp,
            author: self.author,
            tombstone: self.tombstone,
            team: self.is_team(),
            standing: self.standing,
        }
    }

    fn value(&self) -> Vec<u8> {
        let mut flags = 0;
        for (flag, set) in [
            (TOMBSTONE, self.tombstone),
            (ARCHIVED, self.archived),
            (VERSION, self.state.is_some()),
            (ANTECEDENT, self.ant.is_some()),
            (UNJUDGED, self.standing == Standing::Unjudged),
            (VOID, self.standing == Standing::Void),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let mut value = Vec::with_capacity(73);
        value.push(flags);
        value.extend_from_slice(&self.stamp.iat.to_be_bytes());
        for digest in self.state.iter().chain(&self.ant) {
            value.extend_from_slice(digest.as_bytes());
        }
        value
    }

    fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (key, digest) = key.split_last_chunk::<32>()?;
        let (key, author) = key.split_last_chunk::<32>()?;
        let (_, key) = key.split_last()?;
        let (key, owner) = key.split_last_chunk::<32>()?;
        let tag = key.get(16..)?.strip_suffix(&[0])?;
        let (flags, value) = value.split_first()?;
        let (iat, mut value) = value.split_first_chunk::<8>()?;
        let mut next = |flag| -> Option<Option<Digest>> {
            if flags & flag == 0 {
                return Some(None);
            }
            let (digest, rest) = value.split_first_chunk::<32>()?;
            value = rest;
            Some(Some(Digest::from_bytes(*digest)))
        };
        let (state, ant) = (next(VERSION)?, next(ANTECEDENT)?);
        Some(Self {
            tag: Tag::new(str::from_utf8(tag).ok()?).ok()?,
            owner: KeyTag::from_bytes(*owner),
            author: KeyTag::from_bytes(*author),
            stamp: Stamp {
                iat: u64::from_be_bytes(*iat),
                digest: Digest::from_bytes(*digest),
            },
            tombstone: flags & TOMBSTONE != 0,
            archived: flags & ARCHIVED != 0,
            state,
            ant,
            standing: match flags & (UNJUDGED | VOID) {
                0 => Standing::Counts,
                UNJUDGED => Standing::Unjudged,
                _ => Standing::Void,
            },
        })
    }
}

/// A record that was displaced and waits for its space to be freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// When this replica displaced it, in milliseconds since 1970.
    pub since: u64,
    /// The record that displaced it.
    pub successor: Digest,
}

/// The rows of one collection in a store. Reading is by any thread at any time; one replica
/// writes.
#[derive(Clone)]
pub struct Register {
    storage: Arc<dyn Storage>,
    id: CollectionId,
    place: Place,
    /// Where the rows of a team's displaced records begin.
    shade: Place,
}

impl Register {
    /// Of a collection in a store; touches nothing.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, id: CollectionId) -> Self {
        let (mut place, mut shade) = ([0; 16], [0; 16]);
        let digest = Digest::of(id.as_str().as_bytes());
        place.copy_from_slice(&digest.as_bytes()[..16]);
        shade.copy_from_slice(&digest.as_bytes()[16..]);
        Self {
            storage,
            id,
            place,
            shade,
        }
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// The collections of which a store holds anything.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn collections(storage: &dyn Storage) -> Result<Vec<CollectionId>, StorageError> {
        let mut found = Vec::new();
        storage.scan(Table::Meta, b"c", b"d", &mut |key, _| {
            let name = key.get(1..).and_then(|name| str::from_utf8(name).ok());
            found.extend(name.and_then(|name| CollectionId::parse(name).ok()));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Notes that the store holds something of the collection.
    pub(crate) fn note(&self, batch: &mut Batch) {
        let key = [b"c", self.id.as_str().as_bytes()].concat();
        batch.put(Table::Meta, key, Bytes::new());
    }

    /// Which collection.
    #[must_use]
    pub const fn id(&self) -> &CollectionId {
        &self.id
    }

    /// Where the rows are.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    fn tag_key(&self, tag: &Tag) -> Vec<u8> {
        let mut key = Vec::with_capacity(17 + tag.as_str().len() + 97);
        key.extend_from_slice(&self.place);
        key.extend_from_slice(tag.as_str().as_bytes());
        key.push(0);
        key
    }

    fn owner_key(&self, tag: &Tag, owner: &KeyTag) -> Vec<u8> {
        let mut key = self.tag_key(tag);
        key.extend_from_slice(owner.as_bytes());
        key
    }

    fn shade_key(&self, row: &Row) -> Vec<u8> {
        let mut key = self.row_key(row);
        key[..16].copy_from_slice(&self.shade);
        key
    }

    fn row_key(&self, row: &Row) -> Vec<u8> {
        let mut key = self.owner_key(&row.tag, &row.owner);
        key.push(u8::from(!row.tombstone));
        key.extend_from_slice(row.author.as_bytes());
        key.extend_from_slice(row.stamp.digest.as_bytes());
        key
    }

    fn digest_key(&self, digest: &Digest) -> [u8; 48] {
        let mut key = [0; 48];
        key[..16].copy_from_slice(&self.place);
        key[16..].copy_from_slice(digest.as_bytes());
        key
    }

    /// Visits every row, in order of tag, until the visitor breaks.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if a row cannot be read.
    pub fn each(&self, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StorageError> {
        self.range(&self.place, visit)
    }

    /// The rows under one tag.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn rows(&self, tag: &Tag) -> Result<Vec<Row>, StorageError> {
        self.collect(&self.tag_key(tag), usize::MAX)
    }

    /// The rows of one owner under one tag.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn group(&self, tag: &Tag, owner: &KeyTag) -> Result<Vec<Row>, StorageError> {
        self.collect(&self.owner_key(tag, owner), usize::MAX)
    }

    /// The rows of a team under one tag that were displaced and rest.
    pub(crate) fn shaded(&self, tag: &Tag, owner: &KeyTag) -> Result<Vec<Row>, StorageError> {
        let mut prefix = self.owner_key(tag, owner);
        prefix[..16].copy_from_slice(&self.shade);
        self.collect(&prefix, usize::MAX)
    }

    /// The tags and owners of at most so many rows after one of them, in order, and whether those
    /// were all.
    pub(crate) fn groups_after(
        &self,
        after_group: Option<&(Tag, KeyTag)>,
        most: usize,
    ) -> Result<(Vec<(Tag, KeyTag)>, bool), StorageError> {
        let from = match after_group {
            None => self.place.to_vec(),
            Some((tag, owner)) => after(&self.owner_key(tag, owner)),
        };
        let (mut groups, mut seen): (Vec<(Tag, KeyTag)>, usize) = (Vec::new(), 0);
        self.scan(&from, &after(&self.place), &mut |row| {
            let group = (row.tag, row.owner);
            if groups.last() != Some(&group) {
                if seen >= most {
                    return ControlFlow::Break(());
                }
                groups.push(group);
            }
            seen += 1;
            ControlFlow::Continue(())
        })?;
        Ok((groups, seen < most))
    }

    /// The rows that decide on a newcomer: those that may displace it or be displaced by it, and
    /// itself. Of versions, which displace nothing, there may be very many.
    pub(crate) fn rivals(&self, newcomer: &Row) -> Result<Vec<Row>, StorageError> {
        if self.id.kind() != Kind::Versioned || newcomer.tombstone {
            return self.group(&newcomer.tag, &newcomer.owner);
        }
        let mut tombstones = self.owner_key(&newcomer.tag, &newcomer.owner);
        tombstones.push(0);
        let mut rows = self.collect(&tombstones, usize::MAX)?;
        rows.extend(self.collect(&self.row_key(newcomer), 1)?);
        Ok(rows)
    }

    /// At most so many of the rows under one tag.
    pub(crate) fn some_rows(&self, tag: &Tag, most: usize) -> Result<Vec<Row>, StorageError> {
        self.collect(&self.tag_key(tag), most)
    }

    fn collect(&self, prefix: &[u8], most: usize) -> Result<Vec<Row>, StorageError> {
        let mut rows = Vec::new();
        self.range(prefix, &mut |row| {
            rows.push(row);
            if rows.len() < most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(rows)
    }

    fn range(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.scan(prefix, &after(prefix), visit)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let mut damaged = false;
        self.storage.scan(
            Table::Register,
            from,
            to,
            &mut |key, value| match Row::read(key, value) {
                Some(row) => visit(row),
                None => {
                    damaged = true;
                    ControlFlow::Break(())
                }
            },
        )?;
        if damaged {
            Err(StorageError::Damaged)
        } else {
            Ok(())
        }
    }

    /// Visits the stamp of every row, in no useful order; cheaper than [`Register::each`].
    pub(crate) fn stamps(&self) -> Result<Vec<Stamp>, StorageError> {
        let mut stamps = Vec::new();
        let to = after(&self.place);
        self.storage
            .scan(Table::Register, &self.place, &to, &mut |key, value| {
                if let (Some(digest), Some(iat)) = (key.last_chunk(), value.get(1..9)) {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(iat);
                    let iat = u64::from_be_bytes(bytes);
                    stamps.push(Stamp {
                        iat,
                        digest: Digest::from_bytes(*digest),
                    });
                }
                ControlFlow::Continue(())
            })?;
        Ok(stamps)
    }

    /// The text of a record, if it is here.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn text(&self, digest: &Digest) -> Result<Option<Bytes>, StorageError> {
        self.storage.get(Table::Body, &self.digest_key(digest))
    }

    /// A record, if its text is here.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if the text is not the one that was verified and stored.
    pub fn record(&self, digest: &Digest) -> Result<Option<Verified>, StorageError> {
        let Some(text) = self.text(digest)? else {
            return Ok(None);
        };
        let damaged = |_: ParseError| StorageError::Damaged;
        Verified::restore(text, digest).map(Some).map_err(damaged)
    }

    /// Whether a record was displaced here, and by what.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn resting(&self, digest: &Digest) -> Result<Option<Resting>, StorageError> {
        let value = self.storage.get(Table::Resting, &self.digest_key(digest))?;
        value
            .map(|value| read_resting(&value).ok_or(StorageError::Damaged))
            .transpose()
    }

    /// Up to `limit` digests that have rested since before a time.
    pub(crate) fn rested(&self, before: u64, limit: usize) -> Result<Vec<Rested>, StorageError> {
        let mut found = Vec::new();
        let to = after(&self.place);
        self.storage
            .scan(Table::Resting, &self.place, &to, &mut |key, value| {
                if let (Some(digest), Some(resting)) = (key.last_chunk(), read_resting(value))
                    && resting.since < before
                {
                    found.push(Rested {
                        digest: Digest::from_bytes(*digest),
                        row: value[40..].to_vec(),
                    });
                }
                if found.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        Ok(found)
    }

    pub(crate) fn put(&self, batch: &mut Batch, row: &Row, text: Bytes) {
        self.put_row(batch, row);
        batch.put(
            Table::Body,
            self.digest_key(&row.stamp.digest).to_vec(),
            text,
        );
    }

    /// The row anew, where only its standing changed.
    pub(crate) fn put_row(&self, batch: &mut Batch, row: &Row) {
        batch.put(Table::Register, self.row_key(row), row.value());
    }

    pub(crate) fn displace(&self, batch: &mut Batch, row: &Row, resting: Resting) {
        batch.delete(Table::Register, self.row_key(row));
        self.rest(batch, row, resting);
    }

    pub(crate) fn rest(&self, batch: &mut Batch, row: &Row, resting: Resting) {
        let mut value = resting.since.to_be_bytes().to_vec();
        value.extend_from_slice(resting.successor.as_bytes());
        if row.is_team() {
            let shade = self.shade_key(row);
            value.extend_from_slice(&shade[16..]);
            batch.put(Table::Register, shade, row.value());
        }
        batch.put(
            Table::Resting,
            self.digest_key(&row.stamp.digest).to_vec(),
            value,
        );
    }

    /// Brings a row back that rested.
    pub(crate) fn restore(&self, batch: &mut Batch, row: &Row) {
        self.put_row(batch, row);
        batch.delete(Table::Register, self.shade_key(row));
        batch.delete(Table::Resting, self.digest_key(&row.stamp.digest).to_vec());
    }

    /// The row of a resting record anew, where only its standing changed.
    pub(crate) fn put_shade(&self, batch: &mut Batch, row: &Row) {
        batch.put(Table::Register, self.shade_key(row), row.value());
    }

    pub(crate) fn keep_text(&self, batch: &mut Batch, digest: &Digest, text: Bytes) {
        batch.put(Table::Body, self.digest_key(digest).to_vec(), text);
    }

    pub(crate) fn archive(&self, batch: &mut Batch, row: &Row) {
        let row = Row {
            archived: true,
            ..row.clone()
        };
        batch.put(Table::Register, self.row_key(&row), row.value());
        batch.delete(Table::Body, self.digest_key(&row.stamp.digest).to_vec());
    }

    pub(crate) fn forget(&self, batch: &mut Batch, rested: &Rested) {
        let key = self.digest_key(&rested.digest);
        batch.delete(Table::Resting, key.to_vec());
        batch.delete(Table::Body, key.to_vec());
        if !rested.row.is_empty() {
            let shade = [&self.shade[..], &rested.row].concat();
            batch.delete(Table::Register, shade);
        }
    }
}

/// A record that has rested long enough.
pub(crate) struct Rested {
    digest: Digest,
    /// The rest of its row's key; empty for a single key's.
    row: Vec<u8>,
}

fn read_resting(value: &[u8]) -> Option<Resting> {
    let (since, rest) = value.split_first_chunk::<8>()?;
    let successor = Digest::from_bytes(*rest.first_chunk()?);
    Some(Resting {
        since: u64::from_be_bytes(*since),
        successor,
    })
}

/// The least key that is greater than every key with this prefix.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; 64]
}
