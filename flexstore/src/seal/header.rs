//! The protected header of the native profile: what it says and how it is checked.

use std::fmt;
use std::str::FromStr;

use flexstore_core::{Digest, KeyTag, decode_base64url};
use serde_json::{Map, Value};

use super::agreement::{ContentKey, WrappedKey};
use super::error::{BindingMember, Malformed, OpenError};
use super::json;
use super::key::{self, EncryptionKey};

/// `alg` of every native recipient (RFC 7518 §4.6).
pub(super) const ALG: &str = "ECDH-ES+A256KW";
/// `enc` of every sealed content (RFC 7518 §5.3).
pub(super) const ENC: &str = "A256GCM";
const PAD: &str = "padme";

/// What a sealed content is tied to. The reader says what it expects, from where the item is
/// stored and who signed it; nothing is released unless all of it stands in the sealed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Who owns the item.
    pub owner: KeyTag,
    /// The device or recovery leaf that writes it.
    pub author: KeyTag,
    /// Kind and name of the collection, such as `MutableCollection/Team`.
    pub col: String,
    /// The item's tag, where the item signs one: mutable and versioned, not immutable.
    pub tag: Option<String>,
    /// The property's name, where one property is sealed by itself.
    pub prop: Option<String>,
}

/// The name of a recipient's key: the audience's tag and, for a team, the digest of the Team
/// record whose key it is. As text `tag` or `tag#digest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kid {
    /// The audience.
    pub tag: KeyTag,
    /// The Team record that carries the key.
    pub record: Option<Digest>,
}

impl Kid {
    /// The key of a device, a recovery or a team without rotation.
    #[must_use]
    pub const fn new(tag: KeyTag) -> Self {
        Self { tag, record: None }
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tag)?;
        match &self.record {
            Some(record) => write!(f, "#{record}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Kid {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (tag, record) = match text.split_once('#') {
            Some((tag, record)) => (tag, Some(record)),
            None => (text, None),
        };
        Ok(Self {
            tag: KeyTag::parse(tag).map_err(|_| Malformed::MemberType)?,
            record: record
                .map(Digest::parse)
                .transpose()
                .map_err(|_| Malformed::MemberType)?,
        })
    }
}

/// What is needed to unwrap the content key for one recipient.
pub(super) struct NativeRecipient {
    pub(super) kid: Kid,
    pub(super) epk: [u8; 32],
    pub(super) encrypted_key: WrappedKey,
}

/// Ascending by the text of the tag, each tag once.
pub(super) fn is_ascending(kids: &[Kid]) -> bool {
    let tags: Vec<_> = kids.iter().map(|kid| kid.tag.to_string()).collect();
    tags.is_sorted_by(|a, b| a < b)
}

/// The commitment to a content key: SHA-256("flexstore/cek" || key).
pub(super) fn commitment(key: &ContentKey) -> Digest {
    Digest::of_parts(&[b"flexstore/cek", &key[..]])
}

/// The digest of all recipients: SHA-256("flexstore/recipients" || for each the length of its
/// kid in one byte, kid, ephemeral key, wrapped key). The general form does not authenticate the
/// recipients by itself.
pub(super) fn recipients_digest<'a>(
    recipients: impl Iterator<Item = (Kid, &'a [u8; 32], &'a WrappedKey)>,
) -> Digest {
    let mut bytes = b"flexstore/recipients".to_vec();
    for (kid, epk, encrypted_key) in recipients {
        let kid = kid.to_string();
        // A kid has 43 or 87 characters.
        bytes.push(kid.len() as u8);
        bytes.extend_from_slice(kid.as_bytes());
        bytes.extend_from_slice(epk);
        bytes.extend_from_slice(encrypted_key);
    }
    Digest::of(&bytes)
}

/// Writes the members of one recipient: all of its header in the general form, and in the
/// compact one the ends of the protected header.
pub(super) fn recipient_members(kid: &Kid, epk: &EncryptionKey) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("alg".into(), ALG.into());
    map.insert("epk".into(), key::jwk(epk.as_bytes()));
    map.insert("kid".into(), kid.to_string().into());
    map
}

/// What the protected header holds whatever the form.
pub(super) struct Shared<'a> {
    pub(super) binding: &'a Binding,
    pub(super) cty: Option<&'a str>,
    pub(super) commit: Digest,
    /// In the general form.
    pub(super) recipients: Option<Digest>,
}

impl Shared<'_> {
    /// Writes the members in their one order. `single` are the recipient's own members, which the
    /// compact form carries here.
    pub(super) fn write(&self, mut single: Map<String, Value>) -> Map<String, Value> {
        let binding = self.binding;
        let mut map = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        put("alg", single.swap_remove("alg"));
        put("enc", Some(ENC.into()));
        put("epk", single.swap_remove("epk"));
        put("iss", Some(binding.owner.to_string().into()));
        put("act", Some(binding.author.to_string().into()));
        put("col", Some(binding.col.as_str().into()));
        put("tag", binding.tag.as_deref().map(Value::from));
        put("prop", binding.prop.as_deref().map(Value::from));
        put("commit", Some(self.commit.to_string().into()));
        put(
            "to",
            self.recipients.map(|digest| digest.to_string().into()),
        );
        put("pad", Some(PAD.into()));
        put("cty", self.cty.map(Value::from));
        put("kid", single.swap_remove("kid"));
        map
    }
}

/// What a reader takes from the protected header.
pub(super) struct Checked {
    pub(super) cty: Option<String>,
    pub(super) commit: Digest,
    pub(super) recipients: Option<Digest>,
}

/// Reads the shared members out of the protected header and checks them. What is left belongs to
/// the recipient.
pub(super) fn check_shared(
    map: &mut Map<String, Value>,
    binding: &Binding,
    general: bool,
) -> Result<Checked, OpenError> {
    let enc = json::need_string(map, "enc")?;
    let pad = json::need_string(map, "pad")?;
    if enc != ENC || pad != PAD {
        return Err(OpenError::Algorithm);
    }
    let digest = |text: String| Digest::parse(&text).map_err(|_| Malformed::MemberType);
    let commit = digest(json::need_string(map, "commit")?)?;
    let recipients = if general {
        Some(digest(json::need_string(map, "to")?)?)
    } else {
        None
    };
    let cty = json::take_string(map, "cty")?;
    let owner = json::need_string(map, "iss")?;
    let author = json::need_string(map, "act")?;
    let col = json::need_string(map, "col")?;
    let tag = json::take_string(map, "tag")?;
    let prop = json::take_string(map, "prop")?;
    let agrees = [
        (owner == binding.owner.to_string(), BindingMember::Owner),
        (author == binding.author.to_string(), BindingMember::Author),
        (col == binding.col, BindingMember::Collection),
        (tag == binding.tag, BindingMember::Tag),
        (prop == binding.prop, BindingMember::Property),
    ];
    match agrees.iter().find(|(agrees, _)| !agrees) {
        Some((_, member)) => Err(OpenError::Binding(*member)),
        None => Ok(Checked {
            cty,
            commit,
            recipients,
        }),
    }
}

/// Reads one recipient's members, which must be all that is left, and its wrapped key.
pub(super) fn read_recipient(
    mut map: Map<String, Value>,
    encrypted_key: &[u8],
) -> Result<NativeRecipient, OpenError> {
    if json::need_string(&mut map, "alg")? != ALG {
        return Err(OpenError::Algorithm);
    }
    let kid = json::need_string(&mut map, "kid")?.parse()?;
    let epk = match map.swap_remove("epk") {
        Some(Value::Object(epk)) => read_epk(epk)?,
        Some(_) => return Err(Malformed::MemberType.into()),
        None => return Err(Malformed::MissingMember.into()),
    };
    json::nothing_left(&map)?;
    // josekit would subtract 8 from any length and panic below it.
    let encrypted_key = encrypted_key.try_into().map_err(|_| Malformed::Length)?;
    Ok(NativeRecipient {
        kid,
        epk,
        encrypted_key,
    })
}

/// The ephemeral key: canonical here; the agreement refuses small order.
fn read_epk(mut map: Map<String, Value>) -> Result<[u8; 32], Malformed> {
    if json::need_string(&mut map, "kty")? != "OKP"
        || json::need_string(&mut map, "crv")? != "X25519"
    {
        return Err(Malformed::EphemeralKey);
    }
    let x = json::need_string(&mut map, "x")?;
    json::nothing_left(&map)?;
    let x = decode_base64url(x.as_bytes()).ok_or(Malformed::Base64)?;
    let x: [u8; 32] = x[..].try_into().map_err(|_| Malformed::EphemeralKey)?;
    if key::is_reduced(&x) {
        Ok(x)
    } else {
        Err(Malformed::EphemeralKey)
    }
}
