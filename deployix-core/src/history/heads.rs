//! [`Heads`]: what stands at one moment, as the history tells; a replay of the log.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{Entry, Holder, IntentAction, Record, RunId, StepResult};
use crate::{
    backend::{OwnedSite, Owner, Resource},
    name::{HistoryId, Name, ResourceId},
    spec::Infrastructure,
    topology::Assignments,
};

/// What stands at one moment, where everything runs, and who is about to change what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Heads {
    /// The position in the history that this is a replay up to; 0 is before anything happened.
    pub generation: u64,
    /// Every resource that stands.
    pub resources: BTreeMap<ResourceId, Standing>,
    /// Steps that were intended and whose outcome is not known: under way, or in doubt.
    pub open: BTreeMap<ResourceId, Open>,
    /// Since which generation it is tried to make what was not made since, however often: so whoever
    /// tries again asks the provider for the same thing as before, and for another once that stood.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tried: BTreeMap<ResourceId, u64>,
    /// Runs that did not end yet, some of which may never do so.
    pub runs: BTreeMap<RunId, Run>,
    /// Where each functionality was last placed.
    pub assignments: Assignments,
    /// The targets as they were when something was last done there.
    pub sites: BTreeMap<Name, OwnedSite>,
    /// The history's own id; nothing before it was first used to make something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryId>,
    /// The lost histories that it took over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub took_over: BTreeSet<HistoryId>,
}

/// A resource as it was last made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Standing {
    /// The resource.
    pub resource: Resource,
    /// The target it was compiled for.
    pub target: Name,
    /// What it gives to others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// The generation since which it stands so.
    pub since: u64,
    /// The generation in which it last came to give others than before, where it ever did: what reads
    /// them and stands since before that was not made with these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_since: Option<u64>,
}

/// A step that was intended and whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Open {
    /// The run that intended it.
    pub run: RunId,
    /// What it was to do.
    pub action: IntentAction,
    /// The resource: as it was wanted, or where it was to go, as it was.
    pub resource: Resource,
    /// The target it was compiled for.
    pub target: Name,
    /// The generation of the intent.
    pub since: u64,
    /// Why nobody is at it any more, where it failed; nothing while it may be under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A run that did not end yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Run {
    /// Who does it.
    pub by: Holder,
    /// Since when.
    pub since: Timestamp,
    /// Until when its claims and intents hold.
    pub until: Timestamp,
    /// What it claims.
    pub claims: BTreeSet<Owner>,
}

impl Standing {
    /// A resource that gives nothing to others.
    #[must_use]
    pub fn new(resource: Resource, target: Name, since: u64) -> Self {
        Self { resource, target, outputs: BTreeMap::new(), since, outputs_since: None }
    }
}

impl Open {
    /// Something that was seen to be other than it should, which no run began.
    pub(crate) fn seen(resource: Resource, target: Name, what: String, since: u64) -> Self {
        let (run, action) = (RunId::none(), IntentAction::Make);
        Self { run, action, resource, target, since, failed: Some(what) }
    }

    /// Why it is not known what stands, in lower case, without a final dot.
    #[must_use]
    pub fn why(&self) -> String {
        match &self.failed {
            Some(error) => error.clone(),
            None => format!("run {} began it and did not tell how it ended", self.run),
        }
    }
}

impl Heads {
    /// The same, with every target as it is described now; those that are described no more stay
    /// as they were when something was last done there.
    ///
    /// For what looks at targets or removes something without compiling anything, such as
    /// [`observe`](crate::execute::observe) and [`destroy`](crate::plan::destroy): an address is
    /// written down before it was ever reached, and is put right where targets are described.
    #[must_use]
    pub fn described_by(mut self, infrastructure: &Infrastructure) -> Self {
        for site in infrastructure.sites() {
            if let Some(before) = self.sites.get_mut(&site.target.name) {
                *before = site.into();
            }
        }
        self
    }

    /// The same, as if histories that are lost had been taken over; what a run takes over is said by
    /// [`ApplyOptions::take_over`](crate::execute::ApplyOptions::take_over).
    #[must_use]
    pub fn taking_over(mut self, lost: impl IntoIterator<Item = HistoryId>) -> Self {
        self.took_over.extend(lost);
        self
    }

    /// Whether the history keeps what says this of itself.
    #[must_use]
    pub fn keeps(&self, by: Option<&HistoryId>) -> bool {
        let is_own = |by: &HistoryId| self.history.as_ref() == Some(by);
        by.is_none_or(|by| is_own(by) || self.took_over.contains(by))
    }

    /// Adds what an entry says.
    pub(crate) fn replay(&mut self, entry: &Entry) {
        self.generation = entry.position;
        for record in &entry.records {
            self.replay_record(record, entry);
        }
    }

    fn replay_record(&mut self, record: &Record, entry: &Entry) {
        match record {
            Record::Begin { run, by, until, claims } => {
                let (by, claims) = (by.clone(), claims.clone());
                let begun = Run { by, since: entry.at, until: *until, claims };
                self.runs.insert(run.clone(), begun);
            }
            Record::Renew { run, until } => {
                if let Some(run) = self.runs.get_mut(run) {
                    run.until = *until;
                }
            }
            Record::Release { run, claims } => {
                if let Some(run) = self.runs.get_mut(run) {
                    for claim in claims {
                        run.claims.remove(claim);
                    }
                }
            }
            Record::End { run } => {
                self.runs.remove(run);
            }
            Record::Intent { run, action, resource, target } => {
                let open = Open {
                    run: run.clone(),
                    action: *action,
                    resource: resource.clone(),
                    target: target.clone(),
                    since: entry.position,
                    failed: None,
                };
                if *action == IntentAction::Make {
                    self.tried.entry(resource.id().clone()).or_insert(entry.position);
                }
                self.open.insert(resource.id().clone(), open);
            }
            // What somebody else took over meanwhile is no longer this run's to tell of.
            Record::Outcome { run, resource, result } => {
                if self.open.get(resource).is_some_and(|open| open.run == *run) {
                    self.settle(resource, result, entry);
                }
            }
            Record::Placed { assignments } => {
                for (name, assignment) in assignments {
                    match assignment {
                        Some(assignment) => {
                            self.assignments.insert(name.clone(), assignment.clone());
                        }
                        None => {
                            self.assignments.remove(name);
                        }
                    }
                }
            }
            Record::Site { site } => {
                self.sites.insert(site.target.name.clone(), OwnedSite::clone(site));
            }
            // Whoever was faster drew it.
            Record::Identity { history } => {
                self.history.get_or_insert_with(|| history.clone());
            }
            Record::TakeOver { history, .. } => {
                self.took_over.insert(history.clone());
            }
            Record::Forgotten { target, resources, functionalities, .. } => {
                let mut targets = self.targets_with(target, resources.keys());
                for id in resources.keys() {
                    self.resources.remove(id);
                    self.open.remove(id);
                }
                for name in functionalities {
                    self.assignments.remove(name);
                }
                // By way of a target something may have to be removed that others shared with it.
                targets.retain(|target| !self.is_in_use(target));
                self.sites.retain(|target, _| !targets.contains(target));
            }
            Record::Note { .. } => {}
        }
    }

    /// A target, and those for which resources were made.
    pub(super) fn targets_with<'i>(
        &self,
        target: &Name,
        resources: impl Iterator<Item = &'i ResourceId>,
    ) -> BTreeSet<Name> {
        let of = |id| {
            let standing = self.resources.get(id).map(|standing| &standing.target);
            [standing, self.open.get(id).map(|open| &open.target)]
        };
        resources.flat_map(of).flatten().chain([target]).cloned().collect()
    }

    fn is_in_use(&self, target: &Name) -> bool {
        self.resources.values().any(|standing| standing.target == *target)
            || self.open.values().any(|open| open.target == *target)
    }

    fn settle(&mut self, id: &ResourceId, result: &StepResult, entry: &Entry) {
        // Of what failed a provider may show only later that it was done.
        if !matches!(result, StepResult::Failed { .. }) {
            self.tried.remove(id);
        }
        match result {
            StepResult::Made { outputs } => {
                if let Some(Open { resource, target, .. }) = self.open.remove(id) {
                    let (outputs, since) = (outputs.clone(), entry.position);
                    let outputs_since = match self.resources.get(id) {
                        Some(before) if before.outputs == outputs => before.outputs_since,
                        before => before.map(|_| since),
                    };
                    let standing = Standing { resource, target, outputs, since, outputs_since };
                    self.resources.insert(id.clone(), standing);
                }
            }
            StepResult::Removed => {
                self.open.remove(id);
                self.resources.remove(id);
            }
            StepResult::Failed { as_it_was: true, .. } => {
                self.open.remove(id);
            }
            StepResult::Failed { error, as_it_was: false } => {
                if let Some(open) = self.open.get_mut(id) {
                    open.failed = Some(error.clone());
                }
            }
        }
    }
}
