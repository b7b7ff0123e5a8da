//! The pure heart of Flexstore: signed records, admission and sync.
//!
//! Nothing here opens a socket or a file, reads a clock or draws a random number; time and
//! randomness are arguments. Apps import the crate `flexstore`, which re-exports what they need.
//!
//! ```text
//!  bytes ──> record: Signed ──verify──> Verified ──> admission ──> Storage
//!                                          │
//!  frames <──────── sync: Session <── Replica ──> updates
//! ```
#![forbid(unsafe_code)]

pub mod admission;
pub mod authority;
pub mod dialect;
pub mod json;
pub mod link;
mod place;
pub mod record;
pub mod register;
pub mod storage;
pub mod sync;
mod tag;
pub mod wire;

pub use place::{CollectionId, CollectionIdError, Kind, MAX_NAME_BYTES, Profile};
pub use record::{Signed, SigningKey, Verified};
pub use tag::{Digest, KeyTag, MAX_TAG_BYTES, Tag, TagError, decode_base64url, encode_base64url};
