//! `rendezvous:` services: a relay, a name, and a key in one line.

use std::fmt;

use flexstore_core::link::{DialError, Link};
use reqwest::Url;
use zeroize::Zeroizing;

use super::{Key, RendezvousError, connect};
use crate::signal;
use crate::tls::Trust;
use crate::webrtc::Settings;

/// Where two meet: a slot of this name at this relay, and the key that both have.
///
/// ```
/// use flexstore_transports::rendezvous::{Key, Place};
///
/// let place = Place::new("wss://relay.example/flexstore", "Ann & Ben", Key::generate()?);
/// let service = place.service();
/// assert!(service.starts_with("rendezvous:wss://relay.example/flexstore?name=Ann+%26+Ben#"));
/// assert_eq!(Place::parse(&service).map(|place| place.name().to_owned()).as_deref(), Some("Ann & Ben"));
/// # Ok::<(), flexstore_transports::rendezvous::KeyError>(())
/// ```
pub struct Place {
    relay: Box<str>,
    name: Box<str>,
    key: Key,
}

impl Place {
    /// Of a relay's service, such as `wss://relay.example/flexstore`.
    #[must_use]
    pub fn new(relay: &str, name: &str, key: Key) -> Self {
        Self {
            relay: relay.into(),
            name: name.into(),
            key,
        }
    }

    /// Reads a service string.
    #[must_use]
    pub fn parse(service: &str) -> Option<Self> {
        let mut url = Url::parse(service.strip_prefix("rendezvous:")?).ok()?;
        let key = Key::parse(url.fragment()?).ok()?;
        let name = {
            let mut pairs = url.query_pairs();
            let (what, name) = pairs.next()?;
            (what == "name" && pairs.next().is_none()).then(|| name.into_owned())?
        };
        url.set_fragment(None);
        url.set_query(None);
        Some(Self::new(url.as_str(), &name, key))
    }

    /// The service string, with the key in it: a secret.
    #[must_use]
    pub fn service(&self) -> Zeroizing<String> {
        let mut service = Zeroizing::new(format!("rendezvous:{}", self.relay));
        if let Ok(mut url) = Url::parse(&self.relay) {
            url.query_pairs_mut().append_pair("name", &self.name);
            url.set_fragment(Some(&self.key.text()));
            service = Zeroizing::new(format!("rendezvous:{url}"));
        }
        service
    }

    /// The name of the slot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Meets whoever has the same place, and connects to them. Waits for as long as the relay keeps
    /// the slot.
    ///
    /// # Errors
    /// [`DialError`]: `Refused` if somebody is there who has another key, or too many are;
    /// `Unreachable` if the relay does not answer, nobody came, or no path was found.
    pub async fn dial(&self, trust: &Trust, settings: &Settings) -> Result<Link, DialError> {
        let signals = signal::join(&self.relay, &self.name, trust).await?;
        let connected = connect(signals, &self.name, &self.key, settings).await;
        connected.map_err(|error| match error {
            RendezvousError::Sealed | RendezvousError::TooMuch => {
                DialError::Refused(error.to_string().into())
            }
            error => DialError::Unreachable(error.to_string().into()),
        })
    }
}

impl fmt::Debug for Place {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("relay", &self.relay)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
