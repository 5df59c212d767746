//! What `observe` and `apply` have to hold, where a backend has them.

use std::collections::BTreeMap;

use super::{Kit, sample};
use crate::{
    backend::{
        Action, BackendError, ErrorKind, Input, Inputs, NoSecrets, Outcome, OutputRef, Resource,
        Scope, Step, StepContext,
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
        let refused = apply(kit, compiled, resource, Action::Create, &Made::new()).await;
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
    let mut made = Made::new();
    for resource in &order {
        let first = apply(kit, compiled, resource, Action::Create, &made).await?;
        let second = apply(kit, compiled, resource, Action::Create, &made).await?;
        if first != second {
            failures.push(format!("{} made twice gives other outputs", resource.id()));
        }
        made.insert(resource.id().clone(), first.outputs);
    }
    let seen = observe(kit, compiled).await?;
    for resource in &order {
        if !seen.contains(&resource.id()) {
            failures.push(format!("{} was made and is not observed", resource.id()));
        }
    }
    for resource in order.iter().rev() {
        apply(kit, compiled, resource, Action::Remove, &made).await?;
        apply(kit, compiled, resource, Action::Remove, &made).await?;
    }
    for id in observe(kit, compiled).await? {
        failures.push(format!("{id} was removed and is still observed"));
    }
    Ok(())
}

/// What was made, and what it gives to others.
type Made = BTreeMap<ResourceId, BTreeMap<String, String>>;

/// One step, with the outputs that it reads, the contents of its files and no secrets.
async fn apply(
    kit: &Kit,
    compiled: &Compiled,
    resource: &Resource,
    action: Action<'_>,
    made: &Made,
) -> Result<Outcome, BackendError> {
    let deployment = compiled.connected().deployment();
    let site = compiled.sited().find(|(other, _)| other.id() == resource.id());
    let Some((_, site)) = site else { return Ok(Outcome::default()) };
    let files = compiled.contents(&resource.files().map(|file| file.digest).collect());
    let context = StepContext::new(&files, &NoSecrets, &|_| {});
    let output = |it: &OutputRef| made.get(&it.resource)?.get(&it.output).cloned();
    // What nobody gives stays as it is, and the backend says that it cannot do without.
    let filled = |input: &Input| input.filled(&output).unwrap_or_else(|_| input.clone());
    let inputs: Inputs =
        resource.inputs().iter().map(|(key, input)| (key.clone(), filled(input))).collect();
    let step = Step::new(deployment, site, resource, action).with_inputs(&inputs);
    kit.backend.apply(&step, &context).await
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
