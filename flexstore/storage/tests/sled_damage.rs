//! What the sled store says of files that are not what was written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod child;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use flexstore_core::storage::{Progress, Table};
use flexstore_storage::{Engine, OpenError, Options, open};

use self::child::crashed::{Dice, Files, number, read, scratch, write};
use self::child::{CHANGES, batch, body, body_key, watch};

const BATCHES: u64 = 60;

/// A store at rest, as a kill leaves it.
fn resting() -> Files {
    let dir = scratch();
    let store = open(dir.path(), Options::new(Engine::Sled)).unwrap();
    let told = watch(&*store);
    let mut last = None;
    for n in 0..BATCHES {
        last = Some(store.submit(batch(n)).unwrap());
    }
    while told.recv().unwrap() != Progress::Durable(last.unwrap()) {}
    // Until the mark is exact.
    thread::sleep(Duration::from_millis(800));
    read(dir.path())
}

#[derive(Debug, Default)]
struct Said {
    right: u64,
    refused: u64,
    read_failed: u64,
    panicked: u64,
    /// Something is missing and nobody said so.
    silent: u64,
    wrong: u64,
}

fn look(dir: &Path, said: &mut Said) {
    let store = match open(dir, Options::new(Engine::Sled)) {
        Ok(store) => store,
        Err(OpenError::Damaged(_) | OpenError::NotAStore) => {
            said.refused += 1;
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    let (mut failed, mut missing, mut wrong) = (false, false, false);
    for n in 0..BATCHES {
        for change in 0..CHANGES {
            match store.get(Table::Body, &body_key(n, change)) {
                Err(_) => failed = true,
                Ok(None) => missing = true,
                Ok(Some(found)) => wrong |= found != body(n, change),
            }
        }
    }
    let mut rows = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        rows += 1;
        ControlFlow::Continue(())
    };
    match store.scan(Table::Register, b"", &[0xff; 9], &mut count) {
        Err(_) => failed = true,
        Ok(()) => missing |= rows != BATCHES,
    }
    match (wrong, missing, failed) {
        (true, ..) => said.wrong += 1,
        (_, _, true) => said.read_failed += 1,
        (_, true, _) => said.silent += 1,
        _ => said.right += 1,
    }
}

/// Whatever is done to sled's log or its large values: what was durable is there, or it is said
/// that it is not.
#[test]
fn damage_of_sled_is_told() {
    let seed = number("SEED", 1);
    let intact = resting();
    let mut dice = Dice(seed);
    let rounds = number("CRASH_STATES", 160);
    let mut said = Said::default();
    let names: Vec<_> = intact
        .iter()
        .filter(|(name, content)| name.starts_with("sled") && !content.data.is_empty())
        .map(|(name, _)| name)
        .collect();
    for n in 0..rounds {
        let mut files = intact.clone();
        // Half of them to the log.
        let name = match n % 2 {
            0 => Path::new("sled/db"),
            _ => names[dice.roll(names.len() as u64) as usize],
        };
        let content = files.get_mut(name).unwrap();
        let place = dice.roll(content.data.len() as u64) as usize;
        match n / 2 % 3 {
            0 => content.data[place] ^= 0x55,
            1 => {
                let sector = &mut content.data[place / 512 * 512..];
                sector.iter_mut().take(512).for_each(|byte| *byte = 0);
            }
            _ => {
                content.data.truncate(place);
                content.length = place as u64;
            }
        }
        let dir = scratch();
        write(dir.path(), &files);
        let before = said.silent + said.wrong;
        if catch_unwind(AssertUnwindSafe(|| look(dir.path(), &mut said))).is_err() {
            said.panicked += 1;
        }
        if said.silent + said.wrong > before {
            println!("SEED={seed}, round {n}: {} at {place}", name.display());
        }
    }
    println!("{said:?}");
    assert_eq!(
        (said.silent, said.wrong, said.panicked),
        (0, 0, 0),
        "{said:?}"
    );
    println!(
        "{{\"accept\":\"durability/rot-sled\",\"figure\":{rounds},\"unit\":\"damages\",\"goal\":\"0 silent\",\"seed\":{seed},\"held\":true}}"
    );
}
