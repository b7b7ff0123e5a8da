//! Two who share a key meet, and get a link.
#![allow(clippy::unwrap_used)] // a test

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::link::{Link, MAX_FRAME_BYTES, Protocol, Side};
use flexstore_transports::rendezvous::{self, Key};
use flexstore_transports::webrtc::Settings;
use futures_util::{SinkExt as _, StreamExt as _};
use support::pair;

async fn met() -> (Link, Link) {
    let (a, b) = pair();
    let key = Key::generate().unwrap();
    let settings = Settings::default();
    let (a, b) = tokio::join!(
        rendezvous::connect(a, "here", &key, &settings),
        rendezvous::connect(b, "here", &key, &settings)
    );
    (a.unwrap(), b.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_every_length_in_both_directions() {
    let start = Instant::now();
    let (mut a, mut b) = met().await;
    eprintln!("met in {:?}", start.elapsed());
    assert_ne!(a.side, b.side);
    assert_eq!(a.protocol, Protocol::Native);
    assert!([a.side, b.side].contains(&Side::Dialled));
    for length in [0, 1, 16381, 16382, 16383, 16384, 70_000, MAX_FRAME_BYTES] {
        let frame = Bytes::from(vec![length as u8; length]);
        for (from, to) in [(&mut a, &mut b)] {
            from.outgoing.send(frame.clone()).await.unwrap();
            assert_eq!(to.incoming.next().await.unwrap().unwrap(), frame);
            to.outgoing.send(frame.clone()).await.unwrap();
            assert_eq!(from.incoming.next().await.unwrap().unwrap(), frame);
        }
    }
    let start = Instant::now();
    a.outgoing.close().await.unwrap();
    eprintln!("closed in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_millis(900));
    assert_eq!(b.incoming.next().await, None);
}
