//! Peers that break the rules, flood or do not read.

use flexstore_core::dialect::{
    Ended, FragmentError, HIGH_BYTES, MAX_OPEN, Message, MessageError, PIECE_TIMEOUT_MS, Role,
    STALL_MS,
};

use crate::session::{DUE, Side, hash, put};
use crate::shelf::{Shelf, tag};

#[test]
fn a_bad_record_or_tag_hurts_nobody_else() {
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    side.send(&put("a", "bad")).unwrap();
    for bad in [
        r#"{"method":"put","params":["","x"]}"#,
        r#"{"method":"hash","params":["\u0007","x"]}"#,
    ] {
        assert_eq!(side.session.handle(DUE, bad, &mut side.shelf), Ok(()));
    }
    side.send(&put("../../x", "1")).unwrap();
    assert_eq!(side.shelf.text("../../x"), Some("1"), "a name like any");
}

#[test]
fn what_is_no_message_ends_the_channel() {
    for (bad, why) in [
        ("x", MessageError::NotJson),
        (
            r#"{"method":"fetch","params":["http://127.0.0.1/"]}"#,
            MessageError::Method,
        ),
        (
            r#"{"method":"constructor","params":[]}"#,
            MessageError::Method,
        ),
        (r#"{"method":"get","params":[]}"#, MessageError::Params),
        ("[]", MessageError::Shape),
    ] {
        let mut side = Side::agreed(Role::Passive, Shelf::default());
        assert_eq!(
            side.session.handle(DUE, bad, &mut side.shelf),
            Err(Ended::Message(why))
        );
    }
}

#[test]
fn ten_thousand_openers_are_refused_after_sixteen() {
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    let mut held = 0;
    for id in 0..10_000 {
        let opened = side.send(&Message::Fragments { id, count: 60 });
        assert_eq!(opened.is_ok(), id < MAX_OPEN as u64);
        if let Err(error) = opened {
            assert_eq!(error, Ended::Fragment(FragmentError::TooMany));
        }
        held = held.max(side.session.held());
    }
    assert!(held <= 64 << 10, "{held} bytes");
    let late = DUE + PIECE_TIMEOUT_MS;
    assert_eq!(side.session.next_timeout(), Some(late));
    assert_eq!(
        side.session.handle_timeout(late),
        Err(Ended::Fragment(FragmentError::Late))
    );
}

#[test]
fn a_hundred_thousand_hashes_cost_little_where_the_peer_reads() {
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    let mut held = 0;
    for i in 0..100_000 {
        side.send(&hash(&format!("{i:043}"), "1")).unwrap();
        assert!(side.session.is_ready());
        while side.frame().is_some() {}
        held = held.max(side.session.held());
    }
    assert!(held < 1 << 20, "{held} bytes");
    // One more than may be outstanding.
    side.send(&hash("one more", "1")).unwrap();
    assert_eq!(side.session.poll(DUE, &mut side.shelf), Err(Ended::Limit));
}

#[test]
fn a_peer_that_does_not_read_is_closed_and_costs_less_than_a_mebibyte() {
    let ask = Message::Get(tag("a"));
    for flood in [
        |i: u64| hash(&format!("{i:043}"), "1"),
        |i: u64| Message::Get(tag(&format!("{i:0256}"))),
    ] {
        let mut side = Side::agreed(Role::Passive, Shelf::default());
        let ended = (0..100_000).find_map(|i| {
            let ended = side.send(&flood(i)).err();
            assert!(ended.is_some() || side.session.held() <= 1 << 20);
            ended
        });
        assert_eq!(ended, Some(Ended::TooSlow));
        assert!(!side.session.is_ready() && side.session.held() > HIGH_BYTES);
    }
    // The live side.
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    let ended = (0..100_000).find_map(|i| side.session.changed(DUE, &tag(&i.to_string())).err());
    assert_eq!(ended, Some(Ended::TooSlow));
    // Little that waits may wait for a while.
    let mut side = Side::agreed(Role::Passive, Shelf::of(&[("a", "1")]));
    assert_eq!(side.session.next_timeout(), None);
    side.send(&ask).unwrap();
    assert_eq!(side.session.next_timeout(), Some(DUE + STALL_MS));
    assert_eq!(
        side.session.handle_timeout(DUE + STALL_MS),
        Err(Ended::TooSlow)
    );
    side.pull_all();
    assert_eq!(side.session.next_timeout(), None, "all was read");
}

#[test]
fn a_stream_is_looked_up_as_it_is_pulled() {
    let names: Vec<String> = (0..10_000).map(|i| format!("{i:05}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let mut side = Side::agreed(Role::Active, Shelf::of(&items));
    for name in &names[..10] {
        assert_eq!(side.pull(), Some(hash(name, "1")));
    }
    // Answers go first, so that a peer that asks is not told of more than it can ask about.
    side.send(&Message::Get(tag("00003"))).unwrap();
    assert_eq!(side.pull(), Some(put("00003", "1")));
    assert_eq!(side.shelf.looked_up, 1);
    let rest = side.pull_all();
    assert_eq!(rest.len(), 9_990 + 1);
    assert_eq!(rest.last(), Some(&Message::EndTags));
}
