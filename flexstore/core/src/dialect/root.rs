//! Roots that a relay derives.

use crate::record::{CTY_JSON, Content, ParseError, SigningKey, js};
use crate::register::Heads;
use crate::{CollectionId, KeyTag, Tag, encode_base64url};

/// Bytes of the modulus of an RSA key as the original makes it (4096 bits).
pub const MODULUS_BYTES: usize = 512;

/// The root, signed by somebody who does not own it: in its header it names the owner, and
/// all that may be believed of it is that these versions may exist.
///
/// # Errors
/// [`ParseError`] if there is no head.
pub fn sign_root(
    heads: &Heads,
    collection: &CollectionId,
    subject: &Tag,
    owner: &KeyTag,
    signer: &SigningKey,
) -> Result<js::Verified, ParseError> {
    let shelf = js::Shelf::items(collection.clone());
    let mut draft = js::Draft::root(shelf, subject.clone(), &heads.list, heads.iat);
    if signer.tag() != *owner {
        draft.claimed = Some(if heads.team {
            js::Claimed::Group(*owner)
        } else {
            js::Claimed::Individual(*owner)
        });
    }
    draft.sign(signer)
}

/// Whether a root lists these heads.
pub(super) fn lists(root: &js::Verified, heads: &Heads) -> bool {
    let mut list = root.heads().to_vec();
    list.sort_unstable();
    list == heads.list
}

/// The record by which the original knows a relay's key: without one it takes no root that the
/// relay signed for another. It names a public key of which nobody has the private half, so that
/// nothing can be sealed to the relay. `random` must be random.
///
/// # Errors
/// [`ParseError`] if `iat`, in milliseconds since 1970, is out of range.
pub fn relay_key(
    signer: &SigningKey,
    random: &[u8; MODULUS_BYTES],
    iat: u64,
) -> Result<js::Verified, ParseError> {
    let mut modulus = *random;
    // As long as it is said to be, and odd, as every RSA modulus is.
    modulus[0] |= 0x80;
    modulus[MODULUS_BYTES - 1] |= 1;
    let modulus = encode_base64url(&modulus);
    let payload = format!(r#"{{"kty":"RSA","n":"{modulus}","e":"AQAB","alg":"RSA-OAEP-256"}}"#);
    let content = Content::Plain {
        payload: payload.into(),
        cty: Some(CTY_JSON.into()),
    };
    let shelf = js::Shelf::credential(js::ENCRYPTION_KEY).map_err(|_| ParseError::Collection)?;
    js::Draft::new(shelf, signer.tag().tag(), content, iat).sign(signer)
}
