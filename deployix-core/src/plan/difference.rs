//! Plan: what is wanted against what stands.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Compiled,
    chosen::{Chosen, is_of},
    held::Holding,
    turn,
};
use crate::{
    backend::{Change, Input, Inputs, OwnedSite, Owner, Registry, Resource, Site},
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    digest::Digest,
    history::{Heads, Open, Standing},
    name::{Name, ResourceId},
    suggest::nearest,
    topology::{Assignment, hidden},
};

/// Which functionalities a plan is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// These alone, what they cannot be made without, and what they run by: their machines, with
    /// all that runs there.
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
            if compiled.connected().is_unheard(&name) {
                found.push(hidden(&name));
                continue;
            }
            let all = graph.names().chain(compiled.failed());
            found.push(unknown(
                &name,
                all,
                "name a functionality or load balancer of the deployment",
            ));
        }
        Staged::new(Self::Named(known), found)
    }

    /// These functionalities and load balancers of what stands; a name of which nothing does is
    /// told and passed over.
    pub fn standing(names: impl IntoIterator<Item = Name>, heads: &Heads) -> Staged<Self> {
        let resources = heads.resources.values().map(|standing| &standing.resource);
        let resources = resources.chain(heads.open.values().map(|open| &open.resource));
        let all: BTreeSet<&Name> = resources
            .filter_map(|resource| match resource.owner() {
                Owner::Functionality(name) => Some(name),
                _ => None,
            })
            .collect();
        let mut found = Diagnostics::new();
        let mut known = BTreeSet::new();
        for name in names {
            if all.contains(&name) {
                known.insert(name);
            } else {
                found.push(unknown(
                    &name,
                    all.iter().copied(),
                    "name one of which something stands",
                ));
            }
        }
        Staged::new(Self::Named(known), found)
    }
}

fn unknown<'a>(name: &Name, all: impl Iterator<Item = &'a Name>, otherwise: &str) -> Diagnostic {
    let remedy = match nearest(name.as_str(), all.map(Name::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.to_owned(),
    };
    let message = format!("there is no functionality `{name}`");
    Diagnostic::error(Code::ReferenceUnknown, message).remedy(remedy)
}

/// What has to be done so that what is wanted stands.
///
/// Whole in itself: it can be written down, read elsewhere and carried out there. Steps come in an
/// order in which they can be done: what a step comes after stands before it, and removals are
/// last, dependents first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// The deployment.
    pub deployment: Name,
    /// The position in the history that it starts from.
    pub generation: u64,
    /// What is to be done.
    pub steps: Vec<PlannedStep>,
    /// How many resources stay as they are.
    pub kept: usize,
    /// Functionalities that are left as they are, since they failed before this.
    pub left: BTreeSet<Name>,
    /// What would be changed, made or removed and is held back, each with the functionalities that
    /// failed and without which it cannot be what it should be: a machine that one of them runs on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<ResourceId, BTreeSet<Name>>,
    /// Functionalities that did not fail and whose changes wait for what is held back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub waiting: BTreeSet<Name>,
    /// Resources that nothing wants any more and that stay, since they hold data.
    pub data_kept: BTreeSet<ResourceId>,
    /// Where the functionalities that it is about are to run; nothing for those that go.
    pub assignments: BTreeMap<Name, Option<Assignment>>,
    /// The targets of its steps.
    pub sites: BTreeMap<Name, OwnedSite>,
    /// Sets of functionalities that succeed or are put back together.
    pub atomic: Vec<BTreeSet<Name>>,
    /// The contents of the files that its steps need.
    #[serde(with = "contents")]
    pub contents: BTreeMap<Digest, Arc<[u8]>>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The resource: as it is wanted, or where it is to go, as it was.
    pub resource: Resource,
    /// The target it was compiled for.
    pub target: Name,
    /// What to do with it.
    pub action: PlannedAction,
    /// What stands of it.
    pub from: Option<Standing>,
    /// Why the old one stops before the new one is ready, where it does.
    pub gap: Option<String>,
    /// Why it is not known what stands, where it is not.
    pub doubt: Option<String>,
    /// The settings that differ, as the reason; none where it is made or removed.
    pub changes: Vec<FieldChange>,
    /// Resources of this plan that have to be done first, in order, each once.
    pub after: Arc<[ResourceId]>,
    /// Those of them that it does not need: it waits its turn behind them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub behind: BTreeSet<ResourceId>,
}

impl PlannedStep {
    /// The id of the resource.
    #[must_use]
    pub fn id(&self) -> &ResourceId {
        self.resource.id()
    }

    /// On whose account it is done.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        self.resource.owner()
    }
}

/// What to do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
/// left as they are, and so is what was made from these: a machine that one of them runs on is
/// neither changed nor removed. What holds data is never removed by it: see
/// [`destroy`](super::destroy).
#[must_use]
pub fn plan(compiled: &Compiled, heads: &Heads, registry: &Registry, only: &Only) -> Plan {
    let wanted = compiled.resources();
    let mut changed: Vec<Draft<'_>> = compiled
        .located()
        .filter_map(|(_, resource, target)| draft(resource, target, heads, registry))
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
    let sites: Vec<Site<'_>> = compiled.connected().sites().collect();
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

/// A step that has no place in the order yet.
pub(super) struct Draft<'a> {
    pub(super) resource: &'a Resource,
    pub(super) target: At<'a>,
    pub(super) action: PlannedAction,
    pub(super) from: Option<&'a Standing>,
    pub(super) gap: Option<&'static str>,
    pub(super) doubt: Option<String>,
    pub(super) changes: Vec<FieldChange>,
    pub(super) after: Arc<[ResourceId]>,
    /// Those of `after` that it does not need.
    pub(super) behind: BTreeSet<ResourceId>,
}

/// Where a resource is: at a site of what was compiled, or where it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At<'a> {
    Site(u32),
    Before(&'a Name),
}

impl Draft<'_> {
    fn planned(self, name: &impl Fn(At<'_>) -> Option<Name>) -> Option<PlannedStep> {
        Some(PlannedStep {
            resource: self.resource.clone(),
            // Every draft's target is one of the sites or was written down with its resource.
            target: name(self.target)?,
            action: self.action,
            from: self.from.cloned(),
            gap: self.gap.map(str::to_owned),
            doubt: self.doubt,
            changes: self.changes,
            after: self.after,
            behind: self.behind,
        })
    }
}

/// What has to be done with one resource, if anything.
fn draft<'a>(
    to: &'a Resource,
    target: u32,
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
    let (action, gap) = match from.map(change) {
        None => (PlannedAction::Create, None),
        Some(Change::Keep) if doubt.is_none() => return None,
        // What is in doubt is made what it should be, whatever stands.
        Some(Change::Keep | Change::Update) => (PlannedAction::Update, None),
        Some(Change::Replace) => (PlannedAction::Replace, None),
        Some(Change::Recreate { why }) => (PlannedAction::Replace, Some(why)),
    };
    let changes =
        from.map_or_else(Vec::new, |from| differences(from.resource.inputs(), to.inputs()));
    let (target, after) = (At::Site(target), to.shared_after());
    let behind = BTreeSet::new();
    Some(Draft { resource: to, target, action, from, gap, doubt, changes, after, behind })
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

/// The draft about a resource, of drafts in the order of their ids.
pub(super) fn find<'d, 'w>(drafts: &'d [Draft<'w>], id: &ResourceId) -> Option<&'d Draft<'w>> {
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

/// Steps in an order in which they can be done, by ids where there is a choice; of what a step
/// comes after, what is none of them is left out. Where resources come after each other in a
/// circle, which no backend should compile, the circle is broken at its first id.
///
/// Drafts come in the order of their ids, so a position stands for an id.
pub(super) fn in_order(
    mut drafts: Vec<Draft<'_>>,
    name: &impl Fn(At<'_>) -> Option<Name>,
) -> Vec<PlannedStep> {
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
    loop {
        let next = ready.pop().map(|Reverse(at)| at).or_else(|| circle.next());
        let Some(at) = next else { break };
        let Some(draft) = drafts[at].take() else { continue };
        ordered.extend(draft.planned(name));
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
fn keep_needed(
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
            if let Some(dependents) = dependents.get_mut(before)
                && !dependents.contains(resource.id())
            {
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

/// Contents of files as text, or as Base64 where they are none.
mod contents {
    use std::{collections::BTreeMap, sync::Arc};

    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::digest::Digest;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Content {
        Text(String),
        Base64(String),
    }

    pub(super) fn serialize<S: Serializer>(
        contents: &BTreeMap<Digest, Arc<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(contents.iter().map(|(digest, bytes)| {
            let content = match str::from_utf8(bytes) {
                Ok(text) => Content::Text(text.to_owned()),
                Err(_) => Content::Base64(BASE64_STANDARD.encode(bytes)),
            };
            (digest.to_string(), content)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Digest, Arc<[u8]>>, D::Error> {
        let read = BTreeMap::<Digest, Content>::deserialize(deserializer)?;
        let content = |(digest, content)| {
            let bytes = match content {
                Content::Text(text) => text.into_bytes(),
                Content::Base64(text) => BASE64_STANDARD.decode(text).map_err(de::Error::custom)?,
            };
            if Digest::of_bytes(&bytes) == digest {
                Ok((digest, bytes.into()))
            } else {
                Err(de::Error::custom(format_args!("the content of {digest} was changed")))
            }
        };
        read.into_iter().map(content).collect()
    }
}
