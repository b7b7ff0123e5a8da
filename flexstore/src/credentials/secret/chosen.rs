//! A secret that a person chose, and whether it is hard enough to guess.

use std::fmt;

use zeroize::Zeroizing;
use zxcvbn::feedback::Warning;

use super::{MAX_TEXT_BYTES, tidy};

/// How many guesses a chosen secret must withstand by zxcvbn's estimate: 2^40, about 1.1e12, a
/// hundred times what zxcvbn calls its best score.
///
/// A wrapped key lies where a stranger may copy it, so guessing is offline and limited by
/// Argon2id alone. At an assumed 2,000 derivations of 64 MiB and 3 passes a second and graphics
/// card, 2^40 of them take one card 17 years; a pin of six digits takes 8 minutes.
pub const MIN_GUESSES: u64 = 1 << 40;

/// A pin, a passphrase or answers that a person chose, and that withstand [`MIN_GUESSES`]. Wiped
/// when dropped, never shown. (The estimate by zxcvbn makes copies that nobody wipes.)
///
/// ```
/// use flexstore::{ChosenSecret, ChosenSecretError};
///
/// let refused = ChosenSecret::new("Anna Meier 1987", &["Anna Meier"]);
/// assert!(matches!(refused, Err(ChosenSecretError::TooWeak { score: 0..=3, .. })));
/// let chosen = ChosenSecret::new("seven quiet tapirs varnish a kiosk", &["Anna Meier"])?;
/// assert_eq!(format!("{chosen:?}"), "ChosenSecret(..)");
/// # Ok::<(), ChosenSecretError>(())
/// ```
pub struct ChosenSecret {
    text: Zeroizing<String>,
}

/// Why a chosen text is no secret. None shows any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChosenSecretError {
    /// Longer than 1,024 bytes of UTF-8.
    #[error("a secret longer than the limit")]
    TooLong,
    /// Guessed in fewer than [`MIN_GUESSES`].
    #[error("a secret that is easy to guess (score {score} of 4)")]
    TooWeak {
        /// zxcvbn's: 0 to 3 up to 1e3, 1e6, 1e8 and 1e10 guesses, 4 above.
        score: u8,
        /// By zxcvbn's estimate.
        guesses: u64,
        /// What makes it weak, if zxcvbn can tell: for the app to put in words.
        weakness: Option<Weakness>,
    },
}

/// What makes a chosen secret weak: the warnings of zxcvbn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weakness {
    /// Straight rows of keys, such as `qwertz`.
    KeyRow,
    /// Short turns on the keyboard.
    KeyPattern,
    /// Repeats like `aaa`.
    RepeatedLetter,
    /// Repeats like `abcabc`.
    RepeatedGroup,
    /// One of the ten most common passwords.
    Top10,
    /// One of the hundred most common passwords.
    Top100,
    /// A common password.
    Common,
    /// Like a common password.
    NearCommon,
    /// Sequences like `abc` or `6543`.
    Sequence,
    /// A recent year.
    Year,
    /// A word by itself, or one of the texts about the person.
    Word,
    /// A date.
    Date,
    /// A name by itself.
    Name,
    /// A common name.
    CommonName,
}

impl ChosenSecret {
    /// Takes a text if it is hard to guess, also for one who knows `about` the person: names,
    /// addresses, the questions that are answered, the name of the app. Only the first 100
    /// characters count for the estimate; all are used.
    ///
    /// # Errors
    /// [`ChosenSecretError`].
    pub fn new(text: &str, about: &[&str]) -> Result<Self, ChosenSecretError> {
        let text = tidy(text);
        if text.len() > MAX_TEXT_BYTES {
            return Err(ChosenSecretError::TooLong);
        }
        // zxcvbn looks for each as a whole; a name is guessed by its parts too.
        let known: Vec<&str> = about
            .iter()
            .flat_map(|known| std::iter::once(*known).chain(known.split_whitespace()))
            .collect();
        let estimate = zxcvbn::zxcvbn(&text, &known);
        if estimate.guesses() < MIN_GUESSES {
            let feedback = estimate.feedback();
            return Err(ChosenSecretError::TooWeak {
                score: estimate.score().into(),
                guesses: estimate.guesses(),
                weakness: feedback.and_then(|said| said.warning()).map(Weakness::from),
            });
        }
        Ok(Self { text })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ChosenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChosenSecret(..)")
    }
}

impl From<Warning> for Weakness {
    fn from(warning: Warning) -> Self {
        match warning {
            Warning::StraightRowsOfKeysAreEasyToGuess => Self::KeyRow,
            Warning::ShortKeyboardPatternsAreEasyToGuess => Self::KeyPattern,
            Warning::RepeatsLikeAaaAreEasyToGuess => Self::RepeatedLetter,
            Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => Self::RepeatedGroup,
            Warning::ThisIsATop10Password => Self::Top10,
            Warning::ThisIsATop100Password => Self::Top100,
            Warning::ThisIsACommonPassword => Self::Common,
            Warning::ThisIsSimilarToACommonlyUsedPassword => Self::NearCommon,
            Warning::SequencesLikeAbcAreEasyToGuess => Self::Sequence,
            Warning::RecentYearsAreEasyToGuess => Self::Year,
            Warning::AWordByItselfIsEasyToGuess => Self::Word,
            Warning::DatesAreOftenEasyToGuess => Self::Date,
            Warning::NamesAndSurnamesByThemselvesAreEasyToGuess => Self::Name,
            Warning::CommonNamesAndSurnamesAreEasyToGuess => Self::CommonName,
        }
    }
}
