use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use flexstore_core::CollectionId;
use flexstore_core::sync::{Policy, Settings};
use flexstore_core::wire::Filter;
use serde_json::Value;

use super::{Collection, CollectionKind};
use crate::item::Item;
use crate::peer::{OpenError, Peer};

/// Folds one version, the earliest first, into what the versions before it made. Only reading
/// calls it; it writes nothing, so replicas stay equal whatever it does.
pub type Replay = Arc<dyn Fn(Option<Value>, &Item) -> Value + Send + Sync>;

/// A collection about to be opened.
#[must_use = "call open"]
pub struct OpenCollection<'a, K> {
    peer: &'a Peer,
    name: &'a str,
    settings: Option<Settings>,
    services: Vec<&'a str>,
    javascript: bool,
    replay: Option<Replay>,
    kind: PhantomData<K>,
}

impl<'a, K: CollectionKind> OpenCollection<'a, K> {
    pub(crate) fn new(peer: &'a Peer, name: &'a str) -> Self {
        let (settings, services) = (None, Vec::new());
        Self {
            peer,
            name,
            settings,
            services,
            javascript: false,
            replay: None,
            kind: PhantomData,
        }
    }

    /// A service with which to keep in step; any number of them.
    pub fn service(mut self, service: &'a str) -> Self {
        self.services.push(service);
        self
    }

    /// The collection of the js profile, in which items of the JavaScript original stand too: see
    /// [`js`](crate::js). It is another one than the native collection of this name.
    pub const fn javascript(mut self) -> Self {
        self.javascript = true;
        self
    }

    /// What is admitted, from here and from others.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.get_or_insert_default().policy = policy;
        self
    }

    /// What is compared and transferred, by owner and time.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.settings.get_or_insert_default().filter = filter;
        self
    }

    /// How long displaced items rest before their space is freed; 30 days unless said.
    pub fn rest(mut self, rest: Duration) -> Self {
        let ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.settings.get_or_insert_default().rest_ms = ms;
        self
    }

    /// Of a versioned collection: how versions make what is read.
    pub fn replay(
        mut self,
        replay: impl Fn(Option<Value>, &Item) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.replay = Some(Arc::new(replay));
        self
    }

    /// Opens it. A collection that is open already is the same one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(self) -> Result<Collection<K>, OpenError> {
        let mut id = CollectionId::new(K::KIND, self.name)?;
        if self.javascript {
            id = id.javascript();
        }
        let channel = self.peer.channel(id, self.settings)?;
        let collection = Collection {
            peer: self.peer.clone(),
            channel,
            replay: self.replay,
            kind: PhantomData,
        };
        for service in self.services {
            collection.synchronize(service);
        }
        Ok(collection)
    }
}
