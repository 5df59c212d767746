//! [`HistoryError`]: why a history cannot be read or written.

use std::sync::Arc;

use object_store::path::Path;

/// Tells why a history cannot be read or written. Nothing was overwritten.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The store does not answer, or refuses.
    #[error("{operation} {path}")]
    Store {
        /// What was being done, such as "cannot read".
        operation: &'static str,
        /// The object.
        path: String,
        /// What the store says.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// An object is not as it was written.
    #[error("{path} is not as it was written: {why}; nothing was overwritten: {remedy}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// An object that must be there is not.
    #[error(
        "{path} is missing, though {because}; nothing was overwritten: \
         put it back, from a copy of the history"
    )]
    Missing {
        /// The object.
        path: String,
        /// How that is known.
        because: String,
    },
    /// An object was written by a newer version of this program.
    #[error(
        "{path} is of format {format}, and this version reads format {known} only: \
         use the version that wrote it, or a newer one"
    )]
    Newer {
        /// The object.
        path: String,
        /// Its format.
        format: u64,
        /// The newest format that this version reads.
        known: u64,
    },
    /// A generation was asked for that is not there yet.
    #[error("there is no generation {asked}; the history has come to {reached}")]
    NotSoFar {
        /// What was asked for.
        asked: u64,
        /// The newest one.
        reached: u64,
    },
    /// What is to be written has no JSON.
    #[error("{path} cannot be written as JSON")]
    Unwritable {
        /// The object.
        path: String,
        /// Why.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// What appends was stopped before it could tell.
    #[error("appending was stopped, so it is not known whether it was done")]
    Stopped,
    /// It is not said where the history is in a way that is known here.
    #[error("{url:?} is no place for a history: {why}")]
    Url {
        /// What was said.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl HistoryError {
    pub(super) fn store(operation: &'static str, path: &Path, source: object_store::Error) -> Self {
        Self::Store { operation, path: path.to_string(), source: Arc::new(source) }
    }

    /// Whether trying again cannot help.
    pub(super) fn is_final(&self) -> bool {
        use object_store::Error;
        match self {
            Self::Store { source, .. } => matches!(
                **source,
                Error::InvalidPath { .. }
                    | Error::NotSupported { .. }
                    | Error::NotImplemented { .. }
                    | Error::PermissionDenied { .. }
                    | Error::Unauthenticated { .. }
                    | Error::UnknownConfigurationKey { .. }
            ),
            _ => true,
        }
    }

    /// The same about a checkpoint.
    pub(super) fn of_checkpoint(self) -> Self {
        match self {
            Self::Damaged { path, why, .. } => {
                let remedy = "remove it, as all that it tells is in the log, too";
                Self::Damaged { path, why, remedy }
            }
            other => other,
        }
    }

    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        let remedy = "put back what stood there, from a copy of the history";
        Self::Damaged { path: path.to_string(), why: why.into(), remedy }
    }
}
