//! Frames: every message survives the way, and any bytes end in a message or a typed error.

#![allow(clippy::unwrap_used)] // a test

use bytes::Bytes;
use flexstore_core::link::MAX_FRAME_BYTES;
use flexstore_core::record::MAX_TIME;
use flexstore_core::sync::reconcile::MAX_RECONCILE_BYTES;
use flexstore_core::wire::{
    CloseReason, DecodeError, Filter, MAX_FILTER_OWNERS, MAX_LISTED, Message, RefusalReason,
    Summary, Violation,
};
use flexstore_core::{CollectionId, Digest, KeyTag, Kind, Tag};
use proptest::prelude::*;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn summary() -> impl Strategy<Value = Summary> {
    any::<(u64, [u8; 16])>().prop_map(|(count, fingerprint)| Summary { count, fingerprint })
}

fn time() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..=MAX_TIME)
}

fn filter() -> impl Strategy<Value = Filter> {
    let owners = prop::collection::vec(any::<[u8; 32]>().prop_map(KeyTag::from_bytes), 0..5);
    (prop::option::of(owners), time(), time()).prop_map(|(owners, since, until)| Filter {
        owners,
        since,
        until,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let kind = prop::sample::select(vec![Kind::Immutable, Kind::Mutable, Kind::Versioned]);
    let reason = prop::sample::select(vec![
        RefusalReason::TooNew,
        RefusalReason::Policy,
        RefusalReason::Full,
        RefusalReason::ReadOnly,
    ]);
    let close = prop::sample::select(vec![
        CloseReason::Done,
        CloseReason::Version,
        CloseReason::Protocol,
        CloseReason::BadRecord,
        CloseReason::Limit,
        CloseReason::TooSlow,
        CloseReason::Internal,
    ]);
    prop_oneof![
        (
            any::<(u16, u16, [u8; 16])>(),
            kind,
            "[a-zé/. ]{1,40}",
            filter(),
            summary()
        )
            .prop_map(|((oldest, newest, replica), kind, name, filter, summary)| {
                let native = CollectionId::new(kind, &name).unwrap();
                let collection = if oldest % 2 == 0 {
                    native
                } else {
                    native.javascript()
                };
                Message::Open {
                    oldest,
                    newest,
                    collection,
                    replica,
                    filter,
                    summary,
                }
            }),
        (any::<(u16, [u8; 16])>(), summary()).prop_map(|((version, replica), summary)| {
            Message::Welcome {
                version,
                replica,
                summary,
            }
        }),
        bytes().prop_map(Message::Reconcile),
        Just(Message::Reconciled),
        prop::collection::vec(bytes(), 0..20).prop_map(Message::Records),
        any::<u64>().prop_map(Message::Acknowledge),
        (digest(), reason, time()).prop_map(|(digest, reason, retry_after)| Message::Refused {
            digest,
            reason,
            retry_after
        }),
        prop::collection::vec(digest(), 0..50).prop_map(Message::Want),
        (digest(), digest()).prop_map(|(digest, successor)| Message::Gone { digest, successor }),
        digest().prop_map(Message::Absent),
        (any::<u64>(), "[a-z./ü]{1,60}").prop_map(|(id, tag)| Message::Ask {
            id,
            tag: Tag::new(tag).unwrap()
        }),
        any::<u64>().prop_map(Message::Told),
        close.prop_map(Message::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_survives_the_way(channel in any::<u32>(), message in message()) {
        let frame = message.encode(channel);
        prop_assert_eq!(Message::decode(&frame), Ok((channel, message)));
    }

    #[test]
    fn a_frame_has_no_second_end(channel in any::<u32>(), message in message(), more in any::<u8>()) {
        let mut frame = message.encode(channel).to_vec();
        frame.push(more);
        prop_assert!(Message::decode(&frame.into()).is_err());
    }

    #[test]
    fn a_cut_or_bent_frame_is_refused_or_another(
        message in message(), at in any::<prop::sample::Index>(), bit in 0u8..8
    ) {
        let frame = message.encode(3).to_vec();
        let at = at.index(frame.len());
        prop_assert!(Message::decode(&frame[..at].to_vec().into()).is_err());
        let mut bent = frame.clone();
        bent[at] ^= 1 << bit;
        if let Ok((channel, other)) = Message::decode(&bent.into()) {
            prop_assert!(channel != 3 || other != message);
        }
    }

    #[test]
    fn any_bytes_end_in_a_typed_error_or_a_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((_, message)) = Message::decode(&bytes.into()) {
            let id = CollectionId::new(Kind::Versioned, "x").unwrap();
            let mut random = rand_core::UnwrapErr(getrandom::SysRng);
            let _ = message.clone().check(&id, &mut random);
            let _ = message.check(&id.javascript(), &mut random);
        }
    }
}

#[test]
fn limits_hold_at_and_past_the_edge() {
    let decode = |message: &Message| Message::decode(&message.encode(0)).map(|_| ());
    let out = Err(DecodeError::OutOfBounds);

    let want = |n| Message::Want(vec![Digest::from_bytes([7; 32]); n]);
    assert_eq!(
        (decode(&want(MAX_LISTED)), decode(&want(MAX_LISTED + 1))),
        (Ok(()), out)
    );

    let records = |n| Message::Records(vec![Bytes::new(); n]);
    assert_eq!(
        (
            decode(&records(MAX_LISTED)),
            decode(&records(MAX_LISTED + 1))
        ),
        (Ok(()), out)
    );

    let reconcile = |n: usize| Message::Reconcile(vec![0; n].into());
    assert_eq!(
        (
            decode(&reconcile(MAX_RECONCILE_BYTES)),
            decode(&reconcile(MAX_RECONCILE_BYTES + 1))
        ),
        (Ok(()), out)
    );

    let open = |n| Message::Open {
        oldest: 1,
        newest: 1,
        collection: CollectionId::new(Kind::Mutable, "x").unwrap(),
        replica: [0; 16],
        filter: Filter {
            owners: Some(vec![KeyTag::from_bytes([1; 32]); n]),
            ..Filter::default()
        },
        summary: Summary::default(),
    };
    assert_eq!(
        (
            decode(&open(MAX_FILTER_OWNERS)),
            decode(&open(MAX_FILTER_OWNERS + 1))
        ),
        (Ok(()), out)
    );

    let refused = |at| Message::Refused {
        digest: Digest::from_bytes([0; 32]),
        reason: RefusalReason::Full,
        retry_after: Some(at),
    };
    assert_eq!(
        (decode(&refused(MAX_TIME)), decode(&refused(MAX_TIME + 1))),
        (Ok(()), out)
    );

    let one = Message::Records(vec![Bytes::new()]).encode(0).len();
    // The text's length takes four bytes more once it is long.
    let text = |n: usize| Message::Records(vec![vec![0; n].into()]).encode(0);
    let full = text(MAX_FRAME_BYTES - one - 4);
    assert_eq!(full.len(), MAX_FRAME_BYTES);
    assert!(Message::decode(&full).is_ok());
    let past = text(MAX_FRAME_BYTES - one - 3);
    assert_eq!(Message::decode(&past), Err(DecodeError::TooLong));
}

#[test]
fn what_a_peer_claims_reserves_nothing() {
    // A list of 2^32 digests, of records, of owners; a text of 2^40 bytes. None follows.
    for frame in [
        vec![0x83, 0, 7, 0x9a, 0xff, 0xff, 0xff, 0xff],
        vec![0x83, 0, 4, 0x9a, 0xff, 0xff, 0xff, 0xff],
        vec![0x83, 0, 4, 0x81, 0x5b, 0, 0, 1, 0, 0, 0, 0, 0],
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 3],
        // Indefinite lengths.
        vec![0x9f, 0, 3, 0xff],
        vec![0x83, 0, 7, 0x9f, 0xff],
    ] {
        assert!(
            Message::decode(&frame.clone().into()).is_err(),
            "{frame:02x?}"
        );
    }
    assert_eq!(
        Message::decode(&vec![0x82, 0, 0x18, 200].into()),
        Err(DecodeError::UnknownMessage(200))
    );
}

#[test]
fn a_record_that_does_not_verify_is_a_violation() {
    let mut random = rand_core::UnwrapErr(getrandom::SysRng);
    let key = flexstore_core::SigningKey::from_seed(&[1; 32]);
    let id = CollectionId::new(Kind::Mutable, "x").unwrap();
    let record = flexstore_core::record::Draft::text(id.clone(), Tag::new("a").unwrap(), "b", 1)
        .sign(&key)
        .unwrap();
    let mut forged = record.text().to_vec();
    let last = forged.len() - 3;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let texts = vec![record.text().clone(), forged.into()];
    let violation = Message::Records(texts).check(&id, &mut random).unwrap_err();
    assert!(matches!(violation, Violation::Signature(_)), "{violation}");
    assert_eq!(violation.reason(), CloseReason::BadRecord);
    let noise = Message::Records(vec![Bytes::from_static(b"noise")]).check(&id, &mut random);
    assert!(matches!(noise, Err(Violation::Record(_))));
}
