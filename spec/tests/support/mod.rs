//! What the black-box tests of the relay share: the real binary as a child, clients made of a bare
//! `Replica` over a WebSocket link, and bytes written by hand.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::len_without_is_empty)]

pub mod caller;
pub mod client;
pub mod http;
pub mod javascript;
pub mod original;
pub mod people;
pub mod raw;
pub mod relay;
pub mod tap;
