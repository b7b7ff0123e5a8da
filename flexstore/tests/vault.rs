//! The vault: what it keeps, what it tells, what it leaves.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use flexstore::{
    ChangePassphraseError, CreateVaultError, MAX_VAULT_BYTES, OpenVaultError, PassphraseError,
    Vault, WipeError, WriteVaultError,
};
use tempfile::TempDir;

const PASSPHRASE: &str = "canary passphrase";
const NEW: &str = "another canary";
/// A private key, as it were.
const KEY: &[u8] = b"\xfcCANARY?\xff key of 32 bytes \xfb\xf0\x01...";
const NAME: &str = "canary-name";

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    (folder, path)
}

fn filled() -> (TempDir, PathBuf, Vault) {
    let (folder, path) = folder();
    let mut vault = Vault::create(&path, PASSPHRASE).unwrap();
    vault.put(NAME, KEY).unwrap();
    (folder, path, vault)
}

/// Every file in a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A secret as it is and as it is usually written, each at any offset within base64.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
    ];
    for skip in 0..3 {
        let whole = &secret[skip..skip + (secret.len() - skip) / 3 * 3];
        all.push(STANDARD_NO_PAD.encode(whole).into_bytes());
        all.push(URL_SAFE_NO_PAD.encode(whole).into_bytes());
    }
    all
}

/// The files in which a secret is found.
fn found(folder: &Path, secrets: &[&[u8]]) -> Vec<String> {
    let spellings: Vec<_> = secrets
        .iter()
        .flat_map(|secret| spellings(secret))
        .collect();
    let holds = |bytes: &[u8]| spellings.iter().any(|spelling| contains(bytes, spelling));
    let files = files(folder).into_iter();
    files
        .filter(|(_, bytes)| holds(bytes))
        .map(|(name, _)| name)
        .collect()
}

fn assert_absent(folder: &Path, secrets: &[&[u8]]) {
    assert_eq!(found(folder, secrets), [""; 0]);
}

#[test]
fn the_search_finds_canaries() {
    let folder = tempfile::tempdir().unwrap();
    let jwk = |start: &[u8]| {
        format!(
            r#"{{"d":"{}"}}"#,
            URL_SAFE_NO_PAD.encode([start, KEY].concat())
        )
    };
    for text in [
        KEY.to_vec(),
        hex::encode(KEY).into_bytes(),
        jwk(b"").into_bytes(),
        jwk(b".").into_bytes(),
        jwk(b"..").into_bytes(),
        STANDARD_NO_PAD.encode(KEY).into_bytes(),
    ] {
        let path = folder.path().join("leak");
        fs::write(&path, [&b"some "[..], &text].concat()).unwrap();
        assert_eq!(found(folder.path(), &[KEY]), ["leak"]);
    }
}

#[test]
fn keeps_what_is_put() {
    let (_folder, path, mut vault) = filled();
    vault.put("b", b"").unwrap();
    vault.put("a", b"one").unwrap();
    vault.put("a", b"two").unwrap();
    vault.put("é", &[0; 300]).unwrap();
    assert!(vault.remove("b").unwrap());
    assert!(!vault.remove("b").unwrap());
    let check = |vault: &Vault| {
        assert_eq!(vault.names().collect::<Vec<_>>(), ["a", NAME, "é"]);
        assert_eq!(vault.get("a"), Some(&b"two"[..]));
        assert_eq!(vault.get(NAME), Some(KEY));
        assert_eq!(vault.get("é"), Some(&[0; 300][..]));
        assert_eq!(vault.get("b"), None);
    };
    check(&vault);
    drop(vault);
    check(&Vault::open(&path, PASSPHRASE).unwrap());
    // White space counts as the docs say.
    check(&Vault::open(&path, " canary\tpassphrase\n").unwrap());
}

#[test]
fn reads_what_another_implementation_made() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("secrets_golden.json")).unwrap();
    let (_folder, path) = folder();
    let bytes = URL_SAFE_NO_PAD.decode(golden["vault"].as_str().unwrap());
    fs::write(&path, bytes.unwrap()).unwrap();
    let passphrase = golden["vault_passphrase"].as_str().unwrap();
    let vault = Vault::open(&path, passphrase).unwrap();
    assert_eq!(vault.names().collect::<Vec<_>>(), ["device", "piné"]);
    assert_eq!(vault.get("device"), Some(&b"private"[..]));
    assert_eq!(vault.get("piné"), Some(&b""[..]));
}

/// A256GCM under one key is broken by an iv that comes twice.
#[test]
fn each_write_has_an_iv_of_its_own() {
    let (_folder, path, mut vault) = filled();
    let head = fs::read(&path).unwrap();
    let head = head.split_inclusive(|&byte| byte == b'\n');
    let head: usize = head.take(2).map(<[u8]>::len).sum();
    let ivs: std::collections::BTreeSet<_> = (0..20)
        .map(|_| {
            vault.put("a", b"").unwrap();
            fs::read(&path).unwrap()[head..head + 12].to_vec()
        })
        .collect();
    assert_eq!(ivs.len(), 20);
}

#[test]
fn a_file_tells_only_its_rough_size() {
    let (folder, path, mut vault) = filled();
    let mut len = |value: usize| {
        vault.put(NAME, &vec![1; value]).unwrap();
        fs::metadata(&path).unwrap().len()
    };
    // Name, value, 5 bytes and the marker are 928, 929, 960 and 961: the padding goes by 32.
    let lens = [911, 912, 943, 944].map(&mut len);
    assert_eq!(
        [lens[1] - lens[0], lens[2] - lens[1], lens[3] - lens[2]],
        [32, 0, 32]
    );
    assert_eq!(
        files(folder.path())
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["vault", "vault.lock"]
    );
    let text = fs::read(&path).unwrap();
    assert!(text.starts_with(b"flexstore-vault 1\neyJ"));
    assert!(
        fs::read(folder.path().join("vault.lock"))
            .unwrap()
            .is_empty()
    );
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, _path, mut vault) = filled();
    vault.put("a", b"").unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn limits_at_the_edge_and_past_it() {
    let (_folder, path, mut vault) = filled();
    let long = "n".repeat(255);
    vault.put(&long, b"x").unwrap();
    for name in ["", &"n".repeat(256)] {
        assert!(matches!(vault.put(name, b"x"), Err(WriteVaultError::Name)));
        assert!(!vault.remove(name).unwrap());
    }
    let used = (5 + NAME.len() + KEY.len()) + (5 + 255 + 1);
    let most = vec![7; MAX_VAULT_BYTES - used - 6];
    vault.put("z", &most).unwrap();
    // One byte more, in place of it and beside it: nothing changes.
    let more = vec![7; most.len() + 1];
    assert!(matches!(
        vault.put("z", &more),
        Err(WriteVaultError::TooLong)
    ));
    assert!(matches!(vault.put("y", b""), Err(WriteVaultError::TooLong)));
    let check = |vault: &Vault| {
        assert_eq!(vault.get("z"), Some(&most[..]));
        assert_eq!(vault.names().collect::<Vec<_>>(), [NAME, &long, "z"]);
    };
    check(&vault);
    drop(vault);
    check(&Vault::open(&path, PASSPHRASE).unwrap());
}

#[test]
fn refuses_what_is_no_passphrase() {
    let (folder, path) = folder();
    let at = |text: &str| match Vault::create(&path, text) {
        Err(CreateVaultError::Passphrase(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(at(" \n"), PassphraseError::Empty);
    assert_eq!(at(&"x".repeat(1025)), PassphraseError::TooLong);
    assert!(files(folder.path()).is_empty());
    let mut vault = Vault::create(&path, &"x".repeat(1024)).unwrap();
    assert!(matches!(
        vault.change_passphrase(&"x".repeat(1024), ""),
        Err(ChangePassphraseError::Passphrase(PassphraseError::Empty))
    ));
    drop(vault);
    assert!(matches!(
        Vault::open(&path, ""),
        Err(OpenVaultError::Failed)
    ));
    assert!(Vault::open(&path, &"x".repeat(1024)).is_ok());
}

#[test]
fn one_owner_at_a_time() {
    let (folder, path, vault) = filled();
    let elsewhere = folder
        .path()
        .join("..")
        .join(folder.path().file_name().unwrap())
        .join("vault");
    for path in [&path, &elsewhere] {
        assert!(matches!(
            Vault::open(path, PASSPHRASE),
            Err(OpenVaultError::Locked)
        ));
        assert!(matches!(
            Vault::create(path, PASSPHRASE),
            Err(CreateVaultError::Locked)
        ));
        assert!(matches!(Vault::wipe_file(path), Err(WipeError::Locked)));
    }
    drop(vault);
    assert!(matches!(
        Vault::create(&path, PASSPHRASE),
        Err(CreateVaultError::Exists)
    ));
    assert_eq!(Vault::open(&path, PASSPHRASE).unwrap().get(NAME), Some(KEY));
}

#[cfg(unix)]
#[test]
fn a_link_to_a_vault_is_that_vault() {
    let (folder, path, vault) = filled();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(
        Vault::open(&link, PASSPHRASE),
        Err(OpenVaultError::Locked)
    ));
    drop(vault);
    let mut vault = Vault::open(&link, PASSPHRASE).unwrap();
    vault.put("a", b"by the link").unwrap();
    drop(vault);
    let vault = Vault::open(&path, PASSPHRASE).unwrap();
    assert_eq!(vault.get("a"), Some(&b"by the link"[..]));
}

/// Somebody may have put a link where a write makes its file.
#[cfg(unix)]
#[test]
fn a_link_in_the_way_is_not_followed() {
    let (folder, path, mut vault) = filled();
    let letters = folder.path().join("letters");
    let text = "dear ".repeat(2_000);
    fs::write(&letters, &text).unwrap();
    let plant = || std::os::unix::fs::symlink(&letters, folder.path().join("vault.new")).unwrap();
    plant();
    vault.put("a", b"").unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    plant();
    vault.wipe().unwrap();
    assert_eq!(fs::read(&letters).unwrap(), text.as_bytes());
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn what_is_not_there_is_not_made() {
    let (folder, path) = folder();
    assert!(matches!(
        Vault::open(&path, PASSPHRASE),
        Err(OpenVaultError::NotFound)
    ));
    assert!(matches!(Vault::wipe_file(&path), Err(WipeError::NotFound)));
    let nowhere = path.join("vault");
    assert!(matches!(
        Vault::create(nowhere, PASSPHRASE),
        Err(CreateVaultError::Io(_))
    ));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_newer_version_stays_untouched() {
    let (folder, path) = folder();
    for version in ["2", "10", "4294967295"] {
        let text = format!("flexstore-vault {version}\nsomething else");
        fs::write(&path, &text).unwrap();
        let found = match Vault::open(&path, PASSPHRASE) {
            Err(OpenVaultError::NewerVersion { found, known: 1 }) => found,
            other => panic!("{other:?}"),
        };
        assert_eq!(found.to_string(), version);
        assert_eq!(
            files(folder.path()),
            [("vault".to_owned(), text.into_bytes())]
        );
    }
    for version in ["0", "01", "02", "-2", "+2", "", "2x", " 2", "4294967296"] {
        fs::write(&path, format!("flexstore-vault {version}\n")).unwrap();
        let opened = Vault::open(&path, PASSPHRASE);
        assert!(matches!(opened, Err(OpenVaultError::Failed)), "{version}");
    }
}

/// Each byte of a small vault changed, and the file cut here and there.
#[test]
fn damage_and_a_wrong_passphrase_have_one_answer() {
    let (_folder, path) = folder();
    let mut vault = Vault::create(&path, PASSPHRASE).unwrap();
    vault.put("a", b"secret").unwrap();
    drop(vault);
    let whole = fs::read(&path).unwrap();
    let wrong = Vault::open(&path, "wrong").unwrap_err();
    assert!(matches!(wrong, OpenVaultError::Failed));
    let flipped = (0..whole.len()).map(|at| {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x02;
        damaged
    });
    let cut = (0..whole.len()).step_by(29).map(|at| whole[..at].to_vec());
    let longer = [&whole[..], b"\0"].concat();
    let damaged: Vec<_> = flipped.chain(cut).chain([longer]).collect();
    let newer: usize = std::thread::scope(|scope| {
        let halves = damaged.chunks(damaged.len().div_ceil(2));
        let halves: Vec<_> = halves
            .map(|half| scope.spawn(|| half.iter().filter(|damaged| is_newer(damaged)).count()))
            .collect();
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    // The digit of the version is the one byte that has an answer of its own.
    assert_eq!(newer, 1);
    assert_eq!(
        Vault::open(&path, PASSPHRASE).unwrap().get("a"),
        Some(&b"secret"[..])
    );
}

fn is_newer(damaged: &[u8]) -> bool {
    let (_folder, path) = folder();
    fs::write(&path, damaged).unwrap();
    match Vault::open(&path, PASSPHRASE) {
        Err(OpenVaultError::NewerVersion { .. }) => true,
        Err(OpenVaultError::Failed) => false,
        other => panic!("{other:?} for {damaged:?}"),
    }
}

#[test]
fn the_time_does_not_tell_damage_from_a_wrong_passphrase() {
    let (_folder, path, vault) = filled();
    drop(vault);
    let whole = fs::read(&path).unwrap();
    let time = |bytes: &[u8], passphrase: &str| {
        fs::write(&path, bytes).unwrap();
        // The best of three: the machine is shared.
        let times = (0..3).map(|_| {
            let start = Instant::now();
            assert!(matches!(
                Vault::open(&path, passphrase),
                Err(OpenVaultError::Failed)
            ));
            start.elapsed()
        });
        times.min().unwrap()
    };
    let wrong = time(&whole, "wrong");
    println!("a wrong passphrase takes {wrong:?}");
    for (damaged, passphrase) in [
        (&b""[..], PASSPHRASE),
        (b"flexstore-vault 1\n....\n", PASSPHRASE),
        (&whole[..60], PASSPHRASE),
        (&whole[..whole.len() - 1], PASSPHRASE),
        (&whole, ""),
    ] {
        let damage = time(damaged, passphrase);
        // Without like work it would be a thousandth.
        assert!(damage * 4 > wrong, "{damage:?} and {wrong:?}");
        assert!(damage < wrong * 4, "{damage:?} and {wrong:?}");
    }
}

#[test]
fn a_changed_passphrase_ends_the_old_one() {
    let (folder, path, mut vault) = filled();
    let old_file = fs::read(&path).unwrap();
    assert!(matches!(
        vault.change_passphrase("wrong", NEW),
        Err(ChangePassphraseError::WrongPassphrase)
    ));
    assert_eq!(fs::read(&path).unwrap(), old_file);
    vault.change_passphrase(PASSPHRASE, NEW).unwrap();
    vault.put("a", b"later").unwrap();
    assert!(matches!(
        vault.change_passphrase(PASSPHRASE, NEW),
        Err(ChangePassphraseError::WrongPassphrase)
    ));
    drop(vault);
    assert!(matches!(
        Vault::open(&path, PASSPHRASE),
        Err(OpenVaultError::Failed)
    ));
    let new_file = fs::read(&path).unwrap();
    // The old head, which the old passphrase opens, does not open the new contents.
    let head = |file: &[u8]| {
        1 + file
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'\n')
            .nth(1)
            .unwrap()
            .0
    };
    let mixed = [&old_file[..head(&old_file)], &new_file[head(&new_file)..]].concat();
    fs::write(&path, mixed).unwrap();
    assert!(matches!(
        Vault::open(&path, PASSPHRASE),
        Err(OpenVaultError::Failed)
    ));
    fs::write(&path, &new_file).unwrap();
    let vault = Vault::open(&path, NEW).unwrap();
    assert_eq!(vault.get(NAME), Some(KEY));
    assert_eq!(vault.get("a"), Some(&b"later"[..]));
    // Nothing of the old head is in the folder.
    for (name, bytes) in files(folder.path()) {
        assert!(!contains(&bytes, &old_file[60..head(&old_file)]), "{name}");
    }
}

/// What a write replaced, as somebody sees it who held the file open: its blocks are overwritten.
#[cfg(unix)]
#[test]
fn what_was_replaced_is_overwritten_unless_it_is_linked() {
    let (folder, path, mut vault) = filled();
    let read = |file: &mut fs::File| {
        use std::io::{Read as _, Seek as _};
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let mut held = fs::File::open(&path).unwrap();
    let before = read(&mut held);
    vault.put("a", b"1").unwrap();
    let after = read(&mut held);
    assert_eq!(after.len(), before.len());
    assert!(!contains(&after, &before[..16]) && !contains(&after, &before[400..416]));
    let backup = folder.path().join("backup");
    fs::hard_link(&path, &backup).unwrap();
    let before = fs::read(&path).unwrap();
    vault.put("a", b"2").unwrap();
    assert_eq!(fs::read(&backup).unwrap(), before);
}

#[test]
fn no_canary_is_in_plain() {
    let (folder, path, mut vault) = filled();
    let secrets = [
        KEY,
        NAME.as_bytes(),
        PASSPHRASE.as_bytes(),
        NEW.as_bytes(),
        b"second canary",
    ];
    assert_absent(folder.path(), &secrets);
    vault.put(NAME, b"second canary").unwrap();
    assert_absent(folder.path(), &secrets);
    vault.change_passphrase(PASSPHRASE, NEW).unwrap();
    assert_absent(folder.path(), &secrets);
    vault.remove(NAME).unwrap();
    assert_absent(folder.path(), &secrets);
    drop(vault);
    Vault::open(&path, NEW).unwrap();
    assert_absent(folder.path(), &secrets);
}

#[test]
fn nothing_is_left_after_a_wipe() {
    for closed in [false, true] {
        let (folder, path, vault) = filled();
        let old = fs::read(&path).unwrap();
        let wrapped = old.split(|&byte| byte == b'\n').nth(1).unwrap();
        // As a kill leaves it, with a key of its own.
        fs::write(folder.path().join("vault.new"), &old).unwrap();
        #[cfg(unix)]
        let held = fs::File::open(&path).unwrap();
        if closed {
            drop(vault);
            Vault::wipe_file(&path).unwrap();
        } else {
            vault.wipe().unwrap();
        }
        assert_eq!(files(folder.path()), [("vault.lock".to_owned(), vec![])]);
        #[cfg(unix)]
        {
            // Nor in the blocks that the file had.
            let mut held = held;
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut held, &mut bytes).unwrap();
            assert_eq!(bytes.len(), old.len());
            for part in wrapped.chunks_exact(8) {
                assert!(!contains(&bytes, part));
            }
            assert!(!contains(&bytes, &old[old.len() - 16..]));
        }
        assert!(matches!(
            Vault::open(&path, PASSPHRASE),
            Err(OpenVaultError::NotFound)
        ));
        assert!(Vault::create(&path, NEW).is_ok());
    }
}

#[test]
fn a_wipe_takes_what_is_damaged_or_newer_but_only_a_vault() {
    let (folder, path) = folder();
    for text in [
        "flexstore-vault ",
        "flexstore-vault 9\nsecret",
        "flexstore-vault \0\0",
    ] {
        fs::write(&path, text).unwrap();
        Vault::wipe_file(&path).unwrap();
        assert!(!path.exists());
    }
    for text in [
        "",
        "flexstore-vault",
        "my letters, which are no vault at all",
    ] {
        fs::write(&path, text).unwrap();
        assert!(matches!(Vault::wipe_file(&path), Err(WipeError::NotAVault)));
        assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
    }
    drop(folder);
}

/// A wipe goes on past what it cannot destroy, and says so.
#[cfg(unix)]
#[test]
fn a_wipe_does_not_stop_at_a_failure() {
    let (folder, path, vault) = filled();
    // A directory is one thing that nobody overwrites, not even root.
    fs::create_dir(folder.path().join("vault.new")).unwrap();
    assert!(matches!(vault.wipe(), Err(WipeError::Io(_))));
    assert!(!path.exists());
}

/// Whatever a kill leaves beside the file does no harm, and goes when the vault is opened.
#[test]
fn an_interrupted_write_leaves_the_old_state() {
    let (folder, path, vault) = filled();
    drop(vault);
    let new = folder.path().join("vault.new");
    let whole = fs::read(&path).unwrap();
    for left in [&b""[..], b"flexstore-vault 1\ney", &whole] {
        fs::write(&new, left).unwrap();
        // A wrong passphrase tidies nothing.
        assert!(Vault::open(&path, "wrong").is_err());
        assert_eq!(fs::read(&new).unwrap(), left);
        let mut vault = Vault::open(&path, PASSPHRASE).unwrap();
        assert!(!new.exists());
        assert_eq!(vault.get(NAME), Some(KEY));
        fs::write(&new, left).unwrap();
        vault.put("a", b"").unwrap();
        assert!(!new.exists());
    }
}

/// A disk that does not take the file: the vault goes on with what it had.
#[cfg(unix)]
#[test]
fn a_failed_write_changes_nothing() {
    let (folder, path, mut vault) = filled();
    // A directory in its place is one thing that a write cannot remove, even as root.
    let new = folder.path().join("vault.new");
    fs::create_dir(&new).unwrap();
    assert!(matches!(vault.put("a", b""), Err(WriteVaultError::Io(_))));
    assert!(matches!(vault.put(NAME, b""), Err(WriteVaultError::Io(_))));
    assert!(matches!(vault.remove(NAME), Err(WriteVaultError::Io(_))));
    assert!(matches!(
        vault.change_passphrase(PASSPHRASE, NEW),
        Err(ChangePassphraseError::Io(_))
    ));
    assert_eq!(vault.names().collect::<Vec<_>>(), [NAME]);
    assert_eq!(vault.get(NAME), Some(KEY));
    fs::remove_dir(&new).unwrap();
    vault.put("b", b"").unwrap();
    drop(vault);
    let vault = Vault::open(&path, PASSPHRASE).unwrap();
    assert_eq!(vault.names().collect::<Vec<_>>(), ["b", NAME]);
}

#[test]
fn nothing_shows_a_secret() {
    fn one_owner<T: Send + Sync>(_: &T) {}
    let (_folder, path, mut vault) = filled();
    one_owner(&vault);
    assert_eq!(format!("{vault:?} {vault:#?}"), "Vault(..) Vault(..)");
    let mut told = Vec::new();
    let mut tell = |error: &dyn std::error::Error| write!(told, "{error} {error:?}").unwrap();
    tell(&Vault::open(&path, PASSPHRASE).unwrap_err());
    tell(&Vault::create(&path, PASSPHRASE).unwrap_err());
    tell(&vault.put(&"canary".repeat(100), b"canary").unwrap_err());
    tell(
        &vault
            .put("canary", &vec![b'c'; MAX_VAULT_BYTES])
            .unwrap_err(),
    );
    tell(&vault.change_passphrase("canary", "canary").unwrap_err());
    tell(
        &vault
            .change_passphrase(PASSPHRASE, &"canary".repeat(1000))
            .unwrap_err(),
    );
    drop(vault);
    tell(&Vault::create(&path, PASSPHRASE).unwrap_err());
    tell(&Vault::open(&path, "canary").unwrap_err());
    tell(&Vault::open(path.join("x"), "canary").unwrap_err());
    let told = String::from_utf8(told).unwrap();
    assert!(
        !told.contains("canary") && !told.contains("99, 97, 110"),
        "{told}"
    );
}
