//! What `observe` and `apply` have to hold, where a backend has them.

use std::collections::BTreeMap;

use super::{Kit, sample};
use crate::{
    backend::{
        Action, BackendError, ErrorKind, Input, Inputs, Keeper, NoSecrets, Observed, Outcome,
        OutputRef, Resource, Scope, Step, StepContext,
    },
    name::{HistoryId, ResourceId},
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
        let keeper = Keeper::new(history("a"), []);
        let work = Work { kit, compiled, keeper: &keeper };
        let refused = work.apply(resource, Action::Create, &Made::new()).await;
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

/// Makes everything twice and looks; another history of the same name changes nothing of it and, once it
/// has taken over, removes everything twice.
async fn there_and_back(
    kit: &Kit,
    compiled: &Compiled,
    failures: &mut Vec<String>,
) -> Result<(), BackendError> {
    let order = in_order(compiled);
    let mut made = Made::new();
    let keeper = Keeper::new(history("a"), []);
    let work = Work { kit, compiled, keeper: &keeper };
    for resource in &order {
        let first = work.apply(resource, Action::Create, &made).await?;
        let second = work.apply(resource, Action::Create, &made).await?;
        if first != second {
            failures.push(format!("{} made twice gives other outputs", resource.id()));
        }
        made.insert(resource.id().clone(), first.outputs);
    }
    let seen = work.observe().await?;
    for resource in &order {
        match seen.get(resource.id()) {
            None => failures.push(format!("{} was made and is not observed", resource.id())),
            Some(observed) if observed.kept_by.as_ref() != Some(keeper.history()) => {
                let id = resource.id();
                failures.push(format!("{id} was made and does not say which history keeps it"));
            }
            Some(_) => {}
        }
    }
    let other = Keeper::new(history("b"), []);
    let of_another = Work { keeper: &other, ..work };
    for resource in order.iter().filter(|resource| seen.contains_key(resource.id())) {
        for action in [Action::Create, Action::Remove] {
            let id = resource.id();
            match of_another.apply(resource, action, &made).await {
                // What is worked out by the backend itself is no provider's, and nobody keeps it.
                Ok(_) if work.observe().await? == seen => {}
                Ok(_) => {
                    failures.push(format!("{id} is kept by another history, and {action:?} is done"));
                }
                Err(error) if error.kind() == ErrorKind::Conflict && error.is_as_it_was() => {}
                Err(error) => failures.push(format!(
                    "{id} is kept by another history, and {action:?} is not refused with a conflict \
                     that leaves all as it was: {error}"
                )),
            }
        }
    }
    if work.observe().await? != seen {
        failures.push("what one history keeps is not as it was after steps of another".to_owned());
    }
    let heir = Keeper::new(history("b"), [history("a")]);
    let of_heir = Work { keeper: &heir, ..work };
    for resource in order.iter().rev() {
        of_heir.apply(resource, Action::Remove, &made).await?;
        of_heir.apply(resource, Action::Remove, &made).await?;
    }
    for id in of_heir.observe().await?.keys() {
        failures.push(format!("{id} was removed and is still observed"));
    }
    Ok(())
}

/// The id of a history, of one digit.
#[expect(clippy::expect_used, reason = "digits make an id")]
fn history(digit: &str) -> HistoryId {
    HistoryId::new(digit.repeat(32)).expect("an id")
}

/// What was made, and what it gives to others.
type Made = BTreeMap<ResourceId, BTreeMap<String, String>>;

/// Whatever is done on account of one history.
#[derive(Clone, Copy)]
struct Work<'a> {
    kit: &'a Kit,
    compiled: &'a Compiled,
    keeper: &'a Keeper,
}

impl<'a> Work<'a> {
    /// One step, with the outputs that it reads, the contents of its files and no secrets.
    async fn apply(
        self,
        resource: &Resource,
        action: Action<'_>,
        made: &Made,
    ) -> Result<Outcome, BackendError> {
        let Self { kit, compiled, keeper } = self;
        let deployment = compiled.connected().deployment();
        let site = compiled.sited().find(|(other, _)| other.id() == resource.id());
        let Some((_, site)) = site else { return Ok(Outcome::default()) };
        let files = compiled.contents(&resource.files().map(|file| file.digest).collect());
        let context = StepContext::new(&files, &NoSecrets, &|_| {}).kept_by(keeper);
        let output = |it: &OutputRef| made.get(&it.resource)?.get(&it.output).cloned();
        // What nobody gives stays as it is, and the backend says that it cannot do without.
        let filled = |input: &Input| input.filled(&output).unwrap_or_else(|_| input.clone());
        let inputs: Inputs =
            resource.inputs().iter().map(|(key, input)| (key.clone(), filled(input))).collect();
        let step = Step::new(deployment, site, resource, action).with_inputs(&inputs);
        kit.backend.apply(&step, &context).await
    }

    /// What stands of all that was compiled.
    async fn observe(self) -> Result<BTreeMap<&'a ResourceId, Observed>, BackendError> {
        let Self { kit, compiled, .. } = self;
        let mut seen = BTreeMap::new();
        for site in compiled.connected().sites() {
            let scope = Scope::new(compiled.connected().deployment(), site);
            for observed in kit.backend.observe(&scope).await? {
                if let Some((id, _)) = compiled.resources().get_key_value(&observed.id) {
                    seen.insert(id, observed);
                }
            }
        }
        Ok(seen)
    }
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
