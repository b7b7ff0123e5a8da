//! The JavaScript dialect's JWE: `RSA-OAEP-256` recipients, A256GCM, no binding, commitment or
//! padding.
//!
//! **Weaker by design**: whoever can read such a content can sign it as its own elsewhere, and its
//! length shows. It is for collections of the js profile only; the native [`open`](super::open)
//! refuses it, as [`open`] here refuses the native form.
//!
//! Compact for one tag, members `alg`, `enc`, `kid`, `cty`. General JSON for several (and read
//! for one): protected `enc`, `cty`; each recipient's header `alg`, `kid`. A reader also knows
//! `iat`. RSA stays inside josekit's OpenSSL; a key that does not unwrap is replaced by a random
//! one (RFC 7516 §11.5), so that padding and content errors are one error in about the same time.

use std::fmt;

use flexstore_core::decode_base64url;
use josekit::jwe::alg::rsaes::{RsaesJweDecrypter, RsaesJweEncrypter};
use josekit::jwe::enc::A256GCM;
use josekit::jwe::{JweDecrypter as _, JweEncrypter as _, JweHeader, RSA_OAEP_256};
use josekit::jwk::Jwk;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::agreement::{self, ContentKey};
use super::engine::{self, KeyAlgorithm, ReadyKey};
use super::envelope::Envelope;
use super::error::{KeyError, Malformed, OpenError, SealError};
use super::header::ENC;
use super::{MAX_AUDIENCES, MAX_CONTENT_BYTES, json};

const ALG: &str = "RSA-OAEP-256";

/// The longest `kid`, in bytes.
const MAX_KID_BYTES: usize = 256;

/// A public RSA key: 2,048 to 4,096 bits, exponent 65,537.
#[derive(Clone)]
pub struct RsaKey {
    inner: RsaesJweEncrypter,
}

/// A private RSA key, held by OpenSSL, which wipes it.
#[derive(Clone)]
pub struct RsaSecret {
    inner: RsaesJweDecrypter,
    modulus_bytes: usize,
}

impl RsaKey {
    /// From a JWK with `kty` `RSA`, `n`, `e` and perhaps `alg` (`RSA-OAEP-256`), `use` (`enc`),
    /// `kid`, `ext`, `key_ops`.
    ///
    /// # Errors
    /// [`KeyError`] for anything else, a private half included.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let map = json::parse_object(text)?;
        modulus_bytes(&map, &[])?;
        let jwk = Jwk::from_map(map).map_err(|_| KeyError::Jwk)?;
        let inner = RSA_OAEP_256
            .encrypter_from_jwk(&jwk)
            .map_err(|_| KeyError::Rsa)?;
        Ok(Self { inner })
    }
}

impl RsaSecret {
    /// From a JWK with the members of [`RsaKey::from_jwk`] and `d`, `p`, `q`, `dp`, `dq`, `qi`.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let map = json::parse_object(text)?;
        let modulus_bytes = modulus_bytes(&map, &["d", "p", "q", "dp", "dq", "qi"])?;
        let jwk = Jwk::from_map(map).map_err(|_| KeyError::Jwk)?;
        let inner = RSA_OAEP_256.decrypter_from_jwk(&jwk);
        let mut members: Map<String, Value> = jwk.into();
        for value in members.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
        Ok(Self {
            inner: inner.map_err(|_| KeyError::Rsa)?,
            modulus_bytes,
        })
    }

    /// Refuses any length but the modulus's. A key that does not unwrap becomes a random one.
    fn unwrap_key(&self, encrypted_key: &[u8]) -> Result<ContentKey, OpenError> {
        if encrypted_key.len() != self.modulus_bytes {
            return Err(Malformed::Length.into());
        }
        let random = agreement::fresh_content_key().ok_or(OpenError::Failed)?;
        let unwrapped = self
            .inner
            .decrypt(Some(encrypted_key), &A256GCM, &JweHeader::new())
            .map(|key| Zeroizing::new(key.into_owned()));
        match unwrapped.as_deref().map(|key| key[..].try_into()) {
            Ok(Ok(key)) => Ok(Zeroizing::new(key)),
            _ => Ok(random),
        }
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey(..)")
    }
}

impl fmt::Debug for RsaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaSecret(..)")
    }
}

/// One tag to which content is sealed, and its RSA key.
#[derive(Debug, Clone)]
pub struct Audience {
    /// The tag, 1 to 256 bytes.
    pub kid: String,
    /// Its key.
    pub key: RsaKey,
}

/// What [`open`] releases.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content, wiped when dropped.
    pub content: Zeroizing<Vec<u8>>,
    /// The content's type.
    pub cty: Option<String>,
    /// The `kid` of each recipient, as they stand. Those of the general form are not
    /// authenticated; an item's signature over the whole text is what vouches for them.
    pub audience: Vec<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("cty", &self.cty)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Seals content in the JavaScript form, recipients in the order given.
///
/// # Errors
/// [`SealError`] as for [`seal`](super::seal).
pub fn seal(
    content: &[u8],
    cty: Option<&str>,
    audiences: &[Audience],
) -> Result<String, SealError> {
    let mut recipients = recipients(content, audiences)?;
    if recipients.len() > 1 {
        return general(content, cty, recipients);
    }
    let (kid, ready) = recipients.pop().ok_or(SealError::NoAudience)?;
    let header = members(&[
        ("alg", Some(ALG)),
        ("enc", Some(ENC)),
        ("kid", Some(kid)),
        ("cty", cty),
    ]);
    engine::seal_compact(content, super::fitting(header)?, &ready).ok_or(SealError::Failed)
}

/// The same, in the general form even for one: so the original wraps the keys of a team.
///
/// # Errors
/// [`SealError`] as for [`seal`](super::seal).
pub(crate) fn seal_general(
    content: &[u8],
    cty: Option<&str>,
    audiences: &[Audience],
) -> Result<String, SealError> {
    general(content, cty, recipients(content, audiences)?)
}

/// A fresh content key, wrapped for each.
fn recipients<'a>(
    content: &[u8],
    audiences: &'a [Audience],
) -> Result<Vec<(&'a str, ReadyKey)>, SealError> {
    if audiences.is_empty() {
        return Err(SealError::NoAudience);
    }
    if audiences.len() > MAX_AUDIENCES {
        return Err(SealError::TooManyAudiences);
    }
    if content.len() > MAX_CONTENT_BYTES {
        return Err(SealError::TooLong);
    }
    let kids: Vec<_> = audiences.iter().map(|to| to.kid.clone()).collect();
    if kids.iter().any(|kid| !is_kid(kid)) {
        return Err(SealError::HeaderTooLong);
    }
    if !distinct(&kids) {
        return Err(SealError::DuplicateAudience);
    }
    let key = agreement::fresh_content_key().ok_or(SealError::Failed)?;
    audiences
        .iter()
        .map(|to| {
            let encrypted_key = to
                .key
                .inner
                .encrypt(&key[..], &JweHeader::new(), &mut JweHeader::new())
                .ok()??;
            let ready = ReadyKey {
                algorithm: KeyAlgorithm::RsaOaep256,
                key: key.clone(),
                encrypted_key,
            };
            Some((to.kid.as_str(), ready))
        })
        .collect::<Option<_>>()
        .ok_or(SealError::Failed)
}

/// The general form with its members in the original's order.
fn general(
    content: &[u8],
    cty: Option<&str>,
    recipients: Vec<(&str, ReadyKey)>,
) -> Result<String, SealError> {
    let header = members(&[("enc", Some(ENC)), ("cty", cty)]);
    let recipients = recipients
        .into_iter()
        .map(|(kid, ready)| (members(&[("kid", Some(kid)), ("alg", Some(ALG))]), ready))
        .collect();
    let text = engine::seal_general(content, super::fitting(header)?, recipients)
        .ok_or(SealError::Failed)?;
    let mut whole = json::parse_object(&text).map_err(|_| SealError::Failed)?;
    let mut take = |name: &str| whole.swap_remove(name).unwrap_or_default();
    let ordered = ["ciphertext", "iv", "recipients", "tag", "protected"]
        .map(|name| (name.to_owned(), take(name)));
    let mut ordered = Map::from_iter(ordered);
    if let Some(Value::Array(list)) = ordered.get_mut("recipients") {
        for recipient in list {
            let mut take = |name: &str| recipient[name].take();
            *recipient = Map::from_iter(
                ["encrypted_key", "header"].map(|name| (name.to_owned(), take(name))),
            )
            .into();
        }
    }
    Ok(Value::Object(ordered).to_string())
}

/// Opens the JavaScript form as the first recipient for which `keys` has a secret. A compact JWE
/// may lack `kid`, and `keys` is then asked with `None`.
///
/// # Errors
/// [`OpenError`]; no plaintext is released with any.
pub fn open<'k>(
    jwe: &str,
    keys: &dyn Fn(Option<&str>) -> Option<&'k RsaSecret>,
) -> Result<Opened, OpenError> {
    let read = Read::parse(jwe)?;
    let (recipient, secret) = read
        .kids
        .iter()
        .zip(&read.envelope.recipients)
        .find_map(|(kid, recipient)| Some((recipient, keys(kid.as_deref())?)))
        .ok_or(OpenError::NotForUs)?;
    let ready = ReadyKey {
        algorithm: KeyAlgorithm::RsaOaep256,
        key: secret.unwrap_key(&recipient.encrypted_key)?,
        encrypted_key: Vec::new(),
    };
    let content = engine::open(&read.envelope, recipient, &ready).ok_or(OpenError::Failed)?;
    Ok(Opened {
        content,
        audience: read.audience(),
        cty: read.cty,
    })
}

/// The `kid` of each recipient of the general form, in order; `None` for the compact form.
///
/// # Errors
/// [`OpenError::Malformed`], [`OpenError::Algorithm`].
pub(crate) fn listed(jwe: &str) -> Result<Option<Vec<String>>, OpenError> {
    let read = Read::parse(jwe)?;
    Ok((!read.envelope.compact).then(|| read.audience()))
}

/// A JWE of the JavaScript form, all of its headers known.
struct Read<'a> {
    envelope: Envelope<'a>,
    cty: Option<String>,
    kids: Vec<Option<String>>,
}

impl<'a> Read<'a> {
    fn parse(jwe: &'a str) -> Result<Self, OpenError> {
        let mut envelope = Envelope::parse(jwe)?;
        let mut protected = std::mem::take(&mut envelope.header);
        if json::need_string(&mut protected, "enc")? != ENC {
            return Err(OpenError::Algorithm);
        }
        let cty = json::take_string(&mut protected, "cty")?;
        match protected.swap_remove("iat") {
            None => {}
            Some(iat) if iat.is_u64() => {}
            Some(_) => return Err(Malformed::MemberType.into()),
        }
        if !envelope.compact {
            json::nothing_left(&protected)?;
        }
        let mut kids = Vec::with_capacity(envelope.recipients.len());
        for recipient in &envelope.recipients {
            let mut own = if envelope.compact {
                std::mem::take(&mut protected)
            } else {
                recipient.header.clone()
            };
            if json::need_string(&mut own, "alg")? != ALG {
                return Err(OpenError::Algorithm);
            }
            let kid = json::take_string(&mut own, "kid")?;
            json::nothing_left(&own)?;
            match &kid {
                Some(kid) if !is_kid(kid) => return Err(Malformed::MemberType.into()),
                None if !envelope.compact => return Err(Malformed::MissingMember.into()),
                _ => kids.push(kid),
            }
        }
        let read = Self {
            envelope,
            cty,
            kids,
        };
        if !distinct(&read.audience()) {
            return Err(Malformed::Order.into());
        }
        Ok(read)
    }

    fn audience(&self) -> Vec<String> {
        self.kids.iter().flatten().cloned().collect()
    }
}

fn members(list: &[(&str, Option<&str>)]) -> Map<String, Value> {
    list.iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), Value::from((*value)?))))
        .collect()
}

fn is_kid(kid: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&kid.len())
}

fn distinct(kids: &[String]) -> bool {
    let mut sorted: Vec<_> = kids.iter().collect();
    sorted.sort_unstable();
    sorted.is_sorted_by(|a, b| a < b)
}

/// Checks a JWK's members and gives the modulus length in bytes. `private` names the members of
/// the private half, all of which must be there.
fn modulus_bytes(map: &Map<String, Value>, private: &[&str]) -> Result<usize, KeyError> {
    const OPTIONAL: [(&str, &str); 2] = [("alg", ALG), ("use", "enc")];
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    if text("kty").ok_or(KeyError::Jwk)? != "RSA" {
        return Err(KeyError::Kind);
    }
    for (name, only) in OPTIONAL {
        if map.get(name).is_some_and(|value| value != only) {
            return Err(KeyError::Kind);
        }
    }
    let known = ["kty", "n", "e", "alg", "use", "kid", "ext", "key_ops"];
    if map
        .keys()
        .any(|name| !known.contains(&&name[..]) && !private.contains(&&name[..]))
    {
        return Err(KeyError::Jwk);
    }
    for name in private {
        let part = Zeroizing::new(text(name).ok_or(KeyError::Jwk)?.to_owned());
        decode_base64url(part.as_bytes())
            .map(Zeroizing::new)
            .ok_or(KeyError::Length)?;
    }
    let n = decode_base64url(text("n").ok_or(KeyError::Jwk)?.as_bytes()).ok_or(KeyError::Length)?;
    // Whole bytes with the top bit set, so that the modulus is as long as it looks.
    let is_long = (256..=512).contains(&n.len()) && n[0] >= 0x80;
    if is_long && text("e") == Some("AQAB") {
        Ok(n.len())
    } else {
        Err(KeyError::Rsa)
    }
}
