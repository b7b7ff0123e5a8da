//! Links over WebRTC for tests.

use flexstore_core::link::Link;
use flexstore_transports::rendezvous::{Key, by_hand};
use flexstore_transports::webrtc::Settings;

/// Both ends of a link over WebRTC: who offered, who answered.
pub(crate) async fn linked() -> (Link, Link) {
    let key = Key::generate().unwrap();
    let settings = Settings::default();
    let (offer, text) = by_hand::Offer::make(&settings, &key).await.unwrap();
    let (answer, text) = by_hand::Answer::to(&text, &key, &settings).await.unwrap();
    let (a, b) = tokio::join!(offer.accept(&text), answer.connected());
    (a.unwrap(), b.unwrap())
}
