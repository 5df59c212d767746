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
    /// What stands or may stand there, and its network's where nothing elsewhere needs that.
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

/// All that stands or may stand, each with the target it was compiled for.
type All<'h> = BTreeMap<&'h ResourceId, (&'h Resource, &'h Name)>;

fn network(resource: &Resource) -> Option<&Name> {
    match resource.owner() {
        Owner::Network(network) => Some(network),
        _ => None,
    }
}

/// The networks of what stands on a target, but for those that something elsewhere needs.
fn networks_alone<'h>(target: &Name, all: &All<'h>) -> BTreeSet<&'h Name> {
    let (mut here, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    for (resource, at) in all.values() {
        let needed = match network(resource) {
            // It is written down with one of the targets that it stands for.
            Some(own) if *at == target => vec![own],
            Some(_) => Vec::new(),
            None => {
                let parts = resource.after().iter().filter_map(|id| all.get(id));
                parts.filter_map(|(part, _)| network(part)).collect()
            }
        };
        if *at == target { here.extend(needed) } else { elsewhere.extend(needed) }
    }
    &here - &elsewhere
}

impl Forgettable {
    /// What is told of a target; nothing where the history does not know it.
    #[must_use]
    pub fn of(target: &Name, heads: &Heads) -> Option<Self> {
        let standing = heads.resources.values().map(|it| (&it.resource, &it.target));
        let open = heads.open.values().map(|open| (&open.resource, &open.target));
        let all: All<'_> =
            open.chain(standing).map(|(resource, at)| (resource.id(), (resource, at))).collect();
        let networks = networks_alone(target, &all);
        let goes = |resource: &Resource, at: &Name| match network(resource) {
            Some(network) => networks.contains(network),
            None => at == target,
        };
        let going = all.values().filter(|(resource, at)| goes(resource, at));
        let resources: BTreeMap<ResourceId, Resource> =
            going.map(|(resource, _)| (resource.id().clone(), Resource::clone(resource))).collect();
        let stays = all.values().any(|(resource, at)| *at == target && !goes(resource, at));
        let placed = heads.assignments.iter().filter(|(_, at)| at.target == *target);
        let functionalities: BTreeSet<Name> = placed.map(|(name, _)| name.clone()).collect();
        let known = !resources.is_empty()
            || !functionalities.is_empty()
            || (heads.sites.contains_key(target) && !stays);
        known.then(|| Self { target: target.clone(), resources, functionalities })
    }

    /// What is told of several targets, one after the other, so that what they share goes with the
    /// last of them; nothing for one that the history does not know.
    #[must_use]
    pub fn of_all<'n>(
        targets: impl IntoIterator<Item = &'n Name>,
        heads: &Heads,
    ) -> BTreeMap<&'n Name, Option<Self>> {
        let mut left = heads.clone();
        let mut all = BTreeMap::new();
        for target in targets {
            let one = Self::of(target, &left);
            for id in one.iter().flat_map(|one| one.resources.keys()) {
                left.resources.remove(id);
                left.open.remove(id);
            }
            all.insert(target, one);
        }
        all
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
        let mut all = Forgettable::of_all(targets.iter().map(|one| &one.target), heads);
        for looked_at in &targets {
            let now = all.remove(&looked_at.target).flatten();
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
