//! Recovery words, chosen secrets and what is joined with an account.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

use flexstore::{
    ChosenSecret, ChosenSecretError, MIN_GUESSES, PassphraseError, RecoverySecret, RecoveryWords,
    RecoveryWordsError, Weakness,
};
use proptest::prelude::*;

/// BIP 39 for 00 01 … 0f.
const WORDS: &str = "abandon amount liar amount expire adjust cage candy arch gather drum buyer";
const STRONG: &str = "seven quiet tapirs varnish a kiosk";

#[test]
fn words_are_twelve_of_the_list_and_read_back() {
    let words = RecoveryWords::generate().unwrap();
    let text = words.words();
    assert_eq!(text.split(' ').count(), 12);
    assert_eq!(RecoveryWords::parse(&text).unwrap().words(), text);
    assert_ne!(RecoveryWords::generate().unwrap().words(), text);
}

#[test]
fn case_and_white_space_do_not_matter() {
    for spelled in [
        WORDS.to_uppercase(),
        WORDS.replace(' ', "\n\t "),
        WORDS.replace(' ', "\u{a0}\u{3000}"),
        format!("  {WORDS}\r\n"),
    ] {
        assert_eq!(*RecoveryWords::parse(&spelled).unwrap().words(), WORDS);
    }
}

#[test]
fn each_fault_of_words_has_its_error() {
    let error = |text: &str| RecoveryWords::parse(text).unwrap_err();
    assert_eq!(error(""), RecoveryWordsError::Count(0));
    assert_eq!(
        error(WORDS.rsplit_once(' ').unwrap().0),
        RecoveryWordsError::Count(11)
    );
    assert_eq!(
        error(&format!("{WORDS} abandon")),
        RecoveryWordsError::Count(13)
    );
    // BIP 39 has 15 words too, of 160 bits.
    assert_eq!(error(&"abandon ".repeat(15)), RecoveryWordsError::Count(15));
    for (at, word) in WORDS.split(' ').enumerate().filter(|(at, _)| at % 2 == 0) {
        let wrong = WORDS.replacen(word, "flexstore", 1);
        assert_eq!(error(&wrong), RecoveryWordsError::UnknownWord(at + 1));
    }
    // A word wrong, two exchanged, a prefix that other readers would complete.
    for wrong in [
        WORDS.replace("buyer", "zoo"),
        WORDS.replace("cage candy", "candy cage"),
    ] {
        assert_eq!(error(&wrong), RecoveryWordsError::Checksum, "{wrong}");
    }
    assert_eq!(
        error(&WORDS.replace("abandon", "aban")),
        RecoveryWordsError::UnknownWord(1)
    );
}

#[test]
fn weak_choices_are_refused_and_told_why() {
    let refused = |text: &str, about: &[&str]| match ChosenSecret::new(text, about) {
        Err(ChosenSecretError::TooWeak {
            score,
            guesses,
            weakness,
        }) => {
            assert!(guesses < MIN_GUESSES);
            (score, weakness)
        }
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(refused("", &[]), (0, None));
    assert_eq!(refused(" \n ", &[]), (0, None));
    assert_eq!(refused("password", &[]), (0, Some(Weakness::Top10)));
    assert_eq!(
        refused("aaaaaaaa", &[]),
        (0, Some(Weakness::RepeatedLetter))
    );
    assert!(refused("4711", &[]).0 <= 1);
    assert!(refused("193847", &[]).0 <= 1);
    assert!(refused("correcthorse", &[]).0 < 4);
    // Above zxcvbn's best score, below our floor.
    assert_eq!(refused("vZ4!pQr9k", &[]).0, 3);
    assert_eq!(refused("vZ4!pQr9kwm", &[]).0, 4);
    assert_eq!(refused("vZ4!pQr9kwm7", &[]).0, 4);
    assert!(ChosenSecret::new("vZ4!pQr9kwm7x", &[]).is_ok());
    assert!(ChosenSecret::new(STRONG, &[]).is_ok());
}

#[test]
fn what_is_known_about_a_person_does_not_count() {
    let name = "Xanthippe Quirinius-Wolzogen";
    assert!(ChosenSecret::new(name, &[]).is_ok());
    assert!(ChosenSecret::new(name, &[name]).is_err());
    let parts = "wolzogenxanthippe";
    assert!(ChosenSecret::new(parts, &[]).is_ok());
    assert!(ChosenSecret::new(parts, &["Xanthippe Wolzogen"]).is_err());
}

#[test]
fn lengths_at_the_limit_and_past_it() {
    let long =
        |len: usize| -> String { STRONG.replace(' ', "-").chars().cycle().take(len).collect() };
    assert!(ChosenSecret::new(&long(1024), &[]).is_ok());
    assert_eq!(
        ChosenSecret::new(&long(1025), &[]).unwrap_err(),
        ChosenSecretError::TooLong
    );
    // What is taken off does not count.
    assert!(ChosenSecret::new(&format!("  {}  ", long(1024)), &[]).is_ok());
    let key = [7; 64];
    assert!(RecoverySecret::joined(&long(1024), &key).is_ok());
    assert_eq!(
        RecoverySecret::joined(&long(1025), &key).unwrap_err(),
        PassphraseError::TooLong
    );
    assert!(RecoverySecret::joined("1", &key).is_ok());
    assert_eq!(
        RecoverySecret::joined(" \t", &key).unwrap_err(),
        PassphraseError::Empty
    );
}

#[test]
fn nothing_shows_a_secret() {
    let words = RecoveryWords::parse(WORDS).unwrap();
    let chosen = ChosenSecret::new(STRONG, &[]).unwrap();
    let shown = [
        format!("{words:?} {words:#?}"),
        format!("{chosen:?} {chosen:#?}"),
        format!("{:?}", RecoverySecret::from(&words)),
        format!("{:?}", RecoverySecret::from(&chosen)),
        format!("{:?}", RecoverySecret::joined("canary", &[7; 64])),
    ];
    assert_eq!(shown[0], "RecoveryWords(..) RecoveryWords(..)");
    assert_eq!(shown[1], "ChosenSecret(..) ChosenSecret(..)");
    assert_eq!(shown[2], "RecoverySecret(..)");
    assert_eq!(shown[3], "RecoverySecret(..)");
    assert_eq!(shown[4], "Ok(RecoverySecret(..))");
    let told = |error: &dyn std::error::Error| {
        let told = format!("{error} {error:?}").to_lowercase();
        for canary in ["canary", "zebra", "abandon"] {
            assert!(!told.contains(canary), "{told}");
        }
    };
    told(&RecoveryWords::parse("canary").unwrap_err());
    told(&RecoveryWords::parse(&WORDS.replace("cage", "canary")).unwrap_err());
    told(&RecoveryWords::parse(&WORDS.replace("cage", "zebra")).unwrap_err());
    told(&ChosenSecret::new("canary", &["zebra"]).unwrap_err());
    told(&ChosenSecret::new(&"canary".repeat(200), &[]).unwrap_err());
    told(&RecoverySecret::joined(&"canary".repeat(200), &[0; 64]).unwrap_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_panics(text in ".{0,120}", about in prop::collection::vec(".{0,20}", 0..4)) {
        let about: Vec<_> = about.iter().map(String::as_str).collect();
        let _ = ChosenSecret::new(&text, &about);
        let _ = RecoveryWords::parse(&text);
        let _ = RecoverySecret::joined(&text, &[0; 64]);
    }
}
