//! Sealing: encrypt content to tags, open it as one of them. The only plaintext boundary.
//!
//! ```
//! use flexstore::seal::{self, Audience, Binding, EncryptionSecret, Kid};
//! use flexstore_core::KeyTag;
//!
//! let alice = KeyTag::from_bytes([1; 32]); // in life the public signing key
//! let secret = EncryptionSecret::generate()?;
//! let binding = Binding {
//!     owner: alice,
//!     author: alice,
//!     col: "MutableCollection/notes".into(),
//!     tag: Some("shopping".into()),
//!     prop: None,
//! };
//! let to = [Audience { kid: Kid::new(alice), key: secret.public() }];
//!
//! let jwe = seal::seal(b"milk", Some("text/plain"), &binding, &to)?;
//! let opened = seal::open(&jwe, &binding, &|kid| (kid.tag == alice).then_some(&secret))?;
//! assert_eq!(opened.content[..], *b"milk");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a reader may rely on
//!
//! [`open`] gives content only if it was sealed, whole, for the expected [`Binding`], under the one
//! content key to which its header commits. It does not tell *who* sealed it: anybody can seal to a
//! public key. The item's signature over the whole text does, and its signer is compared with the
//! sealed author through the binding.
//!
//! # The native format
//!
//! A JWE (RFC 7516) whose content is encrypted by `A256GCM` with a fresh 256-bit key and 96-bit iv,
//! and whose recipients are reached by `ECDH-ES+A256KW` on X25519 (RFC 7518 §4.6, RFC 8037 §3.2)
//! without `apu` and `apv`. `b64` is base64url without padding, canonical (RFC 4648 §5). There is
//! no white space in JSON. Members stand in the order given; a reader takes any order, but no member
//! twice, none missing, none unknown (so no `crit`, `zip`, `apu`, `jwk`, `jku`, `x5c`, `p2c`), and
//! no top-level `unprotected` or `aad`.
//!
//! **One tag: compact**, five parts with dots between:
//!
//! ```text
//! b64(header) . b64(encrypted key: 40 bytes) . b64(iv: 12) . b64(ciphertext) . b64(tag: 16)
//!
//! header = {"alg":"ECDH-ES+A256KW","enc":"A256GCM",
//!           "epk":{"kty":"OKP","crv":"X25519","x":b64(32 bytes)},
//!           "iss":owner,"act":author,"col":"Kind/name"[,"tag":tag][,"prop":name],
//!           "commit":b64(32 bytes),"pad":"padme"[,"cty":type],"kid":kid}
//! ```
//!
//! **Two to 1,024 tags: general JSON**, recipients ascending by the text of their tag, each tag once:
//!
//! ```text
//! {"protected":b64(header),
//!  "recipients":[{"header":{"alg":"ECDH-ES+A256KW",
//!                           "epk":{"kty":"OKP","crv":"X25519","x":b64(32 bytes)},
//!                           "kid":kid},
//!                 "encrypted_key":b64(40 bytes)},...],
//!  "iv":b64(12 bytes),"ciphertext":b64(...),"tag":b64(16 bytes)}
//!
//! header = {"enc":"A256GCM","iss":owner,"act":author,"col":"Kind/name"[,"tag":tag][,"prop":name],
//!           "commit":b64(32 bytes),"to":b64(32 bytes),"pad":"padme"[,"cty":type]}
//! ```
//!
//! | member | is |
//! |---|---|
//! | `iss`, `act` | owner and author, key tags of 43 characters, also where both are one |
//! | `col` | kind and name of the collection |
//! | `tag` | the item's tag where one is signed: mutable and versioned, not immutable |
//! | `prop` | the property's name where a single property is sealed |
//! | `commit` | SHA-256("flexstore/cek" \|\| content key). A256GCM alone lets one ciphertext open differently under two keys |
//! | `to` | SHA-256("flexstore/recipients" \|\| for each recipient: one byte length of kid, kid, the 32 bytes of epk `x`, the 40 bytes of encrypted key). The general form authenticates no recipient by itself |
//! | `pad` | how the plaintext is padded; only `padme` |
//! | `cty` | the content's type, any string |
//! | `kid` | the audience's tag, for a team perhaps with `#` and the digest of the Team record (43 characters) whose key it is |
//!
//! The key that wraps the content key is SHA-256(00000001 \|\| shared secret \|\| 0000000e
//! \|\| "ECDH-ES+A256KW" \|\| 00000000 \|\| 00000000 \|\| 00000100), numbers in hex (RFC 7518
//! §4.6.2). An epk is reduced modulo 2^255 - 19 and not of small order. The additional data of
//! A256GCM is the text b64(header) (RFC 7516 §5.1).
//!
//! **Plaintext** = content \|\| 80 \|\| zeros. With L = length of content + 1, its length is 32 if
//! L <= 32, else L rounded up to a multiple of 2^(E - K), where E = floor(log2 L) and
//! K = max(4, floor(log2 E) + 1): Padmé, but finer below 256 bytes. So contents up to 31 bytes look
//! alike, and from 29 bytes on the padding adds at most 12% of the content.
//!
//! # Libraries
//!
//! josekit makes and opens every JWE and wraps every key, but it sees only what was checked before:
//! a content key that is ready, one recipient, parts of the right length. x25519-dalek makes and
//! checks every X25519 key. Content keys and secrets come from the operating system; the iv from
//! OpenSSL's generator, which the system seeds.

mod agreement;
pub(crate) mod direct;
mod engine;
mod envelope;
mod error;
mod header;
pub mod js;
pub(crate) mod json;
mod key;
pub(crate) mod padding;
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
    if content.len() > MAX_CONTENT_BYTES {
        return Err(Malformed::TooLong.into());
    }
    Ok(Opened {
        content,
        cty: checked.cty,
        audience,
    })
}

/// To whom a JWE is sealed, as it says itself; nothing is opened.
///
/// # Errors
/// [`Malformed`].
pub fn audience(jwe: &str) -> Result<Vec<Kid>, Malformed> {
    let mut envelope = Envelope::parse(jwe)?;
    let kid = |members: &mut serde_json::Map<String, serde_json::Value>| {
        json::need_string(members, "kid").and_then(|kid| kid.parse())
    };
    if envelope.compact {
        return Ok(vec![kid(&mut envelope.header)?]);
    }
    let recipients = envelope.recipients.iter_mut();
    recipients
        .map(|recipient| kid(&mut recipient.header))
        .collect()
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
