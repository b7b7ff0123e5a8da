//! Owners' roots of versioned collections of the js profile.
//!
//! A root only lists heads, which everybody derives from the versions, so it is no record of the
//! set and replicas do not reconcile it. What an owner signed is kept for those who ask for a
//! signature of the owner's and not of a relay's: of each subject and owner the last, by time,
//! then digest.

use bytes::Bytes;

use super::Register;
use crate::record::js;
use crate::storage::{Batch, StorageError, Table};
use crate::{Digest, KeyTag, Tag, Verified};

impl Register {
    /// The last root that an owner signed for a subject, if one is here. Whether it lists what the
    /// versions tell is the caller's to see.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn root(
        &self,
        subject: &Tag,
        owner: &KeyTag,
    ) -> Result<Option<js::Verified>, StorageError> {
        let value = self
            .storage
            .get(Table::Body, &self.root_key(subject, owner))?;
        let Some(value) = value else {
            return Ok(None);
        };
        let damaged = || StorageError::Damaged;
        let (digest, _) = value.split_first_chunk().ok_or_else(damaged)?;
        let digest = Digest::from_bytes(*digest);
        let record = Verified::restore(value.slice(digest.as_bytes().len()..), &digest, &self.id);
        let root = record.ok().as_ref().and_then(js::Verified::of);
        root.map(Some).ok_or_else(damaged)
    }

    pub(crate) fn put_root(&self, batch: &mut Batch, root: &js::Verified) {
        let header = root.header();
        let key = self.root_key(&header.tag, &header.owner);
        let record = Verified::from(root.clone());
        let value = [&record.digest().as_bytes()[..], record.sent()].concat();
        batch.put(Table::Body, key, Bytes::from(value));
    }

    fn root_key(&self, subject: &Tag, owner: &KeyTag) -> Vec<u8> {
        let (place, tag) = (self.place_of(b"roots"), subject.as_str().as_bytes());
        [&place[..], tag, &[0], owner.as_bytes()].concat()
    }
}
