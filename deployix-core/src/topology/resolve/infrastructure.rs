//! Checks that what targets, networks and extensions name exists and fits.

use std::sync::Arc;

use super::Ties;
use crate::{
    backend::{Registry, Site},
    diagnostic::{Code, Diagnostic, Diagnostics, Place},
    name::{BackendId, Name},
    source::Source,
    spec::{ExtensionSite, Extensions, Infrastructure, Target},
    suggest::nearest,
};

/// More machines in one pool are taken for a slip of the hand.
const MOST_MACHINES: u32 = 10_000;

impl Infrastructure {
    /// The targets with their networks and locations, in the order of their names; without those
    /// whose network or location is not described.
    pub fn sites(&self) -> impl Iterator<Item = Site<'_>> {
        self.targets.values().map(|target| self.site(target)).filter(|site| {
            let network = site.target.network.is_some() == site.network.is_some();
            let location = site.target.location.as_ref();
            let location = location.or(site.network.and_then(|(_, n)| n.location.as_ref()));
            network && location.is_some() == site.location.is_some()
        })
    }

    /// One of its targets with its network and location, as far as those are described.
    pub(in crate::topology) fn site<'a>(&'a self, target: &'a Target) -> Site<'a> {
        let network = target.network.as_ref().and_then(|n| self.networks.get_key_value(n));
        let location = target.location.as_ref().or(network.and_then(|(_, n)| n.location.as_ref()));
        let location = location.and_then(|l| self.locations.get_key_value(l));
        Site { target, network, location }
    }

    /// The file in which something is described.
    pub(in crate::topology) fn source_of(&self, kind: &str, name: &Name) -> Option<Arc<Source>> {
        let described = |source: &&Arc<Source>| {
            // The index answers with the nearest enclosing place, so the excerpt has to name it.
            source.place(&[kind, name.as_str()]).is_some_and(|p| p.excerpt.contains(name.as_str()))
        };
        match self.sources.as_slice() {
            [only] => Some(Arc::clone(only)),
            several => several.iter().find(described).cloned(),
        }
    }

    fn place(&self, kind: &str, name: &Name, keys: &[&str]) -> Option<Place> {
        let mut path = vec![kind, name.as_str()];
        path.extend(keys);
        self.source_of(kind, name)?.place(&path)
    }
}

/// Checks all of it; targets that cannot be used are taken out and remembered.
pub(super) fn check(ties: &mut Ties, registry: &Registry, found: &mut Diagnostics) {
    let infrastructure = &ties.infrastructure;
    for (name, location) in &infrastructure.locations {
        let place = |keys: &[&str]| infrastructure.place("location", name, keys);
        found.extend(check_extensions(
            &location.extensions,
            ExtensionSite::Location,
            registry,
            place,
        ));
    }
    for (name, network) in &infrastructure.networks {
        let place = |keys: &[&str]| infrastructure.place("network", name, keys);
        let site = ExtensionSite::Network;
        found.extend(check_extensions(&network.extensions, site, registry, place));
        if let Some(location) = &network.location
            && !infrastructure.locations.contains_key(location)
        {
            let known = infrastructure.locations.keys();
            found.push(unknown("location", location, known).at(infrastructure.place(
                "network",
                name,
                &["location"],
            )));
        }
    }
    for (name, balancer) in &infrastructure.load_balancers {
        let place = |keys: &[&str]| infrastructure.place("load-balancer", name, keys);
        let site = ExtensionSite::LoadBalancer;
        found.extend(check_extensions(&balancer.extensions, site, registry, place));
    }
    let mut unusable = Vec::new();
    for target in infrastructure.targets.values() {
        let problems: Vec<_> = check_target(target, infrastructure, registry).collect();
        if !problems.is_empty() {
            unusable.push(target.name.clone());
        }
        found.extend(problems);
    }
    if let Some(default) = &ties.default_backend {
        let place = |keys: &[&str]| {
            let mut path = vec!["default-backend"];
            path.extend(keys);
            ties.source.as_ref()?.place(&path)
        };
        let site = ExtensionSite::Target;
        found.extend(check_extensions(&default.extensions, site, registry, place));
        if registry.backend(&default.backend).is_none() {
            found.push(unknown_backend(&default.backend, registry).at(place(&["backend"])));
        }
        if let Some(guest) = &default.guest
            && registry.guest(guest).is_none()
        {
            found.push(unknown("guest", guest, registry.guests()).at(place(&["guest"])));
        }
        if let Some(location) = &default.location
            && !infrastructure.locations.contains_key(location)
        {
            let known = infrastructure.locations.keys();
            found.push(unknown("location", location, known).at(place(&["location"])));
        }
    }
    for name in unusable {
        ties.infrastructure.targets.remove(&name);
        ties.unusable.insert(name);
    }
    // What could not be read has been told, and is no reason to call it unknown.
    ties.unusable.extend(ties.infrastructure.unreadable.iter().cloned());
}

fn check_target<'a>(
    target: &'a Target,
    infrastructure: &'a Infrastructure,
    registry: &'a Registry,
) -> impl Iterator<Item = Diagnostic> + use<'a> {
    let place = |keys: &[&str]| infrastructure.place("target", &target.name, keys);
    let mut problems = Vec::new();
    match registry.backend(&target.backend) {
        None => problems.push(unknown_backend(&target.backend, registry).at(place(&["backend"]))),
        Some(backend) if !backend.capabilities().runs(target.kind) => problems.push(
            Diagnostic::error(
                Code::ValueInvalid,
                format!(
                    "target `{}`: backend `{}` has no targets of this kind",
                    target.name, target.backend
                ),
            )
            .at(place(&["kind"]))
            .remedy("use several targets of kind \"machine\""),
        ),
        Some(_) => {}
    }
    if target.kind.machines() > MOST_MACHINES {
        problems.push(
            Diagnostic::error(
                Code::ValueInvalid,
                format!("target `{}` has {} machines", target.name, target.kind.machines()),
            )
            .at(place(&["count"]))
            .remedy(format!("give it at most {MOST_MACHINES}, or split it")),
        );
    }
    if let Some(guest) = &target.guest
        && registry.guest(guest).is_none()
    {
        problems.push(unknown("guest", guest, registry.guests()).at(place(&["guest"])));
    }
    if let Some(location) = &target.location
        && !infrastructure.locations.contains_key(location)
    {
        let known = infrastructure.locations.keys();
        problems.push(unknown("location", location, known).at(place(&["location"])));
    }
    if let Some(network) = &target.network {
        match infrastructure.networks.get(network) {
            None => {
                let known = infrastructure.networks.keys();
                problems.push(unknown("network", network, known).at(place(&["network"])));
            }
            Some(found) => {
                if let (Some(there), Some(here)) = (&found.location, &target.location)
                    && there != here
                {
                    problems.push(
                        Diagnostic::error(
                            Code::ValuesConflict,
                            format!(
                                "target `{}` is in `{here}`, its network `{network}` in `{there}`",
                                target.name
                            ),
                        )
                        .at(place(&["location"]))
                        .remedy("leave the target's location out, or choose another network"),
                    );
                }
            }
        }
    }
    problems.extend(check_extensions(&target.extensions, ExtensionSite::Target, registry, place));
    problems.into_iter()
}

/// Checks that extensions are known there and of their declared types.
pub(super) fn check_extensions(
    extensions: &Extensions,
    site: ExtensionSite,
    registry: &Registry,
    place: impl Fn(&[&str]) -> Option<Place>,
) -> impl Iterator<Item = Diagnostic> {
    let mut problems = Vec::new();
    for (namespace, payload) in extensions.iter() {
        let mut keys = vec!["extensions", namespace.as_str()];
        match registry.extension(namespace.as_str(), site) {
            None => problems.push(
                Diagnostic::error(
                    Code::ExtensionUnknown,
                    format!("extension `{namespace}` is not known on {}", site.as_str()),
                )
                .at(place(&keys))
                .remedy(registry.remedy_for_extension(namespace.as_str(), site)),
            ),
            Some(decl) => {
                if let Err(error) = decl.check(payload) {
                    keys.extend(error.keys());
                    problems.push(
                        Diagnostic::error(
                            Code::ExtensionInvalid,
                            format!("{error}: {}", error.reason()),
                        )
                        .at(place(&keys))
                        .remedy(format!("see the settings of `{namespace}` on {}", site.as_str())),
                    );
                }
            }
        }
    }
    problems.into_iter()
}

fn unknown_backend(id: &BackendId, registry: &Registry) -> Diagnostic {
    Diagnostic::error(Code::BackendUnknown, format!("there is no backend `{id}`"))
        .remedy(registry.remedy_for_backend(id.as_str()))
}

/// Something is named that does not exist.
pub(in crate::topology) fn unknown<'a, N: AsRef<str> + 'a>(
    what: &str,
    name: &(impl AsRef<str> + ?Sized),
    known: impl Iterator<Item = &'a N>,
) -> Diagnostic {
    let known: Vec<&str> = known.map(AsRef::as_ref).collect();
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let remedy = match nearest(name.as_ref(), known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? there are {list}"),
        None if known.is_empty() => format!("describe it in the infrastructure: no {what} is"),
        None => format!("there are {list}"),
    };
    Diagnostic::error(Code::ReferenceUnknown, format!("there is no {what} `{}`", name.as_ref()))
        .remedy(remedy)
}
