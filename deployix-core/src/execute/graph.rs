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
    dependents: Vec<Vec<usize>>,
    waits: Vec<usize>,
    ready: BinaryHeap<Reverse<usize>>,
    /// Whether a step has started, has ended or never will start.
    taken: Vec<bool>,
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
                dependents[before].push(at);
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
        for &dependent in &self.dependents[at] {
            self.waits[dependent] -= 1;
            if self.waits[dependent] == 0 {
                self.ready.push(Reverse(dependent));
            }
        }
    }

    /// A step was not done: takes all that needs it, directly or by way of others.
    pub(super) fn failed(&mut self, at: usize) -> Vec<usize> {
        let mut open = vec![at];
        let mut blocked = Vec::new();
        while let Some(at) = open.pop() {
            for &dependent in &self.dependents[at] {
                if !std::mem::replace(&mut self.taken[dependent], true) {
                    blocked.push(dependent);
                    open.push(dependent);
                }
            }
        }
        blocked.sort_unstable();
        blocked
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
        }
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
        assert_eq!(graph.failed(0), [2, 3]);
        graph.done(1);
        assert_eq!((graph.next(), graph.next()), (Some(4), None));
        assert_eq!(graph.take_all(), [0; 0]);
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
