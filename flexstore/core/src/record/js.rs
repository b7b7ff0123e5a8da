//! Records of the JavaScript original, as a strict reader takes them under the **js profile**.
//!
//! ```text
//! text --Signed::parse--> Signed --verify--> Verified --into--> record::Verified, admission
//!                   Draft --sign--> Verified   (byte for byte what the original makes)
//! ```
//!
//! **Weaker by design**: nothing in such a record names its collection or, unless it deletes, its
//! mutable tag, so whoever carries it can move it to another. That is why these are types of their
//! own, and the native reader refuses every such text. What becomes of one for admission
//! ([`record::Verified`](super::Verified)) names a collection of the js profile, and
//! [`belongs_in`](super::Verified::belongs_in) keeps it out of every native one.
//!
//! **Where it stands** is stored and sent with the text (see [`super::Verified::sent`]), and its
//! digest is that of both, so that one text under two tags is two records:
//!
//! ```text
//! shelf (1: items and roots, 2: states) ‖ tag ‖ 0 ‖ text
//! ```
//!
//! **Whose is it?** The owner is `iss` if that is not empty, else `kid`, and it must have signed;
//! so must `act`, where there is one. Nobody else may have, and all headers agree. The original
//! asks for none of this.
//!
//! **What a list or state claims.** `group` and `individual` name an owner that did not sign: the
//! signer says for whom it wrote. [`Claimed`] is kept as information and changes nothing: the
//! record belongs to its signer, displaces and deletes nothing of the claimed owner's, and counts
//! as no version of theirs. Of a list with a claim only this may be believed: that states of these
//! tags may exist. They are fetched and judged by their own signatures.

mod draft;
mod header;
mod place;
mod shelf;

use std::sync::Arc;

use bytes::Bytes;
pub use draft::Draft;
use header::Members;
pub(super) use place::Place;
pub use shelf::{DEVICE, ENCRYPTION_KEY, KEY_RECOVERY, Shelf, TEAM};

use super::{
    BadSignature, General, Header, Inner, MAX_ITEM_BYTES, ParseError, Part, Signatures, Slot, Stamp,
};
use crate::record::{decode_header, decode_payload, decode_signature};
use crate::{CollectionId, Digest, KeyTag, Tag};

/// An owner that a list or state names without its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// `group`: a team.
    Group(KeyTag),
    /// `individual`: a single key holder.
    Individual(KeyTag),
}

/// What a record is besides its header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// Of a state, and of its tombstone.
    pub(super) state: Option<Digest>,
    pub(super) heads: Vec<Digest>,
    claimed: Option<Claimed>,
}

/// A well-formed record of the original whose signatures nobody has checked yet.
///
/// ```
/// # use flexstore_core::{record::js, *};
/// # let key = SigningKey::from_seed(&[1; 32]);
/// # let notes = js::Shelf::parse("MutableCollection/notes")?;
/// # let tag = Tag::new("a")?;
/// # let draft = js::Draft::text(notes.clone(), tag.clone(), "hello", 1_700_000_000_000);
/// # let text = draft.sign(&key)?.text().clone();
/// let verified = js::Signed::parse(text.clone(), &notes, Some(&tag))?.verify()?;
/// assert_eq!(&verified.payload()[..], b"hello");
/// assert_eq!(verified.header().owner, key.tag());
/// assert!(Signed::parse(text).is_err(), "the native reader takes none");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signed {
    signed: super::Signed,
    place: Arc<Place>,
}

/// A record of the original whose signatures hold.
///
/// ```
/// # use flexstore_core::{record::js, *};
/// # let key = SigningKey::from_seed(&[1; 32]);
/// # let notes = js::Shelf::parse("MutableCollection/notes")?;
/// # let draft = js::Draft::text(notes.clone(), Tag::new("a")?, "hello", 1_700_000_000_000);
/// let record: Verified = draft.sign(&key)?.into();
/// assert!(record.belongs_in(&CollectionId::parse("js:MutableCollection/notes")?));
/// assert!(!record.belongs_in(&CollectionId::parse("MutableCollection/notes")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Verified {
    verified: super::Verified,
    place: Arc<Place>,
}

impl From<Verified> for super::Verified {
    fn from(record: Verified) -> Self {
        record.verified
    }
}

impl Signed {
    /// Reads the text of a record that stands on a shelf, under a tag if that is known: a mutable
    /// item and a root need one, since they do not tell it; in the credential collections it is
    /// the owner's. Everything but the signatures is checked.
    ///
    /// # Errors
    /// [`ParseError`]; never panics, whatever the bytes.
    pub fn parse(
        text: impl Into<Bytes>,
        shelf: &Shelf,
        tag: Option<&Tag>,
    ) -> Result<Self, ParseError> {
        Self::read(text.into(), shelf, tag, None)
    }

    /// Reads a record as it is stored and sent in a collection of the js profile.
    pub(super) fn parse_sent(sent: &Bytes, id: &CollectionId) -> Result<Self, ParseError> {
        let (shelf, tag, text) = place::unwrap(sent, id)?;
        Self::read(text, &shelf, Some(&tag), Some(sent.clone()))
    }

    fn read(
        text: Bytes,
        shelf: &Shelf,
        tag: Option<&Tag>,
        sent: Option<Bytes>,
    ) -> Result<Self, ParseError> {
        if text.len() > MAX_ITEM_BYTES {
            return Err(ParseError::TooLong);
        }
        let (members, owner, payload, signatures) = if text.first() == Some(&b'{') {
            general(&text)?
        } else {
            compact(&text)?
        };
        let (header, rest) = members.place(owner, &payload, shelf, tag)?;
        let place = Arc::new(Place::of(&text, &header, rest, shelf, sent));
        let inner = Inner {
            digest: Digest::of(&place.sent),
            text,
            header,
            payload,
            javascript: Some(Arc::clone(&place)),
        };
        let signed = super::Signed { inner, signatures };
        Ok(Self { signed, place })
    }

    /// SHA-256 of the text: what the original sends as `hash`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.place.hash
    }

    /// Checks the signatures, by the same equation as for native records.
    ///
    /// # Errors
    /// [`BadSignature`] if one does not hold.
    pub fn verify(self) -> Result<Verified, BadSignature> {
        Ok(Verified {
            verified: self.signed.verify()?,
            place: self.place,
        })
    }

    pub(super) fn into_signed(self) -> super::Signed {
        self.signed
    }
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "js::Signed({})", self.place.hash)
    }
}

impl Verified {
    /// The view of a record as one of the original's; `None` of a native one.
    #[must_use]
    pub fn of(record: &super::Verified) -> Option<Self> {
        let place = Arc::clone(record.0.javascript.as_ref()?);
        let verified = record.clone();
        Some(Self { verified, place })
    }

    /// The JWS text, as signed.
    #[must_use]
    pub const fn text(&self) -> &Bytes {
        self.verified.text()
    }

    /// SHA-256 of the text: what the original sends as `hash`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.place.hash
    }

    /// Owner, author, time, secrecy, and where the record stands. Collection and tag are those
    /// under which it was read, not signed ones; the tag of a root or state is its subject.
    #[must_use]
    pub const fn header(&self) -> &Header {
        self.verified.header()
    }

    /// The payload: text, JSON or bytes, or the text of a JWE if sealed; empty for a tombstone.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        self.verified.payload()
    }

    /// Whether the record deletes: every empty payload does.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        self.verified.is_tombstone()
    }

    /// Time, then digest of the text.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp {
            iat: self.header().iat,
            digest: self.digest(),
        }
    }

    /// The tag under which it stands on its shelf: of a state its own, not its subject.
    #[must_use]
    pub fn stands(&self) -> Tag {
        self.place.stands(self.header())
    }

    /// The tag of a state: SHA-256 of the payload and of its antecedent, or of its decimal time
    /// where it has none. Of a state's tombstone the tag of what it deletes.
    #[must_use]
    pub fn state(&self) -> Option<Digest> {
        self.place.rest.state
    }

    /// The states that a root lists: one if it is merged. Empty for anything else.
    #[must_use]
    pub fn heads(&self) -> &[Digest] {
        &self.place.rest.heads
    }

    /// The owner that the signer says it wrote for. Nothing may be decided by it.
    #[must_use]
    pub fn claimed(&self) -> Option<Claimed> {
        self.place.rest.claimed
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "js::{:?}", self.verified)
    }
}

/// Owner and author.
type Signers = (KeyTag, KeyTag);

fn compact(text: &Bytes) -> Result<(Members, Signers, Bytes, Signatures), ParseError> {
    let mut parts = text.split(|&byte| byte == b'.');
    let (Some(protected), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ParseError::Form);
    };
    let members = Members::parse(&decode_header(protected)?, Slot::Only)?;
    let payload = decode_payload(payload)?;
    let signatures = Signatures::One(decode_signature(signature)?);
    let kid = members.kid;
    // A team that acts for itself names itself twice; anybody else's name would need a signature.
    if [members.iss, members.act]
        .iter()
        .flatten()
        .any(|name| *name != kid)
    {
        return Err(ParseError::Key);
    }
    Ok((members, (kid, kid), payload, signatures))
}

fn general(text: &Bytes) -> Result<(Members, Signers, Bytes, Signatures), ParseError> {
    let whole: General<'_> = serde_json::from_slice(text).map_err(|_| ParseError::Form)?;
    if whole.write().as_bytes() != text {
        return Err(ParseError::Form);
    }
    let [owner, author] = &whole.signatures;
    let first = decode_header(owner.protected.as_bytes())?;
    let second = decode_header(author.protected.as_bytes())?;
    let members = Members::parse(&first, Slot::Owner)?;
    let other = Members::parse(&second, Slot::Author)?;
    // Equal byte for byte but for `kid`, which stands first in both.
    if first.get(header::KID_END..) != second.get(header::KID_END..) {
        return Err(ParseError::Disagree);
    }
    let (Some(iss), Some(act)) = (members.iss, members.act) else {
        return Err(ParseError::Key);
    };
    if iss == act || members.kid != iss || other.kid != act {
        return Err(ParseError::Key);
    }
    let payload = decode_payload(whole.payload.as_bytes())?;
    let input = |part: &Part<'_>| -> Result<(Bytes, [u8; 64]), ParseError> {
        let input = format!("{}.{}", part.protected, whole.payload);
        Ok((input.into(), decode_signature(part.signature.as_bytes())?))
    };
    let signatures = Signatures::Two(Box::new([input(owner)?, input(author)?]));
    Ok((members, (iss, act), payload, signatures))
}
