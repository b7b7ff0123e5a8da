//! x
pub mod index;
mod reconcile;
