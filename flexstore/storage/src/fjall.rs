//! The store on fjall.

mod batches;
mod journal;
mod tuning;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{AbstractTree, Database, Keyspace, PersistMode, Readable};
use flexstore_core::storage::{Batch, Observer, Sequence, Storage, StorageError, Table};

use self::journal::{Found, Journal};
use crate::backend::{Backend, Fault, Visit, bare_key, is_full, open_io, stored_key};
use crate::open::{Engine, OpenError, Options};
use crate::store::Store;

/// The default store: one fjall database, a keyspace for each table.
pub struct FjallStorage(Store<Fjall>);

impl FjallStorage {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError`] says why not.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Store::open(dir.as_ref(), Engine::Fjall, options).map(Self)
    }
}

impl Storage for FjallStorage {
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

/// Where writers are held back: sealed memtables of one table, and runs in level 0. fjall does so
/// itself at 4 and 30, in a loop that does not look whether its workers still live and so never
/// ends after a full disk; we come before it, and look. Two also bounds memory.
const SEALED_MEMTABLES: usize = 2;
const LEVEL_0_RUNS: usize = 28;

/// How long closing waits for memtables to be written out. Past it the journal keeps them.
const CLOSING: Duration = Duration::from_secs(30);

struct Fjall {
    database: Database,
    /// In the order of [`Table`].
    tables: [Keyspace; Table::ALL.len()],
    journal: Journal,
}

impl Fjall {
    fn table(&self, table: Table) -> &Keyspace {
        &self.tables[table as usize]
    }

    /// Whether the engine still takes writes.
    fn check_alive(&self) -> Result<(), Fault> {
        self.database.persist(PersistMode::Buffer).map_err(fault)
    }

    fn hold_back(&self) -> Result<(), Fault> {
        let crowded = |keyspace: &Keyspace| {
            keyspace.sealed_memtable_count() >= SEALED_MEMTABLES
                || keyspace.tree.l0_run_count() >= LEVEL_0_RUNS
        };
        while self.tables.iter().any(crowded) {
            self.check_alive()?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends the memtables that are full. fjall leaves this to its workers, and while they are busy
    /// a memtable of 8 MiB grew to 80.
    fn rotate(&self) -> Result<(), Fault> {
        for table in Table::ALL {
            let keyspace = self.table(table);
            if keyspace.tree.active_memtable().size() > tuning::memtable(table) {
                keyspace.rotate_memtable().map_err(fault)?;
            }
        }
        Ok(())
    }

    /// Writes every memtable out to tables; whether all of them are.
    fn write_out(&self) -> bool {
        for keyspace in &self.tables {
            if keyspace.rotate_memtable().is_err() {
                return false;
            }
        }
        let until = Instant::now() + CLOSING;
        while self
            .tables
            .iter()
            .any(|keyspace| keyspace.sealed_memtable_count() > 0)
        {
            if Instant::now() > until || self.check_alive().is_err() {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Backend for Fjall {
    fn open(dir: &Path, new: bool, options: &Options) -> Result<Self, OpenError> {
        let found = if new {
            Found::default()
        } else {
            check_files(dir)?;
            journal::check(dir)?
        };
        // fjall asserts in places what a damaged file can make untrue.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = tuning::database(dir, options).open()?;
            let [meta, register, body, resting] = Table::ALL
                .map(|table| database.keyspace(tuning::name(table), || tuning::keyspace(table)));
            Ok((database, [meta?, register?, body?, resting?]))
        }));
        let (database, tables) = opened
            .map_err(|_| OpenError::Damaged("fjall could not read its files".into()))?
            .map_err(open_error)?;
        Ok(Self {
            database,
            tables,
            journal: Journal::open(dir, found)?,
        })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        // Not `Keyspace::get`, which sees a batch that is half applied.
        let value = self
            .database
            .snapshot()
            .get(self.table(table), stored_key(table, key))
            .map_err(fault)?;
        // A copy, since fjall's slice would keep its whole block in memory.
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), Fault> {
        let range = stored_key(table, from)..stored_key(table, to);
        // Not `Keyspace::range`, which sees what is written while it runs.
        for pair in self.database.snapshot().range(self.table(table), range) {
            let (key, value) = pair.into_inner().map_err(fault)?;
            if visit(bare_key(&key), &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Batch) -> Result<(), Fault> {
        // Before the batch, since what fails here must not have taken it.
        self.rotate()?;
        self.hold_back()?;
        let mut written = self.database.batch();
        let mut seen = HashSet::new();
        let many = batch.changes().len() > 1;
        // Backwards, the last change of a key first: fjall gives all of a batch one sequence
        // number, and which of two then counts is not its promise.
        for change in batch.changes().iter().rev() {
            if many && !seen.insert((change.table, change.key.as_ref())) {
                continue;
            }
            let key = stored_key(change.table, &change.key);
            match &change.value {
                Some(value) => written.insert(self.table(change.table), key, value.as_ref()),
                None => written.remove(self.table(change.table), key),
            }
        }
        written.commit().map_err(fault)
    }

    fn sync(&self) -> Result<(), Fault> {
        // Not `persist(SyncAll)`, which holds the lock that writing needs for as long as the disk
        // takes: with 64 writers, one per fsync would get through. Here the lock is held for a
        // write(2) at most, and the file is fsynced by a descriptor of our own.
        self.check_alive()?;
        self.journal.sync()?;
        // A worker may have met the failure first, while it changed journals.
        self.check_alive()
    }

    fn settle(&self, quiet: bool) -> Result<(), Fault> {
        self.journal.settle(quiet)
    }

    fn close(self) {
        let written_out = self.write_out();
        let Self {
            database,
            tables,
            journal,
        } = self;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop((database, tables)))) {
            tracing::error!("fjall panicked while it closed");
            drop(panic);
        } else if written_out {
            // Everything is in tables, so replaying it would only cost the next opening time
            // (64 MiB: 0.1 s). Left in place it would do no harm.
            if let Err(error) = journal.clear() {
                tracing::warn!(%error, "the journal could not be emptied");
            }
        }
    }

    fn abandon(self) {
        // The journal's writer has part of the batch that failed in its buffer, and writes it when
        // it is dropped. The batch was refused, so it must not come back.
        let end = self.journal.data_end();
        if catch_unwind(AssertUnwindSafe(|| drop(self.database))).is_err() {
            tracing::error!("fjall panicked while it closed");
        }
        drop(self.tables);
        match end {
            Ok(end) => {
                if let Err(error) = end.cut() {
                    tracing::error!(%error, "the journal could not be cut");
                }
            }
            Err(error) => tracing::error!(%error, "the journal could not be read"),
        }
    }
}

/// Looks for the files without which fjall would begin a table, or everything, anew and remove
/// what is left.
fn check_files(dir: &Path) -> Result<(), OpenError> {
    let mut needed = vec![dir.join("version")];
    // fjall's own table, and ours.
    needed.extend((0..=Table::ALL.len()).map(|number| {
        let keyspace = dir.join("keyspaces").join(number.to_string());
        keyspace.join("current")
    }));
    match needed.iter().find(|path| !path.is_file()) {
        Some(missing) => Err(OpenError::Damaged(
            format!("{} is missing", missing.display()).into(),
        )),
        None => Ok(()),
    }
}

fn fault(error: fjall::Error) -> Fault {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            if is_full(&error) {
                Fault::Full
            } else {
                Fault::engine(&error)
            }
        }
        fjall::Error::Poisoned => Fault::Stopped,
        fjall::Error::Storage(_)
        | fjall::Error::JournalRecovery(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable => Fault::Damaged,
        other => Fault::engine(&other),
    }
}

fn open_error(error: fjall::Error) -> OpenError {
    match error {
        fjall::Error::Locked => OpenError::Locked,
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            open_io(error)
        }
        other => OpenError::Damaged(other.to_string().into()),
    }
}
