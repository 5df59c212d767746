//! Saved plans: files that only their owner reads, and that take nothing else's place.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use deployix::core::{
    diagnostic::{Code, Diagnostic},
    plan::{Plan, SavedPlanError},
};

use crate::journal::chain;

/// Writes a plan; in the place of another plan, and of nothing else.
pub(crate) fn write(path: &Path, plan: &Plan) -> Result<(), Box<Diagnostic>> {
    let failed = |error: &dyn std::error::Error| {
        let message = format!("cannot write the plan `{}`: {}", path.display(), chain(error));
        Box::new(Diagnostic::error(Code::FileNotWritten, message))
    };
    let no_plan = || {
        let message = format!("`{}` is there already, and is no plan", path.display());
        Diagnostic::error(Code::FileNotWritten, message).remedy("choose another name").into()
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&error)),
        // Asked before it is opened: opening a pipe would wait for its other end.
        Ok(metadata) if !metadata.is_file() => return Err(no_plan()),
        Ok(_) => {
            let before = fs::read(path).map_err(|error| failed(&error))?;
            if let Err(SavedPlanError::NoPlan) = Plan::from_saved(&before) {
                return Err(no_plan());
            }
        }
    }
    let bytes = plan.to_saved().map_err(|error| failed(&error))?;
    // Written beside and moved: whoever reads it meanwhile finds the old one or the new one.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| {
        // What cannot be written cannot always be removed.
        let _ = fs::remove_file(&beside);
        failed(&error)
    })
}

/// Reads a plan.
pub(crate) fn read(path: &Path) -> Result<Plan, Box<Diagnostic>> {
    let refused = |why: &str| {
        let message = format!("`{}` cannot be carried out: {why}", path.display());
        Box::new(Diagnostic::error(Code::PlanRefused, message))
    };
    let bytes = fs::read(path).map_err(|error| {
        let message = format!("cannot read the plan `{}`: {error}", path.display());
        Box::new(Diagnostic::error(Code::FileUnreadable, message))
    })?;
    Plan::from_saved(&bytes).map_err(|error| refused(&chain(&error)))
}
