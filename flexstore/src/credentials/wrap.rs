//! Wrapping bytes by a secret: a compact JWE (RFC 7516 §7.1) whose key comes from Argon2id.
//!
//! ```text
//! b64(header) . . b64(iv: 12 bytes) . b64(ciphertext) . b64(tag: 16 bytes)
//!
//! header = {"alg":"dir","enc":"A256GCM",
//!           "kdf":{"name":"argon2id","m":65536,"t":3,"p":4,"salt":b64(16 bytes)},
//!           "kid":kid,"cty":"json"}
//! ```
//!
//! `b64` is base64url without padding, canonical (RFC 4648 §5). Every byte of the header is fixed
//! but for the three numbers (decimal, no leading zero), the salt and the kid: no white space, no
//! other order, no other member, no escape. The second part, the encrypted key, is empty
//! (RFC 7518 §4.5).
//!
//! `kid` is 1 to 128 of the printable characters of ASCII (21 to 7e) without `"` and `\`.
//!
//! The key = Argon2id (RFC 9106) version 13 (hex) of the secret's input (see the module `secret`)
//! as password, with salt, m KiB, t passes, p lanes, no secret value, no associated data, 32 bytes.
//! A256GCM's additional data is the text b64(header) (RFC 7516 §5.1).
//!
//! Plaintext = 32 spaces (20) || content. A256GCM alone commits to no key: one ciphertext could
//! be made that opens under many secrets, and whoever sees it opened learns which of them is right
//! (Len, Grubbs, Ristenpart 2021). The fixed start is what commits (Albertini et al. 2020, §5.3),
//! and before JSON it is white space.

use flexstore_core::{decode_base64url, encode_base64url};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::kdf::{self, Cost, CostError, NoMemory, SALT_BYTES};
use super::secret::RecoverySecret;
use crate::random;
use crate::seal::Malformed;
use crate::seal::direct::{self, Direct};
use crate::seal::json::{need_string, nothing_left};

/// The longest content that a secret wraps, in bytes: 64 KiB.
pub const MAX_WRAPPED_BYTES: usize = 64 << 10;

const MAX_KID_BYTES: usize = 128;

/// Room for the header, the iv, the tag and the dots in base64url.
const MARGIN_BYTES: usize = 1 << 10;

const MAX_TEXT_BYTES: usize = (COMMITMENT.len() + MAX_WRAPPED_BYTES).div_ceil(3) * 4 + MARGIN_BYTES;

/// What every plaintext begins with.
const COMMITMENT: [u8; 32] = [b' '; 32];

const ALG: &str = "dir";
const ENC: &str = "A256GCM";
const KDF: &str = "argon2id";
const CTY: &str = "json";

/// Why nothing was wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// A kid that is empty, longer than 128 characters, or has others than printable ASCII
    /// without `"` and `\`.
    #[error("a kid that cannot be written")]
    Kid,
    /// More than [`MAX_WRAPPED_BYTES`].
    #[error("the content is longer than the limit")]
    TooLong,
    /// The system has not the memory that Argon2id takes.
    #[error("not enough memory")]
    NoMemory,
    /// The operating system gave no random bytes, or the cipher failed.
    #[error("wrapping failed")]
    Failed,
}

/// Why a wrapped content was not opened. No plaintext is released with any of them. All but
/// [`UnwrapError::NoMemory`] and [`UnwrapError::Failed`] come before any work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// Not one of ours in form.
    #[error("not a wrapped content: {0}")]
    Malformed(#[from] Malformed),
    /// `alg`, `enc`, the name of the `kdf` or `cty` are not ours.
    #[error("an algorithm that is not offered")]
    Algorithm,
    /// A derivation below the floor or above the ceiling.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// It wraps something else than what was asked for.
    #[error("another kid")]
    Kid,
    /// The system has not the memory that Argon2id takes.
    #[error("not enough memory")]
    NoMemory,
    /// A wrong secret or a damaged text: one error for both, so that nobody learns which.
    #[error("opening failed")]
    Failed,
}

impl RecoverySecret {
    /// Wraps JSON text, or any bytes, at [`Cost::MIN`] under a fresh salt. Takes some tenths of a
    /// second of one core, and 64 MiB of memory for so long.
    ///
    /// `kid` says whose keys they are; the reader must expect the same.
    ///
    /// # Errors
    /// [`WrapError`].
    pub fn wrap(&self, content: &[u8], kid: &str) -> Result<String, WrapError> {
        self.wrap_at(Cost::MIN, content, kid)
    }

    /// The same at a cost of the caller's.
    ///
    /// # Errors
    /// [`WrapError`].
    pub fn wrap_at(&self, cost: Cost, content: &[u8], kid: &str) -> Result<String, WrapError> {
        if !is_kid(kid) {
            return Err(WrapError::Kid);
        }
        if content.len() > MAX_WRAPPED_BYTES {
            return Err(WrapError::TooLong);
        }
        let salt = random::bytes().map_err(|_| WrapError::Failed)?;
        let key = kdf::derive(self.input(), &salt, cost).map_err(|NoMemory| WrapError::NoMemory)?;
        // One allocation of the final size: growing would leave copies behind.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(COMMITMENT.len() + content.len()));
        plaintext.extend_from_slice(&COMMITMENT);
        plaintext.extend_from_slice(content);
        direct::seal(&plaintext, header(cost, &salt, kid), &key).ok_or(WrapError::Failed)
    }

    /// Opens what [`RecoverySecret::wrap`] made for `kid`. Form, algorithms, cost and kid are
    /// checked first and cost nothing.
    ///
    /// # Errors
    /// [`UnwrapError`]; no input panics.
    pub fn open(&self, text: &str, kid: &str) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Malformed::TooLong.into());
        }
        let wrapped = Direct::parse(text)?;
        let (cost, salt) = read(wrapped.header().clone(), kid)?;
        let spelling = Value::Object(header(cost, &salt, kid)).to_string();
        if wrapped.header_text() != Some(spelling) {
            return Err(Malformed::Spelling.into());
        }
        let key = kdf::derive(self.input(), &salt, cost);
        let key = key.map_err(|NoMemory| UnwrapError::NoMemory)?;
        let plaintext = wrapped.open(&key).ok_or(UnwrapError::Failed)?;
        let content = plaintext.strip_prefix(&COMMITMENT);
        let content = content.ok_or(UnwrapError::Failed)?;
        Ok(Zeroizing::new(content.to_vec()))
    }
}

fn is_kid(kid: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&kid.len())
        && kid
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// The members in their one order.
fn header(cost: Cost, salt: &[u8; SALT_BYTES], kid: &str) -> Map<String, Value> {
    let kdf = json!({
        "name": KDF,
        "m": cost.memory_kib(),
        "t": cost.passes(),
        "p": cost.lanes(),
        "salt": encode_base64url(salt),
    });
    [
        ("alg", ALG.into()),
        ("enc", ENC.into()),
        ("kdf", kdf),
        ("kid", kid.into()),
        ("cty", CTY.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

/// Cost and salt, if the members are all there and no others.
fn read(mut map: Map<String, Value>, kid: &str) -> Result<(Cost, [u8; SALT_BYTES]), UnwrapError> {
    let mut kdf = match map.swap_remove("kdf") {
        Some(Value::Object(kdf)) => kdf,
        Some(_) => return Err(Malformed::MemberType.into()),
        None => return Err(Malformed::MissingMember.into()),
    };
    for (name, only) in [("alg", ALG), ("enc", ENC), ("cty", CTY)] {
        if need_string(&mut map, name)? != only {
            return Err(UnwrapError::Algorithm);
        }
    }
    if need_string(&mut kdf, "name")? != KDF {
        return Err(UnwrapError::Algorithm);
    }
    let mut number = |name: &str, error: CostError| match kdf.swap_remove(name) {
        // What no u32 holds is above the ceiling.
        Some(Value::Number(number)) => match number.as_u64() {
            Some(number) => u32::try_from(number).map_err(|_| UnwrapError::Cost(error)),
            None => Err(Malformed::MemberType.into()),
        },
        Some(_) => Err(Malformed::MemberType.into()),
        None => Err(Malformed::MissingMember.into()),
    };
    let cost = Cost::new(
        number("m", CostError::Memory)?,
        number("t", CostError::Passes)?,
        number("p", CostError::Lanes)?,
    )?;
    let salt = need_string(&mut kdf, "salt")?;
    nothing_left(&kdf)?;
    let salt = decode_base64url(salt.as_bytes()).ok_or(Malformed::Base64)?;
    let salt = salt[..].try_into().map_err(|_| Malformed::Length)?;
    let named = need_string(&mut map, "kid")?;
    nothing_left(&map)?;
    if named != kid {
        return Err(UnwrapError::Kid);
    }
    Ok((cost, salt))
}
