//! A kill at any moment leaves a vault as it was before a write or after it; and the lock does
//! not outlive the process.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flexstore::{OpenVaultError, Vault, WriteVaultError};

const ROLE: &str = "FLEXSTORE_VAULT_CHILD";
const PASSPHRASE: &str = "passphrase 0";

/// What the child puts: of another length each time, and recognisably whole.
fn value(number: u64) -> Vec<u8> {
    let line = format!("{number}\n");
    line.repeat(usize::try_from(number % 97).unwrap() * 40 + 1)
        .into_bytes()
}

/// The number of a whole value.
fn number(bytes: &[u8]) -> u64 {
    let text = str::from_utf8(bytes).unwrap();
    let number = text.lines().next().unwrap().parse().unwrap();
    assert_eq!(bytes, value(number), "a value that is not whole");
    number
}

/// Runs only as the child of another test.
#[test]
fn child() -> Result<(), WriteVaultError> {
    let Ok(role) = std::env::var(ROLE) else {
        return Ok(());
    };
    let mut words = role.splitn(3, ' ');
    let (what, from, path) = (
        words.next().unwrap(),
        words.next().unwrap(),
        words.next().unwrap(),
    );
    let from: u64 = from.parse().unwrap();
    let passphrase = |number: u64| format!("passphrase {number}");
    if what == "put" {
        let mut vault = Vault::open(path, PASSPHRASE).unwrap();
        for number in from + 1.. {
            vault.put("counter", &value(number))?;
            println!("acknowledged {number}");
        }
    } else {
        let mut vault = Vault::open(path, &passphrase(from)).unwrap();
        for number in from + 1.. {
            vault
                .change_passphrase(&passphrase(number - 1), &passphrase(number))
                .unwrap();
            println!("acknowledged {number}");
        }
    }
    Ok(())
}

/// Lets a child write until it has acknowledged `count` times and a little longer, kills it, and
/// gives the last number that it acknowledged.
fn killed(what: &str, from: u64, path: &Path, count: u64, longer: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, format!("{what} {from} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = from;
    let mut told = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness may have begun the line.
        let Some((_, number)) = line.split_once("acknowledged ") else {
            continue;
        };
        acknowledged = number.parse().unwrap();
        told += 1;
        if told == 1 {
            // Whoever comes while it lives is turned away.
            let second = Vault::open(path, PASSPHRASE);
            assert!(matches!(second, Err(OpenVaultError::Locked)));
        }
        if told == count {
            std::thread::sleep(longer);
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged > from, "the child wrote nothing");
    acknowledged
}

#[test]
fn puts_survive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let mut vault = Vault::create(&path, PASSPHRASE).unwrap();
    vault.put("stays", b"whole").unwrap();
    drop(vault);
    let (mut from, mut left) = (0, 0);
    for round in 0..25 {
        // Another place in the write each time.
        let longer = Duration::from_micros(round * 377 % 5_000);
        let acknowledged = killed("put", from, &path, 3 + round % 7, longer);
        left += u32::from(folder.path().join("vault.new").exists());
        let vault = Vault::open(&path, PASSPHRASE).unwrap();
        from = number(vault.get("counter").unwrap());
        assert!(
            from == acknowledged || from == acknowledged + 1,
            "{from}, {acknowledged}"
        );
        assert_eq!(vault.get("stays"), Some(&b"whole"[..]));
        assert_eq!(vault.names().count(), 2);
        assert!(!folder.path().join("vault.new").exists());
    }
    println!("{left} of 25 kills left an unfinished file");
}

#[test]
fn changes_of_the_passphrase_survive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let mut vault = Vault::create(&path, PASSPHRASE).unwrap();
    vault.put("stays", b"whole").unwrap();
    drop(vault);
    let mut from = 0;
    for round in 0..8 {
        let longer = Duration::from_millis(round * 61 % 400);
        let acknowledged = killed("change", from, &path, 1, longer);
        let open = |number: u64| Vault::open(&path, &format!("passphrase {number}"));
        let vault = match open(acknowledged) {
            Ok(vault) => {
                from = acknowledged;
                vault
            }
            Err(OpenVaultError::Failed) => {
                from = acknowledged + 1;
                open(from).unwrap()
            }
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(vault.get("stays"), Some(&b"whole"[..]));
        drop(vault);
        assert!(matches!(
            open(acknowledged - 1),
            Err(OpenVaultError::Failed)
        ));
    }
}
