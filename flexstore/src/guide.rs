//! Pages to read before writing an app.

#[doc = include_str!("guide/people.md")]
pub mod people {}
