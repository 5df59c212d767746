//! Steps: what each kind of resource comes to on which machines.

use deployix_core::{
    Name,
    backend::{Action, BackendError, Input, Inputs, Keeper, Owner, Resource, Step, StepContext},
    spec::TargetKind,
};

use super::{
    Connections,
    change::{self, Base, Change, Put},
    host::{Failure, Machine},
    profile::Profile,
    record::Record,
};

/// What a machine has whatever runs on it.
pub(super) async fn system(
    connections: &Connections,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let index = match step.site.target.kind {
        TargetKind::Machine => 0,
        _ => {
            let last = step.resource.id().as_str().rsplit('/').next().unwrap_or_default();
            last.parse()
                .map_err(|_| BackendError::unreadable("its id has no number of a machine"))?
        }
    };
    let machine = machine(step, index, context);
    let host = connections.host(step.site.target, index)?;
    let change = if matches!(step.action, Action::Remove) {
        Change::Leave
    } else {
        let base = Base {
            imports: step.inputs.text("imports")?.to_owned(),
            host_modules: texts(step.inputs, "host-modules")?,
            built_by_host: step.inputs.text("build")? == "host",
            confirm_within: match step.inputs.get("confirm-within") {
                Some(Input::Integer(seconds)) => *seconds,
                _ => return Err(BackendError::unreadable("there is no `confirm-within`")),
            },
        };
        Change::Put(Box::new(put(step.resource, step.inputs, Some(base), context).await?))
    };
    host.change(machine, change, &|line| context.tell(line)).await
}

/// A functionality, on each machine that it runs on, one after the other: what does not work on the
/// first leaves the others as they are.
pub(super) async fn functionality(
    connections: &Connections,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let Owner::Functionality(name) = step.resource.owner() else {
        return Err(BackendError::unreadable("it is no functionality's"));
    };
    let tell = |line: &str| context.tell(line);
    for (done, (index, goes)) in machines_of(step)?.into_iter().enumerate() {
        let host = connections.host(step.site.target, index)?;
        let machine = machine(step, index, context);
        let keeper = context.keeper();
        let profile = Profile { host: &host, step, functionality: name, keeper, tell: &tell };
        let applied = if goes {
            go(&profile, machine).await
        } else if step.inputs.text("deploy")? == "profile" {
            be_a_profile(&profile, machine, context).await
        } else {
            be_a_part(&profile, machine, context).await
        };
        // Where others were changed before, what stands is not what stood.
        applied.map_err(|error| if done == 0 { error } else { Failure::in_part(error) })?;
    }
    Ok(())
}

/// Removes a functionality from a machine, as whatever it is there.
async fn go(profile: &Profile<'_>, machine: Machine) -> Result<(), BackendError> {
    if profile.is_there().await? {
        profile.remove().await?;
    }
    if profile.is_part(&machine).await? {
        profile.leave_system(machine, Some(profile.functionality.clone())).await?;
    }
    Ok(())
}

/// Deploys a functionality as a profile; one that was a part of the system is that again where the
/// profile does not start.
async fn be_a_profile(
    profile: &Profile<'_>,
    machine: Machine,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let step = profile.step;
    let wanted = put(step.resource, step.inputs, None, context).await?;
    let was_part = profile.is_part(&machine).await?;
    let built = profile.build(&wanted, step.inputs).await.map_err(BackendError::as_it_was)?;
    if was_part {
        profile.leave_system(machine.clone(), None).await?;
    }
    let Err(error) = profile.activate(&wanted, &built).await else { return Ok(()) };
    if !was_part {
        return Err(error);
    }
    context.tell("making it a part of the system again");
    let back = match before(step) {
        Some(from) => match put(from, from.inputs(), None, context).await {
            Ok(old) => {
                let old = Change::Put(Box::new(old));
                profile.host.change(machine, old, profile.tell).await
            }
            Err(cause) => Err(cause),
        },
        None => return Err(Failure::in_part(error)),
    };
    Err(if back.is_ok() { error } else { Failure::in_part(error) })
}

/// Deploys a functionality as a part of the system; one that was a profile is that again where the
/// system does not start.
async fn be_a_part(
    profile: &Profile<'_>,
    machine: Machine,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let step = profile.step;
    let wanted = Box::new(put(step.resource, step.inputs, None, context).await?);
    let was_profile = profile.is_there().await?;
    if was_profile {
        profile.remove().await?;
    }
    let changed = profile.host.change(machine, Change::Put(wanted), profile.tell).await;
    let Err(error) = changed else { return Ok(()) };
    if !was_profile {
        return Err(error);
    }
    context.tell("making it a profile again");
    let Some(from) = before(step) else { return Err(Failure::in_part(error)) };
    let back = async {
        let old = put(from, from.inputs(), None, context).await?;
        let built = profile.build(&old, from.inputs()).await?;
        profile.activate(&old, &built).await
    };
    Err(if back.await.is_ok() { error } else { Failure::in_part(error) })
}

/// A step's resource as it stood before.
fn before<'s>(step: &Step<'s>) -> Option<&'s Resource> {
    match step.action {
        Action::Update { from } | Action::Replace { from } => Some(from),
        Action::Create | Action::Remove => None,
    }
}

/// The machines that a step of a functionality is about, and whether it goes from there.
pub(super) fn machines_of(step: &Step<'_>) -> Result<Vec<(u32, bool)>, BackendError> {
    let removed = matches!(step.action, Action::Remove);
    let wanted = if removed { Vec::new() } else { machines(step.inputs)? };
    let mut before = match step.action {
        Action::Update { from } | Action::Replace { from } => machines(from.inputs())?,
        // What was found and nobody knows of has no settings, and goes from wherever it is.
        Action::Remove if step.inputs.is_empty() => (0..step.site.target.kind.machines()).collect(),
        Action::Remove => machines(step.inputs)?,
        Action::Create => Vec::new(),
    };
    before.retain(|machine| !wanted.contains(machine));
    let changed = wanted.into_iter().map(|machine| (machine, false));
    Ok(changed.chain(before.into_iter().map(|machine| (machine, true))).collect())
}

/// A resource as it is to be on a machine.
async fn put(
    resource: &Resource,
    inputs: &Inputs,
    base: Option<Base>,
    context: &StepContext<'_>,
) -> Result<Put, BackendError> {
    let files = change::files(inputs, context).await?;
    let (units, secrets) = match resource.owner() {
        Owner::Functionality(name) => {
            let secrets = change::secrets(inputs, name.clone(), context).await?;
            (texts(inputs, "units")?, Some(secrets))
        }
        _ => (Vec::new(), None),
    };
    let record = Record::new(
        resource.id().clone(),
        resource.owner().clone(),
        resource.digest(),
        files.keys().cloned().collect(),
        units,
    );
    let record = record.kept_by(context.keeper().map(Keeper::history));
    Ok(Put { record, files, secrets, base })
}

fn machine(step: &Step<'_>, index: u32, context: &StepContext<'_>) -> Machine {
    Machine {
        deployment: step.deployment.clone(),
        name: name_of(&step.site.target.name, step.site.target.kind, index),
        keeper: context.keeper().cloned(),
    }
}

/// What a machine of a target is called.
pub(super) fn name_of(target: &Name, kind: TargetKind, index: u32) -> String {
    match kind {
        TargetKind::Machine => target.to_string(),
        _ => format!("{target}-{index}"),
    }
}

/// The machines that a functionality's resource names.
fn machines(inputs: &Inputs) -> Result<Vec<u32>, BackendError> {
    let Some(Input::List(machines)) = inputs.get("machines") else {
        return Err(BackendError::unreadable("there are no `machines`"));
    };
    let read = |machine: &Input| match machine {
        Input::Integer(index) => u32::try_from(*index).ok(),
        _ => None,
    };
    let read: Option<Vec<u32>> = machines.iter().map(read).collect();
    read.ok_or_else(|| BackendError::unreadable("`machines` holds something else than numbers"))
}

fn texts(inputs: &Inputs, name: &str) -> Result<Vec<String>, BackendError> {
    let text = |input: &Input| match input {
        Input::Text(text) => Some(text.clone()),
        _ => None,
    };
    match inputs.get(name) {
        Some(Input::List(items)) => items.iter().map(text).collect(),
        _ => None,
    }
    .ok_or_else(|| BackendError::unreadable(&format!("`{name}` is no list of texts")))
}
