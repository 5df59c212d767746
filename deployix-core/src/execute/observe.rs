//! [`observe`] and [`settle`]: what really stands, from the providers themselves.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    backend::{BackendError, Observed, OwnedSite, Registry},
    history::{Heads, History, HistoryError, Holder},
    name::{Name, ResourceId},
};

/// What really stands, target by target; with the error where a target could not be asked. Targets
/// of backends that cannot tell are left out.
#[derive(Debug, Default)]
pub struct Observation {
    /// By target.
    pub targets: BTreeMap<Name, Result<Vec<Observed>, BackendError>>,
}

/// What is other than the history tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Drift {
    /// Which resource.
    pub resource: ResourceId,
    /// On which target.
    pub target: Name,
    /// What is other: "it is gone", "nobody made it here", "it is stopped".
    pub what: Vec<String>,
    /// Who changed it, where the provider tells.
    pub changed_by: Option<String>,
}

/// What settling found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Settled {
    /// Steps of runs that are over, and whether they turned out to be done.
    pub steps: BTreeMap<ResourceId, bool>,
}

/// Asks the providers of these targets what really stands, all of them at once.
pub async fn observe(
    registry: &Registry,
    deployment: &Name,
    sites: impl IntoIterator<Item = OwnedSite>,
) -> Observation {
    let _ = (registry, deployment, sites.into_iter().count());
    todo!()
}

impl Observation {
    /// What stands, with what was observed in place of what the history tells; and how they differ.
    ///
    /// What differs is in doubt then, so a plan against it mends it; what nobody knows of is there
    /// to be removed; what is gone is to be made again.
    #[must_use]
    pub fn compare(&self, heads: &Heads) -> (Heads, Vec<Drift>) {
        let _ = heads;
        todo!()
    }
}

/// Finds out how the steps of runs that are over ended, and writes it down: runs whose time has run
/// out, and runs of processes that are known to be gone.
///
/// # Errors
/// Where the history cannot be read or written.
pub async fn settle(
    history: &History,
    registry: &Registry,
    by: &Holder,
) -> Result<Settled, HistoryError> {
    let _ = (history, registry, by);
    todo!()
}
