//! Small deployments, and shortcuts through the stages.

use std::num::NonZeroU32;

use deployix_core::{
    BackendId, Name,
    backend::{MemoryBackend, Registry},
    diagnostic::{Code, Diagnostics, Staged},
    plan::{Compiled, compile},
    spec::{Catalog, Deployment, FunctionalitySpec, Network, ServiceSpec, Target, TargetKind},
    topology::{Assignments, Connected, connect, place, resolve},
};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn memory() -> BackendId {
    BackendId::new("memory").unwrap()
}

pub(crate) fn registry() -> Registry {
    Registry::new().with(MemoryBackend::new())
}

/// A functionality that listens on one port, with the fqdn `NAME.example.com`.
pub(crate) fn functionality(
    text: &str,
    port: u16,
    upstreams: &[&str],
) -> FunctionalitySpec<ServiceSpec> {
    let service = ServiceSpec::builder([text]).endpoint("main", port).build().unwrap();
    let mut spec = FunctionalitySpec::new(text, service)
        .unwrap()
        .fqdn(&format!("{text}.example.com"))
        .unwrap();
    for upstream in upstreams {
        spec = spec.upstream(&format!("{upstream}.example.com")).unwrap();
    }
    spec
}

pub(crate) fn deployment(specs: Vec<FunctionalitySpec<ServiceSpec>>) -> Deployment {
    let catalog: Catalog = specs.into_iter().map(FunctionalitySpec::shared).collect();
    Deployment::new(name("test"), vec![catalog])
}

pub(crate) trait With: Sized {
    /// Adds a machine of the in-memory backend, maybe in a network.
    fn machine(self, target: &str, network: Option<&str>) -> Self;
    fn pool(self, target: &str, count: u32) -> Self;
    fn placed(self, functionality: &str, target: &str) -> Self;
}

impl With for Deployment {
    fn machine(mut self, target: &str, network: Option<&str>) -> Self {
        let mut made = Target::machine(name(target), memory());
        if let Some(network) = network {
            self.infrastructure.networks.insert(name(network), Network::default());
            made.network = Some(name(network));
        }
        made.address = Some(format!("{target}.example.com"));
        self.infrastructure.targets.insert(name(target), made);
        self
    }

    fn pool(mut self, target: &str, count: u32) -> Self {
        let mut made = Target::machine(name(target), memory());
        made.kind = TargetKind::Pool { count: NonZeroU32::new(count).unwrap() };
        self.infrastructure.targets.insert(name(target), made);
        self
    }

    fn placed(mut self, functionality: &str, target: &str) -> Self {
        self.place.insert(name(functionality), name(target));
        self
    }
}

pub(crate) fn connected(deployment: Deployment) -> Staged<Connected> {
    connected_with(deployment, &registry(), &Assignments::new())
}

pub(crate) fn connected_with(
    deployment: Deployment,
    registry: &Registry,
    before: &Assignments,
) -> Staged<Connected> {
    resolve(deployment, registry)
        .then(|resolved| place(resolved, before, registry))
        .then(|placed| connect(placed, registry))
}

pub(crate) fn compiled(deployment: Deployment) -> Staged<Compiled> {
    let registry = registry();
    connected_with(deployment, &registry, &Assignments::new())
        .then(|connected| compile(connected, &registry, None))
}

/// The codes of all findings, in order.
pub(crate) fn codes(found: &Diagnostics) -> Vec<Code> {
    let mut codes: Vec<_> = found.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes
}
