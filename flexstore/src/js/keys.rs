use std::fmt;

use bytes::Bytes;
use flexstore_core::json::parse_to_depth;
use flexstore_core::record::js::{Draft, ENCRYPTION_KEY, Shelf, Verified};
use flexstore_core::record::{CTY_JSON, Content, ParseError};
use flexstore_core::{KeyTag, SigningKey, decode_base64url};
use josekit::jwe::RSA_OAEP_256;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use crate::random;
use crate::seal::KeyError;
use crate::seal::js::{RsaKey, RsaSecret};

/// The bits of an RSA modulus that the original makes.
const RSA_BITS: u32 = 4096;
/// The members of a private RSA key, as the original orders them.
const RSA_MEMBERS: [&str; 9] = ["kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"];
const ALG: &str = "RSA-OAEP-256";
const DECRYPTING: &str = "decryptingKey";
const SIGNING: &str = "signingKey";

/// Why a text is not a key set of the original, or none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not a JWK Set (RFC 7517 §5) of exactly `decryptingKey` and `signingKey`.
    #[error("not a JWK Set of a decrypting and a signing key")]
    Malformed,
    /// `signingKey` is no Ed25519 pair (RFC 8037 §2), or its halves do not belong together.
    #[error("the signing key is no Ed25519 pair")]
    Signing,
    /// `decryptingKey` is no RSA key within bounds.
    #[error("the decrypting key: {0}")]
    Decrypting(#[from] KeyError),
    /// The system gives no random numbers, or OpenSSL made no key.
    #[error("no key could be made")]
    NoRandom,
}

/// A key set of the original: an Ed25519 pair that signs and an RSA pair that opens, under one
/// tag, the public signing key. Zeroized on drop, and shown by no `Debug`.
pub struct KeySet {
    signing: SigningKey,
    opening: RsaSecret,
    /// The private RSA key's values, in the order of [`RSA_MEMBERS`].
    rsa: [Zeroizing<String>; RSA_MEMBERS.len()],
}

impl KeySet {
    /// A new one, RSA of 4,096 bits: takes seconds.
    ///
    /// # Errors
    /// [`KeySetError::NoRandom`].
    pub fn generate() -> Result<Self, KeySetError> {
        let none = KeySetError::NoRandom;
        let seed = Zeroizing::new(random::bytes::<32>().map_err(|_| none)?);
        let pair = RSA_OAEP_256.generate_key_pair(RSA_BITS).map_err(|_| none)?;
        let mut jwk: Map<String, Value> = pair.to_jwk_private_key().into();
        let made = Self::of(SigningKey::from_seed(&seed), &jwk);
        wipe_members(&mut jwk);
        made
    }

    /// Reads the JWK Set that the original wraps. Nothing but its members is taken.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn from_jwks(text: &str) -> Result<Self, KeySetError> {
        let mut value = parse_to_depth(text.as_bytes(), 4).map_err(|_| KeySetError::Malformed)?;
        let read = Self::from_value(&value);
        wipe(&mut value);
        read
    }

    fn from_value(value: &Value) -> Result<Self, KeySetError> {
        let malformed = KeySetError::Malformed;
        let Some([Value::Object(decrypting), Value::Object(signing)]) = value
            .as_object()
            .filter(|set| set.len() == 1)
            .and_then(|set| set.get("keys")?.as_array())
            .map(Vec::as_slice)
        else {
            return Err(malformed);
        };
        let is = |key: &Map<String, Value>, name: &str, word: &str| {
            key.get(name).and_then(Value::as_str) == Some(word)
        };
        let rsa = is(decrypting, "kid", DECRYPTING)
            && is(decrypting, "kty", "RSA")
            && is(decrypting, "alg", ALG)
            && decrypting.len() == RSA_MEMBERS.len() + 2;
        let okp = is(signing, "kid", SIGNING)
            && is(signing, "kty", "OKP")
            && is(signing, "crv", "Ed25519")
            && is(signing, "alg", "EdDSA")
            && signing.len() == 6;
        if !rsa || !okp {
            return Err(malformed);
        }
        let part = |name: &str| {
            let text = signing.get(name).and_then(Value::as_str);
            text.ok_or(malformed)
        };
        let seed =
            Zeroizing::new(decode_base64url(part("d")?.as_bytes()).ok_or(KeySetError::Signing)?);
        let seed: &[u8; 32] = seed[..].try_into().map_err(|_| KeySetError::Signing)?;
        let key = SigningKey::from_seed(seed);
        if part("x")? != key.tag().to_string() {
            return Err(KeySetError::Signing);
        }
        Self::of(key, decrypting)
    }

    fn of(signing: SigningKey, jwk: &Map<String, Value>) -> Result<Self, KeySetError> {
        let mut rsa = RSA_MEMBERS.map(|_| Zeroizing::default());
        for (name, place) in RSA_MEMBERS.iter().zip(&mut rsa) {
            let text = jwk.get(*name).and_then(Value::as_str);
            *place = Zeroizing::new(text.ok_or(KeyError::Jwk)?.to_owned());
        }
        let opening = RsaSecret::from_jwk(&private_jwk(&rsa, ""))?;
        Ok(Self {
            signing,
            opening,
            rsa,
        })
    }

    /// The JWK Set, in the original's layout and in plain: for wrapping.
    #[must_use]
    pub fn to_jwks(&self) -> Zeroizing<String> {
        let rsa = private_jwk(&self.rsa, r#","kid":"decryptingKey""#);
        let seed = self.signing.to_seed();
        let d = Zeroizing::new(flexstore_core::encode_base64url(&*seed));
        let x = self.tag().to_string();
        let parts = [
            r#"{"keys":["#,
            &rsa,
            r#",{"crv":"Ed25519","d":""#,
            &d,
            r#"","x":""#,
            &x,
            r#"","kty":"OKP","alg":"EdDSA","kid":"signingKey"}]}"#,
        ];
        // In one piece: growing would leave copies behind.
        Zeroizing::new(parts.concat())
    }

    /// The name under which others know the holder.
    #[must_use]
    pub const fn tag(&self) -> KeyTag {
        self.signing.tag()
    }

    /// The key that signs.
    #[must_use]
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The key that opens.
    #[must_use]
    pub const fn opening(&self) -> &RsaSecret {
        &self.opening
    }

    /// The public encryption key as the original publishes it: `kty`, `n`, `e`, `alg`.
    #[must_use]
    pub fn encryption_jwk(&self) -> String {
        let [_, n, e, ..] = &self.rsa;
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"{}","alg":"{ALG}"}}"#,
            n.as_str(),
            e.as_str()
        )
    }

    /// The public encryption key.
    ///
    /// # Errors
    /// [`KeyError`], which a key set that was read does not give.
    pub fn encryption_key(&self) -> Result<RsaKey, KeyError> {
        RsaKey::from_jwk(&self.encryption_jwk())
    }

    /// The record that publishes the encryption key of a device or recovery; `iat` in ms since
    /// 1970. A team's is made with the team.
    ///
    /// # Errors
    /// [`ParseError`] for a time out of range.
    pub fn encryption_record(&self, iat: u64) -> Result<Verified, ParseError> {
        encryption_draft(self, iat)?.sign(&self.signing)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "js::KeySet({})", self.tag())
    }
}

pub(super) fn encryption_draft(keys: &KeySet, iat: u64) -> Result<Draft, ParseError> {
    let payload = keys.encryption_jwk().into();
    draft(ENCRYPTION_KEY, keys.tag(), payload, CTY_JSON, iat)
}

/// A draft for one of the credential collections.
pub(super) fn draft(
    name: &str,
    tag: KeyTag,
    payload: Bytes,
    cty: &str,
    iat: u64,
) -> Result<Draft, ParseError> {
    let shelf = Shelf::credential(name).map_err(|_| ParseError::Collection)?;
    let content = Content::Plain {
        payload,
        cty: Some(cty.into()),
    };
    Ok(Draft::new(shelf, tag.tag(), content, iat))
}

/// The key that a record of the collection `EncryptionKey` publishes.
///
/// # Errors
/// [`KeyError`] if it publishes none, for one because it destroys it.
pub fn encryption_key(record: &Verified) -> Result<RsaKey, KeyError> {
    let text = str::from_utf8(record.payload()).map_err(|_| KeyError::Jwk)?;
    RsaKey::from_jwk(text)
}

/// `kid` is the rest of the object, from its comma on.
fn private_jwk(rsa: &[Zeroizing<String>; RSA_MEMBERS.len()], kid: &str) -> Zeroizing<String> {
    let length: usize = rsa.iter().map(|value| value.len() + 16).sum();
    // Sized beforehand: growing would leave copies behind.
    let mut out = Zeroizing::new(String::with_capacity(length + 64 + kid.len()));
    for (n, (name, value)) in RSA_MEMBERS.iter().zip(rsa).enumerate() {
        out.push_str(if n == 0 { "{\"" } else { ",\"" });
        out.push_str(name);
        out.push_str("\":\"");
        out.push_str(value);
        out.push('"');
    }
    out.push_str(",\"alg\":\"");
    out.push_str(ALG);
    out.push('"');
    out.push_str(kid);
    out.push('}');
    out
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(map) => wipe_members(map),
        _ => {}
    }
}

fn wipe_members(map: &mut Map<String, Value>) {
    map.values_mut().for_each(wipe);
}
