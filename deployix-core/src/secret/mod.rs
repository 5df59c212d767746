//! [`SecretsFolder`]: the values of secrets, from files beside the deployment.
//!
//! A secret is one file of the folder: `NAME.age` or `NAME.gpg`, encrypted, or a plain `NAME` for
//! development. Values are read where a step needs them, and are in no message.

#[cfg(feature = "age")]
mod age;
mod gpg;

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{
    backend::{SecretError, SecretValue, Secrets},
    name::SecretName,
};

/// How large a secret's file may be, in bytes.
const LARGEST: u64 = 1 << 20;

/// A folder of secrets.
///
/// ```
/// use deployix_core::{SecretName, backend::Secrets, secret::SecretsFolder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let folder = SecretsFolder::new("no/such/folder");
/// let error = folder.value(&SecretName::new("db")?).await.unwrap_err();
/// assert!(error.reason.contains("db.age"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SecretsFolder {
    folder: PathBuf,
    #[cfg_attr(not(feature = "age"), expect(dead_code, reason = "age alone reads it"))]
    identity: Option<PathBuf>,
}

/// How the file of a secret is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Age,
    Gpg,
    Plain,
}

/// The forms with the endings of their files' names.
const FORMS: [(Form, &str); 3] = [(Form::Age, ".age"), (Form::Gpg, ".gpg"), (Form::Plain, "")];

impl SecretsFolder {
    /// A folder, with no identity to decrypt files of age with.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), identity: None }
    }

    /// Sets the file of the identities that files of age are decrypted with.
    #[must_use]
    pub fn identity(self, file: impl Into<PathBuf>) -> Self {
        Self { identity: Some(file.into()), ..self }
    }

    /// Where people keep their identities: the file that `$DEPLOYIX_IDENTITY` names, else
    /// `deployix/identity` in their folder for configuration.
    #[must_use]
    pub fn usual_identity() -> Option<PathBuf> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let below = |folder: PathBuf| folder.join("deployix").join("identity");
        variable("DEPLOYIX_IDENTITY")
            .map(PathBuf::from)
            .or_else(|| variable("XDG_CONFIG_HOME").map(|folder| below(folder.into())))
            .or_else(|| variable("HOME").map(|home| below(Path::new(&home).join(".config"))))
    }

    /// The one file of a secret.
    fn find(&self, name: &SecretName) -> Result<(Form, PathBuf), String> {
        let path = |ending: &str| self.folder.join(format!("{name}{ending}"));
        // What is encrypted is no value, even where somebody calls a secret like such a file.
        let encrypted = [".age", ".gpg"].iter().any(|ending| name.as_str().ends_with(ending));
        let forms = FORMS.iter().filter(|(form, _)| *form != Form::Plain || !encrypted);
        let mut found = Vec::new();
        let mut looked = Vec::new();
        for (form, ending) in forms {
            let path = path(ending);
            match path.symlink_metadata() {
                Ok(_) => found.push((*form, path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    looked.push(format!("`{}`", path.display()));
                }
                Err(error) => return Err(format!("cannot look for `{}`: {error}", path.display())),
            }
        }
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            0 => Err(format!("none of the files {} is there; make one of them", looked.join(", "))),
            _ => {
                let paths: Vec<_> =
                    found.iter().map(|(_, path)| format!("`{}`", path.display())).collect();
                Err(format!("it is in several files: {}; keep one of them", paths.join(", ")))
            }
        }
    }

    fn read(&self, name: &SecretName) -> Result<SecretValue, String> {
        let (form, path) = self.find(name)?;
        let bytes = match form {
            Form::Plain => plain(&path),
            Form::Gpg => gpg::decrypt(&path),
            #[cfg(feature = "age")]
            Form::Age => age::decrypt(&path, self.identity.as_deref()),
            #[cfg(not(feature = "age"))]
            Form::Age => Err("this program was built without age".to_owned()),
        };
        let mut bytes = bytes.map_err(|reason| format!("`{}`: {reason}", path.display()))?;
        Ok(SecretValue::new(std::mem::take(&mut *bytes)))
    }
}

#[async_trait]
impl Secrets for SecretsFolder {
    async fn value(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        let (folder, own) = (self.clone(), name.clone());
        // Decrypting takes its time, and gpg may ask somebody for a passphrase.
        let read = tokio::task::spawn_blocking(move || folder.read(&own)).await;
        let read = read.unwrap_or_else(|_| Err("reading it was given up".to_owned()));
        read.map_err(|reason| SecretError { name: name.clone(), reason })
    }
}

/// The bytes of a file as they are.
fn plain(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: io::Error| format!("cannot read it: {error}");
    // Asked before it is opened: opening a pipe would wait for its other end.
    let metadata = path.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    bounded(File::open(path).map_err(failed)?, metadata.len()).map_err(failed)
}

/// All that a reader gives, with no copies of it left behind.
fn bounded(reader: impl Read, expected: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let room = usize::try_from(expected.min(LARGEST)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    reader.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}
