//! A team of two people, and one of them who has to leave it.

use std::collections::BTreeSet;
use std::time::Instant;

use flexstore::{Collection, CredentialsError, KeyTag, Mutable, Reason, Standing, StoreError, Tag};
use serde_json::json;

use crate::people::{Cast, Device, GUIDE, Human, PLACES, Pages, closed, digests, opened, readers};
use crate::report::Report;
use crate::stage::{Place, Stage, transfer, until, within};
use crate::terminal::grouped;
use crate::{Result, cities, disk};

/// Stands in every page of the guide.
const TIP: &str = "ask for the table behind the kitchen";
/// Stands in one record that is stored in plain, for comparison.
const SIGN: &str = "closed on Mondays and in the rain";

/// The guide on each device.
struct Guide {
    /// Ann's phone and laptop, Ben's phone and laptop.
    copies: [Collection<Mutable>; 4],
    team: KeyTag,
    pages: Pages,
}

/// Gives the team, and the pages as Ann has them in the end.
pub(crate) async fn play(
    stage: &Stage,
    place: &Place,
    cast: &mut Cast,
    report: &mut Report,
) -> Result<(KeyTag, Pages)> {
    report.begin(
        "A team, and one who leaves it",
        "Ann makes a team, which lists Ann and Ben, as each of them lists two devices. They write \
         a guide that belongs to the team and is sealed for it. Then Ann removes Ben.",
    );
    let service = &stage.service;
    let team = found(cast, report).await?;
    cast.names.add(team, "the team");
    let count = stage.cities.len().min(PLACES);
    let pages = stage.cities[..count].iter();
    let pages = pages.map(|city| json!({"city": cities::name(city), "tip": TIP}));
    let (ann, ben) = (&cast.ann, &cast.ben);
    let mut guide = Guide {
        copies: [
            ann.phone.online(GUIDE, service).await?,
            ann.laptop.online(GUIDE, service).await?,
            ben.phone.online(GUIDE, service).await?,
            ben.laptop.online(GUIDE, service).await?,
        ],
        team,
        pages: Pages::new("page", pages.collect())?,
    };
    guide
        .write_together(&[ann.phone.key()?, ben.laptop.key()?], report)
        .await?;
    look_into_the_relay(place, &guide, report).await?;
    explain(cast, &guide, report).await?;

    // Ben's laptop is not connected when it happens, and has not heard of it when it writes.
    let his_laptop = &guide.copies[3];
    his_laptop.disconnect(service).await;
    ben.laptop.credentials().disconnect(service).await?;
    let removal = ann
        .laptop
        .credentials()
        .change_membership(team)
        .remove(ben.name.tag);
    removal.await?;
    for device in [&ann.phone, &ann.laptop, &ben.phone] {
        device.knows(team, &[ann.name.tag]).await?;
    }
    let newer = reads_nothing_newer(cast, &mut guide, report).await?;
    writes_nothing_newer(stage, cast, &guide, report).await?;
    his_laptop_hears_of_it(stage, ben, &guide, &newer, report).await?;
    Ok((team, guide.pages))
}

/// Makes the team; all four devices come to know it.
async fn found(cast: &Cast, report: &mut Report) -> Result<KeyTag> {
    let (ann, ben) = (&cast.ann, &cast.ben);
    let began = Instant::now();
    // Ben's name went to Ann with a handshake, say; it says which records are truly his.
    ann.phone.credentials().pin(&ben.name).await?;
    let members = [ann.name.tag, ben.name.tag];
    let team = ann.phone.credentials().create_team([ben.name.tag]).await?;
    let devices = [&ann.phone, &ann.laptop, &ben.phone, &ben.laptop];
    for device in devices {
        device.knows(team.tag, &members).await?;
    }
    report.figure(
        "a team made, known to all devices",
        4,
        began.elapsed(),
        None,
    );
    Ok(team.tag)
}

impl Guide {
    /// Ann writes every other page on her phone, Ben the rest on his laptop; all devices read all.
    async fn write_together(&self, keys: &[KeyTag; 2], report: &mut Report) -> Result<()> {
        let count = self.pages.len();
        let even = |at: usize| at.is_multiple_of(2);
        let began = Instant::now();
        let (hers, his) = (self.pages.only(even), self.pages.only(|at| !even(at)));
        hers.write("Ann writes", &self.copies[0], self.team).await?;
        his.write("Ben writes", &self.copies[3], self.team).await?;
        report.figure(
            "written and sealed by both",
            count as u64,
            began.elapsed(),
            None,
        );
        let began = Instant::now();
        let mut read = Vec::new();
        for copy in &self.copies {
            self.pages
                .arrive("the guide to arrive", copy, self.team)
                .await?;
            read.push(self.pages.read_by(copy, self.team).await?);
        }
        let all = read.iter().sum::<usize>() as u64;
        report.figure("opened and compared, 4 devices", all, began.elapsed(), None);
        let mut signed = 0;
        for (at, tag) in self.pages.tags.iter().enumerate() {
            let page = self.copies[1].retrieve(tag).await?;
            let page = page.ok_or("a page is missing")?;
            signed += usize::from(page.owner() == self.team && page.author() == keys[at % 2]);
        }
        report.check(
            read == [count; 4] && signed == count,
            &format!("each of four devices reads all {count} pages, half by Ann, half by Ben"),
        );
        Ok(())
    }

    fn page(&self, at: usize) -> Result<&Tag> {
        Ok(self.pages.tags.get(at).ok_or("a page is missing")?)
    }
}

async fn look_into_the_relay(place: &Place, guide: &Guide, report: &mut Report) -> Result<()> {
    let hers = &guide.copies[0];
    hers.store(SIGN)
        .tag("sign")
        .owner(guide.team)
        .plain()
        .await?;
    within("the sign to be at the relay", hers.synchronized()).await?;
    let things = [TIP.as_bytes(), SIGN.as_bytes()];
    let found = disk::search(&place.of("relay"), &things)?;
    report.check(
        found.times[0] == 0 && found.times[1] > 0,
        &format!(
            "the words of the pages are nowhere in the {} files ({:.0} MB) of the relay, in plain \
             or base64url; a line that Ann stored unsealed, for comparison, is found there",
            found.files,
            found.bytes as f64 / 1e6
        ),
    );
    Ok(())
}

/// Asks the library who can read a page of Ben's, and why it counts.
async fn explain(cast: &Cast, guide: &Guide, report: &mut Report) -> Result<()> {
    let (ann, ben, names) = (&cast.ann, &cast.ben, &cast.names);
    let item = guide.copies[0]
        .retrieve(guide.page(1)?)
        .owner(guide.team)
        .await?;
    let item = item.ok_or("a page is gone")?;
    let credentials = ann.phone.credentials();
    let can_read = readers(&ann.phone, &item)?;
    report.say(&format!("can read page 2: {}", names.list(&can_read)));
    let expected = [everything_of(ann)?, everything_of(ben)?].concat();
    report.check(
        can_read == expected.into_iter().collect::<BTreeSet<_>>(),
        "those are the keys of Ann and Ben, and no other",
    );
    let reason = credentials.why_counts(&item)?;
    report.say(&format!("page 2, {}", names.why(&item, &reason)));
    report.check(
        leads(&reason, &[ben.name.tag, ben.laptop.key()?]) && reason.standing == Standing::Counts,
        "that chain of lists leads from the team to the laptop that signed",
    );
    Ok(())
}

/// The keys of somebody's devices and the one that the words open.
fn everything_of(human: &Human) -> Result<Vec<KeyTag>> {
    Ok(vec![
        human.phone.key()?,
        human.laptop.key()?,
        human.recovery()?,
    ])
}

/// Whether the lists behind an answer lead through these members.
fn leads(reason: &Reason, members: &[KeyTag]) -> bool {
    reason.chain.iter().map(|step| &step.member).eq(members)
}

/// Ann rewrites every third page. Gives those pages.
async fn reads_nothing_newer(cast: &Cast, guide: &mut Guide, report: &mut Report) -> Result<Pages> {
    let team = guide.team;
    for page in guide.pages.contents.iter_mut().step_by(3) {
        page["tip"] = json!("they have moved across the river");
    }
    let [on_her_phone, on_her_laptop, on_his_phone, _] = &guide.copies;
    let newer = guide.pages.only(|at| at.is_multiple_of(3));
    let older = guide.pages.only(|at| !at.is_multiple_of(3));
    newer.write("Ann rewrites", on_her_laptop, team).await?;
    newer
        .arrive("Ann's phone to see it", on_her_phone, team)
        .await?;
    let hers = newer.look("Ann looks", on_her_phone, team).await?;
    until("Ben to get what he cannot open", async || {
        let his = newer.look("Ben looks", on_his_phone, team).await?;
        Ok(digests(&his) == digests(&hers))
    })
    .await?;
    let his = newer.look("Ben looks", on_his_phone, team).await?;
    report.check(
        closed(&his) == newer.len() && opened(&his) == 0,
        &format!(
            "Ben is removed. Of the {} pages that Ann rewrites his phone gets every one, and opens {}",
            newer.len(),
            opened(&his)
        ),
    );
    let still = older.read_by(on_his_phone, team).await?;
    report.check(
        still == older.len(),
        &format!("the {still} older ones he still reads: what was given cannot be taken back"),
    );
    let item = on_her_phone.retrieve(guide.page(0)?).owner(team).await?;
    let item = item.ok_or("a page is gone")?;
    let can_read = readers(&cast.ann.phone, &item)?;
    report.say(&format!(
        "can read page 1 now: {}",
        cast.names.list(&can_read)
    ));
    report.check(
        can_read
            == everything_of(&cast.ann)?
                .into_iter()
                .collect::<BTreeSet<_>>(),
        "those are Ann's, and no other",
    );
    Ok(newer)
}

/// Ben tries with a phone that knows, and with a laptop that does not.
async fn writes_nothing_newer(
    stage: &Stage,
    cast: &Cast,
    guide: &Guide,
    report: &mut Report,
) -> Result<()> {
    let (ann, ben, team) = (&cast.ann, &cast.ben, guide.team);
    let [on_her_phone, _, on_his_phone, on_his_laptop] = &guide.copies;
    let written = on_his_phone
        .store("mine")
        .tag(guide.page(0)?)
        .owner(team)
        .await;
    let credentials = ben.phone.credentials();
    let again = credentials.change_membership(team).add(ben.name.tag).await;
    let refused = matches!(
        again,
        Err(CredentialsError::NotMember | CredentialsError::DidNotStick(_))
    );
    report.check(
        matches!(written, Err(StoreError::NotMember)) && refused,
        "his phone, which knows, can neither write for the team nor list him again",
    );

    let before = guide.pages.look("Ann looks", on_her_phone, team).await?;
    let rewritten = guide.pages.only(|at| at < guide.pages.len() / 4);
    let deleted = guide.pages.only(|at| at >= guide.pages.len() * 3 / 4);
    let mut lies = rewritten.clone();
    lies.contents.fill(json!({"city": "Atlantis"}));
    lies.write("Ben rewrites", on_his_laptop, team).await?;
    deleted.remove(on_his_laptop, team).await?;
    let late = on_his_laptop.retrieve(&lies.tags[0]).owner(team).await?;
    let late = late.ok_or("Ben's late page is gone")?;
    let sent = (lies.len() + deleted.len()) as u64;
    let received = || transfer(on_her_phone, &stage.service).received;
    let expected = received() + sent;
    on_his_laptop.synchronize(&stage.service);
    until("what Ben writes to reach Ann", async || {
        Ok(received() >= expected)
    })
    .await?;
    let after = guide.pages.look("Ann looks", on_her_phone, team).await?;
    let read = guide.pages.read_by(on_her_phone, team).await?;
    report.check(
        before == after && read == guide.pages.len(),
        &format!(
            "his laptop, which has not heard of it, rewrites {} pages and deletes {}. All {} reach \
             Ann, and change nothing: she reads all {} pages as before, also those by Ben",
            lies.len(),
            deleted.len(),
            grouped(sent),
            grouped(read as u64)
        ),
    );

    let page = on_her_phone.retrieve(guide.page(1)?).owner(team).await?;
    let page = page.ok_or("a page is gone")?;
    let credentials = ann.phone.credentials();
    let (stands, falls) = (
        credentials.why_counts(&page)?,
        credentials.why_counts(&late)?,
    );
    report.say(&format!("page 2, {}", cast.names.why(&page, &stands)));
    report.say(&format!("page 1, {}", cast.names.why(&late, &falls)));
    let chain = [ben.name.tag, ben.laptop.key()?];
    report.check(
        [stands.standing, falls.standing] == [Standing::Counts, Standing::Void]
            && leads(&stands, &chain)
            && leads(&falls, &chain),
        "one laptop, one chain: what it wrote before the removal counts, what it wrote after does \
         not",
    );
    Ok(())
}

async fn his_laptop_hears_of_it(
    stage: &Stage,
    ben: &Human,
    guide: &Guide,
    newer: &Pages,
    report: &mut Report,
) -> Result<()> {
    let (team, laptop): (KeyTag, &Device) = (guide.team, &ben.laptop);
    let [on_her_phone, _, _, on_his_laptop] = &guide.copies;
    laptop.hear(&stage.service).await?;
    let hers = guide.pages.look("Ann looks", on_her_phone, team).await?;
    until("Ben's laptop to show what counts", async || {
        let his = guide.pages.look("Ben looks", on_his_laptop, team).await?;
        Ok(digests(&his) == digests(&hers))
    })
    .await?;
    let his = guide.pages.look("Ben looks", on_his_laptop, team).await?;
    let open = opened(&his);
    report.check(
        open == guide.pages.len() - newer.len() && open + closed(&his) == guide.pages.len(),
        &format!(
            "once his laptop has heard, its own late pages are gone from it, too: it shows Ann's, \
             {open} open and {} sealed",
            closed(&his)
        ),
    );
    Ok(())
}
