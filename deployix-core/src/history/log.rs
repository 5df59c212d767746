//! [`History`]: the log over an object store.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectStore;

use super::{Entry, Heads, HistoryError, Record};
use crate::{digest::Digest, name::Name};

/// The history of one deployment.
#[derive(Debug, Clone)]
pub struct History {}

impl History {
    /// Opens a deployment's history in a store; where there is none, it is empty.
    ///
    /// # Errors
    /// Where the store cannot be read, or what is there is not a history that this version reads.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        deployment: &Name,
    ) -> Result<Self, HistoryError> {
        let _ = (store, deployment);
        todo!()
    }

    /// What stands now.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn heads(&self) -> Result<Heads, HistoryError> {
        todo!()
    }

    /// What stood at a generation.
    ///
    /// # Errors
    /// Where the log cannot be read, or has not come so far.
    pub async fn up_to(&self, generation: u64) -> Result<Heads, HistoryError> {
        let _ = generation;
        todo!()
    }

    /// What stood at a time.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn at(&self, time: Timestamp) -> Result<Heads, HistoryError> {
        let _ = time;
        todo!()
    }

    /// The entries after a generation, in order.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn entries(&self, after: u64) -> Result<Vec<Entry>, HistoryError> {
        let _ = after;
        todo!()
    }

    /// Appends records, whatever stands. Gives their generation.
    ///
    /// # Errors
    /// Where the log cannot be written.
    pub async fn append(&self, records: Vec<Record>) -> Result<u64, HistoryError> {
        let _ = records;
        todo!()
    }

    /// Appends what is proposed on what stands; proposed anew, on what stands then, where somebody
    /// else was faster. An empty proposal appends nothing. Gives what came with the proposal that
    /// counted, and the generation.
    ///
    /// # Errors
    /// Where the log cannot be read or written.
    pub async fn append_with<R: Send + 'static>(
        &self,
        propose: impl FnMut(&Heads) -> (Vec<Record>, R) + Send + 'static,
    ) -> Result<(R, u64), HistoryError> {
        let _ = propose;
        todo!()
    }

    /// Stores a content under its digest; one that is there already costs no writing.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn put_content(&self, content: Bytes) -> Result<Digest, HistoryError> {
        let _ = content;
        todo!()
    }

    /// A stored content; nothing where there is none of that digest.
    ///
    /// # Errors
    /// Where the store cannot be read, or the content is not that of its digest.
    pub async fn content(&self, digest: Digest) -> Result<Option<Bytes>, HistoryError> {
        let _ = digest;
        todo!()
    }
}
