//! What lies beside a spec file: the files that it ships along, and never one from elsewhere.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    name::{NameError, RelativePath},
    spec::{FileContent, Shipped},
};

/// How large the files that one `software.path` ships may be together, and a single file.
const LARGEST: u64 = 64 << 20;
/// How many files one `software.path` may ship.
const MOST: usize = 10_000;
/// How deep folders may be nested in what is shipped.
const DEEPEST: usize = 64;

/// The folder of a spec file.
///
/// A catalog may come from somebody else than the one who deploys it. So what it ships along lies
/// in its own folder: no path leads out of it, and no link does.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// Tells why something beside a spec file cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// What cannot be read.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is a folder, a device or something else that is no file.
    #[error("`{path}` is no file")]
    NoFile {
        /// What it is.
        path: String,
    },
    /// A folder has nothing in it.
    #[error("the folder `{path}` has no file in it")]
    Empty {
        /// The folder.
        path: String,
    },
    /// A link leads to somewhere else.
    #[error("`{path}` is a link that leads out of the folder it is in")]
    LeadsOut {
        /// The link.
        path: String,
    },
    /// A link leads to a folder that it is itself in, or folders are nested too deep.
    #[error("`{path}` is nested too deep, or a link to a folder that it is in")]
    Endless {
        /// The link or folder.
        path: String,
    },
    /// A file, or all of them together, are too large or too many.
    #[error("`{path}` has more than {LARGEST} bytes or {MOST} files")]
    TooLarge {
        /// Where the limit was reached.
        path: String,
    },
    /// A file's name cannot be one on every machine.
    #[error("`{path}` has a file whose name cannot be shipped")]
    Name {
        /// The folder that it is in.
        path: String,
        /// Why.
        source: NameError,
    },
}

impl FolderError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "the path is relative to the file that says it",
            Self::NoFile { .. } => "name a file",
            Self::Empty { .. } => "build what is to be shipped first, or remove the path",
            Self::LeadsOut { .. } => "copy what it leads to into the folder",
            Self::Endless { .. } => "remove the link, or ship a smaller folder",
            Self::TooLarge { .. } => "ship a smaller folder, or make a package or an image of it",
            Self::Name { .. } => "rename the file",
        }
    }
}

impl Folder {
    /// A folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A path that is relative to the folder, or absolute.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }

    /// A file in the folder.
    ///
    /// # Errors
    /// Where there is none, it is too large, or it is a link that leads out of the folder.
    pub fn file(&self, path: &RelativePath) -> Result<FileContent, FolderError> {
        let real = inside(&self.real()?, &self.join(path.as_str()), path.as_str())?;
        read(&real, path.as_str(), LARGEST)
    }

    /// A file in the folder, or all files of a folder in it.
    ///
    /// # Errors
    /// Where there is nothing, there is too much, or a link leads out of what is shipped.
    pub fn ship(&self, path: &RelativePath) -> Result<Shipped, FolderError> {
        let real = inside(&self.real()?, &self.join(path.as_str()), path.as_str())?;
        let mut walk = Walk { shipped: Shipped::default(), room: LARGEST };
        if real.is_dir() {
            walk.folder(&mut vec![real], None, path.as_str())?;
            if walk.shipped.files.is_empty() {
                return Err(FolderError::Empty { path: path.to_string() });
            }
        } else {
            let name = path.parts().last().unwrap_or_default();
            let name = RelativePath::new(name)
                .map_err(|source| FolderError::Name { path: path.to_string(), source })?;
            walk.file(&real, name, path.as_str())?;
        }
        Ok(walk.shipped)
    }

    fn real(&self) -> Result<PathBuf, FolderError> {
        // The folder of a file named without one is the current one.
        let path = if self.path.as_os_str().is_empty() { Path::new(".") } else { &self.path };
        fs::canonicalize(path).map_err(unreadable(&path.display().to_string()))
    }
}

fn unreadable(path: &str) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Unreadable { path, source }
}

/// Where a path really leads, which must not be out of `folder`.
fn inside(folder: &Path, path: &Path, shown: &str) -> Result<PathBuf, FolderError> {
    let real = fs::canonicalize(path).map_err(unreadable(shown))?;
    if real.starts_with(folder) {
        Ok(real)
    } else {
        Err(FolderError::LeadsOut { path: shown.to_owned() })
    }
}

fn read(path: &Path, shown: &str, room: u64) -> Result<FileContent, FolderError> {
    // Asked before it is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(unreadable(shown))?.is_file() {
        return Err(FolderError::NoFile { path: shown.to_owned() });
    }
    let file = File::open(path).map_err(unreadable(shown))?;
    let metadata = file.metadata().map_err(unreadable(shown))?;
    let mut bytes = Vec::new();
    file.take(room + 1).read_to_end(&mut bytes).map_err(unreadable(shown))?;
    if bytes.len() as u64 > room {
        return Err(FolderError::TooLarge { path: shown.to_owned() });
    }
    Ok(FileContent { bytes: bytes.into(), executable: executable(&metadata) })
}

#[cfg(unix)]
fn executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn executable(_: &fs::Metadata) -> bool {
    false
}

struct Walk {
    shipped: Shipped,
    room: u64,
}

impl Walk {
    /// Takes all files of the last of `folders`, each of which is in the one before; the first one
    /// is what no link may lead out of.
    fn folder(
        &mut self,
        folders: &mut Vec<PathBuf>,
        prefix: Option<&RelativePath>,
        shown: &str,
    ) -> Result<(), FolderError> {
        let (Some(root), Some(folder)) = (folders.first(), folders.last()) else { return Ok(()) };
        let root = root.clone();
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable(shown))? {
            names.push(entry.map_err(unreadable(shown))?.file_name());
        }
        // So that of several problems it is always the same that is told.
        names.sort_unstable();
        let folder = folder.clone();
        for name in names {
            let text = name.to_string_lossy();
            let relative = match prefix {
                // A name that is no UTF-8 gets characters here that it does not have.
                _ if name.to_str().is_none() => RelativePath::new(format!("{text}\0")),
                Some(prefix) => prefix.join(&text),
                None => RelativePath::new(&text),
            };
            let relative =
                relative.map_err(|source| FolderError::Name { path: shown.to_owned(), source })?;
            let shown = format!("{shown}/{text}");
            let real = inside(&root, &folder.join(&name), &shown)?;
            if !real.is_dir() {
                self.file(&real, relative, &shown)?;
            } else if folders.contains(&real) || folders.len() >= DEEPEST {
                return Err(FolderError::Endless { path: shown });
            } else {
                folders.push(real);
                self.folder(folders, Some(&relative), &shown)?;
                folders.pop();
            }
        }
        Ok(())
    }

    fn file(&mut self, real: &Path, name: RelativePath, shown: &str) -> Result<(), FolderError> {
        if self.shipped.files.len() >= MOST {
            return Err(FolderError::TooLarge { path: shown.to_owned() });
        }
        let content = read(real, shown, self.room)?;
        self.room -= content.bytes.len() as u64;
        self.shipped.files.insert(name, content);
        Ok(())
    }
}
