//! What must hold of sealing for any content, binding, audience and any bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use flexstore::seal::{Binding, Kid, MAX_HEADER_BYTES, OpenError, SealError, js, open, seal};
use flexstore_core::{Digest, decode_base64url};
use proptest::prelude::*;
use seal_support::*;

fn any_binding() -> impl Strategy<Value = Binding> {
    (
        any::<[u8; 2]>(),
        ".{0,40}",
        proptest::option::of(".{0,40}"),
        proptest::option::of(".{0,40}"),
    )
        .prop_map(|(tags, col, tag_, prop)| Binding {
            owner: tag(tags[0]),
            author: tag(tags[1]),
            col,
            tag: tag_,
            prop,
        })
}

fn two_forms() -> [String; 2] {
    let one = seal(b"content", Some("t"), &binding(), &[audience(1)]).unwrap();
    let three = seal(b"content", Some("t"), &binding(), &[1, 2, 3].map(audience)).unwrap();
    [one, three]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn round_trip(
        content in proptest::collection::vec(any::<u8>(), 0..3000),
        cty in proptest::option::of(".{0,40}"),
        binding in any_binding(),
        tags in proptest::collection::btree_set(1..200_u8, 1..6),
    ) {
        let to: Vec<_> = tags.iter().map(|n| audience(*n)).collect();
        let jwe = seal(&content, cty.as_deref(), &binding, &to).unwrap();
        for n in &tags {
            let own = secret(*n);
            let opened = open(&jwe, &binding, &|k| (*k == kid(*n)).then_some(&own)).unwrap();
            prop_assert_eq!(&*opened.content, &content);
            prop_assert_eq!(&opened.cty, &cty);
            prop_assert_eq!(opened.audience.len(), tags.len());
        }
        // A key outside the audience, even under a name within it.
        let outside = secret(250);
        prop_assert_eq!(
            open(&jwe, &binding, &|_| Some(&outside)).unwrap_err(),
            OpenError::Failed
        );
        prop_assert_eq!(open(&jwe, &binding, &|_| None).unwrap_err(), OpenError::NotForUs);
    }

    #[test]
    fn another_binding_opens_nothing(sealed in any_binding(), expected in any_binding()) {
        let own = secret(1);
        let jwe = seal(b"x", None, &sealed, &[audience(1)]).unwrap();
        let opened = open(&jwe, &expected, &|_| Some(&own));
        prop_assert_eq!(opened.is_ok(), sealed == expected);
        if let Err(error) = opened {
            prop_assert!(matches!(error, OpenError::Binding(_)));
        }
    }

    #[test]
    fn lengths_tell_little(len in 0..100_000_usize, audience_len in 1..3_u8) {
        let to: Vec<_> = (1..=audience_len).map(audience).collect();
        let jwe = seal(&vec![1; len], None, &binding(), &to).unwrap();
        let ciphertext = if audience_len == 1 {
            jwe.split('.').nth(3).unwrap().to_owned()
        } else {
            let whole: serde_json::Value = serde_json::from_str(&jwe).unwrap();
            whole["ciphertext"].as_str().unwrap().to_owned()
        };
        let padded = decode_base64url(ciphertext.as_bytes()).unwrap().len();
        prop_assert!(padded > len);
        if len <= 31 {
            prop_assert_eq!(padded, 32);
        } else {
            prop_assert!((padded - len) * 100 <= 12 * len);
        }
    }

    #[test]
    fn any_text_is_a_typed_error(text in "\\PC{0,200}") {
        let own = secret(1);
        prop_assert!(open(&text, &binding(), &|_| Some(&own)).is_err());
        prop_assert!(js::open(&text, &|_| None).is_err());
    }

    #[test]
    fn any_mangled_jwe_is_a_typed_error(
        form in 0..2_usize,
        at in any::<prop::sample::Index>(),
        cut in 0..80_usize,
        put in "[\\PC]{0,20}",
    ) {
        let jwe = &two_forms()[form];
        let at = at.index(jwe.len());
        let end = (at + cut).min(jwe.len());
        let mangled = format!("{}{put}{}", &jwe[..at], &jwe[end..]);
        // White space between members is the one thing that a general JWE may gain.
        prop_assume!(mangled.replace(char::is_whitespace, "") != *jwe);
        prop_assert!(open_as(1, &mangled).is_err());
    }

    #[test]
    fn any_header_is_a_typed_error(header in "\\{(\"(alg|enc|epk|kid|commit|pad|x)\":(\"\\PC{0,9}\"|[0-9]{1,3}|\\{\\}|\\[\\]|null),?){0,7}\\}") {
        let own = secret(1);
        let jwe = crafted_text(&header);
        prop_assert!(open(&jwe, &binding(), &|_| Some(&own)).is_err());
        prop_assert!(js::open(&jwe, &|_| None).is_err());
    }

    #[test]
    fn too_long_a_binding_is_an_error(len in 6_000..9_000_usize) {
        let mut binding = binding();
        binding.col = "c".repeat(len);
        match seal(b"", None, &binding, &[audience(1)]) {
            Ok(jwe) => prop_assert!(jwe.find('.').unwrap() <= MAX_HEADER_BYTES),
            Err(error) => prop_assert_eq!(error, SealError::HeaderTooLong),
        }
    }

    #[test]
    fn kids_are_text_and_back(tag_ in any::<[u8; 32]>(), record in any::<Option<[u8; 32]>>()) {
        let kid = Kid {
            tag: flexstore_core::KeyTag::from_bytes(tag_),
            record: record.map(Digest::from_bytes),
        };
        prop_assert_eq!(kid.to_string().parse(), Ok(kid));
        for bad in [format!("{kid}#"), format!("#{kid}"), format!("{kid} "), kid.to_string()[1..].to_owned()] {
            prop_assert!(bad.parse::<Kid>().is_err());
        }
    }
}

/// Every byte of both forms, each changed in two ways: nothing opens.
#[test]
fn no_single_byte_can_be_changed() {
    for jwe in two_forms() {
        for at in 0..jwe.len() {
            for change in [1, 0x20] {
                let mut bytes = jwe.clone().into_bytes();
                bytes[at] ^= change;
                let Ok(text) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(open_as(1, &text).is_err(), "byte {at} of {jwe}");
            }
        }
    }
}

/// Twenty items in twenty places: each opens in its own and in no other.
#[test]
fn no_two_items_can_be_swapped() {
    let own = secret(1);
    let places: Vec<_> = (0..20_u8)
        .map(|n| {
            let mut place = binding();
            match n % 4 {
                0 => place.owner = tag(n),
                1 => place.author = tag(n),
                2 => place.col = format!("MutableCollection/{n}"),
                _ => place.tag = Some(format!("item {n}")),
            }
            place
        })
        .collect();
    let items: Vec<_> = places
        .iter()
        .map(|place| seal(b"same", None, place, &[audience(1)]).unwrap())
        .collect();
    for (i, item) in items.iter().enumerate() {
        for (j, place) in places.iter().enumerate() {
            assert_eq!(open(item, place, &|_| Some(&own)).is_ok(), i == j);
        }
    }
    // Nor can parts of two items of one place be mixed.
    let [a, b] = [0, 1].map(|n| seal(&[n], None, &binding(), &[audience(1)]).unwrap());
    for index in 0..5 {
        let part = b.split('.').nth(index).unwrap();
        assert!(open_as(1, &with_part(&a, index, part)).is_err());
    }
}
