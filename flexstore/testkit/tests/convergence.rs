//! Random histories of five replicas end in equal sets and equal readings.
//!
//! Every other collection is of the js profile: its nodes write native records, and others hand
//! them records of the JavaScript original, of states and of tombstones of either.
//!
//! `HISTORIES` says how many (200), `SEED` from which seed on (1). A failing seed is printed and
//! replays alone with `HISTORIES=1 SEED=n`.

#![allow(clippy::unwrap_used, clippy::panic)] // a test

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use flexstore_core::record::{Content, Draft, js};
use flexstore_core::register::{ReadError, Selection};
use flexstore_core::sync::{Keys, Writing};
use flexstore_core::{CollectionId, Digest, Kind, Profile, SigningKey, Tag, Verified};
use flexstore_testkit::network::Network;

const NODES: usize = 5;
/// Keeps every text, so that what others archive can still spread.
const ARCHIVE: usize = 0;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn random_histories_converge() {
    let (histories, seed) = (number("HISTORIES", 200), number("SEED", 1));
    let mut tally = Tally::default();
    for seed in seed..seed + histories {
        if let Err(what) = history(seed, &mut tally) {
            panic!("{what}; replay with HISTORIES=1 SEED={seed}");
        }
    }
    // A history that does nothing would prove nothing.
    assert!(tally.written > histories && tally.removed > histories / 4 && tally.refused > 0);
    assert!(tally.foreign > histories && tally.states_deleted > histories / 20);
    println!(
        "{{\"accept\":\"convergence/histories\",\"figure\":{histories},\"unit\":\"histories\",\
         \"seed\":{seed},\"writes\":{},\"removals\":{},\"restarts\":{},\"refusals\":{},\
         \"archived\":{},\"javascript\":{},\"differences\":0,\"held\":true}}",
        tally.written, tally.removed, tally.restarts, tally.refused, tally.archived, tally.foreign
    );
}

#[derive(Default)]
struct Tally {
    written: u64,
    removed: u64,
    restarts: u64,
    refused: u64,
    archived: u64,
    /// Records of the original.
    foreign: u64,
    states_deleted: u64,
}

struct People {
    solo: Vec<SigningKey>,
    team: SigningKey,
}

fn history(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let kind = [Kind::Immutable, Kind::Mutable, Kind::Versioned][(seed % 3) as usize];
    let mut id = CollectionId::new(kind, "history").map_err(|e| e.to_string())?;
    if seed / 3 % 2 == 1 {
        id = id.javascript();
    }
    let people = People {
        solo: (1..=3).map(|n| SigningKey::from_seed(&[n; 32])).collect(),
        team: SigningKey::from_seed(&[9; 32]),
    };
    let mut network = Network::new(seed, NODES, &id);
    for node in 0..NODES {
        // Some clocks are right, some a little off, some further than is let in at once.
        let skew = [0, 0, 1000, -200_000, 700_000][network.below(5) as usize];
        network.nodes[node].skew = skew;
    }
    for _ in 0..30 + network.below(40) {
        act(&mut network, &id, &people, tally);
        for _ in 0..network.below(12) {
            network.step();
        }
    }
    // Partitions heal: everyone meets everyone, until nothing more happens.
    for a in 0..NODES {
        for b in 0..a {
            if !network.connected(a, b) {
                network.connect(a, b);
            }
        }
    }
    if !network.run(200_000) {
        return Err("does not come to rest".into());
    }
    // What was refused as too new is let in once its time has come; then all compare once more.
    network.now += 3_600_000;
    for node in 0..NODES {
        network.nodes[node].skew = 0;
        network.restart(node);
    }
    for a in 0..NODES {
        for b in 0..a {
            network.connect(a, b);
        }
    }
    if !network.run(200_000) {
        return Err("does not come to rest at the end".into());
    }
    tally.refused += network
        .nodes
        .iter()
        .map(|node| node.refused.len() as u64)
        .sum::<u64>();
    if let Some(node) = network.nodes.iter().find(|node| !node.closed.is_empty()) {
        return Err(format!("honest nodes closed: {:?}", node.closed));
    }
    compare(&network)
}

fn act(network: &mut Network, id: &CollectionId, people: &People, tally: &mut Tally) {
    let node = network.below(NODES as u64) as usize;
    let who = network.below(5) as usize;
    let keys = match who {
        0..3 => Keys::Solo(&people.solo[who]),
        _ => Keys::Member {
            owner: &people.team,
            author: &people.solo[who - 3],
        },
    };
    let word = format!("word {}", network.below(4));
    let content = Content::Plain {
        payload: word.clone().into(),
        cty: Some("text/plain".into()),
    };
    let tag = match id.kind() {
        Kind::Immutable => flexstore_core::Digest::of(word.as_bytes()).tag(),
        _ => Tag::new(format!("tag {}", network.below(3))).unwrap(),
    };
    match network.below(20) {
        0..=7 => {
            let result = network.write(node, Writing::new(tag, content), keys);
            tally.written += u64::from(result.is_ok());
        }
        8..=10 => {
            let content = Content::Tombstone;
            let result = network.write(node, Writing::new(tag, content), keys);
            tally.removed += u64::from(result.is_ok());
        }
        // Somebody else's software: any time, equal times, times ahead.
        11 | 12 => {
            tally.foreign += u64::from(id.profile() == Profile::JavaScript);
            for _ in 0..if id.profile() == Profile::JavaScript {
                4
            } else {
                0
            } {
                let record = original(network, id, &tag, &content, keys, tally);
                network.inject(node, &record);
            }
            let ahead = [0, 0, 1, 1000, 299_000, 301_000][network.below(6) as usize];
            let iat = network.now / 10_000 * 10_000 + ahead;
            let content = if network.below(3) == 0 {
                Content::Tombstone
            } else {
                content
            };
            let draft = Draft {
                collection: id.clone(),
                tag,
                content,
                ant: None,
                iat,
            };
            let record = match keys {
                Keys::Solo(key) => draft.sign(key),
                Keys::Member { owner, author } => draft.sign_for(owner, author),
            };
            network.inject(node, &record.unwrap());
        }
        13..=15 => {
            let other = network.below(NODES as u64) as usize;
            if node != other && !network.connected(node, other) {
                network.connect(node, other);
            }
        }
        16 => network.disconnect_one(),
        17 => {
            network.restart(node);
            tally.restarts += 1;
        }
        18 if node != ARCHIVE => {
            // An app archives only what somebody else holds.
            let before = network.now - network.below(100_000);
            let held = network.nodes[ARCHIVE].replica.index();
            let mut all_held = true;
            let mine = network.nodes[node].replica.index();
            mine.visit(0, mine.len(), &mut |stamp| {
                all_held &= stamp.iat >= before || held.contains(&stamp);
                all_held
            });
            if all_held && let Ok((_, count)) = network.nodes[node].replica.archive(before) {
                tally.archived += count as u64;
            }
        }
        _ => network.now += network.below(100_000),
    }
}

/// A record as the original writes it.
fn original(
    network: &mut Network,
    id: &CollectionId,
    tag: &Tag,
    content: &Content,
    keys: Keys<'_>,
    tally: &mut Tally,
) -> Verified {
    let iat = network.now / 10_000 * 10_000 + network.below(3);
    // Few times, so that the same states come and go.
    let old = 1_700_000_000_000 + network.below(3);
    let deletes = network.below(3) == 0;
    let content = if deletes {
        Content::Tombstone
    } else {
        content.clone()
    };
    let versioned = id.kind() == Kind::Versioned;
    let of_state = versioned && (!deletes || network.below(3) > 0);
    let shelf = if of_state {
        js::Shelf::states(id.clone())
    } else {
        js::Shelf::items(id.clone())
    };
    let mut draft = js::Draft::new(shelf, tag.clone(), content.clone(), iat);
    if of_state {
        let word = format!("word {}", network.below(4));
        let state = Digest::of_parts(&[word.as_bytes(), old.to_string().as_bytes()]);
        draft.ant = (deletes || network.below(2) == 0).then_some(state);
        draft.iat = if deletes { iat } else { old };
        tally.states_deleted += u64::from(deletes);
    }
    let signed = match keys {
        Keys::Solo(key) => draft.sign(key),
        Keys::Member { owner, author } => draft.sign_for(owner, author),
    };
    signed.unwrap().into()
}

/// What an app would see: of every tag, for every owner and for nobody in particular.
fn readings(network: &Network, node: usize) -> BTreeMap<String, String> {
    let register = network.nodes[node].replica.register();
    let mut out = BTreeMap::new();
    let mut rows = Vec::new();
    register
        .each(&mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    for row in rows {
        for owner in [None, Some(row.owner)] {
            let shown = match register.find(&row.tag, owner, Selection::Latest) {
                Ok(found) => format!("{:?}", found.map(|row| (row.stamp, row.author))),
                Err(ReadError::Storage(error)) => panic!("{error}"),
                Err(error) => format!("{error:?}"),
            };
            out.insert(format!("{} {owner:?}", row.tag), shown);
        }
        let versions = register.versions(&row.tag, Some(row.owner)).unwrap();
        out.insert(
            format!("{} {}", row.tag, row.owner),
            format!("{:?}", versions.timestamps()),
        );
    }
    out.insert("tags".into(), format!("{:?}", register.tags().unwrap()));
    out
}

fn compare(network: &Network) -> Result<(), String> {
    let rows = |node: usize| {
        let mut rows = Vec::new();
        let register = network.nodes[node].replica.register();
        register
            .each(&mut |row| {
                rows.push(format!(
                    "{} {} {} {:?} dead {} archived {}",
                    row.tag, row.owner, row.author, row.stamp, row.tombstone, row.archived
                ));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    };
    let whole = |node: usize| {
        let index = network.nodes[node].replica.index();
        (index.len(), index.fingerprint(0, index.len()))
    };
    let first = readings(network, 0);
    for node in 1..NODES {
        if whole(0) != whole(node) {
            return Err(format!(
                "sets differ: {:#?} and, at {node}, {:#?}",
                rows(0),
                rows(node)
            ));
        }
        let other = readings(network, node);
        if first != other {
            return Err(format!(
                "readings differ: {first:#?} and, at {node}, {other:#?}"
            ));
        }
    }
    Ok(())
}
