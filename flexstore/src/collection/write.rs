use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use flexstore_core::record::{Content as Sealable, ParseError};
use flexstore_core::storage::StorageError;
use flexstore_core::sync::{OfferError, WriteError, Writing, Written};
use flexstore_core::{KeyTag, Kind, Tag, TagError};
use tokio::sync::oneshot;

use super::read::IntoTag;
use super::{Collection, CollectionKind};
use crate::credentials::{Credentials, CredentialsError, KeySet};
use crate::item::Content;
use crate::peer::{Command, Signers};
use crate::random;
use crate::seal::{self, Audience, Binding, SealError};

/// Why an item was not stored or removed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The tag is none.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// No key set is here to sign with, or not that of the author or owner named.
    #[error("the private keys of the author or owner are not here")]
    NoKeys,
    /// Nobody knows this tag's encryption key, so nothing can be sealed to it.
    #[error("the encryption key of {0} is not known")]
    UnknownAudience(KeyTag),
    /// Nothing can be sealed to one of the audience: a team that was destroyed, say.
    #[error("cannot seal to the audience: {0}")]
    Audience(Arc<CredentialsError>),
    /// It would not count: the author is no member of the owner.
    #[error("the author is no member of the owner")]
    NotMember,
    /// An empty content would delete; call `remove`.
    #[error("an empty content cannot be stored in plain")]
    Empty,
    /// Properties can be sealed in a JSON object only.
    #[error("properties can be sealed in a JSON object only")]
    NotAnObject,
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// It makes no record: too long, say.
    #[error(transparent)]
    Record(#[from] ParseError),
    /// What stands under the tag is from more than five minutes ahead of this clock.
    #[error("this clock is behind: the tag holds an item of {newest} ms since 1970")]
    ClockBehind {
        /// The time of the newest item there, in ms since 1970.
        newest: u64,
    },
    /// Under the js profile something is sealed to a JavaScript user alone, or to others.
    #[error("the audience holds a JavaScript user, who can be the only one")]
    OneAudience,
    /// It belongs in another collection, or is dated ahead of this clock.
    #[error("the record is not for this collection, or not yet")]
    Refused(OfferError),
    /// The owner removed this immutable content; storing it again would not show it.
    #[error("the owner removed this content")]
    Deleted,
    /// There is nothing to remove.
    #[error("there is nothing under this tag")]
    NotFound,
    /// The collection's policy does not admit it.
    #[error("the collection's policy does not admit this")]
    Policy,
    /// The store did not make it durable. It may be there or not after a restart.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The peer was closed before the item was durable.
    #[error("the peer was closed")]
    Closed,
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Draft(ParseError::Payload) => Self::Empty,
            WriteError::Draft(error) => Self::Record(error),
            WriteError::ClockBehind { newest } => Self::ClockBehind { newest },
            WriteError::Deleted => Self::Deleted,
            WriteError::NotFound => Self::NotFound,
            WriteError::NotMember => Self::NotMember,
            WriteError::Policy => Self::Policy,
            WriteError::Refused(error) => Self::Refused(error),
            WriteError::Storage(error) => Self::Storage(error),
            // `WriteError` may grow; whatever is new, nothing is known to be durable.
            _ => Self::Closed,
        }
    }
}

/// A write about to be made; `await` it. Done when it is durable here.
#[must_use = "await it"]
pub struct Store<'a, K> {
    collection: &'a Collection<K>,
    content: Content,
    tag: Option<Result<Tag, TagError>>,
    who: Who,
    /// The default one, if none is said.
    audience: Option<Vec<KeyTag>>,
    properties: Vec<(String, Vec<KeyTag>)>,
}

/// A removal about to be made; `await` it. Done when it is durable here.
#[must_use = "await it"]
pub struct Remove<'a, K> {
    collection: &'a Collection<K>,
    tag: Result<Tag, TagError>,
    who: Who,
}

#[derive(Default)]
struct Who {
    author: Option<KeyTag>,
    owner: Option<KeyTag>,
}

impl<K: CollectionKind> Collection<K> {
    /// Stores JSON, text or bytes. Without a tag, an immutable item has its content's hash, and
    /// any other a fresh name.
    pub fn store(&self, content: impl Into<Content>) -> Store<'_, K> {
        Store {
            collection: self,
            content: content.into(),
            tag: None,
            who: Who::default(),
            audience: None,
            properties: Vec::new(),
        }
    }

    /// Removes the owner's item under a tag, everywhere.
    pub fn remove(&self, tag: impl IntoTag) -> Remove<'_, K> {
        Remove {
            collection: self,
            tag: tag.into_tag(),
            who: Who::default(),
        }
    }

    fn signers_of(&self, who: &Who) -> Result<Signers, StoreError> {
        let keyring = self.peer.keyring();
        let defaults = keyring.defaults();
        let owner = who.owner.or(defaults.owner);
        let author = match (who.author, defaults.author) {
            (Some(tag), _) => match keyring.get(&tag) {
                None if self.is_javascript() => return self.javascript_signers(tag, owner),
                set => set,
            },
            (None, default) => {
                let itself = owner.and_then(|owner| keyring.get(&owner));
                let member = owner.map(|owner| keyring.member(&owner)).transpose()?;
                let default = || default.and_then(|tag| keyring.get(&tag));
                itself.or(member.flatten()).or_else(default)
            }
        };
        let author: Arc<KeySet> = author.ok_or(StoreError::NoKeys)?;
        let owner = owner.filter(|owner| *owner != author.tag());
        let signing = |owner: KeyTag| {
            let keys = keyring.team(&owner)?;
            Ok::<_, StoreError>(keys.ok_or(StoreError::NoKeys)?.signing().clone())
        };
        Ok(Signers {
            author: author.signing().clone(),
            owner: owner.map(signing).transpose()?,
        })
    }

    pub(crate) async fn write(
        &self,
        writing: Writing,
        signers: Signers,
    ) -> Result<Written, StoreError> {
        let (reply, done) = oneshot::channel();
        let command = Command::Write {
            writing,
            signers,
            reply,
        };
        self.command(command, done).await
    }

    pub(super) async fn command(
        &self,
        command: Command,
        done: oneshot::Receiver<Result<Written, WriteError>>,
    ) -> Result<Written, StoreError> {
        self.channel
            .inbox
            .send(command)
            .await
            .map_err(|_| StoreError::Closed)?;
        Ok(done.await.map_err(|_| StoreError::Closed)??)
    }

    async fn audience(&self, tags: &[KeyTag]) -> Result<Vec<Audience>, StoreError> {
        let credentials = Credentials::of(&self.peer);
        let mut audience = Vec::with_capacity(tags.len());
        for tag in tags {
            let found = credentials.audience(tag).await;
            audience.push(found.map_err(|error| match error {
                CredentialsError::UnknownKey(tag) => StoreError::UnknownAudience(tag),
                error => StoreError::Audience(Arc::new(error)),
            })?);
        }
        Ok(audience)
    }
}

impl<K: CollectionKind> Store<'_, K> {
    /// Under this tag; ignored for immutable items.
    pub fn tag(mut self, tag: impl IntoTag) -> Self {
        self.tag = Some(tag.into_tag());
        self
    }

    /// Signed by this held key set and not by the default one. The owner stays the default one, if
    /// there is one: name the author as owner for an item of the key alone.
    pub const fn author(mut self, author: KeyTag) -> Self {
        self.who.author = Some(author);
        self
    }

    /// For this team, whose keys are held.
    pub const fn owner(mut self, owner: KeyTag) -> Self {
        self.who.owner = Some(owner);
        self
    }

    /// Sealed to these tags, any number; nobody else can read it. The author can only if among
    /// them.
    pub fn seal_to(mut self, audience: impl IntoIterator<Item = KeyTag>) -> Self {
        self.audience.get_or_insert_default().extend(audience);
        self
    }

    /// Plain, whatever the default audience is: everyone can read it, relays included.
    pub fn plain(mut self) -> Self {
        self.audience = Some(Vec::new());
        self
    }

    /// Of a JSON object stored in plain, seals one property to these tags.
    pub fn seal_property(
        mut self,
        name: impl Into<String>,
        audience: impl IntoIterator<Item = KeyTag>,
    ) -> Self {
        self.properties
            .push((name.into(), audience.into_iter().collect()));
        self
    }

    async fn run(mut self) -> Result<Tag, StoreError> {
        let signers = self.collection.signers_of(&self.who)?;
        let (author, owner) = (signers.author.tag(), signers.owner());
        let named = match self.tag.take() {
            Some(tag) => tag?,
            // Of immutable content the replica computes it.
            None => {
                let nonce = random::bytes().map_err(|_| StoreError::NoRandom)?;
                Tag::made_by(&owner, &nonce)
            }
        };
        let binding = Binding {
            owner,
            author,
            col: self.collection.id().signed().into(),
            tag: (K::KIND != Kind::Immutable).then(|| named.as_str().into()),
            prop: None,
        };
        self.seal_properties(&binding).await?;
        let (payload, cty) = self.content.encode();
        let audience = self.audience.take();
        let mut tags =
            audience.unwrap_or_else(|| self.collection.peer.keyring().defaults().audience);
        tags.sort_unstable();
        tags.dedup();
        let content = if tags.is_empty() {
            Sealable::Plain {
                payload,
                cty: cty.map(Into::into),
            }
        } else if let Some(sealed) = self
            .collection
            .seal_for_javascript(&payload, cty, &tags)
            .await?
        {
            sealed
        } else {
            let audience = self.collection.audience(&tags).await?;
            let jwe = seal::seal(&payload, cty, &binding, &audience)?;
            let mut audience: Vec<Tag> = tags.iter().map(KeyTag::tag).collect();
            audience.sort_unstable();
            Sealable::Sealed {
                jwe: Bytes::from(jwe),
                audience,
            }
        };
        let writing = Writing::new(named, content);
        Ok(self.collection.write(writing, signers).await?.tag)
    }

    async fn seal_properties(&mut self, binding: &Binding) -> Result<(), StoreError> {
        for (name, tags) in std::mem::take(&mut self.properties) {
            let audience = self.collection.audience(&tags).await?;
            let Content::Json(serde_json::Value::Object(object)) = &mut self.content else {
                return Err(StoreError::NotAnObject);
            };
            seal::seal_properties(object, &[&name], binding, &audience)?;
        }
        Ok(())
    }
}

impl<K: CollectionKind> Remove<'_, K> {
    /// Signed by this held key set and not by the default one. The owner stays the default one, if
    /// there is one: name the author as owner for an item of the key alone.
    pub const fn author(mut self, author: KeyTag) -> Self {
        self.who.author = Some(author);
        self
    }

    /// For this team, whose keys are held.
    pub const fn owner(mut self, owner: KeyTag) -> Self {
        self.who.owner = Some(owner);
        self
    }

    async fn run(self) -> Result<(), StoreError> {
        let signers = self.collection.signers_of(&self.who)?;
        let writing = Writing::new(self.tag?, Sealable::Tombstone);
        self.collection.write(writing, signers).await.map(|_| ())
    }
}

impl<'a, K: CollectionKind> IntoFuture for Store<'a, K> {
    type Output = Result<Tag, StoreError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<'a, K: CollectionKind> IntoFuture for Remove<'a, K> {
    type Output = Result<(), StoreError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
