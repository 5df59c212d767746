//! When a periodic service runs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Span;

/// When a service runs that does not run all the time. Times are the machine's local time.
///
/// Written `every minute`, `every 5 minutes`, `every hour`, `hourly`, `every 6 hours`,
/// `daily 03:30`, `daily` (midnight), or as a systemd calendar expression (systemd.time(7)).
/// A run missed while the machine was down is caught up once it is back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schedule {
    /// Every so many minutes, counted within the hour.
    ///
    /// Invariant: 1 to 30, and a divisor of 60.
    Minutes(u8),
    /// Every so many hours, counted within the day.
    ///
    /// Invariant: 1 to 12, and a divisor of 24.
    Hours(u8),
    /// Once a day.
    Daily {
        /// The hour, from 0 to 23.
        hour: u8,
        /// The minute, from 0 to 59.
        minute: u8,
    },
    /// A systemd calendar expression, taken as it is.
    Calendar(String),
}

/// Tells why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a schedule: {reason}")]
pub struct ScheduleError {
    text: String,
    reason: &'static str,
}

impl Schedule {
    /// As a systemd calendar expression.
    #[must_use]
    pub fn on_calendar(&self) -> String {
        match self {
            Self::Minutes(1) => "*-*-* *:*:00".to_owned(),
            Self::Minutes(every) => format!("*-*-* *:00/{every:02}:00"),
            Self::Hours(1) => "*-*-* *:00:00".to_owned(),
            Self::Hours(every) => format!("*-*-* 00/{every:02}:00:00"),
            Self::Daily { hour, minute } => format!("*-*-* {hour:02}:{minute:02}:00"),
            Self::Calendar(expression) => expression.clone(),
        }
    }

    /// How far apart two runs are, where that is always the same.
    #[must_use]
    pub fn period(&self) -> Option<Span> {
        match self {
            Self::Minutes(every) => Some(Span::seconds(u64::from(*every) * 60)),
            Self::Hours(every) => Some(Span::seconds(u64::from(*every) * 3_600)),
            Self::Daily { .. } => Some(Span::seconds(86_400)),
            Self::Calendar(_) => None,
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |reason| ScheduleError { text: text.chars().take(80).collect(), reason };
        let words: Vec<&str> = text.split_whitespace().collect();
        let minutes = |every: u8| match every {
            1..=30 if 60 % every == 0 => Ok(Self::Minutes(every)),
            _ => Err(error("so many minutes do not divide an hour evenly")),
        };
        let hours = |every: u8| match every {
            1..=12 if 24 % every == 0 => Ok(Self::Hours(every)),
            _ => Err(error("so many hours do not divide a day evenly")),
        };
        let number = |word: &str| word.parse::<u8>().map_err(|_| error("a number is expected"));
        match words.as_slice() {
            ["every", "minute"] | ["minutely"] => Ok(Self::Minutes(1)),
            ["every", count, "minutes"] => minutes(number(count)?),
            ["every", "hour"] | ["hourly"] => Ok(Self::Hours(1)),
            ["every", count, "hours"] => hours(number(count)?),
            ["every", "day"] | ["daily"] => Ok(Self::Daily { hour: 0, minute: 0 }),
            ["daily", time] => {
                let wrong = || error("a time of day such as 03:30 is expected after \"daily\"");
                let (hour, minute) = time.split_once(':').ok_or_else(wrong)?;
                let digits =
                    |part: &str| part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
                if !digits(hour) || !digits(minute) {
                    return Err(wrong());
                }
                match (hour.parse(), minute.parse()) {
                    (Ok(hour @ 0..=23), Ok(minute @ 0..=59)) => Ok(Self::Daily { hour, minute }),
                    _ => Err(wrong()),
                }
            }
            [] => Err(error("it is empty")),
            ["every", ..] => Err(error(
                "after \"every\", \"minute\", \"5 minutes\", \"hour\", \"6 hours\" or \"day\" is expected",
            )),
            words => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || "*-/.,:~+_".contains(c);
                if !words.iter().all(|word| word.chars().all(allowed)) {
                    return Err(error("it has a character that no calendar expression has"));
                }
                let shorthand = matches!(
                    words,
                    ["weekly" | "monthly" | "quarterly" | "semiannually" | "yearly" | "annually"]
                );
                // Every other expression names a date or a time (systemd.time(7)).
                if !shorthand && !words.iter().any(|word| word.contains([':', '-'])) {
                    return Err(error(
                        "write \"every minute\", \"hourly\", \"daily 03:30\" or a systemd calendar \
                         expression such as \"Mon *-*-* 03:30\"",
                    ));
                }
                Ok(Self::Calendar(words.join(" ")))
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minutes(1) => f.write_str("every minute"),
            Self::Minutes(every) => write!(f, "every {every} minutes"),
            Self::Hours(1) => f.write_str("every hour"),
            Self::Hours(every) => write!(f, "every {every} hours"),
            Self::Daily { hour, minute } => write!(f, "daily {hour:02}:{minute:02}"),
            Self::Calendar(expression) => f.write_str(expression),
        }
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_words_become_calendar_expressions() {
        for (text, calendar) in [
            ("every minute", "*-*-* *:*:00"),
            ("every 5 minutes", "*-*-* *:00/05:00"),
            ("hourly", "*-*-* *:00:00"),
            ("every 6 hours", "*-*-* 00/06:00:00"),
            ("daily 03:30", "*-*-* 03:30:00"),
            ("daily", "*-*-* 00:00:00"),
            ("Mon..Fri *-*-* 03:30", "Mon..Fri *-*-* 03:30"),
            ("monthly", "monthly"),
        ] {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.on_calendar(), calendar, "{text}");
            assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule, "{text}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            "",
            "every",
            "every 7 minutes",
            "every 0 hours",
            "daily 25:00",
            "daily +3:30",
            "daily 3",
            "sometimes",
            "*-*-*\n[Service]",
            "every fortnight",
            "daily 03:30:99",
        ] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad:?}");
        }
    }
}
