//! Figures of the relay as it is: throughput each way and latency of a live push. Not run by
//! default: `cargo test --release -p flexstore-spec --test relay_figures -- --ignored --nocapture`.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use flexstore_storage::Options;
use support::client::{Client, collection};
use support::relay::Relay;

const PUSHES: usize = 1000;

fn items() -> usize {
    std::env::var("ITEMS").map_or(50_000, |items| items.parse().unwrap())
}

/// The median cost of an fsync here and now, which durable figures are to be read against.
fn fsync(dir: &tempfile::TempDir) -> Duration {
    use std::io::Write as _;
    let mut file = std::fs::File::create(dir.path().join("probe")).unwrap();
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            file.write_all(&[0; 1700]).unwrap();
            let start = Instant::now();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[50]
}

fn fresh(dir: &tempfile::TempDir, number: u8) -> Client {
    let store = dir.path().join(format!("client-{number}"));
    let store = flexstore_storage::open(store, Options::default()).unwrap();
    Client::on(store, &collection("figures"), number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn throughput_each_way() {
    for scheme in ["ws", "http"] {
        throughput(scheme).await;
    }
}

async fn throughput(scheme: &str) {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(&data.path().join("relay"), &[]);
    let service = relay.service().replace("ws", scheme);
    let items = items();
    let (mut alice, mut bob) = (fresh(&data, 1), fresh(&data, 2));
    for number in 0..items {
        alice.put(&format!("tag-{number}"), &"x".repeat(1024));
        if number % 1000 == 0 {
            alice.drain();
        }
    }
    alice.drain();
    alice
        .until("stored", |alice| alice.stored.len() == items)
        .await;
    alice.stored.clear();
    alice.updates.clear();
    let rate = |start: Instant| items as f64 / start.elapsed().as_secs_f64();

    let start = Instant::now();
    alice.connect(&service).await;
    alice.until("sent", Client::is_settled).await;
    println!("{scheme}, client -> relay: {:.0} items/s", rate(start));
    alice.disconnect();

    let start = Instant::now();
    bob.connect(&service).await;
    bob.until("got", |bob| bob.is_settled() && bob.len() == items)
        .await;
    println!("{scheme}, relay -> client: {:.0} items/s", rate(start));
    println!("relay: {} MiB resident", relay.memory() >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn latency_of_a_live_push() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(&data.path().join("relay"), &[]);
    let (mut alice, mut bob) = (fresh(&data, 1), fresh(&data, 2));
    alice.connect(&relay.service()).await;
    bob.connect(&relay.service()).await;
    tokio::join!(
        alice.until("live", Client::is_settled),
        bob.until("live", Client::is_settled)
    );
    let reader = tokio::spawn(async move {
        let mut arrivals = Vec::new();
        for number in 0..PUSHES {
            bob.until("pushed", |bob| bob.updates.len() > number).await;
            arrivals.push(Instant::now());
        }
        arrivals
    });
    let mut starts = Vec::new();
    for number in 0..PUSHES {
        starts.push(Instant::now());
        let written = alice.write(&format!("tag-{number}"), &"x".repeat(1024));
        alice.until_acknowledged(&written).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let arrivals = reader.await.unwrap();
    let mut latencies: Vec<Duration> = (arrivals.into_iter().zip(starts))
        .map(|(arrival, start)| arrival - start)
        .collect();
    latencies.sort();
    println!(
        "live push, durable at three hops: median {:?}, p99 {:?}; one fsync {:?}",
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100],
        fsync(&data)
    );
}
