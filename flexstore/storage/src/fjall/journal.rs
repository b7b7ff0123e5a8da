//! fjall's journal, from outside: numbered files `N.jnl`, the greatest being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::backend::Fault;

/// The journal that is being written, held open so that the system tells this descriptor of every
/// failure to write it back.
pub(super) struct Journal {
    dir: PathBuf,
    active: Mutex<Active>,
}

struct Active {
    number: u64,
    file: File,
}

impl Journal {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_path_buf(),
            active: Mutex::new(Active::newest(dir)?),
        })
    }

    /// Makes durable what fjall has written to the journal. An older journal needs nothing: fjall
    /// fsyncs it before it makes the next, and its directory after.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest(&self.dir).map_err(|error| Fault::engine(&error))?;
        if newest != Some(active.number) {
            *active = Active::newest(&self.dir).map_err(|error| Fault::engine(&error))?;
        }
        // fdatasync: the length is metadata that it writes too, and times are of no use here.
        active.file.sync_data().map_err(Fault::Sync)
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

impl Active {
    fn newest(dir: &Path) -> io::Result<Self> {
        let number = newest(dir)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            number,
            file: File::open(dir.join(file_name(number)))?,
        })
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

/// Empties the active journal of a closed database whose memtables have all been written out. The
/// file stays: without any journal fjall would begin its sequence numbers at 0.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    match newest(dir)? {
        Some(number) => set_length(&dir.join(file_name(number)), 0),
        None => Ok(()),
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
    let mut newest = None;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|number| number.parse().ok());
        newest = newest.max(number);
    }
    Ok(newest)
}

/// The place after the last byte that is not zero: fjall makes the file 64 MiB long in advance,
/// and ends each batch with a mark that is not zero.
fn data_length(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut buffer = vec![0; STEP as usize];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        let part = &mut buffer[..length];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
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
