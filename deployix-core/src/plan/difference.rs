//! Plan: what is wanted against what stands.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
};

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
    /// Resources of this plan that have to be done first, in order, each once.
    pub after: Arc<[ResourceId]>,
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
    let mut changed: Vec<Draft<'_>> = wanted
        .iter()
        .filter_map(|(id, resource)| draft(resource, heads.resources.get(id), registry))
        .collect();
    let mut kept = wanted.len() - changed.len();
    kept -= follow_replacements(wanted, &mut changed);

    let left = |owner: &Owner| is_left(owner, compiled);
    let mut gone: Vec<_> = heads
        .resources
        .values()
        .filter(|resource| !wanted.contains_key(resource.id()) && !left(resource.owner()))
        .collect();

    if let Some(chosen) = chosen(only, wanted, &changed) {
        changed.retain(|draft| chosen.contains(draft.resource.id()));
        gone.retain(|resource| names(resource.owner(), only));
    }
    let mut steps = in_order(changed);
    steps.extend(in_order(removals(&gone)));
    Plan { generation: heads.generation, steps, kept, left: compiled.failed().clone() }
}

/// A step that has no place in the order yet.
struct Draft<'a> {
    resource: &'a Resource,
    action: PlannedAction,
    changes: Vec<FieldChange>,
    after: Arc<[ResourceId]>,
}

impl Draft<'_> {
    fn planned(self) -> PlannedStep {
        let Self { resource, action, changes, after } = self;
        let (id, owner) = (resource.id().clone(), resource.owner().clone());
        PlannedStep { resource: id, owner, action, changes, after }
    }
}

/// What has to be done with one resource, if anything.
fn draft<'a>(to: &'a Resource, from: Option<&Resource>, registry: &Registry) -> Option<Draft<'a>> {
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
    Some(Draft { resource: to, action, changes, after: to.shared_after() })
}

/// What reads an output of something made anew has to be changed as well; tells how many of these
/// would have stayed as they are.
fn follow_replacements<'w>(
    wanted: &'w BTreeMap<ResourceId, Resource>,
    changed: &mut Vec<Draft<'w>>,
) -> usize {
    let replaced: BTreeSet<&ResourceId> = changed
        .iter()
        .filter(|draft| draft.action == PlannedAction::Replace)
        .map(|draft| draft.resource.id())
        .collect();
    if replaced.is_empty() {
        return 0;
    }
    let mut followers = Vec::new();
    for (id, resource) in wanted {
        if find(changed, id).is_some() {
            continue;
        }
        let mut changes = Vec::new();
        for (field, input) in resource.inputs() {
            let mut reads = false;
            input.visit_outputs(&mut |output| reads |= replaced.contains(&output.resource));
            if reads {
                let value = Some(input.clone());
                let field = field.clone().into_owned();
                changes.push(FieldChange { field, from: value.clone(), to: value });
            }
        }
        if !changes.is_empty() {
            let (action, after) = (PlannedAction::Update, resource.shared_after());
            followers.push(Draft { resource, action, changes, after });
        }
    }
    let followed = followers.len();
    changed.extend(followers);
    changed.sort_by_key(|draft| draft.resource.id());
    followed
}

/// The draft about a resource, of drafts in the order of their ids.
fn find<'d, 'w>(drafts: &'d [Draft<'w>], id: &ResourceId) -> Option<&'d Draft<'w>> {
    let at = drafts.binary_search_by(|draft| draft.resource.id().cmp(id)).ok()?;
    Some(&drafts[at])
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
    changed: &[Draft<'_>],
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
                find(changed, id).is_some_and(|draft| draft.action == PlannedAction::Create)
            });
            open.extend(needed.filter_map(|id| wanted.get(id)));
        }
    }
    Some(chosen)
}

/// Steps in an order in which they can be done, by ids where there is a choice; of what a step
/// comes after, what is none of them is left out. Where resources come after each other in a
/// circle, which no backend should compile, the circle is broken at its first id.
///
/// Drafts come in the order of their ids, so a position stands for an id.
fn in_order(mut drafts: Vec<Draft<'_>>) -> Vec<PlannedStep> {
    let positions: HashMap<&ResourceId, usize> =
        drafts.iter().map(|draft| draft.resource.id()).zip(0..).collect();
    // What comes before, and what waits for it.
    let mut edges = Vec::new();
    let mut waits = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter_mut().enumerate() {
        let before = edges.len();
        let inside = draft.after.iter().filter_map(|id| positions.get(id));
        edges.extend(inside.map(|&before| (before, at)));
        let count = edges.len() - before;
        if count < draft.after.len() {
            let inside = draft.after.iter().filter(|id| positions.contains_key(id));
            draft.after = inside.cloned().collect();
        }
        waits.push(count);
    }
    edges.sort_unstable();

    let count = drafts.len();
    let mut ready: BinaryHeap<_> = (0..count).filter(|at| waits[*at] == 0).map(Reverse).collect();
    let mut drafts: Vec<_> = drafts.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(count);
    let mut circle = 0..count;
    while ordered.len() < count {
        let next = ready.pop().map(|Reverse(at)| at).or_else(|| circle.next());
        let Some(at) = next else { break };
        let Some(draft) = drafts[at].take() else { continue };
        ordered.push(draft.planned());
        let first = edges.partition_point(|(before, _)| *before < at);
        for (_, waiting) in edges[first..].iter().take_while(|(before, _)| *before == at) {
            waits[*waiting] -= 1;
            if waits[*waiting] == 0 {
                ready.push(Reverse(*waiting));
            }
        }
    }
    ordered
}

/// Removals: what comes after something goes before it.
fn removals<'a>(gone: &[&'a Resource]) -> Vec<Draft<'a>> {
    let mut dependents: BTreeMap<&ResourceId, Vec<ResourceId>> =
        gone.iter().map(|resource| (resource.id(), Vec::new())).collect();
    for resource in gone {
        for before in resource.after() {
            if let Some(dependents) = dependents.get_mut(before) {
                dependents.push(resource.id().clone());
            }
        }
    }
    let draft = |resource: &&'a Resource| Draft {
        resource,
        action: PlannedAction::Remove,
        changes: Vec::new(),
        after: dependents.remove(resource.id()).unwrap_or_default().into(),
    };
    gone.iter().map(draft).collect()
}
