//! A link is for any protocol that an app likes: here Automerge's own, between two documents, over
//! WebRTC, found by a rendezvous.
#![allow(clippy::unwrap_used)] // a test

use std::time::Duration;

use automerge::sync::{Message, State, SyncDoc as _};
use automerge::transaction::Transactable as _;
use automerge::{AutoCommit, ObjType, ROOT, ReadDoc as _};
use bytes::Bytes;
use flexstore_core::link::{Link, Protocol};
use flexstore_testkit::link::memory;
use flexstore_transports::rendezvous::{self, Key};
use flexstore_transports::webrtc::Settings;
use futures_util::{SinkExt as _, StreamExt as _};

/// Syncs until neither side has anything to say; an empty frame says that.
async fn sync(document: &mut AutoCommit, link: &mut Link) -> usize {
    let mut state = State::new();
    let mut messages = 0;
    let (mut done, mut other_done) = (false, false);
    while !(done && other_done) {
        let message = document.sync().generate_sync_message(&mut state);
        done = message.is_none();
        messages += usize::from(!done);
        let frame = message.map_or_else(Bytes::new, |message| message.encode().into());
        link.outgoing.send(frame).await.unwrap();
        let frame = link.incoming.next().await.unwrap().unwrap();
        other_done = frame.is_empty();
        if !other_done {
            let message = Message::decode(&frame).unwrap();
            let mut sync = document.sync();
            sync.receive_sync_message(&mut state, message).unwrap();
        }
    }
    messages
}

/// 1,000 bytes that do not compress.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..1000).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_documents_become_equal() {
    let mut one = AutoCommit::new();
    let list = one.put_object(ROOT, "list", ObjType::List).unwrap();
    one.insert(&list, 0, "before").unwrap();
    let mut two = one.fork();
    // Each writes alone, one of them more than fits a message of a data channel.
    for n in 0..50 {
        one.put(ROOT, format!("one {n}"), noise(n)).unwrap();
    }
    one.insert(&list, 1, "from one").unwrap();
    two.put(ROOT, "two", 2).unwrap();
    two.insert(&list, 1, "from two").unwrap();
    assert_ne!(one.get_heads(), two.get_heads());

    let key = Key::generate().unwrap();
    let settings = Settings::default();
    let (a, b) = memory(Protocol::Native);
    let (a, b) = tokio::join!(
        rendezvous::connect(a, "documents", &key, &settings),
        rendezvous::connect(b, "documents", &key, &settings)
    );
    let (mut a, mut b) = (a.unwrap(), b.unwrap());
    let syncing = async { tokio::join!(sync(&mut one, &mut a), sync(&mut two, &mut b)) };
    let messages = tokio::time::timeout(Duration::from_secs(20), syncing).await;
    eprintln!("{:?} messages each way", messages.unwrap());

    assert_eq!(one.get_heads(), two.get_heads());
    assert_eq!(one.length(&list), 3);
    assert_eq!(one.length(ROOT), 52);
    assert_eq!(
        one.hydrate(ROOT, None).unwrap(),
        two.hydrate(ROOT, None).unwrap()
    );
    let keys = |document: &AutoCommit| document.keys(ROOT).collect::<Vec<_>>();
    assert_eq!(keys(&one), keys(&two));
}
