//! What tests of Flexstore and of its implementors run on: one simulated network with virtual
//! time and faults, seeded and replayable, and conformance suites.
//!
//! [`storage`] has the suite that every storage passes, and a storage that fails when told to.
#![forbid(unsafe_code)]

pub mod network;
pub mod storage;
