//! [`Undo`]: takes back what was replayed and then was not written after all.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Heads, Open, Record, Run, RunId, Standing};
use crate::{
    backend::{OwnedSite, Owner},
    name::{HistoryId, Name, ResourceId},
    topology::Assignment,
};

/// What the heads held where records touched them: far less than a copy of them.
#[derive(Debug, Default)]
pub(super) struct Undo {
    generation: u64,
    resources: BTreeMap<ResourceId, Option<Standing>>,
    open: BTreeMap<ResourceId, Option<Open>>,
    tried: BTreeMap<ResourceId, Option<u64>>,
    runs: BTreeMap<RunId, Option<Run>>,
    /// What was claimed no longer. A run's claims are many, and it drops them one by one.
    released: BTreeMap<RunId, BTreeSet<Owner>>,
    assignments: BTreeMap<Name, Option<Assignment>>,
    sites: BTreeMap<Name, Option<OwnedSite>>,
    history: Option<HistoryId>,
    took_over: BTreeSet<HistoryId>,
}

impl Undo {
    /// Nothing to take back yet.
    pub(super) fn new(heads: &Heads) -> Self {
        Self {
            generation: heads.generation,
            history: heads.history.clone(),
            took_over: heads.took_over.clone(),
            ..Self::default()
        }
    }

    /// Replays an entry, or a part of one, so that it can be taken back.
    pub(super) fn replay(&mut self, heads: &mut Heads, entry: &Entry) {
        for record in &entry.records {
            self.note(heads, record);
        }
        heads.replay(entry);
    }

    /// Notes what a record is about to touch, the first time.
    fn note(&mut self, heads: &Heads, record: &Record) {
        match record {
            Record::Begin { run, .. } | Record::Renew { run, .. } | Record::End { run } => {
                keep(&mut self.runs, &heads.runs, run);
            }
            Record::Release { run, claims } => {
                let claimed = heads.runs.get(run).map(|run| &run.claims);
                let released =
                    claims.iter().filter(|claim| claimed.is_some_and(|c| c.contains(claim)));
                self.released.entry(run.clone()).or_default().extend(released.cloned());
            }
            Record::Intent { resource, .. } => {
                keep(&mut self.open, &heads.open, resource.id());
                keep(&mut self.tried, &heads.tried, resource.id());
            }
            Record::Outcome { resource, .. } => {
                keep(&mut self.tried, &heads.tried, resource);
                keep(&mut self.open, &heads.open, resource);
                keep(&mut self.resources, &heads.resources, resource);
            }
            Record::Placed { assignments } => {
                for name in assignments.keys() {
                    keep(&mut self.assignments, &heads.assignments, name);
                }
            }
            Record::Site { site } => keep(&mut self.sites, &heads.sites, &site.target.name),
            Record::Forgotten { target, resources, functionalities, .. } => {
                for id in resources.keys() {
                    keep(&mut self.open, &heads.open, id);
                    keep(&mut self.resources, &heads.resources, id);
                }
                for name in functionalities {
                    keep(&mut self.assignments, &heads.assignments, name);
                }
                for target in heads.targets_with(target, resources.keys()) {
                    keep(&mut self.sites, &heads.sites, &target);
                }
            }
            // Kept from the beginning, as there is little of it.
            Record::Identity { .. } | Record::TakeOver { .. } | Record::Note { .. } => {}
        }
    }

    /// Takes it back.
    pub(super) fn undo(self, heads: &mut Heads) {
        heads.generation = self.generation;
        restore(&mut heads.resources, self.resources);
        restore(&mut heads.open, self.open);
        restore(&mut heads.tried, self.tried);
        restore(&mut heads.runs, self.runs);
        for (run, claims) in self.released {
            if let Some(run) = heads.runs.get_mut(&run) {
                run.claims.extend(claims);
            }
        }
        restore(&mut heads.assignments, self.assignments);
        restore(&mut heads.sites, self.sites);
        heads.history = self.history;
        heads.took_over = self.took_over;
    }
}

fn keep<K: Ord + Clone, V: Clone>(
    kept: &mut BTreeMap<K, Option<V>>,
    heads: &BTreeMap<K, V>,
    key: &K,
) {
    if !kept.contains_key(key) {
        kept.insert(key.clone(), heads.get(key).cloned());
    }
}

fn restore<K: Ord, V>(heads: &mut BTreeMap<K, V>, kept: BTreeMap<K, Option<V>>) {
    for (key, value) in kept {
        match value {
            Some(value) => {
                heads.insert(key, value);
            }
            None => {
                heads.remove(&key);
            }
        }
    }
}
