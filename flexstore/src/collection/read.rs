use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use flexstore_core::register::{ReadError, Selection};
use flexstore_core::storage::StorageError;
use flexstore_core::{Digest, KeyTag, Tag};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Collection, CollectionKind};
use crate::credentials::Credentials;
use crate::item::Item;
use crate::peer::{Command, ServiceStatus};

/// How long a read waits for services that are connected and have not said all they have.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an item that may be there cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetrieveError {
    /// The tag is none.
    #[error(transparent)]
    Tag(#[from] flexstore_core::TagError),
    /// Several owners hold an item under this tag: name one.
    #[error("several owners hold this tag")]
    SeveralOwners(Vec<KeyTag>),
    /// The owner is a team whose records are not here.
    #[error("the owner's team records are missing")]
    Unjudged(KeyTag),
    /// Its content was archived, and no service that is connected has it.
    #[error("archived, and no service that is connected has it")]
    Archived(Digest),
    /// The store does not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ReadError> for RetrieveError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::SeveralOwners(owners) => Self::SeveralOwners(owners),
            ReadError::Unjudged(owner) => Self::Unjudged(owner),
            ReadError::Archived(digest) => Self::Archived(digest),
            ReadError::Storage(error) => Self::Storage(error),
            // `ReadError` may grow; what is new is no item that can be shown.
            _ => Self::Storage(StorageError::Damaged),
        }
    }
}

/// A read about to be made; `await` it.
#[must_use = "await it"]
pub struct Retrieve<'a, K> {
    collection: &'a Collection<K>,
    tag: Result<Tag, flexstore_core::TagError>,
    owner: Option<KeyTag>,
    selection: Selection,
    opened: bool,
    asks: bool,
}

impl<K: CollectionKind> Collection<K> {
    /// Reads an item: from here, or, where a connected service has not yet said all it has, from
    /// there. `None` if there is none or it was removed.
    pub fn retrieve(&self, tag: impl IntoTag) -> Retrieve<'_, K> {
        Retrieve {
            collection: self,
            tag: tag.into_tag(),
            owner: None,
            selection: Selection::Latest,
            opened: true,
            asks: false,
        }
    }

    pub(crate) fn here(
        &self,
        tag: &Tag,
        owner: Option<KeyTag>,
        selection: Selection,
        opened: bool,
    ) -> Result<Option<Item>, ReadError> {
        let Some(record) = self.register().read(tag, owner, selection)? else {
            return Ok(None);
        };
        if !opened {
            return Ok(Some(Item::closed(record)));
        }
        let item = self.open_item(record);
        let Some(replay) = &self.replay else {
            return Ok(Some(item));
        };
        let mut folded = None;
        let last = item.record().stamp();
        for row in self.register().versions(tag, Some(item.owner()))?.rows() {
            if row.stamp > last {
                break;
            }
            if let Some(record) = self.register().record(&row.stamp.digest)? {
                let version = self.open_item(record);
                if version.is_open() {
                    folded = Some(replay(folded, &version));
                }
            }
        }
        Ok(Some(item.fold(folded)))
    }
}

impl<K: CollectionKind> Retrieve<'_, K> {
    /// The item of this owner.
    pub const fn owner(mut self, owner: KeyTag) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The version in force at a time, in ms since 1970.
    pub const fn at(mut self, time: u64) -> Self {
        self.selection = Selection::At(time);
        self
    }

    /// One version, by the digest of its record or by its state tag.
    pub const fn version(mut self, digest: Digest) -> Self {
        self.selection = Selection::Version(digest);
        self
    }

    /// Does not open what is sealed.
    pub const fn sealed(mut self) -> Self {
        self.opened = false;
        self
    }

    /// Asks the services for what is not here though they have said all they had: something newer
    /// may be on its way.
    pub(crate) const fn ask(mut self) -> Self {
        self.asks = true;
        self
    }

    async fn run(self) -> Result<Option<Item>, RetrieveError> {
        let tag = self.tag?;
        let here = || {
            self.collection
                .here(&tag, self.owner, self.selection, self.opened)
        };
        let mut found = here();
        if let Err(ReadError::Unjudged(owner)) = &found {
            // Its Team records may have come meanwhile, or be at a service.
            Credentials::of(&self.collection.peer)
                .fetch_team(owner)
                .await;
            self.collection.judged().await;
            found = here();
        }
        let complete = || {
            let statuses = self.collection.channel.status.borrow();
            statuses.values().all(ServiceStatus::is_settled)
        };
        let settled = match &found {
            Err(ReadError::Archived(_)) => self.collection.channel.status.borrow().is_empty(),
            Ok(None) => !self.asks && complete(),
            _ => true,
        };
        if settled {
            return Ok(found?);
        }
        let (reply, answered) = oneshot::channel();
        let ask = Command::Ask {
            tag: tag.clone(),
            owner: self.owner,
            reply,
        };
        let _ = self.collection.channel.inbox.send(ask).await;
        let _ = timeout(ASK_TIMEOUT, answered).await;
        Ok(here()?)
    }
}

impl<'a, K: CollectionKind> IntoFuture for Retrieve<'a, K> {
    type Output = Result<Option<Item>, RetrieveError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Anything that names: a [`Tag`], a [`KeyTag`], a [`Digest`] or a string.
pub trait IntoTag {
    /// The tag.
    ///
    /// # Errors
    /// [`TagError`](flexstore_core::TagError) if it is none.
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError>;
}

impl IntoTag for Tag {
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError> {
        Ok(self)
    }
}

impl IntoTag for &Tag {
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError> {
        Ok(self.clone())
    }
}

impl IntoTag for KeyTag {
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError> {
        Ok(self.tag())
    }
}

impl IntoTag for Digest {
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError> {
        Ok(self.tag())
    }
}

impl IntoTag for &str {
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError> {
        Tag::new(self)
    }
}

impl IntoTag for String {
    fn into_tag(self) -> Result<Tag, flexstore_core::TagError> {
        Tag::new(self)
    }
}
