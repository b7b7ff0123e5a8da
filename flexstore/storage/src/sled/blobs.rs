//! sled's large values, each a file named by its place in the log, which sled never fsyncs.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::backend::Fault;
use crate::directory::sync_dir;

pub(super) struct Blobs {
    dir: PathBuf,
    /// What is durable. A name is never used for two contents.
    durable: Mutex<HashSet<OsString>>,
}

impl Blobs {
    /// Makes durable what is there.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        let blobs = Self {
            dir,
            durable: Mutex::new(HashSet::new()),
        };
        blobs.sync_new()?;
        Ok(blobs)
    }

    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.sync_new().map_err(Fault::Sync)
    }

    fn sync_new(&self) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = HashSet::new();
        let mut new = false;
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if !durable.contains(&name) {
                match File::open(self.dir.join(&name)) {
                    Ok(file) => file.sync_all()?,
                    // sled freed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                new = true;
            }
            present.insert(name);
        }
        if new {
            sync_dir(&self.dir)?;
        }
        *durable = present;
        Ok(())
    }
}
