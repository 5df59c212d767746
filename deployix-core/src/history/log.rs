//! [`History`]: the log over an object store.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectStore;
use tokio::sync::Mutex;

use super::{
    Entry, Heads, HistoryError, Record, checkpoint,
    commit::{self, Queue},
    content,
    known::Known,
    shelf::{Previous, Shelf},
};
use crate::{digest::Digest, name::Name};

/// The history of one deployment.
///
/// Cheap to clone: clones share what they know and append together. Needs a tokio runtime with its
/// timer.
#[derive(Clone)]
pub struct History {
    inner: Arc<Inner>,
}

/// What the clones of a history share.
pub(super) struct Inner {
    pub(super) shelf: Shelf,
    pub(super) known: Mutex<Known>,
    pub(super) queue: Queue,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("shelf", &self.inner.shelf).finish_non_exhaustive()
    }
}

impl History {
    /// Opens a deployment's history in a store; where there is none, it is empty.
    ///
    /// # Errors
    /// Where the store cannot be read, or what is there is not a history that this version reads.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        deployment: &Name,
    ) -> Result<Self, HistoryError> {
        let shelf = Shelf::new(store, deployment);
        let known = Mutex::new(Known::open(&shelf).await?);
        Ok(Self { inner: Arc::new(Inner { shelf, known, queue: Queue::default() }) })
    }

    /// What stands now.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn heads(&self) -> Result<Heads, HistoryError> {
        let mut known = self.inner.known.lock().await;
        known.catch_up(&self.inner.shelf, false).await?;
        known.heads(&self.inner.shelf).await.cloned()
    }

    /// What stood at a generation.
    ///
    /// # Errors
    /// Where the log cannot be read, or has not come so far.
    pub async fn up_to(&self, generation: u64) -> Result<Heads, HistoryError> {
        let shelf = &self.inner.shelf;
        self.reached(generation).await?;
        let checkpoints = shelf.list_checkpoints(0).await?;
        let nearest = checkpoints.iter().rev().find(|point| point.position <= generation);
        let nearest = nearest.map_or(0, |point| point.position);
        let (mut heads, last) = checkpoint::read(shelf, nearest).await?;
        for read in shelf.entries(nearest + 1..=generation, Previous::Known(last)).await? {
            heads.replay(&read.entry);
        }
        Ok(heads)
    }

    /// What stood at a time: after the newest entry that is not later, by the clocks of those who
    /// appended.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn at(&self, time: Timestamp) -> Result<Heads, HistoryError> {
        // Backwards from the end, as what is asked for is mostly not long ago.
        const STRIDE: u64 = 64;
        let mut end = self.newest().await?;
        while end > 0 {
            let start = end.saturating_sub(STRIDE) + 1;
            let read = self.inner.shelf.entries(start..=end, Previous::Unknown).await?;
            if let Some(read) = read.iter().rev().find(|read| read.entry.at <= time) {
                return self.up_to(read.entry.position).await;
            }
            end = start - 1;
        }
        Ok(Heads::default())
    }

    /// The entries after a generation, in order.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn entries(&self, after: u64) -> Result<Vec<Entry>, HistoryError> {
        let end = self.newest().await?;
        let previous = if after == 0 { Previous::Known(None) } else { Previous::Unknown };
        let read = self.inner.shelf.entries(after.saturating_add(1)..=end, previous).await?;
        Ok(read.into_iter().map(|read| read.entry).collect())
    }

    /// Appends records, whatever stands. Gives their generation.
    ///
    /// Once called, they may be appended even if nobody waits for it any more.
    ///
    /// # Errors
    /// Where the log cannot be written.
    pub async fn append(&self, records: Vec<Record>) -> Result<u64, HistoryError> {
        commit::append(&self.inner, records).await
    }

    /// Appends what is proposed on what stands; proposed anew, on what stands then, where somebody
    /// else was faster. An empty proposal appends nothing. Gives what came with the proposal that
    /// counted, and the generation.
    ///
    /// What is proposed at the same time, by clones of this history, may be appended as one entry:
    /// then each is proposed on what stands after the ones before it.
    ///
    /// # Errors
    /// Where the log cannot be read or written.
    pub async fn append_with<R: Send + 'static>(
        &self,
        propose: impl FnMut(&Heads) -> (Vec<Record>, R) + Send + 'static,
    ) -> Result<(R, u64), HistoryError> {
        commit::append_with(&self.inner, propose).await
    }

    /// Stores a content under its digest; one that is there already costs no writing.
    ///
    /// # Errors
    /// Where the store cannot be written, or something else is stored under that digest.
    pub async fn put_content(&self, content: Bytes) -> Result<Digest, HistoryError> {
        content::put(&self.inner.shelf, content).await
    }

    /// A stored content; nothing where there is none of that digest.
    ///
    /// # Errors
    /// Where the store cannot be read, or the content is not that of its digest.
    pub async fn content(&self, digest: Digest) -> Result<Option<Bytes>, HistoryError> {
        content::get(&self.inner.shelf, digest).await
    }

    /// The newest generation.
    async fn newest(&self) -> Result<u64, HistoryError> {
        let mut known = self.inner.known.lock().await;
        known.catch_up(&self.inner.shelf, false).await?;
        Ok(known.position())
    }

    /// That the log has come to a generation.
    async fn reached(&self, asked: u64) -> Result<(), HistoryError> {
        let reached = self.inner.known.lock().await.position();
        if asked <= reached {
            return Ok(());
        }
        match self.newest().await? {
            reached if asked > reached => Err(HistoryError::NotSoFar { asked, reached }),
            _ => Ok(()),
        }
    }
}
