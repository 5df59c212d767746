//! What failed and runs on as it was: whom it is connected with, so that nobody closes what it uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Connected, via};
use crate::{
    backend::{EndpointRef, LeftUnit, OwnedSite, Peer, Site, Unit, Via},
    name::{Fqdn, Name},
    topology::{Assignment, balancer},
};

/// Functionalities and load balancers that failed and run on, with whom they are connected.
///
/// Where they run is where they ran before, and whom they reach is whom they reached, whatever is
/// said of them now; where that can be read, whom they are to reach from now on as well, so that
/// nothing is closed before it is known to be needless.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Left {
    runs: BTreeMap<Name, Assignment>,
    /// By consumer, then fqdn.
    edges: Vec<LeftEdge>,
    /// Positions among the edges.
    by_provider: BTreeMap<Name, Vec<usize>>,
}

/// A connection of a consumer that is left as it is.
#[derive(Debug, Clone, PartialEq)]
struct LeftEdge {
    consumer: End,
    provider: End,
    fqdn: Fqdn,
    via: Via,
    endpoints: Arc<[EndpointRef]>,
}

/// An end of it, and where that runs.
#[derive(Debug, Clone, PartialEq)]
struct End {
    name: Name,
    target: Name,
    machines: Arc<[u32]>,
}

impl End {
    fn new(name: &Name, at: &Assignment) -> Self {
        Self { name: name.clone(), target: at.target.clone(), machines: Arc::clone(&at.machines) }
    }
}

impl Left {
    /// Who runs on and reaches a functionality or load balancer.
    fn reaching(&self, provider: &Name) -> impl Iterator<Item = &LeftEdge> {
        let positions = self.by_provider.get(provider).into_iter().flatten();
        positions.map(|at| &self.edges[*at])
    }

    /// Whether somebody else than there reaches a functionality or load balancer, or differently.
    pub(crate) fn differs_for(&self, other: &Self, provider: &Name) -> bool {
        !self.reaching(provider).eq(other.reaching(provider))
    }

    /// Whether a consumer's connections are told here, whatever is said of it now.
    fn tells_of(&self, consumer: &Name) -> bool {
        self.runs.contains_key(consumer)
    }
}

impl Connected {
    /// Those of what failed that ran before, with whom they are connected.
    pub(crate) fn left(&self, failed: &BTreeSet<Name>) -> Left {
        let runs = self.before.iter().filter(|(name, _)| failed.contains(*name));
        let mut left = Left {
            runs: runs.map(|(name, at)| (name.clone(), at.clone())).collect(),
            ..Left::default()
        };
        for (consumer, at) in &left.runs {
            let wanted = self.position(consumer).map(|at| &self.nodes[at].assignment.upstreams);
            let wanted =
                wanted.into_iter().flatten().filter(|(fqdn, _)| !at.upstreams.contains_key(*fqdn));
            let mut upstreams: Vec<_> = at.upstreams.iter().chain(wanted).collect();
            upstreams.sort();
            for (fqdn, provider) in upstreams {
                let end = End::new(consumer, at);
                left.edges.extend(self.left_edge(end, fqdn, provider, &left.runs));
            }
        }
        for (at, edge) in left.edges.iter().enumerate() {
            left.by_provider.entry(edge.provider.name.clone()).or_default().push(at);
        }
        left
    }

    /// The connection to whom a host name meant, else to whom it means now; nothing where neither is
    /// there any more, or one of the targets is neither described nor recalled.
    fn left_edge(
        &self,
        consumer: End,
        fqdn: &Fqdn,
        meant: &Name,
        runs: &BTreeMap<Name, Assignment>,
    ) -> Option<LeftEdge> {
        let means = || {
            self.nodes.iter().position(|node| node.node.functionality.fqdn.as_ref() == Some(fqdn))
        };
        let stands = runs.get(meant).map(|at| End::new(meant, at));
        let now = self.position(meant).or_else(|| if stands.is_none() { means() } else { None });
        let now = now.map(|at| &self.nodes[at]);
        let provider =
            stands.or_else(|| now.map(|now| End::new(now.node.name(), &now.assignment)))?;
        let target = |end: &End| self.left_site(end).map(|site| site.target);
        let via =
            via((target(&consumer)?, &consumer.machines), (target(&provider)?, &provider.machines));
        let endpoints = now.map(|now| self.opened_to(&consumer.name, &now.endpoints));
        let endpoints = endpoints.unwrap_or_default();
        Some(LeftEdge { consumer, provider, fqdn: fqdn.clone(), via, endpoints })
    }

    /// The endpoints that are opened to a consumer of which no more than the name may be known.
    fn opened_to(&self, consumer: &Name, endpoints: &Arc<[EndpointRef]>) -> Arc<[EndpointRef]> {
        let mut balancers = self.ties.infrastructure.load_balancers.values();
        let is_it = |name: &Name| balancer::node_name(name).is_ok_and(|name| name == *consumer);
        let Some(balancer) = balancers.find(|balancer| is_it(&balancer.name)) else {
            return Arc::clone(endpoints);
        };
        let ports = balancer.listeners.target_ports();
        endpoints.iter().filter(|it| ports.contains(&it.endpoint.port)).cloned().collect()
    }

    /// Every functionality and load balancer, as [`units`](Self::units) gives them, but beside what
    /// is left as it is.
    pub(crate) fn units_beside<'a>(
        &'a self,
        left: &'a Left,
    ) -> impl ExactSizeIterator<Item = Unit<'a>> {
        self.units().map(move |unit| self.beside(unit, left))
    }

    /// One functionality or load balancer, likewise.
    pub(crate) fn unit_beside<'a>(&'a self, name: &Name, left: &'a Left) -> Option<Unit<'a>> {
        self.unit(name).map(|unit| self.beside(unit, left))
    }

    fn beside<'a>(&'a self, mut unit: Unit<'a>, left: &'a Left) -> Unit<'a> {
        if left.runs.is_empty() {
            return unit;
        }
        unit.consumers.retain(|peer| !left.tells_of(peer.name));
        let reaching = left.reaching(unit.name);
        unit.consumers.extend(reaching.filter_map(|edge| self.left_peer(edge, &edge.consumer)));
        unit.consumers.sort_by_key(|peer| peer.name);
        unit
    }

    /// What is left as it is on a target.
    pub(crate) fn left_on<'a>(&'a self, target: &Name, left: &'a Left) -> Vec<LeftUnit<'a>> {
        let here = left.runs.iter().filter(|(_, at)| at.target == *target);
        let unit = |(name, at): (&'a Name, &'a Assignment)| {
            let first = left.edges.partition_point(|edge| edge.consumer.name < *name);
            let own = left.edges[first..].iter().take_while(|edge| edge.consumer.name == *name);
            LeftUnit {
                name,
                replicas: at.replicas,
                machines: &at.machines,
                upstreams: own.filter_map(|edge| self.left_peer(edge, &edge.provider)).collect(),
                consumers: {
                    let reaching = left.reaching(name);
                    reaching.filter_map(|edge| self.left_peer(edge, &edge.consumer)).collect()
                },
            }
        };
        here.map(unit).collect()
    }

    fn left_peer<'a>(&'a self, edge: &'a LeftEdge, end: &'a End) -> Option<Peer<'a>> {
        Some(Peer {
            name: &end.name,
            fqdn: &edge.fqdn,
            via: edge.via,
            endpoints: &edge.endpoints,
            site: self.left_site(end)?,
            machines: &end.machines,
            // Whoever needs what failed is left as well, and nobody waits for either.
            mutual: false,
        })
    }

    /// Where an end runs: as its target is described, else as that was.
    fn left_site(&self, end: &End) -> Option<Site<'_>> {
        let before = || self.ties.recalled.get(&end.target).map(OwnedSite::site);
        self.site(&end.target).or_else(before)
    }

    fn position(&self, name: &Name) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.node.name().cmp(name)).ok()
    }
}
