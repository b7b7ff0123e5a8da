#![allow(clippy::unwrap_used)] // a test

use std::time::Duration;

use flexstore_core::link::{Protocol, Side};
use futures_util::{sink, stream};
use tokio::sync::mpsc;

use super::*;
use crate::webrtc::ConnectError;

const NAME: &str = "here";

/// A place that hands what it gets to the test, which may alter it.
fn place() -> (Link, mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    let (to_test, from_side) = mpsc::channel(64);
    let (to_side, from_test) = mpsc::channel(64);
    let incoming = stream::unfold(from_test, |mut from: mpsc::Receiver<Bytes>| async {
        let frame = from.recv().await?;
        Some((Ok(frame), from))
    });
    let outgoing = sink::unfold(to_test, |to: mpsc::Sender<Bytes>, frame| async {
        to.send(frame).await.map_err(|_| LinkError::Gone)?;
        Ok(to)
    });
    let link = Link {
        incoming: Box::pin(incoming),
        outgoing: Box::pin(outgoing),
        name: "test".into(),
        side: Side::Dialled,
        protocol: Protocol::Native,
    };
    (link, to_side, from_side)
}

fn key() -> Key {
    Key::from_bytes([7; 32])
}

fn settings(connecting: Duration) -> Settings {
    Settings {
        addresses: vec!["127.0.0.1".parse().unwrap()],
        connecting,
        ..Settings::default()
    }
}

type Met = Result<Link, RendezvousError>;

/// Two who meet through one that may alter each signal, or keep it back.
async fn meet(
    settings: &Settings,
    alter: impl Fn(Bytes) -> Option<Bytes> + Clone + Send + 'static,
) -> (Met, Met) {
    let (a, to_a, mut from_a) = place();
    let (b, to_b, mut from_b) = place();
    let other = alter.clone();
    let one = tokio::spawn(async move {
        while let Some(signal) = from_a.recv().await {
            if let Some(signal) = alter(signal) {
                let _ = to_b.send(signal).await;
            }
        }
    });
    let two = tokio::spawn(async move {
        while let Some(signal) = from_b.recv().await {
            if let Some(signal) = other(signal) {
                let _ = to_a.send(signal).await;
            }
        }
    });
    let (key_a, key_b) = (key(), key());
    let met = tokio::join!(
        connect(a, NAME, &key_a, settings),
        connect(b, NAME, &key_b, settings)
    );
    one.await.unwrap();
    two.await.unwrap();
    met
}

/// Seals the signal anew, with one bit of the fingerprint changed.
fn with_bit_of_fingerprint(signal: &Bytes, bit: usize) -> Bytes {
    let sealing = seal(&key(), NAME, signal[0]).unwrap();
    let content = sealing.open(&signal[1..]).unwrap();
    let role = if signal[0] == OFFER {
        Role::Offer
    } else {
        Role::Answer
    };
    let (numbers, description) = content.split_at(2 * NUMBER_BYTES);
    let mut description = Description::unpack(description, role).unwrap();
    description.fingerprint[bit / 8] ^= 1 << (bit % 8);
    let content = [numbers, &description.pack()].concat();
    let mut altered = vec![signal[0]];
    altered.extend(sealing.seal(&content).unwrap());
    altered.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bit_of_one() {
    for what in [OFFER, ANSWER] {
        let start = std::time::Instant::now();
        let (a, b) = meet(&settings(Duration::from_secs(3)), move |signal| {
            Some(if signal[0] == what {
                with_bit_of_fingerprint(&signal, 5)
            } else {
                signal
            })
        })
        .await;
        eprintln!("{:?} {:?} {:?}", a.err(), b.err(), start.elapsed());
    }
}
