//! Frames: what is accepted is written to the same bytes' meaning, and its records are checked
//! without a panic.

#![no_main]

use flexstore_core::wire::Message;
use flexstore_core::{CollectionId, Kind};
use libfuzzer_sys::fuzz_target;
use rand_core::SeedableRng as _;

fuzz_target!(|data: &[u8]| {
    let frame = data.to_vec().into();
    let Ok((channel, message)) = Message::decode(&frame) else {
        return;
    };
    let again = message.encode(channel);
    assert_eq!(Message::decode(&again), Ok((channel, message.clone())));
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let id = CollectionId::new(Kind::Versioned, "f").unwrap();
    let _ = message.clone().check(&id, &mut random);
    let _ = message.check(&id.javascript(), &mut random);
});
