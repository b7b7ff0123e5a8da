//! A collection that keeps every version, read back in time.

use std::time::{Duration, Instant};

use flexstore::{Collection, Versioned};

use crate::report::Report;
use crate::stage::{Stage, Way, connect, until};
use crate::terminal::clock;
use crate::{Result, cities};

/// Pages of their journal, at most, and versions of each.
const PAGES: usize = 50;
const VERSIONS: usize = 4;

pub(crate) async fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    report.begin(
        "History, read back in time",
        "They keep a journal in a collection that forgets nothing: in turns, Alice and Bob rewrite \
         every page. Then Bob asks what the pages said at times gone by.",
    );
    let alice = stage.alice.peer.collection::<Versioned>("journal").open()?;
    let bob = stage.bob.peer.collection::<Versioned>("journal").open()?;
    connect("Alice's journal", &alice, &stage.service, Way::Up).await?;
    connect("Bob's journal", &bob, &stage.service, Way::Up).await?;

    let count = stage.cities.len().min(PAGES);
    let text = |page: usize, version: usize| {
        let by = if version.is_multiple_of(2) {
            "Alice"
        } else {
            "Bob"
        };
        let city = cities::name(&stage.cities[page]);
        format!("{city}, version {} by {by}", version + 1)
    };
    let began = Instant::now();
    let mut tags = Vec::with_capacity(count);
    for version in 0..VERSIONS {
        let (writer, reader) = if version.is_multiple_of(2) {
            (&alice, &bob)
        } else {
            (&bob, &alice)
        };
        for page in 0..count {
            let store = writer.store(text(page, version)).author(stage.trip);
            let store = store.seal_to(stage.both());
            match tags.get(page) {
                Some(tag) => drop(store.tag(tag).await?),
                None => tags.push(store.await?),
            }
        }
        let seen = async || all_have(reader, &tags, version + 1);
        until("the next version to arrive", seen).await?;
        // So that there is a time between two versions.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let written = (count * VERSIONS) as u64;
    report.figure(
        "written in turns, pushed live",
        written,
        began.elapsed(),
        None,
    );

    let began = Instant::now();
    let (mut right, mut between, mut before) = (0, 0, 0);
    for (page, tag) in tags.iter().enumerate() {
        let times = bob.timestamps(tag)?;
        for (version, time) in times.iter().enumerate() {
            let then = bob.retrieve(tag).at(time.ms).await?;
            right += usize::from(then.is_some_and(|then| then.text() == Ok(&text(page, version))));
            let earlier = bob.retrieve(tag).at(time.ms - 1).await?;
            match version.checked_sub(1) {
                None => before += usize::from(earlier.is_none()),
                Some(last) => {
                    let so = earlier.is_some_and(|item| item.text() == Ok(&text(page, last)));
                    between += usize::from(so);
                }
            }
        }
    }
    let reads = (count * VERSIONS * 2) as u64;
    report.figure("read back by Bob", reads, began.elapsed(), None);
    for time in bob.timestamps(&tags[0])? {
        let then = bob
            .retrieve(&tags[0])
            .at(time.ms)
            .await?
            .ok_or("a version is gone")?;
        report.say(&format!("{}   {}", clock(time.ms), then.text()?));
    }
    report.check(
        right == count * VERSIONS,
        &format!("{VERSIONS} versions of {count} pages, each as it was at its time"),
    );
    report.check(
        between == count * (VERSIONS - 1) && before == count,
        "a moment before each, the version before it stood, and before the first nothing",
    );
    let mut same = true;
    for tag in &tags {
        same &= alice.versions(tag)? == bob.versions(tag)?;
    }
    report.check(same, "Alice's history is the same as Bob's");
    Ok(())
}

fn all_have(
    journal: &Collection<Versioned>,
    tags: &[flexstore::Tag],
    count: usize,
) -> Result<bool> {
    for tag in tags {
        if journal.versions(tag)?.len() < count {
            return Ok(false);
        }
    }
    Ok(true)
}
