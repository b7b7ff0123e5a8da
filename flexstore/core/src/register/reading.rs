//! What the rows of a tag show.

use std::collections::BTreeSet;

use std::ops::ControlFlow;

use super::{Heads, Register, Row};
use crate::authority::Standing;
use crate::storage::StorageError;
use crate::{Digest, KeyTag, Kind, Tag, Verified};

impl Register {
    /// The row that a tag shows, of one owner or of the one that the rules choose.
    ///
    /// # Errors
    /// [`ReadError`] if something is there that cannot be shown.
    pub fn find(
        &self,
        tag: &Tag,
        owner: Option<KeyTag>,
        selection: Selection,
    ) -> Result<Option<Row>, ReadError> {
        let kind = self.id().kind();
        let rows = match &owner {
            Some(owner) => self.group(tag, owner)?,
            None => self.rows(tag)?,
        };
        match owner_of(kind, tag, &rows, owner)? {
            Some(owner) => Ok(shown(kind, &rows, &owner, selection)?.cloned()),
            None => Ok(None),
        }
    }

    /// The record that a tag shows.
    ///
    /// # Errors
    /// [`ReadError`] if something is there that cannot be shown.
    pub fn read(
        &self,
        tag: &Tag,
        owner: Option<KeyTag>,
        selection: Selection,
    ) -> Result<Option<Verified>, ReadError> {
        // A writer may displace the record between the two look-ups; its text is then still there,
        // and a second look finds the newer row.
        match self.find(tag, owner, selection)? {
            None => Ok(None),
            Some(row) if row.archived => Err(ReadError::Archived(row.stamp.digest)),
            Some(row) => match self.record(&row.stamp.digest)? {
                Some(record) => Ok(Some(record)),
                None => Err(ReadError::Archived(row.stamp.digest)),
            },
        }
    }

    /// The versions of a subject, of one owner or of the one that the rules choose.
    ///
    /// # Errors
    /// [`ReadError`] if something is there that cannot be shown.
    pub fn versions(&self, tag: &Tag, owner: Option<KeyTag>) -> Result<Versions, ReadError> {
        let rows = self.rows(tag)?;
        let owner = owner_of(self.id().kind(), tag, &rows, owner)?;
        Ok(owner
            .map(|owner| Versions::of(&rows, &owner))
            .unwrap_or_default())
    }

    /// Those who hold an item under a tag and whose records count; of immutable content, its
    /// signers.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn signers(&self, tag: &Tag) -> Result<Vec<KeyTag>, StorageError> {
        let rows = self.rows(tag)?;
        let mut owners: Vec<KeyTag> = rows.iter().map(|row| row.owner).collect();
        owners.dedup();
        let kind = self.id().kind();
        owners.retain(|owner| matches!(shown(kind, &rows, owner, Selection::Latest), Ok(Some(_))));
        Ok(owners)
    }

    /// The tags under which somebody holds an item that counts, ascending.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn tags(&self) -> Result<Vec<Tag>, StorageError> {
        let kind = self.id().kind();
        let mut tags: Vec<Tag> = Vec::new();
        let mut group: Vec<Row> = Vec::new();
        let mut close = |group: &mut Vec<Row>| {
            if let Some(row) = group.first()
                && matches!(
                    shown(kind, group, &row.owner, Selection::Latest),
                    Ok(Some(_))
                )
                && tags.last() != Some(&row.tag)
            {
                tags.push(row.tag.clone());
            }
            group.clear();
        };
        self.each(&mut |row| {
            if group
                .first()
                .is_some_and(|first| first.owner != row.owner || first.tag != row.tag)
            {
                close(&mut group);
            }
            group.push(row);
            ControlFlow::Continue(())
        })?;
        close(&mut group);
        Ok(tags)
    }
}

/// Why nothing can be shown, though something is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Several owners hold an item under this tag, and neither the call nor the collection's
    /// policy names one.
    #[error("several owners hold this tag")]
    SeveralOwners(Vec<KeyTag>),
    /// The owner is a team whose records are not here, so nobody can tell who may write for it.
    #[error("the owner's team records are missing")]
    Unjudged(KeyTag),
    /// The text was archived; a peer may still have it.
    #[error("the text was archived")]
    Archived(Digest),
    /// The store does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Which of the records under a tag is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Selection {
    /// The one that is shown now.
    #[default]
    Latest,
    /// The version in force at a time, in milliseconds since 1970.
    At(u64),
    /// One version, by the digest of its record or by its state tag.
    Version(Digest),
}

/// When a version was written. Versions of one millisecond are told apart by their place among
/// them, in the order of their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// 0 for the first of its millisecond.
    pub nth: u32,
}

/// The owner whose item a tag shows: the one asked for; else the tag itself, where it is a key;
/// else the one to whom a name made by the library commits; else the only one.
///
/// Immutable content is the same whoever owns it, so there the owner of the earliest record is
/// taken.
pub(crate) fn owner_of(
    kind: Kind,
    tag: &Tag,
    rows: &[Row],
    asked: Option<KeyTag>,
) -> Result<Option<KeyTag>, ReadError> {
    if asked.is_some() {
        return Ok(asked);
    }
    let mut owners: Vec<KeyTag> = rows.iter().map(|row| row.owner).collect();
    owners.dedup();
    if let Some(own) = owners.iter().find(|owner| tag.belongs_to(owner)) {
        return Ok(Some(*own));
    }
    // An owner whose item is deleted holds nothing.
    owners.retain(|owner| !matches!(shown(kind, rows, owner, Selection::Latest), Ok(None)));
    match &owners[..] {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ if kind == Kind::Immutable => {
            let visible = rows
                .iter()
                .filter(|row| !row.tombstone && row.counts() && owners.contains(&row.owner));
            Ok(visible.min_by_key(|row| row.stamp).map(|row| row.owner))
        }
        _ => Err(ReadError::SeveralOwners(owners)),
    }
}

/// The row that one owner's records under a tag show.
pub(crate) fn shown<'a>(
    kind: Kind,
    rows: &'a [Row],
    owner: &KeyTag,
    selection: Selection,
) -> Result<Option<&'a Row>, ReadError> {
    let of_owner = || rows.iter().filter(|row| row.owner == *owner);
    let counting = || of_owner().filter(|row| row.counts());
    if counting().next().is_none() && of_owner().any(|row| row.standing == Standing::Unjudged) {
        return Err(ReadError::Unjudged(*owner));
    }
    let live = |row: &&Row| !row.tombstone;
    Ok(match (kind, selection) {
        (_, Selection::Version(digest)) => counting()
            .filter(live)
            .find(|row| row.stamp.digest == digest || row.state == Some(digest)),
        (Kind::Immutable, _) => {
            if counting().any(|row| row.tombstone) {
                return Ok(None);
            }
            counting().min_by_key(|row| row.stamp)
        }
        (Kind::Mutable, _) => counting().max_by_key(|row| row.stamp).filter(live),
        (Kind::Versioned, selection) => {
            let until = if let Selection::At(time) = selection {
                time
            } else {
                u64::MAX
            };
            let versions = || {
                counting()
                    .filter(live)
                    .filter(move |row| row.stamp.iat <= until)
            };
            // The greatest version that no other follows.
            let followed: BTreeSet<Digest> = versions().filter_map(|row| row.ant).collect();
            let head = |row: &&Row| row.state.is_none_or(|state| !followed.contains(&state));
            // Among what originals wrote anew, one that leads to all of it.
            let heads = versions().any(Row::is_javascript).then(|| {
                let rows: Vec<Row> = versions().cloned().collect();
                Heads::of(&rows, owner).list
            });
            let listed = |row: &&Row| match (&heads, row.state) {
                (Some(heads), Some(state)) => heads.contains(&state),
                _ => true,
            };
            versions()
                .filter(head)
                .filter(listed)
                .max_by_key(|row| row.stamp)
        }
    })
}

/// The versions of one subject by one owner.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    rows: Vec<Row>,
}

impl Versions {
    pub(crate) fn of(rows: &[Row], owner: &KeyTag) -> Self {
        let mut rows: Vec<Row> = rows
            .iter()
            .filter(|row| row.owner == *owner && !row.tombstone && row.counts())
            .cloned()
            .collect();
        rows.sort_by_key(|row| row.stamp);
        Self { rows }
    }

    /// The versions, in order of time, then digest.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// When each was written, ascending and distinct.
    #[must_use]
    pub fn timestamps(&self) -> Vec<Timestamp> {
        let mut out: Vec<Timestamp> = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let nth = match out.last() {
                Some(last) if last.ms == row.stamp.iat => last.nth + 1,
                _ => 0,
            };
            out.push(Timestamp {
                ms: row.stamp.iat,
                nth,
            });
        }
        out
    }
}
