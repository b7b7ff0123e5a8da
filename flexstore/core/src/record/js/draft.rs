use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::shelf::{Role, Shelf};
use super::{Claimed, Signed, Verified};
use crate::record::{
    CTY_JSON, CTY_TEXT, Content, General, MAX_HEADER_BYTES, ParseError, Part, SigningKey, Slot,
};
use crate::{Digest, Tag, encode_base64url};

/// A record to be signed as the original signs: byte for byte the same for the same keys, content
/// and time. In the credential collections as its package of keys does, elsewhere as it does
/// itself.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it is to stand.
    pub shelf: Shelf,
    /// The tag; of a root or state the subject. Of immutable content, and in the credential
    /// collections, it is computed, and this one is ignored; of immutable content's tombstone it
    /// is the content's tag.
    pub tag: Tag,
    /// The payload; sealed to one audience at most.
    pub content: Content,
    /// The state that a state follows; of a state's tombstone the state itself.
    pub ant: Option<Digest>,
    /// For whom a list or state is written that its signer does not own.
    pub claimed: Option<Claimed>,
    /// Milliseconds since 1970.
    pub iat: u64,
}

impl Draft {
    /// Of any content.
    #[must_use]
    pub const fn new(shelf: Shelf, tag: Tag, content: Content, iat: u64) -> Self {
        Self {
            shelf,
            tag,
            content,
            ant: None,
            claimed: None,
            iat,
        }
    }

    /// A plain text.
    #[must_use]
    pub fn text(shelf: Shelf, tag: Tag, text: &str, iat: u64) -> Self {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        let cty = Some(CTY_TEXT.into());
        Self::new(shelf, tag, Content::Plain { payload, cty }, iat)
    }

    /// A root: the list of a subject's heads. `shelf` is that of the roots.
    #[must_use]
    pub fn root(shelf: Shelf, tag: Tag, heads: &[Digest], iat: u64) -> Self {
        let list: Vec<Value> = heads.iter().map(|head| head.to_string().into()).collect();
        let payload = Value::from(list).to_string().into();
        let cty = Some(CTY_JSON.into());
        Self::new(shelf, tag, Content::Plain { payload, cty }, iat)
    }

    /// Signs as one key that is owner and author.
    ///
    /// # Errors
    /// [`ParseError`] if no reader would accept the result.
    pub fn sign(self, key: &SigningKey) -> Result<Verified, ParseError> {
        let (payload, cty) = self.payload()?;
        let body = self.body(&payload, cty.as_deref());
        // The original names no owner where one key acts for itself; its package of keys leaves
        // the member out.
        let iss = if self.shelf.is_credential() {
            ""
        } else {
            r#","iss":"""#
        };
        let mut header = format!(r#"{{"alg":"EdDSA"{iss}{body}"#);
        member(&mut header, "kid", &key.tag().to_string());
        inferred(&mut header, cty.as_deref());
        let input = format!("{}.{}", encode(&header)?, encode_base64url(&payload));
        let signature = encode_base64url(&key.sign(input.as_bytes()));
        self.read_back(format!("{input}.{signature}"))
    }

    /// Signs as a team and the member that acts for it.
    ///
    /// # Errors
    /// [`ParseError`] if no reader would accept the result; [`ParseError::Key`] if both are one.
    pub fn sign_for(self, owner: &SigningKey, author: &SigningKey) -> Result<Verified, ParseError> {
        if owner.tag() == author.tag() {
            return Err(ParseError::Key);
        }
        let (payload, cty) = self.payload()?;
        let encoded = encode_base64url(&payload);
        let body = self.body(&payload, cty.as_deref());
        let part = |slot: Slot, key: &SigningKey| -> Result<Part<'_>, ParseError> {
            debug_assert_ne!(slot, Slot::Only, "the general form");
            let mut header = format!(r#"{{"kid":"{}","alg":"EdDSA""#, key.tag());
            member(&mut header, "iss", &owner.tag().to_string());
            member(&mut header, "act", &author.tag().to_string());
            header.push_str(&body);
            inferred(&mut header, cty.as_deref());
            let protected = encode(&header)?;
            let signature = key.sign(format!("{protected}.{encoded}").as_bytes());
            Ok(Part {
                signature: encode_base64url(&signature).into(),
                protected: protected.into(),
            })
        };
        let signatures = [part(Slot::Owner, owner)?, part(Slot::Author, author)?];
        let payload = Cow::from(encoded.as_str());
        let text = General {
            signatures,
            payload,
        }
        .write();
        self.read_back(text)
    }

    fn payload(&self) -> Result<(Bytes, Option<Box<str>>), ParseError> {
        match &self.content {
            Content::Plain { payload, .. } if payload.is_empty() => Err(ParseError::Payload),
            Content::Plain { payload, cty } => Ok((payload.clone(), cty.clone())),
            Content::Sealed { jwe, audience } if audience.len() == 1 => {
                Ok((jwe.clone(), Some(crate::record::CTY_SEALED.into())))
            }
            Content::Sealed { .. } => Err(ParseError::Audience),
            Content::Tombstone => Ok((Bytes::new(), Some(CTY_TEXT.into()))),
        }
    }

    /// From `iat` to the last of the extras.
    fn body(&self, payload: &[u8], cty: Option<&str>) -> String {
        let mut out = format!(r#","iat":{}"#, self.iat);
        let tombstone = matches!(self.content, Content::Tombstone);
        let role = self.shelf.role();
        let credential = self.shelf.is_credential();
        let sub = if role == Role::State || tombstone && !credential {
            self.tag.to_string()
        } else {
            Digest::of(payload).to_string()
        };
        member(&mut out, "sub", &sub);
        if let Some(cty) = cty.filter(|cty| !is_inferred(cty)) {
            member(&mut out, "cty", cty);
        }
        if !credential {
            match &self.content {
                Content::Sealed { audience, .. } => {
                    let to = audience.first().map_or("", Tag::as_str);
                    member(&mut out, "encryption", to);
                }
                Content::Plain { .. } if role != Role::Root => {
                    out.push_str(r#","encryption":null"#);
                }
                _ => member(&mut out, "encryption", ""),
            }
        }
        if let Some(ant) = &self.ant {
            member(&mut out, "ant", &ant.to_string());
        }
        match &self.claimed {
            None => {}
            Some(Claimed::Group(tag)) => member(&mut out, "group", &tag.to_string()),
            Some(Claimed::Individual(tag)) => member(&mut out, "individual", &tag.to_string()),
        }
        out
    }

    /// Reads what was signed as any other would, so that nothing leaves that nobody takes.
    fn read_back(self, text: String) -> Result<Verified, ParseError> {
        let told = match self.shelf.role() {
            Role::Immutable | Role::State => None,
            Role::Mutable if self.shelf.is_credential() => None,
            Role::Mutable | Role::Root => Some(&self.tag),
        };
        let Signed { signed, place } = Signed::parse(text, &self.shelf, told)?;
        let verified = crate::record::Verified(signed.inner);
        Ok(Verified { verified, place })
    }
}

/// The original adds these by itself, behind everything else.
fn is_inferred(cty: &str) -> bool {
    cty == CTY_TEXT || cty == CTY_JSON
}

fn inferred(header: &mut String, cty: Option<&str>) {
    if let Some(cty) = cty.filter(|cty| is_inferred(cty)) {
        member(header, "cty", cty);
    }
    header.push('}');
}

fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    // As `JSON.stringify` writes it: a string always serialises, and by the same rules.
    out.push_str(&Value::from(value).to_string());
}

fn encode(header: &str) -> Result<String, ParseError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(ParseError::TooLong);
    }
    Ok(encode_base64url(header.as_bytes()))
}
