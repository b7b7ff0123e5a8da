//! A key set: the keys under one tag.

use flexstore_core::record::SigningKey;
use flexstore_core::{KeyTag, decode_base64url, encode_base64url};
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use crate::random;
use crate::seal::{EncryptionKey, EncryptionSecret};

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
