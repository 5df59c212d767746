//! What a step does to what a machine is made of.

use std::{collections::BTreeMap, sync::Arc};

use deployix_core::{
    Name, ResourceId, SecretName,
    backend::{BackendError, Input, Inputs, SecretValue, StepContext},
};

use deployix_transport::{Command, Entry};

use super::{command::script, record::Record};
use crate::compile;

const FORGET: &str = include_str!("forget.sh");

/// A change of what a machine is made of.
#[derive(Debug)]
pub(super) enum Change {
    /// A resource as it is wanted.
    Put(Box<Put>),
    /// A resource that goes.
    Remove {
        id: ResourceId,
        /// The functionality whose secrets go as well.
        secrets_of: Option<Name>,
    },
    /// All goes: the machine runs what it ran before.
    Leave,
}

impl Change {
    /// The resource that it is about, where it is not about all.
    pub(super) fn id(&self) -> Option<&ResourceId> {
        match self {
            Self::Put(put) => Some(&put.record.id),
            Self::Remove { id, .. } => Some(id),
            Self::Leave => None,
        }
    }
}

/// A resource as it is wanted on a machine.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) record: Record,
    pub(super) files: BTreeMap<String, File>,
    pub(super) secrets: Option<Secrets>,
    pub(super) base: Option<Base>,
}

/// A file below the flake.
#[derive(Debug)]
pub(super) struct File {
    pub(super) content: Arc<[u8]>,
    pub(super) executable: bool,
}

/// The values of a functionality's secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) functionality: Name,
    pub(super) values: BTreeMap<SecretName, SecretValue>,
}

/// What only the resource has that all others of the machine come after.
#[derive(Debug)]
pub(super) struct Base {
    /// The file that imports the modules.
    pub(super) imports: String,
    /// Modules that are the machine's own.
    pub(super) host_modules: Vec<String>,
    /// Whether this machine builds, and not that which deploys.
    pub(super) built_by_host: bool,
    /// How many seconds the machine waits for a confirmation.
    pub(super) confirm_within: i64,
}

/// The files of a resource, with their contents.
pub(super) async fn files(
    inputs: &Inputs,
    context: &StepContext<'_>,
) -> Result<BTreeMap<String, File>, BackendError> {
    let Some(Input::Map(given)) = inputs.get("files") else {
        return Err(BackendError::unreadable("there are no `files`"));
    };
    let mut files = BTreeMap::new();
    for (path, file) in given {
        let Input::File(file) = file else {
            return Err(BackendError::unreadable(&format!("`files.{path}` is no file")));
        };
        let content = context.file(file).await.map_err(BackendError::as_it_was)?;
        files.insert(path.to_string(), File { content, executable: file.executable });
    }
    Ok(files)
}

/// The values of a resource's secrets.
pub(super) async fn secrets(
    inputs: &Inputs,
    functionality: Name,
    context: &StepContext<'_>,
) -> Result<Secrets, BackendError> {
    let mut values = BTreeMap::new();
    if let Some(Input::Map(secrets)) = inputs.get("secrets") {
        for secret in secrets.values() {
            let Input::Secret(name) = secret else {
                return Err(BackendError::unreadable("`secrets` holds something else"));
            };
            let value = context.secret(name).await.map_err(BackendError::as_it_was)?;
            values.insert(name.clone(), value);
        }
    }
    Ok(Secrets { functionality, values })
}

/// Files below a flake, as they are put on a machine.
pub(super) fn entries(flake: &str, files: &BTreeMap<String, File>) -> Vec<Entry> {
    let entry = |(path, file): (&String, &File)| {
        let mode = if file.executable { 0o755 } else { 0o644 };
        Entry::file(format!("{flake}/{path}"), file.content.to_vec(), mode)
    };
    files.iter().map(entry).collect()
}

/// Removes secrets that nobody needs any more.
pub(super) fn forget(deployment: &Name, kept: Vec<String>) -> Command {
    script(FORGET, "forget", &[compile::SECRETS, deployment.as_str()]).args(kept)
}

impl Secrets {
    /// The functionality, and the names of its secrets, as `forget.sh` takes them.
    pub(super) fn kept(&self) -> String {
        let names: Vec<&str> = self.values.keys().map(SecretName::as_str).collect();
        format!("{}:{}", self.functionality, names.join(","))
    }

    /// Files that only root can read, one for each.
    pub(super) fn entries(&self, deployment: &Name) -> Vec<Entry> {
        if self.values.is_empty() {
            return Vec::new();
        }
        let folder = compile::secrets(deployment, &self.functionality);
        let files = self.values.iter().map(|(name, value)| {
            Entry::file(format!("{folder}/{name}"), value.expose().to_vec(), 0o400)
        });
        [Entry::folder(compile::SECRETS, 0o700)].into_iter().chain(files).collect()
    }
}
