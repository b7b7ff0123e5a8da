//! A handful of Team records and items, in every order in which they can come.

use std::collections::BTreeMap;

use flexstore_core::authority::{Member, TeamRecord};
use flexstore_core::record::{Content, Draft};
use flexstore_core::register::Selection;
use flexstore_core::sync::{Keys, WriteError, Writing};
use flexstore_core::{CollectionId, Digest, KeyTag, Kind, SigningKey, Tag, Verified};
use flexstore_testkit::model::Teams;
use flexstore_testkit::network::Network;

use crate::checks::check_items;
use crate::world::{Tally, content, roster};

const NOW: u64 = 1_700_000_000_000;

pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

pub(crate) fn leaf(n: u8) -> Member {
    Member::leaf(key(n).tag())
}

/// A Team record, so many ms before now.
pub(crate) fn record(
    team: u8,
    author: u8,
    ant: Option<&Verified>,
    before: u64,
    members: &[Member],
    until: &[(u8, u64)],
) -> Verified {
    let until = until.iter().map(|(n, ms)| (key(*n).tag(), *ms)).collect();
    let draft = Draft {
        collection: CollectionId::team(),
        tag: key(team).tag().tag(),
        content: content(&roster(members.to_vec(), until)),
        ant: ant.map(Verified::digest),
        iat: NOW - before,
    };
    draft.sign_for(&key(team), &key(author)).unwrap()
}

fn id(kind: Kind) -> CollectionId {
    CollectionId::new(kind, "arrival").unwrap()
}

/// An item or, without a word, a tombstone; by the team's key alone, if the author is the team.
fn item(kind: Kind, team: u8, author: u8, before: u64, word: Option<&str>) -> Verified {
    let text = |word: &str| Content::Plain {
        payload: word.to_owned().into(),
        cty: None,
    };
    let draft = Draft {
        collection: id(kind),
        tag: match kind {
            Kind::Immutable => Digest::of(b"word").tag(),
            _ => Tag::new("name").unwrap(),
        },
        content: match (kind, word) {
            (_, None) => Content::Tombstone,
            // One content, so that there is something to contend for.
            (Kind::Immutable, Some(_)) => text("word"),
            (_, Some(word)) => text(word),
        },
        ant: None,
        iat: NOW - before,
    };
    let record = if team == author {
        draft.sign(&key(team))
    } else {
        draft.sign_for(&key(team), &key(author))
    };
    record.unwrap()
}

fn every_order(of: &[Verified]) -> Vec<Vec<Verified>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let one = |at: usize| {
        let mut rest = of.to_vec();
        let one = rest.remove(at);
        let orders = every_order(&rest).into_iter();
        orders.map(move |order| [&[one.clone()][..], &order[..]].concat())
    };
    (0..of.len()).flat_map(one).collect()
}

/// Holds a device against the model after every record, and the ends against each other.
fn all_orders_show_what_the_words_say(kind: Kind, records: &[Verified], pin: Option<&Verified>) {
    let mut ends = BTreeMap::new();
    for order in every_order(records) {
        let mut network = Network::new(1, 1, &id(kind));
        network.now = NOW;
        let team_node = network.add_beside(0, &CollectionId::team());
        let mut teams = Teams::new();
        if let Some(pin) = pin {
            let (team, pin) = (pin.header().owner, pin.digest());
            network.pin(team_node, &team, &pin);
            teams.pin(team, pin);
        }
        for record in &order {
            let header = record.header();
            if header.collection.is_team() {
                teams.add(header.owner, TeamRecord::of(record).unwrap());
                network.inject(team_node, record);
            } else {
                network.inject(0, record);
            }
            assert!(network.run(1000));
            let found = check_items(&network.nodes[0], &teams, &mut Tally::default());
            assert_eq!(found, Ok(()), "{kind:?} {order:?}");
        }
        let index = network.nodes[0].replica.index();
        ends.insert(index.fingerprint(0, index.len()), order);
    }
    assert_eq!(ends.len(), 1, "{ends:?}");
}

const KINDS: [Kind; 3] = [Kind::Immutable, Kind::Mutable, Kind::Versioned];

#[test]
fn two_members_remove_each_other() {
    for (kind, until) in KINDS
        .into_iter()
        .flat_map(|kind| [(kind, 0), (kind, NOW - 6)])
    {
        let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
        let records = [
            record(9, 1, Some(&first), 5, &[leaf(1)], &[(2, until)]),
            record(9, 2, Some(&first), 6, &[leaf(2)], &[(1, until)]),
            item(kind, 9, 1, 7, Some("one")),
            item(kind, 9, 2, 4, Some("two")),
            item(kind, 9, 2, 3, None),
            first,
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
    }
}

#[test]
fn an_ex_member_forks_below_its_removal_and_adds_itself_again() {
    for kind in KINDS {
        let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
        let removal = record(9, 1, Some(&first), 8, &[leaf(1)], &[]);
        let records = [
            record(9, 2, Some(&first), 9, &[leaf(2), leaf(1)], &[]),
            record(9, 2, Some(&removal), 7, &[leaf(1), leaf(2)], &[]),
            item(kind, 9, 2, 6, None),
            item(kind, 9, 1, 7, Some("one")),
            removal,
            first,
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
    }
}

#[test]
fn a_rival_first_record_and_a_pin() {
    for kind in KINDS {
        let first = record(9, 1, None, 10, &[leaf(1)], &[]);
        let records = [
            record(9, 2, None, 11, &[leaf(2)], &[]),
            item(kind, 9, 1, 8, Some("one")),
            item(kind, 9, 2, 7, None),
            item(kind, 9, 9, 6, None),
            first.clone(),
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
        all_orders_show_what_the_words_say(kind, &records, Some(&first));
    }
}

#[test]
fn a_phone_is_removed_from_a_person_within_a_team() {
    for kind in KINDS {
        let person = record(8, 1, None, 20, &[leaf(1), leaf(2)], &[]);
        let entry = |record: &Verified| Member {
            tag: key(8).tag(),
            record: Some(record.digest()),
        };
        let team = record(9, 3, None, 15, &[leaf(3), entry(&person)], &[]);
        let removal = record(8, 1, Some(&person), 10, &[leaf(1)], &[(2, 0)]);
        let records = [
            record(9, 1, Some(&team), 9, &[leaf(3), entry(&removal)], &[]),
            record(9, 2, Some(&team), 8, &[leaf(2)], &[]),
            item(kind, 9, 2, 7, None),
            person,
            team,
            removal,
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
    }
}

#[test]
fn a_teams_key_alone_deletes_nothing_of_its_members() {
    for kind in KINDS {
        let records = [
            record(9, 1, None, 10, &[leaf(1)], &[]),
            item(kind, 9, 1, 9, Some("one")),
            item(kind, 9, 9, 8, Some("two")),
            item(kind, 9, 9, 7, None),
            item(kind, 9, 9, 6, Some("three")),
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
        // So a relay that has no Team records keeps the member's item.
        let mut network = Network::new(1, 1, &id(kind));
        records[1..]
            .iter()
            .for_each(|record| network.inject(0, record));
        assert!(network.run(1000));
        let index = network.nodes[0].replica.index();
        assert!(index.contains(&records[1].stamp()), "{kind:?}");
    }
}

#[test]
fn a_write_that_failed_does_not_come_with_a_team_record() {
    let mut network = Network::new(1, 1, &id(Kind::Immutable));
    network.now = NOW;
    let team_node = network.add_beside(0, &CollectionId::team());
    let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
    network.inject(team_node, &first);
    network.inject(0, &item(Kind::Immutable, 9, 2, 4, None));
    assert!(network.run(1000));
    let word = Content::Plain {
        payload: "word".into(),
        cty: None,
    };
    let writing = Writing::new(Digest::of(b"word").tag(), word);
    let (owner, author) = (key(9), key(1));
    let keys = Keys::Member {
        owner: &owner,
        author: &author,
    };
    let written = network.write(0, writing, keys);
    assert!(matches!(written, Err(WriteError::Deleted)));
    // The tombstone is undone.
    network.inject(
        team_node,
        &record(9, 1, Some(&first), 3, &[leaf(1)], &[(2, 0)]),
    );
    assert!(network.run(1000));
    let register = network.nodes[0].replica.register();
    let owner: Option<KeyTag> = Some(owner.tag());
    let shown = register.find(&Digest::of(b"word").tag(), owner, Selection::Latest);
    assert_eq!(shown.unwrap(), None);
}

#[test]
fn what_a_start_displaces_rests_from_then_on() {
    let mut network = Network::new(1, 1, &id(Kind::Mutable));
    network.now = NOW;
    let team_node = network.add_beside(0, &CollectionId::team());
    let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
    let removal = record(9, 1, Some(&first), 8, &[leaf(1)], &[(2, 0)]);
    let undone = record(9, 2, Some(&first), 9, &[leaf(2)], &[(1, 0)]);
    network.inject(team_node, &first);
    network.inject(team_node, &undone);
    let (item, tombstone) = (
        item(Kind::Mutable, 9, 2, 7, Some("one")),
        item(Kind::Mutable, 9, 1, 6, None),
    );
    network.inject(0, &item);
    network.inject(0, &tombstone);
    assert!(network.run(1000));
    let set = |network: &Network| {
        let index = network.nodes[0].replica.index();
        [&item, &tombstone].map(|record| index.contains(&record.stamp()))
    };
    assert_eq!(
        set(&network),
        [true, true],
        "the junior's branch is all there is"
    );
    // The store has the senior's branch, and crashes before anybody is told.
    network.inject(team_node, &removal);
    network.restart(0);
    assert!(network.run(1000));
    assert_eq!(set(&network), [false, true]);
    let resting = network.nodes[0].replica.register().resting(&item.digest());
    assert!(resting.unwrap().unwrap().since >= NOW);
    let later = network.now + 1;
    assert_eq!(network.nodes[0].replica.free_rested(later).unwrap(), 0);
}

#[test]
fn until_0_is_final_also_for_one_who_is_added_again() {
    for kind in KINDS {
        let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
        let removal = record(9, 1, Some(&first), 8, &[leaf(1)], &[(2, 0)]);
        let records = [
            record(9, 1, Some(&removal), 7, &[leaf(1), leaf(2)], &[]),
            item(kind, 9, 2, 9, Some("one")),
            item(kind, 9, 2, 6, None),
            removal,
            first,
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
    }
}

#[test]
fn what_a_removed_key_signed_later_displaces_nothing_of_what_it_signed_before() {
    for kind in KINDS {
        let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
        let records = [
            item(kind, 9, 2, 8, Some("before")),
            item(kind, 9, 2, 5, Some("after")),
            item(kind, 9, 2, 4, None),
            record(9, 1, Some(&first), 6, &[leaf(1)], &[(2, NOW - 7)]),
            first,
        ];
        all_orders_show_what_the_words_say(kind, &records, None);
    }
}
