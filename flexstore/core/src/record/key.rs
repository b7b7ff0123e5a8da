use std::fmt;

use ed25519_dalek::Signer as _;

use crate::KeyTag;

/// The secret half of a key tag: signs records. Zeroized on drop, and shown by no `Debug`.
///
/// ```
/// use flexstore_core::SigningKey;
///
/// let key = SigningKey::from_seed(&[7; 32]);
/// assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.tag()));
/// ```
///
/// ```compile_fail
/// let key = flexstore_core::SigningKey::from_seed(&[7; 32]);
/// println!("{key}"); // a secret has no Display
/// ```
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    tag: KeyTag,
}

impl SigningKey {
    /// From the 32-byte seed (RFC 8032 §5.1.5), which must be random.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let tag = KeyTag::from_bytes(key.verifying_key().to_bytes());
        Self { key, tag }
    }

    /// The seed, for wrapping. The caller zeroizes it.
    #[must_use]
    pub fn to_seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.key.to_bytes())
    }

    /// The name under which others know the key.
    #[must_use]
    pub const fn tag(&self) -> KeyTag {
        self.tag
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.tag)
    }
}
