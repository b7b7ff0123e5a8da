#![allow(clippy::unwrap_used)] // a test

use super::*;

/// As Chromium writes it, in short, with a name for multicast DNS and a TCP candidate.
const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
a=candidate:1 1 udp 2113937151 0a1b2c3d-1111-2222-3333-444455556666.local 51244 typ host generation 0 network-cost 999\r\n\
a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0\r\n\
a=candidate:3 1 udp 1677729535 203.0.113.9 51244 typ srflx raddr 0.0.0.0 rport 0 generation 0\r\n\
a=ice-ufrag:wHPx\r\na=ice-pwd:JbFrrlPGGT2bdkGnLRZAEh2A\r\na=ice-options:trickle\r\n\
a=fingerprint:sha-256 1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00:1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00\r\n\
a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

fn offer() -> Description {
    Description::parse(CHROMIUM, Role::Offer).unwrap()
}

#[test]
fn what_a_browser_writes() {
    let offer = offer();
    assert_eq!(&*offer.user, "wHPx");
    assert_eq!(offer.fingerprint[..3], [0x1f, 0x2e, 0x3d]);
    let addresses: Vec<String> = offer
        .candidates
        .iter()
        .map(|candidate| candidate.address.to_string())
        .collect();
    // Neither the hidden address nor TCP.
    assert_eq!(addresses, ["203.0.113.9:51244"]);
    assert_eq!(offer.candidates[0].kind, Kind::Reflexive);
}

#[test]
fn written_and_read_again() {
    let offer = offer();
    let mut again = Description::parse(&offer.sdp(), Role::Offer).unwrap();
    for (n, candidate) in offer.candidates.iter().enumerate() {
        again.add(&candidate.text(n)).unwrap();
    }
    again.listed = offer.listed;
    assert_eq!(again, offer);
}

#[test]
fn packed_and_unpacked() {
    let mut offer = offer();
    offer.candidates.clear();
    for (n, address) in ["192.0.2.1:4000", "[2001:db8::1]:4001", "198.51.100.1:1"]
        .iter()
        .enumerate()
    {
        offer.candidates.push(Candidate {
            kind: [Kind::Host, Kind::Reflexive, Kind::Relayed][n],
            priority: 0,
            address: address.parse().unwrap(),
        });
    }
    let packed = offer.pack();
    assert!(packed.len() < 120, "{}", packed.len());
    let mut again = Description::unpack(&packed, Role::Offer).unwrap();
    let priorities: Vec<u32> = again.candidates.iter().map(|c| c.priority).collect();
    assert!(priorities.is_sorted_by(|a, b| a > b), "{priorities:?}");
    for candidate in &mut again.candidates {
        candidate.priority = 0;
    }
    again.listed = offer.listed;
    assert_eq!(again, offer);
    for length in 0..packed.len() {
        let part = &packed[..length];
        if let Ok(part) = Description::unpack(part, Role::Offer) {
            // Whole candidates may be missing, and nothing else.
            assert!(part.candidates.len() < 3);
            assert_eq!(part.fingerprint, offer.fingerprint);
        }
    }
    // An offer is no answer.
    assert!(Description::unpack(&packed, Role::Answer).is_err());
}

#[test]
fn what_is_refused() {
    let print = &CHROMIUM[CHROMIUM.find("a=fingerprint").unwrap()..][..118];
    for (from, to) in [
        ("webrtc-datachannel", "webrtc-video"),
        ("m=application", "m=video"),
        ("a=mid:0", "a=mid:"),
        ("a=mid:0", "a=mid:0\r\na=mid:1"),
        ("a=mid:0", "a=mid:a b"),
        ("a=ice-ufrag:wHPx", "a=ice-ufrag:wHP"),
        ("a=ice-ufrag:wHPx", "a=ice-ufrag:wH\u{e9}x"),
        ("a=ice-pwd:JbFrrlPGGT2bdkGnLRZAEh2A", "a=ice-pwd:short"),
        ("a=ice-pwd:JbFrrlPGGT2bdkGnLRZAEh2A", "a=x:y"),
        ("sha-256", "sha-1"),
        ("sha-256 1F:", "sha-256 "),
        ("sha-256 1F:", "sha-256 1F:1F:"),
        ("sha-256 1F:", "sha-256 +F:"),
        ("sha-256 1F:", "sha-256 1:"),
        (print, ""),
        ("a=setup:actpass", "a=setup:active"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=sctp-port:5000", "a=sctp-port:5001"),
        ("typ srflx", "typ none"),
        ("1677729535 203", "x 203"),
        ("9 51244 typ", "9 70000 typ"),
    ] {
        let sdp = CHROMIUM.replacen(from, to, 1);
        assert_ne!(sdp, CHROMIUM, "{from}");
        let parsed = Description::parse(&sdp, Role::Offer);
        assert_eq!(parsed.err(), Some(SignalError::Malformed), "{from} -> {to}");
    }
    // Two sections; two fingerprints that differ.
    for more in [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n".to_owned(),
        print.replacen("1F:2E", "1F:2F", 1),
    ] {
        let parsed = Description::parse(&format!("{CHROMIUM}{more}\r\n"), Role::Offer);
        assert_eq!(parsed.err(), Some(SignalError::Malformed), "{more}");
    }
    assert!(Description::parse(CHROMIUM, Role::Answer).is_err());
    assert!(Description::parse("", Role::Offer).is_err());
}

#[test]
fn limits_and_one_past_them() {
    let line = "a=candidate:1 1 udp 1 192.0.2.1 1000 typ host\r\n";
    let plain = offer().sdp();
    let full = format!("{plain}{}", line.repeat(MAX_CANDIDATES));
    let mut parsed = Description::parse(&full, Role::Offer).unwrap();
    assert_eq!(parsed.candidates.len(), MAX_CANDIDATES);
    assert_eq!(parsed.add(line.trim()), Err(SignalError::TooManyCandidates));
    let more = format!("{full}{line}");
    let parsed = Description::parse(&more, Role::Offer);
    assert_eq!(parsed.err(), Some(SignalError::TooManyCandidates));
    // Those that are of no use count too.
    let hidden = line
        .replace("192.0.2.1", "x.local")
        .repeat(MAX_CANDIDATES + 1);
    let parsed = Description::parse(&format!("{plain}{hidden}"), Role::Offer);
    assert_eq!(parsed.err(), Some(SignalError::TooManyCandidates));

    let room = MAX_SDP_BYTES - plain.len() - "a=x:".len();
    let longest = format!("{plain}a=x:{}", "x".repeat(room));
    assert!(Description::parse(&longest, Role::Offer).is_ok());
    let parsed = Description::parse(&format!("{longest}x"), Role::Offer);
    assert_eq!(parsed.err(), Some(SignalError::TooLong));

    let mut packed = offer();
    packed.candidates = vec![packed.candidates[0]; MAX_CANDIDATES + 1];
    let bytes = packed.pack();
    assert!(Description::unpack(&bytes, Role::Offer).is_ok());
    let one = &bytes[bytes.len() - 7..];
    let more = [&bytes[..], one].concat();
    assert!(Description::unpack(&more, Role::Offer).is_err());
}

/// A line feed in a candidate would be a line of its own in an SDP.
#[test]
fn no_line_is_smuggled_in() {
    let mut offer = offer();
    let two = "candidate:1 1 udp 1 192.0.2.1 1000 typ host\r\na=fingerprint:sha-256 00";
    assert_eq!(offer.add(two), Err(SignalError::Malformed));
    let sdp = CHROMIUM.replacen("a=mid:0", "a=mid:0\ta=x", 1);
    assert!(Description::parse(&sdp, Role::Offer).is_err());
}
