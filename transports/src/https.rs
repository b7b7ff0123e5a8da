//! Links over HTTPS (or HTTP): requests and answers, and one stream of server-sent events.
//!
//! ```text
//!  POST   /flexstore/link                                   -> 201, Flexstore-Link: the link's id
//!  GET    /flexstore/link  Flexstore-Link, Last-Event-ID    -> 200, text/event-stream
//!  POST   /flexstore/link  Flexstore-Link, -At, -Seen       -> 204
//!  DELETE /flexstore/link  Flexstore-Link                   -> 204
//! ```
//!
//! - **To the client:** each event is one frame, in base64url, with its number as the event's id.
//!   The server keeps a frame until the client has *seen* it, that is, has handed it to whoever
//!   reads the link; so a stream that broke is taken up where it was. At most [`MAX_UNSEEN_BYTES`]
//!   are under way, one frame past them included: then writing waits.
//! - **To the server:** the bodies of the requests are one stream of bytes, in which each frame
//!   comes after its length in four bytes, the most significant first. `Flexstore-At` tells where
//!   in the stream a body begins, so a request that is sent again is not taken twice, and several
//!   may be under way at once. No body is longer than [`MAX_POST_BYTES`]: proxies have limits.
//!   A request is answered when there is room for its body; until then the client waits.
//! - **Life:** the event stream carries a comment every [`HEARTBEAT`], the client sends at least an
//!   empty body as often; whoever hears nothing for two of them ends the link. A stream or a
//!   request that broke is tried again for [`RESUME_TIME`].
//! - The id is 128 random bits and travels in a header, never in an address, which proxies log.

mod client;
mod deframe;
mod events;
mod server;

use std::time::Duration;

pub use self::client::{Client, connect};
pub use self::server::{Events, LinkId, Links, Refused};

/// How often each side gives a sign of life; silence for two of them ends the link.
pub const HEARTBEAT: Duration = Duration::from_secs(20);
/// For how long a stream of events or a request that broke is tried again.
pub const RESUME_TIME: Duration = Duration::from_secs(10);
/// The longest body of a request.
pub const MAX_POST_BYTES: usize = 256 << 10;
/// Bytes of frames, with [`FRAME_COST`] each, that the server keeps until the client has seen them.
pub const MAX_UNSEEN_BYTES: usize = 1 << 20;
/// What a frame counts beside its bytes.
pub const FRAME_COST: usize = 64;
/// Requests of one link that may be under way at the same time.
pub const MAX_POSTS: usize = 4;
/// How long the server lets a request wait for room before it is to be sent again.
pub const ROOM_TIMEOUT: Duration = Duration::from_secs(8);
/// How long closing waits for the other side to take notice.
pub const LINGER: Duration = Duration::from_secs(1);

/// The header with the link's id.
pub const LINK_HEADER: &str = "flexstore-link";
/// The header with the place of a body in the stream of bytes.
pub const AT_HEADER: &str = "flexstore-at";
/// The header with the number of the last frame that the client has seen.
pub const SEEN_HEADER: &str = "flexstore-seen";

/// Why a link is over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Over {
    /// Somebody closed it, and all is delivered.
    Closed,
    /// It broke.
    Broken(flexstore_core::link::LinkError),
}

impl Over {
    /// What writing answers.
    fn error(&self) -> flexstore_core::link::LinkError {
        match self {
            Self::Closed => flexstore_core::link::LinkError::Gone,
            Self::Broken(error) => error.clone(),
        }
    }
}
