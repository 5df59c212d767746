//! [`Waiting`]: waits for what AWS takes its time with, tells whoever deploys what for, and says so where
//! the time is over.

use std::{sync::LazyLock, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use deployix_core::backend::{Awaited, BackendError, ErrorKind};
use tokio::time::{Instant, sleep_until};

use super::caller::Caller;

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(15);

/// A wait that asks again and again, ever more seldom. All of this process ask at the same moments,
/// half a second apart, so that what several ask for can go out as one call.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    aws: Caller<'a>,
    wait: Awaited,
    /// When it was first found not to be there; what was done before took its own time.
    began: Option<Instant>,
    limit: Duration,
    pauses: ExponentialBackoff,
}

impl<'a> Waiting<'a> {
    /// A wait for what has to come, "the instance i-0123 to run", that begins once it is found not to be
    /// there.
    pub(super) fn new(aws: &Caller<'a>, limit: Duration, what: impl Into<String>) -> Self {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(LONGEST)
            .with_factor(1.5)
            .without_max_times()
            .build();
        let wait = Awaited { what: what.into(), seen: String::new(), waited: Duration::ZERO };
        Self { aws: aws.clone(), wait, began: None, limit, pauses }
    }

    /// Tells how it is, such as "it is pending", and waits a while; not, where the time is over.
    pub(super) async fn go_on(&mut self, seen: impl Into<String>) -> bool {
        self.wait.seen = seen.into();
        self.wait.waited = self.began.get_or_insert_with(Instant::now).elapsed();
        if self.wait.waited >= self.limit {
            return false;
        }
        self.aws.waits(&self.wait);
        let pause = self.pauses.next().unwrap_or(LONGEST);
        sleep_until(moment_after(Instant::now() + pause - MOMENTS_APART)).await;
        true
    }

    /// How it was seen last, told better.
    pub(super) fn seen(&mut self, seen: String) {
        self.wait.seen = seen;
    }

    /// Its time is over: what was waited for, how it was seen last, and what to do.
    pub(super) fn over(&self, operation: &'static str, to_do: &str) -> BackendError {
        BackendError::timed_out(operation, &self.wait, to_do)
    }
}

/// How far the moments are apart at which waits end.
const MOMENTS_APART: Duration = Duration::from_millis(500);

/// The first of these moments that is not before a time.
fn moment_after(time: Instant) -> Instant {
    static FIRST: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    let apart = MOMENTS_APART.as_nanos();
    let since = time.into_std().saturating_duration_since(*FIRST).as_nanos() % apart;
    let rest = u64::try_from((apart - since) % apart).unwrap_or_default();
    time + Duration::from_nanos(rest)
}

/// Tells that something went while it was worked with; whoever begins anew finds what stands.
pub(super) fn went(operation: &'static str, what: impl Into<String>) -> BackendError {
    BackendError::temporary(ErrorKind::NotFound, operation, what)
}
