//! Ann loses both of her devices, one of them to a thief, and comes back in by her words.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flexstore::{
    Collection, CredentialsError, KeyTag, Mutable, RecoverySecret, RecoveryWords, StoreError,
};
use serde_json::json;

use crate::Result;
use crate::people::{
    Cast, Device, FAVOURITES, GUIDE, Look, Pages, closed, digests, now, opened, readers,
};
use crate::report::Report;
use crate::stage::{Place, Stage, transfer, until, within};
use crate::terminal::{clock, grouped};

/// What Ann has, in two collections: her own, and the guide of the team, which only she is in.
struct Shelves<'a> {
    all: [Shelf; 2],
    service: &'a str,
}

struct Shelf {
    name: &'static str,
    owner: KeyTag,
    pages: Pages,
}

/// The same on one device.
struct Copies<'a> {
    shelves: &'a Shelves<'a>,
    all: Vec<Collection<Mutable>>,
}

/// Who had what, and since when.
struct Loss {
    phone: Device,
    /// Where the laptop's disk is.
    laptop: PathBuf,
    keys: [KeyTag; 2],
    since: u64,
}

pub(crate) async fn play(
    stage: &Stage,
    place: &Place,
    cast: Cast,
    (team, guide): (KeyTag, Pages),
    report: &mut Report,
) -> Result<()> {
    report.begin(
        "Both devices lost, one of them stolen",
        "Ann's bag is gone. Her laptop lies somewhere; her phone, unlocked, is with a thief, who \
         deletes everything and strikes all else off her list, so that the phone alone is Ann. She \
         has a new tablet, and the paper with her words.",
    );
    let Cast {
        ann,
        ben,
        mut names,
        favourites,
    } = cast;
    let (person, paper, recovery) = (ann.name.tag, ann.paper.clone(), ann.recovery()?);
    let shelves = Shelves::new(
        [(FAVOURITES, person, favourites), (GUIDE, team, guide)],
        &stage.service,
    );
    let keys = [ann.phone.key()?, ann.laptop.key()?];
    let laptop = ann.laptop.switch_off().await;
    let mut loss = Loss {
        phone: ann.phone,
        laptop,
        keys,
        since: 0,
    };
    let loot = shelves.on(&loss.phone).await?;
    loss.rob(person, &loot, report).await?;

    // What is left is looked at from a device that asks the relay for all it has.
    let tablet = Device::buy(place, "Ann's tablet", shelves.service).await?;
    let copies = shelves.on(&tablet).await?;
    let left = copies.look("what is left").await?;
    let left = left.iter().flatten().count();
    let alone = tablet.members(person)? == keys[..1];
    report.check(
        left == 0 && alone,
        &format!(
            "it worked: a new tablet finds {left} of the {} at the relay, and Ann's list is the \
             phone alone",
            shelves.count()
        ),
    );

    // The thief stops listening to news of lists, so as to go on as if nothing had happened.
    loss.phone.credentials().disconnect(shelves.service).await?;
    let name = ben
        .phone
        .credentials()
        .team(person)?
        .and_then(|ann| ann.name());
    let name = name.ok_or("Ben does not know Ann")?;
    let secret = RecoverySecret::from(&RecoveryWords::parse(&paper)?);
    let began = Instant::now();
    let credentials = tablet.credentials();
    let back = credentials.authorize_author(name, &secret);
    let key = back.stolen(keys[0], loss.since).lost(keys[1]).await?;
    report.figure("Ann is back, by words and name", 1, began.elapsed(), None);
    names.add(key, tablet.name);
    let list = tablet.members(person)?;
    report.check(
        name == ann.name && list == [recovery, key],
        &format!(
            "the words are from her paper, her public name from Ben's phone; her list is now: {}",
            names.list(&list)
        ),
    );
    let began = Instant::now();
    until("the deletions to be undone", async || {
        Ok(copies.read().await? == shelves.count())
    })
    .await?;
    let read = copies.read().await?;
    report.figure(
        "deletions undone, all compared",
        read as u64,
        began.elapsed(),
        None,
    );
    report.check(
        read == shelves.count(),
        &format!(
            "what the phone signed since {} counts no more: all {read} are there again, as they \
             were, also those that the phone itself had written before",
            clock(loss.since)
        ),
    );
    loss.goes_on(&tablet, &list, &loot, &copies, report).await?;
    let newer = copies.write_on().await?;
    for (shelf, copy) in shelves.all.iter().zip(&copies.all) {
        let item = copy
            .retrieve(&shelf.pages.tags[0])
            .owner(shelf.owner)
            .await?;
        let item = item.ok_or("a page is gone")?;
        let can_read = readers(&tablet, &item)?;
        report.check(
            can_read == BTreeSet::from([recovery, key]),
            &format!(
                "what she writes into the {} from now on can be read by {} only",
                shelf.name,
                names.list(&can_read)
            ),
        );
    }
    loss.reads_nothing_newer(&newer, &loot, &copies, report)
        .await
}

impl<'a> Shelves<'a> {
    fn new(all: [(&'static str, KeyTag, Pages); 2], service: &'a str) -> Self {
        let all = all.map(|(name, owner, pages)| Shelf { name, owner, pages });
        Self { all, service }
    }

    fn count(&self) -> usize {
        self.all.iter().map(|shelf| shelf.pages.len()).sum()
    }

    async fn on(&'a self, device: &Device) -> Result<Copies<'a>> {
        let mut all = Vec::new();
        for shelf in &self.all {
            all.push(device.online(shelf.name, self.service).await?);
        }
        Ok(Copies { shelves: self, all })
    }
}

impl Copies<'_> {
    /// What is under the tags of all shelves.
    async fn look(&self, label: &str) -> Result<Vec<Look>> {
        let mut looks = Vec::new();
        for (shelf, copy) in self.shelves.all.iter().zip(&self.all) {
            looks.extend(shelf.pages.look(label, copy, shelf.owner).await?);
        }
        Ok(looks)
    }

    /// How many are read as Ann last had them.
    async fn read(&self) -> Result<usize> {
        let mut read = 0;
        for (shelf, copy) in self.shelves.all.iter().zip(&self.all) {
            read += shelf.pages.read_by(copy, shelf.owner).await?;
        }
        Ok(read)
    }

    fn received(&self) -> u64 {
        let each = self
            .all
            .iter()
            .map(|copy| transfer(copy, self.shelves.service).received);
        each.sum()
    }

    async fn in_step(&self) -> Result<()> {
        for copy in &self.all {
            within("a device to be in step", copy.synchronized()).await?;
        }
        Ok(())
    }

    /// Writes a quarter of everything anew, and gives what then stands there.
    async fn write_on(&self) -> Result<Shelves<'_>> {
        let mut newer = Vec::new();
        for (shelf, copy) in self.shelves.all.iter().zip(&self.all) {
            let mut pages = shelf.pages.only(|at| at < shelf.pages.len() / 4);
            for page in &mut pages.contents {
                page["since"] = json!("the bag is gone");
            }
            pages.write("Ann writes on", copy, shelf.owner).await?;
            newer.push((shelf.name, shelf.owner, pages));
        }
        self.in_step().await?;
        let newer = <[_; 2]>::try_from(newer).map_err(|_| "two shelves")?;
        Ok(Shelves::new(newer, self.shelves.service))
    }
}

impl Loss {
    /// The thief deletes everything, and takes the laptop and the words off Ann's list.
    async fn rob(&mut self, person: KeyTag, loot: &Copies<'_>, report: &mut Report) -> Result<()> {
        // So that there is a time between what Ann did and what the thief does.
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.since = now()?;
        let began = Instant::now();
        for (shelf, copy) in loot.shelves.all.iter().zip(&loot.all) {
            shelf.pages.remove(copy, shelf.owner).await?;
        }
        self.coup(person).await?;
        loot.in_step().await?;
        self.phone.in_step().await?;
        let deleted = loot.shelves.count() as u64;
        report.figure("deleted by the thief", deleted, began.elapsed(), None);
        Ok(())
    }

    async fn coup(&self, person: KeyTag) -> Result<(), CredentialsError> {
        let credentials = self.phone.credentials();
        let list = credentials.team(person)?.ok_or(CredentialsError::NoTeam)?;
        let mut coup = credentials.change_membership(person).add(self.keys[0]);
        for member in list.members().iter().filter(|tag| **tag != self.keys[0]) {
            coup = coup.remove(*member);
        }
        coup.await.map(|_| ())
    }

    /// The thief's phone writes on: first as if it had not heard that it is struck off, then as
    /// the library lets it when it has.
    async fn goes_on(
        &self,
        tablet: &Device,
        list: &[KeyTag],
        loot: &Copies<'_>,
        copies: &Copies<'_>,
        report: &mut Report,
    ) -> Result<()> {
        let before = copies.look("Ann looks").await?;
        let expected = copies.received() + loot.shelves.count() as u64;
        for (shelf, copy) in loot.shelves.all.iter().zip(&loot.all) {
            let mut lies = shelf.pages.clone();
            lies.contents.fill(json!({"city": "Atlantis"}));
            lies.write("the thief writes", copy, shelf.owner).await?;
        }
        until("what the thief writes to reach Ann", async || {
            Ok(copies.received() >= expected)
        })
        .await?;
        let after = copies.look("Ann looks").await?;
        report.check(
            before == after && copies.read().await? == copies.shelves.count(),
            &format!(
                "the thief, having kept the news from the phone, writes over all {}: all reach Ann \
                 and change nothing",
                grouped(loot.shelves.count() as u64)
            ),
        );

        let (person, service) = (loot.shelves.all[0].owner, loot.shelves.service);
        self.phone.hear(service).await?;
        self.phone.knows(person, list).await?;
        let written = loot.all[0].store("mine").tag("mine").owner(person).await;
        let coup = self.coup(person).await;
        self.phone.in_step().await?;
        tablet.in_step().await?;
        let refused = match coup {
            Err(CredentialsError::NotMember | CredentialsError::DidNotStick(_)) => true,
            Err(_) | Ok(()) => false,
        };
        report.check(
            matches!(written, Err(StoreError::NotMember))
                && refused
                && tablet.members(person)? == list,
            "once it has heard, it cannot write for her any more, nor change her list: the words \
             are senior to every device",
        );
        Ok(())
    }

    /// Looks at what Ann wrote since, with the phone and with the laptop, which somebody found.
    async fn reads_nothing_newer(
        self,
        newer: &Shelves<'_>,
        loot: &Copies<'_>,
        copies: &Copies<'_>,
        report: &mut Report,
    ) -> Result<()> {
        let service = newer.service;
        let laptop = Device::switch_on("Ann's laptop", self.laptop, service).await?;
        let found = loot.shelves.on(&laptop).await?;
        let hers = copies.look("Ann looks").await?;
        let mut open = Vec::new();
        let mut shut = Vec::new();
        for copies in [loot, &found] {
            until("the lost devices to get what is newer", async || {
                Ok(digests(&copies.look("they look").await?) == digests(&hers))
            })
            .await?;
            let looks = copies.look("they look").await?;
            open.push(opened(&looks));
            shut.push(closed(&looks));
        }
        let count = newer.count();
        report.check(
            shut == [count; 2] && open == [loot.shelves.count() - count; 2],
            &format!(
                "of {count} new records the phone gets all and opens none, and so does the laptop \
                 that somebody found; the team that Ann is in got a new key, too"
            ),
        );
        Ok(())
    }
}
