//! Sealed documents: a line of JSON about what follows, and the lines that follow.
//!
//! The first line ends with a digest of everything else, so that a document that was cut off or
//! edited is noticed, whatever was changed.

use object_store::path::Path;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::HistoryError;
use crate::digest::Digest;

/// The format of all that is written, told in each document's first line.
pub(super) const FORMAT: u64 = 1;

const DIGEST: &str = ",\"digest\":\"";

/// Writes a document. The header must serialize to an object that is not empty.
pub(super) fn seal(header: &impl Serialize, body: &[u8]) -> serde_json::Result<Vec<u8>> {
    let header = serde_json::to_string(header)?;
    let digest = digest(&header, body);
    let open = header.strip_suffix('}').unwrap_or(&header);
    let mut bytes = format!("{open}{DIGEST}{digest}\"}}\n").into_bytes();
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// Reads a document's header and body.
pub(super) fn unseal<'b, H: DeserializeOwned>(
    path: &Path,
    bytes: &'b [u8],
) -> Result<(H, &'b [u8]), HistoryError> {
    let damaged = |why: &str| HistoryError::damaged(path, why);
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| match bytes.len() {
        0 => damaged("it is empty"),
        _ => damaged("its first line is cut off"),
    })?;
    let (line, body) = (&bytes[..end], &bytes[end + 1..]);

    // The format comes first: of a newer one nothing else is known.
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let format: Format =
        serde_json::from_slice(line).map_err(|_| damaged("its first line tells no format"))?;
    if format.format > FORMAT {
        let path = path.to_string();
        return Err(HistoryError::Newer { path, format: format.format, known: FORMAT });
    }

    let line = std::str::from_utf8(line).map_err(|_| damaged("its first line is no text"))?;
    let (open, told) = line
        .rsplit_once(DIGEST)
        .and_then(|(open, rest)| Some((open, rest.strip_suffix("\"}")?)))
        .ok_or_else(|| damaged("its first line does not end with a digest"))?;
    let header = format!("{open}}}");
    if told != digest(&header, body).to_string() {
        return Err(damaged("it was cut off or edited, as its digest tells"));
    }
    let header = serde_json::from_str(&header)
        .map_err(|error| damaged(&format!("its first line is not known here: {error}")))?;
    Ok((header, body))
}

fn digest(header: &str, body: &[u8]) -> Digest {
    Digest::of_parts(&[header.as_bytes(), b"\n", body])
}
