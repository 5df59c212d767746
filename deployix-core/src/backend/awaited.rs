//! [`Awaited`]: what a step waits for.

use std::{fmt, time::Duration};

use serde::Serialize;

/// What a step waits for, as it was when it was last looked at.
///
/// ```
/// use std::time::Duration;
///
/// use deployix_core::backend::Awaited;
///
/// let wait = Awaited {
///     what: "the instance i-0123 to run".to_owned(),
///     seen: "it is pending".to_owned(),
///     waited: Duration::from_secs(40),
/// };
/// assert_eq!(wait.to_string(), "waits for the instance i-0123 to run (it is pending, 40 s)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Awaited {
    /// What has to come, in lower case: "the instance i-0123 to run". The same words as long as it is
    /// the same wait.
    pub what: String,
    /// How it was seen last, with the provider's own reason where there is one, in lower case, without a
    /// final dot: "it is pending".
    pub seen: String,
    /// How long it was waited for so far.
    pub waited: Duration,
}

impl Awaited {
    /// How long it was waited for, as people say it: `40 s`, and from two minutes on `15 min`.
    #[must_use]
    pub fn how_long(&self) -> String {
        match self.waited.as_secs() {
            seconds @ ..120 => format!("{seconds} s"),
            seconds => format!("{} min", seconds / 60),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waits for {} ({}, {})", self.what, self.seen, self.how_long())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_told_in_seconds_and_then_in_minutes() {
        for (seconds, told) in
            [(0, "0 s"), (40, "40 s"), (119, "119 s"), (120, "2 min"), (3900, "65 min")]
        {
            let waited = Duration::from_secs(seconds);
            let wait = Awaited { what: "it".to_owned(), seen: "it is not".to_owned(), waited };
            assert_eq!(wait.how_long(), told);
        }
    }
}
