//! Requests for autoscaling groups.

use serde::{Deserialize, Serialize};

use super::{LaunchTemplateRef, TargetGroupArn, Value};

/// Makes an autoscaling group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateAutoScalingGroup {
    /// Its name, at most 255 characters, unique in the account and region.
    pub auto_scaling_group_name: String,
    /// What its machines are started from.
    pub launch_template: LaunchTemplateRef,
    /// How many machines it has at least.
    pub min_size: u32,
    /// How many machines it has at most.
    pub max_size: u32,
    /// Its subnets' ids with commas between them: the API takes them as one text, so the parts are
    /// kept apart here and joined when the request is sent.
    #[serde(rename = "VPCZoneIdentifier")]
    pub vpc_zone_identifier: Vec<Value<super::SubnetId>>,
    /// `ELB`: a machine that its load balancer finds ill is replaced. Without a load balancer this
    /// is the same as `EC2` (Amazon EC2 Auto Scaling User Guide, "Health checks").
    pub health_check_type: String,
    /// How long a new machine may take before its health counts, in seconds.
    pub health_check_grace_period: u32,
    /// How many machines stay in service while others are replaced.
    pub instance_maintenance_policy: InstanceMaintenancePolicy,
    /// Its tags.
    pub tags: Vec<AutoScalingTag>,
}

/// How many machines stay in service, in percent of those wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct InstanceMaintenancePolicy {
    /// At least so many.
    pub min_healthy_percentage: u32,
    /// At most so many.
    pub max_healthy_percentage: u32,
}

/// A tag of an autoscaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AutoScalingTag {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Whether its machines get it as well.
    pub propagate_at_launch: bool,
}

/// Makes a group's machines take part in target groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AttachLoadBalancerTargetGroups {
    /// The autoscaling group.
    pub auto_scaling_group_name: String,
    /// The target groups.
    #[serde(rename = "TargetGroupARNs")]
    pub target_group_arns: Vec<Value<TargetGroupArn>>,
}
