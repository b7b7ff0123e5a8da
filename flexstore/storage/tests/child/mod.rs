//! What the child processes of tests do.

use std::path::Path;
use std::sync::mpsc::channel;

use flexstore_core::storage::{Batch, Progress, Storage, Table};
use flexstore_storage::{Engine, Options, open};

/// The environment variable that makes a process a child, with its role.
pub(crate) const ROLE: &str = "FLEXSTORE_STORAGE_CHILD";

/// Bodies in a batch.
pub(crate) const CHANGES: u64 = 3;

const UNDER_WAY: u64 = 4;

pub(crate) fn body_key(batch: u64, change: u64) -> Vec<u8> {
    [batch.to_be_bytes(), change.to_be_bytes()].concat()
}

pub(crate) fn body(batch: u64, change: u64) -> Vec<u8> {
    // Now and then larger than what the engines keep in line.
    let length = if batch.is_multiple_of(17) { 200_000 } else { 700 };
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

/// `write <engine> <first batch> <directory>`: writes until killed, or until it fails, and says
/// what is durable, and what failed.
pub(crate) fn run(role: &str) {
    let words: Vec<&str> = role.splitn(4, ' ').collect();
    let ["write", engine, from, dir] = words[..] else {
        panic!("no such role: {role}");
    };
    let engine = Engine::from_name(engine).unwrap();
    let from: u64 = from.parse().unwrap();
    let store = open(Path::new(dir), Options::new(engine)).unwrap();
    write(&*store, from);
}

fn write(store: &dyn Storage, from: u64) {
    let (tell, told) = channel();
    store.watch(Box::new(move |progress| tell.send(progress).unwrap()));
    let mut settled = 0;
    for number in from.. {
        // A few under way at a time, so that a kill meets every state.
        while number >= from + settled + UNDER_WAY {
            match told.recv().unwrap() {
                Progress::Durable(sequence) => {
                    settled = sequence.0;
                    println!("acknowledged {}", from + settled);
                }
                Progress::Failed(sequence) => {
                    settled = sequence.0;
                    println!("failed {}", from + settled);
                }
            }
        }
        if let Err(error) = store.submit(batch(number)) {
            println!("refused {error:?}");
            return;
        }
    }
}
