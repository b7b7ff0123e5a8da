//! What a session sees of its collection.

use bytes::Bytes;

use crate::storage::StorageError;
use crate::{Digest, Tag};

/// What became of a record that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is on its way to the store: [`Session::settled`](super::Session::settled) will tell.
    Pending,
    /// There was nothing to do.
    Done,
    /// Its owner has deleted the tag since: the other side is to be told.
    Deleted,
}

/// A stretch of the tags that show a record, ascending.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The tags, each with the hash of what it shows.
    pub shown: Vec<(Tag, Digest)>,
    /// After which tag to go on; `None` at the end.
    pub next: Option<Tag>,
}

/// What a session sees of its shelf.
pub trait Shelves {
    /// Looks at about so many tags after one of them.
    ///
    /// # Errors
    /// [`StorageError`].
    fn page(&mut self, after: Option<&Tag>, most: usize) -> Result<Page, StorageError>;

    /// The text of the record that a tag shows.
    ///
    /// # Errors
    /// [`StorageError`].
    fn shown(&mut self, tag: &Tag) -> Result<Option<Bytes>, StorageError>;

    /// The texts of the tombstones by which owners deleted what they had under a tag.
    ///
    /// # Errors
    /// [`StorageError`].
    fn tombstones(&mut self, tag: &Tag) -> Result<Vec<Bytes>, StorageError>;

    /// What is known of a hash under a tag.
    ///
    /// # Errors
    /// [`StorageError`].
    fn compare(&mut self, tag: &Tag, hash: &Digest) -> Result<Compared, StorageError>;

    /// Takes a record, or refuses it.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be told.
    fn take(&mut self, tag: &Tag, text: Bytes) -> Result<Taken, StorageError>;
}

/// How a hash of the other side's compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// It is a record's that stands here, or that another displaced here.
    Known,
    /// It is a record's whose owner has deleted it since.
    Deleted,
    /// Nothing is known of it.
    Unknown,
}
