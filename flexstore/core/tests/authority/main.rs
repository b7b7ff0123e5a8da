//! Named cases of who may write for a team: each stops an attack or settles a conflict. The
//! tests of the testkit hold the same rules against an independent model.
#![allow(clippy::unwrap_used)] // a test

mod cases;
mod roster;
mod support;
