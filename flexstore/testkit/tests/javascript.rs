//! Collections of the js profile: what may stand in them, whose records count, and that replicas
//! agree on it whatever the order of arrival.

#![allow(clippy::unwrap_used)] // a test

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use flexstore_core::authority::{Member, Roster, Sealed, Standing, js as teams};
use flexstore_core::record::{Content, Draft, js};
use flexstore_core::register::{ReadError, Row, Selection};
use flexstore_core::sync::{Input, Keys, OfferError, Origin, SessionId, Taken, Writing};
use flexstore_core::wire::{Checked, CloseReason, Filter, Message, Summary};
use flexstore_core::{CollectionId, Digest, Kind, SigningKey, Tag, Verified};
use flexstore_testkit::network::Network;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn id(kind: Kind) -> CollectionId {
    CollectionId::new(kind, "notes").unwrap().javascript()
}

fn plain(text: &str) -> Content {
    Content::Plain {
        payload: text.as_bytes().to_vec().into(),
        cty: Some("text/plain".into()),
    }
}

fn note(by: Keys<'_>, under: &str, content: Content, iat: u64) -> js::Verified {
    let draft = js::Draft::new(
        js::Shelf::items(id(Kind::Mutable)),
        tag(under),
        content,
        iat,
    );
    sign(draft, by)
}

fn sign(draft: js::Draft, by: Keys<'_>) -> js::Verified {
    match by {
        Keys::Solo(key) => draft.sign(key),
        Keys::Member { owner, author } => draft.sign_for(owner, author),
    }
    .unwrap()
}

/// A Team record of the original: its list is that of the recipients.
fn team(team: &SigningKey, act: &SigningKey, members: &[&SigningKey], iat: u64) -> js::Verified {
    let recipients: Vec<String> = members
        .iter()
        .map(|key| {
            let kid = key.tag();
            format!(r#"{{"encrypted_key":"AA","header":{{"kid":"{kid}","alg":"RSA-OAEP-256"}}}}"#)
        })
        .collect();
    let payload = format!(
        r#"{{"ciphertext":"AA","iv":"AA","recipients":[{}],"tag":"AA","protected":"AA"}}"#,
        recipients.join(",")
    );
    let content = Content::Plain {
        payload: payload.into(),
        cty: Some("json".into()),
    };
    let shelf = js::Shelf::credential(js::TEAM).unwrap();
    let draft = js::Draft::new(shelf, team.tag().tag(), content, iat);
    draft.sign_for(team, act).unwrap()
}

fn native_team(team: &SigningKey, act: &SigningKey, iat: u64) -> Verified {
    let roster = Roster {
        members: vec![Member::leaf(act.tag())],
        until: BTreeMap::new(),
        sealed: Some(Sealed {
            key: [7; 32],
            wrap: "sealed".into(),
        }),
    };
    let draft = Draft {
        collection: CollectionId::team(),
        tag: team.tag().tag(),
        content: Content::Plain {
            payload: roster.write().into(),
            cty: Some("json".into()),
        },
        ant: None,
        iat,
    };
    draft.sign_for(team, act).unwrap()
}

fn rows(network: &Network, node: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let register = network.nodes[node].replica.register();
    let visit = &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    register.each(visit).unwrap();
    rows
}

fn shown(network: &Network, node: usize, under: &str) -> Option<Bytes> {
    let register = network.nodes[node].replica.register();
    let record = register.read(&tag(under), None, Selection::Latest).unwrap();
    record.map(|record| record.payload().clone())
}

fn rest(network: &mut Network) {
    assert!(network.run(100_000));
}

#[test]
fn a_record_of_the_original_enters_no_native_collection_and_no_other() {
    let js_id = id(Kind::Mutable);
    let other = CollectionId::new(Kind::Mutable, "other").unwrap();
    let record: Verified = note(Keys::Solo(&key(1)), "t", plain("x"), 5).into();
    let now = 1_700_000_000_000;
    for at in [js_id.native(), other.clone(), other.javascript()] {
        let mut network = Network::new(1, 1, &at);
        let replica = &mut network.nodes[0].replica;
        // As a frame: it is no record here, or one that does not belong.
        let reason = {
            let session = SessionId(900);
            replica.handle(
                now,
                Input::Connected {
                    session,
                    opens: false,
                },
            );
            let open = Message::Open {
                oldest: 1,
                newest: 1,
                collection: at.clone(),
                replica: [9; 16],
                filter: Filter::default(),
                summary: Summary::default(),
            };
            let records = Checked::Records(vec![record.clone()]);
            for message in [Checked::Plain(open), records] {
                replica.handle(now, Input::Received { session, message });
            }
            let outputs = std::iter::from_fn(|| replica.poll());
            outputs
                .filter_map(|output| match output {
                    flexstore_core::sync::Output::Close { reason, .. } => Some(reason),
                    _ => None,
                })
                .next()
        };
        assert_eq!(reason, Some(CloseReason::BadRecord), "{at}");
        let offered = replica.offer(now, &record, Origin::Written);
        assert_eq!(offered.unwrap_err(), OfferError::Elsewhere, "{at}");
        assert!(rows(&network, 0).is_empty());
    }
    // Its bytes are none of a native collection's, and are under another tag no record of this.
    let mut network = Network::new(1, 1, &js_id.native());
    assert_eq!(
        network.offer(0, record.sent().clone()),
        Some(CloseReason::BadRecord)
    );
    let mut network = Network::new(1, 1, &js_id);
    assert_eq!(network.offer(0, record.sent().clone()), None);
    let mut bent = record.sent().to_vec();
    for (at, byte) in [(0, 2), (0, 3), (1, 0), (1, 0x1f)] {
        let before = std::mem::replace(&mut bent[at], byte);
        let bytes = bent.clone().into();
        assert_eq!(network.offer(0, bytes), Some(CloseReason::BadRecord));
        bent[at] = before;
    }
    assert_eq!(rows(&network, 0).len(), 1);
}

#[test]
fn native_records_stand_beside_those_of_the_original() {
    let mut network = Network::new(2, 2, &id(Kind::Mutable));
    network.connect(0, 1);
    let me = key(1);
    let written = network
        .write(0, Writing::new(tag("t"), plain("native")), Keys::Solo(&me))
        .unwrap();
    rest(&mut network);
    let record = network.nodes[1].replica.register();
    let record = record.record(&written.stamp.digest).unwrap().unwrap();
    assert!(!record.is_javascript());
    assert_eq!(record.header().collection, id(Kind::Mutable).native());
    // The original's later one displaces it, and the other way round.
    let later = note(
        Keys::Solo(&me),
        "t",
        plain("javascript"),
        network.now + 1000,
    );
    network.inject(1, &later.into());
    rest(&mut network);
    for node in [0, 1] {
        assert_eq!(shown(&network, node, "t").unwrap(), "javascript");
        assert_eq!(rows(&network, node).len(), 1);
    }
    let removal = Writing::new(tag("t"), Content::Tombstone);
    network.write(0, removal, Keys::Solo(&me)).unwrap();
    rest(&mut network);
    for node in [0, 1] {
        assert_eq!(shown(&network, node, "t"), None);
    }
    // A native record of another name is none of this collection's.
    let other = CollectionId::new(Kind::Mutable, "other").unwrap();
    let other = Draft::text(other, tag("t"), "x", 5).sign(&me).unwrap();
    assert_eq!(
        network.offer(0, other.sent().clone()),
        Some(CloseReason::BadRecord)
    );
    // Among keys and teams the original could make nothing of one.
    let keys = CollectionId::new(Kind::Mutable, "EncryptionKey").unwrap();
    let mut network = Network::new(3, 1, &keys.javascript());
    let native = Draft::text(keys, me.tag().tag(), "x", 5).sign(&me).unwrap();
    assert_eq!(
        network.offer(0, native.sent().clone()),
        Some(CloseReason::BadRecord)
    );
}

#[test]
fn one_text_under_two_tags_is_two_records_with_one_hash() {
    let mut network = Network::new(4, 2, &id(Kind::Mutable));
    network.connect(0, 1);
    let me = key(1);
    for under in ["a", "b"] {
        let record = note(Keys::Solo(&me), under, plain("same"), 5);
        network.inject(0, &record.into());
    }
    rest(&mut network);
    network.restart(1);
    let rows = rows(&network, 1);
    assert_eq!(rows.len(), 2);
    assert_ne!(rows[0].stamp.digest, rows[1].stamp.digest);
    assert_eq!(rows[0].hash, rows[1].hash);
    let register = network.nodes[1].replica.register();
    for row in &rows {
        let record = register.record(&row.stamp.digest).unwrap().unwrap();
        assert_eq!(record.header().tag, row.tag);
        assert_eq!(Digest::of(record.text()), row.hash);
    }
}

#[test]
fn a_states_tombstone_deletes_that_state_whatever_its_time() {
    let id = id(Kind::Versioned);
    let (me, subject) = (key(1), tag("page"));
    let state = |text: &str, ant: Option<Digest>, iat| {
        let shelf = js::Shelf::states(id.clone());
        let mut draft = js::Draft::new(shelf, subject.clone(), plain(text), iat);
        draft.ant = ant;
        draft.sign(&me).unwrap()
    };
    let first = state("one", None, 1000);
    let second = state("two", first.state(), 2000);
    let mut deletion = js::Draft::new(
        js::Shelf::states(id.clone()),
        subject.clone(),
        Content::Tombstone,
        500,
    );
    deletion.ant = second.state();
    let deletion = deletion.sign(&me).unwrap();
    let all: Vec<Verified> = [&first, &second, &deletion]
        .map(|r| r.clone().into())
        .into();
    for turn in 0..6 {
        let mut network = Network::new(5, 1, &id);
        let mut order = vec![0, 1, 2];
        order.swap(0, turn % 3);
        order.swap(1, 1 + turn % 2);
        for at in order {
            network.inject(0, &all[at]);
        }
        rest(&mut network);
        assert_eq!(shown(&network, 0, "page").unwrap(), "one");
        let register = network.nodes[0].replica.register();
        assert_eq!(register.states_after(None, 10).unwrap().len(), 2);
        let of = register.of_state(&second.state().unwrap()).unwrap();
        let mut stand: Vec<_> = of.iter().map(|s| (s.row.tombstone, s.stays)).collect();
        stand.sort_unstable();
        assert_eq!(stand, [(false, false), (true, true)]);
        // A tombstone of the subject takes the rest, of that time and before.
        let shelf = js::Shelf::items(id.clone());
        let whole = js::Draft::new(shelf, subject.clone(), Content::Tombstone, 3000);
        network.inject(0, &whole.sign(&me).unwrap().into());
        let after = state("three", None, 4000);
        network.inject(0, &after.into());
        rest(&mut network);
        assert_eq!(shown(&network, 0, "page").unwrap(), "three");
        assert_eq!(rows(&network, 0).len(), 3);
    }
}

#[test]
fn an_owners_last_root_is_kept_beside_and_is_no_record_of_the_set() {
    let id = id(Kind::Versioned);
    let (me, subject) = (key(1), tag("page"));
    let mut network = Network::new(6, 2, &id);
    network.connect(0, 1);
    let heads = [Digest::of(b"state")];
    let root = |iat| js::Draft::root(js::Shelf::items(id.clone()), subject.clone(), &heads, iat);
    let now = network.now;
    let replica = &mut network.nodes[0].replica;
    let last = root(2000).sign(&me).unwrap();
    assert!(replica.keep_root(now, &last).unwrap().is_some());
    let older = root(1000).sign(&me).unwrap();
    assert_eq!(replica.keep_root(now, &older).unwrap(), None);
    let mut claimed = root(3000);
    claimed.claimed = Some(js::Claimed::Individual(me.tag()));
    let claimed = claimed.sign(&key(2)).unwrap();
    assert_eq!(replica.keep_root(now, &claimed).unwrap(), None);
    let ahead = root(now + 10 * 60_000).sign(&me).unwrap();
    assert!(replica.keep_root(now, &ahead).is_err());
    assert_eq!(
        replica.offer(now, &last.clone().into(), Origin::Written),
        Err(OfferError::Elsewhere)
    );
    while replica.poll().is_some() {}
    rest(&mut network);
    network.restart(0);
    let register = network.nodes[0].replica.register();
    let kept = register.root(&subject, &me.tag()).unwrap().unwrap();
    assert_eq!(kept.text(), last.text());
    assert_eq!(
        register.root(&subject, &key(2).tag()).unwrap().map(|_| ()),
        None
    );
    assert!(rows(&network, 0).is_empty() && network.nodes[0].replica.index().is_empty());
    // Nor does one come over a native session.
    let sent = Verified::from(last).sent().clone();
    assert_eq!(network.offer(1, sent), Some(CloseReason::BadRecord));
}

/// Devices with notes, the Team records of the original and native ones.
struct World {
    network: Network,
    notes: Vec<usize>,
    teams: Vec<usize>,
    native: Vec<usize>,
}

impl World {
    fn new(seed: u64, devices: usize) -> Self {
        let mut network = Network::new(seed, devices, &id(Kind::Mutable));
        let teams = CollectionId::javascript_team();
        let teams = (0..devices)
            .map(|n| network.add_beside(n, &teams))
            .collect();
        let native = CollectionId::team();
        let native = (0..devices)
            .map(|n| network.add_beside(n, &native))
            .collect();
        Self {
            network,
            notes: (0..devices).collect(),
            teams,
            native,
        }
    }

    fn meet(&mut self) {
        for all in [&self.notes, &self.teams, &self.native] {
            for a in all {
                for b in all {
                    if a < b && !self.network.connected(*a, *b) {
                        self.network.connect(*a, *b);
                    }
                }
            }
        }
        rest(&mut self.network);
    }
}

#[test]
fn items_of_a_team_of_the_original_are_judged_by_its_records() {
    let mut world = World::new(7, 2);
    let (us, a, b) = (key(50), key(1), key(2));
    let by = |author| Keys::Member { owner: &us, author };
    let late = note(by(&b), "late", plain("b"), 400);
    let early = note(by(&b), "early", plain("b"), 200);
    for record in [&early, &late] {
        world.network.inject(0, &record.clone().into());
    }
    // Signed for the team in the native form.
    let native = Draft::text(id(Kind::Mutable), tag("native"), "a", 400);
    let native = native.sign_for(&us, &a).unwrap();
    world.network.inject(0, &native);
    // By its key alone, until somebody outside has it.
    for iat in [250, 350] {
        let alone = note(Keys::Solo(&us), &format!("alone {iat}"), plain("us"), iat);
        world.network.inject(0, &alone.into());
    }
    world.meet();
    for (under, counts) in [("late", false), ("alone 350", true)] {
        let register = world.network.nodes[1].replica.register();
        let read = register.find(&tag(under), None, Selection::Latest);
        match read {
            Ok(found) => assert!(counts && found.is_some()),
            Err(error) => assert!(!counts && error == ReadError::Unjudged(us.tag())),
        }
    }
    let listed = team(&us, &a, &[&a, &b], 100);
    let removed = team(&us, &a, &[&a], 300);
    // The removal came first, and seems to be all.
    for record in [&removed, &listed] {
        world.network.inject(world.teams[1], &record.clone().into());
        world.meet();
    }
    for node in [0, 1] {
        for (under, counts) in [
            ("early", true),
            ("late", false),
            ("native", true),
            ("alone 250", true),
            ("alone 350", false),
        ] {
            assert_eq!(
                shown(&world.network, node, under).is_some(),
                counts,
                "{under} at {node}"
            );
        }
        // To the original the Team is the last record in force.
        let teams = &world.network.nodes[world.teams[node]].replica;
        let shown = teams
            .register()
            .find(&us.tag().tag(), None, Selection::Latest);
        assert_eq!(shown.unwrap().unwrap().hash, removed.digest());
        assert_eq!(teams.index().len(), 2);
    }
}

#[test]
fn a_key_with_team_records_of_both_profiles_is_judged_by_those_that_are_pinned() {
    let mut world = World::new(8, 2);
    let (us, a, b) = (key(50), key(1), key(2));
    let original = team(&us, &a, &[&a], 100);
    world
        .network
        .inject(world.teams[0], &original.clone().into());
    let other = native_team(&us, &b, 100);
    for (under, author) in [("a", &a), ("b", &b)] {
        let by = Keys::Member { owner: &us, author };
        let record = note(by, under, plain("x"), 200);
        world.network.inject(0, &record.into());
    }
    world.meet();
    let counts = |world: &World, node| -> Vec<bool> {
        let rows = rows(&world.network, node);
        rows.iter().map(Row::counts).collect()
    };
    assert_eq!(counts(&world, 1), [true, false]);
    world.network.inject(world.native[0], &other);
    world.meet();
    for node in [0, 1] {
        let rows = rows(&world.network, node);
        assert!(rows.iter().all(|row| row.standing == Standing::Unjudged));
    }
    world
        .network
        .pin(world.teams[0], &us.tag(), &original.digest());
    world
        .network
        .pin(world.native[1], &us.tag(), &other.digest());
    rest(&mut world.network);
    assert_eq!(counts(&world, 0), [true, false]);
    assert_eq!(counts(&world, 1), [false, true]);
    world.network.restart(1);
    rest(&mut world.network);
    assert_eq!(counts(&world, 1), [false, true]);
}

#[test]
fn a_pin_tells_which_of_two_first_records_is_in_force() {
    let mut world = World::new(9, 1);
    let (us, a, b) = (key(50), key(1), key(2));
    let (ours, theirs) = (team(&us, &a, &[&a], 100), team(&us, &b, &[&b], 90));
    for record in [&ours, &theirs] {
        world.network.inject(world.teams[0], &record.clone().into());
    }
    rest(&mut world.network);
    let standings = |world: &World| -> BTreeSet<(Digest, Standing)> {
        let rows = rows(&world.network, world.teams[0]);
        rows.iter().map(|row| (row.hash, row.standing)).collect()
    };
    let unjudged = Standing::Unjudged;
    assert_eq!(
        standings(&world),
        [(ours.digest(), unjudged), (theirs.digest(), unjudged)].into()
    );
    world.network.pin(world.teams[0], &us.tag(), &ours.digest());
    rest(&mut world.network);
    assert_eq!(
        standings(&world),
        [
            (ours.digest(), Standing::Counts),
            (theirs.digest(), Standing::Void)
        ]
        .into()
    );
}

/// Random changes of two teams of the original and items for them, in any order at three devices.
#[test]
fn whatever_the_order_the_same_items_count() {
    let mut voids = 0;
    for seed in 0..60 {
        let mut world = World::new(seed, 3);
        let people: Vec<SigningKey> = (1..5).map(key).collect();
        let owners = [key(50), key(51)];
        let mut records: Vec<(bool, js::Verified)> = Vec::new();
        for owner in &owners {
            records.push((
                true,
                team(owner, &people[0], &[&people[0], &people[1]], 100),
            ));
            for _ in 0..4 {
                let list: Vec<&SigningKey> = (people.iter())
                    .filter(|_| world.network.below(3) > 0)
                    .collect();
                let act = &people[world.network.below(4) as usize];
                let iat = 101 + world.network.below(10);
                if !list.is_empty() {
                    records.push((true, team(owner, act, &list, iat)));
                }
            }
            for n in 0..12 {
                let author = &people[world.network.below(4) as usize];
                let content = if world.network.below(3) == 0 {
                    Content::Tombstone
                } else {
                    plain(&format!("{n}"))
                };
                let by = match world.network.below(4) {
                    0 => Keys::Solo(owner),
                    _ => Keys::Member { owner, author },
                };
                let under = format!("tag {}", world.network.below(2));
                let iat = 95 + world.network.below(20);
                records.push((false, note(by, &under, content, iat)));
            }
        }
        while !records.is_empty() {
            let at = world.network.below(records.len() as u64) as usize;
            let device = world.network.below(3) as usize;
            let (is_team, record) = records.swap_remove(at);
            let node = if is_team { world.teams[device] } else { device };
            world.network.inject(node, &record.into());
            match world.network.below(6) {
                0 => world.network.restart(device),
                1 => world.network.disconnect_one(),
                2 if !world.network.connected(device, (device + 1) % 3) => {
                    world.network.connect(device, (device + 1) % 3);
                }
                _ => {}
            }
            for _ in 0..world.network.below(10) {
                world.network.step();
            }
        }
        world.meet();
        let first = rows(&world.network, 0);
        voids += first
            .iter()
            .filter(|row| row.standing == Standing::Void)
            .count();
        for device in 0..3 {
            assert_eq!(
                rows(&world.network, device),
                first,
                "seed {seed} at {device}"
            );
            assert_judged(&world, device, &owners, &first);
        }
    }
    assert!(voids > 60, "nobody was ever outside");
}

/// What the rows say is what judging all Team records at once says.
fn assert_judged(world: &World, device: usize, owners: &[SigningKey], rows: &[Row]) {
    for owner in owners {
        let replica = &world.network.nodes[world.teams[device]].replica;
        let records = replica.register().rows(&owner.tag().tag()).unwrap();
        let records: Vec<teams::TeamRecord> = records
            .iter()
            .map(|row| {
                let record = replica.register().record(&row.stamp.digest).unwrap();
                let record = js::Verified::of(&record.unwrap()).unwrap();
                teams::TeamRecord::of(&record).unwrap()
            })
            .collect();
        let judged = teams::judge(&records, None);
        for row in rows.iter().filter(|row| row.owner == owner.tag()) {
            let expected = match &judged {
                Err(_) => Standing::Unjudged,
                Ok(judged) => {
                    let counts = if row.is_team() {
                        judged.counts(&row.author, row.stamp.iat)
                    } else {
                        judged.solo_counts(row.stamp.iat)
                    };
                    if counts {
                        Standing::Counts
                    } else {
                        Standing::Void
                    }
                }
            };
            assert_eq!(row.standing, expected, "{row:?}");
        }
    }
}

#[test]
fn what_is_offered_reaches_native_sessions_and_is_acknowledged() {
    let mut network = Network::new(11, 2, &id(Kind::Mutable));
    network.connect(0, 1);
    rest(&mut network);
    let now = network.now;
    let record: Verified = note(Keys::Solo(&key(1)), "t", plain("x"), now).into();
    let older: Verified = note(Keys::Solo(&key(1)), "t", plain("w"), now - 1).into();
    let replica = &mut network.nodes[0].replica;
    let (ticket, taken) = replica
        .offer(now, &record, Origin::Pushed(SessionId(77)))
        .unwrap();
    assert_eq!(taken, Taken::New);
    let again = replica.offer(now, &record, Origin::Pushed(SessionId(77)));
    assert_eq!(again.unwrap().1, Taken::Known);
    let (_, taken) = replica.offer(now, &older, Origin::Written).unwrap();
    assert!(matches!(taken, Taken::Displaced(row) if row.hash == record.hash()));
    rest(&mut network);
    // The network drains a node when something happens at it.
    network.inject(0, &older);
    rest(&mut network);
    assert!(network.nodes[0].stored.contains(&ticket));
    assert_eq!(
        network.nodes[0].updates[0].origin,
        Origin::Pushed(SessionId(77))
    );
    assert_eq!(shown(&network, 1, "t").unwrap(), "x");
}
