//! Links in memory, which carry signals in tests.
#![allow(dead_code)] // each test uses some

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError, Protocol, Side};
use flexstore_transports::rendezvous::{Key, by_hand};
use flexstore_transports::webrtc::Settings;
use futures_util::{sink, stream};
use tokio::sync::mpsc;

/// Two ends of a link. What one drops, the other sees end.
pub(crate) fn pair() -> (Link, Link) {
    let (a, from_a) = mpsc::channel(8);
    let (b, from_b) = mpsc::channel(8);
    (
        end(a, from_b, Side::Dialled),
        end(b, from_a, Side::Accepted),
    )
}

fn end(to: mpsc::Sender<Bytes>, from: mpsc::Receiver<Bytes>, side: Side) -> Link {
    let incoming = stream::unfold(from, |mut from| async {
        let frame = from.recv().await?;
        Some((Ok(frame), from))
    });
    let outgoing = sink::unfold(to, |to, frame| async {
        to.send(frame).await.map_err(|_| LinkError::Gone)?;
        Ok(to)
    });
    Link {
        incoming: Box::pin(incoming),
        outgoing: Box::pin(outgoing),
        name: "memory".into(),
        side,
        protocol: Protocol::Native,
    }
}

/// Both ends of a link over WebRTC.
pub(crate) async fn by_hand() -> (Link, Link) {
    let key = Key::generate().unwrap();
    let settings = Settings::default();
    let (offer, text) = by_hand::Offer::make(&settings, &key).await.unwrap();
    let (answer, text) = by_hand::Answer::to(&text, &key, &settings).await.unwrap();
    let (a, b) = tokio::join!(offer.accept(&text), answer.connected());
    (a.unwrap(), b.unwrap())
}
