//! [`Work`]: a plan while it is carried out.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    ApplyOptions, Event, EventSender, Fate, Interrupt, Report, StepEnd, Waiting,
    graph::{Blocked, Graph, InTurn, is_of},
    run::Run,
    step::{Ended, StepWork},
};
use crate::{
    backend::{Inputs, OutputRef, Owner, Registry},
    history::HistoryError,
    name::{HistoryId, Name, ResourceId},
    plan::{Carried, Plan, PlannedAction, PlannedStep},
};

/// A plan while it is carried out.
pub(super) struct Work<'a> {
    plan: &'a Plan,
    run: &'a Run<'a>,
    registry: &'a Registry,
    options: &'a ApplyOptions,
    interrupt: &'a Interrupt,
    events: Option<&'a EventSender>,
    graph: Graph,
    /// How each step ended, by position; nothing while it did not.
    ends: Vec<Option<StepEnd>>,
    /// In which order steps were done.
    done: Vec<usize>,
    owners: BTreeMap<Owner, Owned>,
    /// What becomes of functionalities by what carries them.
    carried: BTreeMap<&'a Name, Carried>,
    /// What each resource gives to others, as far as it was made now.
    outputs: BTreeMap<&'a ResourceId, BTreeMap<String, String>>,
    /// What other histories keep, of what was not done because of that.
    kept_by: BTreeMap<ResourceId, HistoryId>,
    history: Option<HistoryError>,
}

/// The steps of one owner.
#[derive(Default)]
struct Owned {
    /// Their positions.
    steps: Vec<usize>,
    /// How many of them did not end yet.
    left: usize,
}

type Running<'a> = Pin<Box<dyn Future<Output = (usize, Result<Ended, HistoryError>)> + Send + 'a>>;

impl<'a> Work<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        run: &'a Run<'a>,
        registry: &'a Registry,
        options: &'a ApplyOptions,
        interrupt: &'a Interrupt,
        events: Option<&'a EventSender>,
    ) -> Self {
        let carried = plan.carried();
        let mut owners: BTreeMap<Owner, Owned> = BTreeMap::new();
        for (at, step) in plan.steps.iter().enumerate() {
            for owner in accounts(step, &carried) {
                let owned = owners.entry(owner).or_default();
                owned.steps.push(at);
                owned.left += 1;
            }
        }
        Self {
            plan,
            run,
            registry,
            options,
            interrupt,
            events,
            graph: Graph::new(&plan.steps, &plan.atomic),
            ends: vec![None; plan.steps.len()],
            done: Vec::new(),
            owners,
            carried,
            outputs: BTreeMap::new(),
            kept_by: BTreeMap::new(),
            history: None,
        }
    }

    pub(super) async fn carry_out(mut self) -> Report {
        self.send(|| Event::Began { run: self.run.id.clone(), steps: self.plan.steps.len() });
        self.leave_what_is_held();
        let mut running: FuturesUnordered<Running<'a>> = FuturesUnordered::new();
        let mut interrupted = false;
        let interrupt = self.interrupt;
        let interruption = interrupt.interrupted();
        tokio::pin!(interruption);
        loop {
            while !interrupted
                && self.history.is_none()
                && running.len() < self.options.concurrency.get()
                && let Some(at) = self.graph.next()
            {
                running.push(self.start(at));
            }
            tokio::select! {
                biased;
                () = &mut interruption, if !interrupted => {
                    interrupted = true;
                    self.send(|| Event::Interrupted);
                }
                next = running.next() => match next {
                    Some((at, ended)) => self.ended(at, ended),
                    None => break,
                },
            }
        }
        for at in self.graph.take_all() {
            self.end(at, StepEnd::Interrupted);
        }
        self.put_back().await;
        self.report(interrupted).await
    }

    /// What was asked for and somebody else is at is not started, and neither is what needs it.
    fn leave_what_is_held(&mut self) {
        let held: Vec<_> = (0..)
            .zip(&self.plan.steps)
            .filter_map(|(at, step)| Some((at, self.run.held.get(step.owner())?.clone())))
            .collect();
        for (at, holder) in held {
            if self.graph.take(at) {
                self.fail(at, StepEnd::Held { holder });
            }
        }
    }

    fn start(&self, at: usize) -> Running<'a> {
        let planned = &self.plan.steps[at];
        let inputs = self.inputs(at);
        // Whoever waits for what this run is done with need not wait for the rest of it.
        let mut release = accounts(planned, &self.carried);
        release.retain(|owner| {
            let last = self.owners.get(owner).is_some_and(|owned| owned.left == 1);
            last && self.plan.atomic.is_empty()
        });
        let work = self.step(planned, inputs, release);
        Box::pin(async move { (at, work.carry_out().await) })
    }

    fn step<'s>(
        &self,
        planned: &'s PlannedStep,
        inputs: Result<Option<Inputs>, String>,
        release: BTreeSet<Owner>,
    ) -> StepWork<'s>
    where
        'a: 's,
    {
        let before = || self.run.heads.sites.get(&planned.target);
        StepWork {
            planned,
            inputs,
            release,
            deployment: &self.plan.deployment,
            site: self.plan.sites.get(&planned.target).or_else(before),
            run: self.run,
            registry: self.registry,
            options: self.options,
            interrupt: self.interrupt,
            events: self.events,
        }
    }

    /// A step's settings with the outputs of others filled in; the output that nobody gave.
    fn inputs(&self, at: usize) -> Result<Option<Inputs>, String> {
        let resource = &self.plan.steps[at].resource;
        let mut reads = false;
        for input in resource.inputs().values() {
            input.visit_outputs(&mut |_| reads = true);
        }
        if !reads || self.plan.steps[at].action == PlannedAction::Remove {
            return Ok(None);
        }
        let value = |output: &OutputRef| {
            let before = || Some(&self.run.heads.resources.get(&output.resource)?.outputs);
            self.outputs.get(&output.resource).or_else(before)?.get(&output.output).cloned()
        };
        let filled = resource.inputs().iter().map(|(name, input)| {
            let filled = input.filled(&value).map_err(|output| {
                format!("{} gives no output `{}`", output.resource, output.output)
            })?;
            Ok((name.clone(), filled))
        });
        filled.collect::<Result<_, _>>().map(Some)
    }

    fn ended(&mut self, at: usize, ended: Result<Ended, HistoryError>) {
        match ended {
            Ok(Ended { end, outputs, kept_by }) => {
                let id = self.plan.steps[at].id();
                self.kept_by.extend(kept_by.map(|by| (id.clone(), by)));
                if let Some(outputs) = outputs {
                    self.outputs.insert(self.plan.steps[at].id(), outputs);
                    self.graph.done(at);
                    self.done.push(at);
                    self.end(at, end);
                } else {
                    self.fail(at, end);
                }
            }
            Err(error) => {
                let told = format!("the history cannot be written: {error}");
                self.fail(at, StepEnd::Failed { error: told });
                self.history.get_or_insert(error);
            }
        }
    }

    /// Ends a step that was not done, and all that needs it.
    fn fail(&mut self, at: usize, end: StepEnd) {
        let why = why(&end);
        self.end(at, end);
        let by = self.plan.steps[at].owner();
        for Blocked { at: blocked, turn } in self.graph.failed(at) {
            self.end(blocked, self.blocked(blocked, turn, at, &why));
        }
        let Owner::Functionality(name) = by else { return };
        for set in self.plan.atomic.iter().filter(|set| set.contains(name)) {
            for (other, step) in self.plan.steps.iter().enumerate() {
                if is_of(step.owner(), set) && self.graph.take(other) {
                    self.end(other, StepEnd::Blocked { by: by.clone() });
                }
            }
        }
    }

    /// How a step ends that is not started, since it needs another or waits its turn behind it.
    fn blocked(&self, at: usize, turn: Option<InTurn>, failed: usize, why: &str) -> StepEnd {
        let steps = &self.plan.steps;
        let place = |at: usize| steps[at].resource.turn().cloned();
        let behind = |InTurn { behind, .. }| Some((place(at)?, place(behind)?, behind));
        if let Some((turn, behind, first)) = turn.and_then(behind) {
            let needs = || format!("it needs `{}`", steps[failed].owner());
            let why = if first == failed { why.to_owned() } else { needs() };
            return StepEnd::Waits(Waiting { turn, behind, why });
        }
        let by = turn.map_or(failed, |waiting| waiting.at);
        StepEnd::Blocked { by: steps[by].owner().clone() }
    }

    fn end(&mut self, at: usize, end: StepEnd) {
        let step = &self.plan.steps[at];
        self.send(|| Event::Finished {
            resource: step.id().clone(),
            owner: step.owner().clone(),
            action: step.action,
            end: end.clone(),
        });
        self.ends[at] = Some(end);
        for owner in accounts(step, &self.carried) {
            let over = self.owners.get_mut(&owner).is_some_and(|owned| {
                owned.left = owned.left.saturating_sub(1);
                owned.left == 0
            });
            if over
                && let Owner::Functionality(functionality) = &owner
                && !self.plan.atomic.iter().any(|set| set.contains(functionality))
            {
                self.settled(functionality);
            }
        }
    }

    fn settled(&self, functionality: &Name) {
        let owner = Owner::Functionality(functionality.clone());
        if self.events.is_some() && self.owners.contains_key(&owner) {
            let fate = self.fate(&owner);
            self.send(|| Event::Settled { functionality: functionality.clone(), fate });
        }
    }

    fn fate(&self, owner: &Owner) -> Fate {
        let steps = self.owners.get(owner).into_iter().flat_map(|owned| &owned.steps);
        let steps = steps.map(|&at| (&self.plan.steps[at], self.ends[at].as_ref()));
        let all: Vec<_> = steps.filter_map(|(step, end)| Some((step, end?))).collect();
        let is_own = all.iter().any(|(step, _)| step.owner() == owner);
        let fate = Fate::of(all.into_iter());
        let Owner::Functionality(name) = owner else { return fate };
        let others_alone = self.plan.about.as_ref().is_some_and(|about| !about.contains(name));
        match (fate, self.carried.get(name)) {
            (Fate::Deployed, None) if others_alone => Fate::Prepared,
            (Fate::Deployed | Fate::Removed, Some(carried)) => {
                match self.plan.assignments.get(name) {
                    Some(None) => Fate::Removed,
                    _ if *carried == Carried::Restarted && !is_own => Fate::Restarted,
                    _ => Fate::Deployed,
                }
            }
            (fate, _) => fate,
        }
    }

    /// Puts back what was done of atomic sets that did not succeed as a whole, the newest first.
    async fn put_back(&mut self) {
        for set in &self.plan.atomic {
            let members = |step: &PlannedStep| is_of(step.owner(), set);
            let ends = self.plan.steps.iter().zip(&self.ends);
            let whole = ends
                .filter(|(step, _)| members(step))
                .all(|(_, end)| end.as_ref().is_some_and(StepEnd::is_good));
            if !whole {
                let done: Vec<usize> = self.done.iter().rev().copied().collect();
                for at in done.into_iter().filter(|at| members(&self.plan.steps[*at])) {
                    self.put_back_step(at).await;
                }
            }
            for functionality in set {
                self.settled(functionality);
            }
        }
    }

    async fn put_back_step(&mut self, at: usize) {
        let step = &self.plan.steps[at];
        // What another run did is not this run's to take back, and new data is not thrown away.
        let keeps = step.from.is_none() && step.resource.holds_data();
        if self.ends[at] != Some(StepEnd::Done) || keeps {
            return;
        }
        let back = match self.run.backwards(step).await {
            Ok(back) => back,
            Err(error) => {
                self.history.get_or_insert(error);
                return;
            }
        };
        let end = match self.step(&back, Ok(None), BTreeSet::new()).carry_out().await {
            Ok(Ended { outputs: Some(_), .. }) => StepEnd::PutBack,
            Ok(Ended { end: StepEnd::Failed { error }, .. }) => {
                StepEnd::Failed { error: format!("it could not be put back: {error}") }
            }
            Ok(Ended { end, .. }) => end,
            Err(error) => {
                let told = format!("it could not be put back: {error}");
                self.history.get_or_insert(error);
                StepEnd::Failed { error: told }
            }
        };
        self.ends[at] = Some(end);
    }

    async fn report(mut self, interrupted: bool) -> Report {
        let fates: BTreeMap<Owner, Fate> =
            self.owners.keys().map(|owner| (owner.clone(), self.fate(owner))).collect();
        let went = |name: &Name| {
            let fate = fates.get(&Owner::Functionality(name.clone()));
            fate.is_none_or(Fate::is_good)
        };
        let gone = self.plan.assignments.iter().filter(|(_, to)| to.is_none());
        let gone = gone.map(|(name, _)| name).filter(|name| went(name)).cloned().collect();
        let mut generation = self.plan.generation;
        match self.run.end(gone).await {
            Ok(last) => generation = last,
            Err(error) => {
                self.history.get_or_insert(error);
            }
        }
        let ids = self.plan.steps.iter().map(|step| step.id().clone());
        Report {
            run: self.run.told(),
            generation,
            steps: ids.zip(self.ends).filter_map(|(id, end)| Some((id, end?))).collect(),
            fates,
            kept_by: self.kept_by,
            interrupted,
            history: self.history,
        }
    }

    fn send(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = self.events {
            // Nobody listens any more: so be it.
            let _ = events.send(event());
        }
    }
}

/// Whose ends a step has a part in: its owner's, and those of the functionalities that it carries.
fn accounts(step: &PlannedStep, carried: &BTreeMap<&Name, Carried>) -> BTreeSet<Owner> {
    let names = step.carries().into_iter().filter(|name| carried.contains_key(name)).cloned();
    names.map(Owner::Functionality).chain([step.owner().clone()]).collect()
}

/// Why a step was not done, in a line.
fn why(end: &StepEnd) -> String {
    match end {
        StepEnd::Failed { error } => error.lines().next().unwrap_or_default().to_owned(),
        StepEnd::Held { holder } => holder.to_string(),
        StepEnd::MovedOn { since } => format!("somebody else changed it in generation {since}"),
        _ => "it was not started".to_owned(),
    }
}
