//! The messages of the JavaScript original, version 17: a second front to the same replica.
//!
//! ```text
//!  text of a frame --Message::parse--> Session --Shelves--> the collection
//!                                         │
//!  text of a frame <──────── poll ────────┘
//! ```
//!
//! A data channel of the original carries one shelf of a collection: its items, or of a versioned
//! one either the roots or the states. Each has a [`Session`]; nothing here opens a channel, reads
//! a clock or waits.
//!
//! **What ends a channel and what does not.** A message that is not exactly one of the nine ends
//! it, as does one out of its turn or over a limit. A tag or a record that is not taken does not:
//! it stays with whoever sent it, which hurts nobody else.

mod ended;
mod fragments;
mod frame;
mod front;
mod known;
mod message;
mod piece;
mod root;
mod session;
mod shelves;
mod view;

pub use ended::Ended;
pub use fragments::{
    FragmentError, Fragments, Frames, MAX_OPEN, MAX_OPEN_BYTES, MAX_PIECES, PIECE_TIMEOUT_MS,
};
pub use frame::{FrameError, join_frame, split_frame};
pub use front::{Front, ROOT_DELAY_MS};
pub use message::{MAX_MESSAGE_BYTES, Message, MessageError};
pub use piece::{PIECE_UNITS, Piece};
pub use root::{MODULUS_BYTES, relay_key, sign_root};
pub use session::{
    FAREWELL_MS, HANDSHAKE_MS, HIGH_BYTES, MAX_AWAITED, MAX_WAITING_BYTES, Role, STALL_MS, Session,
    VERSION, VERSIONS_DELAY_MS,
};
pub use shelves::{Compared, Page, Shelves, Taken};
