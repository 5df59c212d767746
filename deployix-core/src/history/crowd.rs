//! [`Crowd`]: whoever else appends, and how to get along with them.
//!
//! Whoever appends goes on at once, without looking what is new: that costs the store least, and
//! what many append is done soonest. Now and then it lets others have their turn; they wait, and
//! try the less often the more they are.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::chance::any_of;

/// Whoever else appends, as far as a handle has seen.
#[derive(Debug)]
pub(super) struct Crowd {
    /// How often others were faster since they were not.
    losses: u32,
    /// Who wrote what was read lately, and when that was.
    seen: VecDeque<(Instant, u32)>,
    /// How often others were not, without a pause, and since when.
    row: u32,
    since: Option<Instant>,
    /// How long a row may be.
    longest: u32,
    /// When others were last not faster.
    won: Option<Instant>,
}

impl Default for Crowd {
    fn default() -> Self {
        let (seen, longest) = (VecDeque::new(), Self::ROW);
        Self { losses: 0, seen, row: 0, since: None, longest, won: None }
    }
}

impl Crowd {
    /// How many entries are written in a row while others wait, and while nobody seems to; the
    /// latter not for so long that a run that waits is taken for dead.
    const ROW: u32 = 64;
    const LONGEST_ROW: u32 = 4096;
    const LONG: Duration = Duration::from_secs(8);
    /// How long others have their turn, as a multiple of what writing takes.
    const TURN: u32 = 32;
    /// No wait is shorter or longer.
    const SHORTEST: Duration = Duration::from_micros(100);
    const LONGEST: Duration = Duration::from_secs(10);

    /// Somebody wrote an entry that was read.
    pub(super) fn saw(&mut self, writer: u32) {
        // Enough to tell few from many.
        if self.seen.len() == 64 {
            self.seen.pop_front();
        }
        self.seen.push_back((Instant::now(), writer));
    }

    /// Somebody was faster, where writing takes so long. How long to wait: any time up to one that
    /// doubles each time, until it is such that one of all who wait tries within a turn.
    pub(super) fn lost(&mut self, write: Duration) -> Duration {
        let write = write.max(Self::SHORTEST);
        (self.row, self.longest) = (0, Self::ROW);
        self.losses = (self.losses + 1).min(16);
        self.seen.retain(|(when, _)| when.elapsed() < write * 1024);
        let writers: BTreeSet<u32> = self.seen.iter().map(|(_, writer)| *writer).collect();
        let longest = Self::TURN * (writers.len() as u32).clamp(1, 32);
        any_of((write * longest.min(4 << self.losses)).min(Self::LONGEST))
    }

    /// Nobody was faster. How long to let others try now.
    pub(super) fn won(&mut self, write: Duration) -> Option<Duration> {
        self.losses = 0;
        let now = Instant::now();
        if self.won.is_none_or(|won| now - won > write * 4) {
            (self.row, self.since) = (0, Some(now));
        }
        (self.row, self.won) = (self.row + 1, Some(now));
        if self.row < self.longest && self.since.is_some_and(|since| now - since < Self::LONG) {
            return None;
        }
        (self.row, self.since) = (0, Some(now));
        // Until somebody takes it.
        self.longest = (self.longest * 2).min(Self::LONGEST_ROW);
        // Where writing takes no time, others have their chance as it is.
        (write > Self::SHORTEST * 2).then(|| write * Self::TURN)
    }
}
