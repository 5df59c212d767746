//! [`Reach`]: how quickly a store answers, and how the end of a log is found there.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use tokio::time::Instant;

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
    /// How far the end was away when it was last looked for.
    stride: u64,
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

    /// How long it takes to write.
    pub(super) fn write(&self) -> Duration {
        self.write
    }

    /// The newest position, from one that is there.
    ///
    /// A store far away lists a thousand entries as quickly as it tells of one; a folder with many
    /// thousands takes long to list and no time to ask.
    pub(super) async fn end(&mut self, shelf: &Shelf, from: u64) -> Result<u64, HistoryError> {
        // Asking takes more questions, but far less of the store than a list does.
        const ASKED: u32 = 3;
        let end = if self.list < self.read * ASKED {
            self.newest(shelf, from).await?
        } else {
            self.search(shelf, from).await?
        };
        self.stride = end - from;
        Ok(end)
    }

    /// Asks further and further until nothing is there, or nearer and nearer until something is;
    /// then halves what is between. It begins as far away as the end was the last time.
    async fn search(&mut self, shelf: &Shelf, from: u64) -> Result<u64, HistoryError> {
        let mut step = self.stride.max(1);
        let (mut there, mut absent) = (from, None);
        while absent.is_none_or(|absent| absent - there > 1) {
            let asked = match absent {
                None => there + step,
                Some(absent) => there + (absent - there) / 2,
            };
            if shelf.size(&shelf.log(asked)).await?.is_some() {
                there = asked;
                step *= 2;
            } else {
                absent = Some(asked);
            }
        }
        Ok(there)
    }

    /// Waits before trying something again that failed.
    pub(super) async fn wait(&self, tries: u32) {
        let longest = Duration::from_millis(100) * (1 << tries.min(5));
        tokio::time::sleep(longest / 2 + any_of(longest / 2)).await;
    }
}

/// The newest measure counts for a quarter.
fn mean(before: Duration, now: Duration) -> Duration {
    if before.is_zero() { now } else { before * 3 / 4 + now / 4 }
}
