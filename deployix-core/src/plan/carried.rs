//! Carried: what a plan does to functionalities by what carries them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Plan, PlannedAction, PlannedStep};
use crate::name::{Name, ResourceId};

/// What becomes of a functionality as a machine that carries it is made, changed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Carried {
    /// It is there no more.
    Gone,
    /// It is what it was, and restarts.
    Restarted,
    /// It comes up as it was not there before: it is new, or changed.
    Changed,
}

impl PlannedStep {
    /// The functionalities that run by what it is about, or did.
    #[must_use]
    pub fn carries(&self) -> BTreeSet<&Name> {
        let before = self.from.iter().flat_map(|from| from.resource.carries().keys());
        self.resource.carries().keys().chain(before).collect()
    }

    /// The functionalities that it carries or carried, each with what becomes of it.
    fn carried(&self) -> BTreeMap<&Name, Carried> {
        let stood = self.from.as_ref().map(|from| from.resource.carries());
        let (before, after) = match self.action {
            PlannedAction::Remove => (Some(self.resource.carries()), None),
            _ => (stood, Some(self.resource.carries())),
        };
        let is_there = |name: &Name| after.is_some_and(|after| after.contains_key(name));
        let gone = before.into_iter().flatten().map(|(name, _)| name);
        let gone = gone.filter(|name| !is_there(name)).map(|name| (name, Carried::Gone));
        let there = after.into_iter().flatten().map(|(name, digest)| {
            match before.and_then(|before| before.get(name)) {
                Some(same) if same == digest => (name, Carried::Restarted),
                _ => (name, Carried::Changed),
            }
        });
        gone.chain(there).collect()
    }
}

impl Plan {
    /// The steps that are about machines, as far as functionalities come up, restart or go by them:
    /// those that carry some and from which nothing else is made that does. Each with these and what
    /// becomes of them.
    #[must_use]
    pub fn machines(&self) -> BTreeMap<&ResourceId, BTreeMap<&Name, Carried>> {
        let mut carriers: Vec<_> = self.steps.iter().map(|step| (step, step.carried())).collect();
        carriers.retain(|(_, carried)| !carried.is_empty());
        let ids: BTreeSet<&ResourceId> = carriers.iter().map(|(step, _)| step.id()).collect();
        let parts = carriers.iter().flat_map(|(step, _)| step.resource.after());
        let parts: BTreeSet<&ResourceId> = parts.filter(|id| ids.contains(id)).collect();
        let machines = carriers.iter().filter(|(step, _)| !parts.contains(step.id()));
        let machines = machines.map(|(step, carried)| {
            // What is changed in place, and made from nothing new, goes on running.
            let is_new = step.resource.after().iter().any(|id| parts.contains(id));
            let restarts = step.action != PlannedAction::Update || is_new;
            let mut carried = carried.clone();
            carried.retain(|_, what| restarts || *what != Carried::Restarted);
            (step.id(), carried)
        });
        machines.filter(|(_, carried)| !carried.is_empty()).collect()
    }

    /// What becomes of each functionality by the machines that this is about, all of them taken
    /// together.
    #[must_use]
    pub fn carried(&self) -> BTreeMap<&Name, Carried> {
        let mut all: BTreeMap<&Name, Carried> = BTreeMap::new();
        for (name, what) in self.machines().into_values().flatten() {
            let known = all.entry(name).or_insert(what);
            *known = what.max(*known);
        }
        all
    }
}
