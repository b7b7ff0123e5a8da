//! Text channels as the JavaScript original has them, with a relay and between peers.
#![allow(clippy::unwrap_used)] // a test

use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError, Protocol, Side};
use flexstore_transports::webrtc::javascript::{
    self, MAX_CHANNELS, MAX_LABEL_BYTES, MAX_SIGNALS_BYTES, SLOW, With,
};
use flexstore_transports::webrtc::{ConnectError, MAX_MESSAGE_BYTES, Settings, SignalError};
use futures_util::{SinkExt as _, StreamExt as _};

const NOTES: &str = "MutableCollection/notes";
const DRAWINGS: &str = "VersionedCollection/drawings";
const STATES: &str = "StateCollection/drawings";

async fn connected(with: With, labels: &[&str]) -> (Link, Link) {
    let settings = Settings::default();
    let (offer, signals) = javascript::offer(with, labels, &settings).await.unwrap();
    let known: &[&str] = match with {
        With::Relay => &[],
        With::Peer => labels,
    };
    let (signals, answered) = javascript::answer(&signals, with, known, &settings)
        .await
        .unwrap();
    (offer.accept(&signals).await.unwrap(), answered)
}

fn frame(label: &str, text: &str) -> Bytes {
    format!("{label}\0{text}").into()
}

async fn tell(link: &mut Link, label: &str, text: &str) {
    link.outgoing.send(frame(label, text)).await.unwrap();
}

async fn hear(link: &mut Link) -> String {
    let heard = tokio::time::timeout(Duration::from_secs(10), link.incoming.next()).await;
    let frame = heard.unwrap().unwrap().unwrap();
    std::str::from_utf8(&frame).unwrap().replace('\0', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_opens_channels_with_a_relay() {
    let (mut client, mut relay) = connected(With::Relay, &[NOTES]).await;
    assert_eq!((client.side, relay.side), (Side::Dialled, Side::Accepted));
    assert_eq!(relay.protocol, Protocol::JavaScript);
    tell(&mut client, NOTES, "one").await;
    assert_eq!(hear(&mut relay).await, format!("{NOTES} one"));
    tell(&mut relay, NOTES, "two").await;
    assert_eq!(hear(&mut client).await, format!("{NOTES} two"));

    // Further channels on the same connection.
    for label in [DRAWINGS, STATES] {
        tell(&mut client, label, "three").await;
        assert_eq!(hear(&mut relay).await, format!("{label} three"));
        tell(&mut relay, label, "four").await;
        assert_eq!(hear(&mut client).await, format!("{label} four"));
    }
    // A relay opens none.
    tell(&mut relay, "MutableCollection/other", "lost").await;

    // In order, however many.
    let many = 500;
    for n in 0..many {
        tell(&mut client, NOTES, &format!("{n:01000}")).await;
    }
    for n in 0..many {
        assert_eq!(hear(&mut relay).await, format!("{NOTES} {n:01000}"));
    }

    // One closes, then the last, and with it the connection.
    tell(&mut client, DRAWINGS, "").await;
    assert_eq!(hear(&mut relay).await, format!("{DRAWINGS} "));
    assert_eq!(hear(&mut client).await, format!("{DRAWINGS} "));
    tell(&mut client, STATES, "last words").await;
    client.outgoing.close().await.unwrap();
    assert_eq!(hear(&mut relay).await, format!("{STATES} last words"));
    let mut closed = [hear(&mut relay).await, hear(&mut relay).await];
    closed.sort();
    assert_eq!(closed, [format!("{NOTES} "), format!("{STATES} ")]);
    assert_eq!(relay.incoming.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_open_the_same_channels() {
    let (mut a, mut b) = connected(With::Peer, &[NOTES, DRAWINGS, STATES]).await;
    for label in [STATES, NOTES, DRAWINGS] {
        tell(&mut a, label, "from a").await;
        assert_eq!(hear(&mut b).await, format!("{label} from a"));
        tell(&mut b, label, "from b").await;
        assert_eq!(hear(&mut a).await, format!("{label} from b"));
    }
    // More, by both; what comes before the other side has the channel waits for it.
    for n in 0..20 {
        let label = format!("ImmutableCollection/{n}");
        tell(&mut b, &label, "early").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        tell(&mut a, &label, "late").await;
        assert_eq!(hear(&mut b).await, format!("{label} late"));
        assert_eq!(hear(&mut a).await, format!("{label} early"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_at_the_limits_and_past_them() {
    let (mut client, mut relay) = connected(With::Relay, &[NOTES]).await;
    let longest = "x".repeat(MAX_MESSAGE_BYTES);
    tell(&mut client, NOTES, &longest).await;
    assert_eq!(
        hear(&mut relay).await.len(),
        NOTES.len() + 1 + MAX_MESSAGE_BYTES
    );
    let label = "y".repeat(MAX_LABEL_BYTES);
    tell(&mut client, &label, "long label").await;
    assert_eq!(hear(&mut relay).await, format!("{label} long label"));

    for (frame, error) in [
        (frame(NOTES, &format!("{longest}x")), LinkError::TooLong),
        (frame(&format!("{label}y"), "text"), LinkError::Protocol),
        (frame("", "text"), LinkError::Protocol),
        (Bytes::from_static(b"no label"), LinkError::Protocol),
        (Bytes::from_static(b"a\0\xff"), LinkError::Protocol),
    ] {
        assert_eq!(client.outgoing.send(frame).await, Err(error));
    }
    // As many channels as there may be, and one more.
    for n in 2..MAX_CHANNELS {
        let label = format!("MutableCollection/{n}");
        tell(&mut client, &label, "here").await;
        assert_eq!(hear(&mut relay).await, format!("{label} here"));
    }
    tell(&mut client, "MutableCollection/more", "too many").await;
    while let Some(heard) = client.incoming.next().await {
        assert_eq!(heard, Err(LinkError::Protocol));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_is_closed() {
    let (mut client, relay) = connected(With::Relay, &[NOTES]).await;
    let text = frame(NOTES, &"x".repeat(60_000));
    let start = Instant::now();
    let mut sent = 0;
    let error = loop {
        match client.outgoing.send(text.clone()).await {
            Ok(()) => sent += text.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error, LinkError::Gone);
    assert!(start.elapsed() >= SLOW, "{:?}", start.elapsed());
    assert!(start.elapsed() < SLOW * 2, "{:?}", start.elapsed());
    // What may wait here, under way, and there.
    eprintln!("{sent} bytes were taken for a reader that does not read");
    assert!(sent < 32 << 20, "{sent}");
    drop(relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes() {
    let mut settings = Settings::default();
    settings.connecting = Duration::from_millis(500);
    let (offer, signals) = javascript::offer(With::Relay, &[NOTES], &settings)
        .await
        .unwrap();
    let (_, mut link) = javascript::answer(&signals, With::Relay, &[], &settings)
        .await
        .unwrap();
    assert_eq!(link.incoming.next().await, Some(Err(LinkError::Gone)));
    assert_eq!(link.incoming.next().await, None);
    drop(offer);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_are_none() {
    let settings = Settings::default();
    let long = format!("[{}]", " ".repeat(MAX_SIGNALS_BYTES));
    for (signals, error) in [
        ("", SignalError::Malformed),
        ("[]", SignalError::Malformed),
        ("{}", SignalError::Malformed),
        (r#"[["offer",{"type":"offer"}]]"#, SignalError::Malformed),
        (&*long, SignalError::TooLong),
    ] {
        let answered = javascript::answer(signals, With::Relay, &[], &settings).await;
        assert_eq!(
            answered.err(),
            Some(ConnectError::Signal(error)),
            "{signals:.40}"
        );
    }
    let (offer, signals) = javascript::offer(With::Relay, &[NOTES], &settings)
        .await
        .unwrap();
    // Its own offer is no answer.
    let accepted = offer.accept(&signals).await;
    let malformed = ConnectError::Signal(SignalError::Malformed);
    assert_eq!(accepted.err(), Some(malformed));
}
