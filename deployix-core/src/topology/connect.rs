//! Connect: from where the two ends of each edge run follows what it runs over.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    ops::Range,
    sync::Arc,
};

use serde::Serialize;

use super::{
    Assignments, DependencyGraph, Placed,
    balancer::{HaProxy, Servers},
    place::Assignment,
    resolve::{Edge, Node, Ties, opened, problem_in},
    service_check,
};
use crate::{
    backend::{EndpointRef, Peer, Registry, Site, Subject, Unit, Via, endpoints_of},
    diagnostic::{Code, Diagnostic, Diagnostics, Place, Severity, Staged},
    name::{AbsolutePath, BackendId, Fqdn, Name},
    ordered::OrderedMap,
    spec::{
        CertificateAuthority, Endpoint, ExtensionSite, FileSpec, IfUnsupported, Part, Service,
        ServiceSpec, Target, TargetKind, UserName,
    },
};

mod left;

pub(crate) use left::Left;

/// A placed deployment in which every edge knows what it runs over.
///
/// Invariants: every service is as its backend is to see it, with upstreams and endpoints filled
/// in; every edge's ends exist. Only [`connect`] makes one.
#[derive(Debug, Clone)]
pub struct Connected {
    ties: Ties,
    nodes: Vec<ConnectedNode>,
    /// By consumer, then provider.
    edges: Vec<ConnectedEdge>,
    /// Positions among the edges, by provider, then consumer.
    by_provider: Vec<u32>,
    graph: DependencyGraph,
    failed: BTreeSet<Name>,
    /// Where each functionality ran before.
    before: Assignments,
}

#[derive(Debug, Clone)]
struct ConnectedNode {
    /// Its service is as its backend is to see it.
    node: Node,
    assignment: Assignment,
    /// The position of its target among all.
    target: usize,
    /// Where its service listens.
    endpoints: Arc<[EndpointRef]>,
    /// Its edges to upstreams, among `edges`.
    upstreams: Range<usize>,
    /// Its edges from consumers, among `by_provider`.
    consumers: Range<usize>,
}

#[derive(Debug, Clone)]
struct ConnectedEdge {
    edge: Edge,
    via: Via,
    endpoints: Arc<[EndpointRef]>,
}

/// A declared upstream and what it runs over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Connection<'a> {
    /// Who connects.
    pub from: &'a Name,
    /// Whom it reaches: a functionality or load balancer, or a host outside.
    pub to: &'a str,
    /// The host name that `from` uses.
    pub fqdn: &'a Fqdn,
    /// What it runs over.
    pub via: Via,
    /// The provider's endpoints, all of which it opens.
    pub endpoints: &'a [EndpointRef],
}

/// Finds out what each edge runs over: the same machine's loopback, a private network, or IPsec.
pub fn connect(placed: Placed, registry: &Registry) -> Staged<Connected> {
    let mut found = Diagnostics::new();
    let Placed { ties, mut nodes, edges, graph, mut failed, assignments, before } = placed;

    let targets: Vec<&Target> = ties.infrastructure.targets.values().collect();
    let positions: HashMap<&Name, usize> =
        targets.iter().map(|target| &target.name).zip(0..).collect();
    let located: Vec<usize> = assignments.iter().map(|a| positions[&a.target]).collect();
    for (at, node) in nodes.iter_mut().enumerate() {
        let target = targets[located[at]];
        let before = found.len();
        check_extensions(node, target, registry, &mut found);
        if let Some(balancer) = &node.balancer {
            let proxy =
                servers_of(at, &edges, &assignments, &ties, registry).map(|addresses| HaProxy {
                    name: node.name().clone(),
                    servers: Servers::At(addresses),
                    listeners: balancer.listeners.clone(),
                });
            if let Some(service) = proxy.and_then(|proxy| proxy.lower().ok()) {
                node.functionality.service = service;
            }
        } else {
            make_effective(node, &target.backend, &mut found);
        }
        if found.iter().skip(before).any(|d| d.severity == Severity::Error) {
            failed.insert(node.name().clone());
        }
    }
    for (at, problem) in path_clashes(&nodes, &assignments, &located, &targets, registry, &failed) {
        failed.insert(nodes[at].name().clone());
        found.push(problem);
    }
    let endpoints: Vec<Arc<[EndpointRef]>> =
        nodes.iter().map(|node| endpoints_of(node.service()).collect()).collect();
    let edges: Vec<_> = edges
        .into_iter()
        .map(|edge| {
            let end = |at: u32| {
                let at = at as usize;
                (targets[located[at]], &*assignments[at].machines)
            };
            let via = via(end(edge.consumer), end(edge.provider));
            let endpoints =
                opened(&nodes[edge.consumer as usize], &endpoints[edge.provider as usize]);
            ConnectedEdge { edge, via, endpoints }
        })
        .collect();
    let mut by_provider: Vec<u32> = (0u32..).zip(&edges).map(|(at, _)| at).collect();
    // Stable, and the edges are in the order of their consumers.
    by_provider.sort_by_key(|at| edges[*at as usize].edge.provider);
    let mut upstreams = shares(edges.iter().map(|edge| edge.edge.consumer));
    let mut consumers = shares(by_provider.iter().map(|at| edges[*at as usize].edge.provider));
    let nodes: Vec<_> = (0u32..)
        .zip(nodes)
        .zip(assignments.into_iter().zip(located).zip(endpoints))
        .map(|((at, node), ((assignment, target), endpoints))| {
            let (upstreams, consumers) = (upstreams(at), consumers(at));
            ConnectedNode { node, assignment, target, endpoints, upstreams, consumers }
        })
        .collect();
    drop((upstreams, consumers));
    Staged::new(Connected { ties, nodes, edges, by_provider, graph, failed, before }, found)
}

/// What a functionality has at a path.
#[derive(Clone, Copy, PartialEq)]
enum Claim<'a> {
    File(&'a FileSpec),
    State(Option<&'a UserName>),
}

impl Claim<'_> {
    /// Whether two can have it together: an equal file, or state of one and the same user.
    fn is_shared_with(self, other: Self) -> bool {
        self == other && self != Self::State(None)
    }
}

/// Files and state that two functionalities want on one machine and cannot share, unless each has a
/// file system of its own there; by the position of the second.
fn path_clashes(
    nodes: &[Node],
    assignments: &[Assignment],
    located: &[usize],
    targets: &[&Target],
    registry: &Registry,
    failed: &BTreeSet<Name>,
) -> Vec<(usize, Diagnostic)> {
    let mut problems = Vec::new();
    let mut taken: HashMap<(usize, u32, &AbsolutePath), (&Name, Claim<'_>)> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        let target = targets[located[at]];
        let backend = registry.backend(&target.backend);
        if backend.is_none_or(|backend| backend.capabilities().isolated)
            || failed.contains(node.name())
        {
            continue;
        }
        let paths = node.service().members().flat_map(|(_, service)| {
            let files = service.files.iter().map(|(path, file)| (path, Claim::File(file)));
            let state = Claim::State(service.user.as_ref());
            files.chain(service.state.iter().map(move |path| (path, state)))
        });
        for (path, claim) in paths {
            for &machine in &*assignments[at].machines {
                let (holder, there) =
                    *taken.entry((located[at], machine, path)).or_insert((node.name(), claim));
                if holder == node.name() || claim.is_shared_with(there) {
                    continue;
                }
                let message = format!(
                    "`{}` and `{holder}` both have {path} on `{}`",
                    node.name(),
                    target.name
                );
                let key = if matches!(claim, Claim::File(_)) { "files" } else { "state" };
                let problem = Diagnostic::error(Code::PathTaken, message)
                    .about(node.name())
                    .at(node.place(["service", key]))
                    .remedy("give one of them another path, or place them on different targets");
                problems.push((at, problem));
                break;
            }
        }
    }
    problems
}

/// Cuts what is in the order of its owners into each owner's share; to be asked for owner by
/// owner.
fn shares(owners: impl Iterator<Item = u32>) -> impl FnMut(u32) -> Range<usize> {
    let mut owners = owners.peekable();
    let mut end = 0;
    move |owner| {
        let start = end;
        while owners.next_if_eq(&owner).is_some() {
            end += 1;
        }
        start..end
    }
}

/// What a connection between machines of two targets runs over.
fn via(consumer: (&Target, &[u32]), provider: (&Target, &[u32])) -> Via {
    let ((here, own), (there, others)) = (consumer, provider);
    if here.name == there.name {
        let one = own.len() == 1 && own == others;
        let one_machine = !matches!(here.kind, TargetKind::Autoscaling { .. } | TargetKind::Swarm);
        return if one && one_machine { Via::Loopback } else { Via::Private };
    }
    match (&here.network, &there.network) {
        (Some(here), Some(there)) if here == there => Via::Private,
        _ => Via::Ipsec,
    }
}

/// Tells of extensions that nobody looks at where a functionality runs.
fn check_extensions(node: &Node, target: &Target, registry: &Registry, found: &mut Diagnostics) {
    let site = match node.balancer {
        Some(_) => ExtensionSite::LoadBalancer,
        None => ExtensionSite::Functionality,
    };
    for (namespace, _) in node.functionality.extensions.iter() {
        let own = |id: &BackendId| {
            let decls = registry.backend(id).map(|backend| backend.extension_decls());
            decls.into_iter().flatten().any(|decl| decl.namespace() == namespace.as_str())
        };
        if own(&target.backend) || target.guest.as_ref().is_some_and(own) {
            continue;
        }
        let Some(decl) = registry.extension(namespace.as_str(), site) else { continue };
        let message = format!(
            "extension `{namespace}` of `{}` means nothing on `{}`, whose backend is `{}`",
            node.name(),
            target.name,
            target.backend
        );
        let diagnostic = match decl.if_unsupported() {
            IfUnsupported::Refuse => Diagnostic::error(Code::ExtensionUnsupported, message)
                .remedy("place it elsewhere, or remove the extension"),
            IfUnsupported::Note => Diagnostic::warning(Code::ExtensionUnsupported, message),
        };
        found
            .push(diagnostic.about(node.name()).at(node.place(["extensions", namespace.as_str()])));
    }
}

/// Makes a service what its backend is to see; in place, where nobody else holds it.
fn make_effective(node: &mut Node, backend: &BackendId, found: &mut Diagnostics) {
    if node.service().members().any(|(_, service)| !service.overrides.is_empty()) {
        node.functionality.service = Arc::new(node.service().for_backend(backend));
        let upstreams = &node.functionality.upstream_hosts;
        for problem in service_check::check(node.service(), upstreams) {
            found.push(problem_in(node, problem));
        }
    }
    for (member, service) in node.service().members() {
        if service.start.is_empty() && service.software.image.is_none() {
            let keys = match member {
                Some(member) => vec!["group", member.as_str()],
                None => vec!["service"],
            };
            found.push(
                Diagnostic::error(
                    Code::KeyMissing,
                    format!("`{}` has no command to start on `{backend}`", node.name()),
                )
                .about(node.name())
                .at(node.place(keys))
                .remedy("give it `start`, or a ready `software.image` that starts by itself"),
            );
        }
    }
    let holes = |service: &ServiceSpec| {
        service.templates().any(|(_, template)| template.parts().iter().any(is_known_now))
    };
    if node.service().members().any(|(_, service)| holes(service)) {
        for service in Arc::make_mut(&mut node.functionality.service).services_mut() {
            let endpoints = std::mem::take(&mut service.endpoints);
            service.fill(|part| fill(&endpoints, part));
            service.endpoints = endpoints;
        }
    }
}

fn is_known_now(part: &Part) -> bool {
    matches!(part, Part::Upstream(_) | Part::Endpoint(_))
}

/// Fills in what is known now. The fqdn of an upstream is its address: it stays the same whatever
/// the connection runs over, and resolves to the right place.
fn fill(endpoints: &OrderedMap<Name, Endpoint>, part: &Part) -> Option<Part> {
    match part {
        Part::Upstream(fqdn) => Some(Part::Literal(fqdn.to_string())),
        Part::Endpoint(name) => {
            endpoints.get(name).map(|endpoint| Part::Literal(endpoint.port.to_string()))
        }
        Part::Literal(_) | Part::Secret(_) | Part::Lookup(_) => None,
    }
}

/// The addresses a load balancer passes connections to, where its backend does not give names of
/// their own to functionalities.
fn servers_of(
    at: usize,
    edges: &[Edge],
    assignments: &[Assignment],
    ties: &Ties,
    registry: &Registry,
) -> Option<Vec<IpAddr>> {
    let own = &assignments[at];
    let backend = registry.backend(&ties.infrastructure.targets[&own.target].backend)?;
    if backend.capabilities().isolated {
        return None;
    }
    let first = edges.partition_point(|edge| (edge.consumer as usize) < at);
    let provider = &assignments[edges.get(first)?.provider as usize];
    let target = &ties.infrastructure.targets[&provider.target];
    let loopback = IpAddr::from([127, 0, 0, 1]);
    provider
        .machines
        .iter()
        .map(|&machine| {
            let same = provider.target == own.target && *own.machines == [machine];
            if same { Some(loopback) } else { target.private_address(machine) }
        })
        .collect()
}

impl Connected {
    /// Who needs whom.
    #[must_use]
    pub fn graph(&self) -> &DependencyGraph {
        &self.graph
    }

    /// The deployment's name.
    #[must_use]
    pub fn deployment(&self) -> &Name {
        &self.ties.name
    }

    /// Who signs the certificates of machines that talk over IPsec.
    #[must_use]
    pub fn certificate_authority(&self) -> Option<&CertificateAuthority> {
        self.ties.certificate_authority.as_ref()
    }

    /// Sets of functionalities that succeed or are put back together, each of at least two.
    #[must_use]
    pub fn atomic(&self) -> &[BTreeSet<Name>] {
        &self.ties.atomic
    }

    /// The targets with their networks and locations, in the order of their names.
    pub fn sites(&self) -> impl Iterator<Item = Site<'_>> {
        self.ties.infrastructure.targets.values().map(|target| self.ties.site(target))
    }

    /// One target with its network and location.
    #[must_use]
    pub fn site(&self, target: &Name) -> Option<Site<'_>> {
        self.ties.infrastructure.targets.get(target).map(|target| self.ties.site(target))
    }

    /// The functionalities and load balancers with the targets they run on, in order.
    pub(crate) fn located(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.nodes.iter().map(|node| (node.node.name(), &node.assignment.target))
    }

    /// Where each functionality runs; to be handed to the next placement, so that it stays.
    #[must_use]
    pub fn assignments(&self) -> Assignments {
        let entry = |node: &ConnectedNode| (node.node.name().clone(), node.assignment.clone());
        self.nodes.iter().map(entry).collect()
    }

    /// Functionalities that did not get here whole; what runs of them is left as it is.
    #[must_use]
    pub fn failed(&self) -> &BTreeSet<Name> {
        &self.failed
    }

    /// Targets that are described, or may be, and are none of the sites.
    pub(crate) fn is_unread(&self, target: &Name) -> bool {
        self.ties.is_unread(target)
    }

    /// Whether there may be targets that could not be read or cannot be used.
    pub(crate) fn has_unread(&self) -> bool {
        self.ties.has_unread()
    }

    /// Functionalities that are not described, and may be in what could not be read.
    pub(crate) fn is_unheard(&self, functionality: &Name) -> bool {
        self.ties.incomplete && !self.graph.knows(functionality)
    }

    /// Every declared upstream, in order, those outside the deployment among them.
    pub fn connections(&self) -> impl Iterator<Item = Connection<'_>> {
        self.nodes.iter().flat_map(move |node| {
            let from = node.node.name();
            let inside = self.edges[node.upstreams.clone()].iter().map(move |edge| Connection {
                from,
                to: self.nodes[edge.edge.provider as usize].node.name().as_str(),
                fqdn: &edge.edge.fqdn,
                via: edge.via,
                endpoints: &edge.endpoints,
            });
            let outside = node.node.externals.iter().map(move |fqdn| Connection {
                from,
                to: fqdn.as_str(),
                fqdn,
                via: Via::External,
                endpoints: &[],
            });
            inside.chain(outside)
        })
    }

    /// Every functionality and load balancer, in the order of their names, as its backend is to
    /// see it.
    pub fn units(&self) -> impl ExactSizeIterator<Item = Unit<'_>> {
        let sites: Vec<_> = self.sites().collect();
        self.nodes.iter().map(move |node| self.unit_of(node, |node| sites[node.target]))
    }

    /// One functionality or load balancer as its backend is to see it.
    #[must_use]
    pub fn unit(&self, name: &Name) -> Option<Unit<'_>> {
        let at = self.nodes.binary_search_by(|node| node.node.name().cmp(name)).ok()?;
        let targets = &self.ties.infrastructure.targets;
        let site = |node: &ConnectedNode| self.ties.site(&targets[&node.assignment.target]);
        Some(self.unit_of(&self.nodes[at], site))
    }

    /// The place in the files that keys lead to, from a functionality's own top.
    #[must_use]
    pub fn place(&self, name: &Name, keys: &[String]) -> Option<Place> {
        let at = self.nodes.binary_search_by(|node| node.node.name().cmp(name)).ok()?;
        self.nodes[at].node.place(keys.iter().map(String::as_str))
    }

    /// The place in the files that keys lead to, from a target's own top.
    #[must_use]
    pub fn place_of_target(&self, name: &Name, keys: &[String]) -> Option<Place> {
        self.place_of(&Subject::Target(name.clone()), keys)
    }

    /// The place in the files that keys lead to, from the top of something that several share.
    #[must_use]
    pub fn place_of(&self, subject: &Subject, keys: &[String]) -> Option<Place> {
        let (kind, name) = (subject.kind(), subject.name());
        let source = self.ties.infrastructure.source_of(kind, name)?;
        let mut path = vec![kind, name.as_str()];
        path.extend(keys.iter().map(String::as_str));
        source.place(&path)
    }

    fn unit_of<'a>(
        &'a self,
        node: &'a ConnectedNode,
        site: impl Fn(&'a ConnectedNode) -> Site<'a>,
    ) -> Unit<'a> {
        let ConnectedNode { node: Node { functionality, .. }, assignment, .. } = node;
        let upstreams = self.edges[node.upstreams.clone()].iter();
        let consumers = self.by_provider[node.consumers.clone()].iter();
        let consumers = consumers.map(|at| &self.edges[*at as usize]);
        Unit {
            deployment: &self.ties.name,
            name: &functionality.name,
            fqdn: functionality.fqdn.as_ref(),
            service: &functionality.service,
            replicas: functionality.replicas,
            extensions: &functionality.extensions,
            balancer: node.node.balancer.as_deref(),
            site: site(node),
            machines: &assignment.machines,
            upstreams: upstreams.map(|edge| self.peer(edge, edge.edge.provider, &site)).collect(),
            consumers: consumers.map(|edge| self.peer(edge, edge.edge.consumer, &site)).collect(),
            externals: &node.node.externals,
        }
    }

    fn peer<'a>(
        &'a self,
        edge: &'a ConnectedEdge,
        at: u32,
        site: impl Fn(&'a ConnectedNode) -> Site<'a>,
    ) -> Peer<'a> {
        let peer = &self.nodes[at as usize];
        Peer {
            name: peer.node.name(),
            fqdn: &edge.edge.fqdn,
            via: edge.via,
            endpoints: &edge.endpoints,
            site: site(peer),
            machines: &peer.assignment.machines,
            mutual: self.graph.mutual(edge.edge.consumer, edge.edge.provider),
        }
    }
}
