//! What a collection of the js profile does otherwise.

use std::sync::Arc;

use flexstore_core::record::Content as Sealable;
use flexstore_core::{KeyTag, Profile, Tag, Verified};
use tokio::sync::oneshot;

use super::{Collection, CollectionKind, Mutable, StoreError};
use crate::item::Item;
use crate::js::{self, ENCRYPTION_KEY, RsaKey};
use crate::peer::{Command, Signers};

impl<K: CollectionKind> Collection<K> {
    pub(super) fn is_javascript(&self) -> bool {
        self.id().profile() == Profile::JavaScript
    }

    pub(super) fn open_item(&self, record: Verified) -> Item {
        if self.is_javascript() {
            Item::open_javascript(record, self.peer.keyring())
        } else {
            Item::open(record, self.peer.keyring())
        }
    }

    /// Stores a record that was signed elsewhere, such as one of a key or a team by [`js`]. Done
    /// when it is durable here; it then stands under the rules of the collection, beside or below
    /// what is there. Returns its tag, of a version the subject.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it belongs elsewhere; other [`StoreError`]s.
    pub async fn insert(&self, record: impl Into<Verified>) -> Result<Tag, StoreError> {
        let (reply, done) = oneshot::channel();
        let record = record.into();
        let command = Command::Insert { record, reply };
        Ok(self.command(command, done).await?.tag)
    }

    /// The keys of an author of the original, alone or for an owner.
    pub(super) fn javascript_signers(
        &self,
        author: KeyTag,
        owner: Option<KeyTag>,
    ) -> Result<Signers, StoreError> {
        let keyring = self.peer.keyring();
        let keys = |tag: KeyTag| {
            let keys: Arc<js::KeySet> = keyring.javascript(&tag).ok_or(StoreError::NoKeys)?;
            Ok::<_, StoreError>(keys.signing().clone())
        };
        let owner = owner.filter(|owner| *owner != author);
        Ok(Signers {
            author: keys(author)?,
            owner: owner.map(keys).transpose()?,
        })
    }

    /// Sealed as the original does, if the audience is one of its users.
    pub(super) async fn seal_for_javascript(
        &self,
        payload: &[u8],
        cty: Option<&str>,
        audience: &[KeyTag],
    ) -> Result<Option<Sealable>, StoreError> {
        if !self.is_javascript() {
            return Ok(None);
        }
        for tag in audience {
            if let Some(key) = self.rsa_key(tag).await {
                if audience.len() > 1 {
                    return Err(StoreError::OneAudience);
                }
                return Ok(Some(js::seal_item(payload, cty, &tag.tag(), &key)?));
            }
        }
        Ok(None)
    }

    /// The key that a user of the original publishes, from here or from a service.
    async fn rsa_key(&self, tag: &KeyTag) -> Option<RsaKey> {
        if let Some(keys) = self.peer.keyring().javascript(tag) {
            return keys.encryption_key().ok();
        }
        let keys = self.peer.collection::<Mutable>(ENCRYPTION_KEY);
        let keys = keys.javascript().open().ok()?;
        let item = Box::pin(keys.retrieve(tag.tag()).owner(*tag).sealed().into_future());
        let item = item.await.ok()??;
        js::encryption_key(&js::Verified::of(item.record())?).ok()
    }
}
