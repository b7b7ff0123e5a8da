//! What the child processes of tests do.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod crashed;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use flexstore_core::storage::{Batch, Progress, Sequence, Storage, Table};
use flexstore_storage::{Engine, Options, open};

/// The environment variable that makes a process a child, with its role:
/// `<role> <engine> <number> <directory>`.
pub(crate) const ROLE: &str = "FLEXSTORE_STORAGE_CHILD";

/// Bodies in a batch.
pub(crate) const CHANGES: u64 = 3;

const UNDER_WAY: u64 = 4;

pub(crate) fn body_key(batch: u64, change: u64) -> Vec<u8> {
    [batch.to_be_bytes(), change.to_be_bytes()].concat()
}

pub(crate) fn body(batch: u64, change: u64) -> Vec<u8> {
    // Now and then larger than what the engines keep in line.
    let length = if batch.is_multiple_of(17) {
        200_000
    } else {
        700
    };
    vec![(batch + change) as u8; length]
}

pub(crate) fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for change in 0..CHANGES {
        batch.put(Table::Body, body_key(number, change), body(number, change));
    }
    let row = number.to_be_bytes().to_vec();
    batch.put(Table::Register, row.clone(), row);
    batch
}

/// Every batch up to `acknowledged` is there, and each that is there is whole.
pub(crate) fn check(store: &dyn Storage, acknowledged: u64) -> u64 {
    let mut batches = 0_u64;
    let mut scan = |key: &[u8], value: &[u8]| {
        assert_eq!(key, batches.to_be_bytes());
        assert_eq!(value, batches.to_be_bytes());
        for change in 0..CHANGES {
            let found = store.get(Table::Body, &body_key(batches, change));
            let expected = body(batches, change);
            assert!(
                found.unwrap().as_deref() == Some(&expected[..]),
                "batch {batches}"
            );
        }
        batches += 1;
        ControlFlow::Continue(())
    };
    store
        .scan(Table::Register, b"", &[0xff; 9], &mut scan)
        .unwrap();
    assert!(batches >= acknowledged, "{batches} of {acknowledged}");
    let mut bodies = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        bodies += 1;
        ControlFlow::Continue(())
    };
    store
        .scan(Table::Body, b"", &[0xff; 17], &mut count)
        .unwrap();
    assert_eq!(bodies, batches * CHANGES, "part of a batch is there");
    batches
}

pub(crate) fn run(role: &str) {
    let words: Vec<&str> = role.splitn(4, ' ').collect();
    let [role, engine, number, dir] = words[..] else {
        panic!("no such role: {role}");
    };
    let engine = Engine::from_name(engine).unwrap();
    let number: u64 = number.parse().unwrap();
    let store = open(Path::new(dir), Options::new(engine)).unwrap();
    match role {
        "write" => write(&*store, number),
        "waits" => waits(&*store, number),
        "fails" => fails(&*store, number),
        "reads" => reads(&*store, number),
        "hurries" => hurries(&*store, number),
        _ => panic!("no such role: {role}"),
    }
}

pub(crate) fn watch(store: &dyn Storage) -> Receiver<Progress> {
    let (tell, told) = channel();
    store.watch(Box::new(move |progress| {
        tell.send(progress).ok();
    }));
    told
}

/// Writes until killed, from a batch on, and says what is durable.
fn write(store: &dyn Storage, from: u64) {
    let told = watch(store);
    let mut settled = 0;
    for number in from.. {
        // A few under way at a time, so that a kill meets every state.
        while number >= from + settled + UNDER_WAY {
            let Progress::Durable(sequence) = told.recv().unwrap() else {
                panic!("it failed");
            };
            settled = sequence.0;
            println!("acknowledged {}", from + settled);
        }
        store.submit(batch(number)).unwrap();
    }
}

/// Writes batches, each when the one before is durable.
fn waits(store: &dyn Storage, batches: u64) {
    let told = watch(store);
    for number in 0..batches {
        println!("submitting {number}");
        let sequence = store.submit(batch(number)).unwrap();
        assert_eq!(told.recv(), Ok(Progress::Durable(sequence)));
        println!("acknowledged {number}");
    }
}

/// Writes until a batch fails, and some after.
fn fails(store: &dyn Storage, batches: u64) {
    let told = watch(store);
    for number in 0..batches {
        match store.submit(batch(number)) {
            Ok(_) => match told.recv().unwrap() {
                Progress::Durable(_) => println!("acknowledged {number}"),
                Progress::Failed(_) => println!("failed {number}"),
            },
            Err(error) => println!("refused {error:?}"),
        }
    }
    let first = store.get(Table::Register, &0_u64.to_be_bytes()).unwrap();
    assert!(first.is_some());
    println!("reads go on");
}

/// Reads back what was acknowledged, and writes on.
fn reads(store: &dyn Storage, acknowledged: u64) {
    for number in 0..acknowledged {
        for change in 0..CHANGES {
            let found = store.get(Table::Body, &body_key(number, change)).unwrap();
            assert!(
                found.as_deref() == Some(&body(number, change)[..]),
                "batch {number}"
            );
        }
    }
    waits(store, 3);
}

/// Writes and reads without waiting, while the disk takes its time; says how long the slowest
/// batch took to submit, and to become durable.
fn hurries(store: &dyn Storage, batches: u64) {
    let told = watch(store);
    let mut slowest = Duration::ZERO;
    let begun = Instant::now();
    let mut last = Sequence::default();
    for number in 0..batches {
        let submitting = Instant::now();
        last = store.submit(batch(number)).unwrap();
        let row = store.get(Table::Register, &number.to_be_bytes()).unwrap();
        assert!(row.is_some());
        slowest = slowest.max(submitting.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    while told.recv().unwrap() != Progress::Durable(last) {}
    println!(
        "slowest {} durable {}",
        slowest.as_millis(),
        begun.elapsed().as_millis()
    );
}
