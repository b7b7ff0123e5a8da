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
//! What the original's devices and recoveries wrap with a single unsalted SHA-256 opens by
//! [`migrate`] and by nothing else; nothing here wraps a key with a secret. So somebody who uses
//! both shares as a team: one member the JavaScript device, another this one.

mod invitation;
mod item;
mod keys;
mod migrate;
mod team;

pub use invitation::{ClaimError, Claimed, claim_invitation};
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
