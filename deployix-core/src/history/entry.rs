//! How an entry is written: a line about it, then one record a line.

use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{
    Entry, HistoryError, Record,
    chance::chance,
    seal::{FORMAT, seal, unseal},
};
use crate::{digest::Digest, name::Name};

/// An entry's first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Header {
    format: u64,
    deployment: Name,
    position: u64,
    at: Timestamp,
    /// The digest of all bytes of the entry before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Digest>,
    /// Tells an entry from one that says the same: whoever is not told whether it was written
    /// recognizes it. Begins with the number of the handle that wrote it.
    nonce: String,
}

/// An entry that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) entry: Entry,
    /// The digest of the entry before it.
    pub(super) previous: Option<Digest>,
    /// The digest of its own bytes.
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
    /// The handle that wrote it, as far as tells handles apart.
    pub(super) writer: u32,
}

/// Writes down an entry.
pub(super) fn encode(
    path: &Path,
    deployment: &Name,
    writer: u32,
    previous: Option<Digest>,
    entry: &Entry,
) -> Result<Bytes, HistoryError> {
    let header = Header {
        format: FORMAT,
        deployment: deployment.clone(),
        position: entry.position,
        at: entry.at,
        previous,
        nonce: format!("{writer:08x}{:016x}", chance()),
    };
    let write = || {
        let mut body = Vec::new();
        for record in &entry.records {
            serde_json::to_writer(&mut body, record)?;
            body.push(b'\n');
        }
        seal(&header, &body)
    };
    write().map(Bytes::from).map_err(|source| HistoryError::Unwritable {
        path: path.to_string(),
        source: source.into(),
    })
}

/// Reads an entry of a deployment and position.
pub(super) fn decode(
    path: &Path,
    deployment: &Name,
    position: u64,
    bytes: Bytes,
) -> Result<Read, HistoryError> {
    let (header, body): (Header, _) = unseal(path, &bytes)?;
    if header.deployment != *deployment {
        let why = format!("it is of the deployment {}", header.deployment);
        return Err(HistoryError::damaged(path, why));
    }
    if header.position != position {
        let why = format!("it is the entry of position {}", header.position);
        return Err(HistoryError::damaged(path, why));
    }
    let mut records: Vec<Record> = Vec::new();
    for (index, line) in body.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let record = serde_json::from_slice(line).map_err(|error| {
            HistoryError::damaged(path, format!("its line {} is no record: {error}", index + 2))
        })?;
        records.push(record);
    }
    let digest = Digest::of_bytes(&bytes);
    let entry = Entry { position, at: header.at, records };
    let writer = header.nonce.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let writer = writer.unwrap_or_default();
    Ok(Read { entry, previous: header.previous, digest, bytes, writer })
}
