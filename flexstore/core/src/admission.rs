//! Which record displaces which.
//!
//! One relation decides everything: *a displaces b*, for two records of one tag and one owner. It
//! is a strict partial order (transitive, and nothing displaces itself), and it looks at nothing
//! but the two records. So the records that nothing displaces are the same whatever the order in
//! which they came, and whoever was displaced may be forgotten. The property tests show both.
//!
//! | kind | a displaces b, where |
//! |---|---|
//! | all | both are by members of a team, or both by the owner's key alone; and a counts, or neither does and both are of one author |
//! | immutable | a is a tombstone and b an item; or, of one author, both are items or both tombstones and a is earlier |
//! | mutable | a is later, and is a tombstone, or of the same author |
//! | versioned | a is a tombstone and later; under the js profile a tombstone may name one state, and displaces that alone, whatever its time, and later tombstones of it by the same author |
//!
//! Only what is verified is admitted:
//!
//! ```
//! # use flexstore_core::sync::{Input, SessionId};
//! # use flexstore_core::wire::Checked;
//! fn received(session: SessionId, records: Vec<flexstore_core::Verified>) -> Input {
//!     Input::Received { session, message: Checked::Records(records) }
//! }
//! ```
//!
//! ```compile_fail
//! # use flexstore_core::sync::{Input, SessionId};
//! # use flexstore_core::wire::Checked;
//! fn received(session: SessionId, records: Vec<flexstore_core::Signed>) -> Input {
//!     Input::Received { session, message: Checked::Records(records) } // nobody has checked them
//! }
//! ```
//!
//! A team's key alone proves nothing. Where no Team records tell that it is a team's, what it signs
//! counts; so it must not displace what members signed, or a former member who kept the key could
//! delete a team's items from every relay without Team records.
//!
//! Of an owner that is a team, a tombstone outlives its author's later item: otherwise another
//! author's earlier item would stand or fall with the order of arrival.

use crate::authority::Standing;
use crate::record::Stamp;
use crate::{Digest, KeyTag, Kind};

/// What the relation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// Time, then digest.
    pub stamp: Stamp,
    /// Who wrote it.
    pub author: KeyTag,
    /// Whether it deletes.
    pub tombstone: bool,
    /// The state of a version; of a tombstone the only state that it deletes.
    pub state: Option<Digest>,
    /// Whether it was written for a team by a member.
    pub team: bool,
    /// Whether it counts.
    pub standing: Standing,
}

/// Whether `a` displaces `b`, both of one tag and one owner.
#[must_use]
pub fn displaces(kind: Kind, a: &Contender, b: &Contender) -> bool {
    let register = a.author == b.author;
    let counts = a.standing == Standing::Counts;
    if a.team != b.team || !counts && (!register || b.standing == Standing::Counts) {
        return false;
    }
    let later = a.stamp > b.stamp;
    match kind {
        Kind::Immutable => match (a.tombstone, b.tombstone) {
            (true, false) => true,
            (false, true) => false,
            _ => register && a.stamp < b.stamp,
        },
        Kind::Mutable if a.tombstone => later,
        Kind::Mutable => later && register && !(b.tombstone && b.team),
        // What deletes one state stays, as of immutable content: the state may come again.
        Kind::Versioned => match a.state {
            _ if !a.tombstone => false,
            None => later && !(b.tombstone && b.state.is_some()),
            state => b.state == state && (!b.tombstone || register && a.stamp < b.stamp),
        },
    }
}

/// Whether the set can change because of a newcomer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The newcomer is of the set, and these leave it.
    Admitted {
        /// Places in the list of those there.
        displaced: Vec<usize>,
    },
    /// One that is there displaces the newcomer.
    Displaced {
        /// Its place in the list of those there.
        by: usize,
    },
}

/// Decides on a newcomer to the records of one tag and one owner, of which none displaces
/// another.
#[must_use]
pub fn admit(kind: Kind, there: &[Contender], newcomer: &Contender) -> Admission {
    if let Some(by) = there
        .iter()
        .position(|other| displaces(kind, other, newcomer))
    {
        return Admission::Displaced { by };
    }
    let displaced = (0..there.len())
        .filter(|&i| displaces(kind, newcomer, &there[i]))
        .collect();
    Admission::Admitted { displaced }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contender() -> impl Strategy<Value = Contender> {
        let flags = any::<(bool, bool, bool)>();
        (0u64..4, 0u8..6, 0u8..3, flags, 0u8..3).prop_map(
            |(iat, digest, author, (tombstone, team, counts), state)| Contender {
                stamp: Stamp {
                    iat,
                    digest: Digest::from_bytes([digest; 32]),
                },
                // A single key is its own only author.
                author: KeyTag::from_bytes([if team { author + 1 } else { 0 }; 32]),
                tombstone,
                // A tombstone without one deletes the subject.
                state: (!tombstone || state > 0).then(|| Digest::from_bytes([state; 32])),
                team,
                standing: if counts {
                    Standing::Counts
                } else {
                    Standing::Unjudged
                },
            },
        )
    }

    /// Records of one owner, each with a digest of its own. Some are by its key alone.
    fn contenders() -> impl Strategy<Value = Vec<Contender>> {
        prop::collection::vec(contender(), 1..9).prop_map(|mut all| {
            for (i, one) in (0u8..).zip(&mut all) {
                one.stamp.digest = Digest::from_bytes([i.wrapping_mul(151); 32]);
            }
            all
        })
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![Kind::Immutable, Kind::Mutable, Kind::Versioned])
    }

    fn replay(kind: Kind, order: impl Iterator<Item = Contender>) -> Vec<Contender> {
        let mut set: Vec<Contender> = Vec::new();
        for newcomer in order {
            if set.contains(&newcomer) {
                continue;
            }
            if let Admission::Admitted { displaced } = admit(kind, &set, &newcomer) {
                for at in displaced.into_iter().rev() {
                    set.remove(at);
                }
                set.push(newcomer);
            }
        }
        set.sort_by_key(|one| one.stamp);
        set
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn is_a_strict_partial_order(kind in kinds(), all in contenders()) {
            for a in &all {
                prop_assert!(!displaces(kind, a, a));
                for b in &all {
                    prop_assert!(!(displaces(kind, a, b) && displaces(kind, b, a)));
                    for c in &all {
                        if displaces(kind, a, b) && displaces(kind, b, c) {
                            prop_assert!(displaces(kind, a, c), "{a:?} {b:?} {c:?}");
                        }
                    }
                }
            }
        }

        #[test]
        fn any_order_and_any_repetition_leave_the_same_set(
            kind in kinds(),
            all in contenders(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let once = replay(kind, all.iter().copied());
            let shuffled = picks.iter().map(|i| *i.get(&all)).chain(all.iter().rev().copied());
            prop_assert_eq!(&once, &replay(kind, shuffled));
            let undisplaced: Vec<_> = all
                .iter()
                .filter(|b| !all.iter().any(|a| displaces(kind, a, b)))
                .collect();
            prop_assert_eq!(once.len(), undisplaced.len());
        }
    }
}
