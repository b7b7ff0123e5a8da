//! The relay is killed while Alice's records are on their way to it.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Instant;

use flexstore::{
    Change, Changes, Collection, MemoryStorage, Mutable, Peer, ServiceState, Source, Tag,
};
use flexstore_transports::Transports;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::report::Report;
use crate::stage::{CITIES, Stage, Way, connect, read_all, store_all, transfer, within};
use crate::terminal::grouped;
use crate::{Result, cities};

/// How much Alice writes: enough that the relay is killed with most of it still to come.
const WRITES: std::ops::RangeInclusive<usize> = 2000..=4000;
const SIGKILL: i32 = 9;

pub(crate) async fn play(stage: &mut Stage, report: &mut Report) -> Result<()> {
    report.begin(
        "The relay killed in mid-transfer",
        "Alice goes on writing while she is connected. In the middle of it the relay's process \
         gets SIGKILL: no last word, no flush. It is started again on the same directory.",
    );
    let (alice, bob) = (stage.cities_of_alice.clone(), stage.cities_of_bob.clone());
    let service = stage.service.clone();
    within("Alice to be in step", alice.synchronized()).await?;
    within("Bob to be in step", bob.synchronized()).await?;
    let held = alice.list()?.len();

    let before = transfer(&alice, &service).acknowledged;
    let updates = alice.updates();
    let notes = notes(&stage.cities);
    let label = "Alice writes meanwhile";
    let writing = store_all(label, &alice, &notes, stage.both());
    let enough = before + notes.len() as u64 / 4;
    let mut progress = alice.progress();
    let process = stage.relay.id();
    let killing = async {
        let acknowledging = progress.wait_for(|all| {
            let status = all.get(&*service);
            status.is_some_and(|status| status.transfer.acknowledged >= enough)
        });
        within("the relay to acknowledge a quarter", acknowledging).await??;
        stage.relay.kill().await
    };
    let (tags, status) = tokio::try_join!(writing, killing)?;
    report.say(&format!("the relay, process {process}, was killed"));

    // What the relay had acknowledged until then: of the records in the order in which they became
    // durable and went out, the first so many.
    let gone = progress.wait_for(|all| {
        let status = all.get(&*service);
        status.is_none_or(|status| status.state != ServiceState::Live)
    });
    within("Alice to notice", gone).await??;
    let acknowledged = transfer(&alice, &service).acknowledged - before;
    let written = within("all updates", written(updates, tags.len())).await??;
    let wrote = tags.len() as u64;
    report.check(
        status.signal() == Some(SIGKILL) && acknowledged > 0 && acknowledged < wrote,
        &format!(
            "killed in the middle: it had acknowledged {} of {} records",
            grouped(acknowledged),
            grouped(wrote)
        ),
    );
    let first = usize::try_from(acknowledged)?;
    let promised = written.get(..first).ok_or("updates are missing")?;

    // Nobody who could give the relay back what it lost may talk to it before it was looked at.
    alice.disconnect(&service).await;
    bob.disconnect(&service).await;
    let restarted = Instant::now();
    stage.relay.restart().await?;
    let took = restarted.elapsed();
    let (kept, present) = audit(stage, promised).await?;
    report.figure("the relay up again, with", kept, took, None);
    report.check(
        present == promised.len(),
        &format!(
            "a newcomer who asks only the restarted relay gets {} records; among them are {} of \
             the {} that it had acknowledged",
            grouped(kept),
            grouped(present as u64),
            grouped(acknowledged)
        ),
    );

    let (sent, bytes, took) = connect("Alice comes back", &alice, &service, Way::Up).await?;
    report.figure("Alice sends what the relay missed", sent, took, Some(bytes));
    let (got, bytes, took) = connect("Bob comes back", &bob, &service, Way::Down).await?;
    report.figure("Bob gets what he missed", got, took, Some(bytes));
    let hers = read_all("Alice looks", &alice, &tags).await?;
    let his = read_all("Bob looks", &bob, &tags).await?;
    let as_written = |read: &[Option<Value>]| {
        let pairs = read.iter().zip(&notes);
        pairs
            .filter(|(read, note)| read.as_ref() == Some(*note))
            .count()
    };
    let all = [held + tags.len(); 2] == [alice.list()?.len(), bob.list()?.len()];
    report.check(
        as_written(&hers) == tags.len() && as_written(&his) == tags.len() && all,
        &format!(
            "all {} records that were ever acknowledged to Alice are with her and with Bob, as \
             written",
            grouped((held + tags.len()) as u64)
        ),
    );
    Ok(())
}

/// Something to say about cities.
fn notes(cities: &[Value]) -> Vec<Value> {
    let count = (cities.len() / 2).clamp(*WRITES.start(), *WRITES.end());
    let cities = cities.iter().cycle().take(count).enumerate();
    cities
        .map(|(at, city)| json!({"note": at, "text": format!("Back from {}", cities::name(city))}))
        .collect()
}

/// The next so many changes that were written here, in order.
async fn written(mut updates: Changes, count: usize) -> Result<Vec<Change>> {
    let mut written = Vec::with_capacity(count);
    while written.len() < count {
        let change = updates.next().await.ok_or("no more updates")??;
        if *change.source() == Source::Written {
            written.push(change);
        }
    }
    Ok(written)
}

/// Asks the relay for all it has, as somebody who has nothing: how many that is, and how many of
/// those that it promised to keep. This takes no keys.
async fn audit(stage: &Stage, promised: &[Change]) -> Result<(u64, usize)> {
    let peer = Peer::connected(Arc::new(MemoryStorage::new()), Transports::new())?;
    let cities: Collection<Mutable> = peer.collection(CITIES).open()?;
    connect("a newcomer asks", &cities, &stage.service, Way::Down).await?;
    let mut present = 0;
    for change in promised {
        let tag: &Tag = change.tag();
        let item = cities.retrieve(tag).owner(stage.alice.tag).sealed().await?;
        present += usize::from(item.is_some_and(|item| item.digest() == change.digest()));
    }
    let kept = cities.list()?.len() as u64;
    peer.close().await;
    Ok((kept, present))
}
