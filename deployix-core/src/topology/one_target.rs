//! All of a deployment on one target: what it looks like to one backend.

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    name::{BackendId, Name},
    spec::{Deployment, Extensions, Target},
};

/// Puts every functionality and load balancer of a deployment on one machine of one backend, named
/// after the backend; other targets, and where things were placed, go.
///
/// Locations and networks stay, and what the deployment says about this backend's targets holds
/// for the one that is left, as far as they all agree.
///
/// ```
/// use deployix_core::{
///     BackendId, Name,
///     spec::{Catalog, Deployment, FunctionalitySpec, ServiceSpec},
///     topology::on_one_target,
/// };
///
/// let service = ServiceSpec::builder(["web"]).build()?;
/// let web = FunctionalitySpec::new("web", service)?.shared();
/// let deployment = Deployment::new(Name::new("shop")?, vec![Catalog::from_iter([web])]);
/// let staged = on_one_target(deployment, &BackendId::new("nixos")?);
/// assert_eq!(staged.value.place[&Name::new("web")?].as_str(), "nixos");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn on_one_target(mut deployment: Deployment, backend: &BackendId) -> Staged<Deployment> {
    let name = Name::from(backend);
    let mut found = Diagnostics::new();
    let target = target(name.clone(), backend, &deployment, &mut found);

    let functionalities = deployment.catalogs.iter().flat_map(|catalog| &catalog.functionalities);
    deployment.place = functionalities.map(|f| (f.name().clone(), name.clone())).collect();
    for balancer in deployment.infrastructure.load_balancers.values_mut() {
        balancer.target = Some(name.clone());
    }
    deployment.infrastructure.targets = [(name, target)].into();
    deployment.default_backend = None;
    Staged::new(deployment, found)
}

/// What a deployment says about one of a backend's targets.
struct Said<'a> {
    location: Option<&'a Name>,
    network: Option<&'a Name>,
    guest: Option<&'a BackendId>,
    extensions: &'a Extensions,
}

fn target(
    name: Name,
    backend: &BackendId,
    deployment: &Deployment,
    found: &mut Diagnostics,
) -> Target {
    let infrastructure = &deployment.infrastructure;
    let described = infrastructure.targets.values().filter(|target| target.backend == *backend);
    let made = deployment.default_backend.iter().filter(|default| default.backend == *backend);
    let said: Vec<Said<'_>> = described
        .map(|target| Said {
            location: target.location.as_ref().or_else(|| {
                infrastructure.networks.get(target.network.as_ref()?)?.location.as_ref()
            }),
            network: target.network.as_ref(),
            guest: target.guest.as_ref(),
            extensions: &target.extensions,
        })
        .chain(made.map(|default| Said {
            location: default.location.as_ref(),
            network: None,
            guest: default.guest.as_ref(),
            extensions: &default.extensions,
        }))
        .collect();

    let mut differing = BTreeSet::new();
    let mut target = Target::machine(name, backend.clone());
    target.guest = common(&said, "guest", &mut differing, |said| said.guest).flatten().cloned();
    let extensions = common(&said, "extensions", &mut differing, |said| said.extensions);
    target.extensions = extensions.cloned().unwrap_or_default();
    let location = common(&said, "location", &mut differing, |said| said.location).flatten();
    target.location = location.cloned().or_else(|| {
        let mut all = infrastructure.locations.keys();
        all.next().filter(|_| all.next().is_none() && !differing.contains("location")).cloned()
    });
    let network = common(&said, "network", &mut BTreeSet::new(), |said| said.network).flatten();
    target.network = network.cloned().or_else(|| {
        let here = target.location.as_ref()?;
        let mut there = infrastructure.networks.iter();
        there.find(|(_, n)| n.location.as_ref() == Some(here)).map(|(name, _)| name.clone())
    });
    if !differing.is_empty() {
        let fields = differing.into_iter().map(|field| format!("`{field}`")).collect::<Vec<_>>();
        let message = format!(
            "targets of backend `{backend}` differ in {}, so the one target that takes their \
             place is without",
            fields.join(" and ")
        );
        found.push(
            Diagnostic::warning(Code::Noted, message)
                .remedy("compile for the targets as they are, or let them agree"),
        );
    }
    target
}

/// What all of them say alike; a field in which they differ is noted.
fn common<'s, T: PartialEq + 's>(
    said: &'s [Said<'s>],
    field: &'static str,
    differing: &mut BTreeSet<&'static str>,
    of: impl Fn(&'s Said<'s>) -> T,
) -> Option<T> {
    let mut values = said.iter().map(of);
    let first = values.next()?;
    if values.all(|value| value == first) {
        return Some(first);
    }
    differing.insert(field);
    None
}
