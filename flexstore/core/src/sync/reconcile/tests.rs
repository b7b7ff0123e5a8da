use std::collections::BTreeSet;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use proptest::prelude::*;

use super::*;

fn stamp(n: u32) -> Stamp {
    Stamp {
        iat: u64::from(n / 3),
        digest: Digest::of(&n.to_le_bytes()),
    }
}

fn vector(set: &BTreeSet<Stamp>) -> NegentropyStorageVector {
    let mut vector = NegentropyStorageVector::new();
    for stamp in set {
        let id = Id::from_byte_array(*stamp.digest.as_bytes());
        vector.insert(stamp.iat, id).unwrap();
    }
    vector.seal().unwrap();
    vector
}

fn sets(common: u32, left: u32, right: u32) -> (BTreeSet<Stamp>, BTreeSet<Stamp>) {
    let spread =
        |from: u32, n: u32| (0..n).map(move |i| stamp(from + i.wrapping_mul(7919) % 1_000_003));
    let mut a: BTreeSet<_> = spread(0, common).collect();
    let mut b = a.clone();
    a.extend(spread(2_000_000, left));
    b.extend(spread(4_000_000, right));
    (a, b)
}

fn check(a: &BTreeSet<Stamp>, b: &BTreeSet<Stamp>, mut found: Found) {
    found.have.sort_unstable();
    found.have.dedup();
    found.need.sort_unstable();
    found.need.dedup();
    let have: Vec<_> = a.difference(b).copied().collect();
    let mut need: Vec<_> = b.difference(a).map(|stamp| stamp.digest).collect();
    need.sort_unstable();
    assert_eq!(found.have, have);
    assert_eq!(found.need, need);
}

/// Both sides ours.
fn ours(a: &BTreeSet<Stamp>, b: &BTreeSet<Stamp>) -> usize {
    let (left, right) = (
        Index::build(a.iter().copied().collect()),
        Index::build(b.iter().copied().collect()),
    );
    let (mut found, mut later) = (Found::default(), Later::default());
    let mut message = Some(initiate(&left));
    let mut bytes = 0;
    for _ in 0..1000 {
        let Some(query) = message else { break };
        let answer = respond(&right, &query).unwrap();
        assert!(query.len() <= MAX_RECONCILE_BYTES && answer.len() <= MAX_RECONCILE_BYTES);
        bytes += query.len() + answer.len();
        message = advance(&left, &answer, &mut found, &mut later).unwrap();
    }
    check(a, b, found);
    bytes
}

/// The crate asks and we answer, and the other way round.
fn crossed(a: &BTreeSet<Stamp>, b: &BTreeSet<Stamp>) {
    let theirs = vector(a);
    let index = Index::build(b.iter().copied().collect());
    let mut crate_side = Negentropy::borrowed(&theirs, 0).unwrap();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut message = Some(crate_side.initiate().unwrap());
    while let Some(query) = message {
        let answer = respond(&index, &query).unwrap();
        message = crate_side
            .reconcile_with_ids(&answer, &mut have, &mut need)
            .unwrap();
    }
    assert_eq!(have.len(), a.difference(b).count());
    assert_eq!(need.len(), b.difference(a).count());

    let mut crate_side = Negentropy::borrowed(&theirs, 0).unwrap();
    let (mut found, mut later) = (Found::default(), Later::default());
    let mut message = Some(initiate(&index));
    while let Some(query) = message {
        let answer = crate_side.reconcile(&query).unwrap();
        message = advance(&index, &answer, &mut found, &mut later).unwrap();
    }
    check(b, a, found);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn finds_exactly_the_difference(common in 0u32..3000, left in 0u32..400, right in 0u32..400) {
        let (a, b) = sets(common, left, right);
        ours(&a, &b);
        crossed(&a, &b);
    }

    #[test]
    fn any_bytes_are_answered_or_refused(mut message in prop::collection::vec(any::<u8>(), 0..400)) {
        let (a, _) = sets(300, 0, 0);
        let index = Index::build(a.into_iter().collect());
        message.insert(0, VERSION);
        if let Ok(answer) = respond(&index, &message) {
            prop_assert!(answer.len() <= MAX_RECONCILE_BYTES);
        }
        let _ = advance(&index, &message, &mut Found::default(), &mut Later::default());
    }
}

#[test]
fn large_differences_go_in_bounded_messages() {
    for (left, right) in [(30_000, 0), (0, 30_000), (20_000, 20_000)] {
        let (a, b) = sets(1000, left, right);
        ours(&a, &b);
    }
}

#[test]
fn bounded_messages_cost_little_more_than_one_without_limit() {
    let index = |missing: u32| {
        let stamp = |n: u32| Stamp {
            iat: u64::from(n),
            digest: Digest::of(&n.to_le_bytes()),
        };
        (0..100_000)
            .filter(|n| n % 20 != missing)
            .map(stamp)
            .collect::<BTreeSet<_>>()
    };
    let (a, b) = (index(3), index(13));
    let (left, right) = (vector(&a), vector(&b));
    let mut asks = Negentropy::borrowed(&left, 0).unwrap();
    let mut answers = Negentropy::borrowed(&right, 0).unwrap();
    let mut message = Some(asks.initiate().unwrap());
    let mut bytes = 0;
    while let Some(query) = message {
        let answer = answers.reconcile(&query).unwrap();
        bytes += query.len() + answer.len();
        message = asks
            .reconcile_with_ids(&answer, &mut Vec::new(), &mut Vec::new())
            .unwrap();
    }
    let ours = ours(&a, &b);
    assert!(
        ours * 10 <= bytes * 11,
        "{ours} bytes, {bytes} without limit"
    );
}

#[test]
fn limits_hold_at_and_past_the_edge() {
    let index = Index::new();
    let mut message = vec![VERSION];
    // Any number of empty ranges; each is three bytes.
    while message.len() + 3 <= MAX_RECONCILE_BYTES {
        message.extend([1, 0, 0]);
    }
    assert!(respond(&index, &message).is_ok());
    message.resize(MAX_RECONCILE_BYTES + 1, 0);
    assert_eq!(respond(&index, &message), Err(ReconcileError::TooLong));
    assert_eq!(respond(&index, &[0x62]), Err(ReconcileError::Version));
    // 2^34 digests, and none follows.
    let claim = [VERSION, 0, 0, 2, 0xc0, 0x80, 0x80, 0x80, 0];
    assert_eq!(respond(&index, &claim), Err(ReconcileError::Malformed));
    // A range that ends before it begins.
    let back = [VERSION, 5, 1, 9, 0, 1, 0, 0];
    assert_eq!(respond(&index, &back), Err(ReconcileError::Order));
}
