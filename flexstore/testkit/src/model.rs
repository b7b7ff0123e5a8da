//! Which records count and which stay, told by the words of `spec/wire.md` 3 and 3.1 and by
//! nothing else: sets, recursion, and everything computed anew from the list of all records ever
//! received. It is slow, shares no rule with the core, and what the core does is held against it.

mod register;
mod teams;

pub use register::{Group, Shown};
pub use teams::Teams;
