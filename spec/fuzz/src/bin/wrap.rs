//! Wrapped keys: any text is refused before Argon2id does any work, unless all of its header is
//! right.

#![no_main]

use std::sync::LazyLock;

use flexstore::{RecoverySecret, RecoveryWords, UnwrapError};
use libfuzzer_sys::fuzz_target;

static SECRET: LazyLock<RecoverySecret> = LazyLock::new(|| {
    // Eleven words that stand for zeros, and their checksum.
    let words = "abandon ".repeat(11) + "about";
    RecoverySecret::from(&RecoveryWords::parse(&words).unwrap())
});

/// Longer than a header may be, so no text names it: the last check before the work never passes.
static KID: LazyLock<String> = LazyLock::new(|| "k".repeat(16 << 10));

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    match SECRET.open(text, &KID) {
        Err(UnwrapError::Failed | UnwrapError::NoMemory) => panic!("work was done"),
        Err(_) => {}
        Ok(_) => panic!("it opened"),
    }
});
