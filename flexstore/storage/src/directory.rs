//! The directory of a store: whose it is, and that nobody else has it open.
//!
//! ```text
//! dir/LOCK      held with flock while the store is open; the system frees it after a kill
//! dir/FORMAT    "flexstore 1 fjall": format version and engine, " new" while first being made
//! dir/fjall/    the engine's own files
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::open::{Engine, FORMAT_VERSION, OpenError};

const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";
const FORMAT_NEW: &str = "FORMAT.new";
const MAGIC: &str = "flexstore";
/// Ends the stamp of a store whose engine was never opened to the end. A crash then leaves files
/// that neither engine opens again, and nothing in them was ever acknowledged.
const UNFINISHED: &str = "new";

/// A directory that this process holds.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    engine: Engine,
    new: bool,
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Said, since closing the file is not enough: a process that is just being started by
        // another thread holds a copy of the descriptor for a moment.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "a store's lock could not be freed");
        }
    }
}

impl Directory {
    /// Takes a directory for an engine, making it where it is not there.
    pub(crate) fn take(path: &Path, engine: Engine) -> Result<Self, OpenError> {
        // Before anything is written, so that a refused directory stays untouched; and again
        // under the lock, since another process may just have made it.
        check(path, engine)?;
        fs::create_dir_all(path)?;
        let lock = lock(&path.join(LOCK))?;
        let stamp = check(path, engine)?;
        let taken = Self {
            path: path.to_path_buf(),
            engine,
            new: stamp.is_none_or(|stamp| stamp.unfinished),
            lock,
        };
        if taken.new {
            taken.stamp(true)?;
            match fs::remove_dir_all(taken.engine_path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            fs::create_dir(taken.engine_path())?;
            sync_dir(path)?;
            if let Some(parent) = path.parent() {
                // A relative path of one part has the empty parent.
                let parent = if parent.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    parent
                };
                sync_dir(parent)?;
            }
        } else if !taken.engine_path().is_dir() {
            return Err(OpenError::Damaged("the engine's files are gone".into()));
        }
        Ok(taken)
    }

    /// Says that the engine has been opened, so that its files count from here on.
    pub(crate) fn finish(&self) -> Result<(), OpenError> {
        if self.new {
            sync_dir(&self.engine_path())?;
            self.stamp(false)?;
        }
        Ok(())
    }

    /// Whether the engine is to make its files.
    pub(crate) const fn is_new(&self) -> bool {
        self.new
    }

    /// Where the engine keeps its files.
    pub(crate) fn engine_path(&self) -> PathBuf {
        self.path.join(self.engine.name())
    }

    fn stamp(&self, unfinished: bool) -> io::Result<()> {
        let mut text = format!("{MAGIC} {FORMAT_VERSION} {}", self.engine);
        if unfinished {
            text.push(' ');
            text.push_str(UNFINISHED);
        }
        text.push('\n');
        let new = self.path.join(FORMAT_NEW);
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(FORMAT))?;
        sync_dir(&self.path)
    }
}

#[derive(Debug, Clone, Copy)]
struct Stamp {
    unfinished: bool,
    version: u32,
    engine: Option<Engine>,
}

/// Refuses what is not this engine's to open.
fn check(path: &Path, asked: Engine) -> Result<Option<Stamp>, OpenError> {
    let Some(stamp) = read_stamp(path)? else {
        return if is_blank(path)? {
            Ok(None)
        } else {
            Err(OpenError::NotAStore)
        };
    };
    // The version first: a newer format may know engines that this one does not.
    if stamp.version > FORMAT_VERSION {
        return Err(OpenError::NewerFormat {
            found: stamp.version,
            known: FORMAT_VERSION,
        });
    }
    match stamp.engine {
        Some(found) if found == asked => Ok(Some(stamp)),
        Some(found) => Err(OpenError::OtherEngine { found, asked }),
        None => Err(OpenError::Damaged("the format stamp".into())),
    }
}

fn read_stamp(path: &Path) -> Result<Option<Stamp>, OpenError> {
    let bytes = match fs::read(path.join(FORMAT)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let damaged = || OpenError::Damaged("the format stamp".into());
    let text = str::from_utf8(&bytes).map_err(|_| damaged())?;
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some(MAGIC) {
        return Err(damaged());
    }
    let version = words
        .next()
        .and_then(|word| word.parse().ok())
        .filter(|&version| version > 0)
        .ok_or_else(damaged)?;
    Ok(Some(Stamp {
        version,
        engine: words.next().and_then(Engine::from_name),
        unfinished: words.next() == Some(UNFINISHED),
    }))
}

/// Whether a directory without a stamp is one that a store may be made in.
fn is_blank(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != LOCK && name != FORMAT_NEW {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    // Windows has no fsync of a directory.
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
