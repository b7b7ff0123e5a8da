//! A team's private keys: as a Team record wraps them, and as a member holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flexstore_core::authority::{Member, Roster, Sealed, TeamRecord};
use flexstore_core::record::SigningKey;
use flexstore_core::{CollectionId, Digest, KeyTag, Verified, decode_base64url, encode_base64url};
use zeroize::Zeroizing;

use crate::random;
use crate::seal::{self, Audience, Binding, EncryptionKey, EncryptionSecret, Kid, SealError};

/// Pairs of a team that are kept though no record here has them: it may still be on its way.
const MAX_OTHERS: usize = 256;

/// A team's signing pair and all its encryption pairs that are known here.
pub(crate) struct TeamKeys {
    signing: SigningKey,
    /// In order of making: the last one was current in the newest record that was opened.
    secrets: Vec<EncryptionSecret>,
    /// Which of them each Team record has.
    by_record: BTreeMap<Digest, usize>,
}

/// What a record's `wrap` holds. The texts are borrowed, so that no copy of a secret is made.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<'a> {
    signing: &'a str,
    encryption: Vec<&'a str>,
}

impl TeamKeys {
    /// Those of a new team.
    pub(crate) fn generate() -> Option<Self> {
        let seed = Zeroizing::new(random::bytes::<32>().ok()?);
        let mut keys = Self {
            signing: SigningKey::from_seed(&seed),
            secrets: Vec::new(),
            by_record: BTreeMap::new(),
        };
        keys.rotate()?;
        Some(keys)
    }

    pub(crate) const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The key to which items of a record's time are sealed.
    pub(crate) fn secret(&self, record: &Digest) -> Option<&EncryptionSecret> {
        self.secrets.get(*self.by_record.get(record)?)
    }

    /// Adds a new encryption pair, from now on the current one.
    pub(crate) fn rotate(&mut self) -> Option<()> {
        self.secrets.push(EncryptionSecret::generate().ok()?);
        Some(())
    }

    /// Makes the pair with this public key the current one.
    pub(crate) fn make_current(&mut self, key: &[u8; 32]) -> Option<()> {
        let at = self.place(key)?;
        let secret = self.secrets.remove(at);
        self.secrets.push(secret);
        self.by_record.clear();
        Some(())
    }

    fn place(&self, key: &[u8; 32]) -> Option<usize> {
        let key = EncryptionKey::from_bytes(*key).ok()?;
        self.secrets
            .iter()
            .position(|secret| secret.public() == key)
    }

    /// Notes which pair a record has, if it is here.
    pub(super) fn note(&mut self, record: &TeamRecord) -> bool {
        let place = record.key.as_ref().and_then(|key| self.place(key));
        if let Some(place) = place {
            self.by_record.insert(record.digest, place);
        }
        place.is_some()
    }

    /// Adds what another record had: its pairs that are not here yet, before the others.
    pub(super) fn merge(&mut self, other: Self) {
        let here: Vec<EncryptionKey> = self.secrets.iter().map(EncryptionSecret::public).collect();
        let new = (other.secrets.into_iter()).filter(|secret| !here.contains(&secret.public()));
        let mut all: Vec<EncryptionSecret> = new.collect();
        let shift = all.len();
        all.append(&mut self.secrets);
        self.secrets = all;
        self.by_record.values_mut().for_each(|at| *at += shift);
    }

    /// Drops pairs that no record here has, all but the latest so many: a member may have put in any
    /// number, so that no record could hold them all and one more.
    pub(super) fn limit(&mut self, records: &[Arc<TeamRecord>]) {
        if self.secrets.len() <= MAX_OTHERS {
            return;
        }
        let named: BTreeSet<[u8; 32]> = records.iter().filter_map(|record| record.key).collect();
        let mut others = 0;
        let mut kept = Vec::with_capacity(self.secrets.len().min(named.len() + MAX_OTHERS));
        for secret in std::mem::take(&mut self.secrets).into_iter().rev() {
            let is_named = named.contains(secret.public().as_bytes());
            others += usize::from(!is_named);
            if is_named || others <= MAX_OTHERS {
                kept.push(secret);
            }
        }
        kept.reverse();
        self.secrets = kept;
        self.by_record.clear();
    }

    /// Whether the pair of a record is here.
    pub(super) fn has(&self, record: &Digest) -> bool {
        self.by_record.contains_key(record)
    }

    pub(crate) fn copy(&self) -> Self {
        let copy = |secret: &EncryptionSecret| EncryptionSecret::from_bytes(*secret.to_bytes());
        Self {
            signing: self.signing.clone(),
            secrets: self.secrets.iter().map(copy).collect(),
            by_record: self.by_record.clone(),
        }
    }

    /// The payload of a Team record by this author that lists these members and wraps all keys
    /// for those that have a key.
    pub(crate) fn roster(
        &self,
        author: &KeyTag,
        members: &[(Member, Option<EncryptionKey>)],
        until: BTreeMap<KeyTag, u64>,
    ) -> Result<Roster, SealError> {
        let current = self.secrets.last().ok_or(SealError::Failed)?;
        let mut text = Zeroizing::new(String::with_capacity(80 + self.secrets.len() * 46));
        text.push_str(r#"{"signing":""#);
        text.push_str(&Zeroizing::new(encode_base64url(&*self.signing.to_seed())));
        text.push_str(r#"","encryption":["#);
        for (i, secret) in self.secrets.iter().enumerate() {
            text.push_str(if i == 0 { "\"" } else { ",\"" });
            text.push_str(&Zeroizing::new(encode_base64url(&*secret.to_bytes())));
            text.push('"');
        }
        text.push_str("]}");
        let audience: Vec<Audience> = members
            .iter()
            .filter_map(|(member, key)| {
                let kid = kid(member);
                key.map(|key| Audience { kid, key })
            })
            .collect();
        let binding = binding(&self.signing.tag(), author);
        let wrap = seal::seal(text.as_bytes(), Some("json"), &binding, &audience)?;
        Ok(Roster {
            members: members.iter().map(|(member, _)| *member).collect(),
            until,
            sealed: Some(Sealed {
                key: *current.public().as_bytes(),
                wrap: wrap.into(),
            }),
        })
    }

    /// Opens what a Team record wraps, as a member that the look-up knows. `None` if it knows
    /// none, or the record is not what it claims to be.
    pub(super) fn open<'k>(
        record: &Verified,
        find: &dyn Fn(&Kid) -> Option<&'k EncryptionSecret>,
    ) -> Option<Self> {
        let header = record.header();
        let roster = Roster::parse(record.payload()).ok()?;
        let sealed = roster.sealed?;
        let binding = binding(&header.owner, &header.author);
        let opened = seal::open(&sealed.wrap, &binding, find).ok()?;
        let wrapped: Wrapped<'_> = serde_json::from_slice(&opened.content).ok()?;
        let bytes = |text: &str| -> Option<Zeroizing<[u8; 32]>> {
            let bytes = Zeroizing::new(decode_base64url(text.as_bytes())?);
            Some(Zeroizing::new(bytes[..].try_into().ok()?))
        };
        let signing = SigningKey::from_seed(&*bytes(wrapped.signing)?);
        if signing.tag() != header.owner {
            return None;
        }
        let secrets = wrapped
            .encryption
            .iter()
            .map(|text| Some(EncryptionSecret::from_bytes(*bytes(text)?)))
            .collect::<Option<_>>()?;
        Some(Self {
            signing,
            secrets,
            by_record: BTreeMap::new(),
        })
    }
}

/// The entry of a list as the name of a recipient's key.
pub(super) const fn kid(member: &Member) -> Kid {
    Kid {
        tag: member.tag,
        record: member.record,
    }
}

fn binding(team: &KeyTag, author: &KeyTag) -> Binding {
    Binding {
        owner: *team,
        author: *author,
        col: CollectionId::team().as_str().into(),
        tag: Some(team.to_string()),
        prop: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_member_stuffed_in_are_dropped_and_those_of_records_stay() {
        let mut keys = TeamKeys::generate().unwrap();
        let key = |keys: &TeamKeys| Some(*keys.secrets.last().unwrap().public().as_bytes());
        let author = keys.signing().tag();
        let record = |key, n: u8| {
            Arc::new(TeamRecord {
                digest: Digest::of(&[n]),
                ant: None,
                iat: n.into(),
                author,
                members: Vec::new(),
                until: BTreeMap::new(),
                key,
            })
        };
        let first = record(key(&keys), 1);
        for _ in 0..2000 {
            keys.rotate().unwrap();
        }
        let last = record(key(&keys), 2);
        for _ in 0..2000 {
            keys.rotate().unwrap();
        }
        let records = [first, last];
        keys.limit(&records);
        assert_eq!(keys.secrets.len(), 2 + MAX_OTHERS);
        for record in &records {
            assert!(keys.note(record));
            let secret = keys.secret(&record.digest).unwrap();
            assert_eq!(Some(*secret.public().as_bytes()), record.key);
        }
    }
}
