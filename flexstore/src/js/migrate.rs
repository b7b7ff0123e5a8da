//! The only reader of keys that the original wrapped with the bare hash of a secret.

use bytes::Bytes;
use flexstore_core::decode_base64url;
use flexstore_core::json::parse_to_depth;
use flexstore_core::record::js::{KEY_RECOVERY, Shelf, Signed};
use flexstore_core::record::{BadSignature, ParseError};
use josekit::jwe::JweContentEncryption as _;
use josekit::jwe::enc::A256GCM;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::keys::{KeySet, KeySetError};

/// The longest prompt, in bytes.
const MAX_PROMPT_BYTES: usize = 4096;

/// Keys that came out of a legacy wrap: to be wrapped anew, and used.
#[derive(Debug)]
pub struct Migrated {
    /// The keys.
    pub keys: KeySet,
    /// The question whose answer opened them; empty for a device.
    pub prompt: String,
}

/// Why a legacy wrap was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// Not a file of a device: no JSON string.
    #[error("not a device's file")]
    File,
    /// Not a record of the original.
    #[error(transparent)]
    Record(#[from] ParseError),
    /// Not signed by the holder.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The payload is not wrapped in that way: another algorithm, or another layout.
    #[error("not wrapped in the legacy way")]
    Form,
    /// The secret is another, or the text was altered.
    #[error("the secret does not open it")]
    Secret,
    /// What was wrapped are no keys.
    #[error("what is wrapped: {0}")]
    Keys(#[from] KeySetError),
    /// What was wrapped are the keys of another tag than the record's.
    #[error("the keys of another are wrapped")]
    OtherKeys,
}

/// Reads the keys of a device or recovery that the original wrapped: from a record of its
/// collection `KeyRecovery`, or of its local store of devices.
///
/// **For moving away from it only.** The wrap is the unsalted SHA-256 of the secret: whoever has
/// the record guesses at hash speed, and a device's secret is by default its public tag. Wrap the
/// keys anew at once; once somebody else may have guessed, make others.
///
/// # Errors
/// [`MigrateError`].
pub fn migrate(record: impl Into<Bytes>, secret: &str) -> Result<Migrated, MigrateError> {
    let shelf = Shelf::credential(KEY_RECOVERY).map_err(|_| ParseError::Collection)?;
    let record = Signed::parse(record, &shelf, None)?.verify()?;
    let wrap = str::from_utf8(record.payload()).map_err(|_| MigrateError::Form)?;
    let (text, prompt) = unwrap(wrap, secret)?;
    let text = str::from_utf8(&text).map_err(|_| KeySetError::Malformed)?;
    let keys = KeySet::from_jwks(text)?;
    if keys.tag() == record.header().owner {
        Ok(Migrated { keys, prompt })
    } else {
        Err(MigrateError::OtherKeys)
    }
}

/// The same from a device's file, which holds the record as a JSON string.
///
/// # Errors
/// [`MigrateError`].
pub fn migrate_device_file(text: &str, secret: &str) -> Result<Migrated, MigrateError> {
    match parse_to_depth(text.as_bytes(), 1) {
        Ok(Value::String(record)) => migrate(record, secret),
        _ => Err(MigrateError::File),
    }
}

/// `dir` with the hash of the secret (RFC 7518 §4.5), A256GCM (§5.3), the header exactly the
/// original's.
fn unwrap(wrap: &str, secret: &str) -> Result<(Zeroizing<Vec<u8>>, String), MigrateError> {
    let form = MigrateError::Form;
    let mut parts = wrap.split('.');
    let (Some(protected), Some(""), Some(iv), Some(ciphertext), Some(tag), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(form);
    };
    let bytes = |text: &str| decode_base64url(text.as_bytes()).ok_or(form);
    let header = bytes(protected)?;
    let Ok(Value::Object(header)) = parse_to_depth(&header, 1) else {
        return Err(form);
    };
    let names: Vec<&str> = header.keys().map(String::as_str).collect();
    let says = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let prompt = says("prompt");
    let is_ours = names == ["alg", "enc", "prompt", "cty"]
        && header["prompt"].is_string()
        && prompt.len() <= MAX_PROMPT_BYTES
        && (says("alg"), says("enc"), says("cty")) == ("dir", "A256GCM", "json");
    let (iv, ciphertext, tag) = (bytes(iv)?, bytes(ciphertext)?, bytes(tag)?);
    if !is_ours || iv.len() != 12 || tag.len() != 16 {
        return Err(form);
    }
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(Sha256::digest(secret.as_bytes()).into());
    let opened = A256GCM
        .decrypt(
            &key[..],
            Some(&iv),
            &ciphertext,
            protected.as_bytes(),
            Some(&tag),
        )
        .map_err(|_| MigrateError::Secret)?;
    Ok((Zeroizing::new(opened), prompt.to_owned()))
}
