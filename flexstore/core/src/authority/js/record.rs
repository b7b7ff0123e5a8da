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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;
    use crate::authority::js::{JudgeError, MAX_ENTRIES, MAX_RECORDS, judge};
    use crate::record::Content;
    use crate::record::js::{Draft, Shelf, TEAM};

    fn key(n: u16) -> SigningKey {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        SigningKey::from_seed(&seed)
    }

    fn payload(kids: &[String]) -> String {
        let recipients: Vec<String> = kids
            .iter()
            .map(|kid| {
                format!(
                    r#"{{"encrypted_key":"A","header":{{"kid":"{kid}","alg":"RSA-OAEP-256"}}}}"#
                )
            })
            .collect();
        format!(
            r#"{{"ciphertext":"A","iv":"A","recipients":[{}],"tag":"A","protected":"A"}}"#,
            recipients.join(",")
        )
    }

    fn of(payload: String) -> Result<TeamRecord, TeamRecordError> {
        let (team, act) = (key(1), key(2));
        let content = Content::Plain {
            payload: payload.into(),
            cty: Some("json".into()),
        };
        let shelf = Shelf::credential(TEAM).unwrap();
        let draft = Draft::new(shelf, team.tag().tag(), content, 5);
        TeamRecord::of(&draft.sign_for(&team, &act).unwrap())
    }

    #[test]
    fn the_recipients_are_the_members() {
        let kids: Vec<String> = (0..3).map(|n| key(n).tag().to_string()).collect();
        let read = of(payload(&kids)).unwrap();
        assert_eq!(read.members, [0, 1, 2].map(|n| key(n).tag()));
        assert_eq!((read.act, read.iat), (key(2).tag(), 5));
        let twice = [kids[0].clone(), kids[0].clone()];
        let whole = payload(&kids);
        for bad in [
            payload(&[]),
            payload(&twice),
            payload(&["me".into()]),
            whole.replace(r#""tag""#, r#""tags""#),
            whole.replace(r#""iv":"A","#, r#""iv":"A","iv":"B","#),
            whole.replacen(r#""kid""#, r#""jku":"x","kid""#, 1),
            "[]".into(),
            "x".into(),
        ] {
            assert_eq!(of(bad.clone()), Err(TeamRecordError::Members), "{bad}");
        }
    }

    #[test]
    fn a_team_has_members_up_to_the_limit() {
        let tag = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            KeyTag::from_bytes(bytes).to_string()
        };
        let kids: Vec<String> = (0..=MAX_MEMBERS).map(tag).collect();
        assert_eq!(of(payload(&kids[1..])).unwrap().members.len(), MAX_MEMBERS);
        assert_eq!(of(payload(&kids)), Err(TeamRecordError::Members));
    }

    #[test]
    fn only_a_team_and_a_member_make_a_team_record() {
        let shelf = Shelf::credential(TEAM).unwrap();
        let draft = |shelf| Draft::new(shelf, key(1).tag().tag(), Content::Tombstone, 5);
        let alone = draft(shelf.clone()).sign(&key(1)).unwrap();
        assert_eq!(TeamRecord::of(&alone), Err(TeamRecordError::NotATeam));
        let destroyed = draft(shelf).sign_for(&key(1), &key(2)).unwrap();
        assert_eq!(TeamRecord::of(&destroyed).unwrap().members, []);
        let shelf = Shelf::credential("KeyRecovery").unwrap();
        let elsewhere = draft(shelf).sign_for(&key(1), &key(2)).unwrap();
        assert_eq!(TeamRecord::of(&elsewhere), Err(TeamRecordError::NotATeam));
    }

    #[test]
    fn a_team_is_judged_up_to_so_many_records_and_entries() {
        let members = |count: usize| -> Vec<KeyTag> {
            let tag = |n: usize| {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&n.to_be_bytes());
                KeyTag::from_bytes(bytes)
            };
            (0..count).map(tag).collect()
        };
        let record = |iat: usize, count: usize| TeamRecord {
            digest: crate::Digest::of(&iat.to_be_bytes()),
            iat: iat as u64,
            act: members(1)[0],
            members: members(count),
        };
        let many: Vec<_> = (0..=MAX_RECORDS).map(|n| record(n, 1)).collect();
        assert!(judge(&many[1..], None).is_ok());
        assert_eq!(judge(&many, None).unwrap_err(), JudgeError::TooMany);
        let wide = MAX_ENTRIES / 64;
        let mut full: Vec<_> = (0..64).map(|n| record(n, wide)).collect();
        assert!(judge(&full, None).is_ok());
        full[63] = record(63, wide + 1);
        assert_eq!(judge(&full, None).unwrap_err(), JudgeError::TooMany);
    }
}
