//! [`Pace`]: when it is told what a step waits for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::backend::Awaited;

/// What comes sooner is waited for without a word.
const FIRST: Duration = Duration::from_secs(10);

/// How long nothing is told of a wait after something was.
const AGAIN: Duration = Duration::from_secs(5);

/// How long each thing was waited for when that was last told, by what it is.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<BTreeMap<String, Duration>>);

impl Pace {
    /// Whether a wait is to be told now, which then counts as told.
    pub(super) fn is_due(&self, wait: &Awaited) -> bool {
        // Every change is one insertion, so a panic elsewhere leaves the map whole.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match told.get(&wait.what) {
            Some(last) if *last <= wait.waited => *last + AGAIN,
            // Nothing was told of it, or it is waited for anew.
            _ => FIRST,
        };
        let is_due = wait.waited >= due;
        if is_due {
            told.insert(wait.what.clone(), wait.waited);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of a wait, looked at every so often, at which it is told.
    fn told(pace: &Pace, what: &str, until: u64, every: usize) -> Vec<u64> {
        let looks = (0..=until).step_by(every);
        let wait = |seconds| Awaited {
            what: what.to_owned(),
            seen: "it is not there".to_owned(),
            waited: Duration::from_secs(seconds),
        };
        looks.filter(|seconds| pace.is_due(&wait(*seconds))).collect()
    }

    #[test]
    fn a_wait_is_told_once_it_is_long_and_then_every_few_seconds() {
        let pace = Pace::default();
        assert_eq!(told(&pace, "one", 9, 1), [0; 0]);
        assert_eq!(told(&pace, "one", 26, 1), [10, 15, 20, 25]);
        assert_eq!(told(&pace, "one", 40, 7), [14, 21, 28, 35], "the same anew");
        assert_eq!(told(&pace, "another", 12, 3), [12]);
    }
}
