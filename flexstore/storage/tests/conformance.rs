//! Both engines pass the suite that every storage passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::sync::Arc;

use flexstore_core::storage::Storage;
use flexstore_storage::{Engine, Options, open};
use flexstore_testkit::storage::conformance;
use tempfile::TempDir;

fn behaves(engine: Engine) {
    let dirs = std::cell::RefCell::new(Vec::new());
    conformance::behaves(&|| {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), Options::new(engine)).unwrap();
        dirs.borrow_mut().push(dir);
        store
    });
}

fn persists(engine: Engine) {
    let dir = TempDir::new().unwrap();
    let open = || -> Arc<dyn Storage> { open(dir.path(), Options::new(engine)).unwrap() };
    conformance::persists(&open);
}

#[test]
fn fjall_behaves() {
    behaves(Engine::Fjall);
}

#[test]
fn fjall_persists() {
    persists(Engine::Fjall);
}

#[test]
fn sled_behaves() {
    behaves(Engine::Sled);
}

#[test]
fn sled_persists() {
    persists(Engine::Sled);
}
