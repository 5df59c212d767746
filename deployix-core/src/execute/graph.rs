//! [`Graph`]: which steps wait for which, while they are done.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use crate::{
    backend::Owner,
    name::{Name, ResourceId},
    plan::{PlannedAction, PlannedStep},
};

/// The steps of a plan by position, and how many others each still waits for.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    dependents: Vec<Vec<Dependent>>,
    waits: Vec<usize>,
    ready: BinaryHeap<Reverse<usize>>,
    /// Whether a step has started, has ended or never will start.
    taken: Vec<bool>,
}

/// A step that waits for another.
#[derive(Debug, Clone, Copy)]
struct Dependent {
    at: usize,
    /// Whether it does not need what the other does, and only waits its turn behind it.
    in_turn: bool,
}

/// A step that is not started, since another one was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) at: usize,
    /// Where it does not need what was not done: behind whom a step waits its turn. That is this one, or
    /// one that it needs.
    pub(super) turn: Option<InTurn>,
}

/// A step that waits its turn behind another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InTurn {
    pub(super) at: usize,
    pub(super) behind: usize,
}

impl Graph {
    /// Steps of a plan; in an atomic set, what is removed waits for all that is made.
    pub(super) fn new(steps: &[PlannedStep], atomic: &[BTreeSet<Name>]) -> Self {
        let positions: BTreeMap<&ResourceId, usize> =
            steps.iter().map(PlannedStep::id).zip(0..).collect();
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut waits = vec![0; steps.len()];
        for (at, step) in steps.iter().enumerate() {
            let mut before: BTreeSet<usize> =
                step.after.iter().filter_map(|id| positions.get(id).copied()).collect();
            if step.action == PlannedAction::Remove {
                for set in atomic.iter().filter(|set| is_of(step.owner(), set)) {
                    let made = (0..).zip(steps).filter(|(_, other)| {
                        other.action != PlannedAction::Remove && is_of(other.owner(), set)
                    });
                    before.extend(made.map(|(at, _)| at));
                }
            }
            // A step never waits for one that stands behind it, so there is always one to start.
            for before in before.into_iter().filter(|before| *before < at) {
                let in_turn = step.behind.contains(steps[before].id());
                dependents[before].push(Dependent { at, in_turn });
                waits[at] += 1;
            }
        }
        let ready = (0..steps.len()).filter(|at| waits[*at] == 0).map(Reverse).collect();
        Self { dependents, waits, ready, taken: vec![false; steps.len()] }
    }

    /// Takes the next step that waits for nothing.
    pub(super) fn next(&mut self) -> Option<usize> {
        while let Some(Reverse(at)) = self.ready.pop() {
            if self.take(at) {
                return Some(at);
            }
        }
        None
    }

    /// Takes a step, so that it is not started again; tells whether it was still to be had.
    pub(super) fn take(&mut self, at: usize) -> bool {
        !std::mem::replace(&mut self.taken[at], true)
    }

    /// A step was done: what waited for it alone can start.
    pub(super) fn done(&mut self, at: usize) {
        for &Dependent { at, .. } in &self.dependents[at] {
            self.waits[at] -= 1;
            if self.waits[at] == 0 {
                self.ready.push(Reverse(at));
            }
        }
    }

    /// A step was not done: takes all that needs it or waits its turn behind it, directly or by way of
    /// others.
    pub(super) fn failed(&mut self, at: usize) -> Vec<Blocked> {
        let mut blocked = vec![Blocked { at, turn: None }];
        self.take_dependents(&mut blocked, false);
        // What needs it does so whatever turns there are.
        self.take_dependents(&mut blocked, true);
        blocked.remove(0);
        blocked.sort_unstable_by_key(|blocked| blocked.at);
        blocked
    }

    /// Takes what waits for some steps, and what waits for that; what only waits its turn where it is
    /// asked for.
    fn take_dependents(&mut self, blocked: &mut Vec<Blocked>, turns: bool) {
        let mut next = 0;
        while let Some(&Blocked { at: before, turn }) = blocked.get(next) {
            next += 1;
            for &Dependent { at, in_turn } in &self.dependents[before] {
                if (turns || !in_turn) && !std::mem::replace(&mut self.taken[at], true) {
                    let turn = match turn {
                        Some(InTurn { behind, .. }) if in_turn => Some(InTurn { at, behind }),
                        None if in_turn => Some(InTurn { at, behind: before }),
                        turn => turn,
                    };
                    blocked.push(Blocked { at, turn });
                }
            }
        }
    }

    /// Takes all steps that are left.
    pub(super) fn take_all(&mut self) -> Vec<usize> {
        (0..self.taken.len()).filter(|at| self.take(*at)).collect()
    }
}

/// Whether something stands on account of one of some functionalities.
pub(super) fn is_of(owner: &Owner, set: &BTreeSet<Name>) -> bool {
    match owner {
        Owner::Functionality(name) => set.contains(name),
        Owner::Edge { consumer, provider } => set.contains(consumer) || set.contains(provider),
        Owner::Target(_) | Owner::Network(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Inputs, Resource};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn step(of: &str, action: PlannedAction, after: &[&str]) -> PlannedStep {
        let id = |text: &str| ResourceId::new(format!("m/{text}")).unwrap();
        let owner = Owner::Functionality(name(of));
        let after: Vec<_> = after.iter().map(|text| id(text)).collect();
        PlannedStep {
            resource: Resource::new(id(of), owner, Inputs::default(), []),
            target: name("box"),
            action,
            from: None,
            gap: None,
            doubt: None,
            changes: Vec::new(),
            after: after.into(),
            behind: BTreeSet::new(),
        }
    }

    /// The same, waiting its turn behind others.
    fn behind(mut step: PlannedStep, others: &[&str]) -> PlannedStep {
        step.behind = others.iter().map(|id| ResourceId::new(format!("m/{id}")).unwrap()).collect();
        step.after = step.after.iter().chain(&step.behind).cloned().collect();
        step
    }

    #[test]
    fn a_failure_takes_what_needs_it_and_nothing_else() {
        use PlannedAction::Create;
        let steps = [
            step("a", Create, &[]),
            step("b", Create, &[]),
            step("c", Create, &["a", "b"]),
            step("d", Create, &["c"]),
            step("e", Create, &["b"]),
        ];
        let mut graph = Graph::new(&steps, &[]);
        assert_eq!((graph.next(), graph.next(), graph.next()), (Some(0), Some(1), None));
        assert_eq!(graph.failed(0), [2, 3].map(|at| Blocked { at, turn: None }));
        graph.done(1);
        assert_eq!((graph.next(), graph.next()), (Some(4), None));
        assert_eq!(graph.take_all(), [0; 0]);
    }

    #[test]
    fn what_waits_its_turn_and_what_needs_that_is_told_from_what_needs_what_failed() {
        use PlannedAction::Update;
        let steps = [
            step("a", Update, &[]),
            step("a-part", Update, &["a"]),
            behind(step("b", Update, &[]), &["a", "a-part"]),
            step("b-reader", Update, &["b"]),
            behind(step("c", Update, &[]), &["b"]),
            step("both", Update, &["a", "b"]),
        ];
        let mut graph = Graph::new(&steps, &[]);
        assert_eq!(graph.next(), Some(0));
        let turn = |at, behind| Some(InTurn { at, behind });
        let wanted = [(1, None), (2, turn(2, 0)), (3, turn(2, 0)), (4, turn(4, 0)), (5, None)];
        assert_eq!(graph.failed(0), wanted.map(|(at, turn)| Blocked { at, turn }));
    }

    #[test]
    fn an_atomic_set_removes_nothing_before_all_of_it_is_made() {
        let steps = [step("a", PlannedAction::Create, &[]), step("b", PlannedAction::Remove, &[])];
        let mut graph = Graph::new(&steps, &[[name("a"), name("b")].into()]);
        assert_eq!((graph.next(), graph.next()), (Some(0), None));
        graph.done(0);
        assert_eq!(graph.next(), Some(1));
    }
}
