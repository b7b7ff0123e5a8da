//! The Team records of the js profile in a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::MAX_REMEMBERED;
use crate::authority::Unjudged;
use crate::authority::js::{JudgeError, Judgement as Verdict, TeamRecord, judge};
use crate::authority::judgement::Judgement;
use crate::record::js;
use crate::register::{Register, Row};
use crate::storage::{Storage, StorageError};
use crate::{CollectionId, Digest, KeyTag, Verified};

pub(crate) struct JavascriptTeams {
    register: Register,
    parsed: BTreeMap<Digest, TeamRecord>,
}

impl JavascriptTeams {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            register: Register::new(storage, CollectionId::javascript_team()),
            parsed: BTreeMap::new(),
        }
    }

    /// Judges a team by these records, one of which may not be in the store yet.
    pub(crate) fn judge(
        &mut self,
        rows: &[Row],
        newcomer: Option<&Verified>,
        pin: Option<&Digest>,
    ) -> Result<(Vec<TeamRecord>, Result<Verdict, JudgeError>), StorageError> {
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.extend(self.read(row, newcomer)?);
        }
        let verdict = judge(&records, pin);
        Ok((records, verdict))
    }

    fn read(
        &mut self,
        row: &Row,
        newcomer: Option<&Verified>,
    ) -> Result<Option<TeamRecord>, StorageError> {
        let digest = row.stamp.digest;
        if let Some(known) = self.parsed.get(&digest) {
            return Ok(Some(known.clone()));
        }
        let record = match newcomer.filter(|record| record.digest() == digest) {
            Some(record) => record.clone(),
            None => match self.register.record(&digest)? {
                Some(record) => record,
                // Archived.
                None => return Ok(None),
            },
        };
        let read = js::Verified::of(&record).and_then(|record| TeamRecord::of(&record).ok());
        let read = read.ok_or(StorageError::Damaged)?;
        if self.parsed.len() >= MAX_REMEMBERED {
            self.parsed.clear();
        }
        self.parsed.insert(digest, read.clone());
        Ok(Some(read))
    }

    /// What the js records of a team say, beside what the native ones do.
    pub(super) fn judge_beside(
        &mut self,
        team: &KeyTag,
        pin: Option<&Digest>,
        native: Option<Arc<Judgement>>,
    ) -> Result<Option<Arc<Judgement>>, StorageError> {
        let rows = self.register.group(&team.tag(), team)?;
        if rows.is_empty() {
            return Ok(native);
        }
        let pinned = pin.is_some_and(|pin| rows.iter().any(|row| row.hash == *pin));
        if native.is_some() && !pinned {
            let both = || Arc::new(Judgement::javascript_unjudged(*team, Unjudged::Rivals));
            return Ok(pin.map_or_else(|| Some(both()), |_| native));
        }
        let (records, verdict) = self.judge(&rows, None, pin)?;
        let judgement = match verdict {
            Ok(verdict) => verdict.in_full(*team, &records),
            Err(JudgeError::Unjudged | JudgeError::PinMissing) => {
                Judgement::javascript_unjudged(*team, Unjudged::Missing)
            }
            Err(_) => Judgement::javascript_unjudged(*team, Unjudged::Rivals),
        };
        Ok(Some(Arc::new(judgement)))
    }
}
