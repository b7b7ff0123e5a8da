//! Who plays, where, and what several acts need.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flexstore::{Collection, CollectionKind, KeySet, KeyTag, Mutable, Peer, Policy, Tag, Transfer};
use flexstore_storage::Options;
use flexstore_transports::Transports;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::relay::{Relay, Transport};
use crate::terminal::Bar;

/// The collection of the cities.
pub(crate) const CITIES: &str = "cities";
/// Reads and writes that are under way at a time. Writers that wait together share one fsync.
const AT_A_TIME: usize = 256;
/// How long anything on one machine may take before the play is called off.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The directory in which everybody has theirs.
pub(crate) struct Place {
    path: PathBuf,
    keep: bool,
    transport: Transport,
}

impl Place {
    pub(crate) fn new(transport: Transport, keep: Option<PathBuf>) -> Result<Self> {
        let Some(path) = keep else {
            let dir = tempfile::Builder::new().prefix("quickstart-").tempdir()?;
            return Ok(Self {
                path: dir.keep(),
                keep: false,
                transport,
            });
        };
        let refused = |error| format!("cannot use {}: {error}", path.display());
        std::fs::create_dir_all(&path).map_err(refused)?;
        // The keys of an earlier play are gone, so nothing could be done with its records.
        if std::fs::read_dir(&path).map_err(refused)?.next().is_some() {
            let path = path.display();
            return Err(format!("{path} is not empty; --keep wants a new directory").into());
        }
        Ok(Self {
            path,
            keep: true,
            transport,
        })
    }

    pub(crate) fn of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where things stay, if they do.
    pub(crate) fn kept(&self) -> Option<&Path> {
        self.keep.then_some(&*self.path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A relay that was just killed may still have a file to leave.
        for _ in 0..20 {
            if self.keep || std::fs::remove_dir_all(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        eprintln!("quickstart: {} could not be removed", self.path.display());
    }
}

/// Somebody with a device: a store in a directory, and keys of their own.
pub(crate) struct Person {
    pub(crate) peer: Peer,
    /// The name under which others know them: their public key.
    pub(crate) tag: KeyTag,
}

impl Person {
    pub(crate) async fn arrive(dir: &Path, service: &str) -> Result<Self> {
        let storage = flexstore_storage::open(dir, Options::default())
            .map_err(|error| format!("cannot open a store in {}: {error}", dir.display()))?;
        let peer = Peer::connected(storage, Transports::new())?;
        let tag = peer.credentials().create_device().await?;
        // So that others find the public key to which they seal.
        peer.credentials().synchronize(service)?;
        within(
            "the relay to have the public key",
            peer.credentials().synchronized(),
        )
        .await??;
        Ok(Self { peer, tag })
    }
}

/// Everything that goes from act to act.
pub(crate) struct Stage {
    pub(crate) relay: Relay,
    pub(crate) service: String,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) cities_of_alice: Collection<Mutable>,
    pub(crate) cities_of_bob: Collection<Mutable>,
    /// A key that Alice and Bob both hold; what it signs is theirs together.
    pub(crate) trip: KeyTag,
    pub(crate) cities: Vec<Value>,
    /// Under which tag each city stands.
    pub(crate) tags: Vec<Tag>,
}

impl Stage {
    pub(crate) async fn set(cities: Vec<Value>, place: &Place) -> Result<Self> {
        let relay = Relay::start(&place.of("relay")).await?;
        let service = relay.service(place.transport);
        let alice = Person::arrive(&place.of("alice"), &service).await?;
        let bob = Person::arrive(&place.of("bob"), &service).await?;
        let trip = KeySet::generate()?;
        // In earnest this goes from device to device under a secret that both know.
        let handed_over = trip.to_jwks();
        let trip = alice.peer.credentials().add(trip).await?;
        let same = KeySet::from_jwks(&handed_over)?;
        bob.peer.credentials().add(same).await?;
        let cities_of_alice = alice.peer.collection(CITIES).open()?;
        // Bob lets nobody's cities in but Alice's; Alice, who has no policy, everybody's.
        let only_hers = Policy {
            owners: Some([alice.tag].into()),
            ..Policy::default()
        };
        let cities_of_bob = bob.peer.collection(CITIES).policy(only_hers).open()?;
        Ok(Self {
            relay,
            service,
            alice,
            bob,
            cities_of_alice,
            cities_of_bob,
            trip,
            cities,
            tags: Vec::new(),
        })
    }

    /// Alice and Bob.
    pub(crate) const fn both(&self) -> [KeyTag; 2] {
        [self.alice.tag, self.bob.tag]
    }

    pub(crate) async fn clear(self) -> Result<()> {
        self.alice.peer.close().await;
        self.bob.peer.close().await;
        self.relay.stop().await
    }
}

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    let waited = timeout(PATIENCE, future).await;
    waited.map_err(|_| format!("waited {} s in vain for {what}", PATIENCE.as_secs()).into())
}

/// Looks again and again until something is so. A live push comes when it comes: there is nothing
/// to wait for but its effect.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let looking = async {
        while !so().await? {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    };
    within(what, looking).await?
}

/// Runs a task for each input, on all cores, and gives what they return, in order.
pub(crate) async fn for_each<I, T, F>(
    label: &str,
    inputs: impl IntoIterator<Item = I, IntoIter: ExactSizeIterator>,
    task: impl Fn(I) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let inputs = inputs.into_iter();
    let total = inputs.len() as u64;
    let mut bar = Bar::new(label, total);
    let tasks = inputs.map(|input| tokio::spawn(task(input)));
    let mut running = stream::iter(tasks).buffered(AT_A_TIME);
    let mut done = Vec::new();
    while let Some(result) = running.try_next().await? {
        done.push(result?);
        bar.set(done.len() as u64, total);
    }
    Ok(done)
}

/// Stores JSON under fresh tags, sealed, and gives the tags.
pub(crate) async fn store_all(
    label: &str,
    collection: &Collection<Mutable>,
    contents: &[Value],
    audience: [KeyTag; 2],
) -> Result<Vec<Tag>> {
    for_each(label, contents, |content| {
        let (collection, content) = (collection.clone(), content.clone());
        async move { Ok(collection.store(content).seal_to(audience).await?) }
    })
    .await
}

/// Reads what stands under tags; nothing where there is nothing that opens.
pub(crate) async fn read_all(
    label: &str,
    collection: &Collection<Mutable>,
    tags: &[Tag],
) -> Result<Vec<Option<Value>>> {
    for_each(label, tags, |tag| {
        let (collection, tag) = (collection.clone(), tag.clone());
        async move {
            let item = collection.retrieve(tag).await?;
            Ok(item.and_then(|item| item.json().ok()))
        }
    })
    .await
}

/// Which way a transfer is watched.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Way {
    /// Items done, items expected and bytes.
    const fn of(self, transfer: &Transfer) -> (u64, u64, u64) {
        match self {
            Self::Up => (transfer.acknowledged, transfer.to_send, transfer.sent_bytes),
            Self::Down => (
                transfer.received,
                transfer.to_receive,
                transfer.received_bytes,
            ),
        }
    }
}

/// How far a collection is with a service.
pub(crate) fn transfer<K: CollectionKind>(collection: &Collection<K>, service: &str) -> Transfer {
    let statuses = collection.progress();
    let statuses = statuses.borrow();
    statuses
        .get(service)
        .map_or_else(Transfer::default, |status| status.transfer)
}

/// Connects a collection, waits until it is in step with a bar meanwhile, and tells how many
/// items and bytes that took, and how long.
pub(crate) async fn connect<K: CollectionKind>(
    label: &str,
    collection: &Collection<K>,
    service: &str,
    way: Way,
) -> Result<(u64, u64, Duration)> {
    let mut bar = Bar::new(label, 0);
    let began = Instant::now();
    collection.synchronize(service);
    let mut progress = collection.progress();
    let in_step = async {
        let mut in_step = std::pin::pin!(collection.synchronized());
        loop {
            tokio::select! {
                () = &mut in_step => return,
                changed = progress.changed() => if changed.is_err() { return },
            }
            let all = progress.borrow_and_update();
            if let Some(status) = all.get(service) {
                let (done, expected, _) = way.of(&status.transfer);
                bar.set(done, expected);
            }
        }
    };
    within("the relay to be in step", in_step).await?;
    let (items, _, bytes) = way.of(&transfer(collection, service));
    Ok((items, bytes, began.elapsed()))
}
