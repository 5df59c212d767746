//! [`store`]: the store that a deployment names.

use std::{path::Path, sync::Arc};

use object_store::{
    ObjectStore, local::LocalFileSystem, memory::InMemory, path::Path as Key, prefix::PrefixStore,
};

use super::HistoryError;

/// The store that is named by:
///
/// * `file:FOLDER`: a folder, relative to a base, made when something is first written
/// * `memory:`: nothing that outlives the program
/// * `s3://BUCKET/PREFIX`: with the feature `s3`; region, endpoint and credentials come from the
///   variables `AWS_*` of the environment
///
/// # Errors
/// Where the name is none of them, or the store cannot be used at all.
pub fn store(url: &str, base: &Path) -> Result<Arc<dyn ObjectStore>, HistoryError> {
    let unknown = |why: &str| HistoryError::Url { url: url.to_owned(), why: why.to_owned() };
    match url.split_once(':') {
        Some(("file", folder)) if !folder.is_empty() => {
            let folder = std::path::absolute(base.join(folder))
                .map_err(|error| unknown(&error.to_string()))?;
            let key = Key::from_absolute_path(&folder)
                .map_err(|error| unknown(&format!("the folder cannot be used: {error}")))?;
            let files = LocalFileSystem::new().with_fsync(true);
            Ok(Arc::new(PrefixStore::new(files, key)))
        }
        Some(("memory", "")) => Ok(Arc::new(InMemory::new())),
        Some(("s3", _)) => Err(unknown("this program was built without the feature `s3`")),
        _ => Err(unknown("it must be file:FOLDER, s3://BUCKET/PREFIX or memory:")),
    }
}
