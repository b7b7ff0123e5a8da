use crate::admission::Contender;
use crate::authority::Standing;
use crate::record::Stamp;
use crate::{Digest, KeyTag, Kind, Tag, Verified};

const TOMBSTONE: u8 = 1;
const ARCHIVED: u8 = 2;
const VERSION: u8 = 4;
const ANTECEDENT: u8 = 8;
const UNJUDGED: u8 = 16;
const VOID: u8 = 32;
const HASH: u8 = 64;

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
    /// The state tag, if it is a version; of a tombstone of the original the state that it
    /// deletes, if it deletes one and not its subject.
    pub state: Option<Digest>,
    /// The state tag of the version that it follows.
    pub ant: Option<Digest>,
    /// Whether it counts, by the Team records that were here when it was last judged.
    pub standing: Standing,
    /// SHA-256 of the text, by which the JavaScript original names it: of a native record its
    /// digest.
    pub hash: Digest,
}

impl Row {
    /// The row of a record.
    #[must_use]
    pub fn of(record: &Verified, standing: Standing) -> Self {
        let header = record.header();
        let version = header.collection.kind() == Kind::Versioned && !record.is_tombstone();
        let state = if version {
            Some(record.state())
        } else {
            record.deletes_state()
        };
        Self {
            tag: header.tag.clone(),
            owner: header.owner,
            author: header.author,
            stamp: record.stamp(),
            tombstone: record.is_tombstone(),
            archived: false,
            state,
            ant: header.ant,
            standing,
            hash: record.hash(),
        }
    }

    /// Whether it was written for a team by a member.
    #[must_use]
    pub fn is_team(&self) -> bool {
        self.owner != self.author
    }

    /// Whether it is a record of the JavaScript original.
    #[must_use]
    pub fn is_javascript(&self) -> bool {
        self.hash != self.stamp.digest
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
            state: self.state,
            team: self.is_team(),
            standing: self.standing,
        }
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut flags = 0;
        for (flag, set) in [
            (TOMBSTONE, self.tombstone),
            (ARCHIVED, self.archived),
            (VERSION, self.state.is_some()),
            (ANTECEDENT, self.ant.is_some()),
            (UNJUDGED, self.standing == Standing::Unjudged),
            (VOID, self.standing == Standing::Void),
            (HASH, self.hash != self.stamp.digest),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let mut value = Vec::with_capacity(73);
        value.push(flags);
        value.extend_from_slice(&self.stamp.iat.to_be_bytes());
        for digest in self.state.iter().chain(&self.ant) {
            value.extend_from_slice(digest.as_bytes());
        }
        if flags & HASH != 0 {
            value.extend_from_slice(self.hash.as_bytes());
        }
        value
    }

    pub(super) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
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
        let digest = Digest::from_bytes(*digest);
        let hash = next(HASH)?.unwrap_or(digest);
        Some(Self {
            tag: Tag::new(str::from_utf8(tag).ok()?).ok()?,
            owner: KeyTag::from_bytes(*owner),
            author: KeyTag::from_bytes(*author),
            stamp: Stamp {
                iat: u64::from_be_bytes(*iat),
                digest,
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
            hash,
        })
    }
}
