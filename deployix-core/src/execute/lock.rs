//! Who is at what: the history's open runs, claims and intents, read as locks.

use jiff::Timestamp;

use super::Held;
use crate::{
    backend::{Owner, Resource},
    history::{Heads, Run, RunId},
};

/// The locks that others than one run hold, at one moment.
#[derive(Clone, Copy)]
pub(super) struct Locks<'h> {
    heads: &'h Heads,
    own: &'h RunId,
    now: Timestamp,
}

impl<'h> Locks<'h> {
    pub(super) fn new(heads: &'h Heads, own: &'h RunId, now: Timestamp) -> Self {
        Self { heads, own, now }
    }

    /// Who claims a functionality, target or network.
    pub(super) fn claimant(self, owner: &Owner) -> Option<Held> {
        let mut others = self.heads.runs.iter().filter(|(id, _)| *id != self.own);
        let (id, run) =
            others.find(|(_, run)| run.claims.contains(owner) && is_alive(run, self.now))?;
        Some(held(id, run))
    }

    /// Who is at a resource: a step of it is under way, or its owner is claimed.
    pub(super) fn holder(self, resource: &Resource) -> Option<Held> {
        let under_way = self.heads.open.get(resource.id()).filter(|open| open.failed.is_none());
        let run = under_way.filter(|open| open.run != *self.own).and_then(|open| {
            let run = self.heads.runs.get(&open.run)?;
            is_alive(run, self.now).then(|| held(&open.run, run))
        });
        run.or_else(|| self.claimant(resource.owner()))
    }
}

/// Whether a run may still be under way: its time has not run out, and its process is not known to
/// be gone.
pub(super) fn is_alive(run: &Run, now: Timestamp) -> bool {
    run.until > now && !run.by.is_gone()
}

fn held(id: &RunId, run: &Run) -> Held {
    Held { run: id.clone(), by: run.by.clone(), since: run.since, until: run.until }
}
