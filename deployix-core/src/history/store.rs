//! [`store`]: the store that a deployment names.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

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
    let all = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    store_with(url, base, &all.filter(|(name, _)| name.starts_with("AWS_")).collect())
}

/// The same, with other variables than those of the environment.
///
/// # Errors
/// As [`store`].
pub fn store_with(
    url: &str,
    base: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, HistoryError> {
    let unknown = |why: &str| HistoryError::Url { url: url.to_owned(), why: why.to_owned() };
    match url.split_once(':') {
        Some(("file", folder)) if !folder.is_empty() => {
            let folder = real(&base.join(folder)).map_err(|error| unknown(&error.to_string()))?;
            let key = Key::from_absolute_path(&folder)
                .map_err(|error| unknown(&format!("the folder cannot be used: {error}")))?;
            let files = LocalFileSystem::new().with_fsync(true);
            Ok(Arc::new(PrefixStore::new(files, key)))
        }
        Some(("memory", "")) => Ok(Arc::new(InMemory::new())),
        Some(("s3", _)) => bucket(url, variables),
        _ => Err(unknown("it must be file:FOLDER, s3://BUCKET/PREFIX or memory:")),
    }
}

/// Where a path really leads, of which not all has to be there; a store's keys know no `..`.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match fs::canonicalize(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = path.parent() else { return Err(error) };
            let mut real = real(parent)?;
            match path.file_name() {
                Some(name) => real.push(name),
                None => drop(real.pop()),
            }
            Ok(real)
        }
        other => other,
    }
}

/// A part of a bucket.
#[cfg(feature = "s3")]
fn bucket(
    url: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, HistoryError> {
    use std::time::Duration;

    use object_store::{
        RetryConfig,
        aws::{AmazonS3Builder, AmazonS3ConfigKey},
    };

    let unknown = |why: String| HistoryError::Url { url: url.to_owned(), why };
    let place = url.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() {
        return Err(unknown("it must be s3://BUCKET/PREFIX".to_owned()));
    }
    let prefix = Key::parse(prefix).map_err(|error| unknown(error.to_string()))?;

    // Whoever embeds this may have chosen another one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Whoever holds something must tell in time that they go on, or see that they cannot.
    let retry_timeout = Duration::from_secs(10);
    let retry = RetryConfig { max_retries: 4, retry_timeout, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new().with_retry(retry);
    let mut plain = false;
    for (name, value) in variables {
        // What is not known here is about something else.
        let Ok(key) = name.to_ascii_lowercase().parse() else { continue };
        let endpoint = matches!(key, AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint);
        plain |= endpoint && value.starts_with("http://");
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(bucket);
    if plain {
        builder = builder.with_allow_http(true);
    }
    let store = builder.build().map_err(|error| unknown(error.to_string()))?;
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

#[cfg(not(feature = "s3"))]
fn bucket(url: &str, _: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>, HistoryError> {
    let why = "this program was built without the feature `s3`".to_owned();
    Err(HistoryError::Url { url: url.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_store_is_refused_with_a_reason() {
        let refused = |url: &str| store(url, Path::new("/")).unwrap_err().to_string();
        for url in ["", "file:", "history", "memory:x", "ftp://x", "https://x"] {
            assert!(refused(url).contains("it must be file:FOLDER"), "{}", refused(url));
        }
        #[cfg(feature = "s3")]
        assert!(refused("s3://").contains("s3://BUCKET/PREFIX"));
        #[cfg(not(feature = "s3"))]
        assert!(refused("s3://bucket").contains("without the feature `s3`"));
    }
}
