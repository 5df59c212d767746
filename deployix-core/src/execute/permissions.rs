//! [`permissions`]: whether a plan may be carried out, from the providers themselves.

use std::collections::BTreeMap;

use crate::{
    backend::{Action, BackendError, Permissions, Registry, Step},
    plan::{Plan, PlannedAction, PlannedStep},
};

/// Tells what of a plan whoever asks may not do, without doing any of it: everything at once.
///
/// Outputs in the steps' settings are not filled in, so what is allowed for some things only may turn
/// out to be denied for one that is not made yet.
///
/// # Errors
/// Where a provider cannot be asked.
pub async fn permissions(plan: &Plan, registry: &Registry) -> Result<Permissions, BackendError> {
    let mut steps: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    for planned in &plan.steps {
        let Some(site) = plan.sites.get(&planned.target) else { continue };
        let PlannedStep { resource, action, from, .. } = planned;
        let action = match (action, from) {
            (PlannedAction::Remove, _) => Action::Remove,
            (PlannedAction::Update, Some(from)) => Action::Update { from: &from.resource },
            (PlannedAction::Replace, Some(from)) => Action::Replace { from: &from.resource },
            _ => Action::Create,
        };
        let step = Step::new(&plan.deployment, site.site(), resource, action);
        steps.entry(resource.backend()).or_default().push(step);
    }
    let mut all = Permissions::default();
    for (backend, steps) in steps {
        if let Some(backend) = registry.backend_named(backend)
            && backend.capabilities().live
        {
            all.extend(backend.permissions(&steps).await?);
        }
    }
    Ok(all)
}
