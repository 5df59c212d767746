//! What whoever deploys may not do: asked of AWS beforehand, by its own `DryRun`.
//!
//! EC2's operations take it, and then do nothing but tell whether they might (Amazon EC2 API Reference,
//! `DryRunOperation`). Auto Scaling, Elastic Load Balancing and the others have no such thing, so what is
//! needed of them is listed alone. Each operation is asked about once in each region; ids that are not
//! known yet are placeholders, since AWS looks at permissions before it looks for what is named, and what
//! it says of a placeholder, such as that it is another account's, is no denial. A policy for some things
//! alone may so be taken for one for all.
//!
//! * `need`: what each operation's steps call;
//! * `placeholder`: what is named in the asking.

mod need;
mod placeholder;

use std::collections::BTreeSet;

use deployix_core::backend::{Action, BackendError, Inputs, OutputRef, Permissions, Step};

use self::{
    need::{Need, When, dry, needs},
    placeholder::{Ids, placeholder},
};
use super::{
    call::{Aws, Call, CallError},
    caller::Caller,
    error::{action, action_of, is_of_setup, is_passing, is_unauthorized, meaning},
    region_of,
};
use crate::{
    naming::{self, zone_and_name},
    request::{CreateLaunchTemplate, Operation, Request, Service},
    resource::{self, ReadError},
};

/// Asks about all steps at once.
pub(crate) async fn permissions(
    aws: &dyn Aws,
    steps: &[Step<'_>],
) -> Result<Permissions, BackendError> {
    let (mut permissions, mut asked) = (Permissions::default(), BTreeSet::new());
    let ids = Ids::new()?;
    for step in steps {
        let region = region_of(step);
        let caller = Caller::new(aws, region.clone());
        for need in needed(step, &ids)? {
            match need {
                Need::Listed(action) => {
                    permissions.unasked.insert(action);
                }
                Need::Asked(call) => {
                    if asked.insert((region.clone(), call.operation())) {
                        permissions.denied.extend(denied(&caller, call).await?);
                    }
                }
            }
        }
    }
    Ok(permissions)
}

/// The action that is denied, if it is. Whatever else EC2 refuses, such as a placeholder, a quota or a
/// name that is taken, it let the call through to that.
///
/// # Errors
/// What says nothing of the call, and would be said of any other.
async fn denied(caller: &Caller<'_>, call: Box<Call>) -> Result<Option<String>, BackendError> {
    let call = Call::DryRun(call);
    match caller.call(&call).await {
        Ok(_) => Ok(None),
        Err(error) if error.code == CallError::WOULD_BE_DONE => Ok(None),
        Err(error) if is_unauthorized(&error) => Ok(Some(action(&call, &error.message))),
        Err(error) if is_of_setup(&error) || is_passing(&error) => Err(meaning(&call, error)),
        Err(_) => Ok(None),
    }
}

/// What a step needs, as far as that is known before: what finds, makes, changes and removes.
fn needed(step: &Step<'_>, ids: &Ids) -> Result<Vec<Need>, BackendError> {
    let unreadable = |error: ReadError| BackendError::unreadable(&error.to_string());
    let operation = match resource::operation(step.inputs) {
        Err(ReadError::NoOperation) => return Ok(needed_unknown(step, ids)),
        other => other.map_err(unreadable)?,
    };
    let times = When::of(&step.action);
    let mut all: Vec<Need> = needs(operation, ids).at(times).collect();
    if times.contains(&When::Made) {
        all.extend(own(step, operation)?);
    }
    Ok(all)
}

/// What removes a resource of which nothing is known but its id, so that it may be anything.
fn needed_unknown(step: &Step<'_>, ids: &Ids) -> Vec<Need> {
    let id = step.resource.id();
    let operations = match () {
        () if zone_and_name(id).is_some() => &[Operation::ChangeResourceRecordSets][..],
        () if naming::is_of_secret(id) => &[Operation::PutParameter][..],
        () => Operation::ALL,
    };
    let is_elsewhere = |it: Operation| matches!(it.service(), Service::Route53 | Service::Ssm);
    let own = operations.iter().filter(|it| operations.len() == 1 || !is_elsewhere(**it));
    own.flat_map(|operation| needs(*operation, ids).at(When::of(&Action::Remove))).collect()
}

/// What the request itself needs.
fn own(step: &Step<'_>, operation: Operation) -> Result<Vec<Need>, BackendError> {
    match operation.service() {
        Service::Local => Ok(Vec::new()),
        // Which rules there are is looked at, and those that go are named.
        Service::Ec2 if operation == Operation::RevokeSecurityGroupEgress => Ok(Vec::new()),
        Service::Ec2 => {
            let request = resource::request(&filled(step.inputs)?)
                .map_err(|error| BackendError::unreadable(&error.to_string()))?;
            let mut all = match &request {
                Request::CreateLaunchTemplate(template) => of_machines(template),
                _ => Vec::new(),
            };
            all.push(Need::Asked(Box::new(dry(request))));
            Ok(all)
        }
        service => Ok(vec![Need::Listed(action_of(service, operation.as_str()))]),
    }
}

/// What AWS wants of whoever starts machines from a launch template: to pass their role on, to read the
/// parameter that names their image, and to look for what those before were told to fetch.
fn of_machines(template: &CreateLaunchTemplate) -> Vec<Need> {
    let data = &template.launch_template_data;
    let role = data.iam_instance_profile.as_ref().map(|_| "iam:PassRole".to_owned());
    let is_parameter = data.image_id.is_parameter();
    let image = is_parameter.then(|| action_of(Service::Ssm, "GetParameters"));
    let mut tags = template.tag_specifications.iter().map(|it| &it.tags);
    let is_staged = tags.any(|tags| naming::staged_at(tags).is_some());
    let staged = is_staged.then(|| action_of(Service::S3, "ListObjectsV2"));
    [role, image, staged].into_iter().flatten().map(Need::Listed).collect()
}

/// The settings with something of the right form in place of each output.
fn filled(inputs: &Inputs) -> Result<Inputs, BackendError> {
    let value = |output: &OutputRef| Some(placeholder(&output.output));
    let filled = inputs.iter().map(|(key, input)| {
        let input = input.filled(&value).map_err(|output| {
            BackendError::unreadable(&format!("nothing stands for {}", output.output))
        })?;
        Ok((key.clone(), input))
    });
    filled.collect()
}
