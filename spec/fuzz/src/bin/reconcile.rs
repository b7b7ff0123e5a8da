//! Reconciliation: any message is answered within bounds, or refused; by the side that asks, too.

#![no_main]

use std::sync::LazyLock;

use flexstore_core::Digest;
use flexstore_core::record::Stamp;
use flexstore_core::sync::index::Index;
use flexstore_core::sync::reconcile::{Found, MAX_RECONCILE_BYTES, advance, respond};
use libfuzzer_sys::fuzz_target;

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let stamp = |n: u64| Stamp {
        iat: n / 3,
        digest: Digest::of(&n.to_le_bytes()),
    };
    Index::build((0..5000).map(stamp).collect())
});

fuzz_target!(|data: &[u8]| {
    if let Ok(answer) = respond(&INDEX, data) {
        assert!(answer.len() <= MAX_RECONCILE_BYTES);
        // An answer is a message that makes sense.
        let mut found = Found::default();
        advance(&INDEX, &answer, &mut found).unwrap();
    }
    let mut found = Found::default();
    if let Ok(Some(next)) = advance(&INDEX, data, &mut found) {
        assert!(next.len() <= MAX_RECONCILE_BYTES);
    }
});
