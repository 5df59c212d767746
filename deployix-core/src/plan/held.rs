//! Held back: what was made from something that failed, and all that has to wait for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiled, PlannedAction, order::Draft};
use crate::{
    backend::{Owner, Resource},
    history::Heads,
    name::{Name, ResourceId},
};

/// The functionalities that failed on whose account something is held back.
type Since = BTreeSet<Name>;

/// What a plan holds back.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// What stands of targets and was made from what failed, and what it needs.
    made: BTreeMap<ResourceId, Since>,
    /// What would have been done, and is not.
    pub(super) held: BTreeMap<ResourceId, Since>,
    /// Functionalities that did not fail and whose changes wait.
    pub(super) waiting: BTreeMap<Name, Since>,
    /// How many of the held drafts were about something that stands.
    pub(super) standing: usize,
}

impl Holding {
    /// Takes out of the drafts what cannot be made as it should be without what failed.
    ///
    /// A target's own resource that carries a functionality was made from it; so was, where it does
    /// not say what it carries, one that stands after something of a functionality. Where that
    /// functionality failed, the target was assembled without it, and making the resource so would
    /// take from under it what it runs on. What a machine needs in turn, such as its launch template, is held with it;
    /// a functionality that the resource is to be made from, or that comes after it, waits, so that
    /// nothing is changed by half. A target's resource that is made from no functionality, such as
    /// the configuration of a host, is not held.
    pub(super) fn of(compiled: &Compiled, heads: &Heads, drafts: &mut Vec<Draft<'_>>) -> Self {
        if compiled.failed().is_empty() {
            return Self::default();
        }
        let mut holding = Self { made: made_from(compiled.failed(), heads), ..Self::default() };
        if holding.made.is_empty() {
            return holding;
        }
        for draft in drafts.iter().filter(|draft| draft.action != PlannedAction::Create) {
            if let Some(since) = holding.made.get(draft.resource.id()) {
                holding.held.insert(draft.resource.id().clone(), since.clone());
            }
        }
        while holding.spread(drafts) {}
        drafts.retain(|draft| {
            let held = holding.held.contains_key(draft.resource.id());
            holding.standing += usize::from(held && draft.from.is_some());
            !held
        });
        holding
    }

    /// Whether something that nothing wants any more stays; if so, that is written down.
    pub(super) fn keeps(&mut self, resource: &Resource) -> bool {
        let since = match resource.owner() {
            Owner::Target(_) => self.made.get(resource.id()).cloned(),
            Owner::Functionality(name) | Owner::Edge { consumer: name, .. } => {
                return self.waiting.contains_key(name);
            }
            Owner::Network(_) => self.made.values().cloned().reduce(|all, one| &all | &one),
        };
        let Some(since) = since else { return false };
        self.held.insert(resource.id().clone(), since);
        true
    }

    /// Holds what waits for the held drafts; whether there was any.
    fn spread(&mut self, drafts: &[Draft<'_>]) -> bool {
        // What a target's held resource was to be made from.
        let mut parts: BTreeMap<&ResourceId, Since> = BTreeMap::new();
        for draft in drafts {
            if let (Owner::Target(_), Some(since)) =
                (draft.resource.owner(), self.held.get(draft.resource.id()))
            {
                for part in draft.resource.after() {
                    parts.entry(part).or_default().extend(since.iter().cloned());
                }
            }
        }
        let mut more = BTreeMap::new();
        for draft in drafts.iter().filter(|draft| !self.held.contains_key(draft.resource.id())) {
            let behind = draft.resource.after().iter().filter_map(|id| self.held.get(id));
            let mut since: Since = behind.flatten().cloned().collect();
            let own = match draft.resource.owner() {
                Owner::Functionality(name) => {
                    since.extend(parts.get(draft.resource.id()).into_iter().flatten().cloned());
                    Some(name)
                }
                Owner::Edge { consumer, .. } => Some(consumer),
                Owner::Target(_) | Owner::Network(_) => None,
            };
            since
                .extend(own.and_then(|name| self.waiting.get(name)).into_iter().flatten().cloned());
            if since.is_empty() {
                continue;
            }
            if let Some(name) = own {
                self.waiting.entry(name.clone()).or_default().extend(since.iter().cloned());
            }
            more.insert(draft.resource.id().clone(), since);
        }
        let spread = !more.is_empty();
        self.held.extend(more);
        spread
    }
}

/// What stands of targets and was made from these functionalities, and what it needs of its target.
fn made_from(failed: &BTreeSet<Name>, heads: &Heads) -> BTreeMap<ResourceId, Since> {
    let open = heads.open.values().map(|open| &open.resource);
    let standing = heads.resources.values().map(|standing| &standing.resource);
    let all: BTreeMap<&ResourceId, &Resource> =
        open.chain(standing).map(|resource| (resource.id(), resource)).collect();
    let of_targets: Vec<&Resource> = {
        let own = all.values().filter(|resource| matches!(resource.owner(), Owner::Target(_)));
        own.copied().collect()
    };
    let mut made: BTreeMap<ResourceId, Since> = BTreeMap::new();
    // Made from it, or from what was.
    loop {
        let mut more = Vec::new();
        for resource in &of_targets {
            let own = resource.carries();
            let mut since: Since =
                own.keys().filter(|name| failed.contains(*name)).cloned().collect();
            for part in resource.after().iter().filter_map(|id| all.get(id)) {
                match part.owner() {
                    Owner::Functionality(name) if own.is_empty() && failed.contains(name) => {
                        since.insert(name.clone());
                    }
                    owner if owner == resource.owner() => {
                        since.extend(made.get(part.id()).into_iter().flatten().cloned());
                    }
                    _ => {}
                }
            }
            if !since.is_empty() && made.get(resource.id()) != Some(&since) {
                more.push((resource.id().clone(), since));
            }
        }
        if more.is_empty() {
            break;
        }
        made.extend(more);
    }
    // What that needs.
    let mut open: Vec<ResourceId> = made.keys().cloned().collect();
    while let Some(id) = open.pop() {
        let Some((resource, since)) = all.get(&id).zip(made.get(&id).cloned()) else { continue };
        for part in resource.after().iter().filter_map(|id| all.get(id)) {
            if part.owner() == resource.owner() && !made.contains_key(part.id()) {
                made.insert(part.id().clone(), since.clone());
                open.push(part.id().clone());
            }
        }
    }
    made
}
