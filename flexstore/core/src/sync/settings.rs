//! What a replica is opened with.

use std::collections::BTreeSet;

use crate::KeyTag;
use crate::record::Encryption;
use crate::wire::Filter;

/// Which records a replica admits from others and writes itself, beyond those that verify.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Only items of these owners.
    pub owners: Option<BTreeSet<KeyTag>>,
    /// Only records by these authors.
    pub authors: Option<BTreeSet<KeyTag>>,
    /// Only sealed items, and tombstones.
    pub sealed_only: bool,
}

impl Policy {
    pub(super) fn admits(&self, owner: &KeyTag, author: &KeyTag, encryption: &Encryption) -> bool {
        self.owners
            .as_ref()
            .is_none_or(|owners| owners.contains(owner))
            && self
                .authors
                .as_ref()
                .is_none_or(|authors| authors.contains(author))
            && !(self.sealed_only && *encryption == Encryption::Plain)
    }
}

/// What a replica is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Random, the same for all replicas of a store.
    pub replica: [u8; 16],
    /// What is admitted.
    pub policy: Policy,
    /// What is compared and sent, where this replica opens the session.
    pub filter: Filter,
    /// How long displaced records rest before their space is freed, in milliseconds.
    pub rest_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replica: [0; 16],
            policy: Policy::default(),
            filter: Filter::default(),
            rest_ms: 30 * 24 * 60 * 60 * 1000,
        }
    }
}
