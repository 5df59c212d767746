//! [`Story`]: what happened, run by run, as people tell it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Entry, Holder, IntentAction, Record, RunId, StepResult};
use crate::{
    backend::Owner,
    name::{Name, ResourceId},
};

/// What happened in some entries of a history, run by run, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Story {
    /// The runs, in the order in which they began.
    pub runs: Vec<Told>,
    /// Targets that were forgotten, in order.
    pub forgotten: Vec<ToldForgotten>,
    /// Notes, each with its generation, when and by whom.
    pub notes: Vec<(u64, Timestamp, Holder, String)>,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Told {
    /// The run.
    pub run: RunId,
    /// Who did it, where the entries tell.
    pub by: Option<Holder>,
    /// The generation in which it began, and its last one.
    pub generations: (u64, u64),
    /// When it began, and the last that was heard of it.
    pub times: (Timestamp, Timestamp),
    /// Whether it ended.
    pub ended: bool,
    /// What it did, in order.
    pub steps: Vec<ToldStep>,
}

/// A target that was forgotten with all that stood there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ToldForgotten {
    /// In which generation.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// Who said so.
    pub by: Holder,
    /// The target.
    pub target: Name,
    /// What stood or may have stood there, each with on whose account.
    pub resources: BTreeMap<ResourceId, Owner>,
}

/// What a run did to one resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ToldStep {
    /// The resource.
    pub resource: ResourceId,
    /// On whose account it stands.
    pub owner: Owner,
    /// The functionalities that run by it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub carries: BTreeSet<Name>,
    /// The target it was compiled for.
    pub target: Name,
    /// What was to be done.
    pub action: IntentAction,
    /// The generation in which it began.
    pub began: u64,
    /// How it ended, in which generation and when; nothing while that is not known.
    pub end: Option<(StepResult, u64, Timestamp)>,
}

impl Story {
    /// What happened in these entries, which are in order.
    #[must_use]
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut story = Self::default();
        // Where the newest intent about each resource is.
        let mut newest: BTreeMap<&ResourceId, (usize, usize)> = BTreeMap::new();
        for entry in entries {
            for record in &entry.records {
                story.tell(entry, record, &mut newest);
            }
        }
        story
    }

    /// The last that was done to a resource, and the run that did it.
    #[must_use]
    pub fn last(&self, resource: &ResourceId) -> Option<(&Told, &ToldStep)> {
        let own = self.steps().filter(|(_, step)| step.resource == *resource);
        own.max_by_key(|(_, step)| step.end.as_ref().map_or(step.began, |(_, at, _)| *at))
    }

    /// What was done to a resource that ended in a generation, and the run that did it.
    #[must_use]
    pub fn ended_in(&self, resource: &ResourceId, generation: u64) -> Option<(&Told, &ToldStep)> {
        self.steps().find(|(_, step)| {
            let end = step.end.as_ref();
            step.resource == *resource && end.is_some_and(|(_, at, _)| *at == generation)
        })
    }

    /// Every step, with its run.
    fn steps(&self) -> impl Iterator<Item = (&Told, &ToldStep)> {
        self.runs.iter().flat_map(|run| run.steps.iter().map(move |step| (run, step)))
    }

    fn tell<'e>(
        &mut self,
        entry: &'e Entry,
        record: &'e Record,
        newest: &mut BTreeMap<&'e ResourceId, (usize, usize)>,
    ) {
        match record {
            Record::Begin { run, by, .. } => {
                let at = self.run(run, entry);
                self.runs[at].by = Some(by.clone());
            }
            Record::Renew { run, .. } | Record::Release { run, .. } => drop(self.run(run, entry)),
            Record::End { run } => {
                let at = self.run(run, entry);
                self.runs[at].ended = true;
            }
            Record::Intent { run, action, resource, target } => {
                let at = self.run(run, entry);
                let steps = &mut self.runs[at].steps;
                newest.insert(resource.id(), (at, steps.len()));
                steps.push(ToldStep {
                    resource: resource.id().clone(),
                    owner: resource.owner().clone(),
                    carries: resource.carries().keys().cloned().collect(),
                    target: target.clone(),
                    action: *action,
                    began: entry.position,
                    end: None,
                });
            }
            Record::Outcome { run: teller, resource, result } => {
                if let Some((run, step)) = newest.get(resource)
                    && self.runs[*run].run == *teller
                {
                    let end = (result.clone(), entry.position, entry.at);
                    self.runs[*run].steps[*step].end = Some(end);
                }
            }
            Record::Forgotten { by, target, resources, .. } => {
                self.forgotten.push(ToldForgotten {
                    generation: entry.position,
                    at: entry.at,
                    by: by.clone(),
                    target: target.clone(),
                    resources: resources.clone(),
                });
            }
            Record::Note { by, text } => {
                self.notes.push((entry.position, entry.at, by.clone(), text.clone()));
            }
            Record::TakeOver { by, history } => {
                let text = format!("took over what the lost history {history} kept");
                self.notes.push((entry.position, entry.at, by.clone(), text));
            }
            Record::Identity { .. } | Record::Placed { .. } | Record::Site { .. } => {}
        }
    }

    /// Where a run is told of, which goes on with this entry.
    fn run(&mut self, run: &RunId, entry: &Entry) -> usize {
        let at = self.runs.iter().rposition(|told| told.run == *run).unwrap_or_else(|| {
            self.runs.push(Told {
                run: run.clone(),
                by: None,
                generations: (entry.position, entry.position),
                times: (entry.at, entry.at),
                ended: false,
                steps: Vec::new(),
            });
            self.runs.len() - 1
        });
        self.runs[at].generations.1 = entry.position;
        self.runs[at].times.1 = entry.at;
        at
    }
}
