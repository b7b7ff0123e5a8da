//! People with several devices, and what the acts about them need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use flexstore::{
    Collection, ContentError, Credentials, Digest, Item, KeyTag, Mutable, Peer, Readers, Reason,
    Standing, Step, Tag, TeamName, Vault,
};
use flexstore_storage::Options;
use flexstore_transports::Transports;
use serde_json::Value;

use crate::Result;
use crate::stage::{Place, for_each, until, within};
use crate::terminal::clock;

/// What Ann has for herself, and what the team has.
pub(crate) const FAVOURITES: &str = "favourites";
pub(crate) const GUIDE: &str = "guide";
/// Of each collection so much, at most.
pub(crate) const PLACES: usize = 300;

/// What its owner types when a device is switched on.
const PASSPHRASE: &str = "seven herons over the canal";

/// One device of somebody: a store, and beside it a vault for the private keys.
pub(crate) struct Device {
    pub(crate) name: &'static str,
    pub(crate) peer: Peer,
    pub(crate) dir: PathBuf,
}

impl Device {
    /// One that is new.
    pub(crate) async fn buy(place: &Place, name: &'static str, service: &str) -> Result<Self> {
        let dir = place.of(&name.to_lowercase().replace("'s ", "-"));
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("vault");
        let vault = on_a_thread(move || Vault::create(path, PASSPHRASE)).await??;
        Self::start(name, dir, vault, service).await
    }

    /// One that was switched off.
    pub(crate) async fn switch_on(name: &'static str, dir: PathBuf, service: &str) -> Result<Self> {
        let vault = unlock(dir.clone()).await?;
        Self::start(name, dir, vault, service).await
    }

    /// Takes the keys out of the vault, and opens the store.
    pub(crate) async fn start(
        name: &'static str,
        dir: PathBuf,
        vault: Vault,
        service: &str,
    ) -> Result<Self> {
        let storage = flexstore_storage::open(dir.join("store"), Options::default())?;
        let peer = Peer::connected(storage, Transports::new())?;
        let device = Self { name, peer, dir };
        device.credentials().use_vault(vault).await?;
        device.hear(service).await?;
        Ok(device)
    }

    /// Lets go of the store and of the vault, and tells where they are.
    pub(crate) async fn switch_off(self) -> PathBuf {
        self.peer.close().await;
        self.dir
    }

    pub(crate) fn credentials(&self) -> Credentials<'_> {
        self.peer.credentials()
    }

    /// The device's own key.
    pub(crate) fn key(&self) -> Result<KeyTag> {
        Ok(self
            .credentials()
            .author()
            .ok_or("a device without a key")?)
    }

    /// Brings keys and teams into step, and keeps them so.
    pub(crate) async fn hear(&self, service: &str) -> Result<()> {
        self.credentials().synchronize(service)?;
        self.in_step().await
    }

    pub(crate) async fn in_step(&self) -> Result<()> {
        let credentials = self.credentials();
        let in_step = within("keys and teams to be in step", credentials.synchronized());
        Ok(in_step.await??)
    }

    /// A collection, connected to nothing.
    pub(crate) fn collection(&self, name: &str) -> Result<Collection<Mutable>> {
        Ok(self.peer.collection(name).open()?)
    }

    /// A collection in step with a service.
    pub(crate) async fn online(&self, name: &str, service: &str) -> Result<Collection<Mutable>> {
        let collection = self.collection(name)?;
        collection.synchronize(service);
        within("a collection to be in step", collection.synchronized()).await?;
        Ok(collection)
    }

    /// Who is listed in a team or person, as far as this device knows.
    pub(crate) fn members(&self, team: KeyTag) -> Result<Vec<KeyTag>> {
        let team = self.credentials().team(team)?;
        Ok(team.map(|team| team.members().to_vec()).unwrap_or_default())
    }

    /// Waits until the device knows of a change of a list.
    pub(crate) async fn knows(&self, team: KeyTag, members: &[KeyTag]) -> Result<()> {
        let what = format!("{} to know who belongs", self.name);
        until(&what, async || Ok(self.members(team)? == members)).await
    }
}

/// Opens the vault of a device that is switched off.
pub(crate) async fn open_vault(
    dir: PathBuf,
    passphrase: &'static str,
) -> Result<Result<Vault, flexstore::OpenVaultError>> {
    on_a_thread(move || Vault::open(dir.join("vault"), passphrase)).await
}

/// Opens it with the right one.
pub(crate) async fn unlock(dir: PathBuf) -> Result<Vault> {
    Ok(open_vault(dir, PASSPHRASE).await??)
}

/// A passphrase costs some tenths of a second of work, on purpose.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Somebody with two devices and twelve words.
pub(crate) struct Human {
    pub(crate) name: TeamName,
    /// The words, as they stand on paper.
    pub(crate) paper: String,
    pub(crate) phone: Device,
    pub(crate) laptop: Device,
}

impl Human {
    /// The key that the words open: the most senior of the list.
    pub(crate) fn recovery(&self) -> Result<KeyTag> {
        let members = self.laptop.members(self.name.tag)?;
        Ok(*members.first().ok_or("a person without a list")?)
    }
}

/// Everything that goes from the act that introduces them to the next ones.
pub(crate) struct Cast {
    pub(crate) ann: Human,
    pub(crate) ben: Human,
    pub(crate) names: Names,
    /// What Ann has for herself, and under which tags.
    pub(crate) favourites: Pages,
}

/// Contents, and the tags under which they are to stand.
#[derive(Clone, Default)]
pub(crate) struct Pages {
    pub(crate) tags: Vec<Tag>,
    pub(crate) contents: Vec<Value>,
}

/// What is under a tag: nothing, or which record, and what that says.
pub(crate) type Look = Option<(Digest, Result<Value, ContentError>)>;

impl Pages {
    pub(crate) fn new(name: &str, contents: Vec<Value>) -> Result<Self> {
        let tags = (1..=contents.len()).map(|at| Tag::new(format!("{name} {at}")));
        let tags = tags.collect::<Result<_, _>>()?;
        Ok(Self { tags, contents })
    }

    /// Some of them, by their places.
    pub(crate) fn only(&self, which: impl Fn(usize) -> bool) -> Self {
        let mut some = Self::default();
        for (at, (tag, content)) in self.tags.iter().zip(&self.contents).enumerate() {
            if which(at) {
                some.tags.push(tag.clone());
                some.contents.push(content.clone());
            }
        }
        some
    }

    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    /// Writes them for an owner, sealed to the same.
    pub(crate) async fn write(
        &self,
        label: &str,
        collection: &Collection<Mutable>,
        owner: KeyTag,
    ) -> Result<()> {
        let pages: Vec<_> = self
            .tags
            .iter()
            .cloned()
            .zip(self.contents.clone())
            .collect();
        for_each(label, pages, |(tag, content)| {
            let collection = collection.clone();
            async move {
                let store = collection.store(content).tag(tag).owner(owner);
                store.seal_to([owner]).await?;
                Ok(())
            }
        })
        .await?;
        Ok(())
    }

    pub(crate) async fn remove(
        &self,
        collection: &Collection<Mutable>,
        owner: KeyTag,
    ) -> Result<()> {
        for tag in &self.tags {
            collection.remove(tag).owner(owner).await?;
        }
        Ok(())
    }

    /// What somebody has under the tags.
    pub(crate) async fn look(
        &self,
        label: &str,
        collection: &Collection<Mutable>,
        owner: KeyTag,
    ) -> Result<Vec<Look>> {
        for_each(label, &self.tags, |tag| {
            let (collection, tag) = (collection.clone(), tag.clone());
            async move {
                let item = collection.retrieve(tag).owner(owner).await?;
                Ok(item.map(|item| (item.digest(), item.json())))
            }
        })
        .await
    }

    /// How many somebody reads as they were written.
    pub(crate) async fn read_by(
        &self,
        collection: &Collection<Mutable>,
        owner: KeyTag,
    ) -> Result<usize> {
        let looks = self
            .look("they open and compare", collection, owner)
            .await?;
        let equal = |(look, content): &(&Look, &Value)| matches!(look, Some((_, Ok(read))) if read == *content);
        Ok(looks.iter().zip(&self.contents).filter(equal).count())
    }

    /// Waits until somebody reads all as they were written. A push comes when it comes.
    pub(crate) async fn arrive(
        &self,
        what: &str,
        collection: &Collection<Mutable>,
        owner: KeyTag,
    ) -> Result<()> {
        until(what, async || {
            Ok(self.read_by(collection, owner).await? == self.len())
        })
        .await
    }
}

/// Of so many looks: the records, and how many of them opened.
pub(crate) fn opened(looks: &[Look]) -> usize {
    looks
        .iter()
        .flatten()
        .filter(|(_, read)| read.is_ok())
        .count()
}

/// How many could not be opened because they are sealed for others, and for no other reason.
pub(crate) fn closed(looks: &[Look]) -> usize {
    let closed =
        |look: &&(Digest, Result<Value, ContentError>)| look.1 == Err(ContentError::Closed);
    looks.iter().flatten().filter(closed).count()
}

/// The records that somebody has.
pub(crate) fn digests(looks: &[Look]) -> Vec<Option<Digest>> {
    let digest = |look: &Look| look.as_ref().map(|(digest, _)| *digest);
    looks.iter().map(digest).collect()
}

/// Who is who, for people who do not read keys.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<KeyTag, String>);

impl Names {
    pub(crate) fn add(&mut self, tag: KeyTag, name: &str) {
        self.0.insert(tag, name.to_owned());
    }

    fn of(&self, tag: &KeyTag) -> String {
        self.0.get(tag).cloned().unwrap_or_else(|| {
            let letters = tag.to_string();
            letters.chars().take(8).collect()
        })
    }

    /// `a, b and c`.
    pub(crate) fn list<'a>(&self, tags: impl IntoIterator<Item = &'a KeyTag>) -> String {
        let names: BTreeSet<String> = tags.into_iter().map(|tag| self.of(tag)).collect();
        let names: Vec<String> = names.into_iter().collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            Some((last, _)) => last.clone(),
            None => "nobody".to_owned(),
        }
    }

    /// Whether something counts, and the lists that tell.
    pub(crate) fn why(&self, item: &Item, reason: &Reason) -> String {
        let verdict = match reason.standing {
            Standing::Counts => "counts",
            Standing::Void => "does not count",
            Standing::Unjudged => "cannot be judged",
        };
        let chain: Vec<String> = reason.chain.iter().map(|step| self.step(step)).collect();
        let (time, author) = (clock(item.time()), self.of(&item.author()));
        format!("{time} by {author}: {verdict}; {}", chain.join(", "))
    }

    fn step(&self, step: &Step) -> String {
        let (team, member) = (self.of(&step.team), self.of(&step.member));
        match step.presence.spans().last() {
            Some((_, u64::MAX)) => format!("{team} lists {member}"),
            Some((_, end)) => format!("{team} listed {member} until {}", clock(*end)),
            None => format!("{team} counts nothing by {member}"),
        }
    }
}

/// The single keys that can read something, which must be sealed.
pub(crate) fn readers(device: &Device, item: &Item) -> Result<BTreeSet<KeyTag>> {
    match device.credentials().who_can_read(item)? {
        Readers::Everyone => Err("it is not even sealed".into()),
        Readers::Keys(keys) => Ok(keys.into_keys().collect()),
    }
}

/// By this machine's clock, in ms since 1970.
pub(crate) fn now() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}
