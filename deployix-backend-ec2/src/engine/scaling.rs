//! Autoscaling groups.

use std::time::Duration;

use deployix_core::backend::BackendError;

use super::{
    call::{Described, Filter, Write},
    job::{Job, Outputs, all_known},
    kind::{Kind, Once, State, named},
    shape::{AutoScalingGroup, NetworkInterface},
    wait::Waiting,
};
use crate::request::{AutoScalingTag, CreateAutoScalingGroup, Service, Tag};

/// A tag that the machines do not get.
pub(super) fn own_tag(tag: Tag) -> AutoScalingTag {
    AutoScalingTag { key: tag.key, value: tag.value, propagate_at_launch: false }
}

impl AutoScalingGroup {
    /// Its machines that are not on their way out.
    fn in_service(&self) -> usize {
        let healthy = |it: &&super::shape::AutoScalingInstance| {
            it.lifecycle_state == "InService" && it.health_status == "Healthy"
        };
        self.instances.iter().filter(healthy).count()
    }
}

impl Kind for AutoScalingGroup {
    type Request = CreateAutoScalingGroup;

    const SERVICE: Service = Service::AutoScaling;
    const NOUN: &'static str = "the autoscaling group";
    const ONCE: Once = Once::Name;
    const READY_WITHIN: Duration = Duration::from_secs(1800);
    const READY: &'static str = "to have its machines in service";

    fn look_at(id: &str) -> String {
        format!(
            "look at its activity history (`aws autoscaling describe-scaling-activities \
             --auto-scaling-group-name {id}`)"
        )
    }

    fn id(&self) -> String {
        self.auto_scaling_group_name.clone()
    }

    fn tags(&self) -> &[Tag] {
        &self.tags
    }

    fn add_tags(request: &mut CreateAutoScalingGroup, tags: &[Tag]) {
        request.tags.extend(tags.iter().cloned().map(own_tag));
    }

    fn compiled_tags(request: &CreateAutoScalingGroup) -> Vec<Tag> {
        request.tags.iter().map(|tag| Tag::new(&tag.key, &tag.value)).collect()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateAutoScalingGroup) -> bool {
        self.auto_scaling_group_name == request.auto_scaling_group_name
    }

    fn state(&self) -> State {
        let (has, wants) = (self.in_service(), self.min_size as usize);
        match &self.status {
            Some(_) => State::Going,
            None if has >= wants => State::Ready,
            None => State::Pending(format!("{has} of its {wants} machines are in service")),
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs::new()
    }

    fn settings(&self) -> String {
        let Self { min_size, max_size, launch_template, .. } = self;
        let mut subnets: Vec<_> = self.subnets.iter().map(ToString::to_string).collect();
        subnets.sort();
        let (of, within) = (&launch_template.launch_template_name, subnets.join(" "));
        format!("{min_size} to {max_size} of {of} in {within}")
    }

    async fn adjust(
        &self,
        job: &Job<'_>,
        request: &CreateAutoScalingGroup,
    ) -> Result<bool, BackendError> {
        let (mut wanted, mut subnets) =
            (all_known(&request.vpc_zone_identifier)?, self.subnets.clone());
        wanted.sort();
        subnets.sort();
        let same = self.launch_template == request.launch_template
            && self.min_size == request.min_size
            && self.max_size == request.max_size
            && subnets == wanted
            && self.health_check_type == request.health_check_type
            && self.health_check_grace_period == request.health_check_grace_period
            && self.instance_maintenance_policy == request.instance_maintenance_policy;
        if !same {
            let group = Box::new(request.clone());
            job.aws.write(Write::UpdateAutoScalingGroup { group }).await?;
        }
        let refreshed = refresh(job, request).await?;
        Ok(!same || refreshed)
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let auto_scaling_group_name = self.auto_scaling_group_name.clone();
        let write = Write::DeleteAutoScalingGroup { auto_scaling_group_name, force_delete: true };
        job.aws.remove(write).await
    }
}

/// Whether a group has a machine that was started from another template, or is in a subnet that is
/// none of the group's any more: AWS leaves machines where they are.
async fn is_behind(
    job: &Job<'_>,
    request: &CreateAutoScalingGroup,
    group: &AutoScalingGroup,
) -> Result<bool, BackendError> {
    let mut machines = group.instances.iter();
    if machines.any(|machine| machine.launch_template != request.launch_template) {
        return Ok(true);
    }
    if group.instances.is_empty() {
        return Ok(false);
    }
    let subnets = all_known(&request.vpc_zone_identifier)?;
    let machines = group.instances.iter().map(|machine| machine.instance_id.as_str());
    let of_machines = Filter::new("attachment.instance-id", machines);
    let interfaces: Vec<NetworkInterface> = job.aws.all(vec![of_machines]).await?;
    Ok(interfaces.iter().any(|interface| !subnets.contains(&interface.subnet_id)))
}

/// Replaces the machines of a group where some are not as they are wanted, a few at a time, and waits
/// until that is done.
async fn refresh(job: &Job<'_>, request: &CreateAutoScalingGroup) -> Result<bool, BackendError> {
    let name = &request.auto_scaling_group_name;
    let what = format!("the refresh of {} to end", named::<AutoScalingGroup>(name));
    let mut wait = Waiting::new(&job.aws, Duration::from_secs(3600), what);
    let mut begun = false;
    loop {
        let filter = Filter::new(AutoScalingGroup::ID_FILTER, [name.as_str()]);
        let groups = job.aws.all::<AutoScalingGroup>(vec![filter]).await?;
        let Some(group) = groups.first() else { return Ok(begun) };
        if !is_behind(job, request, group).await? {
            return Ok(begun);
        }
        let refresh = job.aws.refresh(name.clone()).await?;
        let mut how = "it was just started".to_owned();
        match refresh.as_deref() {
            Some(
                state @ ("Pending" | "InProgress" | "Baking" | "Cancelling" | "RollbackInProgress"),
            ) => how = format!("it is {state}"),
            Some(state @ ("Failed" | "RollbackFailed" | "RollbackSuccessful")) if begun => {
                let message = format!(
                    "the refresh of {name} ended as {state}: new machines do not get healthy; {}",
                    AutoScalingGroup::look_at(name)
                );
                let kind = deployix_core::backend::ErrorKind::Unexpected;
                return Err(BackendError::permanent(kind, "StartInstanceRefresh", message));
            }
            _ => {
                let auto_scaling_group_name = name.clone();
                job.aws.write(Write::StartInstanceRefresh { auto_scaling_group_name }).await?;
            }
        }
        begun = true;
        if !wait.go_on(how).await {
            let to_do = AutoScalingGroup::look_at(name);
            return Err(wait.over("DescribeInstanceRefreshes", &to_do));
        }
    }
}
