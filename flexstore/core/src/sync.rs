//! Sync: one replica of one collection, its sessions with other replicas, and nothing that waits.
//!
//! A [`Replica`] is driven: give it what happened ([`Replica::handle`], [`Replica::write`] and so
//! on, each with the time), then drain [`Replica::poll`], then wait for a message, for the store's
//! word on durability, or until [`Replica::next_timeout`].
//!
//! ```text
//!  write ──┐                        ┌──> Output::Stored       when durable
//!  Records ┼─> verify, admit, submit┼──> Output::Update       when durable
//!          │            │           └──> Output::Send(...)    when durable
//!          │         Storage ── Progress::Durable ──> handle
//! ```
//!
//! Local writes and remote records take the same path. Nobody is told of a record before the store
//! says that it is durable; then the writer, the sender and the other sessions are.

mod event;
pub mod index;
mod judging;
pub mod reconcile;
mod replica;
mod session;
mod settings;
mod taking;
mod teams;
mod twins;
mod writing;

pub use event::{AskId, Input, Origin, Output, Ticket, Transfer, Update};
pub use replica::{MAX_AHEAD_MS, MAX_FILTERED, Replica};
pub use session::{SessionId, WINDOW_BYTES};
pub use settings::{Policy, Settings};
pub use taking::{OfferError, Taken};
pub use writing::{Keys, Refusal, WriteError, Writing, Written};
