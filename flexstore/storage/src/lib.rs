//! Durable storage for Flexstore: two engines behind one trait, with one committer.
//!
//! ```text
//! submit ──> engine (memory and the system's page cache) ──> Sequence, at once
//!                │
//! committer ─────┴─ fsync of the engine's files ──> Progress::Durable(every batch before it)
//! ```
//!
//! Whoever waits for [`Progress::Durable`](flexstore_core::storage::Progress) shares an fsync with
//! everybody else who waits. `fjall` is the default; `sled` is there by choice. Both pass the
//! conformance suite of `flexstore-testkit` and the same crash tests.
//!
//! # What is promised
//!
//! - A batch is there whole or not at all, also after a crash, and after `Durable` it is there.
//! - A full disk fails writes with `Full` and leaves reads alone; the engine is opened anew inside
//!   the process when there is room.
//! - After a failed fsync the store is read-only until the process restarts. What the disk holds
//!   is then not known, and a second fsync that succeeds would prove nothing.
//! - After a power loss a store opens with everything that was `Durable`; what was not may be torn,
//!   and goes. What was durable and is damaged is an error: [`OpenError::Damaged`], or
//!   [`Damaged`](flexstore_core::storage::StorageError::Damaged) to who reads it.
//! - A directory is used by one store at a time, and by no engine but the one that made it.
//!
//! # What is not
//!
//! To tell damage from a torn end, the store writes down how far it is durable, after the fact: at
//! least every second while it is written, and exactly when it is closed or quiet for 200 ms. What became durable after that and is damaged before the store is next opened looks like
//! what never did, and goes with what followed it. So does damage of any age in the newest journal
//! if the file `durable` is lost with it. An oldest journal that is removed while newer ones are
//! there is not missed. sled's log is counted in batches: what it loses without losing the last of
//! them is not seen.
//!
//! ```
//! use flexstore_core::storage::{Batch, Table};
//! use flexstore_storage::{Options, open};
//!
//! # let dir = tempfile::tempdir()?;
//! let store = open(dir.path(), Options::default())?;
//! let mut batch = Batch::new();
//! batch.put(Table::Meta, "name", "value");
//! store.submit(batch)?;
//! assert_eq!(store.get(Table::Meta, b"name")?.as_deref(), Some(&b"value"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod backend;
mod committer;
mod directory;
mod fjall;
mod mark;
mod open;
mod reading;
mod room;
mod sled;
mod store;

pub use crate::fjall::FjallStorage;
pub use crate::open::{Engine, FORMAT_VERSION, OpenError, Options, open};
pub use crate::sled::SledStorage;
