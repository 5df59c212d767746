//! Autoscaling groups.

use aws_sdk_autoscaling::{operation as api, types};

use super::{InputError, ToSdk, whole};
use crate::request::{AttachLoadBalancerTargetGroups, AutoScalingTag, CreateAutoScalingGroup};

impl ToSdk for CreateAutoScalingGroup {
    type Sdk = api::create_auto_scaling_group::builders::CreateAutoScalingGroupInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let template = types::LaunchTemplateSpecification::builder()
            .launch_template_name(&self.launch_template.launch_template_name)
            .version(&self.launch_template.version)
            .build();
        let policy = types::InstanceMaintenancePolicy::builder()
            .min_healthy_percentage(whole(self.instance_maintenance_policy.min_healthy_percentage)?)
            .max_healthy_percentage(whole(self.instance_maintenance_policy.max_healthy_percentage)?)
            .build();
        let subnets = self.vpc_zone_identifier.to_sdk()?.unwrap_or_default();
        Ok(Self::Sdk::default()
            .auto_scaling_group_name(&self.auto_scaling_group_name)
            .launch_template(template)
            .min_size(whole(self.min_size)?)
            .max_size(whole(self.max_size)?)
            .vpc_zone_identifier(subnets.join(","))
            .health_check_type(&self.health_check_type)
            .health_check_grace_period(whole(self.health_check_grace_period)?)
            .instance_maintenance_policy(policy)
            .set_tags(self.tags.to_sdk()?))
    }
}

impl ToSdk for AutoScalingTag {
    type Sdk = types::Tag;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::Tag::builder()
            .key(&self.key)
            .value(&self.value)
            .propagate_at_launch(self.propagate_at_launch)
            .build())
    }
}

impl ToSdk for AttachLoadBalancerTargetGroups {
    type Sdk = api::attach_load_balancer_target_groups::builders::AttachLoadBalancerTargetGroupsInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .auto_scaling_group_name(&self.auto_scaling_group_name)
            .set_target_group_arns(self.target_group_arns.to_sdk()?))
    }
}
