//! A disk that runs full, on a small tmpfs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod child;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use flexstore_core::storage::{Progress, Storage, StorageError, Table};
use flexstore_storage::{Engine, Options, open};

use self::child::{CHANGES, batch, body, body_key};

/// A mounted file system, gone when dropped.
struct Small(PathBuf);

impl Small {
    /// `None`, with a word, where this process may not mount. In CI that is a failure.
    fn mount(mebibytes: u32) -> Option<Self> {
        let path = tempfile::tempdir().unwrap().keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&path)
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            assert!(std::env::var_os("CI").is_none(), "no right to mount in CI");
            println!("skipped: no right to mount a tmpfs");
            return None;
        }
        Some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
        fs::remove_dir(&self.0).ok();
    }
}

fn watch(store: &dyn Storage) -> Receiver<Progress> {
    let (tell, told) = channel();
    store.watch(Box::new(move |progress| {
        tell.send(progress).ok();
    }));
    told
}

/// Writes until the disk is full; the batches taken.
fn fill(store: &dyn Storage, mut number: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        match store.submit(batch(number)) {
            Ok(_) => number += 1,
            Err(StorageError::Full) => return number,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk never ran full");
}

/// What is there is whole; the batches that are there.
fn check(store: &dyn Storage, to: u64) -> Vec<u64> {
    (0..to)
        .filter(|&number| {
            let row = store.get(Table::Register, &number.to_be_bytes()).unwrap();
            for change in 0..CHANGES {
                let found = store.get(Table::Body, &body_key(number, change)).unwrap();
                let expected = row.is_some().then(|| body(number, change));
                assert!(found.as_deref() == expected.as_deref(), "batch {number}");
            }
            row.is_some()
        })
        .collect()
}

/// Tells everything up to the last progress.
fn settled(told: &Receiver<Progress>, last: u64, durable: &mut u64) {
    loop {
        match told.recv_timeout(Duration::from_secs(30)).unwrap() {
            Progress::Durable(sequence) => {
                *durable = sequence.0;
                if sequence.0 == last {
                    return;
                }
            }
            Progress::Failed(sequence) => {
                assert!(sequence.0 > *durable);
                if sequence.0 == last {
                    return;
                }
            }
        }
    }
}

fn runs_full(engine: Engine) {
    let Some(small) = Small::mount(96) else {
        return;
    };
    let dir = small.0.join("store");
    let ballast = small.0.join("ballast");
    fs::write(&ballast, vec![1; 48 << 20]).unwrap();
    let store = open(&dir, Options::new(engine)).unwrap();
    let told = watch(&*store);
    let mut durable = 0;

    let full_at = fill(&*store, 0);
    println!("{engine}: full after {full_at} batches");
    settled(&told, full_at, &mut durable);
    let durable_at_full = durable;
    println!("{engine}: {durable} of them durable");
    // Reads go on, and see everything that was acknowledged.
    let there = check(&*store, full_at + 1);
    assert!((0..durable).all(|number| there.contains(&number)));

    // A reader that reads inside its scan while the engine is opened again.
    let reader = std::thread::spawn({
        let store = Arc::clone(&store);
        move || {
            for _ in 0..20 {
                store
                    .scan(Table::Register, b"", &[0xff; 9], &mut |key, _| {
                        assert!(store.get(Table::Register, key).unwrap().is_some());
                        std::thread::sleep(Duration::from_micros(100));
                        std::ops::ControlFlow::Continue(())
                    })
                    .unwrap();
            }
        }
    });
    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    let mut number = full_at;
    let last = loop {
        match store.submit(batch(number)) {
            Ok(sequence) => break sequence.0,
            Err(StorageError::Full) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => panic!("{error:?}"),
        }
        assert!(freed.elapsed() < Duration::from_secs(20), "no writes again");
    };
    println!(
        "{engine}: takes writes {:?} after room was made",
        freed.elapsed()
    );
    assert_eq!(last, full_at + 1);
    number += 1;
    let mut last = last;
    for _ in 0..20 {
        last = store.submit(batch(number)).unwrap().0;
        number += 1;
    }
    settled(&told, last, &mut durable);
    assert_eq!(durable, last);
    reader.join().unwrap();
    check(&*store, number);
    drop(store);

    let store = open(&dir, Options::new(engine)).unwrap();
    let there = check(&*store, number);
    assert!((0..durable_at_full).all(|number| there.contains(&number)));
    assert!((full_at..number).all(|number| there.contains(&number)));
    println!(
        "{{\"accept\":\"durability/full-{engine}\",\"figure\":{durable_at_full},\"unit\":\"durable before\",\"held\":true}}"
    );
}

#[test]
fn fjall_runs_full() {
    runs_full(Engine::Fjall);
}

#[test]
fn sled_runs_full() {
    runs_full(Engine::Sled);
}

/// A batch that was refused does not come back when the engine is opened again.
#[test]
fn a_refused_batch_stays_away() {
    let Some(small) = Small::mount(80) else {
        return;
    };
    let dir = small.0.join("store");
    let ballast = small.0.join("ballast");
    let store = open(&dir, Options::new(Engine::Fjall)).unwrap();
    fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let mut refused = Vec::new();
    let mut number = 0;
    for _ in 0..5 {
        leave(&small.0, &ballast);
        number = fill(&*store, number);
        // The batch that broke the engine; the one after would be refused at the door.
        refused.push(number);
        number += 1;
        fs::remove_file(&ballast).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while store.submit(batch(number)).is_err() {
            assert!(Instant::now() < until, "no writes again");
            std::thread::sleep(Duration::from_millis(20));
        }
        number += 1;
        let there = check(&*store, number);
        assert!(refused.iter().all(|number| !there.contains(number)));
    }
    drop(store);
    let store = open(&dir, Options::new(Engine::Fjall)).unwrap();
    let there = check(&*store, number);
    assert!(refused.iter().all(|number| !there.contains(number)));
}

/// Fills the disk up to its last MiB or so.
fn leave(root: &Path, ballast: &Path) {
    let free = |root: &Path| {
        let stat = rustix::fs::statvfs(root).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let length = fs::metadata(ballast).map_or(0, |data| data.len());
    let more = free(root).saturating_sub(1 << 20);
    fs::write(ballast, vec![1; usize::try_from(length + more).unwrap()]).unwrap();
}
