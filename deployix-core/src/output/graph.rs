//! [`GraphDocument`]: who needs whom, where each runs, and over what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU32,
};

use serde::Serialize;

use crate::{
    backend::{EndpointRef, Unit, Via},
    name::{BackendId, Fqdn, Name},
    spec::{Endpoint, Protocol},
    topology::Connected,
};

/// Who needs whom, where each runs, and over what: a connected deployment as a document.
///
/// Serialized it is `{deployment, nodes: [{name, fqdn, target, ..}], edges: [{from, to, via,
/// endpoints, ..}], left}`; [`to_dot`](Self::to_dot) and [`to_text`](Self::to_text) show the same.
/// Nodes stand in the order of their names, hosts outside the deployment last; edges in the order
/// of their ends.
///
/// ```
/// # use deployix_core::{
/// #     Name, backend::{MemoryBackend, Registry},
/// #     spec::{Catalog, Deployment, FunctionalitySpec, ServiceSpec, Target},
/// #     topology::{Assignments, connect, place, resolve}, BackendId,
/// # };
/// use deployix_core::output::GraphDocument;
///
/// # let web = FunctionalitySpec::new("web", ServiceSpec::builder(["web"]).build()?)?
/// #     .fqdn("www.example.com")?.shared();
/// # let mut deployment = Deployment::new(Name::new("shop")?, vec![Catalog::from_iter([web])]);
/// # let target = Target::machine(Name::new("box")?, BackendId::new("memory")?);
/// # deployment.infrastructure.targets.insert(Name::new("box")?, target);
/// # let registry = Registry::new().with(MemoryBackend::new());
/// # let connected = resolve(deployment, &registry)
/// #     .then(|resolved| place(resolved, &Assignments::new(), &registry))
/// #     .then(|placed| connect(placed, &registry))
/// #     .complete()?;
/// let document = GraphDocument::of(&connected);
/// assert_eq!(document.nodes[0].name, "web");
/// assert!(document.to_dot().contains("subgraph \"cluster_box\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct GraphDocument<'a> {
    /// The deployment's name.
    pub deployment: &'a Name,
    /// Functionalities, load balancers and hosts outside.
    pub nodes: Vec<NodeEntry<'a>>,
    /// Every declared upstream.
    pub edges: Vec<EdgeEntry<'a>>,
    /// Functionalities that did not get this far; what runs of them is left as it is.
    pub left: &'a BTreeSet<Name>,
}

/// One functionality, load balancer or host outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct NodeEntry<'a> {
    /// Its name; that of the host where it is outside.
    pub name: &'a str,
    /// The host name under which others reach it.
    pub fqdn: Option<&'a Fqdn>,
    /// The target that it runs on.
    pub target: Option<&'a Name>,
    /// What it is.
    pub kind: NodeKind,
    /// The backend of that target.
    pub backend: Option<&'a BackendId>,
    /// The location of that target.
    pub location: Option<&'a Name>,
    /// Which machines of the target it runs on, from 0.
    pub machines: &'a [u32],
    /// How many of it were asked for.
    pub replicas: Option<NonZeroU32>,
    /// Where it listens.
    pub endpoints: Vec<EndpointEntry<'a>>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NodeKind {
    /// A functionality.
    Functionality,
    /// A load balancer.
    LoadBalancer,
    /// A host outside the deployment.
    External,
}

/// One declared upstream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct EdgeEntry<'a> {
    /// Who connects.
    pub from: &'a Name,
    /// Whom it reaches, by the name of its node.
    pub to: &'a str,
    /// What it runs over.
    pub via: Via,
    /// The endpoints that it opens.
    pub endpoints: Vec<EndpointEntry<'a>>,
    /// The host name that `from` uses.
    pub fqdn: &'a Fqdn,
}

/// Where somebody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct EndpointEntry<'a> {
    /// Its name.
    pub name: &'a Name,
    /// The port.
    pub port: u16,
    /// The protocol under it.
    pub protocol: Protocol,
    /// The group's member that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<&'a Name>,
}

impl<'a> GraphDocument<'a> {
    /// The document of a connected deployment.
    #[must_use]
    pub fn of(connected: &'a Connected) -> Self {
        let edges: Vec<_> = connected
            .connections()
            .map(|connection| EdgeEntry {
                from: connection.from,
                to: connection.to,
                via: connection.via,
                endpoints: connection.endpoints.iter().map(EndpointEntry::of).collect(),
                fqdn: connection.fqdn,
            })
            .collect();
        let outside = edges.iter().filter(|edge| edge.via == Via::External);
        let outside: BTreeMap<_, _> = outside.map(|edge| (edge.to, edge.fqdn)).collect();
        let nodes = connected
            .units()
            .map(|unit| NodeEntry::inside(&unit))
            .chain(outside.into_iter().map(|(name, fqdn)| NodeEntry::outside(name, fqdn)))
            .collect();
        Self { deployment: connected.deployment(), nodes, edges, left: connected.failed() }
    }

    /// The nodes of each target that has some.
    pub(super) fn by_target(&self) -> BTreeMap<&'a Name, Vec<&NodeEntry<'a>>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for node in &self.nodes {
            if let Some(target) = node.target {
                all.entry(target).or_default().push(node);
            }
        }
        all
    }
}

impl<'a> NodeEntry<'a> {
    fn inside(unit: &Unit<'a>) -> Self {
        let balancer = unit.balancer.is_some();
        let members = unit.service.members();
        let endpoints = members.flat_map(|(member, service)| {
            let endpoints = service.endpoints.iter();
            endpoints.map(move |(name, endpoint)| EndpointEntry::new(member, name, endpoint))
        });
        Self {
            name: unit.name.as_str(),
            fqdn: unit.fqdn,
            target: Some(&unit.site.target.name),
            kind: if balancer { NodeKind::LoadBalancer } else { NodeKind::Functionality },
            backend: Some(&unit.site.target.backend),
            location: unit.site.location.map(|(name, _)| name),
            machines: unit.machines,
            replicas: Some(unit.replicas),
            endpoints: endpoints.collect(),
        }
    }

    fn outside(name: &'a str, fqdn: &'a Fqdn) -> Self {
        Self {
            name,
            fqdn: Some(fqdn),
            target: None,
            kind: NodeKind::External,
            backend: None,
            location: None,
            machines: &[],
            replicas: None,
            endpoints: Vec::new(),
        }
    }
}

impl<'a> EndpointEntry<'a> {
    fn new(member: Option<&'a Name>, name: &'a Name, endpoint: &Endpoint) -> Self {
        Self { name, port: endpoint.port.get(), protocol: endpoint.protocol, member }
    }

    fn of(endpoint: &'a EndpointRef) -> Self {
        Self::new(endpoint.member.as_ref(), &endpoint.name, &endpoint.endpoint)
    }
}

impl fmt::Display for EndpointEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(member) = self.member {
            write!(f, "{member}.")?;
        }
        write!(f, "{} {}/{}", self.name, self.port, self.protocol)
    }
}
