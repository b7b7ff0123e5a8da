//! Opening a store.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use flexstore_core::storage::Storage;

use crate::{FjallStorage, SledStorage};

/// The version of the directory's format that this crate writes.
pub const FORMAT_VERSION: u32 = 1;

/// Which engine keeps the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Engine {
    /// fjall, an LSM tree; its fsync is honest and a durable batch costs it half of what it costs
    /// sled.
    #[default]
    Fjall,
    /// sled, made durable with an fsync of its files after each flush.
    Sled,
}

impl Engine {
    /// The name in the format stamp and in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
        }
    }

    /// The engine of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Fjall, Self::Sled]
            .into_iter()
            .find(|engine| engine.name() == name)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a store is opened.
///
/// ```
/// use flexstore_storage::{Engine, Options};
///
/// let options = Options::new(Engine::Sled).with_cache_bytes(8 << 20);
/// assert_eq!(options.engine, Engine::Sled);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The engine.
    pub engine: Engine,
    /// Memory for blocks that were read, in bytes. The least that works is taken where this is
    /// less.
    pub cache_bytes: u64,
}

impl Options {
    /// The defaults with this engine.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self {
            engine,
            cache_bytes: 32 << 20,
        }
    }

    /// Sets the memory for blocks that were read.
    #[must_use]
    pub const fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Engine::default())
    }
}

/// Why a store does not open. Nothing in the directory was changed, except that an engine may have
/// begun to replay its own journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or this one, has the directory open.
    #[error("the store is open already")]
    Locked,
    /// A later version of this library wrote the directory.
    #[error("the store has format {found}, newer than {known}")]
    NewerFormat {
        /// The directory's format.
        found: u32,
        /// The newest that this library reads.
        known: u32,
    },
    /// The directory belongs to the other engine.
    #[error("the store was made by {found}, not by {asked}")]
    OtherEngine {
        /// The directory's engine.
        found: Engine,
        /// The engine that was asked for.
        asked: Engine,
    },
    /// The directory holds files that are not a store's.
    #[error("the directory holds files that are not a store's")]
    NotAStore,
    /// Files of the store are missing or not what was written; the engine's words.
    #[error("the store is damaged: {0}")]
    Damaged(Arc<str>),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The system refused.
    #[error("opening the store")]
    Io(#[source] io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        if crate::backend::is_full(&error) {
            Self::Full
        } else {
            Self::Io(error)
        }
    }
}

/// Opens the store in a directory, which is made if it is not there.
///
/// # Errors
/// [`OpenError`] says why not.
pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Arc<dyn Storage>, OpenError> {
    Ok(match options.engine {
        Engine::Fjall => Arc::new(FjallStorage::open(dir, options)?),
        Engine::Sled => Arc::new(SledStorage::open(dir, options)?),
    })
}
