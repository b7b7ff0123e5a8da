//! What a vault keeps for a peer:
//!
//! ```text
//! key/<tag>   the JWK set of a key set
//! pin/<tag>   the digest of the Team record that is right
//! defaults    {"author":tag|null,"owner":tag|null,"audience":[tag,...]}
//! ```
//!
//! The defaults are kept, so that a device that starts again goes on writing for its person, and
//! not as itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flexstore_core::{Digest, KeyTag};
use serde_json::{Value, json};

use super::CredentialsError;
use super::keyring::Defaults;
use super::keyset::KeySet;
use super::team::TeamName;
use super::vault::Vault;

const KEY: &str = "key/";
const PIN: &str = "pin/";
const DEFAULTS: &str = "defaults";
/// Pins beyond which only those go into a vault that the app asked for.
const MAX_SEEN_PINS: usize = 1024;

/// The vault that is in use, if any.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<Vault>>);

impl Kept {
    fn vault(&self) -> MutexGuard<'_, Option<Vault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, vault: Vault) {
        *self.vault() = Some(vault);
    }

    pub(super) fn take(&self) -> Option<Vault> {
        self.vault().take()
    }

    pub(super) fn keep(&self, set: &KeySet) -> Result<(), CredentialsError> {
        let name = format!("{KEY}{}", set.tag());
        self.put(&name, set.to_jwks().as_bytes())
    }

    pub(super) fn keep_pin(&self, name: &TeamName) -> Result<(), CredentialsError> {
        self.put(&format!("{PIN}{}", name.tag), name.record.as_bytes())
    }

    pub(super) fn keep_defaults(&self, defaults: &Defaults) -> Result<(), CredentialsError> {
        let text = |tag: &KeyTag| tag.to_string();
        let value = json!({
            "author": defaults.author.as_ref().map(text),
            "owner": defaults.owner.as_ref().map(text),
            "audience": defaults.audience.iter().map(text).collect::<Vec<_>>(),
        });
        self.put(DEFAULTS, value.to_string().as_bytes())
    }

    /// Whether pins of teams that nobody asked for may go in.
    pub(super) fn has_room_for_pins(&self) -> bool {
        self.vault().as_ref().is_none_or(|vault| {
            let pins = vault.names().filter(|name| name.starts_with(PIN));
            pins.count() < MAX_SEEN_PINS
        })
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), CredentialsError> {
        match &mut *self.vault() {
            Some(vault) if vault.get(name) != Some(value) => Ok(vault.put(name, value)?),
            _ => Ok(()),
        }
    }

    pub(super) fn forget(&self, tag: &KeyTag) -> Result<(), CredentialsError> {
        if let Some(vault) = &mut *self.vault() {
            vault.remove(&format!("{KEY}{tag}"))?;
        }
        Ok(())
    }
}

/// What is in a vault.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) sets: Vec<KeySet>,
    pub(super) pins: Vec<TeamName>,
    pub(super) defaults: Defaults,
}

impl Contents {
    /// Reads them; entries of other names are the app's.
    pub(super) fn of(vault: &Vault) -> Result<Self, CredentialsError> {
        let mut contents = Self::default();
        for name in vault.names() {
            let value = vault.get(name).unwrap_or_default();
            let bad = || CredentialsError::VaultContent;
            if name.starts_with(KEY) {
                let text = str::from_utf8(value).map_err(|_| bad())?;
                contents.sets.push(KeySet::from_jwks(text)?);
            } else if let Some(tag) = name.strip_prefix(PIN) {
                contents.pins.push(TeamName {
                    tag: KeyTag::parse(tag).map_err(|_| bad())?,
                    record: Digest::from_bytes(value.try_into().map_err(|_| bad())?),
                });
            } else if name == DEFAULTS {
                contents.defaults = defaults(value).ok_or_else(bad)?;
            }
        }
        Ok(contents)
    }
}

fn defaults(value: &[u8]) -> Option<Defaults> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let tag = |value: &Value| KeyTag::parse(value.as_str()?).ok();
    let one = |name: &str| match &value[name] {
        Value::Null => Some(None),
        other => tag(other).map(Some),
    };
    Some(Defaults {
        author: one("author")?,
        owner: one("owner")?,
        audience: value["audience"]
            .as_array()?
            .iter()
            .map(tag)
            .collect::<Option<_>>()?,
    })
}
