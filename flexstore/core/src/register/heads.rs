//! Which versions of a subject are its heads, where JavaScript originals write some of them.
//!
//! In the original every merge of two lists writes the versions anew on top of each other, with
//! their times and under other tags: it **replays** them. A list of all heads would make its
//! clients merge for ever: what one has replayed is a head beside what another has. So a head is
//! left out whose time occurs in the chain of a deeper one. Where the payloads are sealed that is
//! all that can be seen, and it is the same everywhere.

use std::collections::BTreeMap;

use super::Row;
use crate::{Digest, KeyTag};

/// The heads of one owner's versions, as a root lists them: in the order of their tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// The state tags; empty if there is no version.
    pub list: Vec<Digest>,
    /// The greatest time of a listed one, in milliseconds since 1970.
    pub iat: u64,
    /// Whether members of a team wrote them.
    pub team: bool,
}

struct Node {
    iat: u64,
    ant: Option<Digest>,
    team: bool,
    /// Versions below it, itself included; 0 until it is known.
    depth: usize,
    /// The deepest head above it.
    top: Option<(usize, Digest)>,
}

impl Heads {
    /// Of the rows of a subject that count and are the owner's. The order of the rows does not
    /// matter; takes time in proportion to their number, and its logarithm.
    #[must_use]
    pub fn of(rows: &[Row], owner: &KeyTag) -> Self {
        let mut nodes: BTreeMap<Digest, Node> = BTreeMap::new();
        let mut versions: Vec<&Row> = rows
            .iter()
            .filter(|row| row.owner == *owner && row.counts() && !row.tombstone)
            .collect();
        // One state may stand in several records; the first is taken.
        versions.sort_unstable_by_key(|row| row.stamp);
        for row in versions {
            let Some(state) = row.state else { continue };
            nodes.entry(state).or_insert(Node {
                iat: row.stamp.iat,
                ant: row.ant,
                team: row.is_team(),
                depth: 0,
                top: None,
            });
        }
        let deepest_first = measure(&mut nodes);
        // From the heads down: each version learns of the deepest head above it.
        for state in &deepest_first {
            let Some(node) = nodes.get_mut(state) else {
                continue;
            };
            let top = *node.top.get_or_insert((node.depth, *state));
            let below = node.ant.and_then(|ant| nodes.get_mut(&ant));
            if let Some(below) = below {
                below.top = below.top.max(Some(top));
            }
        }
        let mut deepest: BTreeMap<u64, (usize, Digest)> = BTreeMap::new();
        for node in nodes.values() {
            if let Some(top) = node.top {
                let at = deepest.entry(node.iat).or_insert(top);
                *at = top.max(*at);
            }
        }
        let mut heads = Self::default();
        for (state, node) in &nodes {
            let own = (node.depth, *state);
            if node.top == Some(own) && deepest.get(&node.iat) == Some(&own) {
                heads.list.push(*state);
                heads.iat = heads.iat.max(node.iat);
                heads.team |= node.team;
            }
        }
        heads
    }
}

/// Gives each its depth, and lists them by it, the deepest first. What follows a version that is
/// not here is as deep as what is here below it.
fn measure(nodes: &mut BTreeMap<Digest, Node>) -> Vec<Digest> {
    let states: Vec<Digest> = nodes.keys().copied().collect();
    let mut order = Vec::with_capacity(states.len());
    for state in states {
        let mut path = Vec::new();
        let mut next = Some(state);
        let mut depth = 0;
        while let Some(at) = next {
            match nodes.get(&at) {
                // A tag is a hash of the one below, so no path comes back to itself.
                Some(node) if node.depth == 0 && path.len() <= nodes.len() => {
                    path.push(at);
                    next = node.ant;
                }
                Some(node) => {
                    depth = node.depth;
                    break;
                }
                None => break,
            }
        }
        for at in path.into_iter().rev() {
            depth += 1;
            if let Some(node) = nodes.get_mut(&at) {
                node.depth = depth;
                order.push((depth, at));
            }
        }
    }
    order.sort_unstable_by(|a, b| b.cmp(a));
    order.into_iter().map(|(_, state)| state).collect()
}
