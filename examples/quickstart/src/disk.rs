//! Looks for bytes in all files of a directory, whatever file they are in and however encoded.

use std::path::Path;

use flexstore_core::encode_base64url;

use crate::Result;

/// What was searched, and how often each thing was found.
pub(crate) struct Found {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) times: Vec<u64>,
}

/// Searches for each of these things; none may be shorter than six bytes.
pub(crate) fn search(dir: &Path, things: &[&[u8]]) -> Result<Found> {
    let mut found = Found {
        files: 0,
        bytes: 0,
        times: vec![0; things.len()],
    };
    let forms: Vec<(usize, Vec<u8>)> = (things.iter().enumerate())
        .flat_map(|(at, thing)| forms(thing).into_iter().map(move |form| (at, form)))
        .collect();
    // Whether a form begins with these two bytes: of most places nothing else need be known.
    let mut begins = vec![false; 1 << 16];
    for (_, form) in &forms {
        begins[pair(form)] = true;
    }
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            // A store that is in use drops a file now and then.
            let Ok(content) = std::fs::read(path) else {
                continue;
            };
            found.files += 1;
            found.bytes += content.len() as u64;
            for at in 0..content.len().saturating_sub(1) {
                let rest = &content[at..];
                if begins[pair(rest)] {
                    for (thing, form) in &forms {
                        found.times[*thing] += u64::from(rest.starts_with(form));
                    }
                }
            }
        }
    }
    Ok(found)
}

/// As it is; and, since records are full of base64url, as it looks within that, once and twice.
fn forms(thing: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![thing.to_owned()];
    let mut layer = vec![thing.to_owned()];
    for _ in 0..2 {
        layer = layer.iter().flat_map(|form| shifted(form)).collect();
        forms.extend(layer.iter().cloned());
    }
    forms
}

/// Three bytes become four letters, so a text has three looks, by where it begins; the letters at
/// the edges depend on what is beside it.
fn shifted(thing: &[u8]) -> Vec<Vec<u8>> {
    let looks = (0..3).map(|before| {
        let padded = [&vec![0; before][..], thing].concat();
        let text = encode_base64url(&padded);
        let end = padded.len() * 8 / 6;
        text.as_bytes()[(before * 8).div_ceil(6)..end].to_vec()
    });
    looks.collect()
}

/// The first two bytes as a number.
fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_however_encoded() {
        let dir = tempfile::tempdir().unwrap();
        let thing = b"a thing to be found";
        let long = |before: usize| [&b"some words"[..before], thing, b" and more"].concat();
        for before in 0..6 {
            let once = encode_base64url(&long(before));
            let text = format!("{}{once} more", &"and so on"[..before]);
            let twice = encode_base64url(text.as_bytes());
            for content in [long(before), once.into_bytes(), twice.into_bytes()] {
                std::fs::write(dir.path().join("file"), content).unwrap();
                let found = search(dir.path(), &[thing, b"another"]).unwrap();
                assert_eq!(found.times[1], 0);
                assert!(found.times[0] > 0, "{before}");
            }
        }
    }
}
