//! Records as collections hold them: how they are read from a frame and from the store, and which
//! collection may have them.

use bytes::Bytes;

use super::{ParseError, Signed, Verified, js};
use crate::{CollectionId, Digest, Profile};

impl Signed {
    /// Reads a record as it is sent in a collection: its text; under the js profile also a text of
    /// the original and where it stands. Everything but the signatures is checked.
    ///
    /// # Errors
    /// [`ParseError`]; never panics, whatever the bytes.
    pub fn parse_for(sent: impl Into<Bytes>, id: &CollectionId) -> Result<Self, ParseError> {
        let sent = sent.into();
        if is_placed(&sent, id) {
            js::Signed::parse_sent(&sent, id).map(js::Signed::into_signed)
        } else {
            Self::parse(sent)
        }
    }
}

/// Whether it is to be read as a text of the original.
fn is_placed(sent: &Bytes, id: &CollectionId) -> bool {
    // No text begins with a control character.
    id.profile() == Profile::JavaScript && sent.first().is_some_and(u8::is_ascii_control)
}

impl Verified {
    /// A record read back from this replica's own store, where only verified ones are kept. The
    /// digest stands for the signatures: it was computed when they were checked.
    ///
    /// # Errors
    /// [`ParseError::Disagree`] if it is not the one of that digest; other [`ParseError`]s for
    /// damage that the digest cannot show.
    pub(crate) fn restore(
        sent: Bytes,
        digest: &Digest,
        id: &CollectionId,
    ) -> Result<Self, ParseError> {
        let signed = if is_placed(&sent, id) {
            js::Signed::parse_sent(&sent, id)?.into_signed()
        } else {
            Signed::read(sent)?
        };
        if signed.inner.digest == *digest {
            Ok(Self(signed.inner))
        } else {
            Err(ParseError::Disagree)
        }
    }

    /// As it is stored and sent: the text, or, of a record of the original, the text and where it
    /// stands.
    #[must_use]
    pub fn sent(&self) -> &Bytes {
        match &self.0.javascript {
            Some(place) => &place.sent,
            None => &self.0.text,
        }
    }

    /// SHA-256 of the text: what the JavaScript original sends as `hash`. Of a native record its
    /// digest.
    #[must_use]
    pub fn hash(&self) -> Digest {
        match &self.0.javascript {
            Some(place) => place.hash,
            None => self.0.digest,
        }
    }

    /// Whether it is a record of the JavaScript original.
    #[must_use]
    pub const fn is_javascript(&self) -> bool {
        self.0.javascript.is_some()
    }

    /// Whether a collection may hold it. **The one place** that keeps records of the original out
    /// of native collections, and out of others than the one under which they were read.
    ///
    /// Under the js profile a native record belongs in the collection of the kind and name that it
    /// signs, except among keys and teams, where the original could make nothing of it. A root is
    /// no item of a collection: it only lists versions.
    #[must_use]
    pub fn belongs_in(&self, id: &CollectionId) -> bool {
        let signed = &self.0.header.collection;
        match &self.0.javascript {
            Some(place) => signed == id && place.rest.heads.is_empty(),
            None => {
                let credential = signed.is_credential() || id.is_credential();
                signed == id || !credential && signed.as_str() == id.signed()
            }
        }
    }

    /// The state that a tombstone of the original deletes, if it deletes one and not its subject.
    pub(crate) fn deletes_state(&self) -> Option<Digest> {
        let place = self.0.javascript.as_ref()?;
        place.rest.state.filter(|_| self.is_tombstone())
    }
}
