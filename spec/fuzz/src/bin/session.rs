//! A hostile peer: any frames in any order never make a replica panic, keep what is in it, and
//! leave it working.

#![no_main]

use std::sync::Arc;

use flexstore_core::record::{Content, Draft};
use flexstore_core::storage::{MemoryStorage, Progress, Sequence};
use flexstore_core::sync::{Input, Keys, Output, Replica, SessionId, Settings, Writing};
use flexstore_core::wire::{Filter, Message, Summary};
use flexstore_core::{CollectionId, Kind, SigningKey, Tag};
use libfuzzer_sys::fuzz_target;
use rand_core::SeedableRng as _;

fuzz_target!(|data: &[u8]| {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let id = CollectionId::new(Kind::Mutable, "f").unwrap();
    let key = SigningKey::from_seed(&[1; 32]);
    let storage = Arc::new(MemoryStorage::new());
    let mut replica = Replica::open(storage, id.clone(), Settings::default()).unwrap();
    let now = 1_700_000_000_000;
    let write = |replica: &mut Replica, name: &str| {
        let content = Content::Plain { payload: "x".into(), cty: None };
        let writing = Writing::new(Tag::new(name).unwrap(), content);
        replica.write(now, writing, Keys::Solo(&key)).unwrap();
        let durable = Progress::Durable(Sequence(u64::MAX));
        while replica.poll().is_some() {}
        replica.handle(now, Input::Stored(durable));
        while replica.poll().is_some() {}
    };
    write(&mut replica, "mine");
    let session = SessionId(1);
    // The first byte chooses the role; an opener's peer has been welcomed, or not.
    let (Some((&first, mut rest)), opens) = (data.split_first(), data.first().is_some_and(|b| b & 1 == 1))
    else {
        return;
    };
    replica.handle(now, Input::Connected { session, opens });
    if first & 2 == 2 {
        let summary = Summary::default();
        let message = if opens {
            Message::Welcome { version: 1, replica: [2; 16], summary }
        } else {
            let filter = Filter::default();
            Message::Open { oldest: 1, newest: 1, collection: id.clone(), replica: [2; 16], filter, summary }
        };
        let message = message.check(&id, &mut random).unwrap();
        replica.handle(now, Input::Received { session, message });
    }
    if first & 4 == 4 {
        let record = Draft::text(id.clone(), Tag::new("theirs").unwrap(), "y", now).sign(&key).unwrap();
        let message = Message::Records(vec![record.text().clone()]).check(&id, &mut random).unwrap();
        replica.handle(now, Input::Received { session, message });
    }
    // Frames, each behind its length.
    while let Some((&len, more)) = rest.split_first() {
        let (frame, more) = more.split_at(usize::from(len).min(more.len()));
        rest = more;
        let Ok((_, message)) = Message::decode(&frame.to_vec().into()) else { continue };
        let Ok(message) = message.check(&id, &mut random) else { continue };
        replica.handle(now, Input::Received { session, message });
        while let Some(output) = replica.poll() {
            if let Output::Close { .. } = output {
                break;
            }
        }
    }
    write(&mut replica, "mine too");
    assert!(replica.index().len() >= 2);
});
