//! Two who share a key meet, and get a link.
#![allow(clippy::unwrap_used)] // a test

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::link::{LinkError, MAX_FRAME_BYTES, Protocol, Side};
use flexstore_testkit::link::{link_conformance, memory};
use flexstore_transports::rendezvous::{self, Key, KeyError, RendezvousError, by_hand};
use flexstore_transports::webrtc::{LINGER, Settings};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use support::linked;

#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    link_conformance(linked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_meet_in_either_order() {
    for swapped in [false, true] {
        let (mut early, mut later) = memory(Protocol::Native);
        if swapped {
            std::mem::swap(&mut early, &mut later);
        }
        let key = Key::generate().unwrap();
        let settings = Settings::default();
        let (a, b) = tokio::join!(rendezvous::connect(early, "here", &key, &settings), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            rendezvous::connect(later, "here", &key, &settings).await
        });
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        assert_ne!(a.side, b.side);
        assert!([a.side, b.side].contains(&Side::Dialled));
        assert_eq!(
            (a.protocol, b.protocol),
            (Protocol::Native, Protocol::Native)
        );
        a.outgoing.send(Bytes::from_static(b"here")).await.unwrap();
        assert_eq!(b.incoming.next().await.unwrap().unwrap(), "here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_or_name() {
    for (key, name) in [([2; 32], "here"), ([1; 32], "there")] {
        let (a, b) = memory(Protocol::Native);
        let settings = Settings::default();
        let (one, two) = (Key::from_bytes([1; 32]), Key::from_bytes(key));
        let (a, b) = tokio::join!(
            rendezvous::connect(a, "here", &one, &settings),
            rendezvous::connect(b, name, &two, &settings)
        );
        assert_eq!(a.err(), Some(RendezvousError::Sealed));
        assert_eq!(b.err(), Some(RendezvousError::Sealed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_is_gone() {
    let (a, b) = memory(Protocol::Native);
    drop(b);
    let key = Key::generate().unwrap();
    let met = rendezvous::connect(a, "here", &key, &Settings::default()).await;
    assert_eq!(met.err(), Some(RendezvousError::Signals(LinkError::Gone)));
}

#[test]
fn keys_as_text() {
    let key = Key::generate().unwrap();
    let text = key.text();
    assert_eq!(text.len(), 43);
    assert_eq!(*Key::parse(&text).unwrap().text(), *text);
    for wrong in [
        "",
        "AA",
        &text[1..],
        &format!("{}A", *text),
        &"=".repeat(43),
    ] {
        assert_eq!(Key::parse(wrong).err(), Some(KeyError::Text), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_by_hand() {
    let key = Key::generate().unwrap();
    let settings = Settings::default();
    let (offer, offered) = by_hand::Offer::make(&settings, &key).await.unwrap();
    let (answer, answered) = by_hand::Answer::to(&offered, &key, &settings)
        .await
        .unwrap();
    for text in [&offered, &answered] {
        eprintln!("a text of {} characters", text.len());
        assert!(text.len() < 1000, "fits a QR code");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        assert!(text.chars().all(plain));
    }
    let (a, b) = tokio::join!(offer.accept(&answered), answer.connected());
    let (mut a, mut b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.side, b.side), (Side::Dialled, Side::Accepted));
    b.outgoing
        .send(Bytes::from_static(b"by hand"))
        .await
        .unwrap();
    assert_eq!(a.incoming.next().await.unwrap().unwrap(), "by hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_none() {
    let key = Key::generate().unwrap();
    let settings = Settings::default();
    let (offer, offered) = by_hand::Offer::make(&settings, &key).await.unwrap();
    let (other, _) = by_hand::Offer::make(&settings, &key).await.unwrap();
    let (_answer, answered) = by_hand::Answer::to(&offered, &key, &settings)
        .await
        .unwrap();
    // An answer is for one offer, and an offer is no answer.
    assert_eq!(
        other.accept(&answered).await.err(),
        Some(RendezvousError::Sealed)
    );
    assert_eq!(
        offer.accept(&offered).await.err(),
        Some(RendezvousError::Sealed)
    );

    let long = "A".repeat(by_hand::MAX_TEXT_BYTES);
    let longer = format!("{long}A");
    for (text, error) in [
        ("", RendezvousError::Sealed),
        ("not base64url!", RendezvousError::Text),
        (&answered, RendezvousError::Sealed),
        (&long, RendezvousError::Sealed),
        (&longer, RendezvousError::TooMuch),
    ] {
        let answer = by_hand::Answer::to(text, &key, &settings).await;
        assert_eq!(answer.err(), Some(error), "{text:.20}");
    }
    // Every character matters.
    for place in 0..offered.len() {
        let mut altered = offered.clone().into_bytes();
        altered[place] = if altered[place] == b'B' { b'g' } else { b'B' };
        let altered = String::from_utf8(altered).unwrap();
        let answer = by_hand::Answer::to(&altered, &key, &settings).await;
        assert!(answer.is_err(), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_every_length_in_both_directions() {
    let (mut a, mut b) = linked().await;
    for length in [
        0,
        1,
        16_381,
        16_382,
        16_383,
        16_384,
        70_000,
        MAX_FRAME_BYTES,
    ] {
        let frame = Bytes::from(vec![length as u8; length]);
        a.outgoing.send(frame.clone()).await.unwrap();
        assert_eq!(b.incoming.next().await.unwrap().unwrap(), frame);
        b.outgoing.send(frame.clone()).await.unwrap();
        assert_eq!(a.incoming.next().await.unwrap().unwrap(), frame);
    }
    let longer = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
    assert_eq!(a.outgoing.send(longer).await, Err(LinkError::TooLong));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_send_much_at_once() {
    let (mut a, mut b) = linked().await;
    let frame = Bytes::from(vec![5; 100_000]);
    let count = 200;
    let one = async {
        for _ in 0..count {
            a.outgoing.send(frame.clone()).await.unwrap();
        }
    };
    let two = async {
        for _ in 0..count {
            b.outgoing.send(frame.clone()).await.unwrap();
        }
    };
    let three = async {
        for _ in 0..count {
            assert_eq!(a.incoming.next().await.unwrap().unwrap(), frame);
        }
    };
    let four = async {
        for _ in 0..count {
            assert_eq!(b.incoming.next().await.unwrap().unwrap(), frame);
        }
    };
    tokio::join!(one, two, three, four);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_waits_for_a_slow_reader() {
    let (mut a, mut b) = linked().await;
    let frame = Bytes::from(vec![5; 16 << 10]);
    let mut sent = 0;
    loop {
        let send = a.outgoing.send(frame.clone());
        match tokio::time::timeout(Duration::from_secs(2), send).await {
            Ok(sending) => sending.unwrap(),
            Err(_) => break,
        }
        sent += 1;
    }
    eprintln!("{} KiB under way to one who does not read", sent * 16);
    assert!(sent * frame.len() < 16 << 20);
    // The frame that waited may have been taken or not.
    for _ in 0..sent {
        assert_eq!(b.incoming.next().await.unwrap().unwrap(), frame);
    }
    a.outgoing.send(frame.clone()).await.unwrap();
    assert_eq!(b.incoming.next().await.unwrap().unwrap(), frame);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_sent_arrives_before_the_end() {
    let (mut a, mut b) = linked().await;
    let frame = Bytes::from(vec![5; 10_000]);
    let count = 100;
    for _ in 0..count {
        a.outgoing.send(frame.clone()).await.unwrap();
    }
    let close = tokio::spawn(async move {
        let start = Instant::now();
        a.outgoing.close().await.unwrap();
        (start.elapsed(), a)
    });
    for _ in 0..count {
        assert_eq!(b.incoming.next().await.unwrap().unwrap(), frame);
    }
    assert_eq!(b.incoming.next().await, None);
    assert_eq!(b.outgoing.send(frame.clone()).await, Err(LinkError::Gone));
    let (took, mut a) = close.await.unwrap();
    // Both said goodbye; nobody had to wait until it was too late.
    assert!(took < LINGER, "{took:?}");
    assert_eq!(a.outgoing.send(frame).await, Err(LinkError::Gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn to_drop_a_link_is_to_close_it() {
    let (mut a, mut b) = linked().await;
    a.outgoing
        .send(Bytes::from_static(b"last words"))
        .await
        .unwrap();
    drop(a);
    assert_eq!(b.incoming.next().await.unwrap().unwrap(), "last words");
    assert_eq!(b.incoming.next().await, None);
    assert_eq!(b.incoming.next().now_or_never(), Some(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_be_heard_is_closed() {
    let (mut a, b) = linked().await;
    // Nobody reads there any more.
    drop(b.incoming);
    let frame = Bytes::from(vec![5; 16 << 10]);
    let start = Instant::now();
    while a.outgoing.send(frame.clone()).await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    let mut outgoing = b.outgoing;
    assert_eq!(outgoing.send(frame).await, Err(LinkError::Gone));
}
