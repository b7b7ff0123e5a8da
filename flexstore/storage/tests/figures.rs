//! Figures, not tests: `cargo test --release -p flexstore-storage --test figures -- --ignored
//! --nocapture --test-threads 1`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use flexstore_core::storage::{Batch, Progress, Sequence, Storage, Table};
use flexstore_storage::{Engine, Options, open};

/// The last durable sequence, for many who wait each for its own.
#[derive(Default)]
struct Durable(Mutex<u64>, Condvar);

impl Durable {
    fn of(store: &dyn Storage) -> Arc<Self> {
        let durable = Arc::new(Self::default());
        let told = Arc::clone(&durable);
        store.watch(Box::new(move |progress| {
            let Progress::Durable(sequence) = progress else {
                panic!("{progress:?}");
            };
            *told.0.lock().unwrap() = sequence.0;
            told.1.notify_all();
        }));
        durable
    }

    fn wait(&self, sequence: Sequence) {
        let mut reached = self.0.lock().unwrap();
        while *reached < sequence.0 {
            reached = self.1.wait(reached).unwrap();
        }
    }
}

fn key(i: u64) -> Vec<u8> {
    // Spread as digests are.
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = mixed.to_be_bytes().to_vec();
    key.extend_from_slice(&[i as u8; 24]);
    key
}

fn record(i: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Register, key(i), vec![7; 90]);
    batch.put(Table::Body, key(!i), vec![i as u8; 1_600]);
    batch
}

fn rate(engine: Engine) {
    const WRITERS: u64 = 64;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Options::new(engine)).unwrap();
    let durable = Durable::of(&*store);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(4);
    let total: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, durable) = (&store, &durable);
                scope.spawn(move || {
                    let mut written = 0;
                    while Instant::now() < end {
                        let mut batch = Batch::new();
                        batch.put(Table::Body, key(written * WRITERS + writer), vec![1; 1_024]);
                        durable.wait(store.submit(batch).unwrap());
                        written += 1;
                    }
                    written
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum()
    });
    let rate = total as f64 / begun.elapsed().as_secs_f64();
    println!("{engine}: {rate:.0} durable batches of 1 KiB a second from {WRITERS} writers");

    let begun = Instant::now();
    for i in 0..1_000 {
        let mut batch = Batch::new();
        batch.put(Table::Meta, key(i), vec![1; 1_024]);
        durable.wait(store.submit(batch).unwrap());
    }
    println!(
        "{engine}: {:?} a durable batch from one writer",
        begun.elapsed() / 1_000
    );
    let file = std::fs::File::create(dir.path().join("fjall-free")).unwrap();
    let begun = Instant::now();
    for _ in 0..200 {
        std::io::Write::write_all(&mut &file, &[1; 1_024]).unwrap();
        file.sync_data().unwrap();
    }
    println!("this disk: {:?} an fdatasync", begun.elapsed() / 200);
}

fn fill(dir: &Path, options: Options, from: u64, to: u64) -> Arc<dyn Storage> {
    let store = open(dir, options).unwrap();
    let durable = Durable::of(&*store);
    let begun = Instant::now();
    let mut last = Sequence::default();
    for i in from..to {
        last = store.submit(record(i)).unwrap();
    }
    durable.wait(last);
    println!("wrote {} records in {:?}", to - from, begun.elapsed());
    store
}

fn scan_all(dir: &Path, engine: Engine, expected: u64, how: &str) {
    let begun = Instant::now();
    let store = open(dir, Options::new(engine)).unwrap();
    let opened = begun.elapsed();
    let mut rows = 0;
    store
        .scan(Table::Register, b"", &[0xff; 40], &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(rows, expected);
    let took = begun.elapsed();
    let processor = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    println!(
        "{engine}, {how}: opened in {opened:?}, with the scan {took:?}; this thread so far {processor:?}"
    );
}

fn reopening(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let store = fill(dir.path(), Options::new(engine), 0, 100_000);
    // What a kill leaves: the files as they are while the store is open and at rest.
    std::thread::sleep(Duration::from_secs(2));
    let killed = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r", "--sparse=always"])
        .arg(dir.path().join("."))
        .arg(killed.path())
        .status()
        .unwrap();
    assert!(copied.success());
    // Or the next fsync writes all of the copy.
    rustix::fs::sync();
    let begun = Instant::now();
    drop(store);
    println!("{engine}: closed in {:?}", begun.elapsed());
    for _ in 0..3 {
        scan_all(dir.path(), engine, 100_000, "after closing");
    }
    scan_all(killed.path(), engine, 100_000, "after a kill");
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1_024
}

fn memory(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let mut before = None;
    let mut from = 0;
    for to in [100_000, 300_000, 1_000_000] {
        let store = fill(
            dir.path(),
            Options::new(engine).with_cache_bytes(0),
            from,
            to,
        );
        std::thread::sleep(Duration::from_secs(2));
        for i in 0..20_000 {
            let i = i * 7_919 % to;
            assert!(store.get(Table::Body, &key(!i)).unwrap().is_some());
        }
        let now = resident();
        println!("{engine}: {to} records, {} KiB", now >> 10);
        if let Some((items, bytes)) = before {
            let grown = now as f64 - bytes as f64;
            println!("{engine}: {:.1} bytes an item", grown / (to - items) as f64);
        } else {
            before = Some((to, now));
        }
        from = to;
        let begun = Instant::now();
        for i in 0..20_000 {
            let i = i * 104_729 % to;
            assert!(store.get(Table::Body, &key(!i)).unwrap().is_some());
        }
        println!("{engine}: {:?} a get", begun.elapsed() / 20_000);
    }
}

#[test]
#[ignore = "a figure"]
fn fjall_rate() {
    rate(Engine::Fjall);
}

#[test]
#[ignore = "a figure"]
fn sled_rate() {
    rate(Engine::Sled);
}

#[test]
#[ignore = "a figure"]
fn fjall_reopening() {
    reopening(Engine::Fjall);
}

#[test]
#[ignore = "a figure"]
fn sled_reopening() {
    reopening(Engine::Sled);
}

#[test]
#[ignore = "a figure"]
fn fjall_memory() {
    memory(Engine::Fjall);
}

#[test]
#[ignore = "a figure"]
fn sled_memory() {
    memory(Engine::Sled);
}
