//! [`Reach`]: how quickly a store answers, and how the end of a log is found there.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use object_store::path::Path;

use super::{
    HistoryError,
    chance::any_of,
    entry::Read,
    shelf::{Put, Shelf},
};

/// How quickly a store answers: how long to wait for others, and which way to ask, follow from it.
#[derive(Debug, Default)]
pub(super) struct Reach {
    read: Duration,
    write: Duration,
    list: Duration,
}

impl Reach {
    /// The newest position that the store lists.
    pub(super) async fn newest(&mut self, shelf: &Shelf, after: u64) -> Result<u64, HistoryError> {
        let start = Instant::now();
        let newest = shelf.newest(after).await?;
        self.list = mean(self.list, start.elapsed());
        Ok(newest)
    }

    /// The entry of a position; nothing where there is none.
    pub(super) async fn entry(
        &mut self,
        shelf: &Shelf,
        position: u64,
    ) -> Result<Option<Read>, HistoryError> {
        let start = Instant::now();
        let read = shelf.entry(position).await?;
        self.read = mean(self.read, start.elapsed());
        Ok(read)
    }

    /// Puts an object where there is none.
    pub(super) async fn put(
        &mut self,
        shelf: &Shelf,
        path: &Path,
        bytes: Bytes,
    ) -> Result<Put, HistoryError> {
        let start = Instant::now();
        let put = shelf.put(path, bytes).await?;
        self.write = mean(self.write, start.elapsed());
        Ok(put)
    }

    /// The newest position, from one that is there.
    ///
    /// A store far away lists a thousand entries as quickly as it tells of one; a folder with many
    /// thousands takes long to list and no time to ask.
    pub(super) async fn end(&mut self, shelf: &Shelf, from: u64) -> Result<u64, HistoryError> {
        const ASKED: u32 = 4;
        if self.list < self.read * ASKED {
            return self.newest(shelf, from).await;
        }
        // Further and further until there is nothing, then narrower and narrower.
        let (mut there, mut step) = (from, 1);
        let mut absent = loop {
            let asked = [1, 2, 4, 8].map(|times| there + step * times);
            let (last, first) = farthest(shelf, &asked).await?;
            there = last.unwrap_or(there);
            match first {
                Some(first) => break first,
                None => step *= 16,
            }
        };
        while absent - there > 1 {
            let width = (absent - there).div_ceil(5);
            let asked: Vec<u64> =
                (1..5).map(|part| there + part * width).filter(|asked| *asked < absent).collect();
            let (last, first) = farthest(shelf, &asked).await?;
            there = last.unwrap_or(there);
            absent = first.unwrap_or(absent);
        }
        Ok(there)
    }

    /// How long to wait before an attempt after some: any time up to one that grows with them, so
    /// that of many who want the same position, few try at once.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        const SHORTEST: Duration = Duration::from_micros(100);
        const LONGEST: Duration = Duration::from_secs(4);
        let longest = self.write.max(SHORTEST) * (1 << attempts.min(7));
        any_of(longest.min(LONGEST))
    }

    /// Waits before trying something again that failed.
    pub(super) async fn wait(&self, tries: u32) {
        let longest = Duration::from_millis(100) * (1 << tries.min(5));
        tokio::time::sleep(longest / 2 + any_of(longest / 2)).await;
    }
}

/// Of ascending positions, the last that is there and the first that is not.
async fn farthest(
    shelf: &Shelf,
    positions: &[u64],
) -> Result<(Option<u64>, Option<u64>), HistoryError> {
    let sizes = try_join_all(positions.iter().map(async |position| {
        let path = shelf.log(*position);
        shelf.size(&path).await
    }))
    .await?;
    let there = sizes.iter().take_while(|size| size.is_some()).count();
    let last = there.checked_sub(1).and_then(|last| positions.get(last));
    Ok((last.copied(), positions.get(there).copied()))
}

/// The newest measure counts for a quarter.
fn mean(before: Duration, now: Duration) -> Duration {
    if before.is_zero() { now } else { before * 3 / 4 + now / 4 }
}
