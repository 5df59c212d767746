//! [`Report`]: how a plan that was carried out ended.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Fate, StepEnd};
use crate::{
    backend::Owner,
    history::{HistoryError, RunId},
    name::{HistoryId, ResourceId},
};

/// How a plan that was carried out ended, step by step and all in all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Report {
    /// The run; nothing where there was nothing to do, or others are at all of it, of which the
    /// history tells nothing.
    pub run: Option<RunId>,
    /// The generation that it ended with.
    pub generation: u64,
    /// How each step ended.
    pub steps: BTreeMap<ResourceId, StepEnd>,
    /// How each functionality, edge, target and network ended.
    #[serde(serialize_with = "pairs")]
    pub fates: BTreeMap<Owner, Fate>,
    /// What other histories keep, of all that was not done because of that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_by: BTreeMap<ResourceId, HistoryId>,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Why the history could not be written, where it could not: then the rest was not started.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub history: Option<HistoryError>,
}

impl Report {
    /// There was nothing to do.
    pub(super) fn of_nothing(generation: u64) -> Self {
        let (steps, fates) = (BTreeMap::new(), BTreeMap::new());
        let kept_by = BTreeMap::new();
        Self { run: None, generation, steps, fates, kept_by, interrupted: false, history: None }
    }

    /// Whether all that was asked for stands.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.history.is_none() && !self.interrupted && self.fates.values().all(Fate::is_good)
    }
}

/// Owners are no JSON keys.
fn pairs<S: serde::Serializer>(
    fates: &BTreeMap<Owner, Fate>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Pair<'a> {
        owner: &'a Owner,
        fate: &'a Fate,
    }
    serializer.collect_seq(fates.iter().map(|(owner, fate)| Pair { owner, fate }))
}

fn text<S: serde::Serializer>(
    error: &Option<HistoryError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(error),
        None => serializer.serialize_none(),
    }
}
