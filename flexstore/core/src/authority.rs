//! Which records count.
//!
//! A record by a single key counts by its signature alone. A record for a team counts if the
//! Team records say so; without any at hand it is unjudged: it is kept and passed on, displaces
//! nothing but its own author's, and is not shown.

use crate::KeyTag;

/// Whether a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It does.
    Counts,
    /// The Team records that would tell are missing.
    Unjudged,
}

/// The standing of a record, by whose it is and who wrote it.
#[must_use]
pub fn standing(owner: &KeyTag, author: &KeyTag) -> Standing {
    if owner == author {
        Standing::Counts
    } else {
        Standing::Unjudged
    }
}
