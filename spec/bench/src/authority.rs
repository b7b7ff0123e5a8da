//! Judging: who may write for a team.
//!
//! `judge-100000`: the standing of 100,000 items under a team of ten with 50 changes, its records
//! read, parsed and judged once. `rejudge-100000`: the same items in a collection, all judged anew
//! because a Team record came. `replicate-judged`: processor time of replicating a team's items where
//! client and relay have its records, against where neither has, so that nothing is judged.

use std::sync::Arc;
use std::time::Instant;

use flexstore::authority::{Authority, Standing};
use flexstore::{KeySet, MemoryStorage, Mutable, Peer, Storage};

use crate::child::Process;
use crate::machine::directory;
use crate::report::{Goal, Line, Report, median};
use crate::{Outcome, work};

pub(crate) fn run(report: &mut Report) -> Outcome {
    if report.wants("judge-100000") || report.wants("rejudge-100000") {
        work::runtime()?.block_on(judge(report))?;
    }
    if report.wants("replicate-judged") {
        replicate(report)?;
    }
    Ok(())
}

/// Makes the default author's person a team with so many changes of its list.
pub(crate) async fn changes(peer: &Peer, count: usize) -> Outcome {
    let credentials = peer.credentials();
    let person = credentials.create_author_without_recovery().await?.tag;
    let device = credentials.author().ok_or("no author")?;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(credentials.add(KeySet::generate()?).await?);
    }
    credentials.set_author(device)?;
    for n in 0..count {
        let other = others[n % others.len()];
        let change = credentials.change_membership(person);
        if n / others.len() % 2 == 0 {
            change.add(other).await?;
        } else {
            change.remove(other).await?;
        }
    }
    Ok(())
}

async fn judge(report: &mut Report) -> Outcome {
    let count = report.size(100_000, 2_000);
    let storage = Arc::new(MemoryStorage::new());
    let peer = Peer::open(storage.clone())?;
    changes(&peer, 50).await?;
    let credentials = peer.credentials();
    let defaults = credentials.defaults();
    let owner = defaults.owner.ok_or("no owner")?;
    let author = defaults.author.ok_or("no author")?;
    let now = work::THEN;
    let mut rates = Vec::new();
    for _ in 0..report.size(9, 2) {
        let shared: Arc<dyn Storage> = storage.clone();
        let start = Instant::now();
        let mut authority = Authority::new(shared);
        for n in 0..count as u64 {
            if authority.standing(&owner, &author, now + n)? != Standing::Counts {
                return Err("an item does not count".into());
            }
        }
        rates.push(count as f64 / start.elapsed().as_secs_f64());
    }
    report.line(&Line::new(
        "authority",
        "judge-100000",
        median(rates),
        "items/s",
    ));
    let items = peer.collection::<Mutable>(work::NAME).open()?;
    work::fill(&items, 0..count, 64).await?;
    let guest = credentials.add(KeySet::generate()?).await?;
    credentials.set_author(author)?;
    let mut took = Vec::new();
    for round in 0..report.size(5, 1) {
        let start = Instant::now();
        let change = credentials.change_membership(owner);
        if round % 2 == 0 {
            change.add(guest).await?;
        } else {
            change.remove(guest).await?;
        }
        // Asks for what nobody owns: answered when all rows stand by the new record.
        items.judged().await;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    report.line(&Line::new(
        "authority",
        "rejudge-100000",
        median(took),
        "ms",
    ));
    Ok(())
}

fn replicate(report: &mut Report) -> Outcome {
    let count = report.size(20_000, 500);
    let place = directory()?;
    let from = place.path().join("from");
    let mut client = Process::client(&from)?;
    client.command("person 50")?;
    client.command(&format!("fill {count}"))?;
    client.close()?;
    let mut cpu = [Vec::new(), Vec::new()];
    for round in 0..report.size(12, 2) {
        let judged = round % 2;
        let (relay_dir, to) = (place.path().join("relay"), place.path().join("to"));
        let (relay, service) = Process::relay(&relay_dir, "32")?;
        let mut clients = [Process::client(&from)?, Process::client(&to)?];
        let mut seconds = 0.0;
        for client in &mut clients {
            if judged == 1 {
                client.command(&format!("publish {service}"))?;
            }
            let busy = relay.cpu()?;
            let answer = client.command(&format!("sync {service}"))?;
            let own = answer["cpu"].as_f64().ok_or("a client said no figure")?;
            seconds += own + relay.cpu()? - busy;
        }
        cpu[judged].push(seconds * 1e6 / count as f64);
        for process in clients {
            process.close()?;
        }
        relay.stop()?;
        std::fs::remove_dir_all(relay_dir)?;
        std::fs::remove_dir_all(to)?;
    }
    let [without, with] = cpu.map(median);
    let line = Line::new("authority", "replicate-judged", with, "us/item")
        .peer("unjudged", without)
        .goal(Goal::AtMost(1.05));
    report.line(&line);
    Ok(())
}
