//! Registrations: each machine's own part in a target group.
//!
//! A tag of the machine's network interface tells of it, like that of any part: the interface stays when
//! the machine is replaced, and has room, where a target group takes 50 tags for all of its machines
//! (Elastic Load Balancing API Reference, `AddTags`).

use std::{collections::BTreeSet, time::Duration};

use deployix_core::backend::BackendError;

use super::{
    call::Write,
    caller::{Waiting, too_long},
    job::{Job, Outputs, by_tags, known, tag},
    kind::{Kind, made_as},
    observe::Seen,
    part::{done, whole},
    shape::{Instance, NetworkInterface, TargetGroup, TargetHealth},
    target::{enter, healthy, leave},
};
use crate::{
    naming::{RESOURCE, part_key, registered},
    request::{InstanceId, RegisterTargets},
};

/// Registers a machine, and waits until it is healthy where AWS checks that.
pub(super) async fn make(
    job: &Job<'_>,
    request: &RegisterTargets,
) -> Result<Outputs, BackendError> {
    let ([target], Some((_, interface))) =
        (request.targets.as_slice(), registered(job.id, "interface"))
    else {
        return Err(BackendError::unreadable("it registers one machine, which its id tells"));
    };
    let (machine, arn) = (known(&target.id)?, &known(&request.target_group_arn)?.0);
    let group: TargetGroup = whole(job, arn).await?;
    enter(job, arn, machine, target.port).await?;
    healthy(job, &group, |it| it.id == *machine && it.port == target.port).await?;
    done(job, &interface_of(job, &interface, machine).await?).await
}

/// The network interface that a machine has, once AWS shows it.
async fn interface_of(
    job: &Job<'_>,
    resource: &str,
    machine: &InstanceId,
) -> Result<NetworkInterface, BackendError> {
    let mut wait = Waiting::new(Duration::from_secs(60));
    loop {
        let all: Vec<NetworkInterface> = made_as(job, resource).await?;
        if let Some(own) = all.into_iter().find(|it| it.instance_id.as_ref() == Some(machine)) {
            return Ok(own);
        }
        if !wait.go_on().await {
            return Err(too_long("apply", format!("{machine} has no interface of {resource}")));
        }
    }
}

/// Takes a machine out of its target group, and waits until it has ended what it is at.
pub(super) async fn remove(job: &Job<'_>) -> Result<(), BackendError> {
    let Some((group, machine)) = registered(job.id, "instance") else { return Ok(()) };
    let groups = TargetGroup::find(&job.aws, by_tags(job.deployment().as_str(), Some(&group)));
    let groups = groups.await?;
    if !groups.is_empty() {
        let machines: Vec<Instance> = made_as(job, &machine).await?;
        let own: BTreeSet<_> = machines.into_iter().map(|it| it.instance_id).collect();
        for group in groups {
            leave(job, &group.target_group_arn, |target| own.contains(&target.id)).await?;
        }
    }
    let Some((_, interface)) = registered(job.id, "interface") else { return Ok(()) };
    let key = part_key(job.id);
    let interfaces: Vec<NetworkInterface> = made_as(job, &interface).await?;
    for interface in interfaces.iter().filter(|it| tag(&it.tags, &key).is_some()) {
        let (resources, tag_keys) = (vec![interface.id()], vec![key.clone()]);
        job.aws.remove(Write::DeleteTags { resources, tag_keys }).await?;
    }
    Ok(())
}

/// Tells which machines take part in a target group, as far as their interfaces say that they should,
/// and which of these nobody is led to: a run that registered one may have ended before it was healthy.
pub(super) fn observe(
    group: &TargetGroup,
    targets: &[TargetHealth],
    interfaces: &[NetworkInterface],
    seen: &mut Seen,
) {
    let Some(of) = tag(&group.tags, RESOURCE) else { return };
    for interface in interfaces {
        let is_own = |it: &&TargetHealth| interface.instance_id.as_ref() == Some(&it.id);
        let target = targets.iter().filter(is_own).find(|it| it.is_in());
        let there = target.map(|it| it.ill().into_iter().collect());
        let is_in_group = |id: &deployix_core::ResourceId| {
            registered(id, "interface").is_some_and(|(group, _)| group == of)
        };
        seen.parts_of(&interface.tags, &group.tags, is_in_group, there);
    }
}
