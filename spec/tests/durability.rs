//! A real relay is killed while eight clients write, again and again: nothing that it
//! acknowledged is missing or damaged afterwards, and it is back soon.
//!
//! `ROUNDS` says how often (5), `SEED` how the moments are drawn (1).

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flexstore_core::{CollectionId, Digest};
use support::client::{Client, collection};
use support::relay::Relay;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const CLIENTS: u8 = 8;
/// Records that a client has under way, so that the relay is busy whenever it is killed.
const AHEAD: usize = 50;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A client that writes as fast as it is acknowledged, until the link is cut; what it was told is
/// durable.
async fn write_until_cut(id: CollectionId, number: u8, service: String) -> Vec<Digest> {
    let mut client = Client::new(&id, number);
    if client.try_connect(&service).await.is_err() {
        // The relay was killed first.
        return Vec::new();
    }
    let mut written = 0;
    while client.is_connected() {
        while written < client.transfer.acknowledged as usize + AHEAD {
            client.put(&format!("{number}/{written}"), &"d".repeat(1024));
            written += 1;
        }
        client.drain();
        client.step().await;
    }
    client.sent.truncate(client.transfer.acknowledged as usize);
    client.sent
}

/// What a relay hands to somebody who has nothing. Every record is verified on the way.
async fn everything(id: &CollectionId, relay: &Relay) -> BTreeSet<Digest> {
    let mut reader = Client::new(id, 200);
    reader.connect(&relay.service()).await;
    reader.until("everything", Client::is_settled).await;
    reader.digests()
}

async fn killed_again_and_again(engine: &str) {
    let (rounds, seed) = (number("ROUNDS", 5), number("SEED", 1));
    let data = TempDir::new().unwrap();
    let start = || Relay::start(data.path(), &["--storage", engine]);
    let (mut acknowledged, mut slowest) = (0, Duration::ZERO);
    let mut last: Option<(CollectionId, BTreeSet<Digest>)> = None;
    let mut moment = seed;
    for round in 0..rounds {
        let id = collection(&format!("round {round}"));
        let relay = start();
        let writers: Vec<_> = (1..=CLIENTS)
            .map(|n| tokio::spawn(write_until_cut(id.clone(), n, relay.service())))
            .collect();
        // xorshift: any moment will do, as long as it can be drawn again.
        moment ^= moment << 13;
        moment ^= moment >> 7;
        moment ^= moment << 17;
        sleep(Duration::from_millis(20 + moment % 180)).await;
        relay.kill();
        let mut told = BTreeSet::new();
        for writer in writers {
            told.extend(
                timeout(Duration::from_secs(30), writer)
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        let before = Instant::now();
        let relay = start();
        slowest = slowest.max(before.elapsed());
        let there = everything(&id, &relay).await;
        let lost = told.difference(&there).count();
        assert_eq!(
            lost,
            0,
            "of {} acknowledged, in round {round} of seed {seed}",
            told.len()
        );
        // Nor has the round before lost any to this one's crash.
        if let Some((id, told)) = &last {
            assert!(
                everything(id, &relay).await.is_superset(told),
                "round {round}"
            );
        }
        acknowledged += told.len();
        last = Some((id, told));
        relay.kill();
    }
    assert!(
        acknowledged as u64 > rounds,
        "the relay was killed before it did anything"
    );
    println!(
        "{{\"accept\":\"durability/sigkill-{engine}\",\"figure\":{rounds},\"unit\":\"rounds\",\
         \"seed\":{seed},\"acknowledged\":{acknowledged},\"lost\":0,\
         \"slowest_restart_ms\":{},\"held\":true}}",
        slowest.as_millis()
    );
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_on_fjall() {
    killed_again_and_again("fjall").await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_on_sled() {
    killed_again_and_again("sled").await;
}

/// From the start of the process to the answer to the first client, after a kill.
async fn back_soon(engine: &str) {
    let items = number("ITEMS", 100_000) as usize;
    let data = TempDir::new().unwrap();
    let id = collection("many");
    let relay = Relay::start(data.path(), &["--storage", engine]);
    let mut writer = Client::new(&id, 1);
    for n in 0..items {
        writer.put(&format!("{n}"), &"m".repeat(1024));
        if n % 500 == 0 {
            writer.drain();
        }
    }
    writer.drain();
    writer.connect(&relay.service()).await;
    timeout(Duration::from_secs(300), async {
        while !(writer.live && writer.is_acknowledged()) {
            writer.step().await;
        }
    })
    .await
    .unwrap();
    relay.kill();
    let before = Instant::now();
    let relay = Relay::start(data.path(), &["--storage", engine]);
    writer.until("cut", |writer| !writer.is_connected()).await;
    writer.connect(&relay.service()).await;
    // Equal sets end at hello, so this is the first answer.
    writer.until("equal", |writer| writer.live).await;
    assert!(writer.sent.is_empty(), "something was missing");
    let took = before.elapsed().as_secs_f64();
    let held = took < 2.0;
    println!(
        "{{\"accept\":\"durability/reopen-{engine}\",\"figure\":{took:.3},\"unit\":\"s\",\
         \"items\":{items},\"goal\":\"< 2\",\"held\":{held}}}"
    );
    assert!(held, "{took} s");
}

#[tokio::test]
async fn a_killed_relay_of_100_000_items_is_back_soon_on_fjall() {
    back_soon("fjall").await;
}

#[tokio::test]
async fn a_killed_relay_of_100_000_items_is_back_soon_on_sled() {
    back_soon("sled").await;
}
