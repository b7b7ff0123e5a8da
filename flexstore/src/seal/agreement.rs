//! `ECDH-ES+A256KW` on X25519: the agreement by x25519-dalek, the key wrap by josekit.
//!
//! josekit has the whole algorithm too, and the tests check each against the other. It would make
//! the ephemeral pair itself, and it wants the reader's secret as JSON text that nobody wipes.

use josekit::jwe::enc::A256GCM;
use josekit::jwe::{A256KW, JweDecrypter as _, JweEncrypter as _, JweHeader};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::header::ALG;
use super::key::{EncryptionKey, EncryptionSecret};

/// A content key of A256GCM.
pub(super) type ContentKey = Zeroizing<[u8; 32]>;

/// A content key wrapped by A256KW: 8 bytes longer (RFC 3394 §2.2.1).
pub(super) type WrappedKey = [u8; 40];

/// A fresh content key from the operating system.
pub(super) fn fresh_content_key() -> Option<ContentKey> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).ok()?;
    Some(key)
}

/// Wraps a content key for one public key; gives the ephemeral public key and the wrapped key.
pub(super) fn wrap(key: &ContentKey, to: &EncryptionKey) -> Option<(EncryptionKey, WrappedKey)> {
    let ephemeral = EncryptionSecret::generate().ok()?;
    let kek = derive(&*ephemeral.agree(to).ok()?);
    let encrypter = A256KW.encrypter_from_bytes(*kek).ok()?;
    let wrapped = encrypter
        .encrypt(&key[..], &JweHeader::new(), &mut JweHeader::new())
        .ok()??;
    Some((ephemeral.public(), wrapped[..].try_into().ok()?))
}

/// Unwraps a content key; `None` if the point is of small order or the key is not ours.
pub(super) fn unwrap(
    wrapped: &WrappedKey,
    ephemeral: &[u8; 32],
    secret: &EncryptionSecret,
) -> Option<ContentKey> {
    let kek = derive(&*secret.agree_unchecked(ephemeral).ok()?);
    let decrypter = A256KW.decrypter_from_bytes(*kek).ok()?;
    let key = decrypter
        .decrypt(Some(wrapped), &A256GCM, &JweHeader::new())
        .ok()?;
    let key = Zeroizing::new(key.into_owned());
    Some(Zeroizing::new(key[..].try_into().ok()?))
}

/// Concat KDF (RFC 7518 §4.6.2) of one round: empty `apu` and `apv`, 256 bits. Who the parties
/// are stands in the protected header, which the content's tag covers.
fn derive(shared: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    const ALG_LEN: [u8; 4] = (ALG.len() as u32).to_be_bytes();
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    hash.update(ALG_LEN);
    hash.update(ALG);
    hash.update(0_u32.to_be_bytes());
    hash.update(0_u32.to_be_bytes());
    hash.update(256_u32.to_be_bytes());
    Zeroizing::new(hash.finalize().into())
}
