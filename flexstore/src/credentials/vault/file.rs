//! The file of a vault: locked, replaced as a whole, destroyed key first.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::MAGIC;
use super::contents::MAX_VAULT_BYTES;
use super::error::{TakeError, WipeError};

/// Longer than any vault: contents padded by at most an eighth, and the head.
const MAX_FILE_BYTES: u64 = MAX_VAULT_BYTES as u64 / 8 * 9 + (64 << 10);

/// The first bytes to be destroyed, with the wrapped key among them: a head has some 400.
const HEAD_BYTES: u64 = 4 << 10;

/// A path that this process holds.
pub(super) struct VaultFile {
    path: PathBuf,
    new: PathBuf,
    directory: PathBuf,
    lock: File,
}

impl Drop for VaultFile {
    fn drop(&mut self) {
        // Said, since closing the file is not enough: a process that is just being started by
        // another thread holds a copy of the descriptor for a moment.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "a vault's lock could not be freed");
        }
    }
}

impl VaultFile {
    /// Takes a path, whether there is a file or not. Its directory must be there.
    pub(super) fn take(path: &Path) -> Result<Self, TakeError> {
        // One lock for one file, whatever links to it by name; a rename would replace the link.
        let resolved = path.canonicalize();
        let path = resolved.as_deref().unwrap_or(path);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput);
        let name = name.map_err(io::Error::from)?;
        // A relative path of one part has the empty parent.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        // Absolute, so that it stays the same file if the process changes its directory.
        let directory = parent.unwrap_or(Path::new(".")).canonicalize()?;
        let beside = |ending: &str| {
            let mut name = name.to_owned();
            name.push(OsStr::new(ending));
            directory.join(name)
        };
        let lock = private().truncate(false).open(beside(".lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TakeError::Locked),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Self {
            path: beside(""),
            new: beside(".new"),
            directory,
            lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> io::Result<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts these bytes, joined, in the place of the file. When it returns they are on the disk;
    /// before, either state is.
    pub(super) fn replace(&self, parts: &[&[u8]]) -> io::Result<()> {
        self.discard_new()?;
        let old = existing(&self.path)?;
        // Not one that somebody else put there meanwhile.
        let mut file = private().create_new(true).open(&self.new)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        drop(file);
        fs::rename(&self.new, &self.path)?;
        sync(&self.directory)?;
        if let Some(old) = old
            && let Err(error) = retire(old)
        {
            // The new state stands all the same.
            tracing::warn!(%error, "the former state of a vault could not be overwritten");
        }
        Ok(())
    }

    /// Removes what an interrupted write left.
    pub(super) fn discard_new(&self) -> io::Result<()> {
        let left = existing(&self.new)?;
        remove(&self.new)?;
        left.map_or(Ok(()), retire)
    }

    /// Destroys the keys of the file and of an interrupted write, then their contents, then both.
    /// Goes on after a failure: what can be destroyed is.
    pub(super) fn destroy(&self) -> Result<(), WipeError> {
        let mut outcome = Ok(());
        let mut note = |step: io::Result<()>| {
            if let Err(error) = step
                && outcome.is_ok()
            {
                outcome = Err(error);
            }
        };
        let paths = [&self.path, &self.new];
        let mut files = Vec::new();
        for path in paths {
            match existing(path) {
                Ok(file) => files.extend(file),
                Err(error) => note(Err(error)),
            }
        }
        // From the magic on: a wipe that was killed can be asked for again.
        for file in &mut files {
            note(overwrite(file, MAGIC.len() as u64, HEAD_BYTES));
        }
        for file in &mut files {
            note(overwrite(file, HEAD_BYTES, u64::MAX));
        }
        for path in paths {
            note(remove(path));
        }
        note(sync(&self.directory));
        Ok(outcome?)
    }
}

/// All bytes of a file, if it may be a vault by its length.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        // As damaged as any.
        bytes.clear();
    }
    Ok(bytes)
}

/// Refuses what does not begin as a vault does.
pub(super) fn require_magic(path: &Path) -> Result<(), WipeError> {
    let mut start = [0; MAGIC.len()];
    let file = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match file {
        Ok(()) if start == MAGIC.as_bytes() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(WipeError::NotFound),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ => Err(WipeError::NotAVault),
    }
}

/// A file to overwrite, if it is there and no link to another, which is not ours to overwrite.
fn existing(path: &Path) -> io::Result<Option<File>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Ok(None),
        Ok(_) => OpenOptions::new().write(true).open(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a name, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// To make a file that only its owner reads.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Overwrites a file that was replaced, unless a backup or the like links to it still.
#[cfg(unix)]
fn retire(mut file: File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    if file.metadata()?.nlink() == 0 {
        overwrite(&mut file, 0, u64::MAX)?;
    }
    Ok(())
}

/// Elsewhere nobody can tell whether it is linked.
#[cfg(not(unix))]
fn retire(_: File) -> io::Result<()> {
    Ok(())
}

/// Overwrites the bytes from `from` to `to`, or to the end of the file, on the disk.
fn overwrite(file: &mut File, from: u64, to: u64) -> io::Result<()> {
    let mut left = file.metadata()?.len().min(to).saturating_sub(from);
    file.seek(SeekFrom::Start(from))?;
    let mut noise = [0; 4096];
    while left > 0 {
        // If the system gives no random bytes, zeros or the last ones do as well.
        let _ = getrandom::fill(&mut noise);
        let part = usize::try_from(left).map_or(noise.len(), |left| left.min(noise.len()));
        file.write_all(&noise[..part])?;
        left -= part as u64;
    }
    file.sync_all()
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    // Windows has no fsync of a directory.
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
