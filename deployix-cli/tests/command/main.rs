//! The `deployix` command as its users run it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod compile;
mod general;
mod graph;
mod hydra;
mod init;
mod plan;
mod support;
