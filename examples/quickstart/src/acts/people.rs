//! Ann and Ben become people, each with two devices and a way back in.

use std::time::Instant;

use flexstore::{CredentialsError, KeySet, OpenVaultError, RecoverySecret, RecoveryWords};
use flexstore_core::decode_base64url;
use serde_json::Value;

use crate::people::{Cast, Device, FAVOURITES, Human, Names, PLACES, Pages, open_vault, unlock};
use crate::report::Report;
use crate::stage::{Place, Stage};
use crate::terminal::grouped;
use crate::{Result, disk};

pub(crate) async fn play(stage: &Stage, place: &Place, report: &mut Report) -> Result<Cast> {
    report.begin(
        "Two people, with two devices each",
        "So far one key was one person. Now Ann becomes a person on her phone: a list of keys that \
         write and read for her. The way back in is twelve words, made by the library, to keep on \
         paper. Ann's laptop joins by the words. Ben does the same.",
    );
    let service = &stage.service;
    let began = Instant::now();
    let (ann, ben) = tokio::try_join!(
        first_device(place, "Ann's phone", service),
        first_device(place, "Ben's phone", service),
    )?;
    report.figure("two become people, words made", 2, began.elapsed(), None);
    report.say(&format!("Ann's paper says: {}", ann.paper));

    let count = stage.cities.len().min(PLACES);
    let favourites = Pages::new("favourite", stage.cities[..count].to_vec())?;
    let phone = ann.phone.online(FAVOURITES, service).await?;
    let label = "Ann's phone writes, sealed for Ann";
    favourites.write(label, &phone, ann.name.tag).await?;
    phone.synchronized().await;

    let laptop = Device::buy(place, "Ann's laptop", service).await?;
    let wrong = RecoverySecret::from(&RecoveryWords::generate()?);
    let refused = laptop
        .credentials()
        .authorize_author(ann.name, &wrong)
        .await;
    report.check(
        matches!(refused, Err(CredentialsError::NotRecovered(Some(_)))),
        "twelve other words do not let her laptop in",
    );
    let began = Instant::now();
    let (ann, ben) = tokio::try_join!(ann.join(laptop), async {
        let laptop = Device::buy(place, "Ben's laptop", service).await?;
        ben.join(laptop).await
    })?;
    report.figure("two laptops join by the words", 2, began.elapsed(), None);

    let began = Instant::now();
    let person = ann.name.tag;
    let laptop = ann.laptop.online(FAVOURITES, service).await?;
    let read = favourites.read_by(&laptop, person).await?;
    report.figure(
        "Ann's laptop gets, opens, compares",
        read as u64,
        began.elapsed(),
        None,
    );
    report.check(
        read == count,
        &format!("it read {read} of {count} cities, sealed before it was Ann's"),
    );

    // Half of them the laptop writes anew; the phone is to see it.
    let mut favourites = favourites;
    for city in favourites.contents.iter_mut().step_by(2) {
        city["again"] = Value::from(true);
    }
    let half = favourites.only(|at| at.is_multiple_of(2));
    half.write("Ann's laptop writes", &laptop, person).await?;
    favourites
        .arrive("Ann's phone to see it", &phone, person)
        .await?;
    let keys = [ann.laptop.key()?, ann.phone.key()?];
    let mut theirs = 0;
    for (at, tag) in favourites.tags.iter().enumerate() {
        let item = phone.retrieve(tag).await?.ok_or("a city is gone")?;
        theirs += usize::from(item.owner() == person && item.author() == keys[at % 2]);
    }
    report.check(
        theirs == count && keys[0] != keys[1],
        &format!(
            "half of them edited on the laptop: all {theirs} are Ann's, each signed by its device"
        ),
    );

    drop(phone);
    let ann = lock(stage, place, ann, &favourites, report).await?;
    let mut names = Names::default();
    for (human, name) in [(&ann, "Ann"), (&ben, "Ben")] {
        names.add(human.name.tag, name);
        names.add(human.recovery()?, &format!("{name}'s words"));
        for device in [&human.phone, &human.laptop] {
            names.add(device.key()?, device.name);
        }
    }
    Ok(Cast {
        ann,
        ben,
        names,
        favourites,
    })
}

/// Somebody who has one device so far.
struct Newcomer {
    name: flexstore::TeamName,
    paper: String,
    phone: Device,
}

async fn first_device(place: &Place, name: &'static str, service: &str) -> Result<Newcomer> {
    let phone = Device::buy(place, name, service).await?;
    let words = RecoveryWords::generate()?;
    let secret = RecoverySecret::from(&words);
    let name = phone.credentials().create_author(&secret).await?;
    phone.in_step().await?;
    let paper = words.words().to_string();
    Ok(Newcomer { name, paper, phone })
}

impl Newcomer {
    /// Takes a second device, by the words.
    async fn join(self, laptop: Device) -> Result<Human> {
        let secret = RecoverySecret::from(&RecoveryWords::parse(&self.paper)?);
        let credentials = laptop.credentials();
        credentials.authorize_author(self.name, &secret).await?;
        laptop.in_step().await?;
        let members = laptop.members(self.name.tag)?;
        self.phone.knows(self.name.tag, &members).await?;
        Ok(Human {
            name: self.name,
            paper: self.paper,
            phone: self.phone,
            laptop,
        })
    }
}

/// Ann's phone is switched off, looked at by somebody else, and switched on again.
async fn lock(
    stage: &Stage,
    place: &Place,
    ann: Human,
    favourites: &Pages,
    report: &mut Report,
) -> Result<Human> {
    let Human {
        name,
        paper,
        phone,
        laptop,
    } = ann;
    let (key, device) = (phone.key()?, phone.name);
    let dir = phone.switch_off().await;
    let refused = open_vault(dir.clone(), "seven herons over a canal").await?;
    report.check(
        matches!(refused, Err(OpenVaultError::Failed)),
        "the phone is switched off: its vault does not open by another passphrase",
    );

    // With the right one, also to know what to look for.
    let vault = unlock(dir.clone()).await?;
    let kept = vault
        .get(&format!("key/{key}"))
        .ok_or("no key in the vault")?;
    let kept = str::from_utf8(kept)?.to_owned();
    let same = KeySet::from_jwks(&kept)?.tag() == key;
    let halves = halves(&kept)?;
    let private: Vec<&[u8]> = halves.iter().map(|(private, _)| &**private).collect();
    let public: Vec<&[u8]> = halves.iter().map(|(_, public)| &**public).collect();
    let all = [&private[..], &public[..], &[paper.as_bytes()]].concat();
    let here = disk::search(&dir, &all)?;
    let there = disk::search(&place.of("relay"), &all)?;
    let times = |range: std::ops::Range<usize>| {
        let found = range.map(|at| (here.times[at], there.times[at]));
        found.collect::<Vec<_>>()
    };
    let hidden = times(0..2)
        .iter()
        .chain(&times(4..5))
        .all(|times| *times == (0, 0));
    let seen = times(2..4)
        .iter()
        .all(|(here, there)| *here > 0 && *there > 0);
    report.check(
        same && hidden && seen,
        &format!(
            "in its {} files and the relay's {} the public halves of the phone's two keys are \
             found; the private halves and Ann's words are not, as bytes or base64url",
            here.files, there.files
        ),
    );

    let phone = Device::start(device, dir, vault, &stage.service).await?;
    // Which person this device writes for is the app's to remember.
    phone.credentials().set_owner(Some(name.tag))?;
    let pages = phone.online(FAVOURITES, &stage.service).await?;
    let read = favourites.read_by(&pages, name.tag).await?;
    report.check(
        phone.key()? == key && read == favourites.len(),
        &format!(
            "switched on by the right one, it has the same key and reads all {}",
            grouped(read as u64)
        ),
    );
    Ok(Human {
        name,
        paper,
        phone,
        laptop,
    })
}

/// Private and public bytes of each key of a key set.
fn halves(jwks: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let set: Value = serde_json::from_str(jwks)?;
    let half = |key: &Value, member: &str| {
        let text = key["key"][member].as_str().unwrap_or_default();
        decode_base64url(text.as_bytes()).filter(|bytes| bytes.len() == 32)
    };
    let keys = set["keys"].as_array().ok_or("not a key set")?;
    let halves = keys
        .iter()
        .map(|key| Some((half(key, "d")?, half(key, "x")?)));
    Ok(halves.collect::<Option<Vec<_>>>().ok_or("not a key set")?)
}
