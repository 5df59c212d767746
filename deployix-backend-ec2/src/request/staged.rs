//! What is put into S3, for machines to fetch.

use serde::{Deserialize, Serialize};

use super::Value;

/// Renders user data from its template, compresses it (RFC 1952) and puts it into S3, as an object whose
/// key ends in the SHA-256 of its bytes; its output is the key.
///
/// One call, `PutObject`, whose key and body are worked out here. The object is encrypted by S3's own
/// keys and has the tags of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StageUserData {
    /// The bucket.
    pub bucket: String,
    /// What the keys of the resource's objects begin with, whatever is in them.
    pub prefix: String,
    /// The segment of the key that tells contents apart, before outputs are put in.
    pub contents: String,
    /// The text in order; a part is text, or an output put in as it is.
    pub parts: Vec<Value<String>>,
}
