//! The key that two sides share, and the boxes made with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::RendezvousError;

/// The length of a nonce, in bytes.
const NONCE_BYTES: usize = 24;

/// 32 secret bytes that two sides of a rendezvous share, and nobody else has. Not a password: they
/// must be random.
pub struct Key(Box<[u8; 32]>);

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not 32 bytes in base64url.
    #[error("not 32 bytes in base64url")]
    Text,
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
}

impl Key {
    /// A new one.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self(Box::new([0; 32]));
        getrandom::fill(&mut *key.0).map_err(|_| KeyError::Random)?;
        Ok(key)
    }

    /// From random bytes.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let key = Self(Box::new(bytes));
        bytes.zeroize();
        key
    }

    /// From base64url, as service strings have it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut key = Self(Box::new([0; 32]));
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut *key.0);
        match length {
            Ok(32) => Ok(key),
            _ => Err(KeyError::Text),
        }
    }

    /// As base64url, to hand it to the other side.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// The key for one purpose in one context: the one-step derivation of NIST SP 800-56C with
    /// SHA-256, over a secret that is uniform and of a fixed length. Every part is prefixed with
    /// its length, so that no two contexts read the same.
    pub(super) fn derive(&self, purpose: &str, context: &[&[u8]]) -> Seal {
        let mut hash = Sha256::new();
        hash.update(1u32.to_be_bytes());
        hash.update(self.0.as_slice());
        for part in [b"flexstore rendezvous 1", purpose.as_bytes()]
            .iter()
            .chain(context)
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut derived = hash.finalize();
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&derived);
        derived.as_mut_slice().zeroize();
        Seal(key)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Seals and opens for one purpose.
pub(super) struct Seal(Zeroizing<[u8; 32]>);

impl Seal {
    fn cipher(&self) -> XSalsa20Poly1305 {
        XSalsa20Poly1305::new((&*self.0).into())
    }

    /// A nonce and a box.
    pub(super) fn seal(&self, content: &[u8]) -> Result<Vec<u8>, RendezvousError> {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|_| RendezvousError::Random)?;
        let sealed = self.cipher().encrypt(&nonce, content);
        let sealed = sealed.map_err(|_| RendezvousError::Sealed)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What is in the box, if it was sealed for this purpose.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, RendezvousError> {
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE_BYTES)
            .ok_or(RendezvousError::Sealed)?;
        let opened = self.cipher().decrypt(Nonce::from_slice(nonce), sealed);
        opened.map_err(|_| RendezvousError::Sealed)
    }
}
