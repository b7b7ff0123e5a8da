use std::collections::BTreeMap;

use flexstore_core::Digest;
use flexstore_core::dialect::{
    Ended, FAREWELL_MS, HANDSHAKE_MS, Message, Role, Session, VERSIONS_DELAY_MS,
};

use crate::shelf::{Shelf, tag};
use crate::support::{list, read_json, text, vectors};

const NOW: u64 = 1_700_000_000_000;
/// When `versions` are due.
pub(crate) const DUE: u64 = NOW + VERSIONS_DELAY_MS;

pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) shelf: Shelf,
}

impl Side {
    pub(crate) fn new(role: Role, shelf: Shelf) -> Self {
        Self {
            session: Session::new(role, NOW),
            shelf,
        }
    }

    pub(crate) fn send(&mut self, message: &Message) -> Result<(), Ended> {
        self.session.handle(DUE, &message.write(), &mut self.shelf)
    }

    pub(crate) fn agreed(role: Role, shelf: Shelf) -> Self {
        let mut side = Self::new(role, shelf);
        side.send(&VERSIONS).unwrap();
        assert_eq!(side.pull(), Some(VERSIONS));
        side
    }

    pub(crate) fn frame(&mut self) -> Option<String> {
        self.session.poll(DUE, &mut self.shelf).unwrap()
    }

    pub(crate) fn pull(&mut self) -> Option<Message> {
        self.frame().map(|text| Message::parse(&text).unwrap())
    }

    pub(crate) fn pull_all(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.pull()).collect()
    }
}

const VERSIONS: Message = Message::Versions { min: 17, max: 17 };

pub(crate) fn hash(name: &str, text: &str) -> Message {
    Message::Hash {
        tag: tag(name),
        hash: Digest::of(text.as_bytes()),
    }
}

pub(crate) fn put(name: &str, text: &str) -> Message {
    Message::Put {
        tag: tag(name),
        record: Some(text.to_owned().into()),
    }
}

/// Passes frames, one each way in turn, until both are silent; what each sent.
fn run(a: &mut Side, b: &mut Side) -> [Vec<String>; 2] {
    let mut sent = [Vec::new(), Vec::new()];
    for _ in 0..100_000 {
        let frames = [a.frame(), b.frame()];
        if frames.iter().all(Option::is_none) {
            return sent;
        }
        for (i, frame) in frames.into_iter().enumerate() {
            let Some(frame) = frame else { continue };
            let to = if i == 0 { &mut *b } else { &mut *a };
            to.session.handle(DUE, &frame, &mut to.shelf).unwrap();
            sent[i].push(frame);
        }
    }
    panic!("they never end");
}

fn methods(sent: &[String]) -> BTreeMap<&'static str, usize> {
    let mut count = BTreeMap::new();
    for frame in sent {
        *count
            .entry(Message::parse(frame).unwrap().method())
            .or_default() += 1;
    }
    count
}

#[test]
fn two_sides_come_to_the_same_and_a_second_sync_moves_nothing() {
    let long = "z".repeat(100_000);
    for roles in [[Role::Active, Role::Passive], [Role::Active, Role::Active]] {
        let mut a = Side::new(
            roles[0],
            Shelf::of(&[("a", "1"), ("both", "1"), ("same", "1"), ("long", &long)]),
        );
        let mut b = Side::new(
            roles[1],
            Shelf::of(&[("b", "1"), ("both", "2"), ("same", "1")]),
        );
        let [from_a, from_b] = run(&mut a, &mut b);
        assert_eq!(a.shelf.texts, b.shelf.texts);
        assert_eq!((a.shelf.texts.len(), a.shelf.text("both")), (5, Some("2")));
        assert!(a.session.is_synchronized() && b.session.is_synchronized());
        assert_eq!(methods(&from_a)["hash"], 4);
        assert_eq!(methods(&from_a)["get"], 2);
        assert_eq!(methods(&from_a)["frag"], 7, "100 KB in pieces");
        assert_eq!(methods(&from_b)["get"], 3);
        assert_eq!(methods(&from_b)["synchronizationComplete"], 1);
        let mut again = Side::new(Role::Active, a.shelf);
        let mut other = Side::new(Role::Passive, b.shelf);
        for sent in run(&mut again, &mut other) {
            let only = [
                ("endTags", 1),
                ("hash", 5),
                ("synchronizationComplete", 1),
                ("versions", 1),
            ];
            assert_eq!(methods(&sent), BTreeMap::from(only));
        }
    }
}

/// Side B of the recorded transcript is replaced by a session: it gets what A sent, with records
/// of our own, and sends what B sent.
#[test]
fn a_session_sends_what_the_original_sent() {
    let Some(folder) = vectors() else { return };
    let file = read_json(&folder.join("js-flexstore/flexstore.json"));
    let scenarios = list(&file["scenarios"]);
    let transcript = scenarios
        .iter()
        .find_map(|one| one["transcript"].as_array())
        .unwrap();
    let transcript: Vec<_> = transcript.iter().filter(|line| line.is_object()).collect();
    // The record that each side has under a tag, in place of those that the transcript cuts.
    let mut records: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for line in transcript.iter().filter(|line| line["method"] == "hash") {
        let (tag, hash) = (text(&line["params"][0]), text(&line["params"][1]));
        let from = text(&line["from"]);
        // Of the shared, differing item, that of B is to win.
        records.insert((from, tag), format!("{from} {hash}"));
        let other = if from == "A" { "B" } else { "A" };
        let equal = transcript.iter().any(|line| {
            line["from"] == other && line["params"][0] == tag && line["params"][1] == hash
        });
        if equal {
            records.insert((from, tag), format!("both {hash}"));
        }
    }
    let of = |side: &str| -> Vec<(&str, &str)> {
        let own = records.iter().filter(|((from, _), _)| *from == side);
        own.map(|((_, tag), text)| (*tag, text.as_str())).collect()
    };
    let mut b = Side::new(Role::Active, Shelf::of(&of("B")));
    let mut sent = b.pull_all();
    let mut expected = Vec::new();
    for line in &transcript {
        let name = |i: usize| text(&line["params"][i]);
        let from = text(&line["from"]);
        let message = match text(&line["method"]) {
            "hash" => hash(name(0), &records[&(from, name(0))]),
            "put" => put(
                name(0),
                records.get(&(from, name(0))).map_or("live", |text| text),
            ),
            "delete" => Message::Delete {
                tag: tag(name(0)),
                record: "deleted".into(),
            },
            method => {
                let params = &line["params"];
                Message::parse(&format!(r#"{{"method":"{method}","params":{params}}}"#)).unwrap()
            }
        };
        if from == "B" {
            expected.push(message);
        } else {
            b.send(&message).unwrap();
            sent.extend(b.pull_all());
        }
    }
    let sorted = |messages: &[Message]| {
        let mut texts: Vec<String> = messages.iter().map(Message::write).collect();
        texts.sort();
        texts
    };
    assert_eq!(sorted(&sent), sorted(&expected));
    assert_eq!(sent.first(), expected.first());
    assert_eq!(sent.last(), expected.last());
    assert!(b.session.is_synchronized());
    assert_eq!(b.shelf.deleted.len(), 1, "put live, and deleted");
}

#[test]
fn a_relay_begins_its_stream_when_the_other_side_has() {
    for first in [hash("x", "1"), Message::EndTags] {
        let mut relay = Side::agreed(Role::Passive, Shelf::of(&[("a", "1")]));
        assert_eq!(relay.pull(), None);
        relay.send(&put("pushed", "1")).unwrap();
        assert_eq!(relay.pull(), None, "a push begins nothing");
        relay.send(&first).unwrap();
        assert!(relay.pull_all().contains(&hash("a", "1")));
    }
    let mut client = Side::agreed(Role::Active, Shelf::of(&[("a", "1")]));
    assert_eq!(client.pull_all(), [hash("a", "1"), Message::EndTags]);
}

#[test]
fn versions_are_sent_after_a_moment_and_must_come() {
    let mut side = Side::new(Role::Active, Shelf::of(&[("a", "1")]));
    assert_eq!(side.session.next_timeout(), Some(DUE));
    assert_eq!(side.session.poll(DUE - 1, &mut side.shelf), Ok(None));
    assert_eq!(side.pull(), Some(VERSIONS));
    assert_eq!(side.pull(), None, "no stream without theirs");
    assert_eq!(side.session.next_timeout(), Some(NOW + HANDSHAKE_MS));
    assert_eq!(side.session.handle_timeout(NOW + HANDSHAKE_MS - 1), Ok(()));
    assert_eq!(
        side.session.handle_timeout(NOW + HANDSHAKE_MS),
        Err(Ended::Silent)
    );
}

#[test]
fn versions_are_agreed_or_the_channel_is_closed_half_a_second_later() {
    for (min, max, agree) in [
        (17, 17, true),
        (1, 17, true),
        (17, 99, true),
        (1, 99, true),
        (18, 99, false),
        (1, 16, false),
        (18, 16, false),
        (u64::MAX, 0, false),
    ] {
        let mut side = Side::new(Role::Active, Shelf::default());
        side.send(&Message::Versions { min, max }).unwrap();
        assert_eq!(side.pull(), Some(VERSIONS));
        let ends = side.pull() == Some(Message::EndTags);
        assert_eq!(ends, agree, "{min} {max}");
        if !agree {
            assert_eq!(side.session.next_timeout(), Some(DUE + FAREWELL_MS));
            assert_eq!(side.session.handle_timeout(DUE + FAREWELL_MS - 1), Ok(()));
            assert_eq!(
                side.session.handle_timeout(DUE + FAREWELL_MS),
                Err(Ended::Version)
            );
            assert_eq!(side.send(&put("a", "1")), Ok(()), "nothing more is heeded");
            assert_eq!(side.shelf.text("a"), None);
        }
    }
}

#[test]
fn what_comes_out_of_its_turn_ends_the_channel() {
    let fresh = || Side::new(Role::Passive, Shelf::default());
    for early in [
        hash("a", "1"),
        Message::EndTags,
        Message::SynchronizationComplete(0),
    ] {
        assert_eq!(fresh().send(&early), Err(Ended::OutOfTurn));
    }
    for twice in [
        VERSIONS,
        Message::EndTags,
        Message::SynchronizationComplete(0),
    ] {
        let mut side = Side::agreed(Role::Passive, Shelf::default());
        if twice != VERSIONS {
            side.send(&twice).unwrap();
        }
        assert_eq!(side.send(&twice), Err(Ended::OutOfTurn));
    }
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    side.send(&Message::EndTags).unwrap();
    assert_eq!(side.send(&hash("a", "1")), Err(Ended::OutOfTurn));
    // A message in pieces is no piece.
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    side.send(&Message::Fragments { id: 1, count: 1 }).unwrap();
    let inner = Message::Fragments { id: 2, count: 1 }.write();
    let frag = Message::Frag {
        id: 1,
        index: 0,
        text: inner.as_str().into(),
    };
    assert_eq!(side.send(&frag), Err(Ended::OutOfTurn));
}

#[test]
fn puts_and_deletes_pass_at_any_time() {
    // Before the versions, between the hashes, after the end.
    let mut side = Side::new(Role::Passive, Shelf::default());
    side.send(&put("a", "1")).unwrap();
    side.send(&VERSIONS).unwrap();
    side.send(&hash("z", "1")).unwrap();
    side.send(&put("b", "1")).unwrap();
    side.send(&Message::EndTags).unwrap();
    side.send(&put("z", "1")).unwrap();
    side.pull_all();
    side.send(&Message::Delete {
        tag: tag("a"),
        record: "deleted".into(),
    })
    .unwrap();
    side.send(&put("c", "1")).unwrap();
    assert_eq!(side.shelf.texts.len(), 3);
    assert!(side.shelf.deleted.contains_key(&tag("a")));

    side.shelf.texts.insert(tag("d"), "1".into());
    side.session.changed(DUE, &tag("d")).unwrap();
    side.session.changed(DUE, &tag("d")).unwrap();
    side.shelf.delete("b", "deleted b");
    side.session.changed(DUE, &tag("b")).unwrap();
    side.session.changed(DUE, &tag("nothing")).unwrap();
    let delete = Message::Delete {
        tag: tag("b"),
        record: "deleted b".into(),
    };
    assert_eq!(side.pull_all(), [delete, put("d", "1")]);
}

#[test]
fn a_put_for_a_pending_get_is_its_answer() {
    let mut side = Side::agreed(Role::Passive, Shelf::default());
    side.shelf.slow = true;
    for name in ["a", "b", "c"] {
        side.send(&hash(name, "1")).unwrap();
    }
    side.send(&Message::EndTags).unwrap();
    let sent = side.pull_all();
    assert_eq!(
        sent.len(),
        4,
        "three questions and the end of our tags: {sent:?}"
    );
    side.send(&put("a", "2")).unwrap();
    side.send(&Message::Put {
        tag: tag("b"),
        record: None,
    })
    .unwrap();
    side.send(&put("c", "bad")).unwrap();
    assert_eq!(side.pull(), None, "not complete before the disk says so");
    side.session.settled(DUE, 1);
    assert_eq!(side.pull(), Some(Message::SynchronizationComplete(3)));
    assert_eq!(side.pull(), None);
}

#[test]
fn what_was_deleted_is_told_so_and_what_may_be_newer_is_asked_for() {
    let mut side = Side::agreed(Role::Passive, Shelf::of(&[("gone", "1"), ("kept", "1")]));
    side.shelf.delete("gone", "deleted gone");
    side.shelf.displaced.insert(Digest::of(b"0"));
    let delete = Message::Delete {
        tag: tag("gone"),
        record: "deleted gone".into(),
    };

    side.send(&hash("gone", "1")).unwrap();
    assert_eq!(
        side.pull(),
        Some(delete.clone()),
        "what was here when it was deleted"
    );
    side.pull_all();
    side.send(&hash("gone", "other")).unwrap();
    assert_eq!(
        side.pull_all(),
        [Message::Get(tag("gone"))],
        "it may be newer than the deletion"
    );
    side.send(&put("gone", "other")).unwrap();
    assert_eq!(side.pull_all(), [delete]);
    side.send(&hash("kept", "0")).unwrap();
    assert_eq!(
        side.pull_all(),
        [],
        "displaced by what our own hash tells of"
    );
    assert_eq!(side.shelf.text("gone"), None);
    side.send(&Message::Get(tag("gone"))).unwrap();
    assert_eq!(
        side.pull_all(),
        [Message::Put {
            tag: tag("gone"),
            record: None
        }]
    );
}
