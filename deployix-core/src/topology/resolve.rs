//! Resolve: every upstream host becomes an edge to the functionality that provides it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{DependencyGraph, service_check::Problem};
use crate::{
    backend::{EndpointRef, OwnedSite, Registry},
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Place, Staged},
    name::{Fqdn, Name},
    source::Source,
    spec::{
        CertificateAuthority, DefaultBackend, Deployment, FunctionalitySpec, Infrastructure,
        LoadBalancer, Lowered,
    },
    suggest::nearest,
};

mod atomic;
mod balancers;
mod candidates;
pub(super) mod infrastructure;
mod upstreams;

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
    pub(super) atomic: Vec<BTreeSet<Name>>,
    pub(super) source: Option<Arc<Source>>,
    /// Targets that are described and cannot be used, each with its location where that is known.
    pub(super) unusable: BTreeMap<Name, Option<Name>>,
    /// Whether the default backend is described and cannot be used.
    pub(super) default_unusable: bool,
    /// Whether there may be more functionalities than could be read.
    pub(super) incomplete: bool,
    /// Targets that cannot be used or could not be read, as they were.
    pub(super) recalled: BTreeMap<Name, OwnedSite>,
}

/// One functionality or load balancer.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// As plain data: whatever it was described by is done with.
    pub(super) functionality: FunctionalitySpec<Arc<Lowered>>,
    pub(super) externals: Arc<[Fqdn]>,
    pub(super) balancer: Option<Arc<LoadBalancer>>,
    pub(super) source: Option<Arc<Source>>,
}

impl Node {
    pub(super) fn name(&self) -> &Name {
        &self.functionality.name
    }

    /// What runs.
    pub(super) fn service(&self) -> &Lowered {
        &self.functionality.service
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
}

impl Ties {
    /// Whether a target is described, or may be, and cannot be used.
    pub(super) fn is_unread(&self, target: &Name) -> bool {
        let Self { infrastructure, unusable, default_unusable, .. } = self;
        // Which pools a default backend makes is not known where that is described wrongly.
        let may_be =
            infrastructure.incomplete || *default_unusable || unusable.contains_key(target);
        may_be && !infrastructure.targets.contains_key(target)
    }

    /// Whether there may be targets that could not be read or cannot be used.
    pub(super) fn has_unread(&self) -> bool {
        let Self { infrastructure, unusable, default_unusable, .. } = self;
        let all_read = infrastructure.unreadable.is_empty() && !infrastructure.incomplete;
        !all_read || *default_unusable || !unusable.is_empty()
    }
}

impl Resolved {
    /// The same, with the targets as they were when something was last done there: what runs on one
    /// that is described wrongly is still reached, and reaches others, where it was.
    #[must_use]
    pub fn recalling(mut self, sites: &BTreeMap<Name, OwnedSite>) -> Self {
        let unread = sites.iter().filter(|(target, _)| self.ties.is_unread(target));
        let unread: Vec<_> = unread.map(|(name, site)| (name.clone(), site.clone())).collect();
        self.ties.recalled.extend(unread);
        self
    }

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
        atomic,
        source,
        incomplete,
        secrets: _,
        history: _,
    } = deployment;
    let mut failed: BTreeSet<Name> =
        catalogs.iter().flat_map(|catalog| catalog.unreadable.iter().cloned()).collect();
    let mut ties = Ties {
        name,
        infrastructure,
        certificate_authority,
        place,
        default_backend,
        atomic,
        source,
        unusable: BTreeMap::new(),
        default_unusable: false,
        incomplete,
        recalled: BTreeMap::new(),
    };
    // What could not be read may have any fqdn.
    let mut unread: Vec<Cause> = failed.iter().cloned().map(Cause::Functionality).collect();
    unread.extend(incomplete.then_some(Cause::Catalogs));
    infrastructure::check(&mut ties, registry, &mut found);

    let (mut nodes, mut hosts) = candidates::nodes(catalogs, registry, &mut failed, &mut found);
    let infrastructure = &ties.infrastructure;
    balancers::add(infrastructure, &mut nodes, &mut hosts, &unread, &mut failed, &mut found);
    check_external_hosts(&external_hosts, &hosts, &ties, &mut found);
    check_placement(&ties, &nodes, &failed, incomplete, &mut found);
    atomic::check(&mut ties, &nodes, &failed, incomplete, &mut found);

    let world = World::new(hosts, &nodes, external_hosts, unread);
    let wanted = upstreams::find(&mut nodes, &world, &mut failed, &mut found);
    upstreams::leave_out_dependents(&nodes, &wanted, &mut failed, &mut found);

    let (nodes, edges) = keep_whole(nodes, wanted, &failed);
    let names = nodes.iter().map(|node| node.name().clone()).collect();
    let graph = DependencyGraph::new(names, edges.iter().map(|e| (e.consumer, e.provider)));
    Staged::new(Resolved { ties, nodes, edges, graph, failed }, found)
}

/// Who answers for which host.
struct World {
    hosts: Hosts,
    external_hosts: BTreeSet<Fqdn>,
    /// What could not be read and may have any fqdn.
    unread: Vec<Cause>,
}

/// Whom host names mean. They are looked up for every upstream; nothing depends on their order.
type Hosts = HashMap<Fqdn, Host>;

/// Whom a host name means.
struct Host {
    provider: End,
    /// The load balancer in front of it.
    balancer: Option<End>,
}

/// A functionality or load balancer, which may have failed.
#[derive(Clone)]
struct End {
    name: Name,
    /// Its position among the nodes, where it has not failed; found once all of them are there.
    at: Option<u32>,
}

impl End {
    fn new(name: Name) -> Self {
        Self { name, at: None }
    }
}

impl World {
    fn new(
        mut hosts: Hosts,
        nodes: &[Node],
        external_hosts: BTreeSet<Fqdn>,
        unread: Vec<Cause>,
    ) -> Self {
        let positions: HashMap<&Name, u32> = nodes.iter().map(Node::name).zip(0..).collect();
        for host in hosts.values_mut() {
            for end in host.balancer.iter_mut().chain([&mut host.provider]) {
                end.at = positions.get(&end.name).copied();
            }
        }
        Self { hosts, external_hosts, unread }
    }
}

/// A declared upstream, before what failed is left out.
struct Wanted {
    consumer: u32,
    provider: End,
    fqdn: Fqdn,
}

/// A finding of the service's own checks, in its place.
pub(super) fn problem_in(node: &Node, problem: Problem) -> Diagnostic {
    let Problem { code, keys, message, remedy } = problem;
    Diagnostic::error(code, format!("`{}`: {message}", node.name()))
        .about(node.name())
        .at(node.place(keys.iter().map(String::as_str)))
        .remedy(remedy)
}

fn check_external_hosts(
    external: &BTreeSet<Fqdn>,
    hosts: &Hosts,
    ties: &Ties,
    found: &mut Diagnostics,
) {
    for fqdn in external {
        if let Some(host) = hosts.get(fqdn) {
            let place = ties.source.as_ref().and_then(|s| s.place(&["external-hosts"]));
            found.push(
                Diagnostic::warning(
                    Code::ExternalHostProvided,
                    format!(
                        "{fqdn} is declared external, and `{}` provides it",
                        host.provider.name
                    ),
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
            .find(|node| node.service().members().any(|(member, _)| member == Some(name)));
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
            None if incomplete => hidden(name).at(place),
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

/// That a functionality is named which may be described in what could not be read.
pub(crate) fn hidden(name: &Name) -> Diagnostic {
    let message = format!("nothing that could be read describes functionality `{name}`");
    Diagnostic::error(Code::Blocked, message)
        .because([Cause::Catalogs])
        .hidden(format!("a functionality `{name}`"))
        .remedy("mend the catalogs that could not be read")
}

/// What is left, with edges between positions.
fn keep_whole(
    mut nodes: Vec<Node>,
    wanted: Vec<Wanted>,
    failed: &BTreeSet<Name>,
) -> (Vec<Node>, Vec<Edge>) {
    let mut next = 0u32..;
    let moved: Vec<Option<u32>> = nodes
        .iter()
        .map(|node| if failed.contains(node.name()) { None } else { next.next() })
        .collect();
    nodes.retain(|node| !failed.contains(node.name()));
    let mut edges: Vec<_> = wanted
        .into_iter()
        .filter_map(|Wanted { consumer, provider, fqdn }| {
            let (consumer, provider) = (moved[consumer as usize]?, moved[provider.at? as usize]?);
            Some(Edge { consumer, provider, fqdn })
        })
        .collect();
    edges.sort_by_key(|edge| (edge.consumer, edge.provider));
    (nodes, edges)
}

/// The endpoints that an edge opens, of those that its provider has: all, but for a load balancer
/// those that it passes connections to.
pub(super) fn opened(consumer: &Node, endpoints: &Arc<[EndpointRef]>) -> Arc<[EndpointRef]> {
    let Some(balancer) = &consumer.balancer else { return Arc::clone(endpoints) };
    let ports = balancer.listeners.target_ports();
    endpoints.iter().filter(|it| ports.contains(&it.endpoint.port)).cloned().collect()
}
