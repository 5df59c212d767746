//! The way from a file to what a command shows.

use std::path::Path;

use deployix::core::{
    backend::Registry,
    diagnostic::{Code, Diagnostics, Staged},
    load,
    plan::{Compiled, compile},
    spec::Deployment,
    topology::{Assignments, Connected, connect, place, resolve},
};

/// The deployment of a file.
pub(crate) fn load(file: &Path) -> Staged<Option<Deployment>> {
    let Staged { value, diagnostics } = load::load(file);
    let missing = !file.exists();
    let hint = |mut diagnostic: deployix::core::diagnostic::Diagnostic| {
        if missing && diagnostic.code == Code::FileUnreadable && diagnostic.remedy.is_none() {
            let remedy = "name the deployment's file, or make one with `deployix init`";
            diagnostic = diagnostic.remedy(remedy);
        }
        diagnostic
    };
    Staged::new(value, diagnostics.into_iter().map(hint).collect())
}

/// The next stages up to connecting; findings come sorted.
pub(crate) fn connected(
    loaded: Staged<Option<Deployment>>,
    registry: &Registry,
) -> Staged<Option<Connected>> {
    sorted(
        loaded
            .then(|deployment| maybe(deployment, |deployment| to_connected(deployment, registry))),
    )
}

/// The next stages up to compiling; findings come sorted.
pub(crate) fn compiled(
    loaded: Staged<Option<Deployment>>,
    registry: &Registry,
) -> Staged<Option<Compiled>> {
    sorted(loaded.then(|deployment| {
        maybe(deployment, |deployment| {
            to_connected(deployment, registry).then(|connected| compile(connected, registry, None))
        })
    }))
}

fn to_connected(deployment: Deployment, registry: &Registry) -> Staged<Connected> {
    resolve(deployment, registry)
        .then(|resolved| place(resolved, &Assignments::new(), registry))
        .then(|placed| connect(placed, registry))
}

/// A stage on what may be missing.
pub(crate) fn maybe<T, U>(
    value: Option<T>,
    stage: impl FnOnce(T) -> Staged<U>,
) -> Staged<Option<U>> {
    match value {
        None => Staged::new(None, Diagnostics::new()),
        Some(value) => {
            let Staged { value, diagnostics } = stage(value);
            Staged::new(Some(value), diagnostics)
        }
    }
}

fn sorted<T>(mut staged: Staged<T>) -> Staged<T> {
    staged.diagnostics.sort();
    staged
}
