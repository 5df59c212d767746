//! What was done: for now, what stands.

mod heads;

pub use heads::Heads;
