//! [`StepWork`]: one step, from asking for it to writing down how it ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time;

use super::{
    ApplyOptions, Event, EventSender, Interrupt, StepEnd,
    pace::Pace,
    run::{Acquired, Run},
};
use crate::{
    backend::{
        Action, Awaited, BackendError, ErrorKind, ErrorStatus, Inputs, Outcome, OwnedSite, Owner,
        Registry, Step, StepContext,
    },
    history::{HistoryError, StepResult},
    name::{HistoryId, Name},
    plan::{PlannedAction, PlannedStep},
};

/// How long it waits before it asks again for what somebody else is at.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// What to tell of a run that was held up: by a machine that slept, or a store that did not answer.
const OVER: &str = "this run was held up until its time ran out, so somebody else may be at it by \
                    now; deploy again";

/// One step and all it needs.
pub(super) struct StepWork<'a> {
    pub(super) planned: &'a PlannedStep,
    /// Its settings with the outputs of others, where it reads any; or the output that is missing.
    pub(super) inputs: Result<Option<Inputs>, String>,
    /// What the run claims no longer once the step is done.
    pub(super) release: BTreeSet<Owner>,
    pub(super) deployment: &'a Name,
    pub(super) site: Option<&'a OwnedSite>,
    pub(super) run: &'a Run<'a>,
    pub(super) registry: &'a Registry,
    pub(super) options: &'a ApplyOptions,
    pub(super) interrupt: &'a Interrupt,
    pub(super) events: Option<&'a EventSender>,
}

/// How a step ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: StepEnd,
    /// What the resource gives to others, where the step was done.
    pub(super) outputs: Option<BTreeMap<String, String>>,
    /// The other history that keeps the resource, where that is why the step was not done.
    pub(super) kept_by: Option<HistoryId>,
}

impl Ended {
    fn with(end: StepEnd, outputs: BTreeMap<String, String>) -> Self {
        Self { end, outputs: Some(outputs), kept_by: None }
    }

    fn without(end: StepEnd) -> Self {
        Self { end, outputs: None, kept_by: None }
    }
}

/// What came of asking for a step.
#[derive(Debug)]
enum Asked {
    /// It is to be done.
    Intended {
        /// Since which generation that is tried.
        tried: u64,
    },
    /// It is not to be done, and ended so.
    Ended(Ended),
}

impl Asked {
    fn without(end: StepEnd) -> Self {
        Self::Ended(Ended::without(end))
    }
}

impl StepWork<'_> {
    /// Carries the step out: written down before and after.
    pub(super) async fn carry_out(self) -> Result<Ended, HistoryError> {
        if let Err(missing) = &self.inputs {
            return Ok(Ended::without(StepEnd::Failed { error: missing.clone() }));
        }
        let tried = match self.ask().await? {
            Asked::Intended { tried } => tried,
            Asked::Ended(ended) => return Ok(ended),
        };
        let planned = self.planned;
        let (resource, owner) = (planned.id().clone(), planned.owner().clone());
        self.send(|| Event::Started { resource, owner, action: planned.action });
        let id = planned.id();
        match self.attempts(tried).await {
            Ok(Outcome { outputs }) => {
                let result = match planned.action {
                    PlannedAction::Remove => StepResult::Removed,
                    _ => StepResult::Made { outputs: outputs.clone() },
                };
                self.run.outcome(id, result, self.release).await?;
                Ok(Ended::with(StepEnd::Done, outputs))
            }
            Err(error) => {
                // A backend that does nothing has changed nothing.
                let as_it_was = error.is_as_it_was() || error.kind() == ErrorKind::Unsupported;
                let (kept_by, error) = (error.kept_by().cloned(), whole(&error));
                let result = StepResult::Failed { error: error.clone(), as_it_was };
                self.run.outcome(id, result, self.release).await?;
                Ok(Ended { kept_by, ..Ended::without(StepEnd::Failed { error }) })
            }
        }
    }

    /// Asks for the step, again and again while somebody else is at it.
    async fn ask(&self) -> Result<Asked, HistoryError> {
        let mut told = false;
        loop {
            match self.run.acquire(self.planned).await? {
                Acquired::Intended { tried } => {
                    return Ok(Asked::Intended { tried: tried.unwrap_or_default() });
                }
                Acquired::Done(outputs) => {
                    let end = StepEnd::DoneByAnother;
                    return Ok(Asked::Ended(Ended::with(end, outputs)));
                }
                Acquired::Over => {
                    return Ok(Asked::without(StepEnd::Failed { error: OVER.to_owned() }));
                }
                Acquired::MovedOn(since) => {
                    return Ok(Asked::without(StepEnd::MovedOn { since }));
                }
                Acquired::Held(holder) => {
                    if !std::mem::replace(&mut told, true) {
                        let planned = self.planned;
                        let (resource, owner) = (planned.id().clone(), planned.owner().clone());
                        self.send(|| Event::Waiting { resource, owner, holder: *holder });
                    }
                }
            }
            tokio::select! {
                () = time::sleep(ASK_AGAIN) => {}
                () = self.interrupt.interrupted() => {
                    return Ok(Asked::without(StepEnd::Interrupted));
                }
            }
        }
    }

    /// Does it, again where the error says that this can help.
    async fn attempts(&self, tried: u64) -> Result<Outcome, BackendError> {
        let mut waits = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(15))
            .with_max_times(self.options.retries)
            .with_jitter()
            .build();
        loop {
            let error = match self.attempt(tried).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if error.status() == ErrorStatus::Permanent => return Err(error),
                Err(error) => error,
            };
            let Some(wait) = waits.next() else { return Err(error) };
            let planned = self.planned;
            let (resource, owner) = (planned.id().clone(), planned.owner().clone());
            self.send(|| Event::Retrying { resource, owner, error: whole(&error), after: wait });
            tokio::select! {
                () = time::sleep(wait) => {}
                () = self.interrupt.interrupted() => return Err(error),
            }
            if self.run.is_over() {
                return Err(error.caused_by(OVER));
            }
        }
    }

    async fn attempt(&self, tried: u64) -> Result<Outcome, BackendError> {
        let PlannedStep { resource, action, from, target, .. } = self.planned;
        let unknown = |what: String| BackendError::permanent(ErrorKind::NotFound, "apply", what);
        let backend = self.registry.backend_named(resource.backend()).ok_or_else(|| {
            unknown(format!("no backend `{}` is known here", resource.backend())).as_it_was()
        })?;
        let site = self
            .site
            .ok_or_else(|| unknown(format!("nothing is known of target `{target}`")).as_it_was())?;
        let action = match (action, from) {
            (PlannedAction::Remove, _) => Action::Remove,
            (PlannedAction::Update, Some(from)) => Action::Update { from: &from.resource },
            (PlannedAction::Replace, Some(from)) => Action::Replace { from: &from.resource },
            _ => Action::Create,
        };
        let step = Step::new(self.deployment, site.site(), resource, action).tried_since(tried);
        let step = match &self.inputs {
            Ok(Some(inputs)) => step.with_inputs(inputs),
            _ => step,
        };
        let listener = |line: &str| {
            let (resource, owner) = (resource.id().clone(), resource.owner().clone());
            self.send(|| Event::Told { resource, owner, line: line.to_owned() });
        };
        let pace = Pace::default();
        let watcher = |wait: &Awaited| {
            if pace.is_due(wait) {
                let (resource, owner) = (resource.id().clone(), resource.owner().clone());
                self.send(|| Event::Awaiting { resource, owner, wait: wait.clone() });
            }
        };
        let context = StepContext::new(self.run, &*self.options.secrets, &listener)
            .watched_by(&watcher)
            .kept_by(&self.run.keeper);
        backend.apply(&step, &context).await
    }

    fn send(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = self.events {
            // Nobody listens any more: so be it.
            let _ = events.send(event());
        }
    }
}

/// An error with all that is behind it, in one line.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
