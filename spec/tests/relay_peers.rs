//! Relays among themselves, as the real binary: chains and rings, one that was away, and two that
//! only a client joins. What crosses between them is counted.

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::sync::Arc;
use std::time::Duration;

use flexstore::{Collection, MemoryStorage, Mutable, Peer};
use flexstore_transports::Transports;
use rustix::process::Signal;
use support::relay::Relay;
use support::tap::Tap;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(60);

/// Relays that name each other on both sides, with a tap in every line.
struct Fleet {
    relays: Vec<Relay>,
    data: Vec<TempDir>,
    /// By who dials and who is dialled.
    taps: Vec<(usize, usize, Tap)>,
}

impl Fleet {
    async fn new(count: usize, lines: &[(usize, usize)]) -> Self {
        let mut taps = Vec::new();
        for &(a, b) in lines {
            taps.push((a, b, Tap::new().await));
            taps.push((b, a, Tap::new().await));
        }
        let mut fleet = Self {
            relays: Vec::new(),
            data: (0..count).map(|_| tempfile::tempdir().unwrap()).collect(),
            taps,
        };
        for number in 0..count {
            let relay = fleet.spawn(number);
            fleet.relays.push(relay);
        }
        for number in 0..count {
            fleet.mend(number);
        }
        fleet
    }

    fn spawn(&self, number: usize) -> Relay {
        let mut more = Vec::new();
        for (from, _, tap) in &self.taps {
            if *from == number {
                more.extend(["--peer", &tap.service]);
            }
        }
        Relay::start(self.data[number].path(), &more)
    }

    /// Lets others reach a relay.
    fn mend(&self, number: usize) {
        let service = self.relays[number].service();
        for (_, to, tap) in &self.taps {
            if *to == number {
                tap.target(Some(service.clone()));
            }
        }
    }

    /// Cuts a relay off from all others, both ways.
    fn cut(&self, number: usize) {
        for (from, to, tap) in &self.taps {
            if *from == number || *to == number {
                tap.target(None);
            }
        }
    }

    /// Ends a relay with SIGKILL.
    fn kill(&mut self, number: usize) {
        self.relays[number].signal(Signal::KILL);
        self.relays[number].wait();
    }

    fn restart(&mut self, number: usize) {
        self.relays[number] = self.spawn(number);
        self.mend(number);
    }

    /// Each record at most once each way on each connection; how many crossed at all.
    fn crossings(&self) -> usize {
        let mut all = 0;
        for (from, to, tap) in &self.taps {
            let (most, count) = tap.most();
            assert!(most <= 1, "{from} to {to}: a record crossed {most} times");
            all += count;
        }
        all
    }

    fn bytes(&self) -> usize {
        self.taps.iter().map(|(.., tap)| tap.bytes()).sum()
    }
}

/// An app with one collection.
struct App {
    _peer: Peer,
    notes: Collection<Mutable>,
}

impl App {
    async fn new(services: &[String]) -> Self {
        let peer = Peer::connected(Arc::new(MemoryStorage::new()), Transports::new()).unwrap();
        peer.credentials().create_device().await.unwrap();
        let mut open = peer.collection::<Mutable>("notes");
        for service in services {
            open = open.service(service);
        }
        let notes = open.open().unwrap();
        Self { _peer: peer, notes }
    }

    async fn write(&self, from: usize, to: usize) {
        for number in from..to {
            let text = format!("note {number} {}", "x".repeat(200));
            self.notes
                .store(text)
                .tag(format!("{number}"))
                .await
                .unwrap();
        }
    }

    async fn has(&self, count: usize) {
        let until = Instant::now() + SOON;
        loop {
            let here = self.notes.list().unwrap().len();
            if here == count {
                return;
            }
            assert!(Instant::now() < until, "{here} of {count} after {SOON:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn apps(fleet: &Fleet) -> Vec<App> {
    let mut apps = Vec::new();
    for relay in &fleet.relays {
        apps.push(App::new(&[relay.service()]).await);
    }
    apps
}

/// Writers at each of three relays, at once.
async fn all_converge(name: &str, lines: &[(usize, usize)]) {
    const EACH: usize = 300;
    let fleet = Fleet::new(3, lines).await;
    let apps = apps(&fleet).await;
    // While relays that name each other find out which session stays, one or the other way.
    apps[0].write(3 * EACH, 3 * EACH + 1).await;
    for app in &apps {
        app.has(1).await;
    }
    sleep(Duration::from_secs(1)).await;
    let before = fleet.crossings();
    let writes = apps.iter().enumerate();
    let writes = writes.map(|(at, app)| app.write(at * EACH, (at + 1) * EACH));
    futures_util::future::join_all(writes).await;
    for app in &apps {
        app.has(3 * EACH + 1).await;
    }
    let all = fleet.crossings() - before;
    println!(
        "{name}: {} records, {all} crossings of {} lines",
        3 * EACH,
        lines.len()
    );
    // In a chain each record crosses each line once; in a ring it may come both ways round.
    assert!(all >= 2 * 3 * EACH, "{all}");
    assert!(all <= 2 * lines.len() * 3 * EACH, "{all}");
    if lines.len() == 2 {
        assert_eq!(all, 2 * 3 * EACH);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_converges_and_each_record_crosses_each_line_once() {
    all_converge("chain", &[(0, 1), (1, 2)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_converges_and_each_record_crosses_each_line_at_most_once_each_way() {
    all_converge("ring", &[(0, 1), (1, 2), (2, 0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_was_away_catches_up_at_the_cost_of_the_difference() {
    const MANY: usize = 2000;
    const FEW: usize = 20;
    let mut fleet = Fleet::new(3, &[(0, 1), (1, 2)]).await;
    let apps = apps(&fleet).await;
    apps[0].write(0, MANY).await;
    apps[2].has(MANY).await;
    fleet.kill(2);
    apps[0].write(MANY, MANY + FEW).await;
    apps[1].has(MANY + FEW).await;
    let before = fleet.bytes();
    fleet.restart(2);
    let late = App::new(&[fleet.relays[2].service()]).await;
    late.has(MANY + FEW).await;
    let cost = fleet.bytes() - before;
    let whole = before * FEW / (MANY + FEW);
    println!(
        "away for {FEW} of {} records: {cost} bytes, of {before} for all",
        MANY + FEW
    );
    assert!(cost < whole + (16 << 10), "{cost} bytes for {FEW} records");
    fleet.crossings();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_heals() {
    let fleet = Fleet::new(3, &[(0, 1), (1, 2), (2, 0)]).await;
    let apps = apps(&fleet).await;
    apps[0].write(0, 50).await;
    apps[2].has(50).await;
    fleet.cut(2);
    apps[0].write(50, 100).await;
    apps[2].write(100, 150).await;
    apps[1].has(100).await;
    assert_eq!(apps[2].notes.list().unwrap().len(), 100, "cut off");
    for number in 0..3 {
        fleet.mend(number);
    }
    for app in &apps {
        app.has(150).await;
    }
    fleet.crossings();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_that_only_a_client_joins_converge() {
    let fleet = Fleet::new(2, &[]).await;
    let [left, right] = [0, 1].map(|at| fleet.relays[at].service());
    let bridge = App::new(&[left.clone(), right.clone()]).await;
    let (ann, ben) = (App::new(&[left]).await, App::new(&[right]).await);
    ann.write(0, 100).await;
    ben.write(100, 200).await;
    for app in [&ann, &ben, &bridge] {
        app.has(200).await;
    }
}
