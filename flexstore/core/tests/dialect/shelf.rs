//! A shelf for tests: texts by tag, of which the greater wins.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flexstore_core::dialect::{Compared, Page, Shelves, Taken};
use flexstore_core::storage::StorageError;
use flexstore_core::{Digest, Tag};

#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) texts: BTreeMap<Tag, Bytes>,
    pub(crate) deleted: BTreeMap<Tag, Bytes>,
    pub(crate) displaced: BTreeSet<Digest>,
    /// Whether what comes has to wait for the disk.
    pub(crate) slow: bool,
    pub(crate) looked_up: usize,
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

impl Shelf {
    pub(crate) fn of(items: &[(&str, &str)]) -> Self {
        let texts = items
            .iter()
            .map(|(name, text)| (tag(name), Bytes::from((*text).to_owned())));
        Self {
            texts: texts.collect(),
            ..Self::default()
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts
            .get(&tag(name))
            .map(|text| std::str::from_utf8(text).unwrap())
    }

    pub(crate) fn delete(&mut self, name: &str, tombstone: &str) {
        if let Some(text) = self.texts.remove(&tag(name)) {
            self.displaced.insert(Digest::of(&text));
        }
        self.deleted
            .insert(tag(name), Bytes::from(tombstone.to_owned()));
    }
}

impl Shelves for Shelf {
    fn page(&mut self, after: Option<&Tag>, most: usize) -> Result<Page, StorageError> {
        let later = self
            .texts
            .iter()
            .filter(|(tag, _)| after.is_none_or(|after| *tag > after));
        let shown: Vec<_> = later
            .take(most)
            .map(|(tag, text)| (tag.clone(), Digest::of(text)))
            .collect();
        let next = shown
            .last()
            .map(|(tag, _)| tag.clone())
            .filter(|_| shown.len() == most);
        Ok(Page { shown, next })
    }

    fn shown(&mut self, tag: &Tag) -> Result<Option<Bytes>, StorageError> {
        self.looked_up += 1;
        Ok(self.texts.get(tag).cloned())
    }

    fn tombstones(&mut self, tag: &Tag) -> Result<Vec<Bytes>, StorageError> {
        Ok(self.deleted.get(tag).into_iter().cloned().collect())
    }

    fn compare(&mut self, tag: &Tag, hash: &Digest) -> Result<Compared, StorageError> {
        let equal = self
            .texts
            .get(tag)
            .is_some_and(|text| Digest::of(text) == *hash);
        Ok(if equal {
            Compared::Known
        } else if !self.displaced.contains(hash) {
            Compared::Unknown
        } else if self.deleted.contains_key(tag) {
            Compared::Deleted
        } else {
            Compared::Known
        })
    }

    fn take(&mut self, tag: &Tag, text: Bytes) -> Result<Taken, StorageError> {
        if text.starts_with(b"bad") {
            return Ok(Taken::Done);
        }
        if text.starts_with(b"deleted") {
            self.texts.remove(tag);
            self.deleted.insert(tag.clone(), text);
        } else if self.deleted.contains_key(tag) {
            return Ok(Taken::Deleted);
        } else if self.texts.get(tag).is_none_or(|there| *there < text) {
            self.texts.insert(tag.clone(), text);
        }
        Ok(if self.slow {
            Taken::Pending
        } else {
            Taken::Done
        })
    }
}
