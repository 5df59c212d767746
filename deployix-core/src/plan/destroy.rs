//! Destroy: what has to be done so that nothing stands any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Compiled, Only, Plan,
    difference::{At, append_removals, gone, names, removals},
};
use crate::{
    backend::{Inputs, Owner, Resource},
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    history::Heads,
    name::{Name, ResourceId},
};

/// What stands, with an order for what was found and the history does not know: each of it comes after
/// what it is compiled to come after.
///
/// What was found tells which resource it is, and not what it was made after; without an order
/// [`destroy`] removes all of it at once, and a network before what is in it.
#[must_use]
pub fn ordered_by(mut heads: Heads, compiled: &Compiled) -> Heads {
    for (id, open) in &mut heads.open {
        let found = &open.resource;
        let unknown = found.inputs().is_empty() && !heads.resources.contains_key(id);
        if let Some(wanted) = compiled.resources().get(id).filter(|_| unknown) {
            let (owner, after) = (found.owner().clone(), wanted.after().to_vec());
            let ordered = Resource::new(id.clone(), owner, Inputs::default(), after);
            open.resource = if found.holds_data() { ordered.holding_data() } else { ordered };
        }
    }
    heads
}

/// Plans to remove what stands, dependents first; what holds data only where it is asked for.
///
/// Nothing but the history is needed: what is not described any more can be removed all the same.
/// Where targets still are described, [`Heads::described_by`] has it go by what is said of them now, and
/// [`ordered_by`] has what was found there and is not known go in the order of what is described.
/// A functionality that others need, which are to stay, is left and told.
pub fn destroy(deployment: &Name, heads: &Heads, only: &Only, data: bool) -> Staged<Plan> {
    let mut found = Diagnostics::new();
    let about = |resource: &Resource| match (only, resource.owner()) {
        (Only::Named(names), Owner::Edge { consumer, provider }) => {
            names.contains(consumer) || names.contains(provider)
        }
        (_, owner) => names(owner, only),
    };
    let (holding, mut going): (Vec<_>, Vec<_>) =
        gone(heads, about).partition(|gone| gone.resource.holds_data() && !data);
    loop {
        let ids: BTreeSet<&ResourceId> = going.iter().map(|gone| gone.resource.id()).collect();
        let stays = heads.resources.values().filter(|s| !ids.contains(s.resource.id()));
        let mut needed = BTreeMap::new();
        for standing in stays {
            for before in standing.resource.after().iter().filter(|id| ids.contains(*id)) {
                needed.insert(before.clone(), standing.resource.owner());
            }
        }
        if needed.is_empty() {
            break;
        }
        let mut told = BTreeSet::new();
        for gone in going.iter().filter(|gone| needed.contains_key(gone.resource.id())) {
            let owner = gone.resource.owner();
            let by = needed[gone.resource.id()];
            if matches!(owner, Owner::Functionality(_)) && owner != by && told.insert((owner, by)) {
                let message = format!("`{owner}` is needed by `{by}`, which is to stay");
                let remedy = format!("destroy `{by}` as well, or first");
                found.push(Diagnostic::error(Code::Blocked, message).remedy(remedy));
            }
        }
        // Of what is needed nothing goes, so that it is not left in pieces.
        let left: BTreeSet<&Owner> = going
            .iter()
            .filter(|gone| needed.contains_key(gone.resource.id()))
            .map(|gone| gone.resource.owner())
            .collect();
        going.retain(|gone| !left.contains(gone.resource.owner()));
    }
    let gone_owners: BTreeSet<&Owner> = going.iter().map(|gone| gone.resource.owner()).collect();
    let goes = |name: &&Name| gone_owners.contains(&Owner::Functionality((*name).clone()));
    let assignments =
        heads.assignments.keys().filter(goes).map(|name| (name.clone(), None)).collect();
    let drafts = removals(&going, heads, &[]);
    let name = |at: At<'_>| match at {
        At::Before(name) => Some(name.clone()),
        At::Site(_) => None,
    };
    let mut steps = Vec::with_capacity(drafts.len());
    append_removals(&mut steps, drafts, &name);
    let sites = steps.iter().filter_map(|step| heads.sites.get_key_value(&step.target));
    let plan = Plan {
        deployment: deployment.clone(),
        generation: heads.generation,
        kept: heads.resources.len() - steps.iter().filter(|step| step.from.is_some()).count(),
        left: BTreeSet::new(),
        held: BTreeMap::new(),
        waiting: BTreeSet::new(),
        data_kept: holding.iter().map(|gone| gone.resource.id().clone()).collect(),
        assignments,
        sites: sites.map(|(name, site)| (name.clone(), site.clone())).collect(),
        atomic: Vec::new(),
        contents: BTreeMap::new(),
        steps,
    };
    Staged::new(plan, found)
}
