//! The JavaScript dialect: messages byte for byte, pieces within their bounds, sessions that come
//! to the same end as the recorded ones, and hostile input.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod fragments;
mod front;
mod hostile;
mod hub;
mod message;
mod root;
mod rounds;
mod session;
mod shelf;
#[path = "../support/mod.rs"]
mod support;
mod versions;
