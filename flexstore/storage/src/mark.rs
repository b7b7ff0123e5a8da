//! How far a store is known to be durable, in a small file of its own.
//!
//! Without it a log that ends early looks the same whether power was lost before the rest was
//! fsynced or the disk lost what had been. The mark is a lower bound: it is written after the
//! fsync that it tells of, from time to time and when the store is quiet, never once a batch.
//!
//! ```text
//! 0     slot: "flexmark", generation, entries, up to 20 of (log, length, first), xxh3 of all that
//! 4096  the same; the intact slot of the greater generation counts
//! ```
//!
//! Slots are of one sector and written in turn, so a torn write leaves the other. A mark that is
//! missing or of which both slots are bad says nothing: no data is lost with it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::directory::sync_dir;

/// How long what is durable may stay without a mark that says so, while it is written. The mark
/// costs an fsync and a look at what was written since the last.
pub(crate) const MARK_EVERY: Duration = Duration::from_secs(1);

/// How long a store is quiet before an exact mark is written.
pub(crate) const QUIET: Duration = Duration::from_millis(200);

const NAME: &str = "durable";
const MAGIC: &[u8; 8] = b"flexmark";
const SLOT: usize = 512;
const SLOTS: [u64; 2] = [0, 4_096];
const LENGTH: u64 = 8_192;
const HEAD: usize = 24;
const ENTRY: usize = 24;
const SUM: usize = SLOT - 8;

/// What is durable of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// Which log.
    pub(crate) log: u64,
    /// Up to where.
    pub(crate) length: u64,
    /// The number of its first batch, which no checksum of the engine's covers.
    pub(crate) first: u64,
}

impl Entry {
    /// The entries that a mark has place for.
    const MOST: usize = (SUM - HEAD) / ENTRY;
}

/// The file, and what it says.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    generation: u64,
    entries: Vec<Entry>,
    unsynced: bool,
}

impl Mark {
    /// What the mark in a directory says; nothing where there is none that can be read.
    pub(crate) fn read(dir: &Path) -> io::Result<Vec<Entry>> {
        match File::open(dir.join(NAME)) {
            Ok(mut file) => {
                let newest = newest(&mut file)?;
                if newest.is_none() {
                    tracing::warn!("the mark of what is durable cannot be read");
                }
                Ok(newest.map(|(_, entries)| entries).unwrap_or_default())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Opens the mark in a directory, or makes one that says nothing.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(dir.join(NAME))?;
        let (generation, entries) = newest(&mut file)?.unwrap_or_default();
        let mut mark = Self {
            file,
            generation,
            entries,
            unsynced: false,
        };
        if generation == 0 {
            // Every block is written now, so that no later write needs room.
            mark.file.seek(SeekFrom::Start(0))?;
            mark.file.write_all(&[0; LENGTH as usize])?;
            mark.file.set_len(LENGTH)?;
            mark.write(Vec::new())?;
            mark.file.sync_all()?;
            sync_dir(dir)?;
        }
        Ok(mark)
    }

    /// Says what is durable by now; the newest logs if there is no place for all. No fsync: until
    /// one, the disk holds this or what was said before, both true.
    pub(crate) fn write(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        if entries == self.entries && self.generation > 0 {
            return Ok(());
        }
        self.generation += 1;
        let kept = &entries[entries.len().saturating_sub(Entry::MOST)..];
        let mut slot = [0; SLOT];
        let numbers = [self.generation, kept.len() as u64].into_iter();
        let numbers = numbers.chain(kept.iter().flat_map(|e| [e.log, e.length, e.first]));
        slot[..8].copy_from_slice(MAGIC);
        for (place, number) in slot[8..SUM].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = xxh3_64(&slot[..SUM]);
        slot[SUM..].copy_from_slice(&sum.to_le_bytes());
        let place = SLOTS[usize::from(self.generation % 2 == 1)];
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&slot)?;
        self.entries = entries;
        self.unsynced = true;
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Takes back what was said, before the logs are made shorter: no slot says more afterwards.
    pub(crate) fn replace(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        if entries == self.entries {
            return Ok(());
        }
        for _ in SLOTS {
            // Not a repetition to `write`.
            self.entries.clear();
            self.write(entries.clone())?;
            self.unsynced = true;
            self.sync()?;
        }
        Ok(())
    }
}

fn newest(file: &mut File) -> io::Result<Option<(u64, Vec<Entry>)>> {
    let mut newest = None;
    for place in SLOTS {
        let mut slot = Vec::with_capacity(SLOT);
        file.seek(SeekFrom::Start(place))?;
        file.take(SLOT as u64).read_to_end(&mut slot)?;
        newest = newest.max(parse(&slot));
    }
    Ok(newest.map(|(generation, entries)| {
        let entries = entries.chunks_exact(3).map(|numbers| Entry {
            log: numbers[0],
            length: numbers[1],
            first: numbers[2],
        });
        (generation, entries.collect())
    }))
}

/// The generation and the numbers of a slot; `None` if it is not as it was written.
fn parse(slot: &[u8]) -> Option<(u64, Vec<u64>)> {
    if slot.len() != SLOT || !slot.starts_with(MAGIC) {
        return None;
    }
    let number = |place: usize| {
        let bytes = slot.get(place..place + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    if number(SUM)? != xxh3_64(&slot[..SUM]) {
        return None;
    }
    let entries = usize::try_from(number(16)?).ok()?;
    if entries > Entry::MOST {
        return None;
    }
    let numbers = (0..entries * 3).map(|at| number(HEAD + at * 8));
    Some((number(8)?, numbers.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entries(length: u64) -> Vec<Entry> {
        vec![Entry {
            log: 3,
            length,
            first: 9,
        }]
    }

    #[test]
    fn the_last_word_counts_and_a_torn_one_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), []);
        let mut mark = Mark::open(dir.path()).unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), []);
        for length in 1..6 {
            mark.write(entries(length)).unwrap();
            assert_eq!(Mark::read(dir.path()).unwrap(), entries(length));
        }
        drop(mark);
        let mut mark = Mark::open(dir.path()).unwrap();
        mark.write(entries(6)).unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), entries(6));

        let path = dir.path().join(NAME);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, LENGTH);
        let mut said = Vec::new();
        for place in SLOTS {
            let mut torn = bytes.clone();
            torn[place as usize + 30] ^= 1;
            fs::write(&path, &torn).unwrap();
            said.push(Mark::read(dir.path()).unwrap());
        }
        said.sort_by_key(|entries| entries[0].length);
        assert_eq!(said, [entries(5), entries(6)]);
        for short in [0, 100, 512, 4_096] {
            fs::write(&path, &bytes[..short]).unwrap();
            let said = Mark::read(dir.path()).unwrap();
            assert!(said.is_empty() || said == entries(5) || said == entries(6));
            Mark::open(dir.path()).unwrap();
        }
    }

    #[test]
    fn what_was_taken_back_is_in_no_slot() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(dir.path()).unwrap();
        mark.write(entries(5)).unwrap();
        mark.replace(entries(0)).unwrap();
        let path = dir.path().join(NAME);
        let bytes = fs::read(&path).unwrap();
        for place in SLOTS {
            let mut torn = bytes.clone();
            torn[place as usize] ^= 1;
            fs::write(&path, &torn).unwrap();
            assert_eq!(Mark::read(dir.path()).unwrap(), entries(0));
        }
    }

    #[test]
    fn of_many_logs_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(dir.path()).unwrap();
        let many: Vec<_> = (0..50)
            .map(|log| Entry {
                log,
                length: 1,
                first: 1,
            })
            .collect();
        mark.write(many.clone()).unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), many[50 - Entry::MOST..]);
    }
}
