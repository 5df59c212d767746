//! Chosen: what a plan is about where it is about some functionalities alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    PlannedAction,
    order::{Draft, find},
};
use crate::{
    backend::{Owner, Resource},
    history::Heads,
    name::{Name, ResourceId},
};

/// What a plan for some functionalities is about.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Them, and those that run on machines with them that change.
    pub(super) names: BTreeSet<Name>,
    /// What is to be made or changed.
    pub(super) changed: BTreeSet<ResourceId>,
    /// What is to be removed beside what stands on their own account.
    pub(super) gone: BTreeSet<ResourceId>,
}

impl Chosen {
    /// What of these drafts, and of what nothing wants any more, is about some functionalities.
    ///
    /// That is what stands on their account, and what carries them or did so: a machine that is told
    /// anew what runs there. Whatever else runs on a machine that changes is made anew with it, so
    /// its own changes come along, lest it run by half. All of it comes with what it needs and is
    /// new, or is a target's own and changes; and what carries something comes with what follows it,
    /// on its target or, such as a place behind a load balancer, on another's account. What carries
    /// others is never among that.
    pub(super) fn of(
        names: &BTreeSet<Name>,
        wanted: &BTreeMap<ResourceId, Resource>,
        drafts: &[Draft<'_>],
        unwanted: &[&Resource],
        heads: &Heads,
    ) -> Self {
        let mut names = names.clone();
        loop {
            let changed = changed(&names, wanted, drafts, heads);
            let versions = drafts
                .iter()
                .filter(|draft| changed.contains(draft.resource.id()))
                .flat_map(|draft| [Some(draft.resource), draft.from.map(|it| &it.resource)])
                .flatten()
                .chain(unwanted.iter().copied());
            let together =
                versions.filter(|it| carries(it, &names)).flat_map(|it| it.carries().keys());
            let together: BTreeSet<Name> = together.cloned().collect();
            if together.is_subset(&names) {
                let gone = along(unwanted, &names);
                return Self { names, changed, gone };
            }
            names.extend(together);
        }
    }
}

/// Whether something stands on account of one of some functionalities.
pub(super) fn is_of(owner: &Owner, names: &BTreeSet<Name>) -> bool {
    match owner {
        Owner::Functionality(name) | Owner::Edge { consumer: name, .. } => names.contains(name),
        Owner::Target(_) | Owner::Network(_) => false,
    }
}

/// Whether one of some functionalities runs by it.
pub(super) fn carries(resource: &Resource, names: &BTreeSet<Name>) -> bool {
    resource.carries().keys().any(|name| names.contains(name))
}

/// What goes with that of some resources which carries some functionalities: what comes after it, and
/// what it needs of its target, as far as it is among them.
pub(super) fn along(resources: &[&Resource], names: &BTreeSet<Name>) -> BTreeSet<ResourceId> {
    let mut by_id = BTreeMap::new();
    let mut following: BTreeMap<&ResourceId, Vec<&Resource>> = BTreeMap::new();
    for resource in resources.iter().copied() {
        by_id.insert(resource.id(), resource);
        for before in resource.after() {
            following.entry(before).or_default().push(resource);
        }
    }
    let mut open: Vec<&Resource> =
        resources.iter().copied().filter(|resource| carries(resource, names)).collect();
    let targets: BTreeSet<&Owner> = open.iter().map(|resource| resource.owner()).collect();
    let is_theirs = |resource: &&Resource| match resource.owner() {
        owner @ Owner::Target(_) => targets.contains(owner) && resource.carries().is_empty(),
        _ => true,
    };
    let mut along = BTreeSet::new();
    while let Some(resource) = open.pop() {
        if !along.insert(resource.id().clone()) {
            continue;
        }
        let follows = following.get(resource.id()).into_iter().flatten().copied();
        open.extend(follows.filter(is_theirs));
        if targets.contains(resource.owner()) {
            let needed = resource.after().iter().filter_map(|id| by_id.get(id).copied());
            open.extend(needed.filter(|it| targets.contains(it.owner())).filter(is_theirs));
        }
    }
    along
}

/// The wanted resources that a plan about some functionalities is about.
fn changed(
    names: &BTreeSet<Name>,
    wanted: &BTreeMap<ResourceId, Resource>,
    drafts: &[Draft<'_>],
    heads: &Heads,
) -> BTreeSet<ResourceId> {
    let carried = |resource: &Resource| {
        let before = heads.resources.get(resource.id());
        carries(resource, names) || before.is_some_and(|it| carries(&it.resource, names))
    };
    let own = |resource: &&Resource| is_of(resource.owner(), names) || carried(resource);
    let mut open: Vec<&Resource> = wanted.values().filter(own).collect();
    let carriers = open.iter().copied().filter(|resource| carried(resource));
    let targets: BTreeSet<&Owner> = carriers.map(Resource::owner).collect();
    let mut chosen = BTreeSet::new();
    // What carries them, and what follows that on its target.
    let mut machines = BTreeSet::new();
    loop {
        while let Some(resource) = open.pop() {
            if !chosen.insert(resource.id().clone()) {
                continue;
            }
            if carried(resource) && find(drafts, resource.id()).is_some() {
                machines.insert(resource.id());
            }
            let needed = resource.after().iter().filter_map(|id| find(drafts, id));
            let needed = needed.filter(|draft| {
                let of_a_target = matches!(draft.resource.owner(), Owner::Target(_));
                let is_others = !draft.resource.carries().is_empty() && !carried(draft.resource);
                draft.action == PlannedAction::Create || of_a_target && !is_others
            });
            open.extend(needed.filter_map(|draft| wanted.get(draft.resource.id())));
        }
        for draft in drafts {
            let resource = draft.resource;
            if chosen.contains(resource.id())
                || !resource.after().iter().any(|id| machines.contains(id))
            {
                continue;
            }
            // What is new on another's account comes along where the rest of it stands.
            let stands = |id: &ResourceId| chosen.contains(id) || heads.resources.contains_key(id);
            let follows = match resource.owner() {
                Owner::Target(_) => {
                    let is_theirs = targets.contains(resource.owner());
                    is_theirs && resource.carries().is_empty() && machines.insert(resource.id())
                }
                _ => draft.action != PlannedAction::Create || resource.after().iter().all(stands),
            };
            if follows {
                open.extend(wanted.get(resource.id()));
            }
        }
        if open.is_empty() {
            return chosen;
        }
    }
}
