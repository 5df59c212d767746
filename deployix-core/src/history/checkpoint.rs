//! Checkpoints: what stood after an entry, so that the ones before need not be read.
//!
//! They are written now and then by whoever appends. Where there is none, all is read.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{
    Heads, HistoryError,
    seal::{FORMAT, seal, unseal},
    shelf::{Numbered, Shelf},
};
use crate::{digest::Digest, name::Name};

/// A checkpoint's first line; what stood is the second.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Header {
    format: u64,
    deployment: Name,
    position: u64,
    /// The digest of the entry of that position.
    last: Digest,
}

/// When the next checkpoint is due: when what was appended since the last one outweighs it. So
/// writing them costs as much as appending does, however much stands.
#[derive(Debug)]
pub(super) struct Due {
    newest: Option<Numbered>,
    /// What each entry since then weighs.
    since: Vec<(u64, u64)>,
}

impl Due {
    /// What an entry weighs beside its bytes: asking for it takes time, too.
    const ENTRY: u64 = 4 << 10;
    /// No checkpoint is worth writing for less.
    const LEAST: u64 = 512 << 10;

    pub(super) fn new(newest: Option<Numbered>) -> Self {
        Self { newest, since: Vec::new() }
    }

    /// The newest checkpoint known of; 0 where there is none.
    pub(super) fn newest(&self) -> u64 {
        self.newest.map_or(0, |newest| newest.position)
    }

    /// Counts an entry.
    pub(super) fn passed(&mut self, position: u64, bytes: usize) {
        self.since.push((position, bytes as u64 + Self::ENTRY));
    }

    /// Whether a checkpoint is due.
    pub(super) fn is_due(&self) -> bool {
        let weight: u64 = self.since.iter().map(|(_, weight)| weight).sum();
        weight > self.newest.map_or(0, |newest| newest.size).max(Self::LEAST)
    }

    /// Knows of a newer checkpoint.
    fn saw(&mut self, checkpoint: Numbered) {
        self.newest = Some(checkpoint);
        self.since.retain(|(position, _)| *position > checkpoint.position);
    }

    /// Writes a checkpoint, unless somebody else has.
    pub(super) async fn write(
        &mut self,
        shelf: &Shelf,
        heads: &Heads,
        last: Digest,
    ) -> Result<(), HistoryError> {
        if let Some(newer) = shelf.list_checkpoints(self.newest()).await?.last() {
            self.saw(*newer);
        }
        if !self.is_due() {
            return Ok(());
        }
        let position = heads.generation;
        let path = shelf.checkpoint(position);
        let header =
            Header { format: FORMAT, deployment: shelf.deployment.clone(), position, last };
        let write = || {
            let mut body = serde_json::to_vec(heads)?;
            body.push(b'\n');
            seal(&header, &body)
        };
        let bytes = write().map_err(|source| HistoryError::Unwritable {
            path: path.to_string(),
            source: source.into(),
        })?;
        let size = bytes.len() as u64;
        shelf.put(&path, bytes.into()).await?;
        self.saw(Numbered { position, size });
        Ok(())
    }
}

/// What stood at a checkpoint, and the digest of the last entry before; nothing at 0.
pub(super) async fn read(
    shelf: &Shelf,
    position: u64,
) -> Result<(Heads, Option<Digest>), HistoryError> {
    if position == 0 {
        return Ok((Heads::default(), None));
    }
    let path = shelf.checkpoint(position);
    let bytes = shelf.get(&path).await?.ok_or_else(|| HistoryError::Missing {
        path: path.to_string(),
        because: "it was listed".to_owned(),
    })?;
    let read = decode(&path, &shelf.deployment, position, &bytes);
    let (heads, last) = read.map_err(HistoryError::of_checkpoint)?;
    Ok((heads, Some(last)))
}

fn decode(
    path: &Path,
    deployment: &Name,
    position: u64,
    bytes: &[u8],
) -> Result<(Heads, Digest), HistoryError> {
    let (header, body) = unseal::<Header>(path, bytes)?;
    let heads: Heads = serde_json::from_slice(body)
        .map_err(|error| HistoryError::damaged(path, format!("its second line: {error}")))?;
    let is = (&header.deployment, header.position, heads.generation);
    if is != (deployment, position, position) {
        let why = format!("it is of {} at {}", header.deployment, header.position);
        return Err(HistoryError::damaged(path, why));
    }
    Ok((heads, header.last))
}
