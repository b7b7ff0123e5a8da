//! The suite that every storage passes. Each function panics where a storage does not.
//!
//! [`behaves`] wants a new, empty store at each call of `open`. [`persists`] wants the same place
//! at each call: empty at first, then what was there when the last store was dropped.
#![allow(clippy::expect_used, reason = "a suite fails by panicking")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::storage::{Batch, Progress, Sequence, Storage, StorageError, Table};

use super::model;

/// Makes or opens a store.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Storage>;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// How long a store may take to make a batch durable before the suite calls it stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs all that needs no reopening; `open` makes a new, empty store at each call.
pub fn behaves(open: Open<'_>) {
    reads_its_writes(&*open());
    later_changes_count(&*open());
    tables_are_apart(&*open());
    scans_stay_in_bounds(&*open());
    scans_break(&*open());
    scans_see_one_moment(open());
    batches_are_seen_whole(&open());
    takes_every_value(&*open());
    takes_every_key(&*open());
    tells_in_order(&*open());
    model::run(&mut || open(), 1, 2_000, false);
}

/// Runs all that reopens; `open` opens the same place at each call, empty at first.
pub fn persists(open: Open<'_>) {
    keeps_everything(open);
    keeps_what_was_not_waited_for(open);
    model::run(&mut || open(), 2, 1_500, true);
}

/// A batch is visible to `get` and `scan` as soon as `submit` has returned.
pub fn reads_its_writes(store: &dyn Storage) {
    assert_eq!(store.get(Table::Meta, b"a"), Ok(None));
    put(store, Table::Meta, b"a", b"1");
    assert_eq!(get(store, Table::Meta, b"a"), Some(b"1".to_vec()));
    put(store, Table::Meta, b"a", b"2");
    assert_eq!(get(store, Table::Meta, b"a"), Some(b"2".to_vec()));
    delete(store, Table::Meta, b"a");
    assert_eq!(get(store, Table::Meta, b"a"), None);
    delete(store, Table::Meta, b"a");
    assert_eq!(all(store, Table::Meta), Pairs::new());
    store.submit(Batch::new()).expect("an empty batch is taken");
}

/// Where a batch names a key twice, the later change counts.
pub fn later_changes_count(store: &dyn Storage) {
    let mut batch = Batch::new();
    batch.put(Table::Meta, "set", "1");
    batch.put(Table::Meta, "set", "2");
    batch.put(Table::Meta, "gone", "1");
    batch.delete(Table::Meta, "gone");
    batch.delete(Table::Meta, "back");
    batch.put(Table::Meta, "back", "1");
    batch.put(Table::Body, "set", "body");
    submit(store, batch);
    assert_eq!(get(store, Table::Meta, b"set"), Some(b"2".to_vec()));
    assert_eq!(get(store, Table::Meta, b"gone"), None);
    assert_eq!(get(store, Table::Meta, b"back"), Some(b"1".to_vec()));
    assert_eq!(get(store, Table::Body, b"set"), Some(b"body".to_vec()));
}

/// One key in two tables is two keys.
pub fn tables_are_apart(store: &dyn Storage) {
    for table in Table::ALL {
        put(store, table, b"k", &[table as u8]);
    }
    for table in Table::ALL {
        assert_eq!(all(store, table), [(b"k".to_vec(), vec![table as u8])]);
    }
    delete(store, Table::Register, b"k");
    assert_eq!(all(store, Table::Register), Pairs::new());
    assert_eq!(get(store, Table::Body, b"k"), Some(vec![Table::Body as u8]));
}

/// A scan visits `from <= key < to`, ascending as bytes.
pub fn scans_stay_in_bounds(store: &dyn Storage) {
    let keys: [&[u8]; 7] = [b"", b"\0", b"a", b"a\0", b"ab", b"b", b"\xff\xff"];
    for key in keys.iter().rev() {
        put(store, Table::Register, key, key);
    }
    let scanned = |from: &[u8], to: &[u8]| -> Vec<Vec<u8>> {
        scan(store, Table::Register, from, to)
            .into_iter()
            .map(|(key, value)| {
                assert_eq!(key, value);
                key
            })
            .collect()
    };
    assert_eq!(scanned(b"", b"\xff\xff\xff"), keys);
    assert_eq!(scanned(b"", b"\xff\xff"), keys[..6]);
    assert_eq!(scanned(b"a", b"b"), keys[2..5]);
    assert_eq!(scanned(b"a\0", b"ab\0"), keys[3..5]);
    assert_eq!(scanned(b"", b""), Vec::<Vec<u8>>::new());
    assert_eq!(scanned(b"a", b"a"), Vec::<Vec<u8>>::new());
    assert_eq!(scanned(b"b", b"a"), Vec::<Vec<u8>>::new());
    assert_eq!(scanned(b"c", b"d"), Vec::<Vec<u8>>::new());
}

/// A scan ends where the visitor breaks, and a visitor may read.
pub fn scans_break(store: &dyn Storage) {
    for i in 0..1_000_u32 {
        put(store, Table::Register, &i.to_be_bytes(), b"v");
    }
    let mut seen = 0;
    store
        .scan(Table::Register, b"", &[0xff; 5], &mut |key, _| {
            assert_eq!(get(store, Table::Register, key), Some(b"v".to_vec()));
            seen += 1;
            if seen == 600 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .expect("scan");
    assert_eq!(seen, 600);
}

/// What is written while a scan runs is not seen by it.
pub fn scans_see_one_moment(store: Arc<dyn Storage>) {
    for i in 0..2_000_u32 {
        put(&*store, Table::Register, &i.to_be_bytes(), b"old");
    }
    // A thread of its own, since a store may make writers wait until a scan is done.
    let (begin, begun) = channel();
    let writer = std::thread::spawn({
        let store = Arc::clone(&store);
        move || {
            begun.recv().expect("the scan begins");
            for i in 0..2_000_u32 {
                let mut batch = Batch::new();
                batch.put(Table::Register, i.to_be_bytes().to_vec(), "new");
                batch.delete(Table::Register, (1_999 - i).to_be_bytes().to_vec());
                batch.put(Table::Register, (10_000 + i).to_be_bytes().to_vec(), "new");
                submit(&*store, batch);
            }
        }
    });
    let mut seen = 0_u32;
    store
        .scan(Table::Register, b"", &[0xff; 5], &mut |key, value| {
            if seen == 0 {
                begin.send(()).expect("the writer waits");
            }
            if seen.is_multiple_of(500) {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!((key, value), (&seen.to_be_bytes()[..], &b"old"[..]));
            seen += 1;
            ControlFlow::Continue(())
        })
        .expect("scan");
    assert_eq!(seen, 2_000);
    writer.join().expect("the writer ends well");
}

/// Nobody sees one change of a batch without the others.
pub fn batches_are_seen_whole(store: &Arc<dyn Storage>) {
    let write = |store: &dyn Storage, round: u32| {
        let mut batch = Batch::new();
        for i in 0..8_u8 {
            batch.put(Table::Register, vec![i], round.to_be_bytes().to_vec());
        }
        batch.put(Table::Meta, "round", round.to_be_bytes().to_vec());
        submit(store, batch);
    };
    write(&**store, 0);
    let writer = std::thread::spawn({
        let store = Arc::clone(store);
        move || (1..500).for_each(|round| write(&*store, round))
    });
    while !writer.is_finished() {
        let pairs = all(&**store, Table::Register);
        assert_eq!(pairs.len(), 8);
        assert!(
            pairs.iter().all(|(_, value)| *value == pairs[0].1),
            "half a batch was seen: {pairs:?}"
        );
        // What a scan has shown, a later get shows too.
        let round = get(&**store, Table::Meta, b"round").expect("it was set");
        assert!(round >= pairs[0].1);
    }
    writer.join().expect("the writer ends well");
}

/// Values from empty to 1 MiB.
pub fn takes_every_value(store: &dyn Storage) {
    let mut last = Sequence::default();
    let told = watch(store);
    for length in [0, 1, 127, 128, 4_095, 65_535, 65_536, 300_000, 1 << 20] {
        let value: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let key = format!("{length}");
        put(store, Table::Body, key.as_bytes(), &value);
        last = put(store, Table::Body, b"again", &value);
        assert!(get(store, Table::Body, key.as_bytes()) == Some(value.clone()));
        assert!(get(store, Table::Body, b"again") == Some(value));
    }
    until_durable(&told, last);
    assert_eq!(all(store, Table::Body).len(), 10);
}

/// Keys of any bytes, the empty one and one of 60,000 bytes too.
pub fn takes_every_key(store: &dyn Storage) {
    let mut keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    keys.extend((0..=255).map(|byte| vec![byte, 0]));
    keys.extend([vec![], vec![0; 300], vec![0xff; 300], vec![7; 60_000]]);
    for key in &keys {
        put(store, Table::Register, key, key);
    }
    for key in &keys {
        assert!(get(store, Table::Register, key).as_ref() == Some(key));
    }
    keys.sort();
    let scanned: Vec<Vec<u8>> = scan(store, Table::Register, b"", &[0xff; 400])
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert!(scanned == keys);
    assert_eq!(store.get(Table::Register, &[1; 100_000]), Ok(None));
}

/// Sequences count from 1; every batch becomes durable, and progress only grows.
pub fn tells_in_order(store: &dyn Storage) {
    let first = watch(store);
    let second = watch(store);
    let mut last = Sequence::default();
    for i in 1..=200_u64 {
        last = put(store, Table::Meta, &i.to_be_bytes(), b"v");
        assert_eq!(last, Sequence(i));
    }
    for told in [first, second] {
        let mut reached = Sequence::default();
        while reached < last {
            match told.recv_timeout(PATIENCE).expect("durable in time") {
                Progress::Durable(sequence) => {
                    assert!(reached < sequence && sequence <= last);
                    reached = sequence;
                }
                Progress::Failed(sequence) => assert_eq!(sequence, Sequence(0), "it failed"),
            }
        }
    }
}

/// Everything durable is there after reopening.
pub fn keeps_everything(open: Open<'_>) {
    let store = open();
    let told = watch(&*store);
    let large = vec![5; 1 << 20];
    let mut last = Sequence::default();
    for i in 0..500_u32 {
        let mut batch = Batch::new();
        batch.put(Table::Register, i.to_be_bytes().to_vec(), "row");
        batch.put(Table::Body, i.to_be_bytes().to_vec(), vec![i as u8; 1_600]);
        batch.put(Table::Resting, "", i.to_be_bytes().to_vec());
        last = submit(&*store, batch);
    }
    put(&*store, Table::Meta, b"large", &large);
    put(&*store, Table::Meta, b"empty", b"");
    delete(&*store, Table::Register, &0_u32.to_be_bytes());
    last = last.max(put(&*store, Table::Meta, b"last", b"1"));
    until_durable(&told, last);
    drop(store);

    for _ in 0..2 {
        let store = open();
        assert_eq!(all(&*store, Table::Register).len(), 499);
        for i in 0..500_u32 {
            let body = get(&*store, Table::Body, &i.to_be_bytes());
            assert_eq!(body, Some(vec![i as u8; 1_600]));
        }
        let resting = (Vec::new(), 499_u32.to_be_bytes().to_vec());
        assert_eq!(all(&*store, Table::Resting), [resting]);
        assert!(get(&*store, Table::Meta, b"large").as_ref() == Some(&large));
        assert_eq!(get(&*store, Table::Meta, b"empty"), Some(Vec::new()));
        // Sequences count from the opening.
        assert_eq!(put(&*store, Table::Meta, b"last", b"2"), Sequence(1));
    }
    let store = open();
    for table in Table::ALL {
        for (key, _) in all(&*store, table) {
            delete(&*store, table, &key);
        }
    }
    drop(store);
    let store = open();
    for table in Table::ALL {
        assert_eq!(all(&*store, table), Pairs::new());
    }
}

/// A store that is dropped in good order keeps also what nobody waited for.
pub fn keeps_what_was_not_waited_for(open: Open<'_>) {
    let store = open();
    for i in 0..50_u32 {
        put(&*store, Table::Meta, &i.to_be_bytes(), b"v");
    }
    drop(store);
    let store = open();
    assert_eq!(all(&*store, Table::Meta).len(), 50);
    for (key, _) in all(&*store, Table::Meta) {
        delete(&*store, Table::Meta, &key);
    }
}

pub(super) fn submit(store: &dyn Storage, batch: Batch) -> Sequence {
    store.submit(batch).expect("the batch is taken")
}

fn put(store: &dyn Storage, table: Table, key: &[u8], value: &[u8]) -> Sequence {
    let mut batch = Batch::new();
    batch.put(table, key.to_vec(), value.to_vec());
    submit(store, batch)
}

fn delete(store: &dyn Storage, table: Table, key: &[u8]) {
    let mut batch = Batch::new();
    batch.delete(table, key.to_vec());
    submit(store, batch);
}

fn get(store: &dyn Storage, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    let value: Result<Option<Bytes>, StorageError> = store.get(table, key);
    value.expect("get").map(|value| value.to_vec())
}

pub(super) fn scan(store: &dyn Storage, table: Table, from: &[u8], to: &[u8]) -> Pairs {
    let mut pairs = Pairs::new();
    store
        .scan(table, from, to, &mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .expect("scan");
    pairs
}

fn all(store: &dyn Storage, table: Table) -> Pairs {
    scan(store, table, b"", &[0xff; 400])
}

pub(super) fn watch(store: &dyn Storage) -> Receiver<Progress> {
    let (tell, told) = channel();
    store.watch(Box::new(move |progress| {
        // An error means that nobody listens any more.
        tell.send(progress).ok();
    }));
    told
}

pub(super) fn until_durable(told: &Receiver<Progress>, last: Sequence) {
    loop {
        match told.recv_timeout(PATIENCE).expect("durable in time") {
            Progress::Durable(sequence) if sequence >= last => break,
            Progress::Durable(_) => {}
            Progress::Failed(sequence) => assert_eq!(sequence, Sequence(0), "it failed"),
        }
    }
}
