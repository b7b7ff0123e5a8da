use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flexstore_core::authority::js::TeamRecord;
use flexstore_core::record::js::{Draft, ENCRYPTION_KEY, KEY_RECOVERY, Shelf, TEAM, Verified};
use flexstore_core::record::{CTY_JSON, Content, ParseError};
use flexstore_core::{KeyTag, SigningKey};

use super::keys::{KeySet, KeySetError, draft, encryption_draft};
use crate::seal::js::{Audience, RsaKey, RsaSecret};
use crate::seal::{self, OpenError, SealError};

/// How deep teams may nest when one is unlocked.
pub const MAX_NESTING: usize = 16;

/// Somebody to be listed, with its public encryption key.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its tag.
    pub tag: KeyTag,
    /// What the team's keys are wrapped with for it.
    pub key: RsaKey,
}

/// A Team record as it was read: who is listed, and the wrapped keys.
#[derive(Clone)]
pub struct Team {
    record: Verified,
    members: Vec<KeyTag>,
}

/// Why a team was not read, opened, made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TeamError {
    /// The record stands in another collection, or is sealed.
    #[error("not a record of a team")]
    NotATeam,
    /// The payload is no general JWE whose recipients are key tags.
    #[error("the list of members cannot be read")]
    Members,
    /// A list must have somebody, and nobody twice.
    #[error("a list of nobody, or of somebody twice")]
    List,
    /// The author is not on the list that stands.
    #[error("the author is no member")]
    NotAMember,
    /// A change must be later than what it changes.
    #[error("not later than the record that stands")]
    Time,
    /// The wrapped keys do not open.
    #[error("does not open: {0}")]
    Open(#[from] OpenError),
    /// What was wrapped are not the keys of this team.
    #[error("what is wrapped is not this team's: {0}")]
    Keys(#[from] KeySetError),
    /// What was wrapped are the keys of another.
    #[error("the keys of another are wrapped")]
    OtherKeys,
    /// The keys could not be wrapped.
    #[error("cannot be wrapped: {0}")]
    Seal(#[from] SealError),
    /// No record could be made.
    #[error("no record could be made: {0}")]
    Record(#[from] ParseError),
}

/// A team that was made.
#[derive(Debug)]
pub struct Created {
    /// Its keys.
    pub keys: KeySet,
    /// The record that publishes its encryption key, for the collection `EncryptionKey`.
    pub encryption_key: Verified,
    /// Its first record, for the collection `Team`.
    pub team: Team,
}

impl Team {
    /// Reads a record of the collection `Team`. One that destroys the team has no members.
    ///
    /// # Errors
    /// [`TeamError::NotATeam`], [`TeamError::Members`].
    pub fn read(record: Verified) -> Result<Self, TeamError> {
        let shelf = Shelf::credential(TEAM).map_err(|_| TeamError::NotATeam)?;
        if record.header().collection != *shelf.collection() {
            return Err(TeamError::NotATeam);
        }
        let members = if record.is_tombstone() {
            Vec::new()
        } else {
            let jwe = str::from_utf8(record.payload()).map_err(|_| TeamError::Members)?;
            let kids = seal::js::listed(jwe).map_err(|_| TeamError::Members)?;
            kids.ok_or(TeamError::Members)?
                .iter()
                .map(|kid| KeyTag::parse(kid).map_err(|_| TeamError::Members))
                .collect::<Result<_, _>>()?
        };
        Ok(Self { record, members })
    }

    /// The team.
    #[must_use]
    pub fn tag(&self) -> KeyTag {
        self.record.header().owner
    }

    /// Who is listed, in the order signed. Whether the list counts is for
    /// [`judge`](super::judge) to say.
    #[must_use]
    pub fn members(&self) -> &[KeyTag] {
        &self.members
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &Verified {
        &self.record
    }

    /// What judging needs of it.
    #[must_use]
    pub fn judged(&self) -> TeamRecord {
        let header = self.record.header();
        TeamRecord {
            digest: self.record.digest(),
            iat: header.iat,
            act: header.author,
            members: self.members.clone(),
        }
    }

    /// Opens the team's keys as a member.
    ///
    /// # Errors
    /// [`TeamError::Open`], [`TeamError::Keys`], [`TeamError::OtherKeys`].
    pub fn open(&self, member: &KeyTag, secret: &RsaSecret) -> Result<KeySet, TeamError> {
        let jwe = str::from_utf8(self.record.payload()).map_err(|_| TeamError::Members)?;
        let name = member.to_string();
        let opened = seal::js::open(jwe, &|kid| (kid == Some(&name)).then_some(secret))?;
        let text = str::from_utf8(&opened.content).map_err(|_| KeySetError::Malformed)?;
        let keys = KeySet::from_jwks(text)?;
        if keys.tag() == self.tag() {
            Ok(keys)
        } else {
            Err(TeamError::OtherKeys)
        }
    }

    /// Makes a team with fresh keys; its author must be one of the members. `iat` in ms since
    /// 1970.
    ///
    /// # Errors
    /// [`TeamError`].
    pub fn create(members: &[Member], author: &SigningKey, iat: u64) -> Result<Created, TeamError> {
        check(members)?;
        if !members.iter().any(|member| member.tag == author.tag()) {
            return Err(TeamError::NotAMember);
        }
        let keys = KeySet::generate()?;
        let encryption_key = encryption_draft(&keys, iat)?.sign_for(keys.signing(), author)?;
        let team = Self::listing(&keys, members, author, iat)?;
        Ok(Created {
            keys,
            encryption_key,
            team,
        })
    }

    /// Makes the record that follows this one: the same keys, wrapped anew for the members named
    /// and nobody else. `author` must be on the list that stands. Nothing rotates: former members
    /// keep what they had, and open what is sealed to the team later.
    ///
    /// # Errors
    /// [`TeamError`].
    pub fn change(
        &self,
        keys: &KeySet,
        members: &[Member],
        author: &SigningKey,
        iat: u64,
    ) -> Result<Self, TeamError> {
        check(members)?;
        self.follows(keys, author, iat)?;
        Self::listing(keys, members, author, iat)
    }

    fn follows(&self, keys: &KeySet, author: &SigningKey, iat: u64) -> Result<(), TeamError> {
        if keys.tag() != self.tag() {
            return Err(TeamError::OtherKeys);
        }
        if !self.members.contains(&author.tag()) {
            return Err(TeamError::NotAMember);
        }
        if iat <= self.record.header().iat {
            return Err(TeamError::Time);
        }
        Ok(())
    }

    fn listing(
        keys: &KeySet,
        members: &[Member],
        author: &SigningKey,
        iat: u64,
    ) -> Result<Self, TeamError> {
        let audiences: Vec<_> = members
            .iter()
            .map(|member| Audience {
                kid: member.tag.to_string(),
                key: member.key.clone(),
            })
            .collect();
        let wrapped =
            seal::js::seal_general(keys.to_jwks().as_bytes(), Some(CTY_JSON), &audiences)?;
        let draft = draft(TEAM, keys.tag(), wrapped.into(), CTY_JSON, iat)?;
        Self::read(draft.sign_for(keys.signing(), author)?)
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "js::Team({} of {})", self.tag(), self.members.len())
    }
}

fn check(members: &[Member]) -> Result<(), TeamError> {
    let mut tags: Vec<_> = members.iter().map(|member| member.tag).collect();
    tags.sort_unstable();
    if tags.is_empty() || !tags.is_sorted_by(|a, b| a < b) {
        return Err(TeamError::List);
    }
    Ok(())
}

fn tombstone(name: &str, tag: KeyTag, iat: u64) -> Result<Draft, ParseError> {
    let shelf = Shelf::credential(name).map_err(|_| ParseError::Collection)?;
    Ok(Draft::new(shelf, tag.tag(), Content::Tombstone, iat))
}

/// Destroys a team: the tombstones for `EncryptionKey` and `Team`. The author must be a member.
///
/// # Errors
/// [`TeamError`].
pub fn destroy_team(
    team: &Team,
    keys: &KeySet,
    author: &SigningKey,
    iat: u64,
) -> Result<[Verified; 2], TeamError> {
    team.follows(keys, author, iat)?;
    let sign = |name| tombstone(name, keys.tag(), iat)?.sign_for(keys.signing(), author);
    Ok([sign(ENCRYPTION_KEY)?, sign(TEAM)?])
}

/// Destroys a recovery, such as the one in an invitation: the tombstones for `EncryptionKey` and
/// `KeyRecovery`.
///
/// # Errors
/// [`ParseError`] for a time out of range.
pub fn destroy(keys: &KeySet, iat: u64) -> Result<[Verified; 2], ParseError> {
    let sign = |name| tombstone(name, keys.tag(), iat)?.sign(keys.signing());
    Ok([sign(ENCRYPTION_KEY)?, sign(KEY_RECOVERY)?])
}

/// What a caller has under a tag.
pub enum Found {
    /// The private keys.
    Keys(Arc<KeySet>),
    /// A team's record that counts.
    Team(Team),
}

/// Why a tag was not unlocked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// No key at hand leads to it.
    #[error("no key at hand leads to it")]
    NoKey,
    /// A member's key is at hand, and the team does not open with it.
    #[error("a team does not open: {0}")]
    Team(#[from] TeamError),
    /// Teams nest deeper than [`MAX_NESTING`].
    #[error("teams nest too deep")]
    TooDeep,
}

/// Finds the private keys of a tag: those at hand, else those that a team wraps for a member that
/// can be unlocked, in the order of the list. A team that is in itself adds nothing.
///
/// # Errors
/// [`UnlockError`].
pub fn unlock(
    tag: &KeyTag,
    look_up: &mut dyn FnMut(&KeyTag) -> Option<Found>,
) -> Result<Arc<KeySet>, UnlockError> {
    descend(tag, look_up, &mut BTreeMap::new(), 0)
}

/// `known` are the tags that were looked at: those that did not help, or are being tried, without
/// keys. None is looked at again, so that crossed teams cost no more than their number.
fn descend(
    tag: &KeyTag,
    look_up: &mut dyn FnMut(&KeyTag) -> Option<Found>,
    known: &mut BTreeMap<KeyTag, Option<Arc<KeySet>>>,
    depth: usize,
) -> Result<Arc<KeySet>, UnlockError> {
    if let Some(before) = known.get(tag) {
        return before.clone().ok_or(UnlockError::NoKey);
    }
    if depth > MAX_NESTING {
        return Err(UnlockError::TooDeep);
    }
    known.insert(*tag, None);
    let keys = match look_up(tag) {
        None => return Err(UnlockError::NoKey),
        Some(Found::Keys(keys)) => keys,
        Some(Found::Team(team)) => through(&team, look_up, known, depth)?,
    };
    known.insert(*tag, Some(Arc::clone(&keys)));
    Ok(keys)
}

fn through(
    team: &Team,
    look_up: &mut dyn FnMut(&KeyTag) -> Option<Found>,
    known: &mut BTreeMap<KeyTag, Option<Arc<KeySet>>>,
    depth: usize,
) -> Result<Arc<KeySet>, UnlockError> {
    let mut failure = UnlockError::NoKey;
    for member in team.members() {
        match descend(member, look_up, known, depth + 1) {
            Ok(keys) => match team.open(member, keys.opening()) {
                Ok(keys) => return Ok(Arc::new(keys)),
                Err(error) => failure = error.into(),
            },
            Err(UnlockError::NoKey) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
