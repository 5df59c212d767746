//! Plan: what is wanted against what stands.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Compiled;
use crate::{
    backend::{Change, Input, Inputs, Owner, Registry, Resource},
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    history::Heads,
    name::{Name, ResourceId},
    suggest::nearest,
};

/// Which functionalities a plan is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// These alone, and what they cannot be made without.
    Named(BTreeSet<Name>),
}

impl Only {
    /// These functionalities and load balancers of what was compiled; a name that is none of them
    /// is told and passed over.
    pub fn named(names: impl IntoIterator<Item = Name>, compiled: &Compiled) -> Staged<Self> {
        let graph = compiled.connected().graph();
        let mut found = Diagnostics::new();
        let mut known = BTreeSet::new();
        for name in names {
            if graph.knows(&name) || compiled.failed().contains(&name) {
                known.insert(name);
                continue;
            }
            let all = graph.names().chain(compiled.failed()).map(Name::as_str);
            let remedy = match nearest(name.as_str(), all) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a functionality or load balancer of the deployment".to_owned(),
            };
            let message = format!("there is no functionality `{name}`");
            found.push(Diagnostic::error(Code::ReferenceUnknown, message).remedy(remedy));
        }
        Staged::new(Self::Named(known), found)
    }
}

/// What has to be done so that what is wanted stands.
///
/// Steps come in an order in which they can be done: what a step comes after stands before it, and
/// removals are last, dependents first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Plan {
    /// The position in the history that it starts from.
    pub generation: u64,
    /// What is to be done.
    pub steps: Vec<PlannedStep>,
    /// How many resources stay as they are.
    pub kept: usize,
    /// Functionalities that are left as they are, since they failed before this.
    pub left: BTreeSet<Name>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedStep {
    /// Which resource.
    pub resource: ResourceId,
    /// On whose account.
    pub owner: Owner,
    /// What to do with it.
    pub action: PlannedAction,
    /// The settings that differ, as the reason; none where it is made or removed.
    pub changes: Vec<FieldChange>,
    /// Resources of this plan that have to be done first.
    pub after: BTreeSet<ResourceId>,
}

/// What to do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedAction {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is made anew, and the old one removed.
    Replace,
    /// It is removed.
    Remove,
}

impl PlannedAction {
    /// In lower case, as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FieldChange {
    /// The keys that lead to it, joined by dots.
    pub field: String,
    /// As it is; nothing where it is new.
    pub from: Option<Input>,
    /// As it is wanted; nothing where it goes.
    pub to: Option<Input>,
}

/// Compares what is wanted with what stands.
///
/// Pure: no provider is asked. Resources of functionalities and targets that failed before this are
/// left as they are.
#[must_use]
pub fn plan(compiled: &Compiled, heads: &Heads, registry: &Registry, only: &Only) -> Plan {
    let wanted = compiled.resources();
    let mut changed: BTreeMap<&ResourceId, PlannedStep> = BTreeMap::new();
    let mut kept = 0;
    for (id, resource) in wanted {
        match step(resource, heads.resources.get(id), registry) {
            Some(step) => {
                changed.insert(id, step);
            }
            None => kept += 1,
        }
    }
    kept -= follow_replacements(wanted, &mut changed);

    let left = |owner: &Owner| is_left(owner, compiled);
    let gone: Vec<_> = heads
        .resources
        .values()
        .filter(|resource| !wanted.contains_key(resource.id()) && !left(resource.owner()))
        .collect();

    let chosen = chosen(only, wanted, &changed);
    let is_chosen = |id: &ResourceId, owner: &Owner| match &chosen {
        None => true,
        Some(ids) => ids.contains(id) || (!wanted.contains_key(id) && names(owner, only)),
    };
    changed.retain(|id, step| is_chosen(id, &step.owner));
    let ids: BTreeSet<ResourceId> = changed.keys().map(|id| (*id).clone()).collect();
    for step in changed.values_mut() {
        step.after.retain(|id| ids.contains(id));
    }
    let removals = removals(gone.into_iter().filter(|r| is_chosen(r.id(), r.owner())).collect());
    let mut steps = in_order(changed);
    steps.extend(removals);
    Plan { generation: heads.generation, steps, kept, left: compiled.failed().clone() }
}

/// What has to be done with one resource, if anything.
fn step(to: &Resource, from: Option<&Resource>, registry: &Registry) -> Option<PlannedStep> {
    let (action, changes) = match from {
        None => (PlannedAction::Create, Vec::new()),
        Some(from) if from.digest() == to.digest() => return None,
        Some(from) => {
            // Resources are compiled by registered backends; one that has gone since cannot tell.
            let backend = registry.backend_named(to.backend());
            let change = backend.map_or(Change::Update, |backend| backend.change(from, to));
            let action = match change {
                Change::Keep => return None,
                Change::Update => PlannedAction::Update,
                Change::Replace => PlannedAction::Replace,
            };
            (action, differences(from.inputs(), to.inputs()))
        }
    };
    Some(PlannedStep {
        resource: to.id().clone(),
        owner: to.owner().clone(),
        action,
        changes,
        after: to.after().clone(),
    })
}

/// What reads an output of something made anew has to be changed as well; tells how many of these
/// would have stayed as they are.
fn follow_replacements<'w>(
    wanted: &'w BTreeMap<ResourceId, Resource>,
    changed: &mut BTreeMap<&'w ResourceId, PlannedStep>,
) -> usize {
    let replaced: BTreeSet<ResourceId> = changed
        .values()
        .filter(|step| step.action == PlannedAction::Replace)
        .map(|step| step.resource.clone())
        .collect();
    let mut followed = 0;
    if replaced.is_empty() {
        return followed;
    }
    for (id, resource) in wanted {
        if changed.contains_key(id) {
            continue;
        }
        let mut changes = Vec::new();
        for (field, input) in resource.inputs() {
            let mut reads = false;
            input.visit_outputs(&mut |output| reads |= replaced.contains(&output.resource));
            if reads {
                let value = Some(input.clone());
                changes.push(FieldChange { field: field.clone(), from: value.clone(), to: value });
            }
        }
        if !changes.is_empty() {
            followed += 1;
            let step = PlannedStep {
                resource: id.clone(),
                owner: resource.owner().clone(),
                action: PlannedAction::Update,
                changes,
                after: resource.after().clone(),
            };
            changed.insert(id, step);
        }
    }
    followed
}

/// The settings that differ, each by the keys that lead to it.
fn differences(from: &Inputs, to: &Inputs) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", from, to, &mut changes);
    changes
}

fn compare(prefix: &str, from: &Inputs, to: &Inputs, changes: &mut Vec<FieldChange>) {
    let fields: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for field in fields {
        let (before, after) = (from.get(field), to.get(field));
        let path = if prefix.is_empty() { field.clone() } else { format!("{prefix}.{field}") };
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
    match owner {
        Owner::Functionality(name) => compiled.failed().contains(name),
        Owner::Edge { consumer, provider } => {
            compiled.failed().contains(consumer) || compiled.failed().contains(provider)
        }
        Owner::Target(name) => compiled.failed_targets().contains(name),
        Owner::Network(_) => !compiled.failed_targets().is_empty(),
    }
}

/// Whether a plan is about an owner.
fn names(owner: &Owner, only: &Only) -> bool {
    match (only, owner) {
        (Only::All, _) => true,
        (Only::Named(names), Owner::Functionality(name) | Owner::Edge { consumer: name, .. }) => {
            names.contains(name)
        }
        (Only::Named(_), Owner::Target(_) | Owner::Network(_)) => false,
    }
}

/// The wanted resources that a plan is about: those of the named functionalities, and all that
/// these come after and that changes.
fn chosen(
    only: &Only,
    wanted: &BTreeMap<ResourceId, Resource>,
    changed: &BTreeMap<&ResourceId, PlannedStep>,
) -> Option<BTreeSet<ResourceId>> {
    if *only == Only::All {
        return None;
    }
    let mut open: Vec<&Resource> =
        wanted.values().filter(|resource| names(resource.owner(), only)).collect();
    let mut chosen = BTreeSet::new();
    while let Some(resource) = open.pop() {
        if chosen.insert(resource.id().clone()) {
            let needed = resource.after().iter().filter(|id| {
                changed.get(id).is_some_and(|step| step.action == PlannedAction::Create)
            });
            open.extend(needed.filter_map(|id| wanted.get(id)));
        }
    }
    Some(chosen)
}

/// Steps in an order in which they can be done. Where resources come after each other in a circle,
/// which no backend should compile, the circle is broken at its first id.
fn in_order(mut steps: BTreeMap<&ResourceId, PlannedStep>) -> Vec<PlannedStep> {
    let mut waiting: BTreeMap<ResourceId, usize> = BTreeMap::new();
    let mut waited_for: BTreeMap<ResourceId, Vec<ResourceId>> = BTreeMap::new();
    let mut ready = BTreeSet::new();
    for (id, step) in &steps {
        waiting.insert((*id).clone(), step.after.len());
        if step.after.is_empty() {
            ready.insert((*id).clone());
        }
        for before in &step.after {
            waited_for.entry(before.clone()).or_default().push((*id).clone());
        }
    }
    let mut ordered = Vec::with_capacity(steps.len());
    while let Some(id) = ready.pop_first().or_else(|| waiting.keys().next().cloned()) {
        waiting.remove(&id);
        for next in waited_for.remove(&id).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(&next) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(next);
                }
            }
        }
        ordered.extend(steps.remove(&id));
    }
    ordered
}

/// Removals, dependents first.
fn removals(gone: Vec<&Resource>) -> Vec<PlannedStep> {
    let ids: BTreeSet<&ResourceId> = gone.iter().map(|resource| resource.id()).collect();
    let mut dependents: BTreeMap<&ResourceId, BTreeSet<ResourceId>> = BTreeMap::new();
    for resource in &gone {
        for before in resource.after().iter().filter(|id| ids.contains(id)) {
            dependents.entry(before).or_default().insert(resource.id().clone());
        }
    }
    let steps = gone.iter().map(|resource| {
        let step = PlannedStep {
            resource: resource.id().clone(),
            owner: resource.owner().clone(),
            action: PlannedAction::Remove,
            changes: Vec::new(),
            after: dependents.remove(resource.id()).unwrap_or_default(),
        };
        (resource.id(), step)
    });
    in_order(steps.collect())
}
