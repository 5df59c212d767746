//! Plan: what is wanted against what stands.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Compiled, FieldChange, Only, Plan, PlannedAction, PlannedStep,
    chosen::{Chosen, is_of},
    gone::{Gone, append_removals, gone, keep_needed, removals},
    held::Holding,
    order::{At, Draft, find, in_order},
    turn,
};
use crate::{
    backend::{Change, Input, Inputs, OwnedSite, Owner, Registry, Resource, Site},
    digest::Digest,
    history::{Heads, Open, Standing},
    name::{Name, ResourceId},
    topology::Assignment,
};

/// Compares what is wanted with what stands.
///
/// Pure: no provider is asked. Resources of functionalities and targets that failed before this are
/// left as they are, and so is what was made from these: a machine that one of them runs on is
/// neither changed nor removed. What holds data is never removed by it: see
/// [`destroy`](super::destroy).
#[must_use]
pub fn plan(compiled: &Compiled, heads: &Heads, registry: &Registry, only: &Only) -> Plan {
    let wanted = compiled.resources();
    let sites: Vec<Site<'_>> = compiled.connected().sites().collect();
    let mut changed: Vec<Draft<'_>> = compiled
        .located()
        .filter_map(|(_, resource, at)| {
            let target = sites.get(at as usize).map(|site| &site.target.name);
            draft(resource, (at, target), heads, registry)
        })
        .collect();
    let mut kept = wanted.len() - changed.len();
    let mut holding = Holding::of(compiled, heads, &mut changed);
    kept += holding.standing;
    kept -= follow_replacements(compiled, heads, &mut changed);

    let unwanted = |resource: &Resource| {
        !wanted.contains_key(resource.id()) && !is_left(resource.owner(), compiled)
    };
    let (with_data, mut gone): (Vec<_>, Vec<_>) =
        gone(heads, |resource| unwanted(resource) && !holding.keeps(resource))
            .partition(|gone| gone.resource.holds_data());

    let chosen = match only {
        Only::All => None,
        Only::Named(names) => {
            let unwanted: Vec<&Resource> = gone.iter().map(|gone| gone.resource).collect();
            Some(Chosen::of(names, wanted, &changed, &unwanted, heads))
        }
    };
    if let Some(chosen) = &chosen {
        changed.retain(|draft| chosen.changed.contains(draft.resource.id()));
        gone.retain(|Gone { resource, .. }| {
            is_of(resource.owner(), &chosen.names) || chosen.gone.contains(resource.id())
        });
    }
    keep_needed(&mut gone, wanted, heads, &changed);
    let about = chosen.as_ref().map(|chosen| &chosen.names);
    let assignments = assignments(compiled, heads, about, &holding.waiting);
    let mut removals = removals(&gone, heads, &changed);
    turn::take(&mut changed, &mut removals, heads);
    let target = |draft: &Draft<'_>| match draft.target {
        At::Site(at) => sites.get(at as usize).map(|site| OwnedSite::from(*site)),
        // What goes from a target that is still described goes by what is said of it now.
        At::Before(name) => {
            let now = sites.iter().find(|site| site.target.name == *name);
            now.map(|site| OwnedSite::from(*site)).or_else(|| heads.sites.get(name).cloned())
        }
    };
    let mut plan = Plan {
        deployment: compiled.connected().deployment().clone(),
        generation: heads.generation,
        steps: Vec::with_capacity(changed.len() + removals.len()),
        kept,
        about: chosen.map(|chosen| chosen.names),
        left: compiled.failed().clone(),
        held: holding.held,
        waiting: holding.waiting.into_keys().collect(),
        data_kept: with_data.iter().map(|gone| gone.resource.id().clone()).collect(),
        assignments,
        sites: BTreeMap::new(),
        atomic: Vec::new(),
        contents: BTreeMap::new(),
    };
    let mut seen = BTreeSet::new();
    for draft in changed.iter().chain(&removals) {
        if seen.insert(draft.target)
            && let Some(site) = target(draft)
        {
            plan.sites.insert(site.target.name.clone(), site);
        }
    }
    let name = |at: At<'_>| match at {
        At::Site(at) => sites.get(at as usize).map(|site| site.target.name.clone()),
        At::Before(name) => Some(name.clone()),
    };
    plan.steps.extend(in_order(changed, &name));
    append_removals(&mut plan.steps, removals, &name);
    for PlannedStep { behind, after, .. } in &mut plan.steps {
        behind.retain(|id| after.contains(id));
    }
    let touched: BTreeSet<&Name> = plan
        .steps
        .iter()
        .filter_map(|step| match step.owner() {
            Owner::Functionality(name) | Owner::Edge { consumer: name, .. } => Some(name),
            Owner::Target(_) | Owner::Network(_) => None,
        })
        .collect();
    let sets = compiled.connected().atomic().iter();
    plan.atomic =
        sets.filter(|set| set.iter().any(|name| touched.contains(name))).cloned().collect();
    let needed: BTreeSet<Digest> = plan
        .steps
        .iter()
        .filter(|step| step.action != PlannedAction::Remove)
        .flat_map(|step| step.resource.files())
        .map(|file| file.digest)
        .collect();
    if !needed.is_empty() {
        plan.contents = compiled.contents(&needed);
    }
    plan
}

/// What has to be done with one resource, if anything.
fn draft<'a>(
    to: &'a Resource,
    (at, target): (u32, Option<&Name>),
    heads: &'a Heads,
    registry: &Registry,
) -> Option<Draft<'a>> {
    let from = heads.resources.get(to.id());
    let doubt = heads.open.get(to.id()).map(Open::why);
    // Resources are compiled by registered backends; one that has gone since cannot tell.
    let change = |from: &Standing| match registry.backend_named(to.backend()) {
        _ if from.resource.digest() == to.digest() => Change::Keep,
        Some(backend) => backend.change(&from.resource, to),
        None => Change::Update,
    };
    let moved = from.filter(|from| is_moved(to.owner(), &from.target, target)).zip(target);
    let (action, gap) = match from.map(change) {
        None => (PlannedAction::Create, None),
        Some(Change::Keep) if doubt.is_none() && moved.is_none() => return None,
        // What is in doubt is made what it should be, whatever stands; and what is the same elsewhere
        // is written down as being there.
        Some(Change::Keep | Change::Update) => (PlannedAction::Update, None),
        Some(Change::Replace) => (PlannedAction::Replace, None),
        Some(Change::Recreate { why }) => (PlannedAction::Replace, Some(why)),
    };
    let mut changes =
        from.map_or_else(Vec::new, |from| differences(from.resource.inputs(), to.inputs()));
    if let Some((from, target)) = moved {
        let [from, to] = [&from.target, target].map(|it| Some(Input::Text(it.to_string())));
        changes.push(FieldChange { field: "target".to_owned(), from, to });
    }
    let (target, after) = (At::Site(at), to.shared_after());
    let behind = BTreeSet::new();
    Some(Draft { resource: to, target, action, from, gap, doubt, changes, after, behind })
}

/// Whether something runs on another target than before; what several targets share is at any of them.
fn is_moved(owner: &Owner, from: &Name, to: Option<&Name>) -> bool {
    let is_shared = matches!(owner, Owner::Target(_) | Owner::Network(_));
    !is_shared && to.is_some_and(|to| to != from)
}

/// What reads an output of something that is made anew, or may be, has to be changed as well, and so
/// has what was made from other outputs than stand, since a run ended before it came to it; tells how
/// many of these would have stayed as they are.
fn follow_replacements<'w>(
    compiled: &'w Compiled,
    heads: &'w Heads,
    changed: &mut Vec<Draft<'w>>,
) -> usize {
    let replaced: BTreeSet<&ResourceId> = changed
        .iter()
        .filter(|draft| draft.action == PlannedAction::Replace || draft.doubt.is_some())
        .map(|draft| draft.resource.id())
        .collect();
    let any_gives_others = heads.resources.values().any(|it| it.outputs_since.is_some());
    if replaced.is_empty() && !any_gives_others {
        return 0;
    }
    let mut followers = Vec::new();
    for (id, resource, target) in compiled.located() {
        if find(changed, id).is_some() {
            continue;
        }
        let since = heads.resources.get(id).map_or(u64::MAX, |standing| standing.since);
        let is_other = |id: &ResourceId| replaced.contains(id) || gives_others(heads, id, since);
        let mut changes = Vec::new();
        for (field, input) in resource.inputs() {
            let mut reads = false;
            input.visit_outputs(&mut |output| reads |= is_other(&output.resource));
            if reads {
                let value = Some(input.clone());
                let field = field.clone().into_owned();
                changes.push(FieldChange { field, from: value.clone(), to: value });
            }
        }
        if !changes.is_empty() {
            followers.push(Draft {
                resource,
                target: At::Site(target),
                action: PlannedAction::Update,
                from: heads.resources.get(id),
                gap: None,
                doubt: None,
                changes,
                after: resource.shared_after(),
                behind: BTreeSet::new(),
            });
        }
    }
    let followed = followers.len();
    changed.extend(followers);
    changed.sort_by_key(|draft| draft.resource.id());
    followed
}

/// Whether a resource gives other outputs than before, and came to do so after a generation.
pub(super) fn gives_others(heads: &Heads, id: &ResourceId, since: u64) -> bool {
    let other_since = heads.resources.get(id).and_then(|standing| standing.outputs_since);
    other_since.is_some_and(|other| other > since)
}

/// The settings that differ, each by the keys that lead to it.
fn differences(from: &Inputs, to: &Inputs) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", from, to, &mut changes);
    changes
}

fn compare(prefix: &str, from: &Inputs, to: &Inputs, changes: &mut Vec<FieldChange>) {
    let fields: BTreeSet<&str> = from.keys().chain(to.keys()).map(AsRef::as_ref).collect();
    for field in fields {
        let (before, after) = (from.get(field), to.get(field));
        let path = if prefix.is_empty() { field.into() } else { format!("{prefix}.{field}") };
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Input::Map(before)), Some(Input::Map(after))) => {
                compare(&path, before, after, changes);
            }
            _ => {
                changes.push(FieldChange { field: path, from: before.cloned(), to: after.cloned() })
            }
        }
    }
}

/// Whether something is left as it is, since it failed before this.
fn is_left(owner: &Owner, compiled: &Compiled) -> bool {
    let connected = compiled.connected();
    let is_left = |name: &Name| compiled.failed().contains(name) || connected.is_unheard(name);
    match owner {
        Owner::Functionality(name) => is_left(name),
        Owner::Edge { consumer, provider } => is_left(consumer) || is_left(provider),
        Owner::Target(name) => {
            compiled.failed_targets().contains(name) || connected.is_unread(name)
        }
        Owner::Network(_) => !compiled.failed_targets().is_empty() || connected.has_unread(),
    }
}

/// Where the functionalities that a plan is about run from now on, as far as that is new.
fn assignments(
    compiled: &Compiled,
    heads: &Heads,
    names: Option<&BTreeSet<Name>>,
    waiting: &BTreeMap<Name, BTreeSet<Name>>,
) -> BTreeMap<Name, Option<Assignment>> {
    let about = |name: &Name| names.is_none_or(|names| names.contains(name));
    let wanted = compiled.connected().assignments();
    let gone = heads.assignments.keys().filter(|name| {
        !wanted.contains_key(*name) && !compiled.failed().contains(*name) && about(name)
    });
    let gone: Vec<_> = gone.map(|name| (name.clone(), None)).collect();
    let new = wanted.into_iter().filter(|(name, assignment)| {
        about(name)
            && !compiled.failed().contains(name)
            && !waiting.contains_key(name)
            && heads.assignments.get(name) != Some(assignment)
    });
    new.map(|(name, assignment)| (name, Some(assignment))).chain(gone).collect()
}
