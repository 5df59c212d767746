//! [`settle`]: what became of the steps of runs that are over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{lock::is_alive, observe};
use crate::{
    backend::{Observed, Registry},
    history::{
        Heads, History, HistoryError, Holder, IntentAction, Open, Record, RunId, StepResult,
    },
    name::{Name, ResourceId},
};

/// What settling found.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// Steps whose run died while they were under way, and how they turned out.
    pub steps: BTreeMap<ResourceId, StepResult>,
    /// Runs that are over without having ended.
    pub runs: BTreeMap<RunId, Holder>,
}

/// Finds out from the providers how the steps of runs ended that are over, and writes it down: runs
/// whose time has run out, and runs of processes that are known to be gone.
///
/// What cannot be told for certain stays in doubt, and the next plan makes it what it should be.
///
/// # Errors
/// Where the history cannot be read or written.
pub async fn settle(
    history: &History,
    registry: &Registry,
    deployment: &Name,
) -> Result<Settled, HistoryError> {
    let heads = history.heads().await?;
    let over = over(&heads);
    if over.runs.is_empty() && over.open.is_empty() {
        return Ok(Settled::default());
    }
    let targets: BTreeSet<&Name> = over.open.values().map(|open| &open.target).collect();
    let sites = targets.into_iter().filter_map(|target| heads.sites.get(target).cloned());
    // Collected, so that the future can be spawned: a closure over references in it could not.
    let sites: Vec<_> = sites.collect();
    let observation = observe(registry, deployment, sites, &heads).await;
    let results: BTreeMap<ResourceId, (Open, StepResult)> = over
        .open
        .iter()
        .map(|(id, open)| {
            let seen = observation.targets.get(&open.target).and_then(|seen| seen.as_ref().ok());
            let result = match seen {
                Some(seen) => {
                    // What another history keeps is none of what the step made.
                    let is_own = |it: &&Observed| heads.keeps(it.kept_by.as_ref());
                    let observed = seen.iter().filter(is_own).find(|it| it.id == *id);
                    judge(open, &heads, observed)
                }
                None => in_doubt(open, "and its target cannot be asked"),
            };
            (id.clone(), (open.clone(), result))
        })
        .collect();
    let propose = move |heads: &Heads| {
        // Somebody else may have settled them meanwhile.
        let still = self::over(heads);
        let mut settled = Settled::default();
        let mut records = Vec::new();
        for (id, open) in &still.open {
            // What was looked at may have been settled and begun anew since.
            if let Some((looked_at, result)) = results.get(id)
                && looked_at == open
            {
                let (run, resource, result) = (open.run.clone(), id.clone(), result.clone());
                settled.steps.insert(id.clone(), result.clone());
                records.push(Record::Outcome { run, resource, result });
            }
        }
        for (run, by) in still.runs {
            records.push(Record::End { run: run.clone() });
            settled.runs.insert(run, by);
        }
        (records, settled)
    };
    history.append_with(propose).await.map(|(settled, _)| settled)
}

/// Runs that are over without having ended, and the steps that they left.
struct Over {
    runs: BTreeMap<RunId, Holder>,
    open: BTreeMap<ResourceId, Open>,
}

fn over(heads: &Heads) -> Over {
    let now = Timestamp::now();
    let dead = heads.runs.iter().filter(|(_, run)| !is_alive(run, now));
    let runs: BTreeMap<_, _> = dead.map(|(id, run)| (id.clone(), run.by.clone())).collect();
    let left = heads.open.iter().filter(|(_, open)| {
        let alone = runs.contains_key(&open.run) || !heads.runs.contains_key(&open.run);
        open.failed.is_none() && alone
    });
    Over { open: left.map(|(id, open)| (id.clone(), open.clone())).collect(), runs }
}

/// How a step ended, by what stands now.
fn judge(open: &Open, heads: &Heads, observed: Option<&Observed>) -> StepResult {
    let before = heads.resources.get(open.resource.id());
    let not_done = || StepResult::Failed {
        error: format!("run {} ended before it was done", open.run),
        as_it_was: true,
    };
    let Some(observed) = observed else {
        return match (open.action, before) {
            (IntentAction::Remove, _) => StepResult::Removed,
            (IntentAction::Make, None) => not_done(),
            (IntentAction::Make, Some(_)) => in_doubt(open, "and it is gone"),
        };
    };
    let is = |resource: &crate::backend::Resource| {
        observed.digest == Some(resource.digest()) && observed.drift.is_empty()
    };
    match open.action {
        IntentAction::Make if is(&open.resource) => {
            StepResult::Made { outputs: observed.outputs.clone() }
        }
        _ if before.is_some_and(|before| is(&before.resource)) => not_done(),
        _ => in_doubt(open, "and it was done in part"),
    }
}

fn in_doubt(open: &Open, why: &str) -> StepResult {
    let error = format!("run {} ended before it was done, {why}", open.run);
    StepResult::Failed { error, as_it_was: false }
}
