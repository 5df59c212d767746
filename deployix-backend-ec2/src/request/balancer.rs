//! Requests for network load balancers.

use serde::{Deserialize, Serialize};

use super::{GroupId, InstanceId, LoadBalancerArn, SubnetId, Tag, TargetGroupArn, Value, VpcId};

/// Makes a load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateLoadBalancer {
    /// Its name: at most 32 letters, digits and hyphens, not starting with `internal-`.
    pub name: String,
    /// Always `network`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Who can reach it.
    pub scheme: BalancerScheme,
    /// Always `ipv4`.
    pub ip_address_type: String,
    /// Its subnets, each in a zone of its own.
    pub subnets: Vec<Value<SubnetId>>,
    /// Its security groups; one that starts without any can never get one.
    pub security_groups: Vec<Value<GroupId>>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// Who can reach a load balancer, as far as its security groups let them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerScheme {
    /// Machines of its network.
    Internal,
    /// Anyone.
    InternetFacing,
}

/// Makes a target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateTargetGroup {
    /// Its name: at most 32 letters, digits and hyphens.
    pub name: String,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// The port of machines that are registered without one.
    pub port: u16,
    /// Its network.
    pub vpc_id: Value<VpcId>,
    /// Always `instance`.
    pub target_type: String,
    /// `TCP` or `HTTP`.
    pub health_check_protocol: String,
    /// At which port to check, or [`EACH_ITS_OWN`](Self::EACH_ITS_OWN).
    pub health_check_port: String,
    /// What to ask for, over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_path: Option<String>,
    /// What to take for an answer, over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matcher: Option<Matcher>,
    /// How often to check, in seconds.
    pub health_check_interval_seconds: u32,
    /// How long a check may take, in seconds; as AWS chooses where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_timeout_seconds: Option<u32>,
    /// How many good checks in a row make a machine healthy.
    pub healthy_threshold_count: u32,
    /// How many bad checks in a row make it ill.
    pub unhealthy_threshold_count: u32,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl CreateTargetGroup {
    /// That each machine is checked at the port with which it is registered (Elastic Load Balancing API
    /// Reference, `CreateTargetGroup`).
    pub const EACH_ITS_OWN: &'static str = "traffic-port";
}

/// Answers that count as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Matcher {
    /// Their status, such as `200-399`.
    pub http_code: String,
}

/// Makes a load balancer listen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateListener {
    /// The load balancer.
    pub load_balancer_arn: Value<LoadBalancerArn>,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// The port.
    pub port: u16,
    /// What to do with connections.
    pub default_actions: Vec<Action>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What a listener does with a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Action {
    /// Always `forward`.
    #[serde(rename = "Type")]
    pub kind: ForwardTo,
    /// To which machines.
    pub target_group_arn: Value<TargetGroupArn>,
}

/// The only kind of action that a network load balancer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardTo {
    /// Forwards to a target group.
    Forward,
}

/// Makes machines take part in a target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RegisterTargets {
    /// The target group.
    pub target_group_arn: Value<TargetGroupArn>,
    /// The machines.
    pub targets: Vec<TargetDescription>,
}

/// A machine of a target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TargetDescription {
    /// The machine.
    pub id: Value<InstanceId>,
    /// Its port.
    pub port: u16,
}

/// Sets attributes of a load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyLoadBalancerAttributes {
    /// The load balancer.
    pub load_balancer_arn: Value<LoadBalancerArn>,
    /// The attributes.
    pub attributes: Vec<Attribute>,
}

/// Sets attributes of a target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyTargetGroupAttributes {
    /// The target group.
    pub target_group_arn: Value<TargetGroupArn>,
    /// The attributes.
    pub attributes: Vec<Attribute>,
}

/// An attribute of a load balancer, a target group or a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Attribute {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Attribute {
    /// The key of the attribute of a machine that says whether it is protected from being ended (Amazon
    /// EC2 API Reference, `DescribeInstanceAttribute`): `true`, or `false`.
    pub const PROTECTED: &'static str = "disableApiTermination";

    /// An attribute.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}
