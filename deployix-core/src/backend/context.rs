//! [`StepContext`]: what a step may use of the outside besides its provider.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Awaited, BackendError, ErrorKind, FileRef, Keeper};
use crate::{digest::Digest, name::SecretName};

/// What a step may use of the outside besides its provider: files' contents, secrets' values, and
/// somebody who reads along; and on whose account it is carried out.
#[derive(Clone, Copy)]
pub struct StepContext<'a> {
    files: &'a dyn Files,
    secrets: &'a dyn Secrets,
    listener: &'a (dyn Fn(&str) + Send + Sync),
    watcher: Option<&'a (dyn Fn(&Awaited) + Send + Sync)>,
    keeper: Option<&'a Keeper>,
}

/// Where the contents of files are.
#[async_trait]
pub trait Files: Send + Sync {
    /// The content of a digest.
    ///
    /// # Errors
    /// Where it is not to be had.
    async fn content(&self, digest: Digest) -> Result<Arc<[u8]>, BackendError>;
}

/// Where the values of secrets are.
#[async_trait]
pub trait Secrets: fmt::Debug + Send + Sync {
    /// The value of a secret.
    ///
    /// # Errors
    /// Where it is not to be had, and what to do about it.
    async fn value(&self, name: &SecretName) -> Result<SecretValue, SecretError>;
}

/// The value of a secret: never printed, and wiped from memory once nobody needs it.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// A value of bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for whoever hands them on to the program that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// Tells why a secret is not to be had, and what to do about it; never what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no secret `{name}`: {reason}")]
pub struct SecretError {
    /// The secret.
    pub name: SecretName,
    /// Why, and what to do about it, in lower case.
    pub reason: String,
}

impl<'a> StepContext<'a> {
    /// A context; each line that a step tells goes to the listener.
    pub fn new(
        files: &'a dyn Files,
        secrets: &'a dyn Secrets,
        listener: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Self {
        Self { files, secrets, listener, watcher: None, keeper: None }
    }

    /// The same with somebody who is told what the step waits for.
    #[must_use]
    pub fn watched_by(self, watcher: &'a (dyn Fn(&Awaited) + Send + Sync)) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// The same on account of a history.
    #[must_use]
    pub fn kept_by(self, keeper: &'a Keeper) -> Self {
        Self { keeper: Some(keeper), ..self }
    }

    /// The history on whose account the step is carried out: whatever is made says so, and what
    /// another one keeps stays as it is. With none, nothing is told apart.
    #[must_use]
    pub fn keeper(&self) -> Option<&'a Keeper> {
        self.keeper
    }

    /// The content of a file.
    ///
    /// # Errors
    /// Where it is not to be had.
    pub async fn file(&self, file: &FileRef) -> Result<Arc<[u8]>, BackendError> {
        self.files.content(file.digest).await
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// Where it is not to be had.
    pub async fn secret(&self, name: &SecretName) -> Result<SecretValue, BackendError> {
        self.secrets.value(name).await.map_err(|error| {
            BackendError::permanent(ErrorKind::NotFound, "secret", error.to_string())
        })
    }

    /// Tells a line about what is being done, such as one of a build's log.
    pub fn tell(&self, line: &str) {
        (self.listener)(line);
    }

    /// Tells what is waited for, each time that it was looked at: whoever carries the step out shows what
    /// takes long, and not too often.
    pub fn waits(&self, wait: &Awaited) {
        if let Some(watcher) = self.watcher {
            watcher(wait);
        }
    }
}

impl fmt::Debug for StepContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext").finish_non_exhaustive()
    }
}

/// No contents of files at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

#[async_trait]
impl Files for NoFiles {
    async fn content(&self, digest: Digest) -> Result<Arc<[u8]>, BackendError> {
        let message = format!("the content {digest} is not at hand");
        Err(BackendError::permanent(ErrorKind::NotFound, "file", message))
    }
}

/// Contents of files that are at hand.
#[async_trait]
impl Files for std::collections::BTreeMap<Digest, Arc<[u8]>> {
    async fn content(&self, digest: Digest) -> Result<Arc<[u8]>, BackendError> {
        match self.get(&digest) {
            Some(content) => Ok(Arc::clone(content)),
            None => NoFiles.content(digest).await,
        }
    }
}

/// No secrets at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn value(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        let reason = "no place for secrets is known here".to_owned();
        Err(SecretError { name: name.clone(), reason })
    }
}
