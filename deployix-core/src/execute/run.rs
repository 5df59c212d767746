//! [`Run`]: what one run writes into the history, and what it may do by that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, task::JoinHandle, time};

use super::{ApplyOptions, Held, graph::Graph, lock::Locks};
use crate::{
    backend::{BackendError, ErrorKind, Files, Keeper, NoFiles, Owner, Resource},
    digest::Digest,
    history::{Heads, History, HistoryError, IntentAction, Record, RunId, Standing, StepResult},
    name::{HistoryId, Name, ResourceId},
    plan::{Plan, PlannedAction, PlannedStep},
};

/// A run that has begun: it goes on being renewed until it ends or is dropped.
pub(super) struct Run<'a> {
    pub(super) id: RunId,
    /// What stood when it began.
    pub(super) heads: Heads,
    /// What it wanted to claim, and who is at it.
    pub(super) held: BTreeMap<Owner, Held>,
    /// On whose account its steps are carried out.
    pub(super) keeper: Keeper,
    /// Whether it is in the history: where others are at all of it, there is nothing to tell.
    begun: bool,
    history: &'a History,
    contents: &'a BTreeMap<Digest, Arc<[u8]>>,
    /// Until when its claims and intents hold, as far as it knows.
    until: watch::Receiver<Timestamp>,
    renewal: JoinHandle<()>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// What came of asking for a step.
#[derive(Debug)]
pub(super) enum Acquired {
    /// It was written down that it is about to be done.
    Intended {
        /// Since which generation that is tried.
        tried: Option<u64>,
    },
    /// What the step wants stands already; somebody else was faster.
    Done(BTreeMap<String, String>),
    /// Somebody else is at the resource.
    Held(Box<Held>),
    /// What stands is not what the plan starts from.
    MovedOn(u64),
    /// The run was held up for so long that somebody else took over.
    Over,
}

impl<'a> Run<'a> {
    /// Begins a run: claims what it is about, as far as nobody else is at it.
    pub(super) async fn begin(
        plan: &'a Plan,
        history: &'a History,
        options: &ApplyOptions,
    ) -> Result<Self, HistoryError> {
        let id = RunId::new(&options.by);
        let wanted: BTreeSet<Owner> = plan
            .steps
            .iter()
            .map(PlannedStep::owner)
            .filter(|owner| match (owner, &options.asked) {
                (Owner::Functionality(name), Some(asked)) => asked.contains(name),
                (Owner::Functionality(_), None) => true,
                _ => false,
            })
            .cloned()
            .collect();
        let sites: Vec<_> = plan.sites.values().cloned().collect();
        let placed: BTreeMap<_, _> = plan
            .assignments
            .iter()
            .filter(|(_, assignment)| assignment.is_some())
            .map(|(name, assignment)| (name.clone(), assignment.clone()))
            .collect();
        let (run, by, lease) = (id.clone(), options.by.clone(), options.lease);
        let (drawn, taken) = (HistoryId::draw(&by), options.take_over.clone());
        let refused = Refusal::of(plan);
        let begin = move |heads: &Heads| {
            let now = Timestamp::now();
            let locks = Locks::new(heads, &run, now);
            let mut claims = wanted.clone();
            let held: BTreeMap<Owner, Held> = wanted
                .iter()
                .filter_map(|owner| Some((owner.clone(), locks.claimant(owner)?)))
                .collect();
            claims.retain(|owner| !held.contains_key(owner));
            if !held.is_empty() && refused.is_whole(&held) {
                // Nothing is made on its account.
                let keeper = Keeper::new(drawn.clone(), []);
                return (Vec::new(), (held, keeper, heads.clone(), false));
            }
            let mut records = Vec::new();
            let history = heads.history.clone().unwrap_or_else(|| {
                records.push(Record::Identity { history: drawn.clone() });
                drawn.clone()
            });
            let taken = taken.clone().filter(|taken| *taken != history);
            if let Some(history) = taken.clone().filter(|it| !heads.took_over.contains(it)) {
                records.push(Record::TakeOver { by: by.clone(), history });
            }
            let keeper = Keeper::new(history, heads.took_over.iter().cloned().chain(taken));
            records.push(Record::Begin {
                run: run.clone(),
                by: by.clone(),
                until: after(now, lease),
                claims,
            });
            let new = sites.iter().filter(|site| heads.sites.get(&site.target.name) != Some(site));
            records.extend(new.map(|site| Record::Site { site: Box::new(site.clone()) }));
            let is_held = |name: &Name| held.contains_key(&Owner::Functionality(name.clone()));
            let mut placed = placed.clone();
            placed.retain(|name, to| heads.assignments.get(name) != to.as_ref() && !is_held(name));
            if !placed.is_empty() {
                records.push(Record::Placed { assignments: placed });
            }
            (records, (held, keeper, heads.clone(), true))
        };
        let ((held, keeper, heads, begun), _) = history.append_with(begin).await?;
        let (renewed, until) = watch::channel(after(Timestamp::now(), options.lease));
        let renewal = tokio::spawn(renew(history.clone(), id.clone(), options.lease, renewed));
        if !begun {
            renewal.abort();
        }
        let contents = &plan.contents;
        Ok(Self { id, heads, held, keeper, begun, history, contents, until, renewal })
    }

    /// The run, where the history knows it.
    pub(super) fn told(&self) -> Option<RunId> {
        self.begun.then(|| self.id.clone())
    }

    /// Whether the run was held up for so long that somebody else may have taken over.
    pub(super) fn is_over(&self) -> bool {
        *self.until.borrow() <= Timestamp::now()
    }

    /// Asks for a step; where it may be done, that is written down first.
    pub(super) async fn acquire(&self, step: &PlannedStep) -> Result<Acquired, HistoryError> {
        if step.action != PlannedAction::Remove {
            self.store_contents(step).await?;
        }
        let run = self.id.clone();
        let (resource, target) = (step.resource.clone(), step.target.clone());
        let removes = step.action == PlannedAction::Remove;
        let from = step.from.as_ref().map(|standing| standing.since);
        let propose = move |heads: &Heads| {
            let none = Vec::new();
            if !heads.runs.contains_key(&run) {
                return (none, Acquired::Over);
            }
            if let Some(held) = Locks::new(heads, &run, Timestamp::now()).holder(&resource) {
                return (none, Acquired::Held(Box::new(held)));
            }
            let now = heads.resources.get(resource.id());
            if now.map(|standing| standing.since) != from {
                let settled = !heads.open.contains_key(resource.id());
                return (none, moved_on(&resource, removes, now, settled, heads.generation));
            }
            let action = if removes { IntentAction::Remove } else { IntentAction::Make };
            let tried = heads.tried.get(resource.id()).copied();
            let (resource, target) = (resource.clone(), target.clone());
            let intent = Record::Intent { run: run.clone(), action, resource, target };
            (vec![intent], Acquired::Intended { tried })
        };
        let (acquired, generation) = self.history.append_with(propose).await?;
        Ok(match acquired {
            Acquired::Intended { tried: None } => Acquired::Intended { tried: Some(generation) },
            other => other,
        })
    }

    /// Writes down how a step ended, and what the run claims no longer with it.
    pub(super) async fn outcome(
        &self,
        resource: &ResourceId,
        result: StepResult,
        released: BTreeSet<Owner>,
    ) -> Result<(), HistoryError> {
        let run = self.id.clone();
        let mut records =
            vec![Record::Outcome { run: run.clone(), resource: resource.clone(), result }];
        if !released.is_empty() {
            records.push(Record::Release { run, claims: released });
        }
        self.history.append(records).await.map(drop)
    }

    /// Ends the run: nothing is claimed any more, and these functionalities run nowhere.
    pub(super) async fn end(&self, gone: BTreeSet<Name>) -> Result<u64, HistoryError> {
        if !self.begun {
            return Ok(self.heads.generation);
        }
        let mut records = Vec::new();
        if !gone.is_empty() {
            let assignments = gone.into_iter().map(|name| (name, None)).collect();
            records.push(Record::Placed { assignments });
        }
        records.push(Record::End { run: self.id.clone() });
        self.history.append(records).await
    }

    /// The step that takes a step back which was done.
    pub(super) async fn backwards(&self, step: &PlannedStep) -> Result<PlannedStep, HistoryError> {
        let now = self.history.heads().await?.resources.get(step.id()).cloned();
        let (resource, action) = match &step.from {
            Some(from) if step.action == PlannedAction::Remove => {
                (from.resource.clone(), PlannedAction::Create)
            }
            Some(from) => (from.resource.clone(), PlannedAction::Replace),
            None => (step.resource.clone(), PlannedAction::Remove),
        };
        Ok(PlannedStep { resource, action, from: now, ..step.clone() })
    }

    /// Keeps the contents of a step's files with the history, but for those that stand already.
    async fn store_contents(&self, step: &PlannedStep) -> Result<(), HistoryError> {
        let files = step.resource.files().map(|file| file.digest);
        let mut new: BTreeSet<Digest> = files.collect();
        for file in step.from.iter().flat_map(|from| from.resource.files()) {
            new.remove(&file.digest);
        }
        let contents = new.iter().filter_map(|digest| self.contents.get(digest));
        let contents: Vec<_> = contents.map(|c| Bytes::from_owner(Arc::clone(c))).collect();
        for some in contents.chunks(8) {
            let stored = some.iter().map(|content| self.history.put_content(content.clone()));
            try_join_all(stored.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}

/// Which steps of a plan are not started where others hold something.
struct Refusal {
    /// On whose account each step is.
    owners: Vec<Owner>,
    graph: Graph,
}

impl Refusal {
    fn of(plan: &Plan) -> Self {
        let owners = plan.steps.iter().map(|step| step.owner().clone()).collect();
        Self { owners, graph: Graph::new(&plan.steps, &plan.atomic) }
    }

    /// Whether all steps are held, or need one that is.
    fn is_whole(&self, held: &BTreeMap<Owner, Held>) -> bool {
        let mut graph = self.graph.clone();
        for (at, owner) in self.owners.iter().enumerate() {
            if held.contains_key(owner) && graph.take(at) {
                graph.failed(at);
            }
        }
        graph.take_all().is_empty()
    }
}

/// What to say where something else stands than the plan starts from.
fn moved_on(
    resource: &Resource,
    removes: bool,
    now: Option<&Standing>,
    settled: bool,
    generation: u64,
) -> Acquired {
    match now {
        Some(now) if !removes && settled && now.resource.digest() == resource.digest() => {
            Acquired::Done(now.outputs.clone())
        }
        Some(now) => Acquired::MovedOn(now.since),
        None if removes && settled => Acquired::Done(BTreeMap::new()),
        None => Acquired::MovedOn(generation),
    }
}

fn after(now: Timestamp, lease: Duration) -> Timestamp {
    let lease = SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX);
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

/// Renews a run three times as often as its lease runs out.
async fn renew(history: History, run: RunId, lease: Duration, renewed: watch::Sender<Timestamp>) {
    loop {
        time::sleep(lease / 3).await;
        // Once it is over, nobody gives it back what somebody else may have taken.
        if *renewed.borrow() <= Timestamp::now() {
            return;
        }
        let until = after(Timestamp::now(), lease);
        // A store that does not answer now may do so the next time.
        if history.append(vec![Record::Renew { run: run.clone(), until }]).await.is_ok() {
            renewed.send_replace(until);
        }
    }
}

/// Contents of files: those of the plan, else those that the history keeps.
#[async_trait]
impl Files for Run<'_> {
    async fn content(&self, digest: Digest) -> Result<Arc<[u8]>, BackendError> {
        if let Some(content) = self.contents.get(&digest) {
            return Ok(Arc::clone(content));
        }
        match self.history.content(digest).await {
            Ok(Some(content)) => Ok(Arc::from(&content[..])),
            Ok(None) => NoFiles.content(digest).await,
            Err(error) => {
                let message = format!("cannot read the content {digest} from the history");
                Err(BackendError::temporary(ErrorKind::Unavailable, "file", message)
                    .caused_by(error))
            }
        }
    }
}
