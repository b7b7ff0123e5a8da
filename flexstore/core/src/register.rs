//! The rows of a collection on disk, and what is read from them.
//!
//! ```text
//! Register  place ‖ tag ‖ 0 ‖ owner ‖ life ‖ author ‖ digest   ->  flags ‖ iat [‖ state] [‖ ant] [‖ hash]
//! Body      place ‖ digest                               ->  the record as it is sent
//! Body      place of states ‖ state ‖ digest             ->  the row's key (js profile)
//! Body      place of roots ‖ subject ‖ 0 ‖ owner         ->  digest ‖ an owner's root (js profile)
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
//! does; who displaces whom among them does not change. Under the js profile they may count until
//! a time, so there every row that was displaced goes there.)

mod heads;
mod reading;
mod roots;
mod row;
mod states;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
pub use heads::Heads;
pub(crate) use reading::shown;
pub use reading::{ReadError, Selection, Timestamp, Versions};
pub use row::Row;
pub use states::Stated;

use crate::record::{ParseError, Stamp};
use crate::storage::{Batch, Storage, StorageError, Table};
use crate::{CollectionId, Digest, KeyTag, Kind, Profile, Tag, Verified};

/// Where the rows of a collection begin.
pub(crate) type Place = [u8; 16];

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

    /// The rows of an owner under one tag that were displaced, rest, and may come back.
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

    /// A record as it is sent, if it is here.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn sent(&self, digest: &Digest) -> Result<Option<Bytes>, StorageError> {
        self.storage.get(Table::Body, &self.digest_key(digest))
    }

    /// A record, if its text is here.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if the text is not the one that was verified and stored.
    pub fn record(&self, digest: &Digest) -> Result<Option<Verified>, StorageError> {
        let Some(sent) = self.sent(digest)? else {
            return Ok(None);
        };
        let damaged = |_: ParseError| StorageError::Damaged;
        Verified::restore(sent, digest, &self.id)
            .map(Some)
            .map_err(damaged)
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
                    let row = value[40..].to_vec();
                    found.push(Rested {
                        digest: Digest::from_bytes(*digest),
                        row,
                        state: None,
                    });
                }
                if found.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        for one in &mut found {
            one.state = self.state_of(&one.row)?;
        }
        Ok(found)
    }

    pub(crate) fn put(&self, batch: &mut Batch, row: &Row, record: &Verified) {
        self.put_row(batch, row);
        self.keep(batch, record);
        self.note_state(batch, row);
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
        if self.may_return(row) {
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

    /// The record without its row.
    pub(crate) fn keep(&self, batch: &mut Batch, record: &Verified) {
        let key = self.digest_key(&record.digest()).to_vec();
        batch.put(Table::Body, key, record.sent().clone());
    }

    /// Whether the row of a record that was displaced is kept, since it may come back.
    pub(crate) fn may_return(&self, row: &Row) -> bool {
        row.is_team() || self.id.profile() == Profile::JavaScript
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
            if let Some(state) = rested.state {
                batch.delete(Table::Body, self.state_key(&state, &rested.digest));
            }
            batch.delete(Table::Register, shade);
        }
    }
}

/// A record that has rested long enough.
pub(crate) struct Rested {
    digest: Digest,
    /// The rest of its row's key; empty if it cannot come back.
    row: Vec<u8>,
    /// Under the js profile, its state.
    state: Option<Digest>,
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
