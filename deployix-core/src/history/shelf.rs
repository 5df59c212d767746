//! [`Shelf`]: where the objects of one deployment's history are, and how they are read and put.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, path::Path};

use super::{
    HistoryError,
    entry::{self, Read},
};
use crate::{digest::Digest, name::Name};

/// How many objects are asked for at once.
const AT_ONCE: usize = 16;

/// The part of a store that holds one deployment's history:
///
/// * `log/<position>.json`: the entries
/// * `checkpoints/<position>.json`: what stood after an entry, to read fewer of them
/// * `contents/<2 digits>/<digest>`: contents that records name
#[derive(Debug)]
pub(super) struct Shelf {
    store: Arc<dyn ObjectStore>,
    pub(super) deployment: Name,
    root: Path,
}

/// How a put ended.
#[derive(Debug)]
pub(super) enum Put {
    /// It was put.
    Done,
    /// Something stands there: somebody else's, or what an earlier attempt of the same put wrote.
    Taken,
}

/// An object in a numbered folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub(super) position: u64,
    pub(super) size: u64,
}

impl Shelf {
    pub(super) fn new(store: Arc<dyn ObjectStore>, deployment: &Name) -> Self {
        let root = Path::from(deployment.as_str());
        Self { store, deployment: deployment.clone(), root }
    }

    /// Where the entry of a position is.
    pub(super) fn log(&self, position: u64) -> Path {
        numbered(&self.root.clone().join("log"), position)
    }

    /// Where the checkpoint after a position is.
    pub(super) fn checkpoint(&self, position: u64) -> Path {
        numbered(&self.root.clone().join("checkpoints"), position)
    }

    /// Where a content is.
    pub(super) fn content(&self, digest: Digest) -> Path {
        let digest = digest.to_string();
        self.root.clone().join("contents").join(&digest[..2]).join(digest)
    }

    /// The newest position that the store lists, after one that is there. What lies between is
    /// there, too.
    ///
    /// A folder may be listed while entries are added: then a newer one may be listed and an older
    /// one not. So what seems to be missing is asked for.
    pub(super) async fn newest(&self, after: u64) -> Result<u64, HistoryError> {
        let mut reached = after;
        for found in self.list("log", after).await? {
            for between in reached + 1..found.position {
                if self.size(&self.log(between)).await?.is_none() {
                    return Err(HistoryError::Missing {
                        path: self.log(between).to_string(),
                        because: format!("{} is there", self.log(found.position)),
                    });
                }
            }
            reached = found.position;
        }
        Ok(reached)
    }

    /// The checkpoints after a position, in order.
    pub(super) async fn list_checkpoints(&self, after: u64) -> Result<Vec<Numbered>, HistoryError> {
        self.list("checkpoints", after).await
    }

    /// What is not named by a number is somebody else's and left alone.
    async fn list(&self, folder: &str, after: u64) -> Result<Vec<Numbered>, HistoryError> {
        let folder = self.root.clone().join(folder);
        let listed = self.store.list_with_offset(Some(&folder), &numbered(&folder, after));
        let listed: Vec<_> = listed
            .try_collect()
            .await
            .map_err(|error| HistoryError::store("cannot list", &folder, error))?;
        let mut found: Vec<_> = listed
            .iter()
            .filter_map(|object| {
                let position = position(object.location.filename()?)?;
                // Not below a folder of such a name.
                let own = object.location == numbered(&folder, position);
                own.then_some(Numbered { position, size: object.size })
            })
            .collect();
        found.sort_by_key(|object| object.position);
        Ok(found)
    }

    /// An object; nothing where there is none.
    pub(super) async fn get(&self, path: &Path) -> Result<Option<Bytes>, HistoryError> {
        let get = async { self.store.get(path).await?.bytes().await };
        match get.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(HistoryError::store("cannot read", path, error)),
        }
    }

    /// The size of an object; nothing where there is none.
    pub(super) async fn size(&self, path: &Path) -> Result<Option<u64>, HistoryError> {
        match self.store.head(path).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(HistoryError::store("cannot read", path, error)),
        }
    }

    /// Puts an object where there is none.
    ///
    /// After an error it is not known whether it was put.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<Put, HistoryError> {
        match self.store.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Put::Done),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Taken),
            Err(error) => Err(HistoryError::store("cannot write", path, error)),
        }
    }

    /// The entry of a position; nothing where there is none.
    pub(super) async fn entry(&self, position: u64) -> Result<Option<Read>, HistoryError> {
        let path = self.log(position);
        match self.get(&path).await? {
            Some(bytes) => entry::decode(&path, &self.deployment, position, bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Entries that must be there, in order and each proven to follow the one before.
    ///
    /// With nothing for what comes before them, the first one's predecessor is not looked at.
    pub(super) async fn entries(
        &self,
        positions: std::ops::RangeInclusive<u64>,
        mut previous: Previous,
    ) -> Result<Vec<Read>, HistoryError> {
        let read: Vec<Read> = stream::iter(positions)
            .map(async |position| {
                self.entry(position).await?.ok_or_else(|| HistoryError::Missing {
                    path: self.log(position).to_string(),
                    because: "later entries are there or were".to_owned(),
                })
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (index, one) in read.iter().enumerate() {
            // Where an entry and the one before it do not fit, the next one knows which is wrong.
            let foreign = read.get(index + 1).is_some_and(|next| next.previous != Some(one.digest));
            self.follows(one, previous, foreign)?;
            previous = Previous::Known(Some(one.digest));
        }
        Ok(read)
    }

    /// That an entry was written after the one before it as that is now; else it is the one before
    /// that was changed, unless it is known to be this one.
    pub(super) fn follows(
        &self,
        read: &Read,
        previous: Previous,
        foreign: bool,
    ) -> Result<(), HistoryError> {
        let Previous::Known(digest) = previous else { return Ok(()) };
        if digest == read.previous {
            return Ok(());
        }
        let position = read.entry.position;
        let (own, before) = (self.log(position), self.log(position.saturating_sub(1)));
        Err(match digest {
            None => HistoryError::damaged(&own, "it claims that something comes before it"),
            Some(_) if foreign => {
                let why = format!("it was written neither after {before} nor before the next one");
                HistoryError::damaged(&own, why)
            }
            Some(_) => {
                HistoryError::damaged(&before, format!("{own} was written after another one"))
            }
        })
    }
}

/// What is known of what comes before an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Previous {
    /// Nothing.
    Unknown,
    /// The digest of the entry before it, or that there is none.
    Known(Option<Digest>),
}

fn numbered(folder: &Path, position: u64) -> Path {
    folder.clone().join(format!("{position:020}.json"))
}

fn position(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
