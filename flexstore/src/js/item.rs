use flexstore_core::Tag;
use flexstore_core::record::js::Verified;
use flexstore_core::record::{Content, Encryption, Header};

use crate::seal::js::{Audience, Opened, RsaKey, RsaSecret};
use crate::seal::{self, OpenError, SealError};

/// Why a sealed item of the original was not opened. Nothing is released with any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// It is not sealed.
    #[error("not sealed")]
    Plain,
    /// The seal is for another than the signature says, or for several.
    #[error("sealed for another than was signed")]
    Audience,
    /// The seal.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Seals content for one tag, for a [`Draft`](super::Draft). The original's items have one
/// audience: for several it loses the data, so there is no way to ask for it. A team's tag reaches
/// all its members.
///
/// # Errors
/// [`SealError`].
pub fn seal_item(
    content: &[u8],
    cty: Option<&str>,
    audience: &Tag,
    key: &RsaKey,
) -> Result<Content, SealError> {
    let to = Audience {
        kid: audience.as_str().into(),
        key: key.clone(),
    };
    Ok(Content::Sealed {
        jwe: seal::js::seal(content, cty, &[to])?.into(),
        audience: vec![audience.clone()],
    })
}

/// Opens a sealed item with the audience's secret, which `keys` looks up.
///
/// Nothing in the original's seal tells whose it is or where it belongs: whoever can read an item
/// can sign its seal as its own.
///
/// # Errors
/// [`ItemError`].
pub fn open_item<'k>(
    record: &Verified,
    keys: &dyn Fn(&Tag) -> Option<&'k RsaSecret>,
) -> Result<Opened, ItemError> {
    open_payload(record.header(), record.payload(), keys)
}

/// The same of a native record of a collection of the js profile too.
pub(crate) fn open_payload<'k>(
    header: &Header,
    payload: &[u8],
    keys: &dyn Fn(&Tag) -> Option<&'k RsaSecret>,
) -> Result<Opened, ItemError> {
    let Encryption::Sealed(audience) = &header.encryption else {
        return Err(ItemError::Plain);
    };
    let [audience] = &audience[..] else {
        return Err(ItemError::Audience);
    };
    let jwe = str::from_utf8(payload).map_err(|_| OpenError::Failed)?;
    let secret = keys(audience).ok_or(OpenError::NotForUs)?;
    let find = |kid: Option<&str>| (kid == Some(audience.as_str())).then_some(secret);
    let opened = seal::js::open(jwe, &find).map_err(|error| match error {
        OpenError::NotForUs => ItemError::Audience,
        error => ItemError::Open(error),
    })?;
    if opened.audience == [audience.as_str()] {
        Ok(opened)
    } else {
        Err(ItemError::Audience)
    }
}
