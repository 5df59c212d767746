//! Order: steps come after what they need.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
};

use super::{FieldChange, PlannedAction, PlannedStep};
use crate::{
    backend::Resource,
    history::Standing,
    name::{Name, ResourceId},
};

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

/// The draft about a resource, of drafts in the order of their ids.
pub(super) fn find<'d, 'w>(drafts: &'d [Draft<'w>], id: &ResourceId) -> Option<&'d Draft<'w>> {
    let at = drafts.binary_search_by(|draft| draft.resource.id().cmp(id)).ok()?;
    Some(&drafts[at])
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
