//! Local-first collections of signed and sealed items.

pub mod seal;
