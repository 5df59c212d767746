//! Checks that what targets, networks and extensions name exists and fits.

use std::{collections::BTreeSet, sync::Arc};

use super::Ties;
use crate::{
    backend::{Registry, Site},
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Place},
    name::{BackendId, Name},
    source::Source,
    spec::{DefaultBackend, ExtensionSite, Extensions, Infrastructure, Target},
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
        let site = ExtensionSite::Location;
        let problems = check_extensions(&location.extensions, site, registry, place);
        found.extend(problems.map(|problem| problem.of(Cause::Location(name.clone()))));
    }
    // Networks of which it is not known where they are.
    let mut nowhere = BTreeSet::new();
    for (name, network) in &infrastructure.networks {
        let of = Cause::Network(name.clone());
        let place = |keys: &[&str]| infrastructure.place("network", name, keys);
        let site = ExtensionSite::Network;
        let problems = check_extensions(&network.extensions, site, registry, place);
        found.extend(problems.map(|problem| problem.of(of.clone())));
        if let Some(problem) =
            network.location.as_ref().and_then(|it| infrastructure.no_location(it))
        {
            found.push(problem.of(of).at(place(&["location"])));
            nowhere.insert(name);
        }
    }
    for (name, balancer) in &infrastructure.load_balancers {
        let of = Cause::load_balancer(name.clone());
        let place = |keys: &[&str]| infrastructure.place("load-balancer", name, keys);
        let site = ExtensionSite::LoadBalancer;
        let problems = check_extensions(&balancer.extensions, site, registry, place);
        found.extend(problems.map(|problem| problem.of(of.clone())));
    }
    let mut unusable = Vec::new();
    for target in infrastructure.targets.values() {
        let mut problems = check_target(target, infrastructure, registry);
        if let Some(network) = target.network.as_ref().filter(|network| nowhere.contains(network)) {
            let message = format!(
                "target `{}` is in `{network}`, and nobody knows where that is",
                target.name
            );
            let problem = Diagnostic::error(Code::Blocked, message)
                .because([Cause::Network(network.clone())])
                .at(infrastructure.place("target", &target.name, &["network"]))
                .remedy(format!("mend network `{network}`"));
            problems.push(problem);
        }
        if !problems.is_empty() {
            unusable.push(target.name.clone());
        }
        let of = |problem: Diagnostic| problem.of(Cause::Target(target.name.clone()));
        found.extend(problems.into_iter().map(of));
    }
    if let Some(default) = &ties.default_backend {
        let problems = check_default(default, ties, registry);
        ties.default_unusable = !problems.is_empty();
        found.extend(problems.into_iter().map(|problem| problem.of(Cause::DefaultBackend)));
    }
    for name in unusable {
        let infrastructure = &mut ties.infrastructure;
        let target = infrastructure.targets.remove(&name);
        let site = target.as_ref().map(|target| infrastructure.site(target));
        let location = site.and_then(|site| Some(site.location?.0.clone()));
        ties.unusable.insert(name, location);
    }
    // What could not be read has been told, and is no reason to call it unknown.
    let unreadable = ties.infrastructure.unreadable.targets.iter();
    ties.unusable.extend(unreadable.map(|name| (name.clone(), None)));
}

/// What is wrong with the default backend.
fn check_default(default: &DefaultBackend, ties: &Ties, registry: &Registry) -> Vec<Diagnostic> {
    let place = |keys: &[&str]| {
        let mut path = vec!["default-backend"];
        path.extend(keys);
        ties.source.as_ref()?.place(&path)
    };
    let site = ExtensionSite::Target;
    let mut problems: Vec<_> =
        check_extensions(&default.extensions, site, registry, place).collect();
    if registry.backend(&default.backend).is_none() {
        problems.push(unknown_backend(&default.backend, registry).at(place(&["backend"])));
    }
    if let Some(guest) = &default.guest
        && registry.guest(guest).is_none()
    {
        problems.push(unknown("guest", guest, registry.guests()).at(place(&["guest"])));
    }
    let location = default.location.as_ref();
    let missing = location.and_then(|location| ties.infrastructure.no_location(location));
    problems.extend(missing.map(|problem| problem.at(place(&["location"]))));
    problems
}

impl Infrastructure {
    /// What is wrong where a location is named, if it is not there to be used.
    fn no_location(&self, name: &Name) -> Option<Diagnostic> {
        let is_there = self.locations.contains_key(name);
        let (known, unreadable) = (self.locations.keys(), &self.unreadable.locations);
        let (kind, cause) = ("location", Cause::Location);
        let missing = || missing(kind, name, known, unreadable, cause, self.incomplete);
        (!is_there).then(missing)
    }

    /// The same of a network.
    fn no_network(&self, name: &Name) -> Diagnostic {
        let (known, unreadable) = (self.networks.keys(), &self.unreadable.networks);
        missing("network", name, known, unreadable, Cause::Network, self.incomplete)
    }
}

/// That something is named which is not there: since it could not be read, since it may be in what
/// could not be read, or since nobody describes it.
pub(in crate::topology) fn missing<'a>(
    kind: &str,
    name: &Name,
    known: impl Iterator<Item = &'a Name>,
    unreadable: &BTreeSet<Name>,
    cause: impl Fn(Name) -> Cause,
    incomplete: bool,
) -> Diagnostic {
    if unreadable.contains(name) {
        let message = format!("{kind} `{name}` could not be read");
        return Diagnostic::error(Code::Blocked, message)
            .because([cause(name.clone())])
            .remedy(format!("mend {kind} `{name}`"));
    }
    if incomplete { hidden(kind, name) } else { unknown(kind, name, known) }
}

/// That something is named which may be described in what could not be read.
pub(in crate::topology) fn hidden(kind: &str, name: &Name) -> Diagnostic {
    let message = format!("nothing that could be read describes {kind} `{name}`");
    Diagnostic::error(Code::Blocked, message)
        .because([Cause::Infrastructure])
        .hidden(format!("a {kind} `{name}`"))
        .remedy("mend the infrastructure's files that could not be read")
}

fn check_target(
    target: &Target,
    infrastructure: &Infrastructure,
    registry: &Registry,
) -> Vec<Diagnostic> {
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
    let location = target.location.as_ref();
    let missing = location.and_then(|location| infrastructure.no_location(location));
    problems.extend(missing.map(|problem| problem.at(place(&["location"]))));
    if let Some(network) = &target.network {
        match infrastructure.networks.get(network) {
            None => {
                problems.push(infrastructure.no_network(network).at(place(&["network"])));
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
    problems
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
                        .remedy(remedy_for_setting(
                            namespace.as_str(),
                            site,
                            &error.reason(),
                        )),
                    );
                }
            }
        }
    }
    problems.into_iter()
}

/// What to do about a setting, by what is the matter with it: of a key that nobody knows serde names those
/// that there are, as ``unknown field `a`, expected one of `b`, `c` ``.
fn remedy_for_setting(namespace: &str, site: ExtensionSite, reason: &str) -> String {
    let known = || {
        let (written, expected) =
            reason.strip_prefix("unknown field `")?.split_once("`, expected ")?;
        nearest(written, expected.split('`').skip(1).step_by(2))
    };
    match known() {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("see the settings of `{namespace}` on {}", site.as_str()),
    }
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
        Some(near) if known.len() == 1 => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{near}`? there are {list}"),
        None if known.is_empty() => format!("describe it in the infrastructure: no {what} is"),
        None if known.len() == 1 => format!("there is {list} alone"),
        None => format!("there are {list}"),
    };
    Diagnostic::error(Code::ReferenceUnknown, format!("there is no {what} `{}`", name.as_ref()))
        .remedy(remedy)
}
