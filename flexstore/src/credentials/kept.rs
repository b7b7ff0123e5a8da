//! What a vault keeps for a peer: key sets under `key/<tag>`, pins under `pin/<tag>`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flexstore_core::{Digest, KeyTag};

use super::CredentialsError;
use super::keyset::KeySet;
use super::team::TeamName;
use super::vault::Vault;

const KEY: &str = "key/";
const PIN: &str = "pin/";
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

/// The key sets and pins in a vault.
pub(super) fn contents(vault: &Vault) -> Result<(Vec<KeySet>, Vec<TeamName>), CredentialsError> {
    let (mut sets, mut pins) = (Vec::new(), Vec::new());
    for name in vault.names() {
        let value = vault.get(name).unwrap_or_default();
        let bad = || CredentialsError::VaultContent;
        if name.starts_with(KEY) {
            let text = str::from_utf8(value).map_err(|_| bad())?;
            sets.push(KeySet::from_jwks(text)?);
        } else if let Some(tag) = name.strip_prefix(PIN) {
            pins.push(TeamName {
                tag: KeyTag::parse(tag).map_err(|_| bad())?,
                record: Digest::from_bytes(value.try_into().map_err(|_| bad())?),
            });
        }
    }
    Ok((sets, pins))
}
