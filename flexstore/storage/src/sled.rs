//! The store on sled.

mod blobs;
mod view;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::storage::{Batch, Observer, Sequence, Storage, StorageError, Table};

use self::blobs::Blobs;
use self::view::Views;
use crate::backend::{Backend, Fault, Visit, bare_key, is_full, open_io, stored_key};
use crate::directory::sync_dir;
use crate::mark::{Entry, MARK_EVERY, Mark};
use crate::open::{Engine, OpenError, Options};
use crate::room::Room;
use crate::store::Store;

/// The store on sled: one tree, the table in front of each key.
pub struct SledStorage(Store<Sled>);

impl SledStorage {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError`] says why not.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Store::open(dir.as_ref(), Engine::Sled, options).map(Self)
    }
}

impl Storage for SledStorage {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.0.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.0.scan(table, from, to, visit)
    }

    fn submit(&self, batch: Batch) -> Result<Sequence, StorageError> {
        self.0.submit(batch)
    }

    fn watch(&self, observer: Observer) {
        self.0.watch(observer);
    }
}

/// Below this sled's cache holds less than the pages that one batch touches.
const LEAST_CACHE: u64 = 1 << 20;

/// sled's threads let go of its file shortly after it was dropped.
const LETTING_GO: Duration = Duration::from_secs(2);

/// How often a flush that does not come back is looked at.
const NUDGE: Duration = Duration::from_secs(1);

struct Sled {
    database: sled::Db,
    views: Views,
    /// sled's log, which its own flush only writes back with `sync_file_range`: that neither
    /// empties the disk's cache nor writes the file's length.
    log: File,
    blobs: Blobs,
    path: PathBuf,
    /// Batches applied since the store was made; stored with each.
    batches: AtomicU64,
    mark: Mutex<(Mark, Instant)>,
}

/// Where the number of batches is stored: behind every table. sled takes whatever it cannot read
/// in its log for the log's end, so without it a damaged log is a shorter one and nobody knows.
const BATCHES: [u8; 1] = [0xff];

impl Backend for Sled {
    fn open(dir: &Path, new: bool, options: &Options) -> Result<Self, OpenError> {
        // Without them sled would begin anew.
        let complete = dir.join("db").is_file() && dir.join("conf").is_file();
        if !new && !complete {
            return Err(OpenError::Damaged("sled's files are missing".into()));
        }
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(options.cache_bytes.max(LEAST_CACHE))
            // The committer flushes, and nothing is written behind its back.
            .flush_every_ms(None);
        let until = Instant::now() + LETTING_GO;
        let database = loop {
            // sled unwraps in places what a damaged file can make untrue.
            let opened = catch_unwind(AssertUnwindSafe(|| config.open()))
                .map_err(|_| OpenError::Damaged("sled could not read its files".into()))?;
            match opened {
                Ok(database) => break database,
                // Our own lock is held, so this is what is left of an engine of this process.
                Err(sled::Error::Io(error))
                    if error.kind() == io::ErrorKind::Other && Instant::now() < until =>
                {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(open_error(error)),
            }
        };
        let batches = match database.get(BATCHES).map_err(open_error)? {
            Some(bytes) => bytes.as_ref().try_into().map_or(0, u64::from_be_bytes),
            None => 0,
        };
        let durable = Mark::read(dir)?.first().map_or(0, |entry| entry.length);
        if batches < durable {
            let words = format!("{batches} batches are there, and {durable} were durable");
            return Err(OpenError::Damaged(words.into()));
        }
        let log = File::open(dir.join("db"))?;
        let opened = Self {
            database,
            views: Views::default(),
            log,
            blobs: Blobs::open(dir.join("blobs"))?,
            path: dir.to_path_buf(),
            batches: AtomicU64::new(batches),
            mark: Mutex::new((Mark::open(dir)?, Instant::now())),
        };
        opened.log.sync_all()?;
        File::open(dir.join("conf"))?.sync_all()?;
        sync_dir(dir)?;
        Ok(opened)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let _quiet = self.views.quiet();
        let value = self.database.get(stored_key(table, key)).map_err(fault)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), Fault> {
        let range = stored_key(table, from)..stored_key(table, to);
        self.views.scan(&self.database, range, &mut |key, value| {
            visit(bare_key(key), value)
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), Fault> {
        let bytes: u64 = batch
            .changes()
            .iter()
            .map(|change| (change.key.len() + change.value.as_ref().map_or(0, Bytes::len)) as u64)
            .sum();
        // sled does not get over a full disk: a large value that finds no room leaves its log
        // waiting for ever. So the disk is looked at first (a statvfs, 1 µs), and since sled
        // rewrites whole pages, for some more than the batch.
        let room = Room::of(&self.path).map_err(|error| Fault::engine(&error))?;
        if !room.has(bytes.saturating_mul(4)) {
            return Err(Fault::NoRoom);
        }
        let mut changes = sled::Batch::default();
        let mut seen = HashSet::new();
        let mut keys = Vec::with_capacity(batch.changes().len());
        for change in batch.changes().iter().rev() {
            let key = stored_key(change.table, &change.key);
            if !seen.insert((change.table, change.key.as_ref())) {
                continue;
            }
            match &change.value {
                Some(value) => changes.insert(key.as_slice(), value.as_ref()),
                None => changes.remove(key.as_slice()),
            }
            keys.push(key);
        }
        let number = self.batches.load(Ordering::Acquire) + 1;
        changes.insert(&BATCHES, &number.to_be_bytes());
        self.views.apply(&self.database, &keys, changes)?;
        self.batches.store(number, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> Result<(), Fault> {
        self.sync_and_mark(false)
    }

    fn settle(&self, quiet: bool) -> Result<(), Fault> {
        if quiet {
            self.sync_and_mark(true)?;
        }
        self.mark().0.sync().map_err(Fault::Sync)
    }

    fn close(self) {
        // sled flushes when it is dropped, and unwraps the outcome.
        if catch_unwind(AssertUnwindSafe(|| drop(self))).is_err() {
            tracing::error!("sled panicked while it closed");
        }
    }

    fn abandon(self) {
        // sled writes nothing more once it has met an error, so what is in its buffers goes.
        self.close();
    }
}

impl Sled {
    fn mark(&self) -> MutexGuard<'_, (Mark, Instant)> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_and_mark(&self, exact: bool) -> Result<(), Fault> {
        // Before the fsync: what is there now is durable after it.
        let length = self.batches.load(Ordering::Acquire);
        self.flush()?;
        self.blobs.sync()?;
        self.log.sync_data().map_err(Fault::Sync)?;
        let mut mark = self.mark();
        if exact || mark.1.elapsed() >= MARK_EVERY {
            mark.1 = Instant::now();
            let entry = Entry {
                length,
                ..Entry::default()
            };
            mark.0.write(vec![entry]).map_err(Fault::Sync)?;
        }
        Ok(())
    }

    /// Flushes sled's log. When a write fails in its background, sled may forget to wake who waits
    /// for it; another flush then finds the error and wakes everybody.
    fn flush(&self) -> Result<(), Fault> {
        let (done, outcome) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let flushed = self.database.flush();
                // The other end waits for this or for the thread's end.
                drop(done.send(flushed));
            });
            loop {
                match outcome.recv_timeout(NUDGE) {
                    Ok(flushed) => return flushed.map(drop).map_err(fault),
                    Err(RecvTimeoutError::Disconnected) => return Err(Fault::Stopped),
                    Err(RecvTimeoutError::Timeout) => drop(self.database.flush_async()),
                }
            }
        })
    }
}

fn fault(error: sled::Error) -> Fault {
    match error {
        sled::Error::Io(error) if is_full(&error) => Fault::Full,
        sled::Error::Corruption { .. } => Fault::Damaged,
        other => Fault::engine(&other),
    }
}

fn open_error(error: sled::Error) -> OpenError {
    match error {
        sled::Error::Io(error) => open_io(error),
        other => OpenError::Damaged(other.to_string().into()),
    }
}
