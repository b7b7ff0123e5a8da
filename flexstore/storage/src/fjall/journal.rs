//! fjall's journal, from outside: numbered files `N.jnl`, the greatest being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::batches::Run;
use crate::backend::{Fault, open_io};
use crate::mark::{Entry, MARK_EVERY, Mark};
use crate::open::OpenError;

/// The journals, and how far they are durable.
pub(super) struct Journal {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    active: Active,
    /// Older journals, each durable to its end.
    sealed: Vec<Entry>,
    mark: Mark,
    marked: Instant,
}

/// The journal that is being written, held open so that the system tells this descriptor of every
/// failure to write it back.
struct Active {
    number: u64,
    file: File,
    /// What was seen of it; it may go on.
    run: Run,
}

/// What [`check`] found: the batches of each journal.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<(u64, Run)>);

/// Looks over the journals of a store before fjall does. What follows the last whole batch of the
/// newest was written and not fsynced when the power went, and is cut off, though fjall would
/// refuse to open with it. But if that was durable, or is in an older journal, which fjall fsyncs
/// before it begins the next, then it is damage, though fjall would open without it.
pub(super) fn check(dir: &Path) -> Result<Found, OpenError> {
    let damaged = |words: String| Err(OpenError::Damaged(words.into()));
    let durable = Mark::read(dir)?;
    let numbers = numbers(dir)?;
    let Some(&newest) = numbers.last() else {
        return damaged("the journal is missing".into());
    };
    if let Some(entry) = durable.iter().find(|entry| entry.log > newest) {
        return damaged(format!("journal {} is missing", entry.log));
    }
    // fjall removes the oldest first.
    if numbers.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
        return damaged("a journal is missing between others".into());
    }
    let mut found = Vec::new();
    let mut last = None;
    for number in numbers {
        let path = dir.join(file_name(number));
        let mut file = File::open(&path)?;
        let mut run = Run {
            last,
            ..Run::default()
        };
        run.extend(&file)?;
        let mark = durable.iter().find(|entry| entry.log == number);
        if mark.is_some_and(|mark| {
            run.end < mark.length || (mark.length > 0 && run.first != Some(mark.first))
        }) {
            return damaged(format!("journal {number} is not as it was at {}", run.end));
        }
        if data_length(&mut file)? > run.end {
            if number != newest {
                return damaged(format!("journal {number} is not as it was at {}", run.end));
            }
            tracing::warn!(number, at = run.end, "cutting what never became durable");
            set_length(&path, run.end)?;
        }
        last = run.last;
        found.push((number, run));
    }
    Ok(Found(found))
}

impl Journal {
    /// Takes over what [`check`] found, after fjall opened it, and fsynced it in doing so.
    pub(super) fn open(dir: &Path, found: Found) -> Result<Self, OpenError> {
        let mut active = Active::newest(dir).map_err(open_io)?;
        let mut sealed = Vec::new();
        for (number, run) in found.0 {
            if number == active.number {
                active.run = run;
            } else {
                sealed.push(entry(number, run));
            }
        }
        let mut state = State {
            active,
            sealed,
            marked: Instant::now(),
            mark: Mark::open(dir)?,
        };
        state.write_mark(dir)?;
        state.mark.sync()?;
        Ok(Self {
            dir: dir.to_path_buf(),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes durable what fjall has written to the journal. An older journal needs nothing: fjall
    /// fsyncs it before it makes the next, and its directory after.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.state().sync(&self.dir, false)
    }

    /// Makes the mark durable; a new one that is exact if the store is quiet.
    pub(super) fn settle(&self, quiet: bool) -> Result<(), Fault> {
        let mut state = self.state();
        if quiet {
            state.sync(&self.dir, true)?;
        }
        state.mark.sync().map_err(Fault::Sync)
    }

    /// Empties the active journal of a closed database whose memtables have all been written out.
    /// The file stays: without any journal fjall would begin its sequence numbers at 0.
    pub(super) fn clear(&self) -> io::Result<()> {
        let Some(number) = newest(&self.dir)? else {
            return Ok(());
        };
        let mut state = self.state();
        state.sealed.retain(|old| old.log != number);
        let mut entries = state.sealed.clone();
        entries.push(entry(number, Run::default()));
        state.mark.replace(entries)?;
        set_length(&self.dir.join(file_name(number)), 0)
    }

    /// Where the active journal's data ends now.
    pub(super) fn data_end(&self) -> io::Result<DataEnd> {
        let Some(number) = newest(&self.dir)? else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let path = self.dir.join(file_name(number));
        let length = data_length(&mut File::open(&path)?)?;
        Ok(DataEnd { path, length })
    }
}

impl State {
    fn sync(&mut self, dir: &Path, exact: bool) -> Result<(), Fault> {
        let newest = newest(dir).map_err(|error| Fault::engine(&error))?;
        let changed = newest != Some(self.active.number);
        if changed {
            let next = Active::newest(dir).map_err(|error| Fault::engine(&error))?;
            let mut old = std::mem::replace(&mut self.active, next);
            old.look();
            self.sealed.push(entry(old.number, old.run));
        }
        let due = exact || changed || self.marked.elapsed() >= MARK_EVERY;
        if due {
            // Before the fsync: what is there now is durable after it.
            self.active.look();
        }
        // fdatasync: the length is metadata that it writes too, and times are of no use here.
        self.active.file.sync_data().map_err(Fault::Sync)?;
        if due {
            self.marked = Instant::now();
            self.write_mark(dir).map_err(Fault::Sync)?;
        }
        Ok(())
    }

    fn write_mark(&mut self, dir: &Path) -> io::Result<()> {
        self.sealed
            .retain(|old| dir.join(file_name(old.log)).exists());
        let mut entries = self.sealed.clone();
        entries.push(entry(self.active.number, self.active.run));
        self.mark.write(entries)
    }
}

fn entry(number: u64, run: Run) -> Entry {
    Entry {
        log: number,
        length: run.end,
        first: run.first.unwrap_or_default(),
    }
}

impl Active {
    fn newest(dir: &Path) -> io::Result<Self> {
        let number = newest(dir)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            number,
            file: File::open(dir.join(file_name(number)))?,
            run: Run::default(),
        })
    }

    /// Looks how far it goes by now. The mark stays behind where that cannot be read.
    fn look(&mut self) {
        if let Err(error) = self.run.extend(&self.file) {
            tracing::warn!(%error, "the journal cannot be read");
        }
    }
}

/// The end of a journal's data, to cut off what is written past it.
pub(super) struct DataEnd {
    path: PathBuf,
    length: u64,
}

impl DataEnd {
    pub(super) fn cut(self) -> io::Result<()> {
        set_length(&self.path, self.length)
    }
}

fn set_length(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

fn file_name(number: u64) -> String {
    format!("{number}.jnl")
}

fn newest(dir: &Path) -> io::Result<Option<u64>> {
    Ok(numbers(dir)?.last().copied())
}

fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|number| number.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The place after the last byte that is not zero: fjall makes the file 64 MiB long in advance,
/// and ends each batch with a mark that is not zero.
fn data_length(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut buffer = vec![0; STEP as usize];
    let zeros = buffer.clone();
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        let part = &mut buffer[..length];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        // At the speed of memory, since it is mostly zeros.
        if *part == zeros[..length] {
            end = start;
            continue;
        }
        if let Some(last) = part.iter().rposition(|&byte| byte != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_end_of_data_is_found_behind_zeros() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(data_length(&mut file).unwrap(), 0);
        file.write_all(&[1; 100_000]).unwrap();
        assert_eq!(data_length(&mut file).unwrap(), 100_000);
        file.set_len(64 << 20).unwrap();
        assert_eq!(data_length(&mut file).unwrap(), 100_000);
    }

    #[test]
    fn the_newest_journal_is_the_greatest_number() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path()).unwrap(), None);
        for name in ["9.jnl", "10.jnl", "lock", "x.jnl"] {
            File::create(dir.path().join(name)).unwrap();
        }
        assert_eq!(newest(dir.path()).unwrap(), Some(10));
    }
}
