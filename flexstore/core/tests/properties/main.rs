//! What must hold of every record, not only of those somebody thought of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod any;
mod limits;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use any::{IsTombstone as _, Sample, sample};
use flexstore_core::Kind;
use flexstore_core::json::parse_strict;
use flexstore_core::record::{ParseError, Signed};
use proptest::prelude::*;
use serde_json::Value;
use support::{compact, general, part};

fn config(cases: u32) -> ProptestConfig {
    // No file of regressions: a failing case is written into a test by name.
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What a text means, if it is accepted.
fn meaning(text: &[u8]) -> Option<String> {
    let record = Signed::parse(text.to_vec()).ok()?.verify().ok()?;
    assert_eq!(
        &record.text()[..],
        text,
        "what is accepted is kept as it came"
    );
    Some(format!("{:?} {:?}", record.header(), record.payload()))
}

proptest! {
    #![proptest_config(config(192))]

    #[test]
    fn what_is_signed_is_read_back(sample in sample()) {
        let signed = sample.sign().unwrap();
        let parsed = Signed::parse(signed.text().clone()).unwrap();
        prop_assert_eq!(parsed.digest(), signed.digest());
        let read = parsed.verify().unwrap();
        prop_assert_eq!(read.header(), signed.header());
        prop_assert_eq!(read.payload(), signed.payload());
        prop_assert_eq!(read.text(), signed.text());
        prop_assert_eq!(read.stamp(), signed.stamp());
        prop_assert_eq!(read.state(), signed.state());
        prop_assert_eq!(read.is_tombstone(), sample.draft.content.is_tombstone());
        prop_assert_eq!(&read.header().collection, &sample.draft.collection);
        prop_assert_eq!(read.header().iat, sample.draft.iat);
        if sample.draft.collection.kind() != Kind::Immutable || read.is_tombstone() {
            prop_assert_eq!(&read.header().tag, &sample.draft.tag);
        }
        // Signing is deterministic (RFC 8032), so the same draft is the same record.
        prop_assert_eq!(sample.sign().unwrap().digest(), signed.digest());
    }

    #[test]
    fn records_differ_by_digest(samples in prop::collection::vec(sample(), 2..12)) {
        let mut seen = BTreeMap::new();
        for sample in samples {
            let record = sample.sign().unwrap();
            let told = format!("{:?} {:?}", record.header(), record.payload());
            if let Some(before) = seen.insert(record.digest(), told.clone()) {
                prop_assert_eq!(before, told);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_refused(sample in sample(), at: prop::sample::Index, to: u8) {
        let mut text = sample.sign().unwrap().text().to_vec();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        prop_assert_eq!(meaning(&text), None);
    }

    #[test]
    fn a_cut_or_longer_text_is_refused(
        sample in sample(),
        at: prop::sample::Index,
        end: prop::sample::Index,
        inserted in prop::collection::vec(any::<u8>(), 1..6),
    ) {
        let text = sample.sign().unwrap().text().to_vec();
        let (at, end) = (at.index(text.len()), end.index(text.len()));
        prop_assert_eq!(meaning(&text[..at]), None);
        prop_assert_eq!(meaning(&text[at + 1..]), None);
        let longer = [&text[..at], &inserted, &text[at..]].concat();
        prop_assert_eq!(meaning(&longer), None);
        let (from, to) = (at.min(end), at.max(end));
        let doubled = [&text[..to], &text[from..]].concat();
        prop_assert!(from == to || meaning(&doubled).is_none());
        let cut = [&text[..from], &text[to..]].concat();
        prop_assert!(from == to || meaning(&cut).is_none());
    }

    /// A header of random members, in either form, well signed: refused, or written just as we
    /// would write it.
    #[test]
    fn what_is_accepted_is_written_one_way(sample in sample(), edit in any::edit()) {
        let record = sample.sign().unwrap();
        let headers: Vec<String> = any::headers(record.text()).iter().map(|h| edit.apply(h)).collect();
        let payload = &record.payload()[..];
        let text = match sample.author {
            None => compact(sample.owner, headers[0].as_bytes(), payload),
            Some(author) => general(
                &[
                    part(sample.owner, headers[0].as_bytes(), payload),
                    part(author, headers[1].as_bytes(), payload),
                ],
                payload,
            ),
        };
        // An edited `kid` is another key, which did not sign.
        if let Some(Ok(read)) = Signed::parse(text.clone()).ok().map(Signed::verify) {
            let again = Sample::of(&read, sample.owner, sample.author).sign().unwrap();
            prop_assert_eq!(&again.text()[..], text.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Signed::parse(bytes.clone()).is_err());
        let _ = parse_strict(&bytes);
        for first in [b'{', b'.'] {
            let mut bytes = bytes.clone();
            bytes.insert(0, first);
            prop_assert!(Signed::parse(bytes).is_err());
        }
    }

    #[test]
    fn any_text_near_a_record_is_judged(
        text in r#"[{]?("signatures":|"payload":|"protected":|"signature":|[\[\]{},."A-Za-z0-9_=-]{0,6}){0,12}[}]?"#,
    ) {
        prop_assert!(Signed::parse(text.clone()).is_err());
    }

    #[test]
    fn any_json_is_judged(value in any::json()) {
        let text = value.to_string();
        prop_assert_eq!(parse_strict(text.as_bytes()), Ok(value.clone()));
        prop_assert!(Signed::parse(text.clone()).is_err());
        // As header and payload of a well signed record, which is none.
        let error = Signed::parse(compact(1, text.as_bytes(), text.as_bytes())).unwrap_err();
        prop_assert!(matches!(error, ParseError::HeaderLayout), "{error:?}");
    }

    #[test]
    fn strict_is_a_subset(text in r#"[\[{]([\[\]{},:" ]|"[ab]"|"\\u006[12]"|-?[0-9]{1,3}|true|null|1e5|0\.5){0,16}[\]}]"#) {
        if let Ok(value) = parse_strict(text.as_bytes()) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}

/// Every bit of a record of each form, flipped.
#[test]
fn every_bit_counts() {
    let mut flips = 0;
    for sample in any::few() {
        let text = sample.sign().unwrap().text().to_vec();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut text = text.clone();
                text[at] ^= 1 << bit;
                assert_eq!(meaning(&text), None, "byte {at}, bit {bit}");
                flips += 1;
            }
        }
    }
    let figure = format!("{flips} flips, 0 accepted");
    support::report("record/bit-flips", &figure, "0 accepted", true);
}
