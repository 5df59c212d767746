//! Words that nobody else has.

use std::hash::{BuildHasher, RandomState};

/// A word of 32 hexadecimal digits, different each time.
pub(crate) fn unguessable() -> String {
    // The standard library seeds its hashes from the system's source of randomness.
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ() {
        assert_ne!(unguessable(), unguessable());
        assert_eq!(unguessable().len(), 32);
    }
}
