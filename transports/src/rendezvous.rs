//! Two who share a key find each other through somebody whom they need not trust.
//!
//! A rendezvous is a place that carries frames (a slot on a relay, or any other
//! [`Link`]), a name, and a [`Key`] of 32 bytes. The offer, the answer
//! and the addresses in them travel as secret boxes (XSalsa20-Poly1305). Whoever carries them can
//! keep them back, and that is all:
//!
//! - it cannot read or alter them, and so cannot put the fingerprint of its own certificate there;
//! - it cannot hand a box back to the one that made it, or to another place, or a second time: its
//!   key depends on the name and on what it is for, and in it are fresh numbers from both sides.
//!
//! ```text
//!   A: hello(a) ────►◄──── hello(b) :B      the greater number offers, say a
//!   A: offer(a, b, addresses, fingerprint) ────►
//!                    ◄──── answer(a, b, addresses, fingerprint) :B
//!   A ◄═══════════ WebRTC, certificates as signalled ═══════════► B
//! ```
//!
//! Both join as equals; nobody is told who begins. Without a relay at all, the two texts can be
//! carried [by hand](by_hand), as a QR code or a file.

pub mod by_hand;
mod exchange;
mod key;
mod place;

use flexstore_core::link::{Link, LinkError};

pub use exchange::{MAX_HELLOS, MAX_SIGNAL_BYTES};
pub use key::{Key, KeyError};
pub use place::Place;

use crate::webrtc::{ConnectError, Settings};

/// Why two did not find each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// The place that carries the signals is gone.
    #[error("the signals ended: {0}")]
    Signals(#[from] LinkError),
    /// A signal does not open under the key: the other side has another key or name, or somebody
    /// altered it.
    #[error("a signal was not sealed under this key for this purpose")]
    Sealed,
    /// A signal is longer than [`MAX_SIGNAL_BYTES`], or there are more than [`MAX_HELLOS`].
    #[error("more signals than two sides need")]
    TooMuch,
    /// A text carried by hand is not one.
    #[error("not the text of a signal")]
    Text,
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
    /// The signals were good, but the two did not connect.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Meets the other side, which does the same with the same name and key, and connects to it.
///
/// Waits for the other side as long as the signals last; drop it to stop waiting. The place may
/// still hold what the other side sent in an attempt before: what it says last counts.
pub async fn connect(
    signals: Link,
    name: &str,
    key: &Key,
    settings: &Settings,
) -> Result<Link, RendezvousError> {
    exchange::connect(signals, name, key, settings).await
}
