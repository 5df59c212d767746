//! What `observe` and `apply` have to hold, where a backend has them.

use super::{Kit, sample};
use crate::{
    backend::{Action, BackendError, ErrorKind, Resource, Scope, Step},
    name::ResourceId,
    plan::Compiled,
};

pub(super) async fn check(kit: &Kit, failures: &mut Vec<String>) {
    let specs = sample::usual();
    let Some(deployment) = sample::deployment(kit.backend.id(), specs) else { return };
    let compiled = kit.compile(deployment).value;
    if kit.backend.capabilities().live {
        if let Err(error) = there_and_back(kit, &compiled, failures).await {
            failures.push(format!("a step of a plain deployment fails: {error}"));
        }
    } else {
        unsupported(kit, &compiled, failures).await;
    }
}

/// A backend that cannot says so, and does not pretend.
async fn unsupported(kit: &Kit, compiled: &Compiled, failures: &mut Vec<String>) {
    let deployment = compiled.connected().deployment();
    if let Some(resource) = compiled.resources().values().next() {
        let step = Step::new(deployment, resource, Action::Create);
        let refused = kit.backend.apply(&step).await;
        if !refused.is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
            failures.push("`apply` is not live and does not answer `Unsupported`".to_owned());
        }
    }
    for site in compiled.connected().sites() {
        let refused = kit.backend.observe(&Scope::new(deployment, site)).await;
        if !refused.is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
            failures.push("`observe` is not live and does not answer `Unsupported`".to_owned());
        }
    }
}

/// Makes everything twice, looks, and removes everything twice.
async fn there_and_back(
    kit: &Kit,
    compiled: &Compiled,
    failures: &mut Vec<String>,
) -> Result<(), BackendError> {
    let deployment = compiled.connected().deployment();
    let order = in_order(compiled);
    for resource in &order {
        let step = Step::new(deployment, resource, Action::Create);
        let first = kit.backend.apply(&step).await?;
        let second = kit.backend.apply(&step).await?;
        if first != second {
            failures.push(format!("{} made twice gives other outputs", resource.id()));
        }
    }
    let seen = observe(kit, compiled).await?;
    for resource in &order {
        if !seen.contains(&resource.id()) {
            failures.push(format!("{} was made and is not observed", resource.id()));
        }
    }
    for resource in order.iter().rev() {
        let step = Step::new(deployment, resource, Action::Remove);
        kit.backend.apply(&step).await?;
        kit.backend.apply(&step).await?;
    }
    for id in observe(kit, compiled).await? {
        failures.push(format!("{id} was removed and is still observed"));
    }
    Ok(())
}

async fn observe<'c>(
    kit: &Kit,
    compiled: &'c Compiled,
) -> Result<Vec<&'c ResourceId>, BackendError> {
    let mut seen = Vec::new();
    for site in compiled.connected().sites() {
        let scope = Scope::new(compiled.connected().deployment(), site);
        let observed = kit.backend.observe(&scope).await?;
        let ids = compiled.resources().keys();
        seen.extend(ids.filter(|id| observed.iter().any(|observed| observed.id == **id)));
    }
    Ok(seen)
}

/// Resources, each behind all that it comes after.
fn in_order(compiled: &Compiled) -> Vec<&Resource> {
    fn visit<'c>(resource: &'c Resource, compiled: &'c Compiled, order: &mut Vec<&'c Resource>) {
        if order.iter().any(|other| other.id() == resource.id()) {
            return;
        }
        for before in resource.after() {
            if let Some(before) = compiled.resources().get(before) {
                visit(before, compiled, order);
            }
        }
        order.push(resource);
    }
    let mut order = Vec::new();
    for resource in compiled.resources().values() {
        visit(resource, compiled, &mut order);
    }
    order
}
