//! What one Team record says, in public: its payload without the keys that are wrapped in it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::record::MAX_TIME;
use crate::{Digest, KeyTag, TagError, Verified, decode_base64url, encode_base64url};

/// The most members of one team, themselves perhaps teams.
pub const MAX_MEMBERS: usize = 1024;

/// One entry of a team's list: `tag`, or `tag#digest` for a team within the team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Who.
    pub tag: KeyTag,
    /// Of a team within the team: the digest of that team's record to whose key this record's
    /// keys are wrapped. Absent for a single key.
    pub record: Option<Digest>,
}

impl Member {
    /// A single key.
    #[must_use]
    pub const fn leaf(tag: KeyTag) -> Self {
        Self { tag, record: None }
    }

    /// Reads `tag` or `tag#digest`.
    ///
    /// # Errors
    /// [`TagError::NotKey`].
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let (tag, record) = match text.split_once('#') {
            None => (text, None),
            Some((tag, digest)) => (tag, Some(Digest::parse(digest)?)),
        };
        Ok(Self {
            tag: KeyTag::parse(tag)?,
            record,
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.record {
            None => write!(f, "{}", self.tag),
            Some(record) => write!(f, "{}#{record}", self.tag),
        }
    }
}

/// The payload of a Team record, one frozen layout:
///
/// ```text
/// {"members":[M,...][,"until":{tag:ms,...}],"key":{"kty":"OKP","crv":"X25519","x":K},"wrap":W}
/// {"members":[][,"until":{tag:ms,...}]}                                   the team is destroyed
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// Who is listed, in the order in which they joined; the first are the most senior.
    pub members: Vec<Member>,
    /// From when on (ms since 1970) what a removed key signed does not count; 0: none of it ever.
    /// Nobody in here is listed.
    pub until: BTreeMap<KeyTag, u64>,
    /// What only members can open; absent where none are left.
    pub sealed: Option<Sealed>,
}

/// The keys of a team, as a record has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The team's public encryption key from this record on: X25519 (RFC 8037 §2).
    pub key: [u8; 32],
    /// A JWE: the private keys, for the members.
    pub wrap: Box<str>,
}

/// Why a payload is no Team record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Not the frozen layout, byte for byte.
    #[error("a team record is laid out otherwise")]
    Layout,
    /// A member is listed twice, or is no key tag.
    #[error("a member is listed twice, or is no key")]
    Member,
    /// More than [`MAX_MEMBERS`].
    #[error("a team has at most {MAX_MEMBERS} members")]
    TooManyMembers,
    /// A team lists itself.
    #[error("a team lists itself")]
    Itself,
    /// `until` names a listed member, or no time.
    #[error("`until` does not fit the list")]
    Until,
    /// Keys without members or members without keys.
    #[error("keys and members do not fit")]
    Keys,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    members: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    until: BTreeMap<Cow<'a, str>, u64>,
    #[serde(borrow)]
    key: Option<RawKey<'a>>,
    #[serde(borrow)]
    wrap: Option<Cow<'a, str>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow)]
    crv: Cow<'a, str>,
    #[serde(borrow)]
    x: Cow<'a, str>,
}

impl Roster {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`RosterError`]; never panics, whatever the bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, RosterError> {
        let raw: Raw<'_> = serde_json::from_slice(payload).map_err(|_| RosterError::Layout)?;
        if raw.members.len() > MAX_MEMBERS {
            return Err(RosterError::TooManyMembers);
        }
        let members = raw
            .members
            .iter()
            .map(|text| Member::parse(text).map_err(|_| RosterError::Member))
            .collect::<Result<Vec<_>, _>>()?;
        let until = raw
            .until
            .iter()
            .map(|(tag, &ms)| Ok((KeyTag::parse(tag)?, ms)))
            .collect::<Result<_, TagError>>()
            .map_err(|_| RosterError::Until)?;
        let sealed = match (raw.key, raw.wrap) {
            (None, None) => None,
            (Some(key), Some(wrap)) => {
                let x = decode_base64url(key.x.as_bytes()).and_then(|x| x.try_into().ok());
                if key.kty != "OKP" || key.crv != "X25519" {
                    return Err(RosterError::Layout);
                }
                Some(Sealed {
                    key: x.ok_or(RosterError::Layout)?,
                    wrap: wrap.into(),
                })
            }
            _ => return Err(RosterError::Keys),
        };
        let roster = Self {
            members,
            until,
            sealed,
        };
        roster.check()?;
        if roster.write().as_bytes() == payload {
            Ok(roster)
        } else {
            Err(RosterError::Layout)
        }
    }

    /// Whether a reader would take it.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn check(&self) -> Result<(), RosterError> {
        if self.members.len() > MAX_MEMBERS {
            return Err(RosterError::TooManyMembers);
        }
        let tags: BTreeSet<KeyTag> = self.members.iter().map(|member| member.tag).collect();
        if tags.len() != self.members.len() {
            return Err(RosterError::Member);
        }
        if self
            .until
            .iter()
            .any(|(tag, ms)| tags.contains(tag) || *ms > MAX_TIME)
        {
            return Err(RosterError::Until);
        }
        if self.sealed.is_none() != self.members.is_empty() {
            return Err(RosterError::Keys);
        }
        Ok(())
    }

    /// The payload's text.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = String::from(r#"{"members":["#);
        list(&mut out, self.members.iter(), |out, member| {
            out.push('"');
            out.push_str(&member.to_string());
            out.push('"');
        });
        out.push(']');
        if !self.until.is_empty() {
            // Ascending by text, as a reader's map has it.
            let texts: BTreeMap<String, u64> = self
                .until
                .iter()
                .map(|(tag, ms)| (tag.to_string(), *ms))
                .collect();
            out.push_str(r#","until":{"#);
            list(&mut out, texts.iter(), |out, (tag, ms)| {
                out.push_str(&format!(r#""{tag}":{ms}"#));
            });
            out.push('}');
        }
        if let Some(sealed) = &self.sealed {
            out.push_str(r#","key":{"kty":"OKP","crv":"X25519","x":""#);
            out.push_str(&encode_base64url(&sealed.key));
            out.push_str(r#""},"wrap":"#);
            // A string always serialises.
            out.push_str(&serde_json::Value::from(&*sealed.wrap).to_string());
        }
        out.push('}');
        out
    }
}

fn list<T>(out: &mut String, items: impl Iterator<Item = T>, mut one: impl FnMut(&mut String, T)) {
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        one(out, item);
    }
}

/// One Team record, as far as judging looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRecord {
    /// Its digest.
    pub digest: Digest,
    /// The digest of the record that it follows; absent in a first one.
    pub ant: Option<Digest>,
    /// When, in ms since 1970, as its author says.
    pub iat: u64,
    /// The key that signed beside the team's.
    pub author: KeyTag,
    /// Who is listed, in order.
    pub members: Vec<Member>,
    /// See [`Roster::until`].
    pub until: BTreeMap<KeyTag, u64>,
    /// The team's public encryption key, unless it is destroyed.
    pub key: Option<[u8; 32]>,
}

impl TeamRecord {
    /// Of a record of the collection `VersionedCollection/Team`.
    ///
    /// # Errors
    /// [`RosterError`] if its payload is none.
    pub fn of(record: &Verified) -> Result<Self, RosterError> {
        let header = record.header();
        let roster = Roster::parse(record.payload())?;
        if header.owner == header.author {
            return Err(RosterError::Member);
        }
        if roster
            .members
            .iter()
            .any(|member| member.tag == header.owner)
        {
            return Err(RosterError::Itself);
        }
        Ok(Self {
            digest: record.digest(),
            ant: header.ant,
            iat: header.iat,
            author: header.author,
            members: roster.members,
            until: roster.until,
            key: roster.sealed.map(|sealed| sealed.key),
        })
    }

    /// Whether a tag is listed.
    #[must_use]
    pub fn lists(&self, tag: &KeyTag) -> bool {
        self.members.iter().any(|member| member.tag == *tag)
    }
}
