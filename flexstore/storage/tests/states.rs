//! Power losses: what the disk may hold of a fjall store then, made by the hundred. And bits that
//! rot, which are another matter: what was durable is missed.
//!
//! `CRASH_STATES=20000 SEED=7` makes more, and others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod child;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use flexstore_core::storage::{Progress, Table};
use flexstore_storage::{Engine, OpenError, Options, open};

use self::child::crashed::{Content, Dice, Files, number, read, scratch, write};
use self::child::{batch, body, body_key, check, watch};

const SECTOR: usize = 512;

/// A store while everything in it was durable, and a moment later.
struct Moment {
    /// Batches that were acknowledged before.
    acknowledged: u64,
    before: Files,
    after: Files,
    journal: PathBuf,
}

/// Writes batches, waits until they are durable and the store is at rest; then writes more and
/// looks at the directory meanwhile. The committer may fsync some of them by then: a disk that is
/// slower would not have, and what is only in `after` is taken for written and not fsynced.
fn moment(acknowledged: u64, more: u64) -> Moment {
    let dir = scratch();
    let store = open(dir.path(), Options::new(Engine::Fjall)).unwrap();
    let told = watch(&*store);
    let mut last = None;
    for n in 0..acknowledged {
        last = Some(store.submit(batch(n)).unwrap());
    }
    while told.recv().unwrap() != Progress::Durable(last.unwrap()) {}
    let mut before = read(dir.path());
    loop {
        thread::sleep(Duration::from_millis(500));
        let again = read(dir.path());
        if again == before {
            break;
        }
        before = again;
    }
    for n in acknowledged..acknowledged + more {
        store.submit(batch(n)).unwrap();
    }
    let after = read(dir.path());
    let journal = before
        .keys()
        .rfind(|name| is_journal(name))
        .unwrap()
        .clone();
    Moment {
        acknowledged,
        before,
        after,
        journal,
    }
}

fn is_journal(name: &Path) -> bool {
    name.extension().is_some_and(|end| end == "jnl")
}

/// What came of the un-fsynced end of the journal.
fn torn(dice: &mut Dice, before: &[u8], after: &[u8]) -> Content {
    // What is durable is not touched, so the sector in which it ends is as before or as after.
    let old = |range: std::ops::Range<usize>| {
        let mut sector = vec![0; range.len()];
        let kept = before.len().clamp(range.start, range.end) - range.start;
        let durable = before.iter().skip(range.start).take(kept);
        sector
            .iter_mut()
            .zip(durable)
            .for_each(|(to, from)| *to = *from);
        sector
    };
    let mut data = after.to_vec();
    let first = before.len() / SECTOR;
    let sectors = after.len().div_ceil(SECTOR);
    let how = dice.roll(5);
    let end = if how == 0 || how == 4 {
        // Cut at a sector, or with the whole file's length and zeros.
        first + dice.roll((sectors - first) as u64 + 1) as usize
    } else {
        sectors
    };
    // Few lost, half, or most; or all but a few, in any order.
    let lost = [0, 2, 50, 97, 20][how as usize];
    let mut any = false;
    for sector in first..sectors {
        let range = sector * SECTOR..((sector + 1) * SECTOR).min(after.len());
        if sector >= end || dice.roll(100) < lost {
            data[range.clone()].copy_from_slice(&old(range));
            any = true;
        }
    }
    if how == 1 && !any && sectors > first {
        let sector = first + dice.roll((sectors - first) as u64) as usize;
        let range = sector * SECTOR..((sector + 1) * SECTOR).min(after.len());
        data[range.clone()].copy_from_slice(&old(range));
    }
    let length = if dice.roll(2) == 0 {
        data.truncate((end * SECTOR).clamp(before.len(), after.len()));
        data.len() as u64
    } else {
        64 << 20
    };
    Content { data, length }
}

/// A state of the disk that is allowed after a power loss at this moment.
fn state(dice: &mut Dice, moment: &Moment) -> Files {
    // The names and tables that were durable; fjall fsyncs a table before the list that names it,
    // so with the list of before, what is new is any part of itself or not there.
    let mut files = moment.before.clone();
    for (name, content) in &moment.after {
        if files.contains_key(name) || is_journal(name) {
            continue;
        }
        let mut content = content.clone();
        match dice.roll(4) {
            0 => continue,
            1 => content = Content::new(Vec::new()),
            2 => {
                content
                    .data
                    .truncate(dice.roll(content.data.len() as u64) as usize);
                content.length = content.data.len() as u64;
            }
            _ => {
                for sector in content.data.chunks_mut(SECTOR) {
                    if dice.roll(3) == 0 {
                        sector.fill(0);
                    }
                }
            }
        }
        files.insert(name.clone(), content);
    }
    let before = &moment.before[&moment.journal];
    let after = &moment.after[&moment.journal];
    if dice.roll(10) == 0 {
        // The journal is durable to its end and the next one begun, not yet written.
        files.insert(moment.journal.clone(), after.clone());
        let number: u64 = moment
            .journal
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let next = moment.journal.with_file_name(format!("{}.jnl", number + 1));
        let length = [0, 64 << 20][dice.roll(2) as usize];
        files.insert(
            next,
            Content {
                data: Vec::new(),
                length,
            },
        );
    } else {
        files.insert(
            moment.journal.clone(),
            torn(dice, &before.data, &after.data),
        );
    }
    if dice.roll(5) == 0 {
        files.insert("FORMAT.new".into(), Content::new(b"flexst".to_vec()));
    }
    files
}

/// Opens a state: everything acknowledged is there, each batch whole or not at all, in their
/// order; and it can be written on, and opened again.
fn survives(files: &Files, acknowledged: u64, on: bool, what: &str) -> u64 {
    let dir = scratch();
    write(dir.path(), files);
    let reopened = || match open(dir.path(), Options::new(Engine::Fjall)) {
        Ok(store) => store,
        Err(error) => panic!("{what}: {error:?}"),
    };
    let store = reopened();
    let found = check(&*store, acknowledged);
    if on {
        let told = watch(&*store);
        let sequence = store.submit(batch(found)).unwrap();
        while told.recv().unwrap() != Progress::Durable(sequence) {}
        // As after a kill.
        let killed = scratch();
        write(killed.path(), &read(dir.path()));
        let store = open(killed.path(), Options::new(Engine::Fjall)).unwrap();
        assert_eq!(check(&*store, found + 1), found + 1, "{what}");
    }
    found
}

#[test]
fn every_state_after_a_power_loss_opens() {
    let states = number("CRASH_STATES", 360);
    let seed = number("SEED", 1);
    // One with a large body in its un-fsynced end and one without; one whose tables are written
    // out meanwhile.
    let moments = [moment(30, 14), moment(5, 10), moment(90, 110)];
    let mut lost_some = 0;
    for n in 0..states {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(n));
        // The large one seldom, since it takes longer.
        let moment = &moments[if n % 20 == 19 { 2 } else { (n % 2) as usize }];
        let files = state(&mut dice, moment);
        let what = format!("SEED={seed}, state {n}");
        let found = survives(&files, moment.acknowledged, n % 6 == 0, &what);
        lost_some += u64::from(found < moment.acknowledged + 10);
    }
    assert!(lost_some > states / 4, "the states are too tame");
    println!(
        "{{\"accept\":\"durability/crash-states\",\"figure\":{states},\"unit\":\"states\",\"goal\":\"0 lost\",\"seed\":{seed},\"held\":true}}"
    );
}

/// What was durable and is not there any more is told, wherever it was in the journal.
#[test]
fn rot_in_what_was_durable_is_told() {
    let seed = number("SEED", 1);
    let moment = moment(60, 0);
    let bytes = moment.before[&moment.journal].clone();
    let rounds = number("CRASH_STATES", 300) / 2;
    let (mut told, mut dice) = (0, Dice(seed));
    for n in 0..rounds {
        let mut files = moment.before.clone();
        let content = files.get_mut(&moment.journal).unwrap();
        let data = &mut content.data;
        let place = dice.roll(data.len() as u64) as usize;
        match n % 4 {
            0 => data[place] ^= 1 << dice.roll(8),
            1 => data[place / SECTOR * SECTOR..]
                .iter_mut()
                .take(SECTOR)
                .for_each(|b| *b = 0),
            2 => data[place / 4_096 * 4_096..]
                .iter_mut()
                .take(4_096)
                .for_each(|b| *b = 0),
            _ => {
                data.truncate(place);
                content.length = data.len() as u64;
            }
        }
        let dir = scratch();
        write(dir.path(), &files);
        match open(dir.path(), Options::new(Engine::Fjall)) {
            Err(OpenError::Damaged(_)) => told += 1,
            Err(error) => panic!("SEED={seed}, round {n}: {error:?}"),
            // A sequence number that is wrong and still in its place changes nothing.
            Ok(store) => {
                assert!(files[&moment.journal].data.len() == bytes.data.len());
                assert_eq!(check(&*store, 60), 60, "SEED={seed}, round {n}");
            }
        }
    }
    assert!(told * 10 > rounds * 9, "{told} of {rounds}");
    println!(
        "{{\"accept\":\"durability/rot-fjall\",\"figure\":{rounds},\"unit\":\"damages\",\"goal\":\"0 silent\",\"told\":{told},\"seed\":{seed},\"held\":true}}"
    );
}

/// The limit of that: what became durable after the last mark, less than a second before the
/// power went, looks like what never did, if it rots before the store is opened again.
#[test]
fn rot_past_the_mark_is_taken_for_a_torn_end() {
    let moment = moment(10, 3);
    let mut files = moment.before.clone();
    let mut journal = moment.after[&moment.journal].clone();
    let last = journal.data.len() - 20;
    journal.data[last] ^= 1;
    files.insert(moment.journal.clone(), journal);
    let found = survives(&files, 10, true, "past the mark");
    assert_eq!(found, 12);
}

/// Without its mark a store opens, with everything in it.
#[test]
fn a_lost_mark_loses_nothing() {
    let moment = moment(10, 0);
    for mark in [None, Some(Vec::new()), Some(vec![7; 8_192])] {
        let mut files = moment.before.clone();
        let name = PathBuf::from("fjall/durable");
        assert!(files.remove(&name).is_some());
        files.extend(mark.map(|bytes| (name, Content::new(bytes))));
        assert_eq!(survives(&files, 10, true, "no mark"), 10);
    }
}

/// Another store's newest journal is gone, or the only one.
#[test]
fn a_missing_journal_is_told() {
    let moment = moment(10, 0);
    let mut files = moment.before.clone();
    files.remove(&moment.journal);
    let dir = scratch();
    write(dir.path(), &files);
    let opened = open(dir.path(), Options::new(Engine::Fjall));
    assert!(matches!(opened, Err(OpenError::Damaged(_))));
}

#[test]
fn what_was_closed_is_all_there() {
    let dir = scratch();
    let store = open(dir.path(), Options::new(Engine::Fjall)).unwrap();
    for n in 0..20 {
        store.submit(batch(n)).unwrap();
    }
    drop(store);
    for _ in 0..3 {
        let store = open(dir.path(), Options::new(Engine::Fjall)).unwrap();
        assert_eq!(check(&*store, 20), 20);
        assert_eq!(
            store.get(Table::Body, &body_key(3, 1)).unwrap().as_deref(),
            Some(&body(3, 1)[..])
        );
    }
}
