//! Numbers that nobody else draws: for nonces, ids and waits that differ.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// A number that is drawn nowhere else, for all that matters here. Not for secrets.
pub(super) fn chance() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Keyed by the system's own randomness.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    hasher.write_u32(std::process::id());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    hasher.write_u128(now.map_or(0, |now| now.as_nanos()));
    hasher.finish()
}

/// A time between nothing and the longest, as likely as any other.
pub(super) fn any_of(longest: Duration) -> Duration {
    // The upper half of the bits is more than enough.
    longest.mul_f64((chance() >> 32) as f64 / f64::from(u32::MAX))
}
