//! Resolve: every upstream host becomes an edge to the functionality that provides it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    DependencyGraph, balancer,
    service_check::{self, Problem},
};
use crate::{
    backend::{EndpointRef, Registry, endpoints_of},
    diagnostic::{Code, Diagnostic, Diagnostics, Place, Staged},
    name::{Fqdn, Name},
    source::Source,
    spec::{
        CertificateAuthority, DefaultBackend, Deployment, Functionality, Infrastructure,
        LoadBalancer, Lowered,
    },
    suggest::nearest,
};

pub(super) mod infrastructure;

/// A deployment whose functionalities stand in one graph of upstreams.
///
/// Invariants: names and fqdns are unique, every edge's ends exist, extensions are of their
/// declared types, targets name backends that can run them. Only [`resolve`] makes one.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub(super) ties: Ties,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    pub(super) graph: DependencyGraph,
    pub(super) failed: BTreeSet<Name>,
}

/// All that a deployment has besides functionalities.
#[derive(Debug, Clone)]
pub(super) struct Ties {
    pub(super) name: Name,
    pub(super) infrastructure: Infrastructure,
    pub(super) certificate_authority: Option<CertificateAuthority>,
    pub(super) place: BTreeMap<Name, Name>,
    pub(super) default_backend: Option<DefaultBackend>,
    pub(super) source: Option<Arc<Source>>,
    /// Targets that are described and cannot be used.
    pub(super) unusable: BTreeSet<Name>,
}

/// One functionality or load balancer.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) functionality: Arc<dyn Functionality>,
    pub(super) service: Arc<Lowered>,
    pub(super) externals: Arc<[Fqdn]>,
    pub(super) balancer: Option<Arc<LoadBalancer>>,
    pub(super) source: Option<Arc<Source>>,
}

impl Node {
    pub(super) fn name(&self) -> &Name {
        self.functionality.name()
    }

    /// The place that keys lead to, from the functionality's own top.
    pub(super) fn place<'a>(&'a self, keys: impl IntoIterator<Item = &'a str>) -> Option<Place> {
        let mut path = match &self.balancer {
            Some(balancer) => vec!["load-balancer", balancer.name.as_str()],
            None => vec!["functionality", self.name().as_str()],
        };
        path.extend(keys);
        self.source.as_ref()?.place(&path)
    }
}

/// One declared upstream, by the positions of its ends.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) consumer: u32,
    pub(super) provider: u32,
    pub(super) fqdn: Fqdn,
    /// Where the edge opens one of the provider's ports alone.
    pub(super) only_port: Option<u16>,
}

impl Resolved {
    /// Who needs whom.
    #[must_use]
    pub fn graph(&self) -> &DependencyGraph {
        &self.graph
    }

    /// Functionalities that did not get here; what runs of them is left as it is.
    #[must_use]
    pub fn failed(&self) -> &BTreeSet<Name> {
        &self.failed
    }
}

/// Resolves every upstream host to the functionality that provides it.
///
/// A functionality that makes no sense is left out with a finding, and so is everything that
/// depends on it; nothing else is.
pub fn resolve(deployment: Deployment, registry: &Registry) -> Staged<Resolved> {
    let mut found = Diagnostics::new();
    let Deployment {
        name,
        catalogs,
        infrastructure,
        certificate_authority,
        external_hosts,
        place,
        default_backend,
        source,
        incomplete,
        secrets: _,
        history: _,
    } = deployment;
    let mut failed: BTreeSet<Name> =
        catalogs.iter().flat_map(|catalog| catalog.unreadable.iter().cloned()).collect();
    let incomplete = incomplete || !failed.is_empty();
    let mut ties = Ties {
        name,
        infrastructure,
        certificate_authority,
        place,
        default_backend,
        source,
        unusable: BTreeSet::new(),
    };
    infrastructure::check(&mut ties, registry, &mut found);

    let candidates = collect(catalogs, &mut failed, &mut found);
    let (mut nodes, mut hosts) = lower(candidates, registry, &mut failed, &mut found);
    add_balancers(&ties.infrastructure, &mut nodes, &mut hosts, &mut found);
    check_external_hosts(&external_hosts, &hosts, &ties, &mut found);
    check_placement(&ties, &nodes, &failed, incomplete, &mut found);

    let world = World { hosts, external_hosts, incomplete };
    let wanted = connect_upstreams(&mut nodes, &world, &mut failed, &mut found);
    leave_out_dependents(&nodes, &wanted, &world, &mut failed, &mut found);

    let (nodes, edges) = keep_whole(nodes, wanted, &failed);
    let names = nodes.iter().map(|node| node.name().clone()).collect();
    let graph = DependencyGraph::new(names, edges.iter().map(|e| (e.consumer, e.provider)));
    Staged::new(Resolved { ties, nodes, edges, graph, failed }, found)
}

/// Who answers for which host.
struct World {
    hosts: BTreeMap<Fqdn, Host>,
    external_hosts: BTreeSet<Fqdn>,
    incomplete: bool,
}

/// Whom a host name means.
struct Host {
    /// The functionality, which may have failed.
    provider: Name,
    /// The load balancer in front of it.
    balancer: Option<Name>,
}

/// A declared upstream before positions are known.
struct Wanted {
    consumer: Name,
    provider: Name,
    fqdn: Fqdn,
    only_port: Option<u16>,
}

/// All functionalities in the order of their names, without those that share one.
fn collect(
    catalogs: Vec<crate::spec::Catalog>,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) -> Vec<(Arc<dyn Functionality>, Option<Arc<Source>>)> {
    let mut all: Vec<_> = catalogs
        .into_iter()
        .flat_map(|catalog| {
            let source = catalog.source;
            catalog.functionalities.into_iter().map(move |f| (f, source.clone()))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
    let place = |(functionality, source): &(Arc<dyn Functionality>, Option<Arc<Source>>)| {
        source.as_ref()?.place(&["functionality", functionality.name().as_str()])
    };
    for same in all.chunk_by(|(a, _), (b, _)| a.name() == b.name()).filter(|same| same.len() > 1) {
        let name = same[0].0.name();
        // Catalogs come in any order, so the finding is put where it stands first in the files.
        let mut places: Vec<_> = same.iter().map(place).collect();
        places.sort();
        let mut diagnostic = Diagnostic::error(
            Code::NameTaken,
            format!("{} functionalities are named `{name}`", same.len()),
        )
        .about(name)
        .remedy("rename all but one of them; none of them is deployed until then");
        let mut places = places.into_iter();
        diagnostic.place = places.next().flatten();
        for other in places {
            diagnostic = diagnostic.related(format!("`{name}` is here too"), other);
        }
        found.push(diagnostic);
        failed.insert(name.clone());
    }
    all.retain(|(functionality, _)| !failed.contains(functionality.name()));
    all
}

/// Lowers every recipe and checks what it gives; finds out who answers for which host.
fn lower(
    candidates: Vec<(Arc<dyn Functionality>, Option<Arc<Source>>)>,
    registry: &Registry,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) -> (Vec<Node>, BTreeMap<Fqdn, Host>) {
    let mut nodes = Vec::with_capacity(candidates.len());
    let mut providers: BTreeMap<Fqdn, Vec<(Name, Option<Place>)>> = BTreeMap::new();
    for (functionality, source) in candidates {
        let name = functionality.name().clone();
        let lowered = functionality.service().lower();
        let mut node = Node {
            functionality,
            service: Arc::new(Lowered::Group(BTreeMap::new())),
            externals: Arc::new([]),
            balancer: None,
            source,
        };
        if let Some(fqdn) = node.functionality.fqdn() {
            providers.entry(fqdn.clone()).or_default().push((name.clone(), None));
        }
        match lowered {
            Err(error) => {
                for reason in error.reasons() {
                    found.push(
                        Diagnostic::error(Code::ServiceInvalid, format!("`{name}`: {reason}"))
                            .about(&name)
                            .at(node.place(["service"])),
                    );
                }
                failed.insert(name);
            }
            Ok(service) => {
                node.service = Arc::new(service);
                let before = found.len();
                check_node(&node, registry, found);
                if found
                    .iter()
                    .skip(before)
                    .any(|d| d.severity == crate::diagnostic::Severity::Error)
                {
                    failed.insert(name);
                } else {
                    nodes.push(node);
                    continue;
                }
            }
        }
    }
    let mut hosts = BTreeMap::new();
    let position =
        |nodes: &[Node], name: &Name| nodes.binary_search_by(|node| node.name().cmp(name)).ok();
    for (fqdn, names) in providers {
        if let [_, _, ..] = names.as_slice() {
            let mut places: Vec<_> = names
                .iter()
                .map(|(name, _)| {
                    let at = position(&nodes, name);
                    (at.and_then(|at| nodes[at].place(["fqdn"])), name)
                })
                .collect();
            places.sort();
            let list = names.iter().map(|(n, _)| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            let mut diagnostic = Diagnostic::error(
                Code::FqdnTaken,
                format!("{fqdn} is the fqdn of several functionalities: {list}"),
            )
            .about(places[0].1)
            .remedy("give each an fqdn of its own; several that serve one name are `replicas`");
            diagnostic.place = places[0].0.clone();
            for (place, name) in places.into_iter().skip(1) {
                diagnostic = diagnostic.related(format!("`{name}` has it too"), place);
            }
            found.push(diagnostic);
            failed.extend(names.iter().map(|(name, _)| name.clone()));
        }
        if let Some((provider, _)) = names.into_iter().next() {
            hosts.insert(fqdn, Host { provider, balancer: None });
        }
    }
    nodes.retain(|node| !failed.contains(node.name()));
    (nodes, hosts)
}

/// Checks one functionality by itself.
fn check_node(node: &Node, registry: &Registry, found: &mut Diagnostics) {
    let functionality = &*node.functionality;
    let upstreams: BTreeSet<_> = functionality.upstream_hosts().iter().collect();
    for problem in service_check::check(&node.service, &upstreams) {
        found.push(problem_in(node, problem));
    }
    for (member, service) in node.service.members() {
        for backend in service.overrides.keys().filter(|id| registry.backend(id).is_none()) {
            let keys: Vec<&str> = match member {
                Some(member) => vec!["group", member.as_str(), "overrides", backend.as_str()],
                None => vec!["service", "overrides", backend.as_str()],
            };
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
    let site = crate::spec::ExtensionSite::Functionality;
    infrastructure::check_extensions(functionality.extensions(), site, registry, |keys| {
        node.place(keys.iter().copied())
    })
    .for_each(|diagnostic| found.push(diagnostic.about(node.name())));
}

/// A finding of the service's own checks, in its place.
pub(super) fn problem_in(node: &Node, problem: Problem) -> Diagnostic {
    let Problem { code, keys, message, remedy } = problem;
    Diagnostic::error(code, format!("`{}`: {message}", node.name()))
        .about(node.name())
        .at(node.place(keys.iter().map(String::as_str)))
        .remedy(remedy)
}

/// Puts each load balancer between its provider and whoever names the fqdn.
fn add_balancers(
    infrastructure: &Infrastructure,
    nodes: &mut Vec<Node>,
    hosts: &mut BTreeMap<Fqdn, Host>,
    found: &mut Diagnostics,
) {
    for balancer in infrastructure.load_balancers.values() {
        let source = infrastructure.source_of("load-balancer", &balancer.name);
        let place =
            |key: &str| source.as_ref()?.place(&["load-balancer", balancer.name.as_str(), key]);
        match balancer_node(balancer, nodes, hosts) {
            Ok((mut node, host)) => {
                node.source = source;
                host.balancer = Some(node.name().clone());
                let at = nodes.partition_point(|other| other.name() < node.name());
                nodes.insert(at, node);
            }
            Err((code, key, message, remedy)) => found.push(
                Diagnostic::error(code, format!("load balancer `{}`: {message}", balancer.name))
                    .at(place(key))
                    .remedy(remedy),
            ),
        }
    }
}

/// Code, key, message and remedy.
type Refusal = (Code, &'static str, String, String);

fn balancer_node<'h>(
    balancer: &LoadBalancer,
    nodes: &[Node],
    hosts: &'h mut BTreeMap<Fqdn, Host>,
) -> Result<(Node, &'h mut Host), Refusal> {
    let fqdn = &balancer.balances;
    let find = |name: &Name| nodes.binary_search_by(|node| node.name().cmp(name)).ok();
    let invalid = |error: crate::name::NameError| {
        (Code::ValueInvalid, "", error.to_string(), "choose a shorter name".to_owned())
    };
    let name = balancer::node_name(&balancer.name).map_err(invalid)?;
    if find(&name).is_some() {
        return Err((
            Code::NameTaken,
            "",
            format!("it stands among the functionalities as `{name}`, and there is one already"),
            "rename one of the two".to_owned(),
        ));
    }
    if !hosts.contains_key(fqdn) {
        let remedy = match nearest(fqdn.as_str(), hosts.keys().map(Fqdn::as_str)) {
            Some(known) => format!("did you mean {known}?"),
            None => "balance over the fqdn of a functionality".to_owned(),
        };
        let message = format!("{fqdn} is no functionality's fqdn");
        return Err((Code::ReferenceUnknown, "balances", message, remedy));
    }
    let host = hosts
        .get_mut(fqdn)
        .ok_or_else(|| (Code::ReferenceUnknown, "balances", String::new(), String::new()))?;
    if let Some(other) = &host.balancer {
        return Err((
            Code::FqdnTaken,
            "balances",
            format!("{fqdn} is balanced by `{other}` already"),
            "keep one of the two".to_owned(),
        ));
    }
    let Some(provider) = find(&host.provider) else {
        return Err((
            Code::Blocked,
            "balances",
            format!("`{}`, which provides {fqdn}, cannot be deployed", host.provider),
            format!("mend `{}`", host.provider),
        ));
    };
    let ports: BTreeSet<_> =
        endpoints_of(&nodes[provider].service).map(|e| e.endpoint.port).collect();
    if !ports.contains(&balancer.target_port) {
        let list = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err((
            Code::ReferenceUnknown,
            "target-port",
            format!("`{}` has no endpoint at port {}", host.provider, balancer.target_port),
            if list.is_empty() {
                format!("declare the endpoint in `{}`", host.provider)
            } else {
                format!("its ports are {list}")
            },
        ));
    }
    let spec = balancer::functionality(&name, balancer, &host.provider).map_err(invalid)?;
    let service = crate::spec::Service::lower(&spec.service).map_err(|error| {
        (Code::ServiceInvalid, "", error.to_string(), "change its settings".to_owned())
    })?;
    let node = Node {
        functionality: spec.shared(),
        service: Arc::new(service),
        externals: Arc::new([]),
        balancer: Some(Arc::new(balancer.clone())),
        source: None,
    };
    Ok((node, host))
}

fn check_external_hosts(
    external: &BTreeSet<Fqdn>,
    hosts: &BTreeMap<Fqdn, Host>,
    ties: &Ties,
    found: &mut Diagnostics,
) {
    for (index, fqdn) in external.iter().enumerate() {
        if let Some(host) = hosts.get(fqdn) {
            let index = index.to_string();
            let place = ties.source.as_ref().and_then(|s| s.place(&["external-hosts", &index]));
            found.push(
                Diagnostic::warning(
                    Code::ExternalHostProvided,
                    format!("{fqdn} is declared external, and `{}` provides it", host.provider),
                )
                .at(place)
                .remedy("remove it from `external-hosts`; the functionality is used"),
            );
        }
    }
}

/// Checks that explicit placement names functionalities that exist.
fn check_placement(
    ties: &Ties,
    nodes: &[Node],
    failed: &BTreeSet<Name>,
    incomplete: bool,
    found: &mut Diagnostics,
) {
    for name in ties.place.keys() {
        let exists = nodes.binary_search_by(|node| node.name().cmp(name)).is_ok();
        if exists || failed.contains(name) {
            continue;
        }
        let place = ties.source.as_ref().and_then(|s| s.place(&["place", name.as_str()]));
        let group = nodes
            .iter()
            .find(|node| node.service.members().any(|(member, _)| member == Some(name)));
        found.push(match group {
            Some(group) => Diagnostic::error(
                Code::GroupSplit,
                format!(
                    "`{name}` is a member of `{}`, whose members run on one host",
                    group.name()
                ),
            )
            .at(place)
            .remedy(format!(
                "place `{}` as a whole, or make `{name}` a functionality of its own",
                group.name()
            )),
            None if incomplete => continue,
            None => {
                let known = nodes.iter().map(|node| node.name().as_str());
                let remedy = match nearest(name.as_str(), known) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "name a functionality of one of the catalogs".to_owned(),
                };
                Diagnostic::error(
                    Code::ReferenceUnknown,
                    format!("`{name}` is placed, and there is no functionality of this name"),
                )
                .at(place)
                .remedy(remedy)
            }
        });
    }
}

/// Finds the provider of every upstream host.
fn connect_upstreams(
    nodes: &mut [Node],
    world: &World,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut suggestions = 0;
    let mut without_endpoint = BTreeSet::new();
    for node in nodes.iter_mut() {
        let consumer = node.name().clone();
        if let Some(balancer) = &node.balancer {
            if let Some(host) = world.hosts.get(&balancer.balances) {
                wanted.push(Wanted {
                    consumer,
                    provider: host.provider.clone(),
                    fqdn: node.functionality.upstream_hosts()[0].clone(),
                    only_port: Some(balancer.target_port.get()),
                });
            }
            continue;
        }
        let mut externals = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, fqdn) in node.functionality.upstream_hosts().iter().enumerate() {
            if !seen.insert(fqdn) {
                continue;
            }
            match world.hosts.get(fqdn) {
                Some(host) => {
                    let provider = host.balancer.as_ref().unwrap_or(&host.provider).clone();
                    wanted.push(Wanted {
                        consumer: consumer.clone(),
                        provider,
                        fqdn: fqdn.clone(),
                        only_port: None,
                    });
                }
                None if world.external_hosts.contains(fqdn) => externals.push(fqdn.clone()),
                None => {
                    let place = node.place(["upstream-hosts", &index.to_string()]);
                    suggestions += 1;
                    found.push(world.not_provided(&consumer, fqdn, suggestions).at(place));
                    failed.insert(consumer.clone());
                }
            }
        }
        if !externals.is_empty() {
            node.externals = externals.into();
        }
    }
    let nodes = &*nodes;
    for Wanted { consumer, provider, .. } in &wanted {
        let Ok(at) = nodes.binary_search_by(|node| node.name().cmp(provider)) else { continue };
        if endpoints_of(&nodes[at].service).next().is_none() && without_endpoint.insert(provider) {
            found.push(
                Diagnostic::warning(
                    Code::UpstreamWithoutEndpoint,
                    format!(
                        "`{consumer}` reaches `{provider}`, which has no endpoint to connect to"
                    ),
                )
                .about(provider)
                .at(nodes[at].place(["fqdn"]))
                .remedy(format!("declare the endpoints of `{provider}`; until then no port opens")),
            );
        }
    }
    wanted
}

impl World {
    fn not_provided(&self, consumer: &Name, fqdn: &Fqdn, count: usize) -> Diagnostic {
        // Every suggestion reads all names, so a file full of errors gets only the first few.
        const SUGGESTIONS: usize = 20;
        if self.incomplete {
            return Diagnostic::error(
                Code::Blocked,
                format!("`{consumer}` needs {fqdn}, which nothing that could be read provides"),
            )
            .about(consumer)
            .remedy("mend the functionalities and catalogs that could not be read");
        }
        let known = self.hosts.keys().chain(&self.external_hosts).map(Fqdn::as_str);
        let near = (count <= SUGGESTIONS).then(|| nearest(fqdn.as_str(), known)).flatten();
        let external = format!("add {fqdn} to `external-hosts` if it is not deployed here");
        Diagnostic::error(
            Code::UpstreamNotProvided,
            format!("`{consumer}` needs {fqdn}, which is no functionality's fqdn"),
        )
        .about(consumer)
        .remedy(match near {
            Some(near) => format!("did you mean {near}? else {external}"),
            None => external,
        })
    }
}

/// Leaves out everything that depends on something left out.
fn leave_out_dependents(
    nodes: &[Node],
    wanted: &[Wanted],
    world: &World,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) {
    let mut consumers: BTreeMap<&Name, Vec<&Wanted>> = BTreeMap::new();
    for edge in wanted {
        consumers.entry(&edge.provider).or_default().push(edge);
    }
    // A load balancer's own provider may have failed without the load balancer being a node.
    debug_assert!(world.hosts.values().all(|host| host.balancer.is_none() || !nodes.is_empty()));
    let mut open: Vec<Name> = failed.iter().cloned().collect();
    while let Some(provider) = open.pop() {
        for edge in consumers.get(&provider).into_iter().flatten() {
            if failed.insert(edge.consumer.clone()) {
                let at = nodes.binary_search_by(|node| node.name().cmp(&edge.consumer)).ok();
                found.push(
                    Diagnostic::error(
                        Code::Blocked,
                        format!(
                            "`{}` needs {}, and `{provider}`, which provides it, cannot be deployed",
                            edge.consumer, edge.fqdn
                        ),
                    )
                    .about(&edge.consumer)
                    .at(at.and_then(|at| nodes[at].place(["upstream-hosts"])))
                    .remedy(format!("mend `{provider}`")),
                );
                open.push(edge.consumer.clone());
            }
        }
    }
}

/// What is left, with edges between positions.
fn keep_whole(
    mut nodes: Vec<Node>,
    wanted: Vec<Wanted>,
    failed: &BTreeSet<Name>,
) -> (Vec<Node>, Vec<Edge>) {
    nodes.retain(|node| !failed.contains(node.name()));
    let position = |name: &Name| {
        let at = nodes.binary_search_by(|node| node.name().cmp(name)).ok()?;
        u32::try_from(at).ok()
    };
    let mut edges: Vec<_> = wanted
        .into_iter()
        .filter_map(|Wanted { consumer, provider, fqdn, only_port }| {
            let (consumer, provider) = (position(&consumer)?, position(&provider)?);
            Some(Edge { consumer, provider, fqdn, only_port })
        })
        .collect();
    edges.sort_by_key(|edge| (edge.consumer, edge.provider));
    (nodes, edges)
}

/// The endpoints that an edge opens, of those that its provider has.
pub(super) fn opened(edge: &Edge, endpoints: &Arc<[EndpointRef]>) -> Arc<[EndpointRef]> {
    match edge.only_port {
        None => Arc::clone(endpoints),
        Some(port) => endpoints.iter().filter(|e| e.endpoint.port.get() == port).cloned().collect(),
    }
}
