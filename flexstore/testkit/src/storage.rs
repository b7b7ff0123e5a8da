//! For implementors of [`Storage`](flexstore_core::storage::Storage), and for those who want to
//! see one fail.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flexstore_core::storage::MemoryStorage;
//! use flexstore_testkit::storage::conformance;
//!
//! conformance::behaves(&|| Arc::new(MemoryStorage::new()));
//! ```

pub mod conformance;
mod faulty;
mod model;

pub use faulty::FaultyStorage;
