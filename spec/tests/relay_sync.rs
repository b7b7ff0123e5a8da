//! The real relay, and clients that sync through it.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::client::{Client, PATIENCE, collection};
use support::relay::Relay;
use tokio::time::timeout;

#[test]
fn says_when_it_is_ready_and_stops_on_sigterm() {
    let data = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut relay = Relay::start(data.path(), &[]);
        let answer = relay.get("/healthz");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
        for path in [
            "/",
            "/index.html",
            "/flexstore/x",
            "/../etc/passwd",
            "/%2e%2e/x",
        ] {
            let answer = relay.get(path);
            assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        }
        relay.signal(signal);
        assert_eq!(relay.wait().code(), Some(0));
    }
}

#[test]
fn a_directory_is_one_relays() {
    let data = tempfile::tempdir().unwrap();
    let first = Relay::start(data.path(), &[]);
    let second = Relay::try_start("127.0.0.1:0", data.path(), &[])
        .err()
        .unwrap();
    assert!(second.contains("exit status: 1"), "{second}");
    assert!(second.contains("is open already"), "{second}");
    first.kill();
    // Its lock went with it.
    Relay::start(data.path(), &[]);
}

#[tokio::test]
async fn two_clients_sync_a_thousand_records_and_stay_live() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let id = collection("cities");
    let (mut alice, mut bob) = (Client::new(&id, 1), Client::new(&id, 2));
    for number in 0..1000 {
        alice.put(&format!("city-{number}"), &"x".repeat(1024));
    }
    alice.drain();
    alice
        .until("stored", |alice| alice.stored.len() == 1000)
        .await;
    alice.connect(&relay.service()).await;
    alice.until("sent", |alice| alice.live).await;
    bob.connect(&relay.service()).await;
    bob.until("got", |bob| bob.live && bob.len() == 1000).await;
    assert_eq!(alice.digests(), bob.digests());

    let written = bob.write("city-7", "from the other side");
    tokio::join!(alice.until_has(&written), bob.until_acknowledged(&written),);
    assert_eq!(alice.digests(), bob.digests());
}

async fn killed_in_mid_transfer(engine: &str) {
    let data = tempfile::tempdir().unwrap();
    let id = collection("killed");
    let mut alice = Client::new(&id, 1);
    for number in 0..2000 {
        alice.put(&format!("tag-{number}"), &"y".repeat(1024));
    }
    alice.drain();
    alice
        .until("stored", |alice| alice.stored.len() == 2000)
        .await;
    for round in 1..=3 {
        let relay = Relay::start(data.path(), &["--storage", engine]);
        alice.connect(&relay.service()).await;
        alice
            .until("some", |alice| {
                alice.transfer.acknowledged > 0 || alice.live
            })
            .await;
        let acknowledged = alice.transfer.acknowledged;
        relay.kill();
        alice.until("cut", |alice| !alice.is_connected()).await;

        let before = Instant::now();
        let relay = Relay::start(data.path(), &["--storage", engine]);
        assert!(before.elapsed() < Duration::from_secs(2));
        // What was acknowledged in this round alone must be there; who asks has nothing.
        let mut bob = Client::new(&id, 2);
        bob.connect(&relay.service()).await;
        bob.until("got", Client::is_settled).await;
        assert!(bob.len() as u64 >= acknowledged, "round {round}");
        assert!(alice.digests().is_superset(&bob.digests()));
        relay.kill();
    }
    let relay = Relay::start(data.path(), &["--storage", engine]);
    alice.connect(&relay.service()).await;
    alice.until("sent", |alice| alice.live).await;
    let mut bob = Client::new(&id, 2);
    bob.connect(&relay.service()).await;
    bob.until("got", Client::is_settled).await;
    assert_eq!(alice.digests(), bob.digests());
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_killed_on_fjall() {
    timeout(2 * PATIENCE, killed_in_mid_transfer("fjall"))
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_killed_on_sled() {
    timeout(2 * PATIENCE, killed_in_mid_transfer("sled"))
        .await
        .unwrap();
}
