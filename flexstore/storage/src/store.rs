//! The store that both engines share: the order of batches, what is told to whom, and what happens
//! when the disk is full or fails.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use flexstore_core::storage::{Batch, Observer, Progress, Sequence, Storage, StorageError, Table};

use crate::backend::{Backend, Fault, MAX_KEY, MAX_VALUE};
use crate::committer;
use crate::directory::Directory;
use crate::open::{Engine, OpenError, Options};
use crate::reading;
use crate::room::Room;

/// An engine with its committer.
pub(crate) struct Store<B: Backend> {
    shared: Arc<Shared<B>>,
    committer: Option<JoinHandle<()>>,
}

/// Whether batches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Open,
    /// The disk ran full; the committer opens the engine again when there is room.
    Full,
    /// An fsync failed, for good.
    ReadOnly,
}

/// What `submit` leaves for the committer.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) health: Health,
    /// Something was submitted, the health changed, or there is room again.
    pub(crate) rung: bool,
    pub(crate) stop: bool,
}

pub(crate) struct Shared<B> {
    /// `None` only while the engine is opened again. Readers take a clone and let go of the lock.
    engine: RwLock<Option<Arc<B>>>,
    /// Held while a batch is applied: the last sequence given out.
    order: Mutex<u64>,
    /// The last sequence applied; all before it are applied too.
    submitted: AtomicU64,
    pub(crate) mail: Mutex<Mail>,
    pub(crate) bell: Condvar,
    observers: RwLock<Vec<Observer>>,
    directory: Directory,
    options: Options,
}

impl<B: Backend> Store<B> {
    pub(crate) fn open(dir: &Path, kind: Engine, options: Options) -> Result<Self, OpenError> {
        let directory = Directory::take(dir, kind)?;
        let engine = B::open(&directory.engine_path(), directory.is_new(), &options)?;
        directory.finish()?;
        let shared = Arc::new(Shared {
            engine: RwLock::new(Some(Arc::new(engine))),
            order: Mutex::new(0),
            submitted: AtomicU64::new(0),
            mail: Mutex::new(Mail {
                health: Health::Open,
                rung: false,
                stop: false,
            }),
            bell: Condvar::new(),
            observers: RwLock::new(Vec::new()),
            directory,
            options,
        });
        let committer = thread::Builder::new()
            .name("flexstore-committer".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || committer::run(&shared)
            })?;
        Ok(Self {
            shared,
            committer: Some(committer),
        })
    }
}

impl<B: Backend> Drop for Store<B> {
    fn drop(&mut self) {
        self.shared.mail().stop = true;
        self.shared.bell.notify_all();
        if let Some(committer) = self.committer.take() {
            // The last owner may be an observer: the committer cannot wait for itself, and closes
            // the store when it comes back from it.
            if committer.thread().id() != thread::current().id() && committer.join().is_err() {
                tracing::error!("the committer of a store panicked");
            }
        }
    }
}

impl<B: Backend> Shared<B> {
    pub(crate) fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order(&self) -> MutexGuard<'_, u64> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn submitted(&self) -> Sequence {
        Sequence(self.submitted.load(Ordering::Acquire))
    }

    pub(crate) fn engine_slot(&self) -> RwLockWriteGuard<'_, Option<Arc<B>>> {
        self.engine.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn engine(&self) -> Option<Arc<B>> {
        self.engine
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn tell(&self, progress: Progress) {
        let observers: RwLockReadGuard<'_, _> = self
            .observers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for observer in observers.iter() {
            observer(progress);
        }
    }

    pub(crate) fn engine_path(&self) -> PathBuf {
        self.directory.engine_path()
    }

    pub(crate) fn open_engine(&self) -> Result<B, OpenError> {
        B::open(&self.engine_path(), false, &self.options)
    }

    /// Whether there is room to go on. A file system that does not say has some: then opening
    /// the engine will tell.
    pub(crate) fn has_room(&self) -> bool {
        Room::of(&self.engine_path()).is_ok_and(|room| room.has(0))
    }

    fn check_open(&self) -> Result<(), StorageError> {
        let mut mail = self.mail();
        if mail.health == Health::Open {
            return Ok(());
        }
        let error = refusal(mail.health);
        // The committer looks for room at once instead of at its next second.
        mail.rung = true;
        drop(mail);
        self.bell.notify_all();
        Err(error)
    }

    /// Notes that the engine failed. The committer tells of what is pending.
    pub(crate) fn fail(&self, fault: &Fault) -> StorageError {
        let health = self.judge(fault);
        let mut mail = self.mail();
        if mail.health == Health::Open || health == Health::ReadOnly {
            mail.health = health;
        }
        mail.rung = true;
        let error = refusal(mail.health);
        drop(mail);
        self.bell.notify_all();
        tracing::error!(?fault, %error, "storage failed");
        error
    }

    fn judge(&self, fault: &Fault) -> Health {
        match fault {
            Fault::NoRoom => Health::Open,
            Fault::Full => Health::Full,
            // A background thread of the engine ran into something. On a disk with little room
            // that is taken for want of room: it writes whole tables at once and frees them when
            // it fails, so the room may be back. Its journal is what counts, and was fsynced or
            // not by the committer alone.
            Fault::Stopped
                if Room::of(&self.engine_path()).is_ok_and(|room| room.free < TABLES_AT_ONCE) =>
            {
                Health::Full
            }
            Fault::Stopped | Fault::Sync(_) | Fault::Damaged | Fault::Engine(_) => Health::ReadOnly,
        }
    }

    /// Reads in the engine that this thread reads in already, if it does: while that engine is
    /// being replaced, the replacement waits for this very thread.
    fn read<T>(&self, read: impl FnOnce(&B) -> Result<T, Fault>) -> Result<T, StorageError> {
        let place: *const Self = self;
        let engine = match reading::engine(place.addr()) {
            Some(engine) => engine,
            None => self.engine().ok_or(StorageError::Full)?,
        };
        let _reading = reading::enter(place.addr(), Arc::clone(&engine));
        read(&engine).map_err(Fault::of_read)
    }
}

/// What an engine's background thread may want at once: a few tables of 64 MiB.
const TABLES_AT_ONCE: u64 = 256 << 20;

fn refusal(health: Health) -> StorageError {
    match health {
        Health::Open | Health::Full => StorageError::Full,
        Health::ReadOnly => StorageError::ReadOnly,
    }
}

impl<B: Backend> Storage for Store<B> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        if key.len() > MAX_KEY {
            return Ok(None);
        }
        self.shared.read(|engine| engine.get(table, key))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        if from >= to {
            return Ok(());
        }
        self.shared
            .read(|engine| engine.scan(table, from, to, visit))
    }

    fn submit(&self, batch: Batch) -> Result<Sequence, StorageError> {
        for change in batch.changes() {
            let length = change.value.as_ref().map_or(0, Bytes::len);
            if change.key.len() > MAX_KEY || length > MAX_VALUE {
                return Err(StorageError::Engine("a key or value is too long".into()));
            }
        }
        let shared = &*self.shared;
        // Before the order too, which is held while the engine is opened again.
        shared.check_open()?;
        let mut order = shared.order();
        shared.check_open()?;
        let engine = shared.engine().ok_or(StorageError::Full)?;
        match engine.commit(batch) {
            Ok(()) => {}
            Err(Fault::NoRoom) => return Err(StorageError::Full),
            Err(fault) => return Err(shared.fail(&fault)),
        }
        *order += 1;
        let sequence = Sequence(*order);
        shared.submitted.store(sequence.0, Ordering::Release);
        drop(order);
        let mut mail = shared.mail();
        let asleep = !mail.rung;
        mail.rung = true;
        drop(mail);
        if asleep {
            shared.bell.notify_all();
        }
        Ok(sequence)
    }

    fn watch(&self, observer: Observer) {
        self.shared
            .observers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(observer);
    }
}
