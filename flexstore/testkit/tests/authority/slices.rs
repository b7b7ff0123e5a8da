//! More rows than are judged in one go: everything goes on in between.

use flexstore_core::authority::TeamRecord;
use flexstore_core::record::Content;
use flexstore_core::sync::{Input, Keys, Writing};
use flexstore_core::{CollectionId, Kind, Tag, Verified};
use flexstore_testkit::model::Teams;
use flexstore_testkit::network::Network;

use crate::arrival::{key, leaf, record};
use crate::checks::check_items;
use crate::world::Tally;

const NOW: u64 = 1_700_000_000_000;
/// Past two slices.
const TAGS: usize = 9000;

fn write(network: &mut Network, node: usize, tag: usize, author: u8, content: Content) -> bool {
    let writing = Writing::new(Tag::new(format!("tag {tag}")).unwrap(), content);
    let (owner, author) = (key(9), key(author));
    let keys = Keys::Member {
        owner: &owner,
        author: &author,
    };
    network.write(node, writing, keys).is_ok()
}

fn text(text: &str) -> Content {
    Content::Plain {
        payload: text.to_owned().into(),
        cty: None,
    }
}

#[test]
fn between_slices_records_come_and_go_and_devices_crash() {
    let id = CollectionId::new(Kind::Mutable, "slices").unwrap();
    let mut network = Network::new(1, 1, &id);
    let team_node = network.add_beside(0, &CollectionId::team());
    network.now = NOW;
    let first = record(9, 1, None, 10, &[leaf(1), leaf(2)], &[]);
    let without = record(9, 1, Some(&first), 9, &[leaf(1)], &[(2, 0)]);
    // Both are signed by the senior; the longer branch has nothing on the shorter, and the
    // digest decides. So whichever wins, it is one or the other for all rows.
    let records: Vec<Verified> = vec![
        record(9, 1, Some(&without), 8, &[leaf(1), leaf(3)], &[]),
        record(9, 1, Some(&first), 7, &[leaf(1), leaf(2), leaf(3)], &[]),
    ];
    let mut teams = Teams::new();
    let mut take = |network: &mut Network, record: &Verified| {
        teams.add(key(9).tag(), TeamRecord::of(record).unwrap());
        network.inject(team_node, record);
    };
    take(&mut network, &first);
    assert!(network.run(10_000));
    for tag in 0..TAGS {
        assert!(write(&mut network, 0, tag, 1, text("one")));
        if tag % 3 == 0 {
            assert!(write(&mut network, 0, tag, 2, Content::Tombstone));
        }
    }
    assert!(network.run(100_000));
    let (mut slices, mut next) = (0, records.iter());
    take(&mut network, &without);
    while network.step() || slices < 8 {
        if network.nodes[0].replica.next_timeout() != Some(0) {
            let Some(record) = next.next() else { break };
            take(&mut network, record);
            continue;
        }
        // Judging has begun and is not through: others have their turn.
        slices += 1;
        for tag in [0, 4000, 8999] {
            write(&mut network, 0, tag + slices, 1, text("two"));
            write(&mut network, 0, tag + slices, 3, Content::Tombstone);
        }
        match slices {
            2 => network.restart(0),
            3 => {
                if let Some(record) = next.next() {
                    take(&mut network, record);
                }
            }
            _ => {}
        }
        let now = network.clock(0);
        network.nodes[0].replica.handle(now, Input::Timeout);
    }
    assert!(network.run(100_000));
    assert!(slices > 3, "{slices} slices");
    let mut tally = Tally::default();
    let found = check_items(&network.nodes[0], &teams, &mut tally);
    assert_eq!(found, Ok(()));
}
