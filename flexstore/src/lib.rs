//! Local-first collections of signed, optionally sealed items that sync between devices through
//! relays that can read nothing.
//!
//! Five nouns: a [`Tag`] names, an [`Item`] is one signed record, a [`Collection`] holds items
//! under one rule, a [`Storage`] is where bytes rest, a [`Link`](link::Link) carries them.
//!
//! ```
//! use std::sync::Arc;
//! use flexstore::{MemoryStorage, Mutable, Peer};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let peer = Peer::open(Arc::new(MemoryStorage::new()))?;
//! let me = peer.credentials().create_device().await?;
//!
//! let notes = peer.collection::<Mutable>("notes").open()?;
//! let tag = notes.store(json!({"title": "Milk"})).tag("shopping").seal_to([me]).await?;
//!
//! let item = notes.retrieve(&tag).await?.ok_or("not there")?;
//! assert_eq!(item.json()?["title"], "Milk");
//! assert_eq!(item.author(), me);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!   your app
//!      │ store retrieve find updates            the only place where plaintext is
//!   Collection ──> seal ──> record ──> Replica ──> Storage      durable, then
//!      ^                                  │                     acknowledged
//!      └────────── updates <──────────────┴──> Link ──> relay ──> other devices
//! ```
#![forbid(unsafe_code)]

mod collection;
mod credentials;
pub mod guide;
mod item;
pub mod js;
mod peer;
mod random;
pub mod seal;

pub use collection::{
    ArchiveError, Change, Changes, Collection, CollectionKind, Immutable, IntoTag, Missed, Mutable,
    OpenCollection, Remove, Replay, Retrieve, RetrieveError, Source, Store, StoreError, Versioned,
};
pub use credentials::{
    Authorize, ChangeMembership, ChangePassphraseError, ChosenSecret, ChosenSecretError, Cost,
    CostError, CreateVaultError, Credentials, CredentialsError, Defaults, Invitation, KeySet,
    KeySetError, MAX_VAULT_BYTES, MAX_WRAPPED_BYTES, MIN_GUESSES, OpenVaultError, PassphraseError,
    Readers, Reason, RecoverySecret, RecoveryWords, RecoveryWordsError, Step, Team, TeamEvent,
    TeamEvents, TeamName, TeamNameError, UnwrapError, Vault, Weakness, WipeError, WrapError,
    WriteVaultError,
};
pub use flexstore_core::authority::{self, Presence, Standing, Unjudged};
pub use flexstore_core::link::{self, Dialer};
pub use flexstore_core::register::{Selection, Timestamp};
pub use flexstore_core::storage::{MemoryStorage, Storage, StorageError};
pub use flexstore_core::sync::{Policy, Transfer};
pub use flexstore_core::wire::{CloseReason, Filter, RefusalReason};
pub use flexstore_core::{CollectionId, Digest, KeyTag, Kind, Tag, TagError};
pub use item::{Content, ContentError, Item};
pub use peer::{Connection, OpenError, Peer, ServiceState, ServiceStatus};
