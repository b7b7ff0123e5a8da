//! The eight acts; `main` has their order.

pub(crate) mod crash;
pub(crate) mod history;
pub(crate) mod offline;
pub(crate) mod people;
pub(crate) mod share;
pub(crate) mod stolen;
pub(crate) mod stranger;
pub(crate) mod team;
