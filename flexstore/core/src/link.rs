//! An ordered pipe of frames to one peer, and who makes one.

mod backoff;

use std::future::Future;
use std::pin::Pin;

pub use backoff::Backoff;
use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;

/// The longest frame, in bytes, that a link carries either way: one item of the greatest size
/// with its envelope.
pub const MAX_FRAME_BYTES: usize = (1 << 20) + (64 << 10);

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The other side closed, or the connection broke.
    #[error("the connection is gone")]
    Gone,
    /// The other side closed and said why.
    #[error("closed by the other side: {0}")]
    Closed(Box<str>),
    /// The other side sent a frame of more than [`MAX_FRAME_BYTES`].
    #[error("a frame is longer than {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// The other side did not keep to the transport's protocol.
    #[error("the other side broke the transport's protocol")]
    Protocol,
}

/// Which end of a link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The end that opens the channels: whoever dialled a service, or made the offer to a peer.
    Dialled,
    /// The end that is asked.
    Accepted,
}

/// What the frames of a link are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The messages of [`wire`](crate::wire).
    Native,
    /// The messages of the JavaScript original: the label of a data channel, a zero byte, and the
    /// message's JSON text. A frame without a text says that the channel is closed.
    JavaScript,
}

/// An ordered, reliable pipe of frames, each of at most [`MAX_FRAME_BYTES`], to one peer.
///
/// Sending waits while the other side or the network is slow; that is the back-pressure on which
/// every queue above relies. Dropping a half closes that direction; dropping both closes the link.
pub struct Link {
    /// Frames from the peer, in the order in which it sent them. Ends when the peer closes.
    pub incoming: Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>,
    /// Frames to the peer.
    pub outgoing: Pin<Box<dyn Sink<Bytes, Error = LinkError> + Send>>,
    /// For people and logs: the address of the peer, never a credential.
    pub name: Box<str>,
    /// Which end this is.
    pub side: Side,
    /// What the frames are.
    pub protocol: Protocol,
}

/// What of a service string may be shown and logged: what follows a `#` is a key.
///
/// ```
/// let service = "rendezvous:wss://relay.example/flexstore?name=tea#K3y";
/// let shown = flexstore_core::link::shown(service);
/// assert_eq!(shown, "rendezvous:wss://relay.example/flexstore?name=tea");
/// ```
#[must_use]
pub fn shown(service: &str) -> &str {
    service.split('#').next().unwrap_or_default()
}

/// Why no link could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No transport knows a service of this form. Trying again will not help.
    #[error("no transport for this service")]
    UnknownService,
    /// The service did not answer. Trying again later may help.
    #[error("the service did not answer: {0}")]
    Unreachable(Box<str>),
    /// Something answered that is not a Flexstore service.
    #[error("the service refused: {0}")]
    Refused(Box<str>),
}

/// A link in the making.
pub type Dialing = Pin<Box<dyn Future<Output = Result<Link, DialError>> + Send>>;

/// Makes links from service strings such as `ws://127.0.0.1:3000/flexstore`. An app hands one to
/// its peer; `flexstore-transports` has one for every transport.
pub trait Dialer: Send + Sync {
    /// Starts to connect. Trying again after an error is the caller's.
    fn dial(&self, service: &str) -> Dialing;
}
