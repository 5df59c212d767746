//! Autoscaling groups.

use aws_sdk_autoscaling::types;

use super::{all, any, id, number, tag, text};
use crate::{
    engine::{
        call::CallError,
        shape::{AutoScalingGroup, AutoScalingInstance},
    },
    request::{InstanceId, InstanceMaintenancePolicy, LaunchTemplateRef, SubnetId, Tag},
};

impl TryFrom<&types::TagDescription> for Tag {
    type Error = CallError;

    fn try_from(told: &types::TagDescription) -> Result<Self, CallError> {
        tag(told.key(), told.value())
    }
}

impl TryFrom<&types::AutoScalingGroup> for AutoScalingGroup {
    type Error = CallError;

    fn try_from(told: &types::AutoScalingGroup) -> Result<Self, CallError> {
        let subnets = told.vpc_zone_identifier().unwrap_or_default().split(',').map(str::trim);
        let subnets = subnets.filter(|it| !it.is_empty());
        let subnet = |it| id(Some(it), "VPCZoneIdentifier", SubnetId::new);
        Ok(Self {
            auto_scaling_group_name: text(told.auto_scaling_group_name(), "AutoScalingGroupName")?,
            launch_template: template(told.launch_template()),
            min_size: number(told.min_size(), "MinSize")?,
            max_size: number(told.max_size(), "MaxSize")?,
            subnets: subnets.map(subnet).collect::<Result<_, _>>()?,
            health_check_type: text(told.health_check_type(), "HealthCheckType")?,
            health_check_grace_period: number(
                told.health_check_grace_period().or(Some(0)),
                "HealthCheckGracePeriod",
            )?,
            instance_maintenance_policy: policy(told.instance_maintenance_policy())?,
            target_group_arns: told.target_group_arns().to_vec(),
            instances: all(told.instances())?,
            status: told.status().map(str::to_owned),
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::Instance> for AutoScalingInstance {
    type Error = CallError;

    fn try_from(told: &types::Instance) -> Result<Self, CallError> {
        let state = told.lifecycle_state().map(|it| it.as_str());
        Ok(Self {
            instance_id: id(told.instance_id(), "InstanceId", InstanceId::new)?,
            lifecycle_state: text(state, "LifecycleState")?,
            health_status: text(told.health_status(), "HealthStatus")?,
            launch_template: template(told.launch_template()),
        })
    }
}

/// The template that something was started from. There is none where somebody put a machine into
/// a group, or made the group use several; that is a template of no name.
fn template(told: Option<&types::LaunchTemplateSpecification>) -> LaunchTemplateRef {
    LaunchTemplateRef {
        launch_template_name: any(told.and_then(|it| it.launch_template_name())),
        version: any(told.and_then(|it| it.version())),
    }
}

/// What is kept in service; a group that somebody took it from keeps nothing, and -1 says the same
/// (Amazon EC2 Auto Scaling API Reference, `InstanceMaintenancePolicy`).
fn policy(
    told: Option<&types::InstanceMaintenancePolicy>,
) -> Result<InstanceMaintenancePolicy, CallError> {
    let percentage = |told: Option<i32>, field| match told {
        None | Some(-1) => Ok(0),
        some => number(some, field),
    };
    let (min, max) = (
        told.and_then(|it| it.min_healthy_percentage()),
        told.and_then(|it| it.max_healthy_percentage()),
    );
    Ok(InstanceMaintenancePolicy {
        min_healthy_percentage: percentage(min, "MinHealthyPercentage")?,
        max_healthy_percentage: percentage(max, "MaxHealthyPercentage")?,
    })
}
