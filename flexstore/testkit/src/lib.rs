//! What tests of Flexstore share.
//!
//! [`storage`] has the suite that every storage passes, and a storage that fails when told to.
#![forbid(unsafe_code)]

pub mod storage;
