//! How much room a disk has.

use std::io;
use std::path::Path;

/// Enough to open an engine and to write for a while. Less, and a store that waits for room would
/// be opened and run full again every second.
const LEAST: u64 = 1 << 20;
const MOST: u64 = 64 << 20;

/// What a file system has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Bytes that this process may still write.
    pub(crate) free: u64,
    /// Bytes in all.
    pub(crate) total: u64,
}

impl Room {
    /// Asks the file system of a path.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    /// The part of the disk that is kept free, or has to be free before writing begins again.
    pub(crate) fn reserve(self) -> u64 {
        (self.total / 32).clamp(LEAST, MOST)
    }

    /// Whether there is room for these bytes and the reserve.
    pub(crate) fn has(self, bytes: u64) -> bool {
        self.free >= self.reserve().saturating_add(bytes)
    }
}
