//! Keys: who is who, and which private keys are here.

mod kdf;
mod secret;
mod vault;
mod wrap;

pub use self::kdf::{Cost, CostError};
pub use self::secret::{
    ChosenSecret, ChosenSecretError, MIN_GUESSES, PassphraseError, RecoverySecret, RecoveryWords,
    RecoveryWordsError, Weakness,
};
pub use self::vault::{
    ChangePassphraseError, CreateVaultError, MAX_VAULT_BYTES, OpenVaultError, Vault, WipeError,
    WriteVaultError,
};
pub use self::wrap::{MAX_WRAPPED_BYTES, UnwrapError, WrapError};

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use flexstore_core::record::SigningKey;
use flexstore_core::register::Selection;
use flexstore_core::{KeyTag, decode_base64url, encode_base64url};
use serde_json::{Value, json};
use zeroize::{Zeroize as _, Zeroizing};

use crate::collection::{Collection, Mutable, OpenCollection, StoreError};
use crate::peer::{OpenError, Peer};
use crate::random;
use crate::seal::{EncryptionKey, EncryptionSecret};

/// The collection of public encryption keys, each under its holder's tag.
const ENCRYPTION_KEYS: &str = "EncryptionKey";

/// A device's keys: an Ed25519 pair that signs and an X25519 pair that opens, under one tag, the
/// public signing key. The secrets are zeroized on drop and shown by no `Debug`.
pub struct KeySet {
    signing: SigningKey,
    encryption: EncryptionSecret,
}

/// Why there is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// The text is no JWK set of a key set.
    #[error("not a key set")]
    Malformed,
}

impl KeySet {
    /// A new one.
    ///
    /// # Errors
    /// [`KeySetError::NoRandom`].
    pub fn generate() -> Result<Self, KeySetError> {
        let mut seed = random::bytes::<32>().map_err(|_| KeySetError::NoRandom)?;
        let signing = SigningKey::from_seed(&seed);
        seed.zeroize();
        let encryption = EncryptionSecret::generate().map_err(|_| KeySetError::NoRandom)?;
        Ok(Self {
            signing,
            encryption,
        })
    }

    /// The name under which others know the holder.
    #[must_use]
    pub const fn tag(&self) -> KeyTag {
        self.signing.tag()
    }

    /// The public encryption key.
    #[must_use]
    pub fn encryption_key(&self) -> EncryptionKey {
        self.encryption.public()
    }

    pub(crate) const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    pub(crate) const fn encryption(&self) -> &EncryptionSecret {
        &self.encryption
    }

    /// The private keys as a JWK set (RFC 7517 §5) of two OKP keys (RFC 8037), in plain: for
    /// wrapping, and for handing over to one's own process.
    #[must_use]
    pub fn to_jwks(&self) -> Zeroizing<String> {
        let seed = self.signing.to_seed();
        let x = self.tag().to_string();
        let d = Zeroizing::new(encode_base64url(&*seed));
        let inner = self.encryption.to_jwk();
        Zeroizing::new(format!(
            concat!(
                r#"{{"keys":[{{"use":"enc","key":{}}},"#,
                r#"{{"use":"sig","key":{{"kty":"OKP","crv":"Ed25519","x":"{}","d":"{}"}}}}]}}"#
            ),
            inner.as_str(),
            x,
            d.as_str()
        ))
    }

    /// Reads what [`KeySet::to_jwks`] wrote.
    ///
    /// # Errors
    /// [`KeySetError::Malformed`] for anything else.
    pub fn from_jwks(text: &str) -> Result<Self, KeySetError> {
        let malformed = KeySetError::Malformed;
        let set: Value = serde_json::from_str(text).map_err(|_| malformed)?;
        let key = |at: usize, word: &str| {
            let entry = &set["keys"][at];
            if entry["use"] == word {
                Ok(&entry["key"])
            } else {
                Err(malformed)
            }
        };
        let inner = Zeroizing::new(key(0, "enc")?.to_string());
        let encryption = EncryptionSecret::from_jwk(&inner).map_err(|_| malformed)?;
        let outer = key(1, "sig")?;
        let d = outer["d"].as_str().ok_or(malformed)?;
        let seed = Zeroizing::new(decode_base64url(d.as_bytes()).ok_or(malformed)?);
        let seed: &[u8; 32] = seed[..].try_into().map_err(|_| malformed)?;
        let signing = SigningKey::from_seed(seed);
        if outer["x"].as_str() != Some(&signing.tag().to_string()) {
            return Err(malformed);
        }
        Ok(Self {
            signing,
            encryption,
        })
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({})", self.tag())
    }
}

/// The private keys of this process.
#[derive(Default)]
pub(crate) struct Keyring {
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    sets: BTreeMap<KeyTag, Arc<KeySet>>,
    author: Option<KeyTag>,
}

impl Keyring {
    pub(crate) fn all(&self) -> Vec<Arc<KeySet>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.sets.values().cloned().collect()
    }

    pub(crate) fn get(&self, tag: &KeyTag) -> Option<Arc<KeySet>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.sets.get(tag).cloned()
    }

    /// The default author: the first key set that was added, or the one chosen.
    pub(crate) fn author(&self) -> Option<Arc<KeySet>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.author.and_then(|tag| held.sets.get(&tag).cloned())
    }

    fn add(&self, set: KeySet) -> Arc<KeySet> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let set = Arc::new(set);
        held.author.get_or_insert(set.tag());
        held.sets.insert(set.tag(), Arc::clone(&set));
        set
    }

    fn choose(&self, tag: KeyTag) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let known = held.sets.contains_key(&tag);
        if known {
            held.author = Some(tag);
        }
        known
    }
}

/// Why a key could not be made or published.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The collection of public keys cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The public key cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private keys of this tag are not here.
    #[error("the private keys of this tag are not here")]
    NotHeld,
}

/// The keys of a peer: its own private ones, and the public ones of others, which are items of
/// the collection `EncryptionKey` and sync like any others.
///
/// ```
/// # use std::sync::Arc;
/// # use flexstore::{KeySet, MemoryStorage, Peer};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let peer = Peer::open(Arc::new(MemoryStorage::new()))?;
/// let tag = peer.credentials().create_device().await?;
/// assert_eq!(peer.credentials().author(), Some(tag));
///
/// let other = KeySet::generate()?;
/// let text = other.to_jwks(); // keep it secret
/// assert_eq!(peer.credentials().add(KeySet::from_jwks(&text)?).await?, other.tag());
/// # Ok(())
/// # }
/// ```
pub struct Credentials<'a> {
    peer: &'a Peer,
}

impl<'a> Credentials<'a> {
    pub(crate) const fn of(peer: &'a Peer) -> Self {
        Self { peer }
    }

    /// Makes a key set for this device and publishes its encryption key. The first one made or
    /// added is the default author.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn create_device(&self) -> Result<KeyTag, CredentialsError> {
        self.add(KeySet::generate()?).await
    }

    /// Adds private keys that the app holds, and publishes their encryption key unless that
    /// stands already.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn add(&self, set: KeySet) -> Result<KeyTag, CredentialsError> {
        let set = self.peer.keyring().add(set);
        let keys = self.encryption_keys()?;
        let key = set.encryption_key();
        if self.local_key(&keys, &set.tag()) != Some(key) {
            let jwk: Value = serde_json::from_str(&key.to_jwk()).unwrap_or_else(|_| json!(null));
            keys.store(jwk).tag(set.tag()).author(set.tag()).await?;
        }
        Ok(set.tag())
    }

    /// The default author.
    #[must_use]
    pub fn author(&self) -> Option<KeyTag> {
        self.peer.keyring().author().map(|set| set.tag())
    }

    /// Makes one of the held key sets the default author.
    ///
    /// # Errors
    /// [`CredentialsError::NotHeld`].
    pub fn set_author(&self, tag: KeyTag) -> Result<(), CredentialsError> {
        if self.peer.keyring().choose(tag) {
            Ok(())
        } else {
            Err(CredentialsError::NotHeld)
        }
    }

    /// Keeps public keys in step with a service.
    ///
    /// # Errors
    /// [`CredentialsError::Open`].
    pub fn synchronize(&self, service: &str) -> Result<(), CredentialsError> {
        self.encryption_keys()?.synchronize(service);
        Ok(())
    }

    /// Waits until the public keys are in step with all services.
    ///
    /// # Errors
    /// [`CredentialsError::Open`].
    pub async fn synchronized(&self) -> Result<(), CredentialsError> {
        self.encryption_keys()?.synchronized().await;
        Ok(())
    }

    /// The encryption key of a tag, from here or from a service.
    pub(crate) async fn encryption_key(&self, tag: &KeyTag) -> Option<EncryptionKey> {
        if let Some(set) = self.peer.keyring().get(tag) {
            return Some(set.encryption_key());
        }
        let keys = self.encryption_keys().ok()?;
        if let Some(key) = self.local_key(&keys, tag) {
            return Some(key);
        }
        let item = keys.retrieve(tag.tag()).owner(*tag).await.ok()??;
        EncryptionKey::from_jwk(item.text().ok()?).ok()
    }

    fn local_key(&self, keys: &Collection<Mutable>, tag: &KeyTag) -> Option<EncryptionKey> {
        let found = keys
            .register()
            .read(&tag.tag(), Some(*tag), Selection::Latest);
        let record = found.ok()??;
        EncryptionKey::from_jwk(str::from_utf8(record.payload()).ok()?).ok()
    }

    fn encryption_keys(&self) -> Result<Collection<Mutable>, OpenError> {
        let open: OpenCollection<'_, Mutable> = self.peer.collection(ENCRYPTION_KEYS);
        open.open()
    }
}
