//! The stages from specs to a plan, on the in-memory backend.

mod connections;
mod diagnostics;
mod placement;
mod planning;
mod support;
