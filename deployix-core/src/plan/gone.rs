//! Gone: what nothing wants any more, and how it is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    PlannedAction, PlannedStep,
    order::{At, Draft, find, in_order},
};
use crate::{
    backend::{Owner, Resource},
    history::{Heads, Open, Standing},
    name::{Name, ResourceId},
};

/// Something that nothing wants any more.
#[derive(Clone, Copy)]
pub(super) struct Gone<'a> {
    pub(super) resource: &'a Resource,
    target: &'a Name,
    from: Option<&'a Standing>,
    open: Option<&'a Open>,
}

/// What stands or may stand and is one of these, in the order of their ids.
pub(super) fn gone<'a>(
    heads: &'a Heads,
    mut is_one: impl FnMut(&Resource) -> bool,
) -> impl Iterator<Item = Gone<'a>> {
    let standing = heads.resources.values().map(|from| Gone {
        resource: &from.resource,
        target: &from.target,
        from: Some(from),
        open: heads.open.get(from.resource.id()),
    });
    let only_open =
        heads.open.values().filter(|open| !heads.resources.contains_key(open.resource.id()));
    let only_open = only_open.map(|open| Gone {
        resource: &open.resource,
        target: &open.target,
        from: None,
        open: Some(open),
    });
    let mut all: Vec<_> = standing.chain(only_open).filter(|g| is_one(g.resource)).collect();
    all.sort_by_key(|gone| gone.resource.id());
    all.into_iter()
}

/// Leaves out what something comes after that stays as it is.
pub(super) fn keep_needed(
    gone: &mut Vec<Gone<'_>>,
    wanted: &BTreeMap<ResourceId, Resource>,
    heads: &Heads,
    changed: &[Draft<'_>],
) {
    // What is wanted as it stands comes after what it is wanted after.
    let as_wanted = |resource: &Resource| {
        wanted.get(resource.id()).is_some_and(|wanted| wanted.digest() == resource.digest())
    };
    loop {
        let going: BTreeSet<&ResourceId> = gone.iter().map(|gone| gone.resource.id()).collect();
        let stays = |id: &ResourceId| find(changed, id).is_none() && !going.contains(id);
        let needed: BTreeSet<ResourceId> = heads
            .resources
            .values()
            .map(|standing| &standing.resource)
            .filter(|resource| stays(resource.id()) && !as_wanted(resource))
            .flat_map(Resource::after)
            .filter(|id| going.contains(id))
            .cloned()
            .collect();
        if needed.is_empty() {
            return;
        }
        gone.retain(|gone| !needed.contains(gone.resource.id()));
    }
}

/// Removals: what comes after something goes before it, or is changed before it goes.
pub(super) fn removals<'a>(
    gone: &[Gone<'a>],
    heads: &Heads,
    changed: &[Draft<'_>],
) -> Vec<Draft<'a>> {
    let mut dependents: BTreeMap<&ResourceId, Vec<ResourceId>> =
        gone.iter().map(|gone| (gone.resource.id(), Vec::new())).collect();
    let changed = changed.iter().filter_map(|draft| Some(&draft.from?.resource));
    let open = heads.open.values().map(|open| &open.resource);
    for resource in gone.iter().map(|gone| gone.resource).chain(changed).chain(open) {
        for before in resource.after() {
            if let Some(dependents) = dependents.get_mut(before) {
                dependents.push(resource.id().clone());
            }
        }
    }
    let draft = |gone: &Gone<'a>| Draft {
        resource: gone.resource,
        target: At::Before(gone.target),
        action: PlannedAction::Remove,
        from: gone.from,
        gap: None,
        doubt: gone.open.map(Open::why),
        changes: Vec::new(),
        after: {
            let mut after = dependents.remove(gone.resource.id()).unwrap_or_default();
            after.sort();
            after.dedup();
            after.into()
        },
        behind: BTreeSet::new(),
    };
    gone.iter().map(draft).collect()
}

/// Puts removals, in order, behind the other steps; of what each comes after, the other steps stay.
/// What goes of a functionality waits for all that is made of it: a replica, or the one on another
/// target, goes once the ones that take its place are ready.
pub(super) fn append_removals(
    steps: &mut Vec<PlannedStep>,
    removals: Vec<Draft<'_>>,
    name: &impl Fn(At<'_>) -> Option<Name>,
) {
    let others: BTreeSet<ResourceId> = steps.iter().map(|step| step.id().clone()).collect();
    let going: BTreeSet<&Owner> = removals.iter().map(|draft| draft.resource.owner()).collect();
    let mut made: BTreeMap<Owner, Vec<ResourceId>> = BTreeMap::new();
    for step in steps.iter() {
        if matches!(step.owner(), Owner::Functionality(_)) && going.contains(step.owner()) {
            made.entry(step.owner().clone()).or_default().push(step.id().clone());
        }
    }
    let behind: BTreeMap<ResourceId, Arc<[ResourceId]>> = removals
        .iter()
        .filter(|draft| draft.after.iter().any(|id| others.contains(id)))
        .map(|draft| (draft.resource.id().clone(), Arc::clone(&draft.after)))
        .collect();
    for mut step in in_order(removals, name) {
        if let Some(all) = behind.get(step.id()) {
            let mut after: Vec<_> = step.after.to_vec();
            after.extend(all.iter().filter(|id| others.contains(*id)).cloned());
            step.after = after.into();
        }
        if let Some(made) = made.get(step.owner()) {
            step.after = step.after.iter().chain(made).cloned().collect();
        }
        let mut after = step.after.to_vec();
        after.sort();
        after.dedup();
        step.after = after.into();
        steps.push(step);
    }
}
