//! What a disk may hold after a power loss, made from copies of a store's directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files by their path below the store's directory. Zeros at a file's end are not kept.
pub(crate) type Files = BTreeMap<PathBuf, Content>;

/// A file's bytes without the zeros at its end, and its length with them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) data: Vec<u8>,
    pub(crate) length: u64,
}

impl Content {
    pub(crate) fn new(data: Vec<u8>) -> Self {
        let length = data.len() as u64;
        Self { data, length }
    }
}

pub(crate) fn read(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(inner) = dirs.pop() {
        // A file that is gone by now, or a directory, is not there.
        for entry in fs::read_dir(inner).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(mut data) = fs::read(&path) {
                let length = data.len() as u64;
                if path.extension().is_some_and(|end| end == "jnl") {
                    // By blocks first, since a new journal is 64 MiB of zeros.
                    let block = data
                        .chunks(4_096)
                        .rposition(|block| block != &[0; 4_096][..block.len()]);
                    data.truncate(block.map_or(0, |block| (block + 1) * 4_096));
                    let end = data.iter().rposition(|&byte| byte != 0);
                    data.truncate(end.map_or(0, |end| end + 1));
                }
                let name = path.strip_prefix(dir).unwrap().to_path_buf();
                found.insert(name, Content { data, length });
            }
        }
    }
    found
}

pub(crate) fn write(dir: &Path, files: &Files) {
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content.data).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(content.length).unwrap();
    }
}

/// A directory in memory where there is one: the states are many, and none has to survive.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Small, fast and the same everywhere: splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }
}

pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}
