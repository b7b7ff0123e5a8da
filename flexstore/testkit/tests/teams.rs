//! Teams and clocks, and a team's key used alone: what replicas show.

#![allow(clippy::unwrap_used)] // a test

use std::collections::BTreeMap;

use flexstore_core::authority::{Member, Roster, Sealed};
use flexstore_core::record::{Content, Draft};
use flexstore_core::register::Selection;
use flexstore_core::sync::{Keys, WriteError, Writing};
use flexstore_core::{CollectionId, Digest, Kind, SigningKey, Tag, Verified};
use flexstore_testkit::network::Network;

const MINUTE: u64 = 60_000;

/// Two devices, each with Team records and notes, connected.
struct World {
    network: Network,
    notes: [usize; 2],
    teams: [usize; 2],
    team: SigningKey,
    members: [SigningKey; 2],
}

impl World {
    fn new() -> Self {
        let id = CollectionId::new(Kind::Mutable, "notes").unwrap();
        let mut network = Network::new(1, 2, &CollectionId::team());
        let notes = [0, 1].map(|node| network.add_beside(node, &id));
        network.connect(0, 1);
        network.connect(notes[0], notes[1]);
        let key = |n| SigningKey::from_seed(&[n; 32]);
        Self {
            network,
            notes,
            teams: [0, 1],
            team: key(100),
            members: [key(1), key(2)],
        }
    }

    fn rest(&mut self) {
        assert!(self.network.run(10_000));
    }

    /// A Team record that lists the first so many members, dated so long ago.
    fn list(&mut self, count: usize, follows: Option<Digest>, ago: u64) -> Digest {
        let members = self.members[..count].iter();
        let roster = Roster {
            members: members.map(|key| Member::leaf(key.tag())).collect(),
            until: BTreeMap::new(),
            sealed: Some(Sealed {
                key: [7; 32],
                wrap: "sealed".into(),
            }),
        };
        let content = Content::Plain {
            payload: roster.write().into(),
            cty: Some("json".into()),
        };
        let draft = Draft {
            collection: CollectionId::team(),
            tag: self.team.tag().tag(),
            content,
            ant: follows,
            iat: self.network.now - ago,
        };
        let record = draft.sign_for(&self.team, &self.members[0]).unwrap();
        self.network.inject(self.teams[0], &record);
        self.rest();
        record.digest()
    }

    /// How many minutes the second device is behind.
    fn slow(&mut self, minutes: i64) {
        for node in [self.notes[1], self.teams[1]] {
            self.network.nodes[node].skew = -minutes * MINUTE as i64;
        }
    }

    fn write(&mut self, device: usize, member: usize, text: &str) -> Result<u64, WriteError> {
        let writing = Writing::new(tag(), plain(text));
        let keys = Keys::Member {
            owner: &self.team,
            author: &self.members[member],
        };
        let written = self.network.write(self.notes[device], writing, keys)?;
        self.rest();
        Ok(written.stamp.iat)
    }

    /// What both devices show.
    fn shown(&self) -> Option<String> {
        let [one, other] = self.notes.map(|node| {
            let register = self.network.nodes[node].replica.register();
            let record = register.read(&tag(), Some(self.team.tag()), Selection::Latest);
            let payload = record.unwrap()?.payload().to_vec();
            Some(String::from_utf8(payload).unwrap())
        });
        assert_eq!(one, other);
        one
    }

    /// A record for the notes, dated by hand.
    fn draft(&self, content: Content, iat: u64) -> Draft {
        let collection = CollectionId::new(Kind::Mutable, "notes").unwrap();
        let (tag, ant) = (tag(), None);
        Draft {
            collection,
            tag,
            content,
            ant,
            iat,
        }
    }

    fn inject(&mut self, record: &Verified) {
        self.network.inject(self.notes[0], record);
        self.rest();
    }
}

fn tag() -> Tag {
    Tag::new("note").unwrap()
}

fn plain(text: &str) -> Content {
    Content::Plain {
        payload: text.to_owned().into(),
        cty: Some("text/plain".into()),
    }
}

#[test]
fn a_member_with_a_slow_clock_is_heard() {
    let mut world = World::new();
    let both = world.list(2, None, 3 * MINUTE);
    world.write(0, 0, "first").unwrap();
    // The second device is ten minutes slow: it is told so, and dates nothing far ahead of itself.
    world.slow(10);
    let refused = world.write(1, 1, "second");
    assert!(matches!(refused, Err(WriteError::ClockBehind { .. })));
    // Four minutes are made up for: it edits what the first wrote.
    world.slow(4);
    world.write(1, 1, "second").unwrap();
    assert_eq!(world.shown().as_deref(), Some("second"));
    // Removed and added again: what it writes now is not taken for something of the gap.
    let one = world.list(1, Some(both), 2 * MINUTE);
    let refused = world.write(1, 1, "in the gap");
    assert_eq!(refused, Err(WriteError::NotMember));
    world.list(2, Some(one), MINUTE);
    world.write(1, 1, "third").unwrap();
    assert_eq!(world.shown().as_deref(), Some("third"));
}

#[test]
fn a_tombstone_from_a_fast_clock_does_not_outlast_an_edit() {
    let mut world = World::new();
    let both = world.list(2, None, 3 * MINUTE);
    world.write(0, 0, "first").unwrap();
    // Four minutes ahead, and a member: it counts, and the next edit stands above it.
    let ahead = world.network.now + 4 * MINUTE;
    let draft = world.draft(Content::Tombstone, ahead);
    let tombstone = draft.sign_for(&world.team, &world.members[1]).unwrap();
    world.inject(&tombstone);
    assert_eq!(world.shown(), None);
    let written = world.write(0, 0, "again").unwrap();
    assert_eq!(written, ahead + 1);
    assert_eq!(world.shown().as_deref(), Some("again"));
    // By one who is removed: it neither deletes nor drives the clocks of others ahead.
    world.list(1, Some(both), MINUTE);
    let ahead = world.network.now + 5 * MINUTE;
    let draft = world.draft(Content::Tombstone, ahead);
    let tombstone = draft.sign_for(&world.team, &world.members[1]).unwrap();
    world.inject(&tombstone);
    assert_eq!(world.shown().as_deref(), Some("again"));
    assert!(world.write(0, 0, "once more").unwrap() < ahead);
    assert_eq!(world.shown().as_deref(), Some("once more"));
}

#[test]
fn a_solo_item_signed_with_the_team_key_never_counts() {
    for team_records_first in [true, false] {
        let mut world = World::new();
        if team_records_first {
            world.list(2, None, 3 * MINUTE);
        }
        let now = world.network.now;
        let by_member = world.draft(plain("ours"), now - MINUTE);
        world.inject(&by_member.sign_for(&world.team, &world.members[0]).unwrap());
        // A former member kept the team's key: it overwrites, deletes, overwrites.
        for (content, iat) in [
            (plain("theirs"), now - 3),
            (Content::Tombstone, now - 2),
            (plain("theirs again"), now - 1),
        ] {
            let record = world.draft(content, iat).sign(&world.team).unwrap();
            world.inject(&record);
        }
        if !team_records_first {
            world.list(2, None, 3 * MINUTE);
        }
        assert_eq!(world.shown().as_deref(), Some("ours"));
        let writing = Writing::new(tag(), plain("solo"));
        let node = world.notes[0];
        let refused = world.network.write(node, writing, Keys::Solo(&world.team));
        assert!(matches!(refused, Err(WriteError::NotMember)));
    }
}
