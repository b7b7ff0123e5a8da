//! Sealing: encrypt content to tags, open it as one of them.

mod agreement;
mod engine;
mod envelope;
mod error;
mod header;
pub mod js;
mod json;
mod key;
mod padding;
mod properties;

use std::fmt;

use zeroize::Zeroizing;

pub use self::error::{BindingMember, KeyError, Malformed, OpenError, SealError};
pub use self::header::{Binding, Kid};
pub use self::key::{EncryptionKey, EncryptionSecret};
pub use self::properties::{SEALED, open_properties, seal_properties};

use self::engine::{KeyAlgorithm, ReadyKey};
use self::envelope::Envelope;
use self::header::Shared;

/// The most tags to which one content is sealed.
pub const MAX_AUDIENCES: usize = 1024;

/// The longest content, in bytes: 1 MiB.
pub const MAX_CONTENT_BYTES: usize = 1 << 20;

/// Room for base64url, padding, header and [`MAX_AUDIENCES`] recipients beyond
/// [`MAX_CONTENT_BYTES`], in bytes.
pub const JWE_MARGIN_BYTES: usize = 768 << 10;

/// The longest JWE that is read, in bytes.
pub const MAX_JWE_BYTES: usize = MAX_CONTENT_BYTES + JWE_MARGIN_BYTES;

/// The longest protected header, in characters of base64url.
pub const MAX_HEADER_BYTES: usize = 8 << 10;

/// One tag to which content is sealed, and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// Names the key.
    pub kid: Kid,
    /// The current key of that tag.
    pub key: EncryptionKey,
}

/// What [`open`] releases.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content, wiped when dropped.
    pub content: Zeroizing<Vec<u8>>,
    /// The content's type, as the sealer gave it.
    pub cty: Option<String>,
    /// All to whom it was sealed, ascending.
    pub audience: Vec<Kid>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("cty", &self.cty)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Seals content to one or more tags, given in any order.
///
/// The author need not be in the audience. Equal contents give different texts each time.
///
/// # Errors
/// [`SealError`] if there is no audience or too much of it, if content or header are too long, or
/// if the system gives no random bytes.
pub fn seal(
    content: &[u8],
    cty: Option<&str>,
    binding: &Binding,
    audiences: &[Audience],
) -> Result<String, SealError> {
    let audiences = ordered(audiences)?;
    if content.len() > MAX_CONTENT_BYTES {
        return Err(SealError::TooLong);
    }
    let key = agreement::fresh_content_key().ok_or(SealError::Failed)?;
    let wrapped = audiences
        .iter()
        .map(|to| Some((to.kid, agreement::wrap(&key, &to.key)?)))
        .collect::<Option<Vec<_>>>()
        .ok_or(SealError::Failed)?;
    let mut recipients: Vec<_> = wrapped
        .iter()
        .map(|(kid, (epk, encrypted_key))| {
            let ready = ReadyKey {
                algorithm: KeyAlgorithm::EcdhEsA256kw,
                key: key.clone(),
                encrypted_key: encrypted_key.to_vec(),
            };
            (header::recipient_members(kid, epk), ready)
        })
        .collect();
    let mut shared = Shared {
        binding,
        cty,
        commit: header::commitment(&key),
        recipients: None,
    };
    let padded = padding::pad(content);
    let sealed = if recipients.len() == 1 {
        let (members, ready) = recipients.remove(0);
        let header = fitting(shared.write(members))?;
        engine::seal_compact(&padded, header, &ready)
    } else {
        shared.recipients = Some(header::recipients_digest(
            wrapped
                .iter()
                .map(|(kid, (epk, key))| (*kid, epk.as_bytes(), key)),
        ));
        let header = fitting(shared.write(serde_json::Map::new()))?;
        engine::seal_general(&padded, header, recipients)
    };
    sealed.ok_or(SealError::Failed)
}

/// Opens what [`seal`] made, as whichever recipient `keys` has a secret for; of several the first.
///
/// Form, binding and commitment are checked before anything is decrypted or released.
///
/// # Errors
/// [`OpenError`]; with none of them is any plaintext released, and no input panics.
pub fn open<'k>(
    jwe: &str,
    binding: &Binding,
    keys: &dyn Fn(&Kid) -> Option<&'k EncryptionSecret>,
) -> Result<Opened, OpenError> {
    let mut envelope = Envelope::parse(jwe)?;
    let mut protected = std::mem::take(&mut envelope.header);
    let checked = header::check_shared(&mut protected, binding, !envelope.compact)?;
    if !envelope.compact {
        json::nothing_left(&protected)?;
    }
    let recipients = envelope
        .recipients
        .iter()
        .map(|recipient| {
            let members = if envelope.compact {
                std::mem::take(&mut protected)
            } else {
                recipient.header.clone()
            };
            header::read_recipient(members, &recipient.encrypted_key)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let audience: Vec<_> = recipients.iter().map(|to| to.kid).collect();
    // One form for one audience: nobody can mint a second.
    if !envelope.compact && (audience.len() < 2 || !header::is_ascending(&audience)) {
        return Err(Malformed::Order.into());
    }
    if let Some(digest) = checked.recipients
        && digest
            != header::recipients_digest(
                recipients
                    .iter()
                    .map(|to| (to.kid, &to.epk, &to.encrypted_key)),
            )
    {
        return Err(OpenError::Failed);
    }
    let (index, secret) = audience
        .iter()
        .enumerate()
        .find_map(|(index, kid)| Some((index, keys(kid)?)))
        .ok_or(OpenError::NotForUs)?;
    let ours = &recipients[index];
    let key = agreement::unwrap(&ours.encrypted_key, &ours.epk, secret)
        .filter(|key| header::commitment(key) == checked.commit)
        .ok_or(OpenError::Failed)?;
    let ready = ReadyKey {
        algorithm: KeyAlgorithm::EcdhEsA256kw,
        key,
        encrypted_key: Vec::new(),
    };
    let content = engine::open(&envelope, &envelope.recipients[index], &ready)
        .and_then(padding::unpad)
        .ok_or(OpenError::Failed)?;
    Ok(Opened {
        content,
        cty: checked.cty,
        audience,
    })
}

/// The audience ascending by the text of its tags, each tag once.
fn ordered(audiences: &[Audience]) -> Result<Vec<Audience>, SealError> {
    if audiences.is_empty() {
        return Err(SealError::NoAudience);
    }
    if audiences.len() > MAX_AUDIENCES {
        return Err(SealError::TooManyAudiences);
    }
    let mut ordered = audiences.to_vec();
    ordered.sort_by_cached_key(|to| to.kid.tag.to_string());
    if ordered
        .windows(2)
        .any(|pair| pair[0].kid.tag == pair[1].kid.tag)
    {
        return Err(SealError::DuplicateAudience);
    }
    Ok(ordered)
}

/// The header, if its base64url keeps within [`MAX_HEADER_BYTES`].
fn fitting(
    header: serde_json::Map<String, serde_json::Value>,
) -> Result<serde_json::Map<String, serde_json::Value>, SealError> {
    let text = serde_json::to_string(&header).map_err(|_| SealError::Failed)?;
    if text.len().div_ceil(3) * 4 > MAX_HEADER_BYTES {
        return Err(SealError::HeaderTooLong);
    }
    Ok(header)
}
