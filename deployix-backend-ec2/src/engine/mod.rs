//! The backend's other half: carries steps out on AWS and tells what stands there, through a narrow
//! client ([`Aws`]), whoever it is that talks to AWS behind it.
//!
//! Everything made carries tags that say of which resource it is and by which digest, so that a step
//! finds what stands whatever happened before, and a lost history can be read back. A step looks
//! first and writes only what differs.
//!
//! * [`call`] and [`shape`]: the client, its calls, and what they tell;
//! * `reach`: gives up soon who was never reached; `gather`: makes one call of several that are asked for at once;
//! * `caller`: tries again, asks for every page; `wait`: waits, and tells what for;
//! * `error`: what AWS's errors mean;
//! * `job`: one step and its tags;
//! * `kind`: how whatever stands by itself is made what it should be, and `ready`, when it is; with `network`, `rule`,
//!   `machine`, `scaling`, `balancer` and `target_group` for what differs from kind to kind;
//! * `target`: machines of target groups come, are well and leave; `registration`: each one's own part;
//! * `successor`: a machine that takes another's place, which is put back where it does not start;
//! * `part`: what has no tags of its own; `disk`: where disks are attached; `record`: names, which
//!   have no tags either;
//! * `parameter`: secrets;
//! * `staged`: what machines fetch from S3;
//! * `trace`: what load balancers leave behind;
//! * `observe`: what stands; `drift`: how that differs from what the history knows;
//! * `permission`: what may not be done.

mod balancer;
pub mod call;
mod caller;
mod disk;
mod drift;
mod error;
mod gather;
mod job;
mod kind;
mod machine;
mod network;
mod observe;
mod parameter;
mod part;
mod permission;
mod reach;
mod ready;
mod record;
mod registration;
mod rule;
mod scaling;
pub mod shape;
mod staged;
mod successor;
mod target;
mod target_group;
mod trace;
mod wait;

use std::collections::BTreeMap;

pub use call::Aws;
use deployix_core::backend::{
    Action, BackendError, ErrorKind, Input, Observed, Outcome, Resource, Scope, Site, Step,
    StepContext,
};
#[cfg(feature = "live")]
pub(crate) use error::{is_not_found, is_throttled};
pub(crate) use gather::Gather;
pub(crate) use permission::permissions;
pub(crate) use reach::Reach;

use self::{
    caller::Caller,
    drift::Wanted,
    job::{Job, Outputs},
    kind::{converge, remove},
    observe::Elsewhere,
    shape::{
        Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate, Listener,
        LoadBalancer, NetworkInterface, Parameter, RouteTable, SecurityGroup, SecurityGroupRule,
        Subnet, TargetGroup, Volume, Vpc,
    },
};
use crate::{
    extension::{LocationSettings, TargetSettings},
    naming::{self, zone_and_name},
    request::{Operation, Output, RenderUserData, Request, Service, UserDataText},
    resource::{self, OPERATION, REGION, ReadError},
    user_data::pack,
};

/// Carries out one step.
pub(crate) async fn apply(
    aws: &dyn Aws,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<Outcome, BackendError> {
    let caller = Caller::new(aws, region_of(step)).of_step(context);
    let job = Job::new(caller, step, context.keeper());
    if matches!(step.action, Action::Remove) {
        take_away(&job, step).await?;
        return Ok(Outcome::default());
    }
    stays_in_its_region(step)?;
    let request = resource::request(step.inputs)
        .map_err(|error| BackendError::unreadable(&error.to_string()))?;
    Ok(Outcome { outputs: make(&job, &request, context).await? })
}

/// Tells what stands of a deployment where a target is.
pub(crate) async fn observe(
    aws: &dyn Aws,
    scope: &Scope<'_>,
) -> Result<Vec<Observed>, BackendError> {
    let caller = Caller::new(aws, region(&scope.site));
    let LocationSettings { hosted_zone: zone, staging, .. } =
        location(&scope.site).unwrap_or_default();
    let target = crate::settings::<TargetSettings>(&scope.site.target.extensions);
    let elsewhere = Elsewhere {
        zone,
        staging,
        parameters: target.is_ok_and(|target| target.instance_profile.is_some()),
    };
    observe::observe(&caller, scope.deployment, &elsewhere, Wanted::new(scope.known)).await
}

/// Where a target is.
fn location(site: &Site<'_>) -> Option<LocationSettings> {
    let (_, location) = site.location?;
    crate::settings(&location.extensions).ok()
}

/// The region of a target; that of whoever deploys where it says none.
fn region(site: &Site<'_>) -> Option<String> {
    location(site)?.region
}

/// The region of a step: where its resource was compiled for, wherever its target is by now.
fn region_of(step: &Step<'_>) -> Option<String> {
    match step.inputs.get(REGION) {
        Some(Input::Text(region)) => Some(region.clone()),
        // What was found and is not known here says nothing of itself.
        _ if step.inputs.get(OPERATION).is_none() => region(&step.site),
        _ => None,
    }
}

/// Refuses, before anything is asked, to make in one region what stands in another: AWS moves nothing
/// there, and looking in one shows nothing of the other, so what stands would be left to nobody.
fn stays_in_its_region(step: &Step<'_>) -> Result<(), BackendError> {
    let (Action::Update { from } | Action::Replace { from }) = step.action else { return Ok(()) };
    let everywhere =
        |operation: Operation| matches!(operation.service(), Service::Local | Service::Route53);
    let (Some(Input::Text(is)), Some(Input::Text(wanted))) =
        (from.inputs().get(REGION), step.inputs.get(REGION))
    else {
        return Ok(());
    };
    if is == wanted || resource::operation(step.inputs).is_ok_and(everywhere) {
        return Ok(());
    }
    let message = format!(
        "it is in {is}, and AWS moves nothing to {wanted}: set the location's `extensions.ec2.region` to \
         {is} again, or give its target and network other names, so that all is made anew in {wanted}; \
         it is kept as it is"
    );
    Err(BackendError::permanent(ErrorKind::Invalid, "apply", message).as_it_was())
}

async fn make(
    job: &Job<'_>,
    request: &Request,
    context: &StepContext<'_>,
) -> Result<Outputs, BackendError> {
    match request {
        Request::CreateVpc(it) => converge::<Vpc>(job, it).await,
        Request::CreateSubnet(it) => network::subnet(job, it).await,
        Request::CreateInternetGateway(it) => converge::<InternetGateway>(job, it).await,
        Request::AttachInternetGateway(it) => part::attach_gateway(job, it).await,
        Request::CreateRouteTable(it) => converge::<RouteTable>(job, it).await,
        Request::CreateRoute(it) => part::route(job, it).await,
        Request::AssociateRouteTable(it) => part::associate_table(job, it).await,
        Request::CreateSecurityGroup(it) => converge::<SecurityGroup>(job, it).await,
        Request::RevokeSecurityGroupEgress(it) => part::close(job, it).await,
        Request::AuthorizeSecurityGroupIngress(it) => {
            converge::<SecurityGroupRule>(job, &it.clone().into()).await
        }
        Request::AuthorizeSecurityGroupEgress(it) => {
            converge::<SecurityGroupRule>(job, &it.clone().into()).await
        }
        Request::RenderUserData(it) => render(it),
        Request::StageUserData(it) => staged::put(job, it).await,
        Request::CreateNetworkInterface(it) => converge::<NetworkInterface>(job, it).await,
        Request::AllocateAddress(it) => converge::<Address>(job, it).await,
        Request::AssociateAddress(it) => part::associate_address(job, it).await,
        Request::CreateVolume(it) => converge::<Volume>(job, it).await,
        Request::AttachVolume(it) => disk::attach_volume(job, it).await,
        Request::CreateLaunchTemplate(it) => converge::<LaunchTemplate>(job, it).await,
        Request::RunInstances(it) => {
            let outputs = successor::run(job, it).await?;
            machine::remove_old_templates(job, &it.launch_template.launch_template_name).await?;
            machine::ended(job).await?;
            Ok(outputs)
        }
        Request::CreateAutoScalingGroup(it) => {
            let outputs = converge::<AutoScalingGroup>(job, it).await?;
            machine::remove_old_templates(job, &it.launch_template.launch_template_name).await?;
            Ok(outputs)
        }
        Request::AttachLoadBalancerTargetGroups(it) => target::attach_scaling(job, it).await,
        Request::CreateLoadBalancer(it) => {
            let outputs = converge::<LoadBalancer>(job, it).await?;
            balancer::outputs(job, outputs).await
        }
        Request::ModifyLoadBalancerAttributes(it) => part::attributes(job, it).await,
        Request::CreateTargetGroup(it) => converge::<TargetGroup>(job, it).await,
        Request::ModifyTargetGroupAttributes(it) => part::group_attributes(job, it).await,
        Request::CreateListener(it) => {
            let outputs = converge::<Listener>(job, it).await?;
            balancer::listens(job, it).await?;
            Ok(outputs)
        }
        Request::RegisterTargets(it) => registration::make(job, it).await,
        Request::ChangeResourceRecordSets(it) => record::put(job, it).await,
        Request::PutParameter(it) => parameter::put(job, it, context).await,
    }
}

async fn take_away(job: &Job<'_>, step: &Step<'_>) -> Result<(), BackendError> {
    let operation = match resource::operation(step.inputs) {
        Err(ReadError::NoOperation) => return take_away_unknown(job, step.resource).await,
        other => other.map_err(|error| BackendError::unreadable(&error.to_string()))?,
    };
    match operation {
        Operation::CreateVpc => remove::<Vpc>(job).await,
        Operation::CreateSubnet => remove::<Subnet>(job).await,
        Operation::CreateInternetGateway => remove::<InternetGateway>(job).await,
        Operation::AttachInternetGateway => part::remove::<InternetGateway>(job).await,
        Operation::CreateRouteTable => remove::<RouteTable>(job).await,
        Operation::CreateRoute => part::remove::<RouteTable>(job).await,
        Operation::AssociateRouteTable => part::remove::<Subnet>(job).await,
        Operation::CreateSecurityGroup => remove::<SecurityGroup>(job).await,
        Operation::RevokeSecurityGroupEgress => part::remove::<SecurityGroup>(job).await,
        Operation::AuthorizeSecurityGroupIngress | Operation::AuthorizeSecurityGroupEgress => {
            remove::<SecurityGroupRule>(job).await
        }
        Operation::RenderUserData => Ok(()),
        Operation::StageUserData => staged::remove(job, step.inputs).await,
        Operation::CreateNetworkInterface => remove::<NetworkInterface>(job).await,
        Operation::AllocateAddress => remove::<Address>(job).await,
        Operation::AssociateAddress => part::remove::<Address>(job).await,
        Operation::CreateVolume => remove_disk(job, step.resource).await,
        Operation::AttachVolume => part::remove::<Volume>(job).await,
        Operation::CreateLaunchTemplate => remove::<LaunchTemplate>(job).await,
        Operation::RunInstances => remove::<Instance>(job).await,
        Operation::CreateAutoScalingGroup => remove::<AutoScalingGroup>(job).await,
        Operation::CreateLoadBalancer => match step.inputs.get("Name") {
            Some(Input::Text(name)) => balancer::remove(job, Some(name)).await,
            _ => balancer::remove(job, None).await,
        },
        Operation::ModifyLoadBalancerAttributes => part::remove::<LoadBalancer>(job).await,
        Operation::CreateTargetGroup => remove::<TargetGroup>(job).await,
        Operation::CreateListener => balancer::remove_listener(job).await,
        Operation::RegisterTargets => registration::remove(job).await,
        Operation::ModifyTargetGroupAttributes | Operation::AttachLoadBalancerTargetGroups => {
            part::remove::<TargetGroup>(job).await
        }
        Operation::ChangeResourceRecordSets => record::remove(job).await,
        Operation::PutParameter => remove::<Parameter>(job).await,
    }
}

/// Removes what was found and nobody knows: its tags tell which resource it was made as, and only
/// looking tells what it is.
async fn take_away_unknown(job: &Job<'_>, found: &Resource) -> Result<(), BackendError> {
    if zone_and_name(job.id).is_some() {
        return record::remove(job).await;
    }
    if naming::is_of_secret(job.id) {
        return remove::<Parameter>(job).await;
    }
    registration::remove(job).await?;
    part::remove::<TargetGroup>(job).await?;
    part::remove::<LoadBalancer>(job).await?;
    part::remove::<Volume>(job).await?;
    part::remove::<Address>(job).await?;
    part::remove::<Subnet>(job).await?;
    part::remove::<RouteTable>(job).await?;
    part::remove::<InternetGateway>(job).await?;
    part::remove::<SecurityGroup>(job).await?;
    remove::<Listener>(job).await?;
    balancer::remove(job, None).await?;
    remove::<TargetGroup>(job).await?;
    remove::<AutoScalingGroup>(job).await?;
    remove::<Instance>(job).await?;
    remove::<LaunchTemplate>(job).await?;
    staged::remove_unknown(job).await?;
    remove_disk(job, found).await?;
    remove::<Address>(job).await?;
    remove::<NetworkInterface>(job).await?;
    remove::<SecurityGroupRule>(job).await?;
    remove::<SecurityGroup>(job).await?;
    remove::<RouteTable>(job).await?;
    remove::<Subnet>(job).await?;
    remove::<InternetGateway>(job).await?;
    remove::<Vpc>(job).await
}

/// Removes all the disks of a resource that is known to hold data, which is planned for whoever asked
/// for that alone; a disk of any other, such as the root of a machine, goes with what it belongs to.
async fn remove_disk(job: &Job<'_>, resource: &Resource) -> Result<(), BackendError> {
    if resource.holds_data() { remove::<Volume>(job).await } else { Ok(()) }
}

/// What a machine does at its first boot, which nobody has to be asked for.
fn render(request: &RenderUserData) -> Result<Outputs, BackendError> {
    let text = pack::render(request, &BTreeMap::new())
        .map_err(|error| BackendError::unreadable(&error.to_string()))?;
    Ok(Outputs::from([(UserDataText::NAME.to_owned(), text.0)]))
}
