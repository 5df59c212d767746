//! [`moved_on`]: whether a plan that was saved still starts from what stands.

use serde::Serialize;

use super::Plan;
use crate::{
    backend::Owner,
    history::{Heads, RunId},
    name::ResourceId,
};

/// A resource of which something else stands than a plan starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Moved {
    /// Which resource.
    pub resource: ResourceId,
    /// On whose account it stands.
    pub owner: Owner,
    /// What became of it.
    pub how: HowMoved,
}

/// What became of a resource since a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HowMoved {
    /// It was made, and the plan is to make it.
    Made {
        /// The generation in which it was.
        since: u64,
    },
    /// It was changed.
    Changed {
        /// The generation in which it was.
        since: u64,
    },
    /// It was removed.
    Removed,
    /// Somebody began to change it, and did not tell yet how that ended.
    Begun {
        /// The run.
        run: RunId,
        /// The generation in which it began.
        since: u64,
    },
}

/// What moved on of all that a plan touches, in the order of its steps; nothing where it can be
/// carried out as it is. What moved on elsewhere does not count.
///
/// A step that was in doubt already when the plan was made is no reason against it: mending it is
/// part of the plan.
#[must_use]
pub fn moved_on(plan: &Plan, heads: &Heads) -> Vec<Moved> {
    let how = |step: &super::PlannedStep| {
        if let Some(open) = heads.open.get(step.id())
            && open.since > plan.generation
        {
            return Some(HowMoved::Begun { run: open.run.clone(), since: open.since });
        }
        match (&step.from, heads.resources.get(step.id())) {
            (None, None) => None,
            (None, Some(now)) => Some(HowMoved::Made { since: now.since }),
            (Some(_), None) => Some(HowMoved::Removed),
            (Some(before), Some(now)) => {
                (before.since != now.since).then_some(HowMoved::Changed { since: now.since })
            }
        }
    };
    let moved = |step: &super::PlannedStep| {
        let (resource, owner) = (step.id().clone(), step.owner().clone());
        how(step).map(|how| Moved { resource, owner, how })
    };
    plan.steps.iter().filter_map(moved).collect()
}
