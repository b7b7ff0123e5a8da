use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::TeamRecord;
use crate::authority::MAX_MEMBERS;
use crate::record::js::Verified;
use crate::{CollectionId, KeyTag};

/// Why a record is no Team record of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TeamRecordError {
    /// It stands in another collection, or no team and member signed it.
    #[error("no team and member signed it, or it belongs elsewhere")]
    NotATeam,
    /// Its payload is no general JWE (RFC 7516 §7.2.1) whose recipients are key tags, distinct
    /// and at most [`MAX_MEMBERS`].
    #[error("not the wrapped keys of a team")]
    Members,
}

impl TeamRecord {
    /// What judging needs of a record of `js:MutableCollection/Team`. The list is that of the
    /// recipients to whom the team's keys are wrapped; an empty payload destroys the team.
    ///
    /// # Errors
    /// [`TeamRecordError`].
    pub fn of(record: &Verified) -> Result<Self, TeamRecordError> {
        let header = record.header();
        let here = header.collection == CollectionId::javascript_team();
        if !here || header.owner == header.author {
            return Err(TeamRecordError::NotATeam);
        }
        let members = if record.is_tombstone() {
            Vec::new()
        } else {
            listed(record.payload())?
        };
        Ok(Self {
            digest: record.digest(),
            iat: header.iat,
            act: header.author,
            members,
        })
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<'a> {
    #[serde(borrow)]
    recipients: Vec<Recipient<'a>>,
    #[serde(rename = "ciphertext")]
    _ciphertext: IgnoredAny,
    #[serde(rename = "iv")]
    _iv: IgnoredAny,
    #[serde(rename = "tag")]
    _tag: IgnoredAny,
    #[serde(rename = "protected")]
    _protected: IgnoredAny,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient<'a> {
    #[serde(rename = "encrypted_key")]
    _key: IgnoredAny,
    #[serde(borrow)]
    header: Named<'a>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(rename = "alg")]
    _alg: IgnoredAny,
}

fn listed(payload: &[u8]) -> Result<Vec<KeyTag>, TeamRecordError> {
    let wrong = TeamRecordError::Members;
    let wrapped: Wrapped<'_> = serde_json::from_slice(payload).map_err(|_| wrong)?;
    let members = (wrapped.recipients.iter())
        .map(|recipient| KeyTag::parse(&recipient.header.kid).map_err(|_| wrong))
        .collect::<Result<Vec<_>, _>>()?;
    let mut sorted = members.clone();
    sorted.sort_unstable();
    if members.is_empty() || members.len() > MAX_MEMBERS || !sorted.is_sorted_by(|a, b| a < b) {
        return Err(wrong);
    }
    Ok(members)
}
