//! Collections as an app uses them.

mod changes;
mod javascript;
mod open;
mod read;
mod write;

use std::marker::PhantomData;
use std::ops::ControlFlow;

pub use changes::{Change, Changes, Missed, Source};
use flexstore_core::authority::Standing;
use flexstore_core::register::{Register, Timestamp};
use flexstore_core::storage::StorageError;
use flexstore_core::{CollectionId, Digest, KeyTag, Kind, Tag};
pub use open::{OpenCollection, Replay};
pub use read::{IntoTag, Retrieve, RetrieveError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
pub use write::{Remove, Store, StoreError};

use crate::item::Item;
use crate::peer::{Command, Peer, ServiceStatus};

/// The rule of a collection, as a type.
pub trait CollectionKind: sealed::Sealed + Send + Sync + 'static {
    /// The same as a value.
    const KIND: Kind;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! kind {
    ($name:ident, $kind:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl CollectionKind for $name {
            const KIND: Kind = Kind::$kind;
        }
    };
}

kind!(
    Immutable,
    Immutable,
    "An item's tag is the hash of its content, and its content never changes."
);
kind!(Mutable, Mutable, "The latest item under a tag stays.");
kind!(Versioned, Versioned, "Every version of an item stays.");

/// What every handle of an open collection shares.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) register: Register,
    pub(crate) inbox: mpsc::Sender<Command>,
    pub(crate) changes: broadcast::Sender<Change>,
    pub(crate) status: watch::Receiver<crate::peer::Statuses>,
}

/// An open collection. Cheap to clone; all clones are one collection.
///
/// ```
/// # use std::sync::Arc;
/// # use flexstore::{MemoryStorage, Peer, Selection, Versioned};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let peer = Peer::open(Arc::new(MemoryStorage::new()))?;
/// # peer.credentials().create_device().await?;
/// let pages = peer.collection::<Versioned>("pages").open()?;
/// let page = pages.store("first").await?;
/// pages.store("second").tag(&page).await?;
///
/// assert_eq!(pages.retrieve(&page).await?.ok_or("gone")?.text()?, "second");
/// let first = pages.timestamps(&page)?[0];
/// let then = pages.retrieve(&page).at(first.ms).await?.ok_or("gone")?;
/// assert_eq!(then.text()?, "first");
/// # Ok(())
/// # }
/// ```
pub struct Collection<K> {
    peer: Peer,
    channel: Channel,
    replay: Option<Replay>,
    kind: PhantomData<K>,
}

impl<K> Clone for Collection<K> {
    fn clone(&self) -> Self {
        Self {
            peer: self.peer.clone(),
            channel: self.channel.clone(),
            replay: self.replay.clone(),
            kind: PhantomData,
        }
    }
}

impl<K: CollectionKind> Collection<K> {
    /// Kind and name.
    #[must_use]
    pub const fn id(&self) -> &CollectionId {
        self.channel.register.id()
    }

    /// The tags under which somebody holds an item, ascending; what is here, without asking
    /// anybody.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn list(&self) -> Result<Vec<Tag>, StorageError> {
        self.register().tags()
    }

    /// The items here whose JSON has all of these properties with these values, ascending by tag.
    /// Looks at every item that can be opened.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn find(
        &self,
        properties: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<Item>, StorageError> {
        let mut found = Vec::new();
        for tag in self.list()? {
            for owner in self.register().signers(&tag)? {
                let Ok(Some(item)) = self.here(&tag, Some(owner), Default::default(), true) else {
                    continue;
                };
                let fits = item.json().is_ok_and(|json| {
                    properties
                        .iter()
                        .all(|(name, value)| json.get(name) == Some(value))
                });
                if fits {
                    found.push(item);
                }
            }
        }
        Ok(found)
    }

    /// The items here that this key signed for a team and that do not count: of a stolen device,
    /// say, of which nothing does. Whoever may write for the owner can store again what is worth it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn struck_off(&self, author: KeyTag) -> Result<Vec<Item>, StorageError> {
        let mut rows = Vec::new();
        self.register().each(&mut |row| {
            let void = row.standing == Standing::Void && !row.tombstone && !row.archived;
            if void && row.author == author {
                rows.push(row.stamp.digest);
            }
            ControlFlow::Continue(())
        })?;
        let mut items = Vec::with_capacity(rows.len());
        for digest in rows {
            let record = self.register().record(&digest)?;
            items.extend(record.map(|record| self.open_item(record)));
        }
        Ok(items)
    }

    /// The owners whose item stands under a tag; of immutable content, all who signed it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn signers(&self, tag: &Tag) -> Result<Vec<KeyTag>, StorageError> {
        self.register().signers(tag)
    }

    /// What changes from now on, durably: written here, pushed or synced.
    #[must_use]
    pub fn updates(&self) -> Changes {
        Changes::new(self.channel.changes.subscribe())
    }

    /// Keeps the collection in step with a service from now on, whenever it can be reached.
    pub fn synchronize(&self, service: &str) {
        let inbox = &self.channel.inbox;
        // Said before the link can be up: a status belongs to what was attached.
        if inbox.try_send(Command::Attached(service.into())).is_err() {
            let (inbox, service) = (inbox.clone(), service.into());
            tokio::spawn(async move { inbox.send(Command::Attached(service)).await });
        }
        self.peer.services().attach(service, self.id(), inbox);
    }

    /// Ends it; the service and the collection stay as they are.
    pub async fn disconnect(&self, service: &str) {
        let _ = self
            .channel
            .inbox
            .send(Command::Detached(service.into()))
            .await;
        self.peer.services().detach(service, self.id());
    }

    /// Waits until the collection is in step with all its services: everything of theirs is here,
    /// and everything of ours is durable there. For ever, if one cannot be reached.
    pub async fn synchronized(&self) {
        let (reply, done) = oneshot::channel();
        let _ = self.channel.inbox.send(Command::Synchronized(reply)).await;
        let _ = done.await;
    }

    /// How the collection stands with each service, now and whenever it changes.
    #[must_use]
    pub fn progress(
        &self,
    ) -> watch::Receiver<std::collections::BTreeMap<std::sync::Arc<str>, ServiceStatus>> {
        self.channel.status.clone()
    }

    /// Drops the content of all items written before a time (ms since 1970) and keeps their
    /// digests, so that the collection stays in step; [`retrieve`](Self::retrieve) fetches them
    /// back. Waits until all services are in step first, since what only this device holds must
    /// not be dropped. Returns how many.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn archive(&self, before: u64) -> Result<usize, ArchiveError> {
        if self.channel.status.borrow().is_empty() {
            return Err(ArchiveError::NoService);
        }
        self.synchronized().await;
        let (reply, done) = oneshot::channel();
        let _ = self
            .channel
            .inbox
            .send(Command::Archive { before, reply })
            .await;
        Ok(done.await.map_err(|_| ArchiveError::Closed)??)
    }

    /// Of a collection of Team records.
    pub(crate) async fn pin(&self, team: KeyTag, record: Digest) -> Result<(), StorageError> {
        let (reply, done) = oneshot::channel();
        let command = Command::Pin {
            team,
            record,
            reply,
        };
        let _ = self.channel.inbox.send(command).await;
        done.await.unwrap_or(Err(StorageError::ReadOnly))
    }

    /// Waits until what is shown stands by the Team records that are here. It does so within
    /// moments anyway; where very many items are judged anew, this tells when.
    pub async fn judged(&self) {
        let (reply, done) = oneshot::channel();
        let _ = self.channel.inbox.send(Command::Judged(reply)).await;
        let _ = done.await;
    }

    pub(crate) const fn register(&self) -> &Register {
        &self.channel.register
    }
}

impl Collection<Versioned> {
    /// When each version here was written, ascending; those of one millisecond are told apart.
    ///
    /// # Errors
    /// [`RetrieveError`] if several owners hold the tag.
    pub fn timestamps(&self, tag: impl IntoTag) -> Result<Vec<Timestamp>, RetrieveError> {
        Ok(self
            .register()
            .versions(&tag.into_tag()?, None)?
            .timestamps())
    }

    /// The digests of the versions here, by which each can be retrieved, ascending by time.
    ///
    /// # Errors
    /// [`RetrieveError`] if several owners hold the tag.
    pub fn versions(&self, tag: impl IntoTag) -> Result<Vec<Digest>, RetrieveError> {
        let versions = self.register().versions(&tag.into_tag()?, None)?;
        Ok(versions.rows().iter().map(|row| row.stamp.digest).collect())
    }
}

/// Why nothing was archived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// No service holds the items, so that dropping them would lose them.
    #[error("no service holds the items")]
    NoService,
    /// The peer was closed meanwhile.
    #[error("the peer was closed")]
    Closed,
    /// The store does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
