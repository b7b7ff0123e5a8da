//! Alice and Bob both edit while neither can be reached, and come to agree.

use std::ops::Range;
use std::time::{Duration, Instant};

use flexstore::{Collection, Digest, KeyTag, Mutable, Tag};
use serde_json::{Value, json};

use crate::report::Report;
use crate::stage::{Stage, Way, connect, until};
use crate::{Result, cities};

/// The stops of their trip, at most.
const STOPS: usize = 300;

/// The trip as one of them has it, and what they write into it.
struct Plan<'a> {
    trip: Collection<Mutable>,
    by: &'static str,
    days: u32,
    key: KeyTag,
    audience: [KeyTag; 2],
    tags: &'a [Tag],
    cities: &'a [Value],
}

pub(crate) async fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    report.begin(
        "Edited offline, converged",
        "They plan a trip together, under a key that both hold. Both go offline and edit, a third \
         of the stops both of them, differently. Then they connect again.",
    );
    let count = stage.cities.len().min(STOPS);
    let names = (0..count).map(|at| Tag::new(format!("stop {at}")));
    let tags = names.collect::<Result<Vec<_>, _>>()?;
    let plan = |by, days, trip| Plan {
        trip,
        by,
        days,
        key: stage.trip,
        audience: stage.both(),
        tags: &tags,
        cities: &stage.cities,
    };
    let alice = plan("Alice", 2, stage.alice.peer.collection("trip").open()?);
    let bob = plan("Bob", 3, stage.bob.peer.collection("trip").open()?);

    alice.edit(0..count, |_| true).await?;
    let service = &stage.service;
    connect("the trip to the relay", &alice.trip, service, Way::Up).await?;
    connect("the trip to Bob", &bob.trip, service, Way::Down).await?;
    let together = alice.reading().await? == bob.reading().await?;
    alice.trip.disconnect(service).await;
    bob.trip.disconnect(service).await;

    // The first third is Alice's to edit, the last one Bob's, the middle everybody's: there the
    // even stops Bob edits last, and the odd ones Alice. The later edit is to win.
    let (hers, middle, his) = (
        0..count / 3,
        count / 3..2 * count / 3,
        2 * count / 3..count - 1,
    );
    let even = |at: usize| at.is_multiple_of(2);
    let odd = |at: usize| !even(at);
    alice.edit(hers.clone(), |_| true).await?;
    bob.edit(his.clone(), |_| true).await?;
    alice.edit(middle.clone(), even).await?;
    bob.edit(middle.clone(), odd).await?;
    // Later is by the clock, and it counts milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    bob.edit(middle.clone(), even).await?;
    alice.edit(middle.clone(), odd).await?;
    // The last stop Bob drops.
    let last = &tags[count - 1];
    bob.trip.remove(last).author(stage.trip).await?;
    let apart = alice.reading().await? != bob.reading().await?;
    report.check(
        together && apart,
        "equal before, each with their own edits while offline",
    );

    let began = Instant::now();
    connect("Alice comes back", &alice.trip, service, Way::Up).await?;
    connect("Bob comes back", &bob.trip, service, Way::Up).await?;
    // What Bob brings is pushed to Alice, who is there already.
    until("Alice to see Bob's edits", async || {
        Ok(alice.reading().await? == bob.reading().await?)
    })
    .await?;
    let edits = hers.len() + his.len() + 2 * middle.len() + 1;
    report.figure(
        "edits exchanged, both back",
        edits as u64,
        began.elapsed(),
        None,
    );

    let reading = alice.reading().await?;
    report.check(
        reading == bob.reading().await?,
        &format!("both read the same under each of {count} tags"),
    );
    let by = |at: usize, name: &str| matches!(&reading[at], Some((_, stop)) if stop["by"] == name);
    let lone = hers.clone().all(|at| by(at, "Alice")) && his.clone().all(|at| by(at, "Bob"));
    report.check(lone, "what only one of them edited is theirs");
    let won = middle
        .clone()
        .all(|at| by(at, if even(at) { "Bob" } else { "Alice" }));
    let conflicts = middle.len();
    report.check(
        won,
        &format!("of {conflicts} conflicting pairs the later edit stands, for both"),
    );
    report.check(
        reading[count - 1].is_none(),
        "the stop that Bob dropped is gone for both",
    );
    Ok(())
}

impl Plan<'_> {
    /// Writes some of the stops.
    async fn edit(&self, range: Range<usize>, which: impl Fn(usize) -> bool) -> Result<()> {
        for at in range.filter(|at| which(*at)) {
            let city = cities::name(&self.cities[at]);
            let stop = json!({"city": city, "days": self.days, "by": self.by});
            let store = self.trip.store(stop).tag(&self.tags[at]).author(self.key);
            store.seal_to(self.audience).await?;
        }
        Ok(())
    }

    /// Every stop: which record it is, and what that says.
    async fn reading(&self) -> Result<Vec<Option<(Digest, Value)>>> {
        let mut stops = Vec::with_capacity(self.tags.len());
        for tag in self.tags {
            let item = self.trip.retrieve(tag).await?;
            stops.push(match item {
                Some(item) => Some((item.digest(), item.json()?)),
                None => None,
            });
        }
        Ok(stops)
    }
}
