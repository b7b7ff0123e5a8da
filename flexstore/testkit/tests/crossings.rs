//! Several stores that pass on what they are given, as relays among themselves do: each record
//! crosses each link at most once each way, whatever runs at the same time.

#![allow(clippy::unwrap_used)] // a test

use flexstore_core::record::Content;
use flexstore_core::sync::{Keys, Writing};
use flexstore_core::wire::CloseReason;
use flexstore_core::{CollectionId, Kind, SigningKey, Tag};
use flexstore_testkit::network::Network;

fn write(network: &mut Network, node: usize, name: &str) {
    let key = SigningKey::from_seed(&[node as u8 + 1; 32]);
    let content = Content::Plain {
        payload: name.to_owned().into(),
        cty: None,
    };
    let writing = Writing::new(Tag::new(name).unwrap(), content);
    network.write(node, writing, Keys::Solo(&key)).unwrap();
}

fn converged(network: &Network, records: usize) -> bool {
    let whole = |node: usize| {
        let index = network.nodes[node].replica.index();
        (index.len(), index.fingerprint(0, index.len()))
    };
    (0..network.nodes.len()).all(|node| whole(node) == whole(0)) && whole(0).0 == records
}

/// Writers at every node before, while and after the links come up.
fn tumult(seed: u64, count: usize, links: &[(usize, usize)]) -> Network {
    let id = CollectionId::new(Kind::Mutable, "crossings").unwrap();
    let mut network = Network::new(seed, count, &id);
    let mut written = 0;
    let mut one = |network: &mut Network| {
        let node = network.below(count as u64) as usize;
        written += 1;
        write(network, node, &format!("{written}"));
    };
    for _ in 0..40 {
        one(&mut network);
    }
    for &(from, to) in links {
        network.connect(from, to);
        for _ in 0..network.below(30) {
            network.step();
            if network.below(3) == 0 {
                one(&mut network);
            }
        }
    }
    for _ in 0..200 {
        network.step();
        if network.below(4) == 0 {
            one(&mut network);
        }
    }
    assert!(network.run(100_000), "seed {seed}: never quiet");
    assert!(converged(&network, written), "seed {seed}");
    network
}

#[test]
fn each_record_crosses_each_link_at_most_once_each_way() {
    type Shape = (&'static str, usize, &'static [(usize, usize)]);
    let shapes: [Shape; 4] = [
        ("pair", 2, &[(0, 1)]),
        ("chain", 4, &[(0, 1), (2, 1), (3, 2)]),
        ("ring", 3, &[(0, 1), (1, 2), (2, 0)]),
        ("star", 5, &[(0, 4), (1, 4), (4, 2), (4, 3)]),
    ];
    for seed in 0..60 {
        for (name, count, links) in shapes {
            let network = tumult(seed, count, links);
            let most = network.crossings.iter().max_by_key(|(_, times)| **times);
            let (crossing, times) = most.unwrap();
            assert_eq!(*times, 1, "{name}, seed {seed}: {crossing:?}");
        }
    }
}

#[test]
fn two_that_dial_each_other_keep_one_session() {
    for seed in 0..60 {
        let network = tumult(seed, 2, &[(0, 1), (1, 0)]);
        let closed: Vec<CloseReason> = network
            .nodes
            .iter()
            .flat_map(|node| node.closed.clone())
            .collect();
        assert!(!closed.is_empty(), "seed {seed}");
        assert!(closed.iter().all(|reason| *reason == CloseReason::Known));
        assert!(network.connected(0, 1), "seed {seed}: one stays");
    }
}
