#![allow(clippy::unwrap_used)] // a test

use serde_json::{Value, json};

use super::*;
use crate::webrtc::MAX_CANDIDATES;

const SDP: &str = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=ice-ufrag:wHPx\r\n\
a=ice-pwd:JbFrrlPGGT2bdkGnLRZAEh2A\r\n\
a=fingerprint:sha-256 1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00:1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00\r\n\
a=setup:actpass\r\na=mid:0\r\n";

fn candidate() -> Value {
    json!(["icecandidate", {
        "candidate": "candidate:1 1 udp 1 192.0.2.1 1000 typ host",
        "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "wHPx"
    }])
}

fn signals(candidates: usize) -> Vec<Value> {
    let mut pairs = vec![json!(["offer", {"type": "offer", "sdp": SDP}])];
    pairs.extend((0..candidates).map(|_| candidate()));
    pairs
}

fn parse(pairs: &[Value]) -> Result<Description, SignalError> {
    read(&json!(pairs).to_string(), Role::Offer)
}

#[test]
fn written_as_the_original_reads_them() {
    let description = parse(&signals(2)).unwrap();
    let text = write(&description, Role::Offer);
    let pairs: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(pairs[0][0], "offer");
    assert_eq!(pairs[0][1]["type"], "offer");
    assert!(!pairs[0][1]["sdp"].as_str().unwrap().contains("a=candidate"));
    assert_eq!(pairs.len(), 3);
    let candidate = pairs[1][1]["candidate"].as_str().unwrap();
    assert_eq!(candidate, "candidate:1 1 udp 1 192.0.2.1 1000 typ host");
    assert_eq!(pairs[1][1]["sdpMLineIndex"], 0);
    assert_eq!(pairs[1][1]["usernameFragment"], "wHPx");
    assert_eq!(read(&text, Role::Offer).unwrap(), description);
}

#[test]
fn candidates_at_the_limit_and_past_it() {
    let parsed = parse(&signals(MAX_CANDIDATES)).unwrap();
    assert_eq!(parsed.candidates.len(), MAX_CANDIDATES);
    let more = parse(&signals(MAX_CANDIDATES + 1));
    assert_eq!(more.err(), Some(SignalError::TooManyCandidates));
}

#[test]
fn the_end_of_candidates() {
    let mut pairs = signals(1);
    pairs.push(json!(["icecandidate", null]));
    pairs.push(json!(["icecandidate", {"candidate": ""}]));
    assert_eq!(parse(&pairs).unwrap().candidates.len(), 1);
}

#[test]
fn what_is_refused() {
    let offer = signals(0).remove(0);
    for pairs in [
        vec![],
        vec![candidate()],
        vec![offer.clone(), offer.clone()],
        vec![json!(["answer", {"type": "answer", "sdp": SDP}])],
        vec![json!(["offer", {"type": "answer", "sdp": SDP}])],
        vec![json!(["offer", {"type": "offer", "sdp": 7}])],
        vec![json!(["offer", {"sdp": SDP}])],
        vec![json!(["offer", {"type": "offer", "sdp": SDP}, 1])],
        vec![json!(["offer"])],
        vec![offer.clone(), json!(["icecandidate", {}])],
        vec![offer.clone(), json!(["icecandidate", "candidate"])],
        vec![offer.clone(), json!(["icecandidate", {"candidate": 7}])],
        vec![offer.clone(), json!(["icecandidate", {"candidate": "x"}])],
        vec![offer, json!(["__proto__", null])],
    ] {
        let parsed = parse(&pairs);
        assert_eq!(parsed.err(), Some(SignalError::Malformed), "{pairs:?}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(read(&deep, Role::Offer).err(), Some(SignalError::Malformed));
}

#[test]
fn lengths_at_the_limit_and_past_it() {
    let text = json!(signals(1)).to_string();
    let spaces = " ".repeat(MAX_SIGNALS_BYTES - text.len());
    assert!(read(&format!("{text}{spaces}"), Role::Offer).is_ok());
    let more = read(&format!("{text}{spaces} "), Role::Offer);
    assert_eq!(more.err(), Some(SignalError::TooLong));
}
