//! The limits of sealing, at and past the edge.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use flexstore::seal::{
    Audience, Kid, MAX_AUDIENCES, MAX_CONTENT_BYTES, MAX_HEADER_BYTES, MAX_JWE_BYTES, Malformed,
    OpenError, SealError, open, seal,
};
use flexstore_core::{Digest, KeyTag};
use seal_support::*;
use serde_json::{Value, json};

#[test]
fn limits_of_the_audience() {
    assert_eq!(
        seal(b"x", None, &binding(), &[]),
        Err(SealError::NoAudience)
    );
    assert_eq!(
        seal(b"x", None, &binding(), &[audience(1), audience(1)]),
        Err(SealError::DuplicateAudience)
    );
    let record = Some(Digest::of(b""));
    let same_tag = Audience {
        kid: Kid { record, ..kid(1) },
        ..audience(2)
    };
    assert_eq!(
        seal(b"x", None, &binding(), &[audience(1), same_tag]),
        Err(SealError::DuplicateAudience)
    );
    // The most, with the longest kids and the longest content, stays within the reader's limit.
    let mut most: Vec<_> = (0..=MAX_AUDIENCES)
        .map(|n| {
            let digest = Digest::of(&n.to_le_bytes());
            Audience {
                kid: Kid {
                    tag: KeyTag::from_bytes(*digest.as_bytes()),
                    record,
                },
                ..audience(1)
            }
        })
        .collect();
    assert_eq!(
        seal(b"x", None, &binding(), &most),
        Err(SealError::TooManyAudiences)
    );
    most.pop();
    let content = vec![1; MAX_CONTENT_BYTES];
    let jwe = seal(&content, None, &binding(), &most).unwrap();
    assert!(jwe.len() <= MAX_JWE_BYTES, "{}", jwe.len());
    let own = secret(1);
    let last = most.last().unwrap().kid;
    let opened = open(&jwe, &binding(), &|kid| (*kid == last).then_some(&own)).unwrap();
    assert_eq!(*opened.content, content);
    assert_eq!(opened.audience.len(), MAX_AUDIENCES);
    // One more recipient in the text.
    let entry = jwe.find(r#"{"header""#).unwrap();
    let comma = jwe[entry..].find("},{").unwrap() + entry + 2;
    let more = format!("{}{}", &jwe[..comma], &jwe[entry..]);
    assert_eq!(
        open_as(1, &more).unwrap_err(),
        Malformed::TooManyRecipients.into()
    );
}

#[test]
fn limits_of_lengths() {
    let own = secret(1);
    for len in [0, 1, 31, 32, MAX_CONTENT_BYTES] {
        let content = vec![7; len];
        let jwe = seal(&content, None, &binding(), &[audience(1)]).unwrap();
        assert_eq!(*open_as(1, &jwe).unwrap().content, content);
    }
    assert_eq!(
        seal(
            &vec![7; MAX_CONTENT_BYTES + 1],
            None,
            &binding(),
            &[audience(1)]
        ),
        Err(SealError::TooLong)
    );
    // A sealer without our limit: 1,081,344 is the bucket of both lengths.
    for (len, fits) in [(MAX_CONTENT_BYTES, true), (MAX_CONTENT_BYTES + 1, false)] {
        let mut plaintext = vec![7; len];
        plaintext.push(0x80);
        plaintext.resize(1_081_344, 0);
        let opened = open_as(1, &crafted_with(json!({}), &plaintext));
        assert_eq!(opened.err(), (!fits).then_some(Malformed::TooLong.into()));
    }
    let fits = (0..MAX_HEADER_BYTES)
        .rev()
        .find(|len| seal(b"", Some(&"c".repeat(*len)), &binding(), &[audience(1)]).is_ok())
        .unwrap();
    let longest = "c".repeat(fits);
    let jwe = seal(b"", Some(&longest), &binding(), &[audience(1)]).unwrap();
    assert_eq!(open_as(1, &jwe).unwrap().cty, Some(longest));
    assert_eq!(
        seal(b"", Some(&"c".repeat(fits + 1)), &binding(), &[audience(1)]),
        Err(SealError::HeaderTooLong)
    );
    let long = crafted(json!({"cty": "c".repeat(MAX_HEADER_BYTES)}));
    assert_eq!(
        open_as(1, &long).unwrap_err(),
        Malformed::HeaderTooLong.into()
    );
    let filler = "A".repeat(MAX_JWE_BYTES);
    for (text, why) in [
        (&filler[..], Malformed::Shape),
        (&format!("{filler}A"), Malformed::TooLong),
    ] {
        assert_eq!(
            open(text, &binding(), &|_| Some(&own)).unwrap_err(),
            why.into()
        );
    }
}

#[test]
fn only_ascending_distinct_recipients_of_at_least_two() {
    let jwe = seal(b"x", None, &binding(), &[audience(1), audience(2)]).unwrap();
    let whole: Value = serde_json::from_str(&jwe).unwrap();
    let list = whole["recipients"].as_array().unwrap();
    for (recipients, why) in [
        (vec![], Malformed::Shape),
        (vec![&list[0]], Malformed::Order),
        (vec![&list[1], &list[0]], Malformed::Order),
        (vec![&list[0], &list[0]], Malformed::Order),
    ] {
        let mut other = whole.clone();
        other["recipients"] = json!(recipients);
        assert_eq!(open_as(1, &other.to_string()).unwrap_err(), why.into());
    }
}

#[test]
fn padding_that_we_do_not_make_is_refused() {
    let mut long = padded(b"x");
    long.extend([0; 32]);
    for plaintext in [&b"x"[..], b"x\x80", &[0; 32], &long] {
        let jwe = crafted_with(json!({}), plaintext);
        assert_eq!(open_as(1, &jwe).unwrap_err(), OpenError::Failed);
    }
}
