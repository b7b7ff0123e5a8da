#![allow(clippy::unwrap_used)] // a test

use std::time::Duration;

use flexstore_core::link::{Protocol, Side};
use futures_util::future::join_all;
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

/// How many attempts run at once; the one among them that nobody alters shows that there is time.
const AT_ONCE: usize = 64;

/// Every position of the fingerprint in one kind of signal.
async fn each_bit_of_the_fingerprint(what: u8) {
    let settings = settings(Duration::from_secs(8));
    for batch in 0..256 / AT_ONCE {
        let attempts = (0..AT_ONCE).map(|n| {
            let bit = batch * AT_ONCE + n;
            let alter = move |signal: Bytes| {
                let altered = signal[0] == what;
                Some(if altered {
                    with_bit_of_fingerprint(&signal, bit)
                } else {
                    signal
                })
            };
            meet(&settings, alter)
        });
        let (met, (a, b)) = tokio::join!(join_all(attempts), meet(&settings, Some));
        assert!(a.is_ok() && b.is_ok(), "nobody altered this one");
        for (n, (a, b)) in met.into_iter().enumerate() {
            let bit = batch * AT_ONCE + n;
            // No link, so no data: neither side has anything to read from or write to.
            assert!(matches!(a, Err(RendezvousError::Connect(_))), "bit {bit}");
            assert!(matches!(b, Err(RendezvousError::Connect(_))), "bit {bit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bit_of_the_offered_fingerprint_is_refused() {
    each_bit_of_the_fingerprint(OFFER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bit_of_the_answered_fingerprint_is_refused() {
    each_bit_of_the_fingerprint(ANSWER).await;
}

/// The crate compares fingerprints as well; this shows that ours alone is enough.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_comparison_refuses_too() {
    let settings = settings(Duration::from_secs(8));
    let (offering, offer) = native::offer(&settings).await.unwrap();
    let (answering, answer) = native::answer(&offer, &settings).await.unwrap();
    let mut expected = offer.clone();
    expected.fingerprint[31] ^= 1;
    let (dialled, accepted) = tokio::join!(
        native::dialled(offering, &answer, &settings),
        native::accepted(answering, &expected, &settings),
    );
    assert_eq!(accepted.err(), Some(ConnectError::Fingerprint));
    drop(dialled);
}

/// One signal of each kind.
fn signals() -> Vec<Vec<u8>> {
    let description = [1; 120];
    let content = [&[2; 2 * NUMBER_BYTES][..], &description].concat();
    [
        (HELLO, &[3; NUMBER_BYTES][..]),
        (OFFER, &content),
        (ANSWER, &content),
    ]
    .into_iter()
    .map(|(what, content)| {
        let sealed = seal(&key(), NAME, what).unwrap().seal(content).unwrap();
        [&[what], &*sealed].concat()
    })
    .collect()
}

#[test]
fn one_bit_flipped_anywhere_is_refused() {
    for signal in signals() {
        assert!(Signal::open(&signal, &key(), NAME).is_ok());
        for bit in 0..signal.len() * 8 {
            let mut altered = signal.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let opened = Signal::open(&altered, &key(), NAME);
            assert!(matches!(opened, Err(RendezvousError::Sealed)), "bit {bit}");
        }
        for length in 0..signal.len() {
            assert!(Signal::open(&signal[..length], &key(), NAME).is_err());
        }
    }
}

#[test]
fn a_signal_is_for_one_purpose_place_and_key() {
    for signal in signals() {
        for what in (0..=u8::MAX).filter(|what| *what != signal[0]) {
            let mut other = signal.clone();
            other[0] = what;
            let opened = Signal::open(&other, &key(), NAME);
            assert!(matches!(opened, Err(RendezvousError::Sealed)), "{what}");
        }
        let elsewhere = Signal::open(&signal, &key(), "there");
        assert!(matches!(elsewhere, Err(RendezvousError::Sealed)));
        let other = Key::from_bytes([8; 32]);
        let opened = Signal::open(&signal, &other, NAME);
        assert!(matches!(opened, Err(RendezvousError::Sealed)));
    }
}

#[test]
fn lengths_at_the_limit_and_past_it() {
    let sealing = seal(&key(), NAME, OFFER).unwrap();
    // The kind, the nonce, the tag.
    let longest = MAX_SIGNAL_BYTES - 1 - 24 - 16;
    for (length, refused) in [(longest, false), (longest + 1, true)] {
        let sealed = sealing.seal(&vec![0; length]).unwrap();
        let opened = Signal::open(&[&[OFFER], &*sealed].concat(), &key(), NAME);
        assert_eq!(matches!(opened, Err(RendezvousError::TooMuch)), refused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_altered_on_their_way() {
    for what in [HELLO, OFFER, ANSWER] {
        let (a, b) = meet(&settings(Duration::from_secs(5)), move |signal| {
            let mut signal = signal.to_vec();
            if signal[0] == what {
                let place = signal.len() / 2;
                signal[place] ^= 1;
            }
            Some(signal.into())
        })
        .await;
        let sealed = |met: &Met| matches!(met, Err(RendezvousError::Sealed));
        assert!(sealed(&a) || sealed(&b), "{what}");
        assert!(a.is_err() && b.is_err(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_back_is_refused() {
    let (a, to_a, mut from_a) = place();
    let reflect = tokio::spawn(async move {
        while let Some(signal) = from_a.recv().await {
            let _ = to_a.send(signal).await;
        }
    });
    let met = connect(a, NAME, &key(), &settings(Duration::from_secs(5))).await;
    assert_eq!(met.err(), Some(RendezvousError::Sealed));
    reflect.await.unwrap();

    // An offer, to the one that made it: to them it is of this attempt, and yet no answer.
    let (a, b) = {
        let (a, to_a, mut from_a) = place();
        let (b, to_b, mut from_b) = place();
        let forward = async move {
            loop {
                let (signal, back, on) = tokio::select! {
                    Some(signal) = from_a.recv() => (signal, &to_a, &to_b),
                    Some(signal) = from_b.recv() => (signal, &to_b, &to_a),
                    else => return,
                };
                let to = if signal[0] == OFFER { back } else { on };
                let _ = to.send(signal).await;
            }
        };
        let settings = settings(Duration::from_secs(5));
        let (key_a, key_b) = (key(), key());
        let met = async {
            tokio::join!(
                connect(a, NAME, &key_a, &settings),
                connect(b, NAME, &key_b, &settings)
            )
        };
        tokio::join!(met, forward).0
    };
    let errors = [a.err().unwrap(), b.err().unwrap()];
    assert!(errors.contains(&RendezvousError::Sealed), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_attempt_before_left_is_passed_over() {
    // One whole attempt is recorded, and delivered again before the next.
    let recorded = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = std::sync::Arc::clone(&recorded);
    let settings = settings(Duration::from_secs(8));
    let (a, b) = meet(&settings, move |signal| {
        record.lock().unwrap().push(signal.clone());
        Some(signal)
    })
    .await;
    assert!(a.is_ok() && b.is_ok());
    let recorded = std::mem::take(&mut *recorded.lock().unwrap());
    assert!(recorded.iter().any(|signal| signal[0] == OFFER));

    let (a, to_a, mut from_a) = place();
    let (b, to_b, mut from_b) = place();
    for signal in &recorded {
        to_b.send(signal.clone()).await.unwrap();
    }
    let one = tokio::spawn(async move {
        while let Some(signal) = from_a.recv().await {
            let _ = to_b.send(signal).await;
        }
    });
    let two = tokio::spawn(async move {
        while let Some(signal) = from_b.recv().await {
            let _ = to_a.send(signal).await;
        }
    });
    let (key_a, key_b) = (key(), key());
    let (a, b) = tokio::join!(
        connect(a, NAME, &key_a, &settings),
        connect(b, NAME, &key_b, &settings)
    );
    assert!(a.is_ok() && b.is_ok(), "{:?} {:?}", a.err(), b.err());
    one.await.unwrap();
    two.await.unwrap();
}

#[tokio::test]
async fn hellos_without_end() {
    let (a, to_a, _from_a) = place();
    for n in 0..=MAX_HELLOS {
        let number = [u8::try_from(n).unwrap(); NUMBER_BYTES];
        let sealed = seal(&key(), NAME, HELLO).unwrap().seal(&number).unwrap();
        let hello = [&[HELLO], &*sealed].concat();
        to_a.send(hello.into()).await.unwrap();
    }
    let met = connect(a, NAME, &key(), &settings(Duration::from_secs(5))).await;
    assert_eq!(met.err(), Some(RendezvousError::TooMuch));
}
