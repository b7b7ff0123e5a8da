#![allow(clippy::unwrap_used)] // a test

use proptest::prelude::*;

use super::javascript::{
    BadSignals, Candidate, MAX_CANDIDATE_BYTES, MAX_CANDIDATES, MAX_SDP_BYTES, MAX_SIGNALS_BYTES,
    Role, Signals,
};
use super::*;

#[test]
fn names_up_to_the_limit_and_past_it() {
    assert!("n".repeat(MAX_NAME_BYTES).parse::<Name>().is_ok());
    assert!("/".repeat(MAX_NAME_BYTES).parse::<Name>().is_ok());
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    for bad in ["", ".", "..", "a\nb", "a\0", "\u{7f}", &long] {
        assert_eq!(bad.parse::<Name>(), Err(BadName), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_do_not(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        if let Ok(event) = Event::decode(&bytes) {
            prop_assert_eq!(event.encode(), bytes.clone());
        }
        if let Ok((to, message)) = addressed(&bytes) {
            prop_assert_eq!(to_announcer(to, &message), bytes.clone());
        }
        if let Ok(frames) = unpack(bytes.clone()) {
            prop_assert_eq!(pack(&frames), bytes.clone());
        }
        let _ = Signals::parse(&bytes);
    }

    #[test]
    fn packed_frames_come_back(frames: Vec<Vec<u8>>) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        prop_assert_eq!(unpack(pack(&frames)), Ok(frames));
    }
}

#[test]
fn an_event_is_no_longer_than_a_message_allows() {
    let from = AnnouncerId([7; 16]);
    let message = |len| {
        let message = Bytes::from(vec![0; len]);
        Event::Message { from, message }
    };
    let longest = message(MAX_MESSAGE_BYTES);
    assert_eq!(Event::decode(&longest.encode()), Ok(longest));
    assert!(Event::decode(&message(MAX_MESSAGE_BYTES + 1).encode()).is_err());
    // Nothing follows what has no message.
    assert!(Event::decode(&[&Event::Came(from).encode()[..], b"x"].concat().into()).is_err());
}

fn signals(sdp: String, candidates: usize) -> Signals {
    let candidate = Candidate {
        candidate: "candidate:1 1 udp 1 10.0.0.1 5000 typ host".to_owned(),
        mid: Some("0".to_owned()),
        line: Some(0),
        username_fragment: None,
    };
    Signals {
        role: Role::Offer,
        sdp,
        candidates: vec![candidate; candidates],
    }
}

fn parse(signals: &Signals) -> Result<Signals, BadSignals> {
    Signals::parse(signals.text().as_bytes())
}

#[test]
fn signals_up_to_the_limits_and_past_them() {
    let most = signals("s".repeat(MAX_SDP_BYTES), MAX_CANDIDATES);
    assert_eq!(parse(&most), Ok(most));
    let long = signals("s".repeat(MAX_SDP_BYTES + 1), 0);
    assert_eq!(parse(&long), Err(BadSignals::SdpTooLong));
    let many = signals(String::new(), MAX_CANDIDATES + 1);
    assert_eq!(parse(&many), Err(BadSignals::TooManyCandidates));
    // Candidates within the description count too.
    let within = "a=candidate:1\r\n".repeat(MAX_CANDIDATES);
    assert!(parse(&signals(within.clone(), 0)).is_ok());
    assert_eq!(
        parse(&signals(within, 1)),
        Err(BadSignals::TooManyCandidates)
    );
    let mut wide = signals(String::new(), 1);
    wide.candidates[0].candidate = "c".repeat(MAX_CANDIDATE_BYTES);
    assert!(parse(&wide).is_ok());
    wide.candidates[0].candidate.push('c');
    assert_eq!(parse(&wide), Err(BadSignals::CandidateTooLong));
    let mut text = signals(String::new(), 0).text();
    text.push_str(&" ".repeat(MAX_SIGNALS_BYTES - text.len()));
    assert!(Signals::parse(text.as_bytes()).is_ok());
    text.push(' ');
    assert_eq!(Signals::parse(text.as_bytes()), Err(BadSignals::TooLong));
}

#[test]
fn the_end_of_candidates_may_be_said() {
    let text = signals("s".to_owned(), 1).text();
    let ended = text.replace("]]", r#"],["icecandidate",null]]"#);
    assert_ne!(ended, text);
    assert_eq!(
        Signals::parse(ended.as_bytes()),
        Ok(signals("s".to_owned(), 1))
    );
}

#[test]
fn signals_of_another_shape() {
    let shapes = [
        "[]",
        "{}",
        "[[]]",
        r#"[["offer"]]"#,
        r#"[["offer", null]]"#,
        r#"[["offer", {"type": "offer"}]]"#,
        r#"[["offer", {"type": "answer", "sdp": ""}]]"#,
        r#"[["offer", {"type": "offer", "sdp": 1}]]"#,
        r#"[["pranswer", {"type": "pranswer", "sdp": ""}]]"#,
        r#"[["icecandidate", {"candidate": ""}]]"#,
        r#"[["offer", {"type": "offer", "sdp": ""}, 1]]"#,
        r#"[["offer", {"type": "offer", "sdp": ""}], ["offer", {"type": "offer", "sdp": ""}]]"#,
        r#"[["offer", {"type": "offer", "sdp": ""}], ["icecandidate", {}]]"#,
        r#"[["offer", {"type": "offer", "sdp": ""}], ["icecandidate", {"candidate": "", "sdpMLineIndex": 65536}]]"#,
        r#"[["offer", {"type": "offer", "sdp": ""}], ["__proto__", {"candidate": ""}]]"#,
    ];
    for shape in shapes {
        assert_eq!(
            Signals::parse(shape.as_bytes()),
            Err(BadSignals::Shape),
            "{shape}"
        );
    }
    for text in [
        "",
        "offer",
        "[[[[]]]]",
        r#"[["offer", {"sdp": "", "sdp": ""}]]"#,
    ] {
        let parsed = Signals::parse(text.as_bytes());
        assert!(matches!(parsed, Err(BadSignals::Json(_))), "{text}");
    }
}
