//! Keys, teams and sealed items of the JavaScript original.
//!
//! For collections of the js profile, and **weaker by design** than what this crate does
//! otherwise: RSA, no binding of a sealed item to its place, team keys that never rotate.
//!
//! ```text
//! KeySet ──── encryption_record, destroy ────> records        a JWK Set of RSA and Ed25519
//!   │  ^
//!   │  └── Team::open, unlock ── Team <── create, change, claim_invitation
//!   └──── open_item, seal_item
//! migrate ──> KeySet                          wraps under a bare hash: read, never made
//! ```
//!
//! A collection opened with [`javascript`](crate::OpenCollection::javascript) is one of the js
//! profile, which JavaScript clients share. In it
//!
//! * items of the original stand beside native ones, and both are read, listed, updated and removed
//!   alike; what this library writes are **native records**, which the original reads (it knows
//!   their signatures, times, owners and states, and passes over the members that bind them), and
//!   which nobody can move elsewhere;
//! * whoever signs is a native key, a native team's member, or, named with `author` and `owner`, a
//!   key set given to [`add_javascript`](crate::Credentials::add_javascript): of a device of the
//!   original, for the user whose team it belongs to;
//! * an item sealed to somebody who has a record in the original's collection `EncryptionKey` is
//!   sealed as the original does, to that one tag. Any other audience is native, and the original
//!   cannot open it. A sealed property is always native;
//! * items of the original's teams count by their Team records, which
//!   [`synchronize_javascript`](crate::Credentials::synchronize_javascript) keeps in step; without
//!   them they are there and not shown;
//! * of a versioned item the original's states are the versions. Removing one leaves no version
//!   here; a JavaScript client hears that the item is gone, and keeps its states.
//!
//! What [`KeySet`], [`Team`] and the rest make go into the collections of keys and teams with
//! [`insert`](crate::Collection::insert); nothing else is written there.
//!
//! What the original's devices and recoveries wrap with a single unsalted SHA-256 opens by
//! [`migrate`] and by nothing else; nothing here wraps a key with a secret. So somebody who uses
//! both shares as a team: one member the JavaScript device, another this one.

mod invitation;
mod item;
mod keys;
mod migrate;
mod team;

pub use invitation::{ClaimError, Claimed, claim_invitation};
pub(crate) use item::open_payload;
pub use item::{ItemError, open_item, seal_item};
pub use keys::{KeySet, KeySetError, encryption_key};
pub use migrate::{MigrateError, Migrated, migrate, migrate_device_file};
pub use team::{
    Created, Found, MAX_NESTING, Member, Team, TeamError, UnlockError, destroy, destroy_team,
    unlock,
};

pub use crate::seal::js::{RsaKey, RsaSecret};
pub use flexstore_core::authority::js::{JudgeError, Judgement, TeamRecord, judge};
pub use flexstore_core::record::js::{
    Claimed as ClaimedOwner, DEVICE, Draft, ENCRYPTION_KEY, KEY_RECOVERY, Shelf, Signed, TEAM,
    Verified,
};
