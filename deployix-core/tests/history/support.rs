//! What the tests write, and a store that can fail.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use deployix_core::{
    Name,
    history::{Entry, History, HistoryError, Holder, Record},
};
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn holder() -> Holder {
    Holder { name: "ann".into(), host: "desk".into(), process: 1, incarnation: None }
}

pub(crate) fn note(text: impl Into<String>) -> Record {
    Record::Note { by: holder(), text: text.into() }
}

pub(crate) fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

pub(crate) async fn open(store: &Arc<dyn ObjectStore>) -> History {
    try_open(store).await.unwrap()
}

pub(crate) async fn try_open(store: &Arc<dyn ObjectStore>) -> Result<History, HistoryError> {
    History::open(Arc::clone(store), &name("shop")).await
}

/// The texts of all notes, in order.
pub(crate) fn notes(entries: &[Entry]) -> Vec<&str> {
    let records = entries.iter().flat_map(|entry| &entry.records);
    records
        .filter_map(|record| match record {
            Record::Note { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// What goes wrong with a put.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mishap {
    /// It is not put, and fails.
    Refused,
    /// It is put, and yet fails.
    PutAndFailed,
    /// It is put, and then tried again by the store's own client, which finds it there.
    PutAndTaken,
    /// It takes so long.
    Slow(Duration),
}

/// A store that does what is told, once each, and counts what is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moody(Arc<Moods>);

#[derive(Debug, Default)]
struct Moods {
    inner: InMemory,
    mishaps: Mutex<VecDeque<Mishap>>,
    puts: Mutex<Vec<Path>>,
    reads: Mutex<Vec<Path>>,
}

impl Moody {
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.clone())
    }

    pub(crate) fn next(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.0.mishaps.lock().unwrap().extend(mishaps);
    }

    /// What was put since this was last asked.
    pub(crate) fn puts(&self) -> Vec<Path> {
        std::mem::take(&mut self.0.puts.lock().unwrap())
    }

    /// What was read since this was last asked.
    pub(crate) fn reads(&self) -> Vec<Path> {
        std::mem::take(&mut self.0.reads.lock().unwrap())
    }
}

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("moody")
    }
}

#[async_trait]
impl ObjectStore for Moody {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.0.puts.lock().unwrap().push(location.clone());
        let mishap = self.0.mishaps.lock().unwrap().pop_front();
        let failed =
            || Err(object_store::Error::Generic { store: "moody", source: "timed out".into() });
        match mishap {
            None => self.0.inner.put_opts(location, payload, options).await,
            Some(Mishap::Refused) => failed(),
            Some(Mishap::PutAndFailed) => {
                self.0.inner.put_opts(location, payload, options).await?;
                failed()
            }
            Some(Mishap::PutAndTaken) => {
                self.0.inner.put_opts(location, payload.clone(), options.clone()).await?;
                self.0.inner.put_opts(location, payload, options).await
            }
            Some(Mishap::Slow(time)) => {
                tokio::time::sleep(time).await;
                self.0.inner.put_opts(location, payload, options).await
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.reads.lock().unwrap().push(location.clone());
        self.0.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.inner.copy_opts(from, to, options).await
    }
}
