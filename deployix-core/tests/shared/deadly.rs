//! A store under a history whose user dies at an entry of the log.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, path::Path as Key,
};

/// When somebody dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// The moment at which somebody dies: at an entry of the log, by its number among those that they write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) when: When,
    pub(crate) entry: usize,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.when == When::Before { "before" } else { "after" };
        write!(f, "{when} {}", self.entry)
    }
}

impl FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (when, entry) = text.split_once(' ').ok_or("no moment of death")?;
        let when = if when == "before" { When::Before } else { When::After };
        Ok(Self { when, entry: entry.parse().map_err(|_| "no number of an entry")? })
    }
}

/// A store whose user dies, by what `die` does, at an entry of the log.
pub(crate) struct Deadly {
    inner: Arc<dyn ObjectStore>,
    death: Death,
    die: Box<dyn Fn() + Send + Sync>,
    entries: AtomicUsize,
}

impl Deadly {
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        death: Death,
        die: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { inner, death, die: Box::new(die), entries: AtomicUsize::new(0) }
    }

    async fn die_at(&self, when: When, entry: usize) {
        if (when, entry) == (self.death.when, self.death.entry) {
            (self.die)();
            std::future::pending().await
        }
    }
}

impl fmt::Debug for Deadly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Deadly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadly {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Deadly {
    async fn put_opts(
        &self,
        location: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if !location.as_ref().contains("/log/") {
            return self.inner.put_opts(location, payload, options).await;
        }
        let entry = self.entries.fetch_add(1, Ordering::SeqCst);
        self.die_at(When::Before, entry).await;
        let result = self.inner.put_opts(location, payload, options).await;
        self.die_at(When::After, entry).await;
        result
    }

    async fn put_multipart_opts(
        &self,
        location: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Key,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Key>,
        offset: &Key,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Key,
        to: &Key,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(
        &self,
        from: &Key,
        to: &Key,
        options: RenameOptions,
    ) -> object_store::Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
