//! The `deployix` command as its users run it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod compile;
mod deploy;
mod destroy;
mod forget;
mod general;
mod graph;
mod history;
mod hydra;
mod init;
mod machines;
mod plan;
mod status;
mod support;
