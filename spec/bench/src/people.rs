//! What people and teams cost, whole calls through a peer whose store is in memory: making a person,
//! unlocking a team of 1,000 single keys in three levels, changing a team of 100 members, and
//! dealing with a stolen device.

use std::sync::Arc;
use std::time::Instant;

use flexstore::{KeySet, KeyTag, MemoryStorage, Mutable, Peer, RecoverySecret, RecoveryWords};

use crate::Outcome;
use crate::machine::process_time;
use crate::npm::{self, Npm};
use crate::report::{Goal, Line, Report, median};
use crate::work;

const CASES: [&str; 4] = [
    "create-author",
    "unlock-1000",
    "change-100",
    "stolen-device",
];

pub(crate) fn run(report: &mut Report) -> Outcome {
    if CASES.iter().any(|case| report.wants(case)) {
        work::runtime()?.block_on(measure(report))?;
    }
    Ok(())
}

async fn measure(report: &mut Report) -> Outcome {
    if report.wants("create-author") {
        create_author(report).await?;
    }
    if report.wants("unlock-1000") {
        unlock(report).await?;
    }
    if report.wants("change-100") {
        change(report).await?;
    }
    if report.wants("stolen-device") {
        stolen(report).await?;
    }
    Ok(())
}

fn peer() -> Outcome<Peer> {
    Ok(Peer::open(Arc::new(MemoryStorage::new()))?)
}

fn secret() -> Outcome<RecoverySecret> {
    Ok(RecoverySecret::from(&RecoveryWords::generate()?))
}

/// A device, a recovery key wrapped by Argon2id, and the team of both.
async fn create_author(report: &mut Report) -> Outcome {
    let mut npm = Npm::start()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..report.size(5, 1) {
        let (peer, secret) = (peer()?, secret()?);
        let start = Instant::now();
        peer.credentials().create_author(&secret).await?;
        ours.push(start.elapsed().as_secs_f64() * 1000.0);
        if let Some(npm) = &mut npm {
            theirs.push(npm.round("author", 1)?.wall.as_secs_f64() * 1000.0);
        }
    }
    let mut line = Line::new("crypto", "create-author", median(ours), "ms");
    if !theirs.is_empty() {
        line = line.peer(npm::NAME, median(theirs));
    }
    report.line(&line);
    Ok(())
}

/// A team that lists ten teams that list ten teams that list ten keys, of which one is held.
async fn unlock(report: &mut Report) -> Outcome {
    let each = report.size(10, 3);
    let storage = Arc::new(MemoryStorage::new());
    let maker = Peer::open(storage.clone())?;
    let credentials = maker.credentials();
    let mine = KeySet::generate()?;
    let text = mine.to_jwks();
    let me = credentials.add(mine).await?;
    let mut middle = Vec::new();
    for _ in 0..each {
        let mut people = Vec::new();
        for _ in 0..each {
            // Each is founded by a key of its own; the maker holds them all.
            let mut keys: Vec<KeyTag> = Vec::new();
            for _ in 0..each {
                keys.push(credentials.add(KeySet::generate()?).await?);
            }
            if middle.len() + 1 == each && people.len() + 1 == each {
                keys.pop();
                keys.push(me);
            }
            credentials.set_author(keys[0])?;
            people.push(credentials.create_team(keys).await?.tag);
        }
        credentials.set_owner(Some(people[0]))?;
        middle.push(credentials.create_team(people).await?.tag);
        credentials.set_owner(None)?;
    }
    credentials.set_owner(Some(middle[0]))?;
    let top = credentials.create_team(middle).await?.tag;
    let notes = maker.collection::<Mutable>("notes").open()?;
    notes.store("for all").tag("note").seal_to([top]).await?;
    let leaves = credentials.team(top)?.ok_or("no team")?.leaves().len();
    maker.close().await;
    let (mut took, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..report.size(11, 2) {
        // Everything anew: nothing is judged or unlocked yet.
        let reader = Peer::open(storage.clone())?;
        reader.credentials().add(KeySet::from_jwks(&text)?).await?;
        let notes = reader.collection::<Mutable>("notes").open()?;
        let (start, before) = (Instant::now(), process_time());
        let item = notes.retrieve("note").await?.ok_or("no note")?;
        if item.text()? != "for all" {
            return Err("another note".into());
        }
        took.push(start.elapsed().as_secs_f64() * 1000.0);
        cpu.push((process_time() - before).as_secs_f64() * 1000.0);
        reader.close().await;
    }
    let line = Line::new("crypto", "unlock-1000", median(took), "ms")
        .goal(Goal::AtMost(20.0))
        .with("cpu_ms", median(cpu))
        .with("leaves", leaves);
    report.line(&line);
    Ok(())
}

/// Removing one of 100 members: a new key, wrapped for 99.
async fn change(report: &mut Report) -> Outcome {
    let members = report.size(100, 10);
    let peer = peer()?;
    let credentials = peer.credentials();
    let me = credentials.add(KeySet::generate()?).await?;
    let mut tags = vec![me];
    for _ in 1..members + report.size(20, 2) {
        tags.push(credentials.add(KeySet::generate()?).await?);
    }
    let team = credentials.create_team(tags[..members].to_vec()).await?.tag;
    let mut took = Vec::new();
    for spare in members..tags.len() {
        let start = Instant::now();
        let change = credentials
            .change_membership(team)
            .remove(tags[spare - members + 1]);
        change.add(tags[spare]).await?;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    let line = Line::new("crypto", "change-100", median(took), "ms").with("members", members);
    report.line(&line);
    Ok(())
}

/// One call: the recovery key is opened, the device removed as stolen, the team around it given a
/// new key. Argon2id is measured by itself and taken off.
async fn stolen(report: &mut Report) -> Outcome {
    let (mut rest, mut all, mut argon2id) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..report.size(7, 1) {
        let (peer, secret) = (peer()?, secret()?);
        let credentials = peer.credentials();
        let person = credentials.create_author(&secret).await?;
        let phone = credentials.author().ok_or("no device")?;
        let laptop = credentials.create_device().await?;
        credentials
            .change_membership(person.tag)
            .add(laptop)
            .await?;
        let friend = credentials.add(KeySet::generate()?).await?;
        credentials.create_team([friend]).await?;
        credentials.set_author(laptop)?;
        let text = secret.wrap(b"{}", "bench")?;
        let before = process_time();
        secret.open(&text, "bench")?;
        let one = process_time() - before;
        let before = process_time();
        credentials
            .remove_device(person.tag, phone, Some(0), Some(&secret))
            .await?;
        let whole = process_time() - before;
        argon2id.push(one.as_secs_f64() * 1000.0);
        all.push(whole.as_secs_f64() * 1000.0);
        rest.push(whole.saturating_sub(one).as_secs_f64() * 1000.0);
    }
    let line = Line::new("crypto", "stolen-device", median(rest), "ms")
        .goal(Goal::AtMost(50.0))
        .with("argon2id_ms", median(argon2id))
        .with("whole_ms", median(all));
    report.line(&line);
    Ok(())
}
