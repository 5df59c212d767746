//! Which functionalities make sense, by themselves and beside each other.

use std::{collections::BTreeSet, sync::Arc};

use super::{super::service_check, End, Host, Hosts, Node, infrastructure, problem_in};
use crate::{
    backend::Registry,
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Place, Severity},
    name::{Fqdn, Name},
    source::Source,
    spec::{Catalog, ExtensionSite, Functionality, FunctionalitySpec, Lowered},
};

/// More replicas of one functionality are taken for a slip of the hand.
const MOST_REPLICAS: u32 = 1_000;

/// A functionality as a catalog exports it, and the file it came from.
struct Candidate {
    functionality: Arc<dyn Functionality>,
    source: Option<Arc<Source>>,
}

impl Candidate {
    fn name(&self) -> &Name {
        self.functionality.name()
    }

    fn fqdn(&self) -> Option<&Fqdn> {
        self.functionality.fqdn()
    }

    fn place(&self, keys: &[&str]) -> Option<Place> {
        let path = [&["functionality", self.name().as_str()], keys].concat();
        self.source.as_ref()?.place(&path)
    }
}

/// The functionalities that make sense, in the order of their names, and who answers for which
/// host. Those that do not make sense still answer for theirs, so that it can be told who misses
/// them.
pub(super) fn nodes(
    catalogs: Vec<Catalog>,
    registry: &Registry,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) -> (Vec<Node>, Hosts) {
    let mut candidates: Vec<_> = catalogs
        .into_iter()
        .flat_map(|Catalog { functionalities, source, .. }| {
            let candidate =
                move |functionality| Candidate { functionality, source: source.clone() };
            functionalities.into_iter().map(candidate)
        })
        .collect();
    candidates.sort_by(|a, b| a.name().cmp(b.name()));
    check_names(&candidates, failed, found);
    let hosts = hosts(&candidates, failed, found);
    let mut nodes = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let name = candidate.name().clone();
        let before = found.len();
        let node = lower(candidate, registry, found);
        let wrong = found.iter().skip(before).any(|d| d.severity == Severity::Error);
        match node {
            Some(node) if !wrong && !failed.contains(&name) => nodes.push(node),
            _ => {
                failed.insert(name);
            }
        }
    }
    (nodes, hosts)
}

/// Tells of functionalities that share a name.
fn check_names(candidates: &[Candidate], failed: &mut BTreeSet<Name>, found: &mut Diagnostics) {
    for same in candidates.chunk_by(|a, b| a.name() == b.name()).filter(|same| same.len() > 1) {
        let name = same[0].name();
        let places = same.iter().map(|candidate| (candidate.place(&[]), name)).collect();
        found.push(
            shared(
                Code::NameTaken,
                format!("{} functionalities are named `{name}`", same.len()),
                places,
            )
            .remedy("rename all but one of them; none of them is deployed until then"),
        );
        failed.insert(name.clone());
    }
}

/// Who answers for which host; tells of functionalities that share an fqdn.
fn hosts(candidates: &[Candidate], failed: &mut BTreeSet<Name>, found: &mut Diagnostics) -> Hosts {
    let with_fqdn = |candidate| Some((Candidate::fqdn(candidate)?, candidate));
    let mut providers: Vec<_> = candidates.iter().filter_map(with_fqdn).collect();
    // Stable: the candidates of one fqdn stay in the order of their names.
    providers.sort_by_key(|(fqdn, _)| *fqdn);
    let mut hosts = Hosts::with_capacity(providers.len());
    for same in providers.chunk_by(|(a, _), (b, _)| a == b) {
        let (fqdn, first) = same[0];
        let provider = End::new(first.name().clone());
        hosts.insert(fqdn.clone(), Host { provider, balancer: None });
        let providers = || same.iter().map(|(_, candidate)| *candidate);
        let names: BTreeSet<&Name> = match same {
            [_] => continue,
            _ => providers().map(Candidate::name).collect(),
        };
        if names.len() > 1 {
            let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            let places =
                providers().map(|candidate| (candidate.place(&["fqdn"]), candidate.name()));
            found.push(
                shared(
                    Code::FqdnTaken,
                    format!("{fqdn} is the fqdn of several functionalities: {list}"),
                    places.collect(),
                )
                .remedy("give each an fqdn of its own; several that serve one name are `replicas`"),
            );
            failed.extend(names.into_iter().cloned());
        }
    }
    hosts
}

/// A finding about something that several share, put where it stands first in the files: catalogs
/// come in any order.
fn shared(code: Code, message: String, mut places: Vec<(Option<Place>, &Name)>) -> Diagnostic {
    places.sort();
    let mut diagnostic = Diagnostic::error(code, message);
    for (at, (place, name)) in places.into_iter().enumerate() {
        diagnostic = match at {
            0 => diagnostic.about(name).at(place),
            _ => diagnostic
                .of(Cause::Functionality(name.clone()))
                .related(format!("`{name}` is another"), place),
        };
    }
    diagnostic
}

/// Lowers a recipe and checks what it gives.
fn lower(candidate: Candidate, registry: &Registry, found: &mut Diagnostics) -> Option<Node> {
    let name = candidate.name();
    match candidate.functionality.service().lower() {
        Ok(service) => {
            let node = Node {
                functionality: plain(&*candidate.functionality, service),
                externals: Arc::new([]),
                balancer: None,
                source: candidate.source,
            };
            check(&node, registry, found);
            Some(node)
        }
        Err(error) => {
            found.extend(error.reasons().iter().map(|reason| {
                Diagnostic::error(Code::ServiceInvalid, format!("`{name}`: {reason}"))
                    .about(name)
                    .at(candidate.place(&["service"]))
                    .remedy("change the recipe's settings")
            }));
            None
        }
    }
}

/// What a functionality says of itself, with its lowered service.
fn plain(
    functionality: &dyn Functionality,
    service: Arc<Lowered>,
) -> FunctionalitySpec<Arc<Lowered>> {
    FunctionalitySpec {
        name: functionality.name().clone(),
        fqdn: functionality.fqdn().cloned(),
        service,
        upstream_hosts: functionality.upstream_hosts().to_vec(),
        machine: functionality.machine().clone(),
        replicas: functionality.replicas(),
        extensions: functionality.extensions().clone(),
    }
}

/// Checks one functionality by itself.
fn check(node: &Node, registry: &Registry, found: &mut Diagnostics) {
    let replicas = node.functionality.replicas;
    if replicas.get() > MOST_REPLICAS {
        found.push(
            Diagnostic::error(
                Code::ValueInvalid,
                format!("`{}` asks for {replicas} replicas", node.name()),
            )
            .about(node.name())
            .at(node.place(["replicas"]))
            .remedy(format!("ask for at most {MOST_REPLICAS}")),
        );
    }
    for problem in service_check::check(node.service(), &node.functionality.upstream_hosts) {
        found.push(problem_in(node, problem));
    }
    check_overrides(node.service(), node, registry, found);
    let site = ExtensionSite::Functionality;
    let extensions = &node.functionality.extensions;
    let place = |keys: &[&str]| node.place(keys.iter().copied());
    found.extend(
        infrastructure::check_extensions(extensions, site, registry, place)
            .map(|diagnostic| diagnostic.about(node.name())),
    );
}

/// Tells of overrides for backends that do not exist.
fn check_overrides(service: &Lowered, node: &Node, registry: &Registry, found: &mut Diagnostics) {
    for (member, service) in service.members() {
        for backend in service.overrides.keys().filter(|id| registry.backend(id).is_none()) {
            let mut keys = match member {
                Some(member) => vec!["group", member.as_str()],
                None => vec!["service"],
            };
            keys.extend(["overrides", backend.as_str()]);
            found.push(
                Diagnostic::warning(
                    Code::BackendUnknown,
                    format!("`{}` has overrides for `{backend}`, which is no backend", node.name()),
                )
                .about(node.name())
                .at(node.place(keys))
                .remedy(registry.remedy_for_backend(backend.as_str())),
            );
        }
    }
}
