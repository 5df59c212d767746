//! [`HistoryError`]: why a history cannot be read or written.

/// Tells why a history cannot be read or written. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
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
        source: object_store::Error,
    },
}
