//! All stages in one go.

use super::{Compiled, compile};
use crate::{
    backend::Registry,
    diagnostic::Staged,
    spec::Deployment,
    topology::{Assignments, connect, place, resolve},
};

/// Compiles a deployment of which nothing runs yet: [`resolve`], [`place`], [`connect`] and
/// [`compile`] in one go.
///
/// ```
/// use deployix_core::{
///     backend::{MemoryBackend, Registry},
///     load::{Format, SpecFile, parse_deployment},
///     plan::compile_anew,
/// };
///
/// let text = r#"
/// version = 1
/// name = "small"
/// target.box.backend = "memory"
/// functionality.web.service.start = ["web"]
/// "#;
/// let file = SpecFile::new("deployment.toml", Format::Toml, text.to_owned());
/// let deployment = parse_deployment(&file, None).complete()?.ok_or("nothing to deploy")?;
/// let registry = Registry::new().with(MemoryBackend::new());
/// let compiled = compile_anew(deployment, &registry).complete()?;
/// assert_eq!(compiled.resources().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compile_anew(deployment: Deployment, registry: &Registry) -> Staged<Compiled> {
    resolve(deployment, registry)
        .then(|resolved| place(resolved, &Assignments::new(), registry))
        .then(|placed| connect(placed, registry))
        .then(|connected| compile(connected, registry, None))
}
