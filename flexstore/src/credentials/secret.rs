//! Recovery secrets: what a person keeps, or knows, to get keys back.
//!
//! Each becomes the *input* of Argon2id, from which it cannot be confused with another kind:
//!
//! ```text
//! words    "flexstore/recovery/words"  || 00 || the 16 bytes that the words stand for
//! chosen   "flexstore/recovery/chosen" || 00 || text
//! joined   "flexstore/recovery/joined" || 00 || OPAQUE export key (64 bytes) || text
//! vault    "flexstore/vault"           || 00 || text
//! ```
//!
//! `text` is UTF-8 as the person typed it, white space (Unicode `White_Space`) at both ends taken
//! off and each run of it inside made one space (U+0020). Letters are taken as they are: no case
//! folding and **no Unicode normalization**, so an app whose keyboards may spell é in two ways
//! passes NFC.

use std::fmt;

use bip39::{Language, Mnemonic};
use zeroize::{Zeroize as _, Zeroizing};

use super::KeySetError;
use crate::random;

mod chosen;

pub use self::chosen::{ChosenSecret, ChosenSecretError, MIN_GUESSES, Weakness};

const WORDS: &str = "flexstore/recovery/words";
const CHOSEN: &str = "flexstore/recovery/chosen";
const JOINED: &str = "flexstore/recovery/joined";
const VAULT: &str = "flexstore/vault";

/// Twelve words.
const COUNT: usize = 12;
const ENTROPY_BYTES: usize = 16;
/// No English word of BIP 39 is longer, in characters.
const LONGEST_WORD: usize = 8;

/// The longest text that a person may choose, in bytes of UTF-8 as it is used: 1 KiB.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 10;

/// Twelve English words that stand for 128 random bits and a checksum of 4 (BIP 39). Their bits,
/// not the seed that wallets make of them, are the secret. Wiped when dropped, never shown:
///
/// ```
/// use flexstore::RecoveryWords;
///
/// let words = RecoveryWords::generate()?;
/// assert_eq!(format!("{words:?}"), "RecoveryWords(..)");
/// let again = RecoveryWords::parse(&words.words().to_uppercase())?;
/// assert_eq!(again.words(), words.words());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// println!("{}", flexstore::RecoveryWords::generate().unwrap()); // a secret has no `Display`
/// ```
pub struct RecoveryWords {
    entropy: Zeroizing<[u8; ENTROPY_BYTES]>,
}

/// Why a text is not [`RecoveryWords`]. None shows a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryWordsError {
    /// Not twelve words.
    #[error("{0} words and not 12")]
    Count(usize),
    /// A word that is not in the list.
    #[error("word {0} is not in the list")]
    UnknownWord(
        /// Which, from 1.
        usize,
    ),
    /// All are words of the list, but the last does not fit: one is wrong, or the order is.
    #[error("a word is wrong, or the order is")]
    Checksum,
}

impl RecoveryWords {
    /// New ones, from 16 bytes of the operating system.
    ///
    /// # Errors
    /// [`KeySetError::NoRandom`].
    pub fn generate() -> Result<Self, KeySetError> {
        let entropy = random::bytes().map_err(|_| KeySetError::NoRandom)?;
        Ok(Self {
            entropy: Zeroizing::new(entropy),
        })
    }

    /// Reads words in any case, with any white space between and around.
    ///
    /// # Errors
    /// [`RecoveryWordsError`].
    pub fn parse(text: &str) -> Result<Self, RecoveryWordsError> {
        let count = text.split_whitespace().count();
        if count != COUNT {
            return Err(RecoveryWordsError::Count(count));
        }
        let text = Zeroizing::new(text.to_ascii_lowercase());
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &text);
        let mnemonic = mnemonic.map_err(|error| match error {
            bip39::Error::UnknownWord(index) => RecoveryWordsError::UnknownWord(index + 1),
            _ => RecoveryWordsError::Checksum,
        })?;
        let (mut bytes, _) = mnemonic.to_entropy_array();
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        entropy.copy_from_slice(&bytes[..ENTROPY_BYTES]);
        bytes.zeroize();
        Ok(Self { entropy })
    }

    /// The words in small letters with single spaces between, to show once.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        // One allocation of enough room: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(COUNT * (LONGEST_WORD + 1)));
        // 16 bytes are always words.
        if let Ok(mnemonic) = Mnemonic::from_entropy_in(Language::English, &*self.entropy) {
            for word in mnemonic.words() {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(word);
            }
        }
        text
    }
}

impl fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryWords(..)")
    }
}

/// A secret by which keys may be wrapped: [`RecoveryWords`], a [`ChosenSecret`], or any text
/// joined with an account's export key. There is no other way to one, so nothing is wrapped by a
/// weak secret alone. Wiped when dropped, never shown.
///
/// ```
/// use flexstore::{RecoverySecret, RecoveryWords};
///
/// let words = RecoveryWords::generate()?;
/// let secret = RecoverySecret::from(&words);
/// let jwe = secret.wrap(br#"{"keys":[]}"#, "kid")?;
/// assert_eq!(**secret.open(&jwe, "kid")?, *br#"{"keys":[]}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecoverySecret {
    input: Zeroizing<Vec<u8>>,
}

/// Why a text is no passphrase. How strong it is, is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing but white space.
    #[error("an empty passphrase")]
    Empty,
    /// Longer than 1,024 bytes of UTF-8.
    #[error("a passphrase longer than the limit")]
    TooLong,
}

impl RecoverySecret {
    /// Joins a text of any strength, such as a pin, with the export key of an OPAQUE login
    /// (RFC 9807 §6): without the account's service nobody can even guess at the text.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn joined(text: &str, export_key: &[u8; 64]) -> Result<Self, PassphraseError> {
        Ok(Self::of(
            JOINED,
            &[export_key, passphrase(text)?.as_bytes()],
        ))
    }

    /// The passphrase of a vault, whose strength is the app's to judge.
    pub(super) fn of_vault(text: &str) -> Result<Self, PassphraseError> {
        Ok(Self::of(VAULT, &[passphrase(text)?.as_bytes()]))
    }

    /// A copy, for the thread that does the work.
    pub(super) fn copy(&self) -> Self {
        Self {
            input: self.input.clone(),
        }
    }

    /// What Argon2id takes as its password.
    pub(super) fn input(&self) -> &[u8] {
        &self.input
    }

    fn of(label: &str, parts: &[&[u8]]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut input = Zeroizing::new(Vec::with_capacity(label.len() + 1 + len));
        input.extend_from_slice(label.as_bytes());
        input.push(0);
        for part in parts {
            input.extend_from_slice(part);
        }
        Self { input }
    }
}

impl From<&RecoveryWords> for RecoverySecret {
    fn from(words: &RecoveryWords) -> Self {
        Self::of(WORDS, &[&*words.entropy])
    }
}

impl From<&ChosenSecret> for RecoverySecret {
    fn from(chosen: &ChosenSecret) -> Self {
        Self::of(CHOSEN, &[chosen.text().as_bytes()])
    }
}

impl fmt::Debug for RecoverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoverySecret(..)")
    }
}

fn passphrase(text: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let text = tidy(text);
    if text.is_empty() {
        Err(PassphraseError::Empty)
    } else if text.len() > MAX_TEXT_BYTES {
        Err(PassphraseError::TooLong)
    } else {
        Ok(text)
    }
}

/// White space off the ends, one space for each run of it inside.
fn tidy(text: &str) -> Zeroizing<String> {
    // Never longer than what was given, so it does not grow and leave copies behind.
    let mut tidy = Zeroizing::new(String::with_capacity(text.len()));
    for word in text.split_whitespace() {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    tidy
}
