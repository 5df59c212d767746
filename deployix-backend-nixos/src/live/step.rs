//! Steps: what each kind of resource comes to on which machines.

use deployix_core::{
    Name,
    backend::{Action, BackendError, ErrorKind, Input, Inputs, Owner, Step, StepContext},
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
            last.parse().map_err(|_| unreadable("its id has no number of a machine"))?
        }
    };
    let machine = machine(step, index);
    let host = connections.host(step.site.target, index)?;
    let change = if matches!(step.action, Action::Remove) {
        Change::Leave
    } else {
        let base = Base {
            imports: text(step.inputs, "imports")?.to_owned(),
            host_modules: texts(step.inputs, "host-modules")?,
            built_by_host: text(step.inputs, "build")? == "host",
            confirm_within: match step.inputs.get("confirm-within") {
                Some(Input::Integer(seconds)) => *seconds,
                _ => return Err(unreadable("there is no `confirm-within`")),
            },
        };
        Change::Put(Box::new(put(step, Some(base), context).await?))
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
        return Err(unreadable("it is no functionality's"));
    };
    let tell = |line: &str| context.tell(line);
    for (done, (index, goes)) in machines_of(step)?.into_iter().enumerate() {
        let host = connections.host(step.site.target, index)?;
        let machine = machine(step, index);
        let profile = Profile { host: &host, step, functionality: name, tell: &tell };
        let applied = async {
            // As whatever it was before, it leaves that.
            let is_profile = !goes && text(step.inputs, "deploy")? == "profile";
            if is_profile {
                let wanted = put(step, None, context).await?;
                return profile.deploy(machine, &wanted).await;
            }
            profile.remove().await?;
            if !goes {
                let wanted = Box::new(put(step, None, context).await?);
                return host.change(machine, Change::Put(wanted), &tell).await;
            }
            profile.leave_system(machine, Some(name.clone())).await
        };
        // Where others were changed before, what stands is not what stood.
        let failure = |error| if done == 0 { error } else { Failure::in_part(error) };
        applied.await.map_err(failure)?;
    }
    Ok(())
}

/// The machines that a step of a functionality is about, and whether it goes from there.
pub(super) fn machines_of(step: &Step<'_>) -> Result<Vec<(u32, bool)>, BackendError> {
    let removed = matches!(step.action, Action::Remove);
    let wanted = if removed { Vec::new() } else { machines(step.inputs)? };
    let mut before = match step.action {
        Action::Update { from } | Action::Replace { from } => machines(from.inputs())?,
        Action::Remove => machines(step.inputs)?,
        Action::Create => Vec::new(),
    };
    before.retain(|machine| !wanted.contains(machine));
    let changed = wanted.into_iter().map(|machine| (machine, false));
    Ok(changed.chain(before.into_iter().map(|machine| (machine, true))).collect())
}

/// A step's resource as it is wanted.
pub(super) async fn put(
    step: &Step<'_>,
    base: Option<Base>,
    context: &StepContext<'_>,
) -> Result<Put, BackendError> {
    let files = change::files(step.inputs, context).await?;
    let (units, secrets) = match step.resource.owner() {
        Owner::Functionality(name) => {
            let secrets = change::secrets(step, name.clone(), context).await?;
            (texts(step.inputs, "units")?, Some(secrets))
        }
        _ => (Vec::new(), None),
    };
    let record = Record::new(
        step.resource.id().clone(),
        step.resource.owner().clone(),
        step.resource.digest(),
        files.keys().cloned().collect(),
        units,
    );
    Ok(Put { record, files, secrets, base })
}

pub(super) fn machine(step: &Step<'_>, index: u32) -> Machine {
    Machine {
        deployment: step.deployment.clone(),
        name: name_of(&step.site.target.name, step.site.target.kind, index),
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
        return Err(unreadable("there are no `machines`"));
    };
    let read = |machine: &Input| match machine {
        Input::Integer(index) => u32::try_from(*index).ok(),
        _ => None,
    };
    let read: Option<Vec<u32>> = machines.iter().map(read).collect();
    read.ok_or_else(|| unreadable("`machines` holds something else than numbers"))
}

pub(super) fn text<'i>(inputs: &'i Inputs, name: &str) -> Result<&'i str, BackendError> {
    match inputs.get(name) {
        Some(Input::Text(text)) => Ok(text),
        _ => Err(unreadable(&format!("there is no `{name}`"))),
    }
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
    .ok_or_else(|| unreadable(&format!("`{name}` is no list of texts")))
}

/// Settings of another shape than this release writes.
pub(super) fn unreadable(reason: &str) -> BackendError {
    let message = format!(
        "its settings are not as this release writes them: {reason}; make the plan anew, or carry \
         it out with the release that made it"
    );
    BackendError::permanent(ErrorKind::Invalid, "settings", message).as_it_was()
}
