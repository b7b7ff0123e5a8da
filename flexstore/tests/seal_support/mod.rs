//! What the sealing tests share: keys, a JWE crafted with any header, the vectors.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod vectors;

use std::borrow::Cow;

use flexstore::seal::{
    Audience, Binding, EncryptionKey, EncryptionSecret, Kid, OpenError, Opened, open,
};
use flexstore_core::{Digest, KeyTag, decode_base64url, encode_base64url};
use josekit::JoseError;
use josekit::jwe::alg::ecdh_es::EcdhEsJweEncrypter;
use josekit::jwe::enc::A256GCM;
use josekit::jwe::{
    ECDH_ES_A256KW, JweAlgorithm, JweContentEncryption, JweEncrypter, JweHeader, serialize_compact,
};
use josekit::jwk::Jwk;
use serde_json::{Map, Value, json};

pub fn tag(n: u8) -> KeyTag {
    KeyTag::from_bytes([n; 32])
}

pub fn kid(n: u8) -> Kid {
    Kid::new(tag(n))
}

pub fn secret(n: u8) -> EncryptionSecret {
    EncryptionSecret::from_bytes([n; 32])
}

/// Audience `n` with secret `n`.
pub fn audience(n: u8) -> Audience {
    Audience {
        kid: kid(n),
        key: secret(n).public(),
    }
}

pub fn binding() -> Binding {
    Binding {
        owner: tag(101),
        author: tag(102),
        col: "MutableCollection/notes".into(),
        tag: Some("shopping".into()),
        prop: None,
    }
}

/// Opens as the holder of secret `n` under kid `n`.
pub fn open_as(n: u8, jwe: &str) -> Result<Opened, OpenError> {
    let own = secret(n);
    open(jwe, &binding(), &|other| (*other == kid(n)).then_some(&own))
}

/// The header of a compact JWE.
pub fn header_of(jwe: &str) -> Map<String, Value> {
    let header = decode_base64url(jwe.split('.').next().unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

/// The compact JWE with one of its five parts replaced.
pub fn with_part(jwe: &str, index: usize, text: &str) -> String {
    let mut parts: Vec<_> = jwe.split('.').collect();
    parts[index] = text;
    parts.join(".")
}

/// The members of a native header but `alg`, `epk` and `kid`, for a content key.
pub fn shared_members(cek: &[u8; 32]) -> Map<String, Value> {
    let commit = Digest::of_parts(&[b"flexstore/cek", cek]).to_string();
    let binding = binding();
    let members = json!({
        "enc": "A256GCM", "iss": binding.owner.to_string(), "act": binding.author.to_string(),
        "col": binding.col, "tag": binding.tag, "commit": commit, "pad": "padme",
    });
    members.as_object().unwrap().clone()
}

/// `content` padded to 32 bytes.
pub fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = [content, &[0x80]].concat();
    padded.resize(32, 0);
    padded
}

/// josekit's own ECDH-ES encrypter with a content key that the test chooses.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub inner: EcdhEsJweEncrypter,
    pub cek: [u8; 32],
}

impl Chosen {
    pub fn new(key: &EncryptionKey, cek: [u8; 32]) -> Self {
        let jwk = Jwk::from_bytes(key.to_jwk()).unwrap();
        Self {
            inner: ECDH_ES_A256KW.encrypter_from_jwk(&jwk).unwrap(),
            cek,
        }
    }

    /// The content key wrapped: epk and encrypted key.
    pub fn wrap(&self) -> (Value, Vec<u8>) {
        let mut header = JweHeader::new();
        let key = self
            .inner
            .encrypt(&self.cek, &JweHeader::new(), &mut header);
        let epk = header.claim("epk").unwrap().clone();
        (epk, key.unwrap().unwrap())
    }
}

impl JweEncrypter for Chosen {
    fn algorithm(&self) -> &dyn JweAlgorithm {
        &ECDH_ES_A256KW
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
        Ok(Some(Cow::Borrowed(&self.cek)))
    }

    fn encrypt(
        &self,
        key: &[u8],
        header: &JweHeader,
        out: &mut JweHeader,
    ) -> Result<Option<Vec<u8>>, JoseError> {
        self.inner.encrypt(key, header, out)
    }

    fn box_clone(&self) -> Box<dyn JweEncrypter> {
        Box::new(self.clone())
    }
}

/// A compact JWE for kid 1 made by josekit alone, its ECDH included. `more` adds or, where null,
/// removes members.
pub fn crafted(more: Value) -> String {
    crafted_with(more, &padded(b"crafted"))
}

/// The same with any plaintext.
pub fn crafted_with(more: Value, plaintext: &[u8]) -> String {
    let cek = [42; 32];
    let mut header = shared_members(&cek);
    header.insert("kid".into(), kid(1).to_string().into());
    merge(&mut header, &more);
    let header = JweHeader::from_map(header).unwrap();
    serialize_compact(plaintext, &header, &Chosen::new(&secret(1).public(), cek)).unwrap()
}

/// A compact JWE whose protected header is exactly this text: properly encrypted to kid 1, if the
/// text has `"epk":EPK` in it, which is replaced.
pub fn crafted_text(header: &str) -> String {
    let cek = [42; 32];
    let (epk, key) = Chosen::new(&secret(1).public(), cek).wrap();
    let protected = encode_base64url(header.replace("EPK", &epk.to_string()).as_bytes());
    let iv = [9; 12];
    let (ciphertext, auth) = A256GCM
        .encrypt(&cek, Some(&iv), &padded(b"crafted"), protected.as_bytes())
        .unwrap();
    [
        protected,
        encode_base64url(&key),
        encode_base64url(&iv),
        encode_base64url(&ciphertext),
        encode_base64url(&auth.unwrap()),
    ]
    .join(".")
}

/// The text of a proper header for [`crafted_text`].
pub fn proper_header_text() -> String {
    let mut header = shared_members(&[42; 32]);
    header.insert("alg".into(), "ECDH-ES+A256KW".into());
    header.insert("kid".into(), kid(1).to_string().into());
    header.insert("epk".into(), "EPK".into());
    Value::Object(header).to_string().replace("\"EPK\"", "EPK")
}

/// A general JWE for kids 1 and 2, properly encrypted, with more members in the protected header
/// and in that of recipient 2. A null removes a member.
pub fn crafted_general(protected: &Value, recipient: &Value) -> String {
    let cek = [42; 32];
    let mut bytes = b"flexstore/recipients".to_vec();
    let mut recipients = Vec::new();
    for n in [1, 2] {
        let (epk, key) = Chosen::new(&secret(n).public(), cek).wrap();
        bytes.push(43);
        bytes.extend_from_slice(kid(n).to_string().as_bytes());
        bytes.extend(decode_base64url(epk["x"].as_str().unwrap().as_bytes()).unwrap());
        bytes.extend_from_slice(&key);
        let mut header = json!({"alg": "ECDH-ES+A256KW", "epk": epk, "kid": kid(n).to_string()});
        if n == 2 {
            merge(header.as_object_mut().unwrap(), recipient);
        }
        recipients.push(json!({"header": header, "encrypted_key": encode_base64url(&key)}));
    }
    let mut header = shared_members(&cek);
    header.insert("to".into(), Digest::of(&bytes).to_string().into());
    merge(&mut header, protected);
    general(&Value::Object(header), &json!(recipients), &cek)
}

/// A general JWE of these parts, its content properly encrypted.
pub fn general(header: &Value, recipients: &Value, cek: &[u8; 32]) -> String {
    let protected = encode_base64url(header.to_string().as_bytes());
    let iv = [9; 12];
    let (ciphertext, tag) = A256GCM
        .encrypt(cek, Some(&iv), &padded(b"crafted"), protected.as_bytes())
        .unwrap();
    json!({
        "protected": protected, "recipients": recipients, "iv": encode_base64url(&iv),
        "ciphertext": encode_base64url(&ciphertext), "tag": encode_base64url(&tag.unwrap()),
    })
    .to_string()
}

/// Puts more members in; a null takes one out.
pub fn merge(members: &mut Map<String, Value>, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
}
