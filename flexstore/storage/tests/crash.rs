//! What was acknowledged survives `kill -9`, whole; and the lock does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod child;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flexstore_storage::{Engine, OpenError, Options, open};

use self::child::crashed::number;
use self::child::{ROLE, check};

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

fn survives_kills(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    let rounds = number("ROUNDS", 10);
    for round in 0..rounds {
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
            if told == 20 + round % 40 * 13 {
                std::thread::sleep(Duration::from_micros(round * 377 % 20_000));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged > written, "the child wrote nothing");
        let store = open(dir.path(), Options::new(engine)).unwrap();
        written = check(&*store, acknowledged);
    }
    println!(
        "{{\"accept\":\"durability/kill-{engine}\",\"figure\":{rounds},\"unit\":\"rounds\",\"goal\":\"0 lost\",\"held\":true}}"
    );
}

#[test]
fn fjall_survives_kills() {
    survives_kills(Engine::Fjall);
}

#[test]
fn sled_survives_kills() {
    survives_kills(Engine::Sled);
}
