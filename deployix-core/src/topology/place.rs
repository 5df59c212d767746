//! Place: every functionality gets machines of a target. Pure and sticky.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    balancer,
    policy::{Demand, Misfit},
    resolve::{
        Edge, Node, Resolved, Ties,
        infrastructure::{hidden, unknown},
    },
};
use crate::{
    backend::{Registry, Site},
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Place, Staged},
    name::{Fqdn, Name},
    ordered::OrderedMap,
    spec::Target,
    topology::DependencyGraph,
};

mod ground;

use ground::{Ground, Pick};

/// Where each functionality runs, and whom it reaches from there.
pub type Assignments = BTreeMap<Name, Assignment>;

/// Where one functionality runs, and whom it reaches from there: enough to leave its connections as
/// they are while what describes it is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Assignment {
    /// The target.
    pub target: Name,
    /// Which of its machines, from 0, in order: `[0]` for groups that scale and for swarms, none
    /// for a load balancer that is no program on a machine.
    pub machines: Arc<[u32]>,
    /// How many of it run.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: NonZeroU32,
    /// The host names of the deployment that it uses, each with the functionality or load balancer
    /// that it meant.
    #[serde(default, skip_serializing_if = "OrderedMap::is_empty")]
    pub upstreams: OrderedMap<Fqdn, Name>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn is_one(replicas: &NonZeroU32) -> bool {
    *replicas == NonZeroU32::MIN
}

impl Assignment {
    /// One that runs on these machines and reaches nobody.
    #[must_use]
    pub fn new(target: Name, machines: impl Into<Arc<[u32]>>) -> Self {
        Self { target, machines: machines.into(), replicas: one(), upstreams: OrderedMap::new() }
    }
}

/// A resolved deployment whose functionalities all have a place to run.
///
/// Invariants: every assigned target exists, no machine holds more than its capacity, and no port
/// of a machine's own address is given twice. Only [`place`] makes one.
#[derive(Debug, Clone)]
pub struct Placed {
    pub(super) ties: Ties,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    pub(super) graph: DependencyGraph,
    pub(super) failed: BTreeSet<Name>,
    /// In the order of the nodes.
    pub(super) assignments: Vec<Assignment>,
    /// Where each functionality ran before.
    pub(super) before: Assignments,
}

impl Placed {
    /// Who needs whom.
    #[must_use]
    pub fn graph(&self) -> &DependencyGraph {
        &self.graph
    }

    /// The targets, those made for the default backend among them.
    #[must_use]
    pub fn targets(&self) -> &BTreeMap<Name, Target> {
        &self.ties.infrastructure.targets
    }

    /// Where each functionality runs; to be handed to the next placement, so that it stays.
    #[must_use]
    pub fn assignments(&self) -> Assignments {
        let names = self.nodes.iter().map(|node| node.name().clone());
        names.zip(self.assignments.iter().cloned()).collect()
    }
}

impl Ties {
    /// A target with its network and location.
    pub(super) fn site<'a>(&'a self, target: &'a Target) -> Site<'a> {
        self.infrastructure.site(target)
    }
}

/// Gives every functionality a place to run.
///
/// In this order: explicit placement, then a wished target, then where it ran `before`, then the
/// wished location, then the default backend's pool; and there where the most room is. What the
/// default backend has no machines for, it gets new ones for. What ran on a target that cannot be
/// used now goes nowhere else by itself, and whoever ran and may be described in what could not be
/// read counts as failed.
pub fn place(resolved: Resolved, before: &Assignments, registry: &Registry) -> Staged<Placed> {
    let Resolved { mut ties, nodes, edges, graph, mut failed } = resolved;
    let mut found = Diagnostics::new();
    if ties.incomplete {
        // Whoever is not described may be so in what could not be read.
        let described = |name: &Name| nodes.binary_search_by(|node| node.name().cmp(name)).is_ok();
        failed.extend(before.keys().filter(|name| !described(name)).cloned());
    }
    leave_lost_balancers(&ties, &nodes, &edges, before, &mut failed, &mut found);
    let mut ground = Ground::new(&mut ties, registry);
    let mut assignments: Vec<Option<Assignment>> = vec![None; nodes.len()];
    let provider_of: BTreeMap<u32, u32> = edges
        .iter()
        .filter(|edge| nodes[edge.consumer as usize].balancer.is_some())
        .map(|edge| (edge.consumer, edge.provider))
        .collect();

    for turn in [Turn::Asked, Turn::Before, Turn::New, Turn::Balancer] {
        for (at, node) in nodes.iter().enumerate() {
            if assignments[at].is_some() || failed.contains(node.name()) {
                continue;
            }
            let at_u32 = u32::try_from(at).unwrap_or(u32::MAX);
            let beside = provider_of
                .get(&at_u32)
                .and_then(|provider| assignments[*provider as usize].as_ref())
                .map(|assignment| assignment.target.clone());
            match turn.place(node, &ties, before.get(node.name()), beside, &mut ground) {
                None => {}
                Some(Ok((assignment, remark))) => {
                    found.extend(remark);
                    assignments[at] = Some(assignment);
                }
                Some(Err(problem)) => {
                    found.push(problem.about(node.name()));
                    failed.insert(node.name().clone());
                }
            }
        }
    }
    ground.finish(&mut ties.infrastructure);

    let nodes: Vec<_> = nodes.into_iter().zip(assignments).collect();
    let (nodes, edges, graph) = cut(nodes, edges, graph, &mut failed, &mut found);
    let (nodes, mut assignments): (Vec<_>, Vec<_>) =
        nodes.into_iter().filter_map(|(node, assignment)| Some((node, assignment?))).unzip();
    for (node, assignment) in nodes.iter().zip(&mut assignments) {
        assignment.replicas = node.functionality.replicas;
    }
    for edge in &edges {
        let provider = nodes[edge.provider as usize].name().clone();
        assignments[edge.consumer as usize].upstreams.insert(edge.fqdn.clone(), provider);
    }
    let before = before.clone();
    Staged::new(Placed { ties, nodes, edges, graph, failed, assignments, before }, found)
}

/// Leaves load balancers as they are that ran and may be described in what could not be read, and so
/// whoever reaches something by way of one: past it they would reach other ports than they were told.
fn leave_lost_balancers(
    ties: &Ties,
    nodes: &[Node],
    edges: &[Edge],
    before: &Assignments,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) {
    let infrastructure = &ties.infrastructure;
    let unreadable = infrastructure.unreadable.load_balancers.iter();
    let unreadable: BTreeSet<_> =
        unreadable.filter_map(|it| balancer::node_name(it).ok()).collect();
    for (lost, at) in before {
        let described = nodes.binary_search_by(|node| node.name().cmp(lost)).is_ok();
        let Some(own) = balancer::own_name(lost).filter(|_| !described) else { continue };
        if !unreadable.contains(lost) {
            if !infrastructure.incomplete {
                continue;
            }
            found.push(hidden("load balancer", &own).about(lost));
        }
        failed.insert(lost.clone());
        let behind: BTreeSet<&Name> = at.upstreams.iter().map(|(_, provider)| provider).collect();
        for edge in edges {
            let consumer = &nodes[edge.consumer as usize];
            let provider = nodes[edge.provider as usize].name();
            if behind.contains(provider)
                && consumer.balancer.is_none()
                && failed.insert(consumer.name().clone())
            {
                found.push(blocked(consumer, lost));
            }
        }
    }
}

/// In which order functionalities are placed, so that who has a claim comes first.
#[derive(Clone, Copy)]
enum Turn {
    Asked,
    Before,
    New,
    Balancer,
}

/// Where it runs and a remark on that, or why it runs nowhere.
type Placement = Result<(Assignment, Option<Diagnostic>), Box<Diagnostic>>;

impl Turn {
    /// Places a functionality whose turn it is.
    fn place(
        self,
        node: &Node,
        ties: &Ties,
        before: Option<&Assignment>,
        beside: Option<Name>,
        ground: &mut Ground<'_>,
    ) -> Option<Placement> {
        let demand = || {
            let demand = Demand::of(node.service(), &node.functionality.machine);
            if node.balancer.is_some() { demand.published() } else { demand }
        };
        match self {
            Self::Asked => {
                let (target, place) = asked(node, ties)?;
                Some(ground.place_on(node, &demand(), target, &place))
            }
            Self::Before if node.balancer.is_some() => None,
            Self::Before => {
                let before = before?;
                if ground.may_be_described(&before.target) {
                    // Elsewhere it would be another one, without its data.
                    return Some(Err(ground.on_unread(node, &before.target).into()));
                }
                ground.keep(node, &demand(), before).map(|assignment| Ok((assignment, None)))
            }
            Self::New if node.balancer.is_some() => None,
            Self::New => Some(ground.place_new(node, &demand())),
            Self::Balancer => {
                let target = beside?;
                Some(ground.place_on(node, &demand(), &target, &|| node.place([])))
            }
        }
    }
}

/// Where something was asked for. Finding it reads the file again, so it waits for a finding.
type Asker<'a> = dyn Fn() -> Option<Place> + 'a;

/// The target that somebody asked for, and where.
fn asked<'a>(node: &'a Node, ties: &'a Ties) -> Option<(&'a Name, Box<Asker<'a>>)> {
    let name = node.name();
    if let Some(balancer) = &node.balancer {
        let target = balancer.target.as_ref()?;
        return Some((target, Box::new(|| node.place(["target"]))));
    }
    if let Some(target) = ties.place.get(name) {
        let place = || ties.source.as_ref()?.place(&["place", name.as_str()]);
        return Some((target, Box::new(place)));
    }
    let target = node.functionality.machine.target.as_ref()?;
    Some((target, Box::new(|| node.place(["machine", "target"]))))
}

impl Ground<'_> {
    /// That a functionality runs where nothing can be told to.
    fn on_unread(&self, node: &Node, target: &Name) -> Diagnostic {
        let name = node.name();
        let place = node.place([]);
        let otherwise = format!("or place `{name}` elsewhere");
        let Some(cause) = self.why_unusable(target) else {
            let unread = "mend the infrastructure's files that could not be read";
            return hidden("target", target).at(place).remedy(format!("{unread}, {otherwise}"));
        };
        let message = format!("`{name}` runs on `{target}`, which cannot be used");
        let what = match cause {
            Cause::DefaultBackend => "the default backend".to_owned(),
            _ => format!("target `{target}`"),
        };
        Diagnostic::error(Code::Blocked, message)
            .because([cause])
            .at(place)
            .remedy(format!("mend {what}, {otherwise}"))
    }

    fn place_on(
        &mut self,
        node: &Node,
        demand: &Demand,
        target: &Name,
        place: &Asker<'_>,
    ) -> Placement {
        if self.is_unusable(target) {
            return Err(Diagnostic::error(
                Code::Blocked,
                format!("`{}` is placed on `{target}`, which cannot be used", node.name()),
            )
            .because([Cause::Target(target.clone())])
            .at(place())
            .remedy(format!("mend target `{target}`"))
            .into());
        }
        let Some(index) = self.index(target) else {
            let missing = match self.incomplete() {
                true => hidden("target", target),
                false => unknown("target", target, self.names()),
            };
            return Err(missing.at(place()).into());
        };
        if node.balancer.is_some() && self.balances(index) {
            // The backend's own load balancer is no program on a machine.
            return Ok((Assignment::new(target.clone(), []), None));
        }
        match self.pick(index, node, demand) {
            Ok(pick) => Ok(self.take(index, node, demand, pick, place)),
            Err(misfit) => Err(self.misfit(node, target, misfit).at(place()).into()),
        }
    }

    /// Places anew: where the most room is among the targets that fit the wishes.
    fn place_new(&mut self, node: &Node, demand: &Demand) -> Placement {
        let location = node.functionality.machine.location.as_ref();
        let place = || node.place(["machine", "location"]);
        if let Some(location) = location
            && !self.knows_location(location)
        {
            return Err(self.no_location(location).at(place()).into());
        }
        let misfit = match self.most_room(node, demand, location) {
            Ok((index, pick)) => return Ok(self.take(index, node, demand, pick, &place)),
            Err(misfit) => misfit,
        };
        let causes = self.missed(location);
        if !causes.is_empty() {
            let message = format!("no target that can be used can run `{}`", node.name());
            return Err(Diagnostic::error(Code::Blocked, message)
                .because(causes)
                .at(node.place([]))
                .remedy("mend the targets that cannot be used")
                .into());
        }
        if let Some((target, misfit)) = misfit {
            return Err(self.misfit(node, &target, misfit).at(place()).into());
        }
        let message = match location {
            Some(location) => format!("no target in `{location}` can run `{}`", node.name()),
            None => format!("no target can run `{}`", node.name()),
        };
        let remedy =
            "describe a target in the infrastructure, or a default backend that makes some";
        let missing = Diagnostic::error(Code::TargetNotFound, message).remedy(remedy);
        Err(missing.at(node.place([])).into())
    }

    /// Takes the machines, and tells where there are fewer than asked for.
    fn take(
        &mut self,
        index: usize,
        node: &Node,
        demand: &Demand,
        pick: Pick,
        place: &Asker<'_>,
    ) -> (Assignment, Option<Diagnostic>) {
        let asked = node.functionality.replicas;
        let assignment = self.occupy(index, node.name(), demand, &pick.machines);
        let remark = (pick.replicas < asked.get()).then(|| {
            Diagnostic::warning(
                Code::ReplicasReduced,
                format!(
                    "{asked} replicas of `{}` are asked for, and `{}` has machines for {}",
                    node.name(),
                    assignment.target,
                    pick.replicas
                ),
            )
            .about(node.name())
            .at(node.place(["replicas"]).or_else(place))
            .remedy("place it on a pool with more machines, or ask for fewer")
        });
        (assignment, remark)
    }

    fn misfit(&self, node: &Node, target: &Name, misfit: Misfit) -> Diagnostic {
        let name = node.name();
        match misfit {
            Misfit::Port { port, protocol, holder } => Diagnostic::error(
                Code::PortTaken,
                format!("`{name}` and `{holder}` both use port {port}/{protocol} on `{target}`"),
            )
            .remedy("give one of them another port, or place them on different targets"),
            Misfit::Full(why) => Diagnostic::error(
                Code::TargetFull,
                format!("`{target}` has no room for `{name}`: {why}"),
            )
            .remedy("place it elsewhere, or give the target more capacity"),
        }
    }
}

/// Leaves out what failed and all that depends on it.
fn cut<T>(
    nodes: Vec<(Node, T)>,
    edges: Vec<Edge>,
    graph: DependencyGraph,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) -> (Vec<(Node, T)>, Vec<Edge>, DependencyGraph) {
    let mut gone: Vec<bool> = nodes.iter().map(|(node, _)| failed.contains(node.name())).collect();
    if !gone.contains(&true) {
        return (nodes, edges, graph);
    }
    let mut consumers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for edge in &edges {
        consumers.entry(edge.provider).or_default().push(edge.consumer);
    }
    let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut open: Vec<_> = (0..nodes.len()).filter(|&at| gone[at]).map(position).collect();
    while let Some(provider) = open.pop() {
        for &consumer in consumers.get(&provider).into_iter().flatten() {
            if std::mem::replace(&mut gone[consumer as usize], true) {
                continue;
            }
            let node = &nodes[consumer as usize].0;
            let provider = nodes[provider as usize].0.name();
            failed.insert(node.name().clone());
            found.push(blocked(node, provider));
            open.push(consumer);
        }
    }
    let mut moved = Vec::with_capacity(nodes.len());
    let mut next = 0;
    for gone in &gone {
        moved.push(next);
        next += u32::from(!gone);
    }
    let nodes: Vec<_> =
        nodes.into_iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(node, _)| node).collect();
    let edges: Vec<_> = edges
        .into_iter()
        .filter(|edge| !gone[edge.consumer as usize] && !gone[edge.provider as usize])
        .map(|edge| Edge {
            consumer: moved[edge.consumer as usize],
            provider: moved[edge.provider as usize],
            ..edge
        })
        .collect();
    let names = nodes.iter().map(|(node, _)| node.name().clone()).collect();
    let graph = DependencyGraph::new(names, edges.iter().map(|e| (e.consumer, e.provider)));
    (nodes, edges, graph)
}

fn blocked(node: &Node, provider: &Name) -> Diagnostic {
    Diagnostic::error(
        Code::Blocked,
        format!("`{}` needs `{provider}`, which cannot be deployed", node.name()),
    )
    .about(node.name())
    .because([Cause::Functionality(provider.clone())])
    .at(node.place(["upstream-hosts"]))
    .remedy(format!("mend `{provider}`"))
}
