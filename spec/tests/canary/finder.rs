//! Finds secrets in bytes, however they are usually written.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use flexstore_core::encode_base64url;

/// A spelling is found by its first bytes; none is shorter.
const START: usize = 8;

/// Secrets in all their spellings, and what was searched for them.
pub(crate) struct Finder {
    /// Whether a spelling begins with these two bytes: most places are passed over by this alone.
    begins: Vec<bool>,
    by_start: HashMap<[u8; START], Vec<(Vec<u8>, usize)>>,
    names: Vec<String>,
    known: BTreeSet<Vec<u8>>,
    pub(crate) spellings: usize,
    pub(crate) bytes: usize,
    pub(crate) files: usize,
}

impl Finder {
    pub(crate) fn new() -> Self {
        Self {
            begins: vec![false; 1 << 16],
            by_start: HashMap::new(),
            names: Vec::new(),
            known: BTreeSet::new(),
            spellings: 0,
            bytes: 0,
            files: 0,
        }
    }

    pub(crate) fn secrets(&self) -> usize {
        self.names.len()
    }

    /// Adds a secret; one that is known already stays what it was called first.
    pub(crate) fn add(&mut self, name: impl Into<String>, secret: &[u8]) {
        assert!(secret.len() >= 11, "too short to stand nowhere by chance");
        if !self.known.insert(secret.to_vec()) {
            return;
        }
        let number = self.names.len();
        self.names.push(name.into());
        for spelling in spellings(secret) {
            self.spellings += 1;
            self.begins[pair(&spelling)] = true;
            let start = spelling[..START].try_into().unwrap();
            let same: &mut Vec<_> = self.by_start.entry(start).or_default();
            same.push((spelling, number));
        }
    }

    /// The names of the secrets that stand in these bytes.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> BTreeSet<String> {
        self.bytes += bytes.len();
        let mut found = BTreeSet::new();
        for (at, start) in bytes.windows(START).enumerate() {
            if !self.begins[pair(start)] {
                continue;
            }
            let same = self.by_start.get(start).into_iter().flatten();
            let here = same.filter(|(spelling, _)| bytes[at..].starts_with(spelling));
            found.extend(here.map(|(_, number)| self.names[*number].clone()));
        }
        found
    }

    /// The same in the names and contents of all files of a folder and of those in it.
    pub(crate) fn find_in_folder(&mut self, folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.extend(self.find(path.as_os_str().as_encoded_bytes()));
            if path.is_dir() {
                found.extend(self.find_in_folder(&path));
            } else if let Ok(bytes) = std::fs::read(&path) {
                self.files += 1;
                found.extend(self.find(&bytes));
            }
        }
        found
    }
}

fn pair(start: &[u8]) -> usize {
    usize::from(start[0]) << 8 | usize::from(start[1])
}

/// A secret as it is, in hex, in base64url and standard base64 at each offset within a longer
/// text, as `Debug` shows bytes; and each of these within a text that is in base64url itself, as
/// the payload of a record is.
pub(crate) fn spellings(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let hex = |upper: bool| -> String {
        let digits = secret.iter().map(|byte| format!("{byte:02x}"));
        let text: String = digits.collect();
        if upper { text.to_uppercase() } else { text }
    };
    let list = format!("{secret:?}");
    let mut once = vec![
        secret.to_vec(),
        hex(false).into_bytes(),
        hex(true).into_bytes(),
        list.as_bytes()[1..list.len() - 1].to_vec(),
        secret.escape_ascii().to_string().into_bytes(),
    ];
    once.extend(base64(secret));
    let within = once
        .iter()
        .flat_map(|text| base64(text))
        .collect::<Vec<_>>();
    once.into_iter().chain(within).collect()
}

fn base64(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for skip in 0..3 {
        let whole = &bytes[skip..skip + (bytes.len() - skip) / 3 * 3];
        let url = encode_base64url(whole);
        all.push(url.replace('-', "+").replace('_', "/").into_bytes());
        all.push(url.into_bytes());
    }
    all
}

/// A secret that is planted is found: in each spelling, at any place, in a folder within a folder.
#[test]
fn what_is_planted_is_found() {
    use getrandom::rand_core::{Rng as _, UnwrapErr};
    let mut random = UnwrapErr(getrandom::SysRng);
    let mut bytes = |len: usize| {
        let mut bytes = vec![0; len];
        random.fill_bytes(&mut bytes);
        bytes
    };
    let secrets = [bytes(32), bytes(16), b"twelve words of a list".to_vec()];
    let mut finder = Finder::new();
    for (number, secret) in secrets.iter().enumerate() {
        finder.add(number.to_string(), secret);
    }
    let (mut planted, mut offset) = (0, 0);
    for (number, secret) in secrets.iter().enumerate() {
        let found = BTreeSet::from([number.to_string()]);
        for spelling in spellings(secret) {
            offset = (offset + 7919) % 20_000;
            let mut hay = bytes(20_000);
            assert_eq!(finder.find(&hay), BTreeSet::new());
            hay.splice(offset..offset, spelling.iter().copied());
            assert_eq!(finder.find(&hay), found);
            // At the very ends, too, and not without the last byte.
            assert_eq!(finder.find(&spelling), found);
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("x")).unwrap();
            std::fs::write(folder.path().join("x/y"), &hay).unwrap();
            assert_eq!(finder.find_in_folder(folder.path()), found);
            planted += 1;
        }
        // Within a text in base64 within a text in base64url, wherever it begins: as a key in a
        // JWK in the payload of a record stands.
        for before in 0..3 {
            for inner in 0..3 {
                let text = encode_base64url(&[&bytes(inner)[..], secret, b"}"].concat());
                let text = [&bytes(before)[..], text.as_bytes(), b"..."].concat();
                assert_eq!(finder.find(encode_base64url(&text).as_bytes()), found);
                planted += 1;
            }
        }
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(finder.find(&hex.as_bytes()[1..]), BTreeSet::new());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(hex), b"").unwrap();
        assert_eq!(finder.find_in_folder(folder.path()), found);
    }
    println!(
        "{planted} planted, {} spellings, {} bytes",
        finder.spellings, finder.bytes
    );
}
