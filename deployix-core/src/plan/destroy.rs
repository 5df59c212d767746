//! Destroy: what has to be done so that nothing stands any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Compiled, Only, Plan,
    chosen::along,
    gone::{Gone, append_removals, gone, removals},
    order::At,
};
use crate::{
    backend::{Inputs, Owner, Resource},
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    history::Heads,
    name::{Name, ResourceId},
};

/// What stands, with an order for what was found and the history does not know: each of it comes after
/// what it is compiled to come after.
///
/// What was found tells which resource it is, and not what it was made after; without an order
/// [`destroy`] removes all of it at once, and a network before what is in it.
#[must_use]
pub fn ordered_by(mut heads: Heads, compiled: &Compiled) -> Heads {
    for (id, open) in &mut heads.open {
        let found = &open.resource;
        let unknown = found.inputs().is_empty() && !heads.resources.contains_key(id);
        if let Some(wanted) = compiled.resources().get(id).filter(|_| unknown) {
            let (owner, after) = (found.owner().clone(), wanted.after().to_vec());
            let ordered = Resource::new(id.clone(), owner, Inputs::default(), after)
                .carrying(wanted.carries().clone());
            open.resource = if found.holds_data() { ordered.holding_data() } else { ordered };
        }
    }
    heads
}

/// Plans to remove what stands, dependents first; what holds data only where it is asked for.
///
/// Nothing but the history is needed: what is not described any more can be removed all the same.
/// Where targets still are described, [`Heads::described_by`] has it go by what is said of them now, and
/// [`ordered_by`] has what was found there and is not known go in the order of what is described.
///
/// With a functionality goes what carries it, where that carries nothing else that stays, and what
/// else of its target that alone needed. A functionality that others need or run beside, which are to
/// stay, is left as a whole, and told.
pub fn destroy(deployment: &Name, heads: &Heads, only: &Only, data: bool) -> Staged<Plan> {
    let mut found = Diagnostics::new();
    let mut refused = BTreeSet::new();
    let (holding, going) = loop {
        let stays = Staying { heads, only, refused: &refused };
        let mut blocked = stays.beside();
        let (holding, mut going) = stays.going(data);
        while blocked.is_empty() {
            let needed = needed(&going, heads);
            if needed.is_empty() {
                break;
            }
            blocked = needing(&going, &needed, &edges(heads));
            // Of what is needed nothing goes, so that it is not left in pieces; a target's things are
            // each for itself.
            let left: BTreeSet<&Owner> = going
                .iter()
                .filter(|gone| needed.contains_key(gone.resource.id()))
                .map(|gone| gone.resource.owner())
                .filter(|owner| !matches!(owner, Owner::Target(_)))
                .collect();
            going.retain(|Gone { resource, .. }| {
                !left.contains(resource.owner()) && !needed.contains_key(resource.id())
            });
        }
        if blocked.is_empty() {
            break (holding, going);
        }
        found.extend(blocked.iter().map(|(name, why)| why.told(name)));
        refused.extend(blocked.into_keys());
    };
    let gone_owners: BTreeSet<&Owner> = going.iter().map(|gone| gone.resource.owner()).collect();
    let goes = |name: &&Name| gone_owners.contains(&Owner::Functionality((*name).clone()));
    let assignments =
        heads.assignments.keys().filter(goes).map(|name| (name.clone(), None)).collect();
    let drafts = removals(&going, heads, &[]);
    let name = |at: At<'_>| match at {
        At::Before(name) => Some(name.clone()),
        At::Site(_) => None,
    };
    let mut steps = Vec::with_capacity(drafts.len());
    append_removals(&mut steps, drafts, &name);
    let sites = steps.iter().filter_map(|step| heads.sites.get_key_value(&step.target));
    let plan = Plan {
        deployment: deployment.clone(),
        generation: heads.generation,
        kept: heads.resources.len() - steps.iter().filter(|step| step.from.is_some()).count(),
        about: None,
        left: BTreeSet::new(),
        held: BTreeMap::new(),
        waiting: BTreeSet::new(),
        data_kept: holding.iter().map(|gone| gone.resource.id().clone()).collect(),
        assignments,
        sites: sites.map(|(name, site)| (name.clone(), site.clone())).collect(),
        atomic: Vec::new(),
        contents: BTreeMap::new(),
        steps,
    };
    Staged::new(plan, found)
}

/// What stays.
struct Staying<'a> {
    heads: &'a Heads,
    only: &'a Only,
    /// Functionalities that stay though they were to go.
    refused: &'a BTreeSet<Name>,
}

impl<'a> Staying<'a> {
    fn goes(&self, name: &Name) -> bool {
        let Self { only, refused, .. } = self;
        let asked = match only {
            Only::All => true,
            Only::Named(names) => names.contains(name),
        };
        asked && !refused.contains(name)
    }

    /// Those that run beside others which stay.
    fn beside(&self) -> BTreeMap<Name, Why> {
        let mut blocked = BTreeMap::new();
        for standing in self.heads.resources.values() {
            let carried = standing.resource.carries().keys();
            let (go, stay): (Vec<&Name>, Vec<&Name>) = carried.partition(|name| self.goes(name));
            for name in go.into_iter().filter(|_| !stay.is_empty()) {
                let target = standing.target.clone();
                let new = || Why::Beside { target, others: BTreeSet::new() };
                let why = blocked.entry(name.clone()).or_insert_with(new);
                if let Why::Beside { others, .. } = why {
                    others.extend(stay.iter().copied().cloned());
                }
            }
        }
        blocked
    }

    /// What stays since it holds data, and what goes.
    fn going(&self, data: bool) -> (Vec<Gone<'a>>, Vec<Gone<'a>>) {
        let along = self.along();
        let about = |resource: &Resource| match resource.owner() {
            Owner::Functionality(name) => self.goes(name),
            Owner::Edge { consumer, provider } => self.goes(consumer) || self.goes(provider),
            Owner::Target(_) | Owner::Network(_) => {
                *self.only == Only::All || along.contains(resource.id())
            }
        };
        gone(self.heads, about).partition(|gone| gone.resource.holds_data() && !data)
    }

    /// What of targets goes with those that go, where not all do.
    fn along(&self) -> BTreeSet<ResourceId> {
        if *self.only == Only::All {
            return BTreeSet::new();
        }
        let of_targets: Vec<&Resource> =
            gone(self.heads, |it| matches!(it.owner(), Owner::Target(_)))
                .map(|gone| gone.resource)
                .collect();
        let carried = of_targets.iter().flat_map(|it| it.carries().keys());
        let carried = carried.filter(|name| self.goes(name)).cloned().collect();
        along(&of_targets, &carried)
    }
}

/// What of that which goes is needed by what stays, each with that.
fn needed<'h>(going: &[Gone<'_>], heads: &'h Heads) -> BTreeMap<ResourceId, &'h Resource> {
    let ids: BTreeSet<&ResourceId> = going.iter().map(|gone| gone.resource.id()).collect();
    let stays = heads.resources.values().map(|standing| &standing.resource);
    let mut needed = BTreeMap::new();
    for resource in stays.filter(|resource| !ids.contains(resource.id())) {
        for before in resource.after().iter().filter(|id| ids.contains(*id)) {
            needed.insert(before.clone(), resource);
        }
    }
    needed
}

/// Consumers and providers, as far as anything stands of their connection.
fn edges(heads: &Heads) -> BTreeSet<(&Name, &Name)> {
    let owners = heads.resources.values().map(|standing| standing.resource.owner());
    owners
        .filter_map(|owner| match owner {
            Owner::Edge { consumer, provider } => Some((consumer, provider)),
            _ => None,
        })
        .collect()
}

/// The functionalities that stay, since others do which need something of them or of what carries them.
fn needing(
    going: &[Gone<'_>],
    needed: &BTreeMap<ResourceId, &Resource>,
    edges: &BTreeSet<(&Name, &Name)>,
) -> BTreeMap<Name, Why> {
    let mut blocked: BTreeMap<Name, Why> = BTreeMap::new();
    for Gone { resource, .. } in going {
        let Some(by) = needed.get(resource.id()).filter(|by| by.owner() != resource.owner()) else {
            continue;
        };
        let own = match resource.owner() {
            Owner::Functionality(name) => Some(name),
            _ => None,
        };
        let names = own.into_iter().chain(resource.carries().keys());
        let all: Vec<_> = names.map(|name| (name, users(by, name))).collect();
        // Of what runs together only that is needed which others reach, where any of it is.
        let is_edge = |user: &Owner, name: &Name| match user {
            Owner::Functionality(user) => edges.contains(&(user, name)),
            _ => false,
        };
        let is_reached = all.iter().any(|(name, users)| users.iter().any(|it| is_edge(it, name)));
        for (name, users) in all {
            let mut by = users.clone();
            by.retain(|user| !is_reached || is_edge(user, name));
            if by.is_empty() {
                continue;
            }
            let new = || Why::Needed { by: BTreeSet::new(), with: BTreeSet::new() };
            if let Why::Needed { by: all, with } = blocked.entry(name.clone()).or_insert_with(new) {
                all.extend(by);
                with.extend(users);
            }
        }
    }
    blocked
}

/// Who uses something of a functionality by a resource.
fn users(by: &Resource, of: &Name) -> Vec<Owner> {
    let carried = by.carries().keys().filter(|name| *name != of);
    let carried: Vec<_> = carried.cloned().map(Owner::Functionality).collect();
    match by.owner() {
        Owner::Edge { consumer, provider } => {
            let other = if consumer == of { provider } else { consumer };
            vec![Owner::Functionality(other.clone())]
        }
        owner if carried.is_empty() => vec![owner.clone()],
        _ => carried,
    }
}

/// Why a functionality stays though it was to go.
enum Why {
    /// It runs on a machine with others.
    Beside { target: Name, others: BTreeSet<Name> },
    /// Others need it, which run with some others.
    Needed { by: BTreeSet<Owner>, with: BTreeSet<Owner> },
}

impl Why {
    fn told(&self, name: &Name) -> Diagnostic {
        let take_out =
            format!("take `{name}` out of the deployment's file and `deploy --only {name}`");
        let (message, remedy) = match self {
            Self::Beside { target, others } => {
                let others = listed(others);
                let message = format!(
                    "`{name}` cannot go alone: a machine of target `{target}` runs it beside {others}"
                );
                (
                    message,
                    format!(
                        "{take_out}, which makes the machine anew; or destroy {others} as well"
                    ),
                )
            }
            Self::Needed { by, with } => {
                let is_described = |owner: &Owner| matches!(owner, Owner::Functionality(_));
                let message = format!("`{name}` is needed by {}", listed(by));
                let remedy = match with.iter().all(is_described) {
                    true => format!("destroy {} as well, or first", listed(with)),
                    false => take_out,
                };
                (format!("{message}, which is to stay"), remedy)
            }
        };
        Diagnostic::error(Code::Blocked, message).remedy(remedy)
    }
}

/// "`a`, `b` and `c`".
fn listed<T: std::fmt::Display>(all: &BTreeSet<T>) -> String {
    let all: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
    match all.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => all.concat(),
    }
}
