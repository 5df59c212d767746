//! What a machine knows of the resources that it is made of.

use std::collections::BTreeSet;

use deployix_core::{
    Digest, HistoryId, ResourceId,
    backend::{BackendError, ErrorKind, Owner},
};
use serde::{Deserialize, Serialize};

/// The form of records that this release writes and reads.
const FORMAT: u32 = 1;

/// One resource on a machine, written down there as a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    pub(super) id: ResourceId,
    pub(super) owner: Owner,
    pub(super) digest: Digest,
    /// Its files, below the flake.
    pub(super) files: BTreeSet<String>,
    /// The units that are active while it runs.
    pub(super) units: Vec<String>,
    /// What it was built to, where that is a profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) built: Option<String>,
    /// The history that keeps it; nothing where it was written before there were ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<HistoryId>,
}

impl Record {
    pub(super) fn new(
        id: ResourceId,
        owner: Owner,
        digest: Digest,
        files: BTreeSet<String>,
        units: Vec<String>,
    ) -> Self {
        Self { format: FORMAT, id, owner, digest, files, units, built: None, history: None }
    }

    /// The same, built.
    pub(super) fn built_to(&self, path: &str) -> Self {
        Self { built: Some(path.to_owned()), ..self.clone() }
    }

    /// The same, kept by a history.
    pub(super) fn kept_by(self, history: Option<&HistoryId>) -> Self {
        Self { history: history.cloned(), ..self }
    }

    /// The file that it is in, in the folder of records: ids have no `~`.
    pub(super) fn file(id: &ResourceId) -> String {
        id.as_str().replace('/', "~") + ".json"
    }

    pub(super) fn line(&self) -> Vec<u8> {
        // Texts and lists always serialize.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Reads records, one from each line.
    ///
    /// # Errors
    /// A line that no release so far writes.
    pub(super) fn read<'a>(
        lines: impl Iterator<Item = &'a str>,
        host: &str,
    ) -> Result<Vec<Self>, BackendError> {
        let read = |line: &str| {
            let wrong = |why: String| {
                let message = format!(
                    "a record below /var/lib/deployix of {host} is not as this release writes them: \
                     {why}; use the release that wrote it, or put it right: {line}"
                );
                BackendError::permanent(ErrorKind::Invalid, "read records", message).as_it_was()
            };
            let record: Self =
                serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            if record.format != FORMAT {
                return Err(wrong(format!("its format is {}", record.format)));
            }
            Ok(record)
        };
        lines.filter(|line| !line.is_empty()).map(read).collect()
    }
}
