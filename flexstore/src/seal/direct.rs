//! Content under a key that the reader has already: `dir` with A256GCM (RFC 7518 §4.5). Not an
//! item's form; secrets wrap private keys by it, and the vault its contents.

use flexstore_core::decode_base64url;
use josekit::jwe::JweContentEncryption as _;
use josekit::jwe::enc::A256GCM;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::engine::{self, KeyAlgorithm, ReadyKey};
use super::envelope::Envelope;
use super::error::Malformed;
use crate::random;

/// A key of A256GCM.
pub(crate) type ContentKey = super::agreement::ContentKey;

const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

fn ready(key: &ContentKey) -> ReadyKey {
    ReadyKey {
        algorithm: KeyAlgorithm::Dir,
        key: key.clone(),
        encrypted_key: Vec::new(),
    }
}

/// Makes a compact JWE with an empty encrypted key. The header's members keep their order; `alg`
/// and `enc` are among them.
pub(crate) fn seal(
    plaintext: &[u8],
    header: Map<String, Value>,
    key: &ContentKey,
) -> Option<String> {
    engine::seal_compact(plaintext, header, &ready(key))
}

/// A compact JWE with an empty encrypted key, each part of the right shape and length. What its
/// header says is not judged here.
pub(crate) struct Direct<'a>(Envelope<'a>);

impl<'a> Direct<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Malformed> {
        let envelope = Envelope::compact(text)?;
        if envelope
            .recipients
            .iter()
            .any(|recipient| !recipient.encrypted_key.is_empty())
        {
            return Err(Malformed::Length);
        }
        Ok(Self(envelope))
    }

    /// The members of the protected header.
    pub(crate) const fn header(&self) -> &Map<String, Value> {
        &self.0.header
    }

    /// The protected header as it was written.
    pub(crate) fn header_text(&self) -> Option<String> {
        String::from_utf8(decode_base64url(self.0.protected.as_bytes())?).ok()
    }

    /// The content, if the key is right and nothing was altered.
    pub(crate) fn open(&self, key: &ContentKey) -> Option<Zeroizing<Vec<u8>>> {
        engine::open(&self.0, self.0.recipients.first()?, &ready(key))
    }
}

/// A256GCM without a JWE round it: iv (12 bytes, fresh) || ciphertext || tag (16 bytes).
pub(crate) fn encrypt(key: &ContentKey, aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let iv: [u8; IV_BYTES] = random::bytes().ok()?;
    let (ciphertext, tag) = A256GCM.encrypt(&key[..], Some(&iv), plaintext, aad).ok()?;
    Some([&iv[..], &ciphertext, &tag?].concat())
}

/// Opens what [`encrypt`] made.
pub(crate) fn decrypt(key: &ContentKey, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (iv, rest) = sealed.split_at_checked(IV_BYTES)?;
    let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
    A256GCM
        .decrypt(&key[..], Some(iv), ciphertext, aad, Some(tag))
        .ok()
        .map(Zeroizing::new)
}
