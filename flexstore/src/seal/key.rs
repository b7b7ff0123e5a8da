//! X25519 keys (RFC 7748), made and checked by x25519-dalek; as JWK they are OKP (RFC 8037).

use std::fmt;

use flexstore_core::{decode_base64url, encode_base64url};
use serde_json::{Map, Value, json};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::{KeyError, Malformed};
use super::json;

/// The private half of an X25519 pair. It is wiped when dropped and never shown:
///
/// ```
/// use flexstore::seal::EncryptionSecret;
///
/// let secret = EncryptionSecret::generate()?;
/// assert_eq!(format!("{secret:?}"), "EncryptionSecret(..)");
/// # Ok::<(), flexstore::seal::KeyError>(())
/// ```
///
/// ```compile_fail
/// let secret = flexstore::seal::EncryptionSecret::generate().unwrap();
/// println!("{secret}"); // a secret has no `Display`
/// ```
#[derive(Clone)]
pub struct EncryptionSecret(StaticSecret);

/// The public half of an X25519 pair: a canonical point that is not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncryptionKey([u8; 32]);

impl EncryptionSecret {
    /// A new secret of 32 bytes from the operating system.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the system gives none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| KeyError::Random)?;
        Ok(Self::from_bytes(*bytes))
    }

    /// From 32 bytes, clamped when used (RFC 7748 §5).
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let secret = Self(StaticSecret::from(bytes));
        bytes.zeroize();
        secret
    }

    /// The 32 bytes, for a vault to wrap.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> EncryptionKey {
        EncryptionKey(PublicKey::from(&self.0).to_bytes())
    }

    /// The 32 bytes on which this pair and the other agree (RFC 7748 §6.1). Not a key yet: derive
    /// one from them.
    ///
    /// # Errors
    /// [`KeyError::Point`] if the result is all zero; a checked [`EncryptionKey`] never gives it.
    pub fn agree(&self, other: &EncryptionKey) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.agree_unchecked(&other.0)
    }

    /// The same with a point not yet known to be of large order: the zero check settles it.
    pub(super) fn agree_unchecked(
        &self,
        other: &[u8; 32],
    ) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*other));
        if shared.was_contributory() {
            Ok(Zeroizing::new(shared.to_bytes()))
        } else {
            Err(KeyError::Point)
        }
    }

    /// As JWK: `{"kty":"OKP","crv":"X25519","x":…,"d":…}`.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        let d = Zeroizing::new(encode_base64url(self.0.as_bytes()));
        let x = self.public().to_string();
        // One allocation of enough room: growing would leave copies of `d` behind.
        let mut text = Zeroizing::new(String::with_capacity(160));
        text.push_str(r#"{"kty":"OKP","crv":"X25519","x":""#);
        text.push_str(&x);
        text.push_str(r#"","d":""#);
        text.push_str(&d);
        text.push_str(r#""}"#);
        text
    }

    /// From a JWK with `kty`, `crv`, `x`, `d` and perhaps `kid`, `use` and `alg`.
    ///
    /// # Errors
    /// [`KeyError`] for anything else, or if `x` does not belong to `d`.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let mut map = json::parse_object(text)?;
        let d = Zeroizing::new(json::need_string(&mut map, "d")?);
        let public = EncryptionKey::from_members(map)?;
        let bytes = Zeroizing::new(decode_base64url(d.as_bytes()).ok_or(KeyError::Length)?);
        let bytes = Zeroizing::new(bytes[..].try_into().map_err(|_| KeyError::Length)?);
        let secret = Self::from_bytes(*bytes);
        if secret.public() == public {
            Ok(secret)
        } else {
            Err(KeyError::Mismatch)
        }
    }
}

impl fmt::Debug for EncryptionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionSecret(..)")
    }
}

impl EncryptionKey {
    /// From the 32 bytes of the u-coordinate, little-endian.
    ///
    /// # Errors
    /// [`KeyError::Point`] if the number is not reduced modulo 2^255 - 19 (the top bit included),
    /// or if the point is of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if !is_reduced(&bytes) {
            return Err(KeyError::Point);
        }
        // Any secret will do: a clamped one is a multiple of 8, which only points of small order
        // send to zero.
        let probe = EncryptionSecret::from_bytes([1; 32]);
        probe.agree_unchecked(&bytes)?;
        Ok(Self(bytes))
    }

    /// The 32 bytes of the u-coordinate, little-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As JWK: `{"kty":"OKP","crv":"X25519","x":…}` (RFC 8037 §2).
    #[must_use]
    pub fn to_jwk(&self) -> String {
        jwk(&self.0).to_string()
    }

    /// From a JWK with `kty`, `crv`, `x` and perhaps `kid`, `use` and `alg`; a private half is
    /// refused.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        Self::from_members(json::parse_object(text)?)
    }

    fn from_members(mut map: Map<String, Value>) -> Result<Self, KeyError> {
        json::take_string(&mut map, "kid")?;
        for (name, only) in [("use", "enc"), ("alg", super::header::ALG)] {
            if json::take_string(&mut map, name)?.is_some_and(|text| text != only) {
                return Err(KeyError::Kind);
            }
        }
        for (name, only) in [("kty", "OKP"), ("crv", "X25519")] {
            if json::need_string(&mut map, name)? != only {
                return Err(KeyError::Kind);
            }
        }
        let x = json::need_string(&mut map, "x")?;
        json::nothing_left(&map)?;
        let x = decode_base64url(x.as_bytes()).ok_or(KeyError::Length)?;
        Self::from_bytes(x[..].try_into().map_err(|_| KeyError::Length)?)
    }
}

impl fmt::Display for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_base64url(&self.0))
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({self})")
    }
}

impl From<Malformed> for KeyError {
    fn from(_: Malformed) -> Self {
        Self::Jwk
    }
}

/// The public JWK members in their one order.
pub(super) fn jwk(x: &[u8; 32]) -> Value {
    json!({"kty": "OKP", "crv": "X25519", "x": encode_base64url(x)})
}

/// Whether a u-coordinate is below 2^255 - 19, so that each point has one spelling.
pub(super) fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *high < 0x7f || (*high == 0x7f && (middle.iter().any(|&b| b != 0xff) || *low < 0xed))
}
