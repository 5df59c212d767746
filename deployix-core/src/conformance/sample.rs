//! Small deployments that every backend is tried on.

use std::sync::Arc;

use crate::{
    name::{BackendId, Fqdn, Name},
    spec::{
        Catalog, Deployment, Functionality, FunctionalitySpec, Lowered, ServiceBuilder,
        ServiceSpec, Target,
    },
};

/// The name of the target that everything runs on.
pub(super) const TARGET: &str = "box";

/// A service that any backend ought to compile.
pub(super) fn service(port: u16) -> ServiceBuilder {
    ServiceSpec::builder(["python3", "-m", "http.server", &port.to_string()])
        .nix(["python3"])
        .debian(["python3"])
        .endpoint("main", port)
}

/// A functionality with the fqdn `NAME.example.com`.
///
/// All samples are made of literals that are valid, so what cannot be built is left out, and the
/// case that misses it fails.
pub(super) fn functionality(
    name: &str,
    service: ServiceBuilder,
    upstreams: &[&str],
) -> Option<FunctionalitySpec<Lowered>> {
    let service = Lowered::from(service.build().ok()?);
    let mut spec = FunctionalitySpec::new(name, service).ok()?;
    spec.fqdn = Some(fqdn(name)?);
    spec.upstream_hosts = upstreams.iter().filter_map(|name| fqdn(name)).collect();
    Some(spec)
}

fn fqdn(name: &str) -> Option<Fqdn> {
    Fqdn::new(format!("{name}.example.com")).ok()
}

/// A deployment of functionalities on one machine of a backend.
pub(super) fn deployment(
    backend: &BackendId,
    specs: impl IntoIterator<Item = FunctionalitySpec<Lowered>>,
) -> Option<Deployment> {
    let shared = specs.into_iter().map(|spec| Arc::new(spec) as Arc<dyn Functionality>);
    let catalog: Catalog = shared.collect();
    let mut deployment = Deployment::new(Name::new("sample").ok()?, vec![catalog]);
    let name = Name::new(TARGET).ok()?;
    let target = Target::machine(name.clone(), backend.clone());
    deployment.infrastructure.targets.insert(name, target);
    Some(deployment)
}

/// Web needs a database; two peers need each other.
pub(super) fn usual() -> Vec<FunctionalitySpec<Lowered>> {
    [
        functionality("web", service(8080), &["db"]),
        functionality("db", service(8081), &[]),
        functionality("left", service(8082), &["right"]),
        functionality("right", service(8083), &["left"]),
    ]
    .into_iter()
    .flatten()
    .collect()
}
