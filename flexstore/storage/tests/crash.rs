//! What was acknowledged survives `kill -9`, whole; and the lock does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod child;

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flexstore_core::storage::{Storage, Table};
use flexstore_storage::{Engine, OpenError, Options, open};

use self::child::{CHANGES, ROLE};

const ROUNDS: u64 = 10;

/// Runs only as the child of another test.
#[test]
fn child() {
    if let Ok(role) = std::env::var(ROLE) {
        child::run(&role);
    }
}

fn writer(dir: &Path, engine: Engine, from: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, format!("write {engine} {from} {}", dir.display()))
        .stdout(Stdio::piped());
    command
}

/// Every batch up to `acknowledged` is there, and each that is there is whole.
fn check(store: &dyn Storage, acknowledged: u64) -> u64 {
    let mut batches = 0_u64;
    let mut scan = |key: &[u8], value: &[u8]| {
        assert_eq!(key, batches.to_be_bytes());
        assert_eq!(value, batches.to_be_bytes());
        for change in 0..CHANGES {
            let body = store.get(Table::Body, &child::body_key(batches, change));
            let expected = child::body(batches, change);
            assert!(
                body.unwrap().as_deref() == Some(&expected[..]),
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

fn survives_kills(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    for round in 0..ROUNDS {
        let mut child = writer(dir.path(), engine, written).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = written;
        let mut told = 0;
        for line in lines {
            let line = line.unwrap();
            // The harness may have begun the line.
            let Some((_, number)) = line.split_once("acknowledged ") else {
                continue;
            };
            acknowledged = number.parse().unwrap();
            told += 1;
            if told == 1 {
                // Whoever comes while it lives is turned away.
                let second = open(dir.path(), Options::new(engine));
                assert!(matches!(second, Err(OpenError::Locked)));
            }
            // Another place each time; what is still in the pipe was acknowledged too.
            if told == 20 + round * 13 {
                std::thread::sleep(Duration::from_micros(round * 377));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged > written, "the child wrote nothing");
        let store = open(dir.path(), Options::new(engine)).unwrap();
        written = check(&*store, acknowledged);
    }
}

#[test]
fn fjall_survives_kills() {
    survives_kills(Engine::Fjall);
}

#[test]
fn sled_survives_kills() {
    survives_kills(Engine::Sled);
}
