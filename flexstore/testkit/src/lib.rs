//! What tests of Flexstore and of its implementors run on: one simulated network with virtual
//! time and faults, seeded and replayable, and conformance suites.
#![forbid(unsafe_code)]

pub mod link;
pub mod model;
pub mod network;
pub mod storage;
