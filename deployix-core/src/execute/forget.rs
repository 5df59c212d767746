//! [`forget`]: what stood on a target is nobody's any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Held, lock::Locks};
use crate::{
    backend::{Owner, Resource},
    history::{Heads, History, HistoryError, Holder, Record, RunId},
    name::{Name, ResourceId},
};

/// What the history tells of a target that is to be forgotten.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Forgettable {
    /// The target.
    pub target: Name,
    /// What stands or may stand there. What only a network has on its account is not part of it
    /// while something elsewhere needs it.
    pub resources: BTreeMap<ResourceId, Resource>,
    /// Functionalities that run there.
    pub functionalities: BTreeSet<Name>,
}

/// What came of forgetting.
#[derive(Debug)]
#[non_exhaustive]
pub enum Forgot {
    /// It was forgotten, in this generation.
    Done(u64),
    /// Somebody is at one of the resources; nothing was forgotten.
    Held {
        /// The resource.
        resource: ResourceId,
        /// Who.
        holder: Box<Held>,
    },
    /// The history tells something else of this target by now; nothing was forgotten.
    MovedOn(Name),
}

impl Forgettable {
    /// What is told of a target; nothing where the history does not know it.
    #[must_use]
    pub fn of(target: &Name, heads: &Heads) -> Option<Self> {
        let standing = heads.resources.values().map(|it| (&it.resource, &it.target));
        let open = heads.open.values().map(|open| (&open.resource, &open.target));
        let all: BTreeMap<&ResourceId, (&Resource, &Name)> =
            open.chain(standing).map(|(resource, at)| (resource.id(), (resource, at))).collect();
        let (mut own, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(_, (_, at))| *at == target);
        let others: Vec<&Resource> = others.into_values().map(|(resource, _)| resource).collect();
        let mut open = others;
        while let Some(resource) = open.pop() {
            for id in resource.after() {
                let shared = |owner: &Owner| matches!(owner, Owner::Network(_));
                if own.get(id).is_some_and(|(needed, _)| shared(needed.owner())) {
                    open.extend(own.remove(id).map(|(needed, _)| needed));
                }
            }
        }
        let placed = heads.assignments.iter().filter(|(_, at)| at.target == *target);
        let functionalities: BTreeSet<Name> = placed.map(|(name, _)| name.clone()).collect();
        let resources: BTreeMap<_, _> =
            own.into_iter().map(|(id, (resource, _))| (id.clone(), resource.clone())).collect();
        let known = heads.sites.contains_key(target)
            || !resources.is_empty()
            || !functionalities.is_empty();
        known.then(|| Self { target: target.clone(), resources, functionalities })
    }

    fn owners(&self) -> BTreeMap<ResourceId, Owner> {
        let owner =
            |(id, resource): (&ResourceId, &Resource)| (id.clone(), resource.owner().clone());
        self.resources.iter().map(owner).collect()
    }
}

/// Forgets what stands on targets that nobody will reach again, and says so in the history.
///
/// No provider is asked for anything: whatever still is there goes on, and a target that is reached
/// again all the same shows it to [`observe`](super::observe). Refused as a whole where somebody is
/// at it, or where the history tells something else by now than was looked at.
///
/// # Errors
/// Where the history cannot be read or written.
pub async fn forget(
    history: &History,
    targets: Vec<Forgettable>,
    by: Holder,
) -> Result<Forgot, HistoryError> {
    let propose = move |heads: &Heads| {
        let nobody = RunId::none();
        let locks = Locks::new(heads, &nobody, Timestamp::now());
        let mut records = Vec::new();
        for looked_at in &targets {
            let now = Forgettable::of(&looked_at.target, heads);
            if now.as_ref().map(Forgettable::owners) != Some(looked_at.owners()) {
                return (Vec::new(), Some(Forgot::MovedOn(looked_at.target.clone())));
            }
            for (id, resource) in &looked_at.resources {
                if let Some(holder) = locks.holder(resource) {
                    let (resource, holder) = (id.clone(), Box::new(holder));
                    return (Vec::new(), Some(Forgot::Held { resource, holder }));
                }
            }
            let functionalities = now.into_iter().flat_map(|now| now.functionalities).collect();
            records.push(Record::Forgotten {
                by: by.clone(),
                target: looked_at.target.clone(),
                resources: looked_at.owners(),
                functionalities,
            });
        }
        (records, None)
    };
    let (refused, generation) = history.append_with(propose).await?;
    Ok(refused.unwrap_or(Forgot::Done(generation)))
}
