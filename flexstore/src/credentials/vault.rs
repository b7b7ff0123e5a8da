//! The vault: a small sealed file for what must never lie on a disk in plain, such as private
//! keys, pins and MLS state. Separate from the item store.
//!
//! ```text
//! file     = "flexstore-vault " version "\n" key "\n" contents      version 1, decimal
//! key      = compact JWE that wraps {"kty":"oct","k":b64(master key: 32 bytes)} for the kid
//!            "vault" by Argon2id of the passphrase (modules `wrap` and `secret`)
//! contents = iv (12 bytes) || ciphertext || tag (16 bytes)          A256GCM under the master key,
//!            additional data = all bytes of the file before the iv
//! plain    = entries || 80 || zeros                                 padded like a sealed item
//! entry    = length of name (1 byte, 1 to 255) || name (UTF-8)
//!            || length of value (4 bytes, big-endian) || value
//! ```
//!
//! Entries ascend by the bytes of their names, each name once. Master key, salt and ivs are random.
//! A write makes the whole file anew under a fresh iv: the contents stay below 16 MiB.
//!
//! Beside `NAME` there is `NAME.lock`, empty, held with flock while the vault is open, and while a
//! write is under way `NAME.new`. On Unix all are made with mode 0600.
//!
//! # What a reader may rely on
//!
//! A call that returned has reached the disk (fsync of the file, rename, fsync of the directory); a
//! kill at any moment leaves the state before or the one after. Names, sizes and the number of
//! entries are not in plain. A wrong passphrase and a damaged file get one answer after like work.
//!
//! **Not promised**: somebody who can write the file can put an older one in its place. What a
//! write replaced is overwritten (on Unix, where nothing else links to it), but a
//! journalling or copying file system, a snapshot, a backup or a flash disk may keep older blocks.
//! What they hold is sealed; a changed passphrase makes a new master key, so it opens only under
//! the passphrase of its time, and [`Vault::wipe`] ends what this file alone could open.

mod contents;
mod error;
mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use flexstore_core::{decode_base64url, encode_base64url};
use zeroize::Zeroizing;

use super::kdf::{self, Cost, SALT_BYTES};
use super::secret::RecoverySecret;
use super::wrap::{UnwrapError, WrapError};
use crate::random;
use crate::seal::direct::{self, ContentKey};

pub use self::contents::MAX_VAULT_BYTES;
pub use self::error::{
    ChangePassphraseError, CreateVaultError, OpenVaultError, WipeError, WriteVaultError,
};

use self::contents::Entries;
use self::error::{ReadError, SealError, TakeError};
use self::file::VaultFile;

const VERSION: u32 = 1;
const MAGIC: &str = "flexstore-vault ";
const KID: &str = "vault";

/// The master key as JWK (RFC 7518 §6.4), in one spelling.
const JWK_START: &[u8] = br#"{"kty":"oct","k":""#;
const JWK_END: &[u8] = br#""}"#;

/// An open vault. No other process, and no other value in this one, has the same file open.
/// Master key and entries are wiped when it is dropped; `Debug` shows neither them nor names.
///
/// ```
/// use flexstore::{OpenVaultError, Vault};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("vault");
/// let mut vault = Vault::create(&path, "a passphrase")?;
/// vault.put("device", b"private")?; // on the disk when it returns
/// drop(vault);
///
/// assert!(matches!(Vault::open(&path, "another"), Err(OpenVaultError::Failed)));
/// let mut vault = Vault::open(&path, "a passphrase")?;
/// assert_eq!(vault.get("device"), Some(&b"private"[..]));
/// vault.change_passphrase("a passphrase", "a better one")?;
/// vault.wipe()?; // gone for good
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Vault {
    file: VaultFile,
    /// The first two lines of the file: its version, and the master key as the passphrase wraps it.
    head: String,
    key: ContentKey,
    entries: Entries,
}

impl Vault {
    /// Makes an empty vault where there is no file yet, in a directory that is there. A passphrase
    /// is text of at most 1,024 bytes; white space at its ends is taken off and each run inside
    /// counts as one space. How strong it is, the app judges: [`ChosenSecret`](super::ChosenSecret)
    /// tells. Takes some tenths of a second, as the other calls with a passphrase do.
    ///
    /// # Errors
    /// [`CreateVaultError`].
    pub fn create(path: impl AsRef<Path>, passphrase: &str) -> Result<Self, CreateVaultError> {
        let passphrase = RecoverySecret::of_vault(passphrase)?;
        let file = VaultFile::take(path.as_ref()).map_err(|error| match error {
            TakeError::Locked => CreateVaultError::Locked,
            TakeError::Io(error) => CreateVaultError::Io(error),
        })?;
        if file.exists()? {
            return Err(CreateVaultError::Exists);
        }
        let (head, key) = new_head(&passphrase)?;
        let vault = Self {
            file,
            head,
            key,
            entries: BTreeMap::new(),
        };
        vault.write()?;
        Ok(vault)
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// [`OpenVaultError`]. A file of a newer version stays untouched.
    pub fn open(path: impl AsRef<Path>, passphrase: &str) -> Result<Self, OpenVaultError> {
        let path = path.as_ref();
        // Before anything is made beside it, and again when nobody else can write it.
        version(&file::read(path)?)?;
        let file = VaultFile::take(path).map_err(|error| match error {
            TakeError::Locked => OpenVaultError::Locked,
            TakeError::Io(error) => OpenVaultError::Io(error),
        })?;
        let bytes = file::read(file.path())?;
        version(&bytes)?;
        let (head, sealed) = split(&bytes).unwrap_or_default();
        let key = open_head(head, passphrase)?;
        let entries = direct::decrypt(&key, head.as_bytes(), sealed)
            .and_then(contents::decode)
            .ok_or(OpenVaultError::Failed)?;
        // What a kill left behind; only now, since this is surely ours.
        file.discard_new()?;
        Ok(Self {
            file,
            head: head.to_owned(),
            key,
            entries,
        })
    }

    /// The names of all entries, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.entries.get(name).map(|value| &value[..])
    }

    /// Puts a value under a name of 1 to 255 bytes, in place of the one that was there.
    ///
    /// # Errors
    /// [`WriteVaultError`]. The vault then holds what it held; the file may hold either.
    pub fn put(&mut self, name: &str, value: &[u8]) -> Result<(), WriteVaultError> {
        if !contents::is_name(name) {
            return Err(WriteVaultError::Name);
        }
        let before = self
            .entries
            .insert(name.to_owned(), Zeroizing::new(value.to_vec()));
        let written = self.write();
        if written.is_err() {
            match before {
                Some(before) => self.entries.insert(name.to_owned(), before),
                None => self.entries.remove(name),
            };
        }
        Ok(written?)
    }

    /// Removes an entry; tells whether there was one.
    ///
    /// # Errors
    /// [`WriteVaultError`], as [`Vault::put`].
    pub fn remove(&mut self, name: &str) -> Result<bool, WriteVaultError> {
        let Some((name, before)) = self.entries.remove_entry(name) else {
            return Ok(false);
        };
        let written = self.write();
        if written.is_err() {
            self.entries.insert(name, before);
        }
        written?;
        Ok(true)
    }

    /// Changes the passphrase, and with it the master key: who knows the old passphrase, and even
    /// has a copy of the old file, opens nothing that is written from now on.
    ///
    /// # Errors
    /// [`ChangePassphraseError`]. This value then goes on with the old passphrase; the file may
    /// have either, until the next write.
    pub fn change_passphrase(&mut self, old: &str, new: &str) -> Result<(), ChangePassphraseError> {
        let new = RecoverySecret::of_vault(new)?;
        open_head(&self.head, old).map_err(|error| match error {
            ReadError::NoMemory => ChangePassphraseError::NoMemory,
            ReadError::NewerVersion(_) | ReadError::Failed => {
                ChangePassphraseError::WrongPassphrase
            }
        })?;
        let (mut head, mut key) = new_head(&new)?;
        std::mem::swap(&mut self.head, &mut head);
        std::mem::swap(&mut self.key, &mut key);
        let written = self.write();
        if written.is_err() {
            self.head = head;
            self.key = key;
        }
        Ok(written?)
    }

    /// Destroys the vault: first the wrapped master key, in place and to the disk, then the
    /// contents, then the file. An empty `.lock` file stays.
    ///
    /// # Errors
    /// [`WipeError`]. If the key was already destroyed nothing opens the file any more, and
    /// [`Vault::wipe_file`] may try the rest again.
    pub fn wipe(self) -> Result<(), WipeError> {
        self.file.destroy()
    }

    /// The same without the passphrase, for a panic button while the vault is closed; also for one
    /// that is damaged or of a newer version.
    ///
    /// # Errors
    /// [`WipeError`]; what is no vault by its first bytes stays untouched.
    pub fn wipe_file(path: impl AsRef<Path>) -> Result<(), WipeError> {
        let path = path.as_ref();
        file::require_magic(path)?;
        let file = VaultFile::take(path).map_err(|error| match error {
            TakeError::Locked => WipeError::Locked,
            TakeError::Io(error) => WipeError::Io(error),
        })?;
        file.destroy()
    }

    fn write(&self) -> Result<(), SealError> {
        let plain = contents::encode(&self.entries).ok_or(SealError::TooLong)?;
        let sealed = direct::encrypt(&self.key, self.head.as_bytes(), &plain);
        let sealed = sealed.ok_or(SealError::Failed)?;
        self.file.replace(&[self.head.as_bytes(), &sealed])?;
        Ok(())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

/// A new master key, and the first two lines of a file that say it.
fn new_head(passphrase: &RecoverySecret) -> Result<(String, ContentKey), SealError> {
    let key: ContentKey = Zeroizing::new(random::bytes().map_err(|_| SealError::Failed)?);
    let k = Zeroizing::new(encode_base64url(&key[..]));
    // Joined at once into its final size: growing would leave copies behind.
    let jwk = Zeroizing::new([JWK_START, k.as_bytes(), JWK_END].concat());
    let wrapped = passphrase.wrap_at(Cost::VAULT, &jwk, KID);
    let wrapped = wrapped.map_err(|error| match error {
        WrapError::NoMemory => SealError::NoMemory,
        _ => SealError::Failed,
    })?;
    Ok((format!("{MAGIC}{VERSION}\n{wrapped}\n"), key))
}

/// The master key. Whatever is wrong with head or passphrase takes the time of one derivation.
fn open_head(head: &str, passphrase: &str) -> Result<ContentKey, ReadError> {
    let wrapped = head.split('\n').nth(1).unwrap_or_default();
    let opened = RecoverySecret::of_vault(passphrase)
        .map_err(|_| UnwrapError::Kid)
        .and_then(|passphrase| passphrase.open(wrapped, KID));
    match opened {
        Ok(jwk) => read_jwk(&jwk).ok_or(ReadError::Failed),
        Err(UnwrapError::NoMemory) => Err(ReadError::NoMemory),
        Err(UnwrapError::Failed) => Err(ReadError::Failed),
        Err(_) => {
            let spent = kdf::derive(b"", &[0; SALT_BYTES], Cost::VAULT);
            Err(spent.map_or(ReadError::NoMemory, |_| ReadError::Failed))
        }
    }
}

fn read_jwk(jwk: &[u8]) -> Option<ContentKey> {
    let k = jwk.strip_prefix(JWK_START)?.strip_suffix(JWK_END)?;
    let bytes = Zeroizing::new(decode_base64url(k)?);
    Some(Zeroizing::new(bytes[..].try_into().ok()?))
}

/// Refuses a newer version; anything else that is wrong shows when the head is opened.
fn version(bytes: &[u8]) -> Result<(), ReadError> {
    let line = bytes.split(|&byte| byte == b'\n').next();
    let found = line
        .and_then(|line| str::from_utf8(line).ok())
        .and_then(|line| line.strip_prefix(MAGIC))
        .filter(|digits| !digits.starts_with('0') && digits.bytes().all(|d| d.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    match found {
        Some(found) if found > VERSION => Err(ReadError::NewerVersion(found)),
        _ => Ok(()),
    }
}

/// The first two lines with their ends, and the sealed contents.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let (first, _) = ends.next()?;
    let (second, _) = ends.next()?;
    let (head, sealed) = bytes.split_at(second + 1);
    let head = str::from_utf8(head).ok()?;
    (head[..first] == format!("{MAGIC}{VERSION}")).then_some((head, sealed))
}
