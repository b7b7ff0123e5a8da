//! A hostile JavaScript peer: any frames, whole and in pieces, never make a front panic or keep
//! more than it may, end one channel at most, and leave the replica working.

#![no_main]

use std::sync::Arc;

use flexstore_core::dialect::{Front, Message, Role, VERSIONS_DELAY_MS, split_frame};
use flexstore_core::record::js::{Draft, Shelf};
use flexstore_core::storage::{MemoryStorage, Progress, Sequence};
use flexstore_core::sync::{Input, Origin, Replica, SessionId, Settings};
use flexstore_core::{SigningKey, Tag};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000_000;
const LABELS: [&str; 4] = [
    "MutableCollection/f",
    "ImmutableCollection/f",
    "VersionedCollection/f",
    "StateCollection/f",
];

fuzz_target!(|data: &[u8]| {
    let _ = split_frame(data);
    // The first byte chooses the shelf and the role, and whether the versions are agreed.
    let Some((&first, mut rest)) = data.split_first() else { return };
    let shelf = Shelf::parse(LABELS[usize::from(first % 4)]).unwrap();
    let id = shelf.collection().clone();
    let storage = Arc::new(MemoryStorage::new());
    let mut replica = Replica::open(storage, id, Settings::default()).unwrap();
    replica.handle(NOW, Input::Stored(Progress::Durable(Sequence(u64::MAX))));
    let mut front = Front::new(Some(SigningKey::from_seed(&[9; 32])));
    let role = if first & 4 == 4 { Role::Active } else { Role::Passive };
    let (channel, other) = (SessionId(1), SessionId(2));
    for channel in [channel, other] {
        front.open(NOW - VERSIONS_DELAY_MS, channel, shelf.clone(), role);
    }
    let versions = Message::Versions { min: 17, max: 17 }.write();
    if first & 8 == 8 {
        front.receive(NOW, channel, &versions, &mut replica);
    }
    // Frames, each behind its length; a length with the high bit comes as a message in pieces.
    let mut id = 0;
    while let Some((&len, more)) = rest.split_first() {
        let (frame, more) = more.split_at(usize::from(len & 0x7f).min(more.len()));
        rest = more;
        let Ok(text) = std::str::from_utf8(frame) else { continue };
        if let Ok(message) = Message::parse(text) {
            assert_eq!(Message::parse(&message.write()), Ok(message));
        }
        if len & 0x80 == 0 {
            front.receive(NOW, channel, text, &mut replica);
        } else {
            let count = text.chars().count().clamp(1, 60) as u64;
            front.receive(NOW, channel, &Message::Fragments { id, count }.write(), &mut replica);
            for (index, letter) in (0..count).zip(text.chars()) {
                let text = letter.to_string().as_str().into();
                front.receive(NOW, channel, &Message::Frag { id, index, text }.write(), &mut replica);
            }
            id += 1;
        }
        drain(&mut replica, &mut front, &[channel, other]);
    }
    while let Some((ended, _)) = front.poll_ended() {
        assert_eq!(ended, channel, "only who misbehaves is closed");
    }
    let draft = Draft::text(shelf, Tag::new("mine").unwrap(), "x", NOW);
    if let Ok(record) = draft.sign(&SigningKey::from_seed(&[1; 32])) {
        replica.offer(NOW, &record.into(), Origin::Written).unwrap();
    }
    front.receive(NOW, other, &versions, &mut replica);
    assert!(front.is_ready(other));
    drain(&mut replica, &mut front, &[other]);
});

fn drain(replica: &mut Replica, front: &mut Front, channels: &[SessionId]) {
    while let Some(output) = replica.poll() {
        front.observe(NOW, &output);
    }
    for channel in channels {
        while let Some(frame) = front.poll(NOW, *channel, replica) {
            assert!(Message::parse(&frame).is_ok(), "{frame}");
        }
    }
}
