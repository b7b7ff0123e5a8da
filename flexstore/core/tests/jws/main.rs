//! The reader of records takes its own two forms alone.
//!
//! `foreign` gives it the JWS of others (Wycheproof, the JOSE cookbook, the JavaScript original):
//! all are refused, for none has `typ` and `col`. Where the algorithm is EdDSA, the mathematics
//! of each signature must still come to the listed result. `header`, `envelope`,
//! `encoding` and `moved` give it attacks made of its own records, each well signed by the keys it names, so that
//! nothing but the strictness of the reader is in the way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod attack;
mod encoding;
mod envelope;
mod foreign;
mod header;
mod moved;
#[path = "../support/mod.rs"]
mod support;
