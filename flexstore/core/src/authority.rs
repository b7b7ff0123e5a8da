//! Which records count: a function of the records, the Team records and the pins, and of nothing
//! else, so that replicas that have the same ones agree.
//!
//! A record by a single key counts by its signature alone. A record for a team counts if its
//! author belonged to the team when it was written; who did is told by the team's records, which
//! [`judge`] reads. Without them a record is unjudged: it is kept and passed on, displaces nothing
//! but its own author's, and is not shown.

pub mod js;
mod judge;
mod judgement;
mod presence;
mod store;
mod team;

pub use judge::{MAX_LOOKS, MAX_LOOKS_IN_ALL, MAX_NESTING, Teams, judge};
pub use judgement::Judgement;
pub use presence::Presence;
pub use store::{Authority, pins};
pub(crate) use store::{Heeded, pin};
pub use team::{MAX_MEMBERS, Member, Roster, RosterError, Sealed, TeamRecord};

/// Whether a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It does.
    Counts,
    /// The Team records that would tell are missing, or contradict each other.
    Unjudged,
    /// It does not: its author was not a member then, or it is signed by a team's key alone.
    Void,
}

/// Why nobody can tell who belongs to a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unjudged {
    /// Its records are not here, or its first one is not.
    Missing,
    /// There are several first records, and none is pinned.
    Rivals,
}
