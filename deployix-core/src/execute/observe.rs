//! [`observe`]: what really stands, from the providers themselves.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::{lock::is_alive, step::whole};
use crate::{
    backend::{
        BackendError, Inputs, Known, Observed, OutputRef, OwnedSite, Owner, Registry, Resource,
        Scope,
    },
    diagnostic::{Code, Diagnostic, Diagnostics, named},
    history::{Heads, Open, Standing},
    name::{HistoryId, Name, ResourceId},
};

/// What really stands, target by target; with the error where a target could not be asked. Targets
/// of backends that cannot tell are left out.
#[derive(Debug, Default)]
#[non_exhaustive]
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
    /// On whose account it stands.
    pub owner: Owner,
    /// On which target.
    pub target: Name,
    /// What is other, each in lower case, without a final dot: "it is gone", "it is stopped".
    pub what: Vec<String>,
    /// Who changed it, where the provider tells.
    pub changed_by: Option<String>,
    /// The other history that keeps it, where one does: nothing can be done about it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<HistoryId>,
}

/// Asks the providers of these targets what really stands, all of them at once. Each backend is given
/// what the history tells of its target, to see what is other.
pub async fn observe(
    registry: &Registry,
    deployment: &Name,
    sites: impl IntoIterator<Item = OwnedSite>,
    heads: &Heads,
) -> Observation {
    /// So many are asked at once.
    const AT_ONCE: usize = 16;
    let known = &known(heads);
    let asked = sites.into_iter().map(|site| async move {
        let backend = registry.backend(&site.target.backend)?;
        if !backend.capabilities().live {
            return None;
        }
        let known = known.get(&site.target.name).map_or(&[][..], Vec::as_slice);
        let scope = Scope::new(deployment, site.site()).knowing(known);
        let observed = backend.observe(&scope).await;
        Some((site.target.name, observed))
    });
    let answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let targets = answers.filter_map(|answer| async { answer }).collect().await;
    Observation { targets }
}

/// What stands by the history, target by target; without what reads an output that nobody gave.
fn known(heads: &Heads) -> BTreeMap<&Name, Vec<Known<'_>>> {
    let value = |output: &OutputRef| {
        heads.resources.get(&output.resource)?.outputs.get(&output.output).cloned()
    };
    let mut known: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Standing { resource, target, .. } in heads.resources.values() {
        let filled = resource.inputs().iter();
        let filled = filled.map(|(name, input)| Ok((name.clone(), input.filled(&value)?)));
        if let Ok(inputs) = filled.collect::<Result<_, &OutputRef>>() {
            known.entry(target).or_default().push(Known { resource, inputs });
        }
    }
    known
}

impl Observation {
    /// The targets that could not be asked, with why: one finding for all of which the same is said, such
    /// as that there are no credentials.
    #[must_use]
    pub fn findings(&self) -> Diagnostics {
        let mut unseen: BTreeMap<String, (Vec<&Name>, &BackendError)> = BTreeMap::new();
        for (target, observed) in &self.targets {
            if let Err(error) = observed {
                // What is behind it may tell a number of the call, which is another each time.
                let (targets, _) = unseen.entry(error.to_string()).or_insert((Vec::new(), error));
                targets.push(target);
            }
        }
        let finding = |(targets, error): (Vec<&Name>, &BackendError)| {
            let s = if targets.len() == 1 { "" } else { "s" };
            let message = format!(
                "target{s} {} cannot be asked what stands there: {}",
                named(targets),
                whole(error)
            );
            Diagnostic::warning(Code::TargetUnseen, message)
                .remedy("what the history tells is taken for what stands")
        };
        unseen.into_values().map(finding).collect()
    }

    /// What stands, with what was observed beside what the history tells; and how they differ.
    ///
    /// What differs is in doubt then, so a plan against it mends it; what nobody knows of is there
    /// to be removed; what is gone is to be made again. What somebody is at just now is left out. What
    /// another history keeps is told, and nothing is planned for it because of what was seen.
    #[must_use]
    pub fn compare(&self, heads: &Heads) -> (Heads, Vec<Drift>) {
        let now = Timestamp::now();
        let seen: BTreeMap<&Name, BTreeMap<&ResourceId, &Observed>> = self
            .targets
            .iter()
            .filter_map(|(target, observed)| {
                let observed = observed.as_ref().ok()?;
                Some((target, observed.iter().map(|observed| (&observed.id, observed)).collect()))
            })
            .collect();
        // Some things stand for several targets, and each of them shows them.
        let anywhere: BTreeSet<&ResourceId> =
            seen.values().flat_map(BTreeMap::keys).copied().collect();
        let under_way = |id: &ResourceId| {
            let open = heads.open.get(id).filter(|open| open.failed.is_none());
            let run = open.and_then(|open| heads.runs.get(&open.run));
            run.is_some_and(|run| is_alive(run, now))
        };
        let mut drifts = Vec::new();
        let mut merged = heads.clone();
        for (id, standing) in &heads.resources {
            let Some(here) = seen.get(&standing.target) else { continue };
            let mut what = Vec::new();
            let mut changed_by = None;
            match here.get(id) {
                _ if under_way(id) => continue,
                Some(observed) if !heads.keeps(observed.kept_by.as_ref()) => {
                    let owner = standing.resource.owner().clone();
                    drifts.extend(kept_by_another(observed, owner, &standing.target));
                    continue;
                }
                None if anywhere.contains(id) => continue,
                None => what.push("it is gone".to_owned()),
                Some(observed) => {
                    what.clone_from(&observed.drift);
                    changed_by.clone_from(&observed.changed_by);
                    match observed.digest {
                        Some(digest) if digest == standing.resource.digest() => {}
                        Some(_) => what.push("it is of another version".to_owned()),
                        None if what.is_empty() => {
                            what.push("it is not of one version as a whole".to_owned());
                        }
                        None => {}
                    }
                }
            }
            if what.is_empty() {
                continue;
            }
            let (owner, target) = (standing.resource.owner().clone(), standing.target.clone());
            let resource = standing.resource.clone();
            let open = Open::seen(resource, target.clone(), what.join("; "), heads.generation);
            merged.open.entry(id.clone()).or_insert(open);
            let (resource, kept_by) = (id.clone(), None);
            drifts.push(Drift { resource, owner, target, what, changed_by, kept_by });
        }
        let mut others = BTreeSet::new();
        for (target, here) in &seen {
            for (&id, observed) in here {
                let known = heads.resources.contains_key(id) || heads.open.contains_key(id);
                if known || merged.open.contains_key(id) {
                    continue;
                }
                let target = Name::clone(target);
                let owner = observed.owner.clone().unwrap_or(Owner::Target(target.clone()));
                if !heads.keeps(observed.kept_by.as_ref()) {
                    if others.insert(id) {
                        drifts.extend(kept_by_another(observed, owner, &target));
                    }
                    continue;
                }
                let resource = Resource::new(id.clone(), owner.clone(), Inputs::default(), []);
                let resource = if observed.holds_data { resource.holding_data() } else { resource };
                let what = "the history does not know of it".to_owned();
                let open = Open::seen(resource, target.clone(), what.clone(), heads.generation);
                merged.open.insert(id.clone(), open);
                let changed_by = observed.changed_by.clone();
                let (resource, what, kept_by) = (id.clone(), vec![what], None);
                drifts.push(Drift { resource, owner, target, what, changed_by, kept_by });
            }
        }
        (merged, drifts)
    }
}

/// That another history keeps something.
fn kept_by_another(observed: &Observed, owner: Owner, target: &Name) -> Option<Drift> {
    let by = observed.kept_by.clone()?;
    Some(Drift {
        resource: observed.id.clone(),
        owner,
        target: target.clone(),
        what: vec![format!("another history keeps it, {}", by.short())],
        changed_by: observed.changed_by.clone(),
        kept_by: Some(by),
    })
}
