//! What `observe` and `apply` have to hold, where a backend has them.

use super::{Kit, sample};
use crate::{
    backend::{
        Action, BackendError, ErrorKind, NoSecrets, Outcome, Resource, Scope, Step, StepContext,
    },
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
        let refused = apply(kit, compiled, resource, Action::Create).await;
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
    let order = in_order(compiled);
    for resource in &order {
        let first = apply(kit, compiled, resource, Action::Create).await?;
        let second = apply(kit, compiled, resource, Action::Create).await?;
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
        apply(kit, compiled, resource, Action::Remove).await?;
        apply(kit, compiled, resource, Action::Remove).await?;
    }
    for id in observe(kit, compiled).await? {
        failures.push(format!("{id} was removed and is still observed"));
    }
    Ok(())
}

/// One step, with the contents of its files and with no secrets.
async fn apply(
    kit: &Kit,
    compiled: &Compiled,
    resource: &Resource,
    action: Action<'_>,
) -> Result<Outcome, BackendError> {
    let deployment = compiled.connected().deployment();
    let site = compiled.sited().find(|(other, _)| other.id() == resource.id());
    let Some((_, site)) = site else { return Ok(Outcome::default()) };
    let files = compiled.contents(&resource.files().map(|file| file.digest).collect());
    let context = StepContext::new(&files, &NoSecrets, &|_| {});
    kit.backend.apply(&Step::new(deployment, site, resource, action), &context).await
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
