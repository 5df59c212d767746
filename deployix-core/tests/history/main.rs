//! The history: what is appended stays, in order, whatever happens meanwhile.
#![expect(clippy::unwrap_used, reason = "tests")]

mod appending;
mod checkpoints;
mod damage;
mod replay;
mod stores;
mod support;
mod together;
