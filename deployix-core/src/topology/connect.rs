//! Connect: from where the two ends of each edge run follows what it runs over.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use serde::Serialize;

use super::{
    Assignments, DependencyGraph, Placed,
    balancer::{HaProxy, Servers},
    place::Assignment,
    resolve::{Edge, Node, Ties, opened, problem_in},
    service_check,
};
use crate::{
    backend::{EndpointRef, Peer, Registry, Site, Unit, Via, endpoints_of},
    diagnostic::{Code, Diagnostic, Diagnostics, Place, Staged},
    name::{BackendId, Fqdn, Name},
    spec::{
        CertificateAuthority, ExtensionSite, IfUnsupported, Lowered, Part, Service, ServiceSpec,
        Target, TargetKind,
    },
};

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
    /// Positions of edges by provider, then consumer.
    by_provider: Vec<u32>,
    graph: DependencyGraph,
    failed: BTreeSet<Name>,
}

#[derive(Debug, Clone)]
struct ConnectedNode {
    node: Node,
    assignment: Assignment,
    service: Arc<Lowered>,
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
    let Placed { ties, nodes, edges, graph, failed, assignments } = placed;
    let mut failed = failed;

    let services: Vec<_> = (0u32..)
        .zip(nodes.iter().zip(&assignments))
        .map(|(at, (node, assignment))| {
            let target = &ties.infrastructure.targets[&assignment.target];
            let servers = || servers_of(at, &nodes, &edges, &assignments, &ties, registry);
            let before = found.len();
            check_extensions(node, target, registry, &mut found);
            let service = effective(node, &target.backend, servers, &mut found);
            let errors = Diagnostics::from_iter(found.iter().skip(before).cloned());
            if errors.has_errors() {
                failed.insert(node.name().clone());
            }
            service
        })
        .collect();
    let endpoints: Vec<Arc<[EndpointRef]>> =
        services.iter().map(|service| endpoints_of(service).collect()).collect();
    let edges: Vec<_> = edges
        .into_iter()
        .map(|edge| {
            let (consumer, provider) = (edge.consumer as usize, edge.provider as usize);
            let via = via(&ties, &assignments[consumer], &assignments[provider]);
            let endpoints = opened(&edge, &endpoints[provider]);
            ConnectedEdge { edge, via, endpoints }
        })
        .collect();
    let mut by_provider: Vec<u32> = (0u32..).zip(&edges).map(|(at, _)| at).collect();
    by_provider.sort_by_key(|at| {
        let edge = &edges[*at as usize].edge;
        (edge.provider, edge.consumer)
    });
    let nodes = nodes
        .into_iter()
        .zip(assignments)
        .zip(services)
        .map(|((node, assignment), service)| ConnectedNode { node, assignment, service })
        .collect();
    Staged::new(Connected { ties, nodes, edges, by_provider, graph, failed }, found)
}

/// What a connection between two placements runs over.
fn via(ties: &Ties, consumer: &Assignment, provider: &Assignment) -> Via {
    let targets = &ties.infrastructure.targets;
    if consumer.target == provider.target {
        let one = consumer.machines.len() == 1 && consumer.machines == provider.machines;
        let kind = targets[&consumer.target].kind;
        let one_machine = !matches!(kind, TargetKind::Autoscaling { .. } | TargetKind::Swarm);
        return if one && one_machine { Via::Loopback } else { Via::Private };
    }
    match (&targets[&consumer.target].network, &targets[&provider.target].network) {
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
    for (namespace, _) in node.functionality.extensions().iter() {
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

/// The service as its backend is to see it.
fn effective(
    node: &Node,
    backend: &BackendId,
    servers: impl FnOnce() -> Option<Vec<IpAddr>>,
    found: &mut Diagnostics,
) -> Arc<Lowered> {
    if let Some(balancer) = &node.balancer {
        let proxy = servers().map(|addresses| HaProxy {
            servers: Servers::At(addresses),
            source_port: balancer.source_port,
            target_port: balancer.target_port,
        });
        return match proxy.and_then(|proxy| proxy.lower().ok()) {
            Some(service) => Arc::new(service),
            None => Arc::clone(&node.service),
        };
    }
    let overridden = node.service.members().any(|(_, service)| !service.overrides.is_empty());
    let service = if overridden {
        let service = node.service.for_backend(backend);
        let upstreams: BTreeSet<_> = node.functionality.upstream_hosts().iter().collect();
        for problem in service_check::check(&service, &upstreams) {
            found.push(problem_in(node, problem));
        }
        Arc::new(service)
    } else {
        Arc::clone(&node.service)
    };
    for (member, service) in service.members() {
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
    if service.members().any(|(_, service)| holes(service)) {
        return Arc::new(service.map(|service| service.fill(|part| fill(service, part))));
    }
    service
}

fn is_known_now(part: &Part) -> bool {
    matches!(part, Part::Upstream(_) | Part::Endpoint(_))
}

/// Fills in what is known now. The fqdn of an upstream is its address: it stays the same whatever
/// the connection runs over, and resolves to the right place.
fn fill(service: &ServiceSpec, part: &Part) -> Option<Part> {
    match part {
        Part::Upstream(fqdn) => Some(Part::Literal(fqdn.to_string())),
        Part::Endpoint(name) => {
            service.endpoints.get(name).map(|endpoint| Part::Literal(endpoint.port.to_string()))
        }
        Part::Literal(_) | Part::Secret(_) | Part::Lookup(_) => None,
    }
}

/// The addresses a load balancer passes connections to, where its backend does not give names of
/// their own to functionalities.
fn servers_of(
    at: u32,
    nodes: &[Node],
    edges: &[Edge],
    assignments: &[Assignment],
    ties: &Ties,
    registry: &Registry,
) -> Option<Vec<IpAddr>> {
    let own = &assignments[at as usize];
    let backend = registry.backend(&ties.infrastructure.targets[&own.target].backend)?;
    if nodes[at as usize].balancer.is_none() || backend.capabilities().isolated_network {
        return None;
    }
    let first = edges.partition_point(|edge| edge.consumer < at);
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

    /// The targets with their networks and locations, in the order of their names.
    pub fn sites(&self) -> impl Iterator<Item = Site<'_>> {
        self.ties.infrastructure.targets.values().map(|target| self.ties.site(target))
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

    /// Every declared upstream, in order, those outside the deployment among them.
    pub fn connections(&self) -> impl Iterator<Item = Connection<'_>> {
        (0u32..).zip(&self.nodes).flat_map(move |(at, node)| {
            let from = node.node.name();
            let inside = self.edges_of(at).iter().map(move |edge| Connection {
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
        (0..self.nodes.len()).map(|at| self.unit_at(u32::try_from(at).unwrap_or(u32::MAX)))
    }

    /// One functionality or load balancer as its backend is to see it.
    #[must_use]
    pub fn unit(&self, name: &Name) -> Option<Unit<'_>> {
        let at = self.nodes.binary_search_by(|node| node.node.name().cmp(name)).ok()?;
        Some(self.unit_at(u32::try_from(at).ok()?))
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
        let source = self.ties.infrastructure.source_of("target", name)?;
        let mut path = vec!["target", name.as_str()];
        path.extend(keys.iter().map(String::as_str));
        source.place(&path)
    }

    fn unit_at(&self, at: u32) -> Unit<'_> {
        let ConnectedNode { node, assignment, service } = &self.nodes[at as usize];
        Unit {
            deployment: &self.ties.name,
            name: node.name(),
            fqdn: node.functionality.fqdn(),
            service,
            replicas: node.functionality.replicas(),
            extensions: node.functionality.extensions(),
            balancer: node.balancer.as_deref(),
            site: self.ties.site(&self.ties.infrastructure.targets[&assignment.target]),
            machines: &assignment.machines,
            upstreams: self
                .edges_of(at)
                .iter()
                .map(|edge| self.peer(edge, edge.edge.provider))
                .collect(),
            consumers: self.edges_to(at).map(|edge| self.peer(edge, edge.edge.consumer)).collect(),
            externals: &node.externals,
        }
    }

    fn peer<'a>(&'a self, edge: &'a ConnectedEdge, at: u32) -> Peer<'a> {
        let ConnectedNode { node, assignment, .. } = &self.nodes[at as usize];
        Peer {
            name: node.name(),
            fqdn: &edge.edge.fqdn,
            via: edge.via,
            endpoints: &edge.endpoints,
            site: self.ties.site(&self.ties.infrastructure.targets[&assignment.target]),
            machines: &assignment.machines,
            mutual: self.graph.mutual(edge.edge.consumer, edge.edge.provider),
        }
    }

    /// The edges to a node's upstreams.
    fn edges_of(&self, consumer: u32) -> &[ConnectedEdge] {
        let first = self.edges.partition_point(|edge| edge.edge.consumer < consumer);
        let rest = &self.edges[first..];
        &rest[..rest.partition_point(|edge| edge.edge.consumer == consumer)]
    }

    /// The edges from a node's consumers.
    fn edges_to(&self, provider: u32) -> impl Iterator<Item = &ConnectedEdge> {
        let edge = |at: &u32| &self.edges[*at as usize];
        let first = self.by_provider.partition_point(|at| edge(at).edge.provider < provider);
        self.by_provider[first..]
            .iter()
            .map(edge)
            .take_while(move |edge| edge.edge.provider == provider)
    }
}
