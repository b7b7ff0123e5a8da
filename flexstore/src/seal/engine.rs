//! The only place where josekit makes or opens a JWE. It gets a content key that is ready, one
//! recipient whose every part was checked, and A256GCM as the only cipher.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use flexstore_core::{decode_base64url, encode_base64url};
use josekit::JoseError;
use josekit::jwe::enc::A256GCM;
use josekit::jwe::{
    Dir, ECDH_ES_A256KW, JweAlgorithm, JweContentEncryption, JweContext, JweDecrypter,
    JweEncrypter, JweHeader, JweHeaderSet, RSA_OAEP_256,
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::agreement::ContentKey;
use super::envelope::{Envelope, Recipient};

static CONTEXT: LazyLock<JweContext> = LazyLock::new(|| {
    let mut context = JweContext::new();
    context.remove_compression("DEF");
    for other in [
        "A128CBC-HS256",
        "A192CBC-HS384",
        "A256CBC-HS512",
        "A128GCM",
        "A192GCM",
    ] {
        context.remove_content_encryption(other);
    }
    context
});

/// How the content key reaches a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyAlgorithm {
    EcdhEsA256kw,
    RsaOaep256,
    /// The content key itself is what both sides hold (RFC 7518 §4.5).
    Dir,
}

/// A content key that is known already, for one recipient.
#[derive(Clone)]
pub(super) struct ReadyKey {
    pub(super) algorithm: KeyAlgorithm,
    pub(super) key: ContentKey,
    pub(super) encrypted_key: Vec<u8>,
}

impl fmt::Debug for ReadyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadyKey(..)")
    }
}

impl ReadyKey {
    fn josekit_algorithm(&self) -> &'static dyn JweAlgorithm {
        match self.algorithm {
            KeyAlgorithm::EcdhEsA256kw => &ECDH_ES_A256KW,
            KeyAlgorithm::RsaOaep256 => &RSA_OAEP_256,
            KeyAlgorithm::Dir => &Dir,
        }
    }
}

impl JweEncrypter for ReadyKey {
    fn algorithm(&self) -> &dyn JweAlgorithm {
        self.josekit_algorithm()
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn compute_content_encryption_key(
        &self,
        _: &dyn JweContentEncryption,
        _: &JweHeader,
        _: &mut JweHeader,
    ) -> Result<Option<Cow<'_, [u8]>>, JoseError> {
        Ok(Some(Cow::Borrowed(&self.key[..])))
    }

    fn encrypt(
        &self,
        _: &[u8],
        _: &JweHeader,
        _: &mut JweHeader,
    ) -> Result<Option<Vec<u8>>, JoseError> {
        Ok(Some(self.encrypted_key.clone()))
    }

    fn box_clone(&self) -> Box<dyn JweEncrypter> {
        Box::new(self.clone())
    }
}

impl JweDecrypter for ReadyKey {
    fn algorithm(&self) -> &dyn JweAlgorithm {
        self.josekit_algorithm()
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn decrypt(
        &self,
        _: Option<&[u8]>,
        _: &dyn JweContentEncryption,
        _: &JweHeader,
    ) -> Result<Cow<'_, [u8]>, JoseError> {
        Ok(Cow::Borrowed(&self.key[..]))
    }

    fn box_clone(&self) -> Box<dyn JweDecrypter> {
        Box::new(self.clone())
    }
}

/// Makes the compact form. The header's members keep their order.
pub(super) fn seal_compact(
    plaintext: &[u8],
    header: Map<String, Value>,
    key: &ReadyKey,
) -> Option<String> {
    let header = JweHeader::from_map(header).ok()?;
    CONTEXT.serialize_compact(plaintext, &header, key).ok()
}

/// Makes the general JSON form: members in order `protected`, `recipients` (each `header`,
/// `encrypted_key`), `iv`, `ciphertext`, `tag`.
pub(super) fn seal_general(
    plaintext: &[u8],
    protected: Map<String, Value>,
    recipients: Vec<(Map<String, Value>, ReadyKey)>,
) -> Option<String> {
    let mut shared = JweHeaderSet::new();
    for (name, value) in protected {
        shared.set_claim(&name, Some(value), true).ok()?;
    }
    let recipients = recipients
        .into_iter()
        .map(|(header, key)| Some((JweHeader::from_map(header).ok()?, key)))
        .collect::<Option<Vec<_>>>()?;
    let recipients: Vec<(Option<&JweHeader>, &dyn JweEncrypter)> = recipients
        .iter()
        .map(|(header, key)| (Some(header), key as &dyn JweEncrypter))
        .collect();
    CONTEXT
        .serialize_general_json(plaintext, Some(&shared), &recipients, None)
        .ok()
}

/// Opens the content with a key that was unwrapped for `recipient`.
pub(super) fn open(
    envelope: &Envelope<'_>,
    recipient: &Recipient,
    key: &ReadyKey,
) -> Option<Zeroizing<Vec<u8>>> {
    if !envelope.compact && envelope.ciphertext.is_empty() {
        return open_empty(envelope, key);
    }
    // josekit tries only the first recipient whose algorithm fits: it is shown no other.
    let opened = if envelope.compact {
        let encrypted_key = encode_base64url(&recipient.encrypted_key);
        let text = [
            &envelope.protected[..],
            &encrypted_key,
            &envelope.iv,
            &envelope.ciphertext,
            &envelope.tag,
        ]
        .join(".");
        CONTEXT.deserialize_compact_with_selector(text, |_| Ok(Some(key)))
    } else {
        let text = json!({
            "protected": envelope.protected,
            "recipients": [{
                "header": recipient.header,
                "encrypted_key": encode_base64url(&recipient.encrypted_key),
            }],
            "iv": envelope.iv,
            "ciphertext": envelope.ciphertext,
            "tag": envelope.tag,
        })
        .to_string();
        CONTEXT.deserialize_json_with_selector(text, |_| Ok(Some(key)))
    };
    opened.ok().map(|(plaintext, _)| Zeroizing::new(plaintext))
}

/// josekit makes the general form of an empty content but does not open it, so the tag is made
/// again and compared. Only the js profile has one: the native profile pads.
fn open_empty(envelope: &Envelope<'_>, key: &ReadyKey) -> Option<Zeroizing<Vec<u8>>> {
    let iv = decode_base64url(envelope.iv.as_bytes())?;
    let tag = decode_base64url(envelope.tag.as_bytes())?;
    let (_, expected) = A256GCM
        .encrypt(&key.key[..], Some(&iv), &[], envelope.protected.as_bytes())
        .ok()?;
    let expected = expected?;
    // No early exit: the time tells nothing about where the tags part.
    let difference = tag
        .iter()
        .zip(&expected)
        .fold(tag.len() ^ expected.len(), |all, (a, b)| {
            all | usize::from(a ^ b)
        });
    (difference == 0).then(Zeroizing::default)
}
