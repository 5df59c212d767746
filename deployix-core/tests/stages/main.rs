//! The stages from specs to a plan, on the in-memory backend.
#![expect(clippy::unwrap_used, reason = "tests")]

mod connections;
mod diagnostics;
mod documents;
mod one_target;
mod placement;
mod planning;
mod support;
