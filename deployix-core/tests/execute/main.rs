//! Plans carried out on the in-memory backend: order, failures, locks, crashes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod atomic;
mod crash;
mod keepers;
mod locks;
mod observing;
mod order;
mod saved;
mod support;
