//! The protected header as the original writes it: known members only, in the orders it makes.
//!
//! ```text
//! compact:  alg [iss] [act] [iat] [sub] extras* kid [cty]
//! general:  kid alg [iss] [act] [iat] [sub] extras*
//! ```
//!
//! Extras are `cty`, `encryption`, `ant`, `group`, `individual`, `tag`, in any order: it is that
//! of the caller's options. The text must be what `JSON.stringify` gives for its value.

use serde_json::{Map, Value};

use super::shelf::{Role, Shelf};
use super::{Claimed, Rest, Signers};
use crate::json::{parse_strict, parse_to_depth};
use crate::record::header::check_cty;
use crate::record::{CTY_JSON, Encryption, Header, MAX_TIME, ParseError, Slot};
use crate::{Digest, KeyTag, Tag};

/// Where `{"kid":"…43…",` ends.
pub(super) const KID_END: usize = 8 + 43 + 2;

const HEAD: [&str; 4] = ["iss", "act", "iat", "sub"];
const EXTRAS: [&str; 6] = ["cty", "encryption", "ant", "group", "individual", "tag"];

/// What one signature's header says.
pub(super) struct Members {
    pub(super) kid: KeyTag,
    /// An empty one is none.
    pub(super) iss: Option<KeyTag>,
    pub(super) act: Option<KeyTag>,
    iat: u64,
    sub: Option<String>,
    cty: Option<Box<str>>,
    encryption: Said,
    ant: Option<Digest>,
    claimed: Option<Claimed>,
    tag: Option<String>,
}

/// What `encryption` says.
#[derive(PartialEq, Eq)]
enum Said {
    /// Nothing, in the records of keys and teams; or `null`.
    Nothing,
    /// `""`: plain, whatever the collection does otherwise.
    Explicitly,
    To(Tag),
}

impl Members {
    pub(super) fn parse(text: &[u8], slot: Slot) -> Result<Self, ParseError> {
        let layout = ParseError::HeaderLayout;
        let Ok(Value::Object(mut map)) = parse_to_depth(text, 1) else {
            return Err(layout);
        };
        if !in_order(map.keys().map(String::as_str), slot) {
            return Err(layout);
        }
        let written = Value::Object(map);
        if written.to_string().as_bytes() != text {
            return Err(layout);
        }
        map = match written {
            Value::Object(map) => map,
            _ => return Err(layout),
        };
        if take(&mut map, "alg")?.as_deref() != Some("EdDSA") {
            return Err(ParseError::Algorithm);
        }
        let key = |text: &str| KeyTag::parse(text).map_err(|_| ParseError::Key);
        let mut name = |member: &str| match take(&mut map, member)? {
            Some(text) if !text.is_empty() => key(&text).map(Some),
            _ => Ok(None),
        };
        let kid = name("kid")?.ok_or(ParseError::Key)?;
        let (iss, act) = (name("iss")?, name("act")?);
        let claimed = match (name("group")?, name("individual")?) {
            (None, None) => None,
            (Some(group), None) => Some(Claimed::Group(group)),
            (None, Some(individual)) => Some(Claimed::Individual(individual)),
            (Some(_), Some(_)) => return Err(ParseError::Key),
        };
        let iat = map
            .get("iat")
            .and_then(Value::as_u64)
            .filter(|iat| *iat <= MAX_TIME)
            .ok_or(ParseError::Time)?;
        let encryption = match map.get("encryption") {
            None | Some(Value::Null) => Said::Nothing,
            Some(Value::String(text)) if text.is_empty() => Said::Explicitly,
            Some(Value::String(text)) => {
                Said::To(Tag::new(text).map_err(|_| ParseError::Audience)?)
            }
            Some(_) => return Err(ParseError::Audience),
        };
        let ant = match take(&mut map, "ant")? {
            None => None,
            Some(text) => Some(Digest::parse(&text).map_err(|_| ParseError::Antecedent)?),
        };
        Ok(Self {
            kid,
            iss,
            act,
            iat,
            sub: take(&mut map, "sub")?,
            cty: take(&mut map, "cty")?.map(Into::into),
            encryption,
            ant,
            claimed,
            tag: take(&mut map, "tag")?,
        })
    }

    /// Checks what can be checked about where the record stands, and makes its header.
    pub(super) fn place(
        self,
        (owner, author): Signers,
        payload: &[u8],
        shelf: &Shelf,
        place: Option<&Tag>,
    ) -> Result<(Header, Rest), ParseError> {
        let role = shelf.role();
        let listed = matches!(role, Role::Root | Role::State);
        if !listed && self.claimed.is_some() {
            return Err(ParseError::Key);
        }
        if self.ant.is_some() && role != Role::State {
            return Err(ParseError::Antecedent);
        }
        let tombstone = payload.is_empty();
        let explicitly = self.encryption == Said::Explicitly;
        let encryption = match self.encryption {
            Said::To(_) if tombstone || role == Role::Root => return Err(ParseError::Audience),
            Said::To(tag) => Encryption::Sealed(vec![tag]),
            Said::Nothing | Said::Explicitly if tombstone => Encryption::Tombstone,
            // A root is plain whatever its collection does, and says so.
            Said::Nothing if role == Role::Root => return Err(ParseError::Audience),
            Said::Nothing | Said::Explicitly => Encryption::Plain,
        };
        check_cty(self.cty.as_deref(), &encryption)?;
        let mut rest = Rest {
            claimed: self.claimed,
            ..Rest::default()
        };
        let sub = self.sub.as_deref();
        let named = |text: &str| Tag::new(text).map_err(|_| ParseError::Tag);
        let known = || place.cloned().ok_or(ParseError::Tag);
        // `sub` is the payload's hash unless the caller wanted none.
        let hashed = |hash: Digest| match sub {
            Some(sub) if sub != hash.to_string() => Err(ParseError::Payload),
            _ => Ok(()),
        };
        let tag = match role {
            Role::Immutable if tombstone => {
                let content = Digest::parse(sub.ok_or(ParseError::Tag)?);
                content.map_err(|_| ParseError::Tag)?.tag()
            }
            Role::Immutable => {
                let hash = Digest::of(payload);
                hashed(hash)?;
                hash.tag()
            }
            Role::Mutable if shelf.is_credential() => {
                if tombstone {
                    // `destroy` signs the hash of nothing, under which the owner's records of all
                    // these collections go at once; `remove` signs the tag.
                    let destroys = Digest::of(b"").to_string();
                    if ![destroys, owner.to_string()]
                        .iter()
                        .any(|text| sub == Some(text))
                    {
                        return Err(ParseError::Tag);
                    }
                } else {
                    hashed(Digest::of(payload))?;
                }
                owner.tag()
            }
            Role::Mutable | Role::Root if tombstone => {
                // Only what names its tag deletes: the original also takes any empty text, with
                // which all other items of its signer could be deleted as well.
                known()?;
                named(sub.ok_or(ParseError::Tag)?)?
            }
            Role::Mutable => {
                hashed(Digest::of(payload))?;
                known()?
            }
            Role::Root => {
                hashed(Digest::of(payload))?;
                if self.cty.as_deref() != Some(CTY_JSON) || !explicitly {
                    return Err(ParseError::ContentType);
                }
                rest.heads = heads(payload)?;
                known()?
            }
            Role::State => {
                let state = match (tombstone, self.ant) {
                    (true, ant) => ant.ok_or(ParseError::Antecedent)?,
                    (false, Some(ant)) => Digest::of_parts(&[payload, ant.to_string().as_bytes()]),
                    (false, None) => Digest::of_parts(&[payload, self.iat.to_string().as_bytes()]),
                };
                rest.state = Some(state);
                named(sub.ok_or(ParseError::Tag)?)?
            }
        };
        // The tag under which it stands must be the one that it tells, wherever it tells one.
        let stands = rest.state.map_or_else(|| tag.clone(), |state| state.tag());
        let told = match self.tag.as_deref() {
            Some(told) => role == Role::Root && told == stands.as_str(),
            None => true,
        };
        if !told || place.is_some_and(|place| *place != stands) {
            return Err(ParseError::Tag);
        }
        let header = Header {
            owner,
            author,
            iat: self.iat,
            encryption,
            ant: self.ant.filter(|_| !tombstone),
            collection: shelf.collection().clone(),
            tag,
            cty: self.cty,
            payload_hash: None,
        };
        Ok((header, rest))
    }
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>, slot: Slot) -> bool {
    let mut names = names.peekable();
    let lead: &[&str] = if slot == Slot::Only {
        &["alg"]
    } else {
        &["kid", "alg"]
    };
    if lead.iter().any(|name| names.next() != Some(name)) {
        return false;
    }
    for name in HEAD {
        let _ = names.next_if_eq(&name);
    }
    while names.next_if(|name| EXTRAS.contains(name)).is_some() {}
    if slot == Slot::Only {
        if names.next() != Some("kid") {
            return false;
        }
        let _ = names.next_if_eq(&"cty");
    }
    names.next().is_none()
}

fn take(map: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ParseError> {
    match map.get_mut(name).map(Value::take) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ParseError::HeaderLayout),
    }
}

/// A root's list: at least one state, none twice.
fn heads(payload: &[u8]) -> Result<Vec<Digest>, ParseError> {
    let wrong = ParseError::Payload;
    let Ok(Value::Array(list)) = parse_strict(payload) else {
        return Err(wrong);
    };
    let heads = list
        .iter()
        .map(|tag| Digest::parse(tag.as_str().unwrap_or_default()).map_err(|_| wrong))
        .collect::<Result<Vec<_>, _>>()?;
    let mut sorted = heads.clone();
    sorted.sort_unstable();
    if heads.is_empty() || !sorted.is_sorted_by(|a, b| a < b) {
        return Err(wrong);
    }
    Ok(heads)
}
