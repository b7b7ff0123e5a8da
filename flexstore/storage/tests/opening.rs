//! Who may open a directory, and what is said to others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flexstore_core::storage::{Batch, Table};
use flexstore_storage::{Engine, FORMAT_VERSION, OpenError, Options, open};
use tempfile::TempDir;

const ENGINES: [Engine; 2] = [Engine::Fjall, Engine::Sled];

fn made(engine: Engine) -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), Options::new(engine)).unwrap();
    for i in 0..200_u32 {
        let mut batch = Batch::new();
        batch.put(Table::Body, i.to_be_bytes().to_vec(), vec![i as u8; 2_000]);
        store.submit(batch).unwrap();
    }
    dir
}

/// Every file below a directory with its bytes.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

fn refused(dir: &Path, engine: Engine) -> OpenError {
    let before = files(dir);
    let error = open(dir, Options::new(engine))
        .err()
        .expect("it is refused");
    assert!(files(dir) == before, "the directory was touched");
    error
}

#[test]
fn a_second_open_is_turned_away_at_once() {
    for engine in ENGINES {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), Options::new(engine)).unwrap();
        let begun = Instant::now();
        let second = open(dir.path(), Options::new(engine));
        assert!(matches!(second, Err(OpenError::Locked)));
        assert!(begun.elapsed().as_millis() < 50);
        drop(store);
        open(dir.path(), Options::new(engine)).unwrap();
    }
}

#[test]
fn the_other_engine_is_turned_away() {
    for (engine, other) in [(Engine::Fjall, Engine::Sled), (Engine::Sled, Engine::Fjall)] {
        let dir = made(engine);
        let error = refused(dir.path(), other);
        let expected = matches!(
            error,
            OpenError::OtherEngine { found, asked } if found == engine && asked == other
        );
        assert!(expected, "{error:?}");
        open(dir.path(), Options::new(engine)).unwrap();
    }
}

#[test]
fn a_newer_format_is_left_alone() {
    for engine in ENGINES {
        let dir = made(engine);
        for stamp in ["flexstore 2 fjall\n", "flexstore 2 something new\n"] {
            fs::write(dir.path().join("FORMAT"), stamp).unwrap();
            let error = refused(dir.path(), engine);
            let expected = matches!(
                error,
                OpenError::NewerFormat {
                    found: 2,
                    known: FORMAT_VERSION
                }
            );
            assert!(expected, "{error:?}");
        }
    }
}

#[test]
fn a_mangled_stamp_is_damage() {
    let dir = made(Engine::Fjall);
    for stamp in [
        "",
        "flexstore",
        "flexstore x fjall",
        "flexstore 1",
        "\u{0}",
        "flexstore 0 fjall",
    ] {
        fs::write(dir.path().join("FORMAT"), stamp).unwrap();
        let error = refused(dir.path(), Engine::Fjall);
        assert!(
            matches!(error, OpenError::Damaged(_)),
            "{stamp:?}: {error:?}"
        );
    }
}

#[test]
fn somebody_elses_directory_is_left_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("thesis.tex"), "x").unwrap();
    let error = refused(dir.path(), Engine::Fjall);
    assert!(matches!(error, OpenError::NotAStore), "{error:?}");
}

#[test]
fn a_store_that_was_never_finished_is_made_anew() {
    for engine in ENGINES {
        let dir = TempDir::new().unwrap();
        fs::write(
            dir.path().join("FORMAT"),
            format!("flexstore 1 {engine} new\n"),
        )
        .unwrap();
        fs::create_dir(dir.path().join(engine.name())).unwrap();
        // What fjall cannot get over: a journal of a database without its version file.
        fs::write(dir.path().join(engine.name()).join("0.jnl"), "").unwrap();
        drop(open(dir.path(), Options::new(engine)).unwrap());
        let stamp = fs::read_to_string(dir.path().join("FORMAT")).unwrap();
        assert_eq!(stamp, format!("flexstore 1 {engine}\n"));
    }
}

#[test]
fn missing_engine_files_are_damage() {
    for engine in ENGINES {
        let dir = made(engine);
        fs::remove_dir_all(dir.path().join(engine.name())).unwrap();
        let error = open(dir.path(), Options::new(engine)).err().unwrap();
        assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
    }
}

/// Whatever is done to one of fjall's files: an error, or what was written, but nothing else and
/// no panic.
#[test]
fn damage_is_told() {
    let made = made(Engine::Fjall);
    let intact = files(made.path());
    let mut refused = 0;
    for (path, bytes) in &intact {
        if path.ends_with("LOCK") || path.ends_with("lock") || bytes.is_empty() {
            continue;
        }
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x55;
        for damaged in [
            None,
            Some(&flipped[..]),
            Some(&bytes[..bytes.len() / 2]),
            Some(&[]),
        ] {
            let dir = TempDir::new().unwrap();
            let place = |path: &Path| dir.path().join(path.strip_prefix(made.path()).unwrap());
            for (path, bytes) in &intact {
                fs::create_dir_all(place(path).parent().unwrap()).unwrap();
                fs::write(place(path), bytes).unwrap();
            }
            match damaged {
                Some(damaged) => fs::write(place(path), damaged).unwrap(),
                None => fs::remove_file(place(path)).unwrap(),
            }
            let what = format!("{} {:?}", path.display(), damaged.map(<[u8]>::len));
            refused += u32::from(!reads_right(dir.path(), &what));
        }
    }
    assert!(refused > 0);
}

/// Whether everything is there; `false` if an error says that it is not.
fn reads_right(dir: &Path, what: &str) -> bool {
    let store = match open(dir, Options::new(Engine::Fjall)) {
        Ok(store) => store,
        Err(OpenError::Damaged(_) | OpenError::NotAStore) => return false,
        Err(error) => panic!("{what}: {error:?}"),
    };
    let mut row = 0_u32;
    let scanned = store.scan(Table::Body, b"", &[0xff; 5], &mut |key, value| {
        assert_eq!(key, row.to_be_bytes(), "{what}");
        assert!(value == vec![row as u8; 2_000], "{what}");
        row += 1;
        ControlFlow::Continue(())
    });
    assert!(scanned.is_err() || row == 200, "{what}: {row} rows");
    scanned.is_ok()
}

/// A process that is being started has a copy of every descriptor until it runs its program.
#[test]
fn a_closed_store_opens_again_while_processes_are_started() {
    for engine in ENGINES {
        let dir = made(engine);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            let opened = (0..60)
                .map(|_| open(dir.path(), Options::new(engine)).map(drop))
                .find(Result::is_err);
            stop.store(true, Ordering::Relaxed);
            assert!(opened.is_none(), "{engine}: {opened:?}");
        });
    }
}
