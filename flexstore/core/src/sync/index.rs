//! The set of a replica in memory: an order-statistic tree over ([`Stamp`]) with the sum of the
//! digests below every node, so that a range's fingerprint costs two paths and not the range.
//!
//! It takes inserts and removals at any time, and holds nothing but 40 bytes a record and its
//! nodes: tags and texts stay on disk.

use super::reconcile::put_varint;
use crate::Digest;
use crate::record::Stamp;

/// Stamps a leaf; 64 x 40 bytes keep a path at four nodes for a million records.
const LEAF: usize = 64;
/// Children an inner node.
const FAN: usize = 32;

/// A sum of digests modulo 2^256, little-endian limbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum([u64; 4]);

impl Sum {
    fn of(digest: &Digest) -> Self {
        let (limbs, _) = digest.as_bytes().as_chunks::<8>();
        Self(std::array::from_fn(|i| u64::from_le_bytes(limbs[i])))
    }

    fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first | second;
        }
    }

    fn negated(self) -> Self {
        let mut out = Self(self.0.map(|limb| !limb));
        out.add(Self([1, 0, 0, 0]));
        out
    }

    /// As negentropy has it: the hash of the little-endian sum and of the count.
    fn fingerprint(self, count: usize) -> Fingerprint {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        let mut varint = Vec::with_capacity(10);
        put_varint(&mut varint, count as u64);
        let hash = Digest::of_parts(&[&bytes, &varint]);
        let mut out = [0; 16];
        out.copy_from_slice(&hash.as_bytes()[..16]);
        out
    }
}

/// Stands for a set of digests: 16 bytes, equal for equal sets and for no others that anyone
/// could find.
pub type Fingerprint = [u8; 16];

enum Node {
    Leaf(Vec<Stamp>),
    Inner(Vec<Child>),
}

struct Child {
    /// Not greater than any stamp below, and greater than all in the children before.
    least: Stamp,
    count: usize,
    sum: Sum,
    node: Box<Node>,
}

impl Child {
    fn of(node: Node) -> Self {
        let (least, count, sum) = match &node {
            Node::Leaf(stamps) => {
                let mut sum = Sum::default();
                for stamp in stamps {
                    sum.add(Sum::of(&stamp.digest));
                }
                (stamps[0], stamps.len(), sum)
            }
            Node::Inner(children) => {
                let mut sum = Sum::default();
                for child in children {
                    sum.add(child.sum);
                }
                (
                    children[0].least,
                    children.iter().map(|child| child.count).sum(),
                    sum,
                )
            }
        };
        Self {
            least,
            count,
            sum,
            node: Box::new(node),
        }
    }

    /// The node's right half as a sibling, if it has grown past its room. Where the growth was at
    /// the end, as with ascending times, nearly everything stays left, so that leaves are full.
    fn split(&mut self, at_end: bool) -> Option<Self> {
        let cut = |len: usize| if at_end { len - 1 } else { len / 2 };
        let right = match &mut *self.node {
            Node::Leaf(stamps) if stamps.len() > LEAF => {
                let mut right = Vec::with_capacity(LEAF + 1);
                right.extend(stamps.drain(cut(stamps.len())..));
                Node::Leaf(right)
            }
            Node::Inner(children) if children.len() > FAN => {
                let mut right = Vec::with_capacity(FAN + 1);
                right.extend(children.drain(cut(children.len())..));
                Node::Inner(right)
            }
            _ => return None,
        };
        let right = Self::of(right);
        self.count -= right.count;
        self.sum.add(right.sum.negated());
        Some(right)
    }

    fn insert(&mut self, stamp: Stamp) -> bool {
        let inserted = match &mut *self.node {
            Node::Leaf(stamps) => match stamps.binary_search(&stamp) {
                Ok(_) => false,
                Err(at) => {
                    stamps.insert(at, stamp);
                    true
                }
            },
            Node::Inner(children) => {
                let at = position(children, &stamp);
                let inserted = children[at].insert(stamp);
                let at_end = at + 1 == children.len();
                if let Some(right) = children[at].split(at_end) {
                    children.insert(at + 1, right);
                }
                inserted
            }
        };
        if inserted {
            self.count += 1;
            self.sum.add(Sum::of(&stamp.digest));
            self.least = self.least.min(stamp);
        }
        inserted
    }

    fn remove(&mut self, stamp: &Stamp) -> bool {
        let removed = match &mut *self.node {
            Node::Leaf(stamps) => match stamps.binary_search(stamp) {
                Ok(at) => {
                    stamps.remove(at);
                    true
                }
                Err(_) => false,
            },
            Node::Inner(children) => {
                let at = position(children, stamp);
                let removed = children[at].remove(stamp);
                if children[at].count == 0 {
                    children.remove(at);
                } else if at > 0 {
                    merge(children, at - 1);
                } else if children.len() > 1 {
                    merge(children, 0);
                }
                removed
            }
        };
        if removed {
            self.count -= 1;
            self.sum.add(Sum::of(&stamp.digest).negated());
        }
        removed
    }

    /// The sum of the stamps at places `from..to` below this node.
    fn sum(&self, from: usize, to: usize) -> Sum {
        if from == 0 && to == self.count {
            return self.sum;
        }
        let mut total = Sum::default();
        match &*self.node {
            Node::Leaf(stamps) => {
                for stamp in &stamps[from..to] {
                    total.add(Sum::of(&stamp.digest));
                }
            }
            Node::Inner(children) => each(children, from, to, |child, from, to| {
                total.add(child.sum(from, to));
                true
            }),
        }
        total
    }

    fn visit(&self, from: usize, to: usize, visit: &mut dyn FnMut(Stamp) -> bool) -> bool {
        match &*self.node {
            Node::Leaf(stamps) => stamps[from..to].iter().all(|stamp| visit(*stamp)),
            Node::Inner(children) => {
                let mut going = true;
                each(children, from, to, |child, from, to| {
                    going = child.visit(from, to, visit);
                    going
                });
                going
            }
        }
    }

    /// How many stamps below are less.
    fn rank(&self, stamp: &Stamp) -> usize {
        match &*self.node {
            Node::Leaf(stamps) => stamps.partition_point(|other| other < stamp),
            Node::Inner(children) => {
                let at = position(children, stamp);
                let before: usize = children[..at].iter().map(|child| child.count).sum();
                before + children[at].rank(stamp)
            }
        }
    }
}

fn position(children: &[Child], stamp: &Stamp) -> usize {
    children
        .partition_point(|child| child.least <= *stamp)
        .saturating_sub(1)
}

/// Joins two neighbours that fit into three quarters of one, so that removals give memory back.
fn merge(children: &mut Vec<Child>, left: usize) {
    let fits = match (&*children[left].node, &*children[left + 1].node) {
        (Node::Leaf(a), Node::Leaf(b)) => a.len() + b.len() <= LEAF * 3 / 4,
        (Node::Inner(a), Node::Inner(b)) => a.len() + b.len() <= FAN * 3 / 4,
        _ => false,
    };
    if !fits {
        return;
    }
    let right = children.remove(left + 1);
    let into = &mut children[left];
    into.count += right.count;
    into.sum.add(right.sum);
    match (&mut *into.node, *right.node) {
        (Node::Leaf(a), Node::Leaf(b)) => a.extend(b),
        (Node::Inner(a), Node::Inner(b)) => a.extend(b),
        _ => {}
    }
}

/// Calls for each child that overlaps `from..to`, with the overlap in the child's own places.
fn each<'a>(
    children: &'a [Child],
    from: usize,
    to: usize,
    mut call: impl FnMut(&'a Child, usize, usize) -> bool,
) {
    let mut start = 0;
    for child in children {
        let end = start + child.count;
        if end > from && !call(child, from.max(start) - start, to.min(end) - start) {
            return;
        }
        if end >= to {
            return;
        }
        start = end;
    }
}

/// A sorted set of stamps.
pub struct Index {
    root: Option<Child>,
}

impl Index {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: None }
    }

    /// Of stamps in any order; faster than inserting one by one.
    #[must_use]
    pub fn build(mut stamps: Vec<Stamp>) -> Self {
        stamps.sort_unstable();
        stamps.dedup();
        // Leaves are left with a little room, since new records fall between old ones too.
        let mut level: Vec<Child> = stamps
            .chunks(LEAF * 7 / 8)
            .map(|chunk| {
                let mut leaf = Vec::with_capacity(LEAF + 1);
                leaf.extend_from_slice(chunk);
                Child::of(Node::Leaf(leaf))
            })
            .collect();
        while level.len() > 1 {
            let mut rest = level.into_iter().peekable();
            let mut above = Vec::new();
            while rest.peek().is_some() {
                above.push(Child::of(Node::Inner(
                    rest.by_ref().take(FAN * 7 / 8).collect(),
                )));
            }
            level = above;
        }
        Self { root: level.pop() }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.count)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a stamp; `false` if it is there.
    pub fn insert(&mut self, stamp: Stamp) -> bool {
        let Some(root) = &mut self.root else {
            let mut leaf = Vec::with_capacity(LEAF + 1);
            leaf.push(stamp);
            self.root = Some(Child::of(Node::Leaf(leaf)));
            return true;
        };
        let inserted = root.insert(stamp);
        if let Some(right) = root.split(true)
            && let Some(left) = self.root.take()
        {
            self.root = Some(Child::of(Node::Inner(vec![left, right])));
        }
        inserted
    }

    /// Takes a stamp out; `false` if it is not there.
    pub fn remove(&mut self, stamp: &Stamp) -> bool {
        let Some(root) = &mut self.root else {
            return false;
        };
        let removed = root.remove(stamp);
        if root.count == 0 {
            self.root = None;
        } else if let Node::Inner(children) = &mut *root.node
            && children.len() == 1
            && let Some(only) = children.pop()
        {
            self.root = Some(only);
        }
        removed
    }

    /// Whether the stamp is there.
    #[must_use]
    pub fn contains(&self, stamp: &Stamp) -> bool {
        self.get(self.rank(stamp)) == Some(*stamp)
    }

    /// How many stamps are less.
    #[must_use]
    pub fn rank(&self, stamp: &Stamp) -> usize {
        self.root.as_ref().map_or(0, |root| root.rank(stamp))
    }

    /// The stamp at a place in the order.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Stamp> {
        let mut found = None;
        if at < self.len() {
            self.visit(at, at + 1, &mut |stamp| {
                found = Some(stamp);
                false
            });
        }
        found
    }

    /// Visits the places `from..to` in order until the visitor answers `false`.
    pub fn visit(&self, from: usize, to: usize, visit: &mut dyn FnMut(Stamp) -> bool) {
        if let Some(root) = &self.root
            && from < to
            && to <= root.count
        {
            root.visit(from, to, visit);
        }
    }

    /// The fingerprint of the stamps at places `from..to`.
    #[must_use]
    pub fn fingerprint(&self, from: usize, to: usize) -> Fingerprint {
        let sum = match &self.root {
            Some(root) if from < to && to <= root.count => root.sum(from, to),
            _ => Sum::default(),
        };
        sum.fingerprint(to.saturating_sub(from))
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn stamp(n: u32) -> Stamp {
        // Few times and many digests, so that both halves of the order matter.
        Stamp {
            iat: u64::from(n % 97),
            digest: Digest::of(&n.to_le_bytes()),
        }
    }

    fn same(index: &Index, model: &BTreeSet<Stamp>) {
        assert_eq!(index.len(), model.len());
        let n = model.len();
        for (from, to) in [(0, n), (n / 3, n), (n / 4, n / 2), (0, n / 5), (n, n)] {
            let mut sum = Sum::default();
            for stamp in model.iter().skip(from).take(to - from) {
                sum.add(Sum::of(&stamp.digest));
            }
            let expected = sum.fingerprint(to - from);
            assert_eq!(index.fingerprint(from, to), expected, "{from}..{to} of {n}");
        }
        for (place, stamp) in model.iter().enumerate() {
            assert_eq!(index.rank(stamp), place);
            assert_eq!(index.get(place), Some(*stamp));
        }
        assert_eq!(index.get(n), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn agrees_with_a_sorted_set(
            start in 0u32..3000,
            steps in prop::collection::vec((any::<bool>(), 0u32..4000), 0..3000),
        ) {
            let mut model: BTreeSet<Stamp> = (0..start).map(stamp).collect();
            let mut index = Index::build(model.iter().copied().collect());
            same(&index, &model);
            for (add, n) in steps {
                let stamp = stamp(n);
                if add {
                    prop_assert_eq!(index.insert(stamp), model.insert(stamp));
                } else {
                    prop_assert_eq!(index.remove(&stamp), model.remove(&stamp));
                }
                prop_assert_eq!(index.contains(&stamp), add);
            }
            same(&index, &model);
            for stamp in model.iter().copied().collect::<Vec<_>>() {
                prop_assert!(index.remove(&stamp));
            }
            prop_assert!(index.is_empty());
        }
    }
}
