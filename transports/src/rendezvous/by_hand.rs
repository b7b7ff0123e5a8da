//! Signals that people carry: two texts, each short enough for a QR code.
//!
//! ```no_run
//! # use flexstore_transports::{rendezvous::{Key, RendezvousError, by_hand}, webrtc::Settings};
//! # async fn story(key: &Key, show: fn(&str), scan: fn() -> String) -> Result<(), RendezvousError> {
//! // One side:
//! let (offer, text) = by_hand::Offer::make(&Settings::default(), key).await?;
//! show(&text);
//! let link = offer.accept(&scan()).await?;
//!
//! // The other:
//! let (answering, text) = by_hand::Answer::to(&scan(), key, &Settings::default()).await?;
//! show(&text);
//! let link = answering.connected().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Each step takes what the step before gave, so that an offer is used once. Whoever answered waits
//! for [`Settings::connecting`]; where the answer travels slowly, make that longer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flexstore_core::link::Link;
use sha2::{Digest as _, Sha256};

use super::key::Seal;
use super::{Key, RendezvousError};
use crate::webrtc::native::{self, Answering, Offering};
use crate::webrtc::{ConnectError, Description, Role, Settings};

/// The longest text that is looked at, in bytes. Ours have some 250.
pub const MAX_TEXT_BYTES: usize = 4 << 10;

/// An offer whose text is on its way.
pub struct Offer {
    offering: Offering,
    answer: Seal,
    settings: Settings,
}

impl Offer {
    /// Makes an offer, and its text.
    pub async fn make(settings: &Settings, key: &Key) -> Result<(Self, String), RendezvousError> {
        let (offering, description) = native::offer(settings).await?;
        let sealed = offer_key(key).seal(&description.pack())?;
        let offer = Self {
            offering,
            answer: answer_key(key, &sealed),
            settings: settings.clone(),
        };
        Ok((offer, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Connects to whoever made the answer to this offer.
    pub async fn accept(self, answer: &str) -> Result<Link, RendezvousError> {
        let opened = self.answer.open(&decode(answer)?)?;
        let answer = Description::unpack(&opened, Role::Answer).map_err(ConnectError::Signal)?;
        Ok(native::dialled(self.offering, &answer, &self.settings).await?)
    }
}

/// An answer whose text is on its way.
pub struct Answer {
    answering: Answering,
    offer: Description,
    settings: Settings,
}

impl Answer {
    /// Answers an offer: who waits for the other side, and the text of the answer.
    pub async fn to(
        offer: &str,
        key: &Key,
        settings: &Settings,
    ) -> Result<(Self, String), RendezvousError> {
        let sealed = decode(offer)?;
        let opened = offer_key(key).open(&sealed)?;
        let offer = Description::unpack(&opened, Role::Offer).map_err(ConnectError::Signal)?;
        let (answering, description) = native::answer(&offer, settings).await?;
        let text = answer_key(key, &sealed).seal(&description.pack())?;
        let answer = Self {
            answering,
            offer,
            settings: settings.clone(),
        };
        Ok((answer, URL_SAFE_NO_PAD.encode(text)))
    }

    /// Waits for whoever made the offer.
    pub async fn connected(self) -> Result<Link, RendezvousError> {
        Ok(native::accepted(self.answering, &self.offer, &self.settings).await?)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, RendezvousError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(RendezvousError::TooMuch);
    }
    let decoded = URL_SAFE_NO_PAD.decode(text.trim());
    decoded.map_err(|_| RendezvousError::Text)
}

fn offer_key(key: &Key) -> Seal {
    key.derive("offer by hand", &[])
}

/// An answer opens for its own offer only.
fn answer_key(key: &Key, offer: &[u8]) -> Seal {
    key.derive("answer by hand", &[&Sha256::digest(offer)])
}
