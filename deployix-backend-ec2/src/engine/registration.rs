//! Registrations: each machine's own part in a target group.
//!
//! A tag of the machine's network interface tells of it, like that of any part: the interface stays when
//! the machine is replaced, and has room, where a target group takes 50 tags for all of its machines
//! (Elastic Load Balancing API Reference, `AddTags`).

use std::collections::BTreeSet;

use deployix_core::{ResourceId, backend::BackendError};

use super::{
    call::{Filter, Write},
    job::{Job, Outputs, is_made_for, known, tag},
    kind::{Kind, VISIBLE, made_as, own, telling},
    observe::Seen,
    part::{done, whole},
    shape::{Instance, NetworkInterface, TargetGroup, TargetHealth},
    target::{enter, healthy, leave, targets},
    wait::Waiting,
};
use crate::{
    naming::{RESOURCE, part_key, registered},
    request::{InstanceId, RegisterTargets},
};

/// A machine's interfaces: there is one in each subnet that it moves through.
const INTERFACES: &str = "interface/*";

/// Registers a machine, and waits until it is healthy where AWS checks that.
pub(super) async fn make(
    job: &Job<'_>,
    request: &RegisterTargets,
) -> Result<Outputs, BackendError> {
    let ([target], Some((_, interface))) =
        (request.targets.as_slice(), registered(job.id, INTERFACES))
    else {
        return Err(BackendError::unreadable("it registers one machine, which its id tells"));
    };
    let (machine, arn) = (known(&target.id)?, &known(&request.target_group_arn)?.0);
    let group: TargetGroup = whole(job, arn).await?;
    if job.is_change() {
        send_away_others(job, arn).await?;
    }
    enter(job, arn, machine, target.port).await?;
    healthy(job, &group, |it| it.id == *machine && it.port == target.port).await?;
    if job.is_change() {
        // It is led to at the port before until it serves at the other.
        leave(job, arn, |it| it.id == *machine && it.port != target.port).await?;
    }
    done(job, &interface_of(job, &interface, machine).await?).await
}

/// The network interface that a machine has, once AWS shows it.
async fn interface_of(
    job: &Job<'_>,
    resource: &str,
    machine: &InstanceId,
) -> Result<NetworkInterface, BackendError> {
    let what = format!("{machine} to be shown with its network interface");
    let mut wait = Waiting::new(&job.aws, VISIBLE, what);
    loop {
        let all: Vec<NetworkInterface> = made_as(job, resource).await?;
        if let Some(own) = all.into_iter().find(|it| it.instance_id.as_ref() == Some(machine)) {
            return Ok(own);
        }
        if !wait.go_on(format!("it has none of {resource}")).await {
            let to_do = Instance::look_at(machine.as_str());
            return Err(wait.over(telling::<NetworkInterface>(), &to_do));
        }
    }
}

/// Takes a machine out of its target group, and waits until it has ended what it is at.
pub(super) async fn remove(job: &Job<'_>) -> Result<(), BackendError> {
    let Some((group, machine)) = registered(job.id, "instance") else { return Ok(()) };
    let groups: Vec<TargetGroup> = own(job, Some(&group)).await?;
    if !groups.is_empty() {
        let machines: Vec<Instance> = made_as(job, &machine).await?;
        let leaving: BTreeSet<_> = machines.into_iter().map(|it| it.instance_id).collect();
        for group in groups {
            leave(job, &group.target_group_arn, |target| leaving.contains(&target.id)).await?;
        }
    }
    let Some((_, interface)) = registered(job.id, INTERFACES) else { return Ok(()) };
    let key = part_key(job.id);
    let interfaces: Vec<NetworkInterface> = made_as(job, &interface).await?;
    for interface in interfaces.iter().filter(|it| tag(&it.tags, &key).is_some()) {
        let (resources, tag_keys) = (vec![interface.id()], vec![key.clone()]);
        job.aws.remove(Write::DeleteTags { resources, tag_keys }).await?;
    }
    Ok(())
}

/// Takes out of a target group whatever is known to be no machine of this deployment.
async fn send_away_others(job: &Job<'_>, arn: &str) -> Result<(), BackendError> {
    let has = targets(&job.aws, arn).await?;
    let ids = has.iter().filter(|it| it.is_in()).map(|it| it.id.as_str());
    let machines: Vec<Instance> = job.aws.all(vec![Filter::new("instance-id", ids)]).await?;
    let others = machines.into_iter().filter(|it| !is_made_for(job.deployment(), &it.tags));
    let others: BTreeSet<_> = others.map(|it| it.instance_id).collect();
    leave(job, arn, |target| others.contains(&target.id)).await
}

/// A target group and who takes part in it.
pub(super) struct Group<'a> {
    pub(super) group: &'a TargetGroup,
    pub(super) has: &'a [TargetHealth],
    /// All machines of the deployment.
    pub(super) machines: &'a [Instance],
}

impl Group<'_> {
    /// Tells which machines take part in it, as far as their interfaces say that they should, and which
    /// of these nobody is led to: a run that registered one may have ended before it was healthy. What
    /// is nobody's of the deployment is told with the first.
    pub(super) fn observe(&self, interfaces: &[NetworkInterface], seen: &mut Seen) {
        let Some(of) = tag(&self.group.tags, RESOURCE) else { return };
        let is_in = |id: &ResourceId| registered(id, INTERFACES).is_some_and(|it| it.0 == of);
        let is_ours = |id: &InstanceId| self.machines.iter().any(|it| it.instance_id == *id);
        let others = self.has.iter().filter(|it| !is_ours(&it.id));
        let mut others: Vec<String> = others
            .map(|it| format!("{} is behind it at port {} as well", it.id, it.port))
            .collect();
        for interface in interfaces {
            let own = self.has.iter().find(|it| interface.instance_id.as_ref() == Some(&it.id));
            let Some(target) = own else { continue };
            let drift: Vec<String> =
                target.ill().into_iter().chain(others.iter().cloned()).collect();
            let told = seen.parts_of(&interface.tags, &self.group.tags, |id, _| {
                is_in(id).then(|| drift.clone())
            });
            if !told.is_empty() {
                others.clear();
            }
        }
    }
}
