//! Links for Flexstore: one file for each transport, with both of its ends, and [`Transports`],
//! the dialer that resolves service strings for all of them.
//!
//! | service | transport |
//! |---|---|
//! | `http://host:port/flexstore`, `https://host/flexstore` | [`https`] |
//! | `ws://host:port/flexstore`, `wss://host/flexstore` | [`websocket`] |
//! | `rendezvous:wss://host/flexstore?name=NAME#KEY` | [`webrtc`], to whoever has the same [`rendezvous`] |
//!
//! [`signal`] makes links through a relay that only forwards, by which two find each other.
//!
//! Connecting again after a link ended is the peer's, which knows whether it still wants one.
//!
//! ```
//! use flexstore_core::link::{DialError, Dialer};
//! use flexstore_transports::Transports;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let dialed = Transports::new().dial("carrier-pigeon:coop").await;
//! assert_eq!(dialed.err(), Some(DialError::UnknownService));
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod https;
pub mod rendezvous;
pub mod signal;
pub mod tls;
pub mod webrtc;
pub mod websocket;

use flexstore_core::link::{DialError, Dialer, Dialing};

use self::tls::{Trust, TrustError};

/// The dialer for every transport of this crate. An app hands it to its peer.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Transports {
    trust: Trust,
    webrtc: webrtc::Settings,
    client: https::Client,
}

impl Transports {
    /// With the defaults of every transport.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes these certificates too, in the form of PEM: of an authority of one's own, or of a
    /// relay that signed its own.
    ///
    /// # Errors
    /// [`TrustError`] if there is none, or one that cannot be a root.
    pub fn trust(mut self, pem: impl AsRef<[u8]>) -> Result<Self, TrustError> {
        self.trust = self.trust.add(pem)?;
        self.client = https::Client::default();
        Ok(self)
    }

    /// How peers reach each other over WebRTC.
    #[must_use]
    pub fn webrtc(mut self, settings: webrtc::Settings) -> Self {
        self.webrtc = settings;
        self
    }
}

impl Dialer for Transports {
    fn dial(&self, service: &str) -> Dialing {
        let service = service.to_owned();
        let (trust, client) = (self.trust.clone(), self.client.clone());
        match service.split_once(':').map(|(scheme, _)| scheme) {
            Some("ws" | "wss") => {
                Box::pin(async move { websocket::connect_trusting(&service, &trust).await })
            }
            Some("rendezvous") => {
                let settings = self.webrtc.clone();
                Box::pin(async move {
                    let place = rendezvous::Place::parse(&service);
                    let place = place.ok_or(DialError::UnknownService)?;
                    place.dial(&trust, &settings).await
                })
            }
            Some("http" | "https") => {
                Box::pin(async move { https::connect(&service, &client, &trust).await })
            }
            _ => Box::pin(std::future::ready(Err(DialError::UnknownService))),
        }
    }
}
