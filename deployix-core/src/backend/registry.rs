//! [`Registry`]: the backends that a tool knows, handed in explicitly; nothing registers itself.

use std::{collections::BTreeMap, sync::Arc};

use super::{Backend, Guest};
use crate::{
    name::BackendId,
    spec::{ExtensionDecl, ExtensionSite},
    suggest::nearest,
};

/// The backends, guests and extensions that a tool knows.
///
/// ```
/// use deployix_core::backend::{MemoryBackend, Registry};
///
/// let registry = Registry::new().with(MemoryBackend::new());
/// assert!(registry.backend_named("memory").is_some());
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Registry {
    backends: BTreeMap<BackendId, Arc<dyn Backend>>,
    guests: BTreeMap<BackendId, Arc<dyn Guest>>,
    extensions: Vec<ExtensionDecl>,
}

impl Registry {
    /// A registry of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend and the extensions it owns; one of the same id is replaced.
    pub fn with(mut self, backend: impl Backend) -> Self {
        self.add(Arc::new(backend));
        self
    }

    /// Adds what compiles the inside of machines, under the id that targets name as their guest.
    pub fn with_guest(mut self, id: BackendId, guest: impl Guest + 'static) -> Self {
        self.guests.insert(id, Arc::new(guest));
        self
    }

    /// Adds an extension that no backend owns.
    pub fn with_extension(mut self, decl: ExtensionDecl) -> Self {
        self.extensions.push(decl);
        self
    }

    /// Adds a shared backend; see [`with`](Self::with).
    pub fn add(&mut self, backend: Arc<dyn Backend>) {
        self.backends.insert(backend.id().clone(), backend);
    }

    /// The backend of an id.
    #[must_use]
    pub fn backend(&self, id: &BackendId) -> Option<&dyn Backend> {
        self.backends.get(id).map(|backend| &**backend)
    }

    /// The backend whose id is this text.
    #[must_use]
    pub fn backend_named(&self, id: &str) -> Option<&dyn Backend> {
        self.backends.get(id).map(|backend| &**backend)
    }

    /// The guest of an id.
    #[must_use]
    pub fn guest(&self, id: &BackendId) -> Option<&dyn Guest> {
        self.guests.get(id).map(|guest| &**guest)
    }

    /// The ids of all backends, in order.
    pub fn backends(&self) -> impl Iterator<Item = &BackendId> {
        self.backends.keys()
    }

    /// The ids of all guests, in order.
    pub fn guests(&self) -> impl Iterator<Item = &BackendId> {
        self.guests.keys()
    }

    /// All extensions that anybody declared.
    pub fn extension_decls(&self) -> impl Iterator<Item = &ExtensionDecl> {
        self.backends.values().flat_map(|backend| backend.extension_decls()).chain(&self.extensions)
    }

    /// The extension of a namespace that can stand on such a thing.
    #[must_use]
    pub fn extension(&self, namespace: &str, site: ExtensionSite) -> Option<&ExtensionDecl> {
        self.extension_decls().find(|decl| decl.namespace() == namespace && decl.site() == site)
    }

    /// What to say where a backend's id is not known.
    #[must_use]
    pub fn remedy_for_backend(&self, written: &str) -> String {
        remedy(written, self.backends.keys().map(BackendId::as_str), "backend")
    }

    /// What to say where an extension's namespace is not known for such a thing.
    #[must_use]
    pub fn remedy_for_extension(&self, written: &str, site: ExtensionSite) -> String {
        let mut known: Vec<_> = self
            .extension_decls()
            .filter(|decl| decl.site() == site)
            .map(ExtensionDecl::namespace)
            .collect();
        known.sort_unstable();
        known.dedup();
        remedy(written, known.into_iter(), "extension")
    }
}

/// Names the nearest known word and lists them all.
fn remedy<'a>(written: &str, known: impl Iterator<Item = &'a str> + Clone, what: &str) -> String {
    let list = known.clone().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match (nearest(written, known), list.is_empty()) {
        (_, true) => format!("no {what} is known here"),
        (Some(word), false) => format!("did you mean `{word}`? known here: {list}"),
        (None, false) => format!("known here: {list}"),
    }
}
