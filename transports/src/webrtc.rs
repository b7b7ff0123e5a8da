//! WebRTC: from peer to peer, through firewalls where they let it, without a server between.
//!
//! ```text
//!   rendezvous (sealed signals over a relay, or by hand)      javascript (signals in JSON)
//!        │ a data channel, frames in pieces                       │ a data channel for each label
//!        └──────────────── connection: the `webrtc` crate ────────┘
//! ```
//!
//! Before two sides connect they tell each other where they may be reached and which certificate
//! they will show; that is what the signals are for. There is one each way, complete: no trickle.
//! [`rendezvous`](crate::rendezvous) seals them, so that whoever carries them can neither read nor
//! alter them. What a connection is taken for depends on the fingerprint in the signal alone: a
//! side that shows another certificate is refused before any data.
//!
//! - **Native**: one ordered, reliable data channel. Frames are cut into messages of at most 16 KiB,
//!   and short ones share a message. See [`frames`].
//! - **JavaScript** ([`javascript`]): as the original has it, one channel for each collection.
//!
//! What waits is bounded both ways: sending waits while the other side or the network is slow, and
//! what nobody reads stays with the sender. Dropping a [`Link`](flexstore_core::link::Link), or the
//! attempt to make one, closes its sockets and ends its tasks within [`LINGER`] and a little.

mod connection;
mod description;
pub mod frames;
mod host;
pub mod javascript;
pub(crate) mod native;
mod pipe;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use connection::SEND_BUFFER_BYTES;
pub use description::{MAX_CANDIDATES, MAX_SDP_BYTES};
pub use host::RECEIVE_BUFFER_BYTES;
use zeroize::Zeroizing;

pub(crate) use description::{Description, Role};

/// The longest message that is received, in bytes: what an SDP without a word about it means.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// How long a side that closes waits for the other to take notice.
pub const LINGER: Duration = Duration::from_secs(1);
/// How long candidates are gathered, as with the original.
pub const GATHERING: Duration = Duration::from_secs(2);
/// How long two sides try to reach each other once both signals are there.
pub const CONNECTING: Duration = Duration::from_secs(20);

/// How to be reached, and how to find that out.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The addresses to listen at. None: every interface, and the loopback.
    pub addresses: Vec<IpAddr>,
    /// STUN servers, such as `stun:stun.example.org:3478`. They tell the address that a router
    /// shows for us; to do so they learn it.
    pub stun: Vec<Box<str>>,
    /// TURN servers, which carry the (encrypted) data where no direct path is open.
    pub turn: Vec<Turn>,
    /// How long two sides try to reach each other once both signals are there.
    pub connecting: Duration,
}

impl Default for Settings {
    /// No servers, and [`CONNECTING`].
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            stun: Vec::new(),
            turn: Vec::new(),
            connecting: CONNECTING,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("addresses", &self.addresses)
            .field("stun", &self.stun)
            .field("turn", &self.turn.len())
            .field("connecting", &self.connecting)
            .finish()
    }
}

/// A TURN server, and who we are there.
#[derive(Clone)]
pub struct Turn {
    url: Box<str>,
    user: Box<str>,
    password: Zeroizing<Box<str>>,
}

impl Turn {
    /// A server such as `turn:turn.example.org:3478`, over UDP.
    #[must_use]
    pub fn new(url: &str, user: &str, password: &str) -> Self {
        Self {
            url: url.into(),
            user: user.into(),
            password: Zeroizing::new(password.into()),
        }
    }
}

/// What is wrong with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// It is longer than it may be.
    #[error("a signal is too long")]
    TooLong,
    /// It lists more than [`MAX_CANDIDATES`] addresses.
    #[error("a signal has more than {MAX_CANDIDATES} candidates")]
    TooManyCandidates,
    /// It is not what it should be.
    #[error("a signal is malformed")]
    Malformed,
}

/// Why two sides did not connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// What the other side signalled is not usable.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The two did not reach each other in time, or one of them gave up.
    #[error("the other side was not reached")]
    Unreachable,
    /// Somebody was reached who is not the one that signalled.
    #[error("the other side shows another certificate than it signalled")]
    Fingerprint,
    /// The other side did not keep to the protocol.
    #[error("the other side broke the protocol")]
    Protocol,
    /// A connection could not be set up here.
    #[error("no connection could be set up: {0}")]
    Setup(Box<str>),
}
