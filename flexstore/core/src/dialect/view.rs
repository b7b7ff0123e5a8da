//! A shelf of a real collection, as a session sees it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::root::{lists, sign_root};
use super::shelves::{Compared, Page, Shelves, Taken};
use crate::record::{SigningKey, js};
use crate::register::{Heads, Register, Row, Selection, shown};
use crate::storage::StorageError;
use crate::sync::{self, OfferError, Origin, Replica, SessionId, Ticket};
use crate::{Digest, KeyTag, Kind, Signed, Tag, Verified};

/// What subjects show as their roots.
pub(super) type Roots = BTreeMap<Tag, Option<js::Verified>>;

/// Roots that are remembered.
const MAX_ROOTS: usize = 64;

/// What is looked up and what came is submitted on behalf of one session.
pub(super) struct View<'a> {
    pub(super) now: u64,
    pub(super) from: SessionId,
    pub(super) shelf: &'a js::Shelf,
    pub(super) replica: &'a mut Replica,
    pub(super) signer: Option<&'a SigningKey>,
    pub(super) roots: &'a mut Roots,
    /// What was taken, and the subject whose root it is, if it is one.
    pub(super) taken: Vec<(Ticket, Option<Tag>)>,
}

impl View<'_> {
    fn register(&self) -> &Register {
        self.replica.register()
    }

    fn kind(&self) -> Kind {
        self.register().id().kind()
    }

    fn is_roots(&self) -> bool {
        self.kind() == Kind::Versioned && !self.shelf.holds_states()
    }

    fn text(&self, row: &Row) -> Result<Option<Bytes>, StorageError> {
        let record = self.register().record(&row.stamp.digest)?;
        Ok(record.map(|record| record.text().clone()))
    }

    /// Of the rows of a tag the one that is shown: of the tag's own owner, else of the owner with
    /// the earliest record.
    fn pick(&self, tag: &Tag, rows: &[Row]) -> Option<Row> {
        let first = |owner: &KeyTag| {
            let live = |row: &&Row| row.owner == *owner && row.counts() && !row.tombstone;
            rows.iter().filter(live).map(|row| row.stamp).min()
        };
        let shown = owners(rows)
            .into_iter()
            .filter_map(|owner| self.shown_of(rows, &owner));
        shown
            .min_by_key(|row| (!tag.belongs_to(&row.owner), first(&row.owner)))
            .cloned()
    }

    fn shown_of<'r>(&self, rows: &'r [Row], owner: &KeyTag) -> Option<&'r Row> {
        // Of an owner whose teams are missing nothing can be shown.
        shown(self.kind(), rows, owner, Selection::Latest).ok()?
    }

    fn root(&mut self, subject: &Tag) -> Result<Option<js::Verified>, StorageError> {
        if let Some(root) = self.roots.get(subject) {
            return Ok(root.clone());
        }
        let root = self.find_root(subject)?;
        if self.roots.len() >= MAX_ROOTS {
            self.roots.pop_first();
        }
        self.roots.insert(subject.clone(), root.clone());
        Ok(root)
    }

    /// The root of a subject: its owner's own, if that lists what the versions tell; else ours.
    fn find_root(&self, subject: &Tag) -> Result<Option<js::Verified>, StorageError> {
        let rows = self.register().rows(subject)?;
        let Some(row) = self.pick(subject, &rows) else {
            return Ok(None);
        };
        let heads = Heads::of(&rows, &row.owner);
        if let Some(root) = self.register().root(subject, &row.owner)?
            && lists(&root, &heads)
        {
            return Ok(Some(root));
        }
        let id = self.register().id();
        let sign = |signer| sign_root(&heads, id, subject, &row.owner, signer).ok();
        Ok(self.signer.and_then(sign))
    }

    /// What a tag shows: the hash of its text.
    fn hash(&mut self, tag: &Tag) -> Result<Option<Digest>, StorageError> {
        if self.is_roots() {
            return Ok(self.root(tag)?.map(|root| root.digest()));
        }
        Ok(self
            .row(tag)?
            .filter(|row| !row.archived)
            .map(|row| row.hash))
    }

    fn row(&self, tag: &Tag) -> Result<Option<Row>, StorageError> {
        if !self.shelf.holds_states() {
            return Ok(self.pick(tag, &self.register().rows(tag)?));
        }
        let live = self.of_state(tag)?.into_iter();
        Ok(live
            .filter(|row| !row.tombstone)
            .min_by_key(|row| row.stamp))
    }

    /// The rows of a state that are of the set and count.
    fn of_state(&self, tag: &Tag) -> Result<Vec<Row>, StorageError> {
        let Ok(state) = Digest::parse(tag.as_str()) else {
            return Ok(Vec::new());
        };
        let found = self.register().of_state(&state)?;
        let counting = found
            .into_iter()
            .filter(|one| one.stays && one.row.counts())
            .map(|one| one.row);
        Ok(counting.collect())
    }

    /// The tombstones under a tag, one for each owner that shows nothing.
    fn tombstone_rows(&self, tag: &Tag) -> Result<Vec<Row>, StorageError> {
        if self.shelf.holds_states() {
            let rows = self.of_state(tag)?;
            return Ok(rows.into_iter().filter(|row| row.tombstone).collect());
        }
        let rows = self.register().rows(tag)?;
        let deletes = |row: &&Row| row.tombstone && row.counts() && row.state.is_none();
        let last = |owner: &KeyTag| {
            let theirs = rows.iter().filter(|row| row.owner == *owner);
            theirs.filter(deletes).max_by_key(|row| row.stamp).cloned()
        };
        let owners = owners(&rows);
        let hidden = owners
            .iter()
            .filter(|owner| self.shown_of(&rows, owner).is_none());
        Ok(hidden.filter_map(last).collect())
    }

    /// Whether an owner deleted what it had under a tag.
    fn is_deleted(&self, tag: &Tag, owner: &KeyTag) -> Result<bool, StorageError> {
        let rows = self.tombstone_rows(tag)?;
        Ok(rows.iter().any(|row| row.owner == *owner))
    }

    fn compare_state(&self, tag: &Tag, hash: &Digest) -> Result<Compared, StorageError> {
        let Ok(state) = Digest::parse(tag.as_str()) else {
            return Ok(Compared::Unknown);
        };
        let found = self.register().of_state(&state)?;
        Ok(match found.iter().find(|one| one.row.hash == *hash) {
            None => Compared::Unknown,
            Some(one) if one.stays => Compared::Known,
            Some(one) if self.is_deleted(tag, &one.row.owner)? => Compared::Deleted,
            // Its subject was deleted: there the states stay.
            Some(_) => Compared::Known,
        })
    }

    fn compare_item(&self, tag: &Tag, hash: &Digest) -> Result<Compared, StorageError> {
        let rows = self.register().rows(tag)?;
        if rows.iter().any(|row| row.hash == *hash) {
            return Ok(Compared::Known);
        }
        for owner in owners(&rows) {
            let rested = self.register().shaded(tag, &owner)?;
            if rested.iter().any(|row| row.hash == *hash) {
                return Ok(if self.is_deleted(tag, &owner)? {
                    Compared::Deleted
                } else {
                    Compared::Known
                });
            }
        }
        Ok(Compared::Unknown)
    }

    fn compare_root(&mut self, subject: &Tag, hash: &Digest) -> Result<Compared, StorageError> {
        let mut known = self.hash(subject)? == Some(*hash);
        for owner in owners(&self.register().rows(subject)?) {
            let root = self.register().root(subject, &owner)?;
            if root.is_some_and(|root| root.digest() == *hash) {
                if self.is_deleted(subject, &owner)? {
                    return Ok(Compared::Deleted);
                }
                known = true;
            }
        }
        Ok(if known {
            Compared::Known
        } else {
            Compared::Unknown
        })
    }

    /// An owner's root is kept, whatever it lists; it is shown while it lists what the versions
    /// tell. Of any other nothing is believed, not even that it is worth an answer.
    fn take_root(&mut self, root: &js::Verified) -> Result<Taken, StorageError> {
        let (subject, owner) = (root.header().tag.clone(), root.header().owner);
        if let Ok(Some(ticket)) = self.replica.keep_root(self.now, root) {
            self.taken.push((ticket, Some(subject)));
            return Ok(Taken::Pending);
        }
        Ok(if self.is_deleted(&subject, &owner)? {
            Taken::Deleted
        } else {
            Taken::Done
        })
    }

    fn offer(&mut self, tag: &Tag, record: &Verified) -> Result<Taken, StorageError> {
        let origin = Origin::Pushed(self.from);
        match self.replica.offer(self.now, record, origin) {
            Ok((_, sync::Taken::Displaced(by))) if by.tombstone => {
                Ok(if self.is_deleted(tag, &by.owner)? {
                    Taken::Deleted
                } else {
                    Taken::Done
                })
            }
            Ok((ticket, _)) => {
                self.taken.push((ticket, None));
                Ok(Taken::Pending)
            }
            Err(OfferError::Elsewhere | OfferError::Refused { .. }) => Ok(Taken::Done),
        }
    }

    /// A record of the original, or a native one, that stands here under this tag.
    fn read(&self, tag: &Tag, text: Bytes) -> Option<Verified> {
        if let Ok(signed) = js::Signed::parse(text.clone(), self.shelf, Some(tag)) {
            return signed.verify().ok().map(Verified::from);
        }
        let record = Signed::parse(text).ok()?.verify().ok()?;
        let stands = if self.shelf.holds_states() {
            !record.is_tombstone() && record.state().tag() == *tag
        } else {
            record.header().tag == *tag && (record.is_tombstone() || !self.is_roots())
        };
        stands.then_some(record)
    }
}

impl Shelves for View<'_> {
    fn page(&mut self, after: Option<&Tag>, most: usize) -> Result<Page, StorageError> {
        let (tags, done) = if self.shelf.holds_states() {
            let after = after.and_then(|tag| Digest::parse(tag.as_str()).ok());
            let states = self.register().states_after(after.as_ref(), most)?;
            let done = states.len() < most;
            (states.iter().map(Digest::tag).collect(), done)
        } else {
            let after = after.map(|tag| (tag.clone(), KeyTag::from_bytes([0xff; 32])));
            let (groups, done) = self.register().groups_after(after.as_ref(), most)?;
            let mut tags: Vec<Tag> = groups.into_iter().map(|(tag, _)| tag).collect();
            tags.dedup();
            (tags, done)
        };
        let mut page = Page {
            shown: Vec::with_capacity(tags.len()),
            next: tags.last().cloned().filter(|_| !done),
        };
        for tag in tags {
            if let Some(hash) = self.hash(&tag)? {
                page.shown.push((tag, hash));
            }
        }
        Ok(page)
    }

    fn shown(&mut self, tag: &Tag) -> Result<Option<Bytes>, StorageError> {
        if self.is_roots() {
            return Ok(self.root(tag)?.map(|root| root.text().clone()));
        }
        match self.row(tag)? {
            Some(row) => self.text(&row),
            None => Ok(None),
        }
    }

    fn tombstones(&mut self, tag: &Tag) -> Result<Vec<Bytes>, StorageError> {
        let mut texts = Vec::new();
        for row in self.tombstone_rows(tag)? {
            texts.extend(self.text(&row)?);
        }
        Ok(texts)
    }

    fn compare(&mut self, tag: &Tag, hash: &Digest) -> Result<Compared, StorageError> {
        if self.shelf.holds_states() {
            self.compare_state(tag, hash)
        } else if self.is_roots() {
            self.compare_root(tag, hash)
        } else {
            self.compare_item(tag, hash)
        }
    }

    fn take(&mut self, tag: &Tag, text: Bytes) -> Result<Taken, StorageError> {
        let Some(record) = self.read(tag, text) else {
            return Ok(Taken::Done);
        };
        match js::Verified::of(&record) {
            Some(root) if !root.heads().is_empty() => self.take_root(&root),
            _ => self.offer(tag, &record),
        }
    }
}

/// The owners of rows that are sorted by them.
fn owners(rows: &[Row]) -> Vec<KeyTag> {
    let mut owners: Vec<KeyTag> = rows.iter().map(|row| row.owner).collect();
    owners.dedup();
    owners
}
