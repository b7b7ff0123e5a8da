//! The rows of a collection on disk, and what is read from them.
//!
//! ```text
//! Register  number ‖ tag ‖ 0 ‖ owner ‖ life ‖ author ‖ digest   ->  flags ‖ iat [‖ state [‖ ant]]
//! Body      number ‖ digest                              ->  the record's text
//! Resting   number ‖ digest                              ->  when ‖ successor
//! Meta      "c" ‖ kind/name                              ->  number
//! ```
//!
//! Numbers are big-endian; `number` is the collection's own, 4 bytes, given out by this store.
//! `life` is 0 for a tombstone and 1 for an item, so that an owner's tombstones are found without
//! a walk over all versions.

mod reading;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
pub(crate) use reading::shown;
pub use reading::{ReadError, Selection, Timestamp, Versions};

use crate::admission::Contender;
use crate::authority::{Standing, standing};
use crate::record::{ParseError, Stamp};
use crate::storage::{Batch, Storage, StorageError, Table};
use crate::{CollectionId, Digest, KeyTag, Kind, Tag, Verified};

const TOMBSTONE: u8 = 1;
const ARCHIVED: u8 = 2;
const VERSION: u8 = 4;
const ANTECEDENT: u8 = 8;

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
}

impl Row {
    /// The row of a record.
    #[must_use]
    pub fn of(record: &Verified) -> Self {
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
        }
    }

    /// Whether the record counts.
    #[must_use]
    pub fn standing(&self) -> Standing {
        standing(&self.owner, &self.author)
    }

    /// What admission looks at.
    #[must_use]
    pub fn contender(&self) -> Contender {
        Contender {
            stamp: self.stamp,
            author: self.author,
            tombstone: self.tombstone,
            team: self.owner != self.author,
            standing: self.standing(),
        }
    }

    fn value(&self) -> Vec<u8> {
        let mut flags = 0;
        for (flag, set) in [
            (TOMBSTONE, self.tombstone),
            (ARCHIVED, self.archived),
            (VERSION, self.state.is_some()),
            (ANTECEDENT, self.ant.is_some()),
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
        let tag = key.get(4..)?.strip_suffix(&[0])?;
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
    number: [u8; 4],
}

impl Register {
    /// Of a collection; gives it a number if the store does not know it. Calls for one store must
    /// not run at the same time.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(storage: Arc<dyn Storage>, id: CollectionId) -> Result<Self, StorageError> {
        let key = [b"c", id.as_str().as_bytes()].concat();
        if let Some(number) = storage.get(Table::Meta, &key)? {
            let number = number[..].try_into().map_err(|_| StorageError::Damaged)?;
            return Ok(Self {
                storage,
                id,
                number,
            });
        }
        let mut greatest = 0;
        storage.scan(Table::Meta, b"c", b"d", &mut |_, value| {
            if let Ok(bytes) = value.try_into() {
                greatest = greatest.max(u32::from_be_bytes(bytes));
            }
            ControlFlow::Continue(())
        })?;
        let number = (greatest + 1).to_be_bytes();
        let mut batch = Batch::new();
        batch.put(Table::Meta, key, number.to_vec());
        storage.submit(batch)?;
        Ok(Self {
            storage,
            id,
            number,
        })
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
        let mut key = Vec::with_capacity(5 + tag.as_str().len() + 96);
        key.extend_from_slice(&self.number);
        key.extend_from_slice(tag.as_str().as_bytes());
        key.push(0);
        key
    }

    fn owner_key(&self, tag: &Tag, owner: &KeyTag) -> Vec<u8> {
        let mut key = self.tag_key(tag);
        key.extend_from_slice(owner.as_bytes());
        key
    }

    fn row_key(&self, row: &Row) -> Vec<u8> {
        let mut key = self.owner_key(&row.tag, &row.owner);
        key.push(u8::from(!row.tombstone));
        key.extend_from_slice(row.author.as_bytes());
        key.extend_from_slice(row.stamp.digest.as_bytes());
        key
    }

    fn digest_key(&self, digest: &Digest) -> [u8; 36] {
        let mut key = [0; 36];
        key[..4].copy_from_slice(&self.number);
        key[4..].copy_from_slice(digest.as_bytes());
        key
    }

    /// Visits every row, in order of tag, until the visitor breaks.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if a row cannot be read.
    pub fn each(&self, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StorageError> {
        self.range(&self.number, visit)
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
        let mut damaged = false;
        self.storage.scan(
            Table::Register,
            prefix,
            &after(prefix),
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
        let to = after(&self.number);
        self.storage
            .scan(Table::Register, &self.number, &to, &mut |key, value| {
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
    pub(crate) fn rested(&self, before: u64, limit: usize) -> Result<Vec<Digest>, StorageError> {
        let mut found = Vec::new();
        let to = after(&self.number);
        self.storage
            .scan(Table::Resting, &self.number, &to, &mut |key, value| {
                if let (Some(digest), Some(resting)) = (key.last_chunk(), read_resting(value))
                    && resting.since < before
                {
                    found.push(Digest::from_bytes(*digest));
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
        batch.put(Table::Register, self.row_key(row), row.value());
        batch.put(
            Table::Body,
            self.digest_key(&row.stamp.digest).to_vec(),
            text,
        );
    }

    pub(crate) fn displace(&self, batch: &mut Batch, row: &Row, resting: Resting) {
        batch.delete(Table::Register, self.row_key(row));
        self.rest(batch, &row.stamp.digest, resting);
    }

    pub(crate) fn rest(&self, batch: &mut Batch, digest: &Digest, resting: Resting) {
        let mut value = resting.since.to_be_bytes().to_vec();
        value.extend_from_slice(resting.successor.as_bytes());
        batch.put(Table::Resting, self.digest_key(digest).to_vec(), value);
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

    pub(crate) fn forget(&self, batch: &mut Batch, digest: &Digest) {
        batch.delete(Table::Resting, self.digest_key(digest).to_vec());
        batch.delete(Table::Body, self.digest_key(digest).to_vec());
    }
}

fn read_resting(value: &[u8]) -> Option<Resting> {
    let (since, rest) = value.split_first_chunk::<8>()?;
    let successor = Digest::from_bytes(rest.try_into().ok()?);
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
