//! Team records made by hand, and judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use flexstore_core::authority::{Judgement, Member, Roster, Sealed, TeamRecord, Teams, judge};
use flexstore_core::record::{Content, Draft};
use flexstore_core::storage::StorageError;
use flexstore_core::{CollectionId, Digest, KeyTag, SigningKey, Verified};

/// A key by its number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// Its tag.
pub(crate) fn tag(number: u8) -> KeyTag {
    key(number).tag()
}

/// A leaf's entry.
pub(crate) fn leaf(number: u8) -> Member {
    Member::leaf(tag(number))
}

/// A team's entry, whose keys are wrapped to one of its records.
pub(crate) fn nested(number: u8, record: Digest) -> Member {
    Member {
        tag: tag(number),
        record: Some(record),
    }
}

/// A Team record.
pub(crate) struct Change<'a> {
    pub(crate) team: u8,
    pub(crate) author: u8,
    pub(crate) after: Option<Digest>,
    pub(crate) iat: u64,
    pub(crate) members: &'a [Member],
    pub(crate) until: &'a [(u8, u64)],
}

impl Change<'_> {
    pub(crate) fn sign(&self) -> Verified {
        let roster = Roster {
            members: self.members.to_vec(),
            until: self.until.iter().map(|(n, ms)| (tag(*n), *ms)).collect(),
            sealed: (!self.members.is_empty()).then(|| Sealed {
                key: [7; 32],
                wrap: "sealed".into(),
            }),
        };
        let draft = Draft {
            collection: CollectionId::team(),
            tag: tag(self.team).tag(),
            content: Content::Plain {
                payload: roster.write().into(),
                cty: Some("json".into()),
            },
            ant: self.after,
            iat: self.iat,
        };
        draft.sign_for(&key(self.team), &key(self.author)).unwrap()
    }
}

/// Team records at hand.
#[derive(Default, Clone)]
pub(crate) struct Book {
    records: BTreeMap<KeyTag, Vec<Arc<TeamRecord>>>,
    pub(crate) pins: BTreeMap<KeyTag, Digest>,
}

impl Teams for Book {
    fn records(&mut self, team: &KeyTag) -> Result<Vec<Arc<TeamRecord>>, StorageError> {
        Ok(self.records.get(team).cloned().unwrap_or_default())
    }

    fn pin(&mut self, team: &KeyTag) -> Result<Option<Digest>, StorageError> {
        Ok(self.pins.get(team).copied())
    }
}

impl Book {
    /// Adds a record; its digest.
    pub(crate) fn add(&mut self, change: &Change<'_>) -> Digest {
        let record = TeamRecord::of(&change.sign()).unwrap();
        let digest = record.digest;
        let team = self.records.entry(tag(change.team)).or_default();
        team.push(Arc::new(record));
        digest
    }

    /// A record that follows another.
    pub(crate) fn then(
        &mut self,
        (team, author): (u8, u8),
        after: Digest,
        iat: u64,
        members: &[Member],
    ) -> Digest {
        self.add(&Change {
            team,
            author,
            after: Some(after),
            iat,
            members,
            until: &[],
        })
    }

    /// A first record.
    pub(crate) fn first(
        &mut self,
        (team, author): (u8, u8),
        iat: u64,
        members: &[Member],
    ) -> Digest {
        self.add(&Change {
            team,
            author,
            after: None,
            iat,
            members,
            until: &[],
        })
    }

    pub(crate) fn judge(&mut self, team: u8) -> Judgement {
        judge(self, &tag(team)).unwrap()
    }

    /// The digest of the winning head.
    pub(crate) fn head(&mut self, team: u8) -> Digest {
        self.judge(team).head().unwrap().digest
    }
}

impl Book {
    /// The same records in another order.
    pub(crate) fn rotate(&mut self, team: u8) {
        if let Some(records) = self.records.get_mut(&tag(team)) {
            records.rotate_left(1);
        }
    }
}
