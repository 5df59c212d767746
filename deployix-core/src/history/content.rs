//! Contents: what records name by its digest, stored once.

use bytes::Bytes;

use super::{
    HistoryError,
    shelf::{Put, Shelf},
};
use crate::digest::Digest;

/// Stores a content, unless it is there.
pub(super) async fn put(shelf: &Shelf, content: Bytes) -> Result<Digest, HistoryError> {
    let digest = Digest::of_bytes(&content);
    let path = shelf.content(digest);
    let length = content.len() as u64;
    let is_whole = |size: u64| {
        let why = format!("it has {size} bytes instead of {length}");
        if size == length { Ok(digest) } else { Err(HistoryError::damaged(&path, why)) }
    };
    if let Some(size) = shelf.size(&path).await? {
        return is_whole(size);
    }
    match shelf.put(&path, content).await? {
        Put::Done => Ok(digest),
        Put::Taken => is_whole(shelf.size(&path).await?.unwrap_or(length)),
    }
}

/// A stored content.
pub(super) async fn get(shelf: &Shelf, digest: Digest) -> Result<Option<Bytes>, HistoryError> {
    let path = shelf.content(digest);
    let Some(content) = shelf.get(&path).await? else { return Ok(None) };
    match Digest::of_bytes(&content) {
        found if found == digest => Ok(Some(content)),
        found => {
            let why = format!("its digest is {found}, not its name");
            Err(HistoryError::damaged(&path, why))
        }
    }
}
