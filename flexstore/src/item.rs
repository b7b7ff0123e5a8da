use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use flexstore_core::json::{JsonError, parse_strict};
use flexstore_core::record::{CTY_JSON, CTY_TEXT, Encryption, Header};
use flexstore_core::{Digest, KeyTag, Tag, Verified};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::credentials::Keyring;
use crate::js::{self, ItemError};
use crate::seal::js::Opened;
use crate::seal::{self, Binding, OpenError};

/// What an app stores: JSON, text or bytes. `Debug` does not show it: it may be about to be sealed.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Any JSON value.
    Json(Value),
    /// Text; at least one character, since an empty text would delete.
    Text(String),
    /// Bytes; at least one.
    Bytes(Vec<u8>),
}

impl Content {
    pub(crate) fn encode(self) -> (Bytes, Option<&'static str>) {
        match self {
            Self::Json(value) => (value.to_string().into(), Some(CTY_JSON)),
            Self::Text(text) => (text.into(), Some(CTY_TEXT)),
            Self::Bytes(bytes) => (bytes.into(), None),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json(..)",
            Self::Text(_) => "Text(..)",
            Self::Bytes(_) => "Bytes(..)",
        })
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Why an item's content is not to be had in the form asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// It is sealed, and no key here opens it.
    #[error("sealed, and not for us")]
    Closed,
    /// It claims to be sealed to us, and is damaged, forged, or was moved from elsewhere.
    #[error("does not open: {0}")]
    DoesNotOpen(#[from] OpenError),
    /// It is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is no UTF-8.
    #[error("not text")]
    NotText,
}

enum Body {
    Plain,
    /// Plain JSON, some of whose properties were sealed.
    Mixed(Value),
    Opened {
        content: Zeroizing<Vec<u8>>,
        cty: Option<String>,
    },
    Closed(ContentError),
}

/// One item as it was retrieved: what was signed, and the content if it is plain or sealed to a
/// key that is here.
///
/// ```
/// # use std::sync::Arc;
/// # use flexstore::{ContentError, MemoryStorage, Mutable, Peer};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let peer = Peer::open(Arc::new(MemoryStorage::new()))?;
/// # let me = peer.credentials().create_device().await?;
/// # let notes = peer.collection::<Mutable>("notes").open()?;
/// let tag = notes.store("for my eyes").seal_to([me]).await?;
/// let item = notes.retrieve(&tag).await?.ok_or("gone")?;
/// assert_eq!((item.text()?, item.owner()), ("for my eyes", me));
///
/// let unopened = notes.retrieve(&tag).sealed().await?.ok_or("gone")?;
/// assert_eq!(unopened.text(), Err(ContentError::Closed));
/// assert_eq!(unopened.audience(), [me.tag()]); // told to everyone, the relay included
/// # Ok(())
/// # }
/// ```
pub struct Item {
    record: Verified,
    body: Body,
    folded: Option<Value>,
}

impl Item {
    pub(crate) fn open(record: Verified, keys: &Keyring) -> Self {
        let body = match &record.header().encryption {
            Encryption::Sealed(_) => open_sealed(&record, keys),
            _ => open_plain(&record, keys),
        };
        Self {
            record,
            body,
            folded: None,
        }
    }

    /// Of a collection of the js profile, where a seal may be the original's.
    pub(crate) fn open_javascript(record: Verified, keys: &Keyring) -> Self {
        match open_original(&record, keys) {
            Some(body) => Self {
                record,
                body,
                folded: None,
            },
            None => Self::open(record, keys),
        }
    }

    pub(crate) fn closed(record: Verified) -> Self {
        let body = match &record.header().encryption {
            Encryption::Sealed(_) => Body::Closed(ContentError::Closed),
            _ => Body::Plain,
        };
        Self {
            record,
            body,
            folded: None,
        }
    }

    pub(crate) fn fold(mut self, folded: Option<Value>) -> Self {
        self.folded = folded;
        self
    }

    /// The content as bytes: what was stored, not padded, not encoded.
    ///
    /// # Errors
    /// [`ContentError`] if it cannot be opened.
    pub fn bytes(&self) -> Result<&[u8], ContentError> {
        match &self.body {
            Body::Plain | Body::Mixed(_) => Ok(self.record.payload()),
            Body::Opened { content, .. } => Ok(content),
            Body::Closed(error) => Err(error.clone()),
        }
    }

    /// The content as text.
    ///
    /// # Errors
    /// [`ContentError`] if it cannot be opened or is no UTF-8.
    pub fn text(&self) -> Result<&str, ContentError> {
        str::from_utf8(self.bytes()?).map_err(|_| ContentError::NotText)
    }

    /// The content as JSON. Sealed properties are put back where a key here opens them, and stay
    /// `{"$sealed": ...}` where none does. Under a `replay` hook, what it made of all versions.
    ///
    /// # Errors
    /// [`ContentError`] if it cannot be opened or is no JSON.
    pub fn json(&self) -> Result<Value, ContentError> {
        if let Some(folded) = &self.folded {
            return Ok(folded.clone());
        }
        match &self.body {
            Body::Mixed(value) => Ok(value.clone()),
            _ => Ok(parse_strict(self.bytes()?)?),
        }
    }

    /// What the content is: `json`, `text/plain`, what the author said, or nothing for bytes.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        match &self.body {
            Body::Opened { cty, .. } => cty.as_deref(),
            _ => self.header().cty.as_deref(),
        }
    }

    /// Whether the content can be read.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.body, Body::Closed(_))
    }

    /// The tag under which it stands.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.header().tag
    }

    /// When it was written, in milliseconds since 1970, as its author says.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.header().iat
    }

    /// Who wrote it.
    #[must_use]
    pub fn author(&self) -> KeyTag {
        self.header().author
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> KeyTag {
        self.header().owner
    }

    /// To whom it is sealed; empty if it is plain.
    #[must_use]
    pub fn audience(&self) -> &[Tag] {
        match &self.header().encryption {
            Encryption::Sealed(tags) => tags,
            _ => &[],
        }
    }

    /// The digest of the record, by which one version is named.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.record.digest()
    }

    /// The record as it is signed, stored and sent.
    #[must_use]
    pub const fn record(&self) -> &Verified {
        &self.record
    }

    fn header(&self) -> &Header {
        self.record.header()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content.
        f.debug_struct("Item")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// The binding under which an item of this header was sealed.
pub(crate) fn binding(header: &Header) -> Binding {
    let signs_tag = header.collection.kind() != flexstore_core::Kind::Immutable;
    Binding {
        owner: header.owner,
        author: header.author,
        col: header.collection.as_str().into(),
        tag: signs_tag.then(|| header.tag.as_str().into()),
        prop: None,
    }
}

/// `None` of anything but a seal of the original.
fn open_original(record: &Verified, keys: &Keyring) -> Option<Body> {
    let header = record.header();
    let (jwe, Encryption::Sealed(tags)) = (record.payload(), &header.encryption) else {
        return None;
    };
    seal::js::listed(str::from_utf8(jwe).ok()?).ok()?;
    let held = tags
        .first()
        .and_then(|tag| KeyTag::parse(tag.as_str()).ok());
    let held = held.and_then(|tag| keys.javascript(&tag));
    let find = |_: &Tag| held.as_deref().map(js::KeySet::opening);
    Some(match js::open_payload(header, jwe, &find) {
        Ok(Opened { content, cty, .. }) => Body::Opened { content, cty },
        Err(ItemError::Open(OpenError::NotForUs)) => Body::Closed(ContentError::Closed),
        Err(ItemError::Open(error)) => Body::Closed(ContentError::DoesNotOpen(error)),
        Err(_) => Body::Closed(ContentError::DoesNotOpen(OpenError::Failed)),
    })
}

fn open_sealed(record: &Verified, keys: &Keyring) -> Body {
    let Ok(jwe) = str::from_utf8(record.payload()) else {
        return Body::Closed(ContentError::NotText);
    };
    let Encryption::Sealed(tags) = &record.header().encryption else {
        return Body::Closed(ContentError::Closed);
    };
    let tags = tags
        .iter()
        .filter_map(|tag| KeyTag::parse(tag.as_str()).ok());
    let opener = keys.opener(tags);
    let find = |kid: &seal::Kid| opener.find(kid);
    match seal::open(jwe, &binding(record.header()), &find) {
        Ok(opened) => {
            // What the signature says and what the seal says must be one.
            let signed = match &record.header().encryption {
                Encryption::Sealed(tags) => tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
                _ => Vec::new(),
            };
            let sealed: Vec<String> = opened
                .audience
                .iter()
                .map(|kid| kid.tag.to_string())
                .collect();
            if signed != sealed {
                return Body::Closed(ContentError::DoesNotOpen(OpenError::Failed));
            }
            Body::Opened {
                content: opened.content,
                cty: opened.cty,
            }
        }
        Err(OpenError::NotForUs) => Body::Closed(ContentError::Closed),
        Err(error) => Body::Closed(ContentError::DoesNotOpen(error)),
    }
}

fn open_plain(record: &Verified, keys: &Keyring) -> Body {
    let marked = || {
        let mark = seal::SEALED.as_bytes();
        record
            .payload()
            .windows(mark.len())
            .any(|window| window == mark)
    };
    if record.header().cty.as_deref() != Some(CTY_JSON) || !marked() {
        return Body::Plain;
    }
    let Ok(Value::Object(mut object)) = parse_strict(record.payload()) else {
        return Body::Plain;
    };
    let binding = binding(record.header());
    // To whom properties are sealed stands in the seals alone: asked first, then unlocked.
    let asked = RefCell::new(BTreeSet::new());
    let ask = |kid: &seal::Kid| {
        asked.borrow_mut().insert(kid.tag);
        None
    };
    if let Err(error) = seal::open_properties(&mut object, &binding, &ask) {
        return Body::Closed(ContentError::DoesNotOpen(error));
    }
    let opener = keys.opener(asked.into_inner());
    match seal::open_properties(&mut object, &binding, &|kid| opener.find(kid)) {
        Ok(_) => Body::Mixed(Value::Object(object)),
        Err(error) => Body::Closed(ContentError::DoesNotOpen(error)),
    }
}
