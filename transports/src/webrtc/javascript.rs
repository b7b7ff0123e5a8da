//! WebRTC as the JavaScript original has it: a text channel for each collection.
//!
//! Signals are JSON, and nobody seals them: whoever carries them can take the other side's place.
//! That is what the original's relays and apps do, and the only way to talk to them.
//!
//! A [`Link`] from here has [`Protocol::JavaScript`]: each frame is the label of a channel, a zero
//! byte, and the text of one message; without a text it says that the channel is closed. To send
//! the first frame on a label opens its channel, where this side may:
//!
//! - towards a relay ([`With::Relay`]) whoever dialled opens them, in-band;
//! - between peers ([`With::Peer`]) the first is opened in-band by whoever offered, and every other
//!   by both, without a word, with the identifiers 126, 127 and so on. Both have to do it in the
//!   same order.
//!
//! When the last channel closes, so does the connection. Whoever does not read is closed after
//! [`SLOW`]: a relay has many to serve, and there is nobody to push back to.

mod carry;
mod channels;
mod signals;

use std::time::Duration;

use flexstore_core::link::{Link, Protocol, Side};

use super::connection::Connection;
use super::description::{Description, Role};
use super::pipe::pipe;
use super::{ConnectError, Settings};
use channels::Channels;

pub use signals::MAX_SIGNALS_BYTES;

/// The most channels of a connection.
pub const MAX_CHANNELS: usize = 64;
/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// How long the other side may read nothing while something waits for it.
pub const SLOW: Duration = Duration::from_secs(10);
/// What may have been sent and not be acknowledged, of all channels together, in bytes. Twice this
/// may be reached for a moment.
pub const SEND_BUFFER_BYTES: usize = 256 << 10;

/// Who the other side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// A client and a relay.
    Relay,
    /// Two clients.
    Peer,
}

/// One who offered, before the answer is there.
pub struct Offer {
    connection: Connection,
    channels: Channels,
    settings: Settings,
}

/// Offers, with these channels to begin with (at least one): what to signal to the other side.
pub async fn offer(
    with: With,
    labels: &[&str],
    settings: &Settings,
) -> Result<(Offer, String), ConnectError> {
    // A peer has no channels to open in-band, and neither has a relay.
    let mut connection = Connection::open(settings, 1, SEND_BUFFER_BYTES).await?;
    let channels = Channels::offering(with);
    channels.prepare(&connection).await?;
    for label in labels {
        channels.open(&connection, label).await?;
    }
    let description = connection.offer().await?;
    let signals = signals::write(&description, Role::Offer);
    let offer = Offer {
        connection,
        channels,
        settings: settings.clone(),
    };
    Ok((offer, signals))
}

impl Offer {
    /// Connects to whoever gave these signals in answer.
    pub async fn accept(mut self, answer: &str) -> Result<Link, ConnectError> {
        let answer = signals::read(answer, Role::Answer)?;
        self.connection.accept(&answer).await?;
        self.connection.reached(&answer, &self.settings).await?;
        let (pipe, link) = pipe(
            "webrtc, offered".into(),
            Side::Dialled,
            Protocol::JavaScript,
        );
        tokio::spawn(carry::run(self.connection, self.channels, pipe));
        Ok(link)
    }
}

/// Answers an offer: what to signal in return, and the link. It may be used at once; it ends with
/// [`LinkError::Gone`](flexstore_core::link::LinkError::Gone) if the other side does not come.
///
/// `labels` are the channels that both sides of [`With::Peer`] know of; a relay knows of none.
pub async fn answer(
    offer: &str,
    with: With,
    labels: &[&str],
    settings: &Settings,
) -> Result<(String, Link), ConnectError> {
    let offer = signals::read(offer, Role::Offer)?;
    let mut connection = Connection::open(settings, MAX_CHANNELS, SEND_BUFFER_BYTES).await?;
    let channels = Channels::answering(with, labels.first().copied());
    channels.prepare(&connection).await?;
    for label in labels.iter().skip(1) {
        channels.open(&connection, label).await?;
    }
    let description = connection.answer(&offer).await?;
    let signals = signals::write(&description, Role::Answer);
    let (pipe, link) = pipe(
        "webrtc, answered".into(),
        Side::Accepted,
        Protocol::JavaScript,
    );
    tokio::spawn(reach(connection, channels, pipe, offer, settings.clone()));
    Ok((signals, link))
}

/// The link of one who answered, from before the other side is there.
async fn reach(
    mut connection: Connection,
    channels: Channels,
    pipe: carry::TextPipe,
    offer: Description,
    settings: Settings,
) {
    tokio::select! {
        reached = connection.reached(&offer, &settings) => if reached.is_err() {
            return connection.close().await;
        },
        // Whoever asked for the link does not want it any more.
        () = pipe.unwanted() => return connection.close().await,
    }
    carry::run(connection, channels, pipe).await;
}
