//! Links for Flexstore: one file for each transport, with both of its ends, and [`Transports`],
//! the dialer that resolves service strings for all of them.
//!
//! | service | transport |
//! |---|---|
//! | `ws://host:port/flexstore` | [`websocket`] |
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

pub mod rendezvous;
pub mod webrtc;
pub mod websocket;

use flexstore_core::link::{DialError, Dialer, Dialing};

/// The dialer for every transport of this crate. An app hands it to its peer.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Transports;

impl Transports {
    /// With the defaults of every transport.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Dialer for Transports {
    fn dial(&self, service: &str) -> Dialing {
        let service = service.to_owned();
        match service.split_once(':').map(|(scheme, _)| scheme) {
            Some("ws") => Box::pin(async move { websocket::connect(&service).await }),
            _ => Box::pin(std::future::ready(Err(DialError::UnknownService))),
        }
    }
}
