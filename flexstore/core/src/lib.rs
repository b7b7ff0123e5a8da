//! placeholder
pub mod link;
pub mod storage;
mod tag;
pub use tag::*;
