//! Target groups: how one is made what it should be, and how everything leaves it.

use std::collections::BTreeSet;

use deployix_core::backend::BackendError;

use super::{
    balancer::{find, tags_of_balancing_requests},
    call::{Filter, Write},
    caller::Caller,
    job::{Job, Outputs, tag},
    kind::{Kind, Once, own},
    network::output,
    part::Whole,
    shape::{AutoScalingGroup, TargetGroup},
    target::leave,
};
use crate::{
    naming::RESOURCE,
    request::{CreateTargetGroup, InstanceId, Service, Tag, TargetGroupArn},
};

/// A target group's settings that can be changed.
fn health_check(settings: &CreateTargetGroup) -> impl PartialEq + use<> {
    (
        settings.health_check_protocol.clone(),
        settings.health_check_port.clone(),
        settings.health_check_path.clone(),
        settings.matcher.clone(),
        settings.health_check_interval_seconds,
        settings.health_check_timeout_seconds,
        (settings.healthy_threshold_count, settings.unhealthy_threshold_count),
    )
}

impl Kind for TargetGroup {
    type Request = CreateTargetGroup;

    const NOUN: &'static str = "the target group";
    const ONCE: Once = Once::Name;
    const LINGERS: bool = true;

    tags_of_balancing_requests!();

    fn id(&self) -> String {
        self.target_group_arn.clone()
    }

    /// Its name holds the digest of what cannot be changed.
    fn fits(&self, _: &Job<'_>, request: &CreateTargetGroup) -> bool {
        self.settings.name == request.name && self.settings.vpc_id == request.vpc_id
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&TargetGroupArn(self.target_group_arn.clone()))])
    }

    fn settings(&self) -> String {
        let it = &self.settings;
        format!(
            "{} {} {} every {} s within {} s with thresholds {} and {}",
            it.health_check_protocol,
            it.health_check_port,
            it.health_check_path.as_deref().unwrap_or_default(),
            it.health_check_interval_seconds,
            it.health_check_timeout_seconds.unwrap_or_default(),
            it.healthy_threshold_count,
            it.unhealthy_threshold_count
        )
    }

    async fn find(aws: &Caller<'_>, filters: Vec<Filter>) -> Result<Vec<Self>, BackendError> {
        find(aws, filters).await
    }

    async fn adjust(
        &self,
        job: &Job<'_>,
        request: &CreateTargetGroup,
    ) -> Result<bool, BackendError> {
        let mut has = self.settings.clone();
        // AWS chooses one where none is wanted.
        if request.health_check_timeout_seconds.is_none() {
            has.health_check_timeout_seconds = None;
        }
        if health_check(&has) == health_check(request) {
            return Ok(false);
        }
        let target_group_arn = self.target_group_arn.clone();
        let health_check = Box::new(request.clone());
        job.aws.write(Write::ModifyTargetGroup { target_group_arn, health_check }).await?;
        Ok(true)
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        leave_groups(job, &self.target_group_arn, |_| true).await?;
        let target_group_arn = self.target_group_arn.clone();
        job.aws.remove(Write::DeleteTargetGroup { target_group_arn }).await
    }
}

impl Whole for TargetGroup {
    /// An autoscaling group leaves with its machines; attributes have no state to go back to.
    async fn undo(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let Some((_, target)) = job.id.as_str().rsplit_once("/machines/") else { return Ok(()) };
        let own = format!("{}/target/{target}/", crate::ID);
        let is_own = |group: &AutoScalingGroup| {
            tag(&group.tags, RESOURCE).is_some_and(|id| id.starts_with(&own))
        };
        let leaving = leave_groups(job, &self.target_group_arn, is_own).await?;
        leave(job, &self.target_group_arn, |target| leaving.contains(&target.id)).await
    }
}

/// Takes a target group from autoscaling groups of the deployment, and tells their machines.
async fn leave_groups(
    job: &Job<'_>,
    arn: &str,
    leaves: impl Fn(&AutoScalingGroup) -> bool + Send,
) -> Result<BTreeSet<InstanceId>, BackendError> {
    let mut machines = BTreeSet::new();
    let mut groups = own::<AutoScalingGroup>(job, None).await?;
    groups.retain(leaves);
    for group in groups {
        machines.extend(group.instances.iter().map(|machine| machine.instance_id.clone()));
        if group.target_group_arns.iter().any(|it| it == arn) {
            let write = Write::DetachLoadBalancerTargetGroups {
                auto_scaling_group_name: group.auto_scaling_group_name,
                target_group_arns: vec![arn.to_owned()],
            };
            job.aws.remove(write).await?;
        }
    }
    Ok(machines)
}
