//! Why compiled files could not be written.

use std::{fmt, io, path::Path};

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    name::RelativePath,
};

/// Tells why compiled files could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refuses.
    #[error("cannot {operation} `{path}`")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With which file or folder.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The list of compiled files in the folder is something else.
    #[error("`{path}` is no list of compiled files")]
    Manifest {
        /// Where it should be.
        path: String,
    },
    /// Something stands in the way that no compile has put there; nothing was written.
    #[error("{}", list(obstacles))]
    InTheWay {
        /// What stands where a compiled file should go, in order.
        obstacles: Vec<(RelativePath, Obstacle)>,
    },
}

/// What stands where a compiled file should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// A file or folder that no compile has written.
    Foreign,
    /// A compiled file that has been edited since.
    Edited,
    /// A symbolic link or something that is no file, there or on the way there.
    Strange,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "is there already, and was not compiled",
            Self::Edited => "has been edited since it was compiled",
            Self::Strange => "is a symbolic link or no file, or lies behind one",
        })
    }
}

fn list(obstacles: &[(RelativePath, Obstacle)]) -> String {
    let lines = obstacles.iter().map(|(path, obstacle)| format!("`{path}` {obstacle}"));
    lines.collect::<Vec<_>>().join("; ")
}

impl WriteError {
    /// Makes an error of the operating system one of these.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.display().to_string(), source }
    }

    /// The error as findings, one for each thing that is wrong.
    #[must_use]
    pub fn diagnostics(&self) -> Diagnostics {
        let error = |message| Diagnostic::error(Code::FileNotWritten, message);
        match self {
            Self::Io { source, .. } => error(format!("{self}: {source}")).into(),
            Self::Manifest { .. } => {
                error(self.to_string()).remedy("remove it, or compile into another folder").into()
            }
            Self::InTheWay { obstacles } => obstacles
                .iter()
                .map(|(path, obstacle)| {
                    let remedy = match obstacle {
                        Obstacle::Edited => "move it away; put the change into the specs",
                        _ => "move it away, or compile into another folder",
                    };
                    error(format!("`{path}` {obstacle}")).remedy(remedy)
                })
                .collect(),
        }
    }
}
