//! Load balancers, target groups, listeners.

use aws_sdk_elasticloadbalancingv2::types;

use super::{all, id, number, tag, text};
use crate::{
    engine::{
        call::CallError,
        shape::{Listener, LoadBalancer, TargetGroup, TargetHealth},
    },
    request::{
        Action, Attribute, BalancerScheme, CreateTargetGroup, ForwardTo, GroupId, InstanceId,
        Matcher, SubnetId, Tag, TargetGroupArn, VpcId,
    },
};

impl TryFrom<&types::Tag> for Tag {
    type Error = CallError;

    fn try_from(told: &types::Tag) -> Result<Self, CallError> {
        tag(told.key(), told.value())
    }
}

impl TryFrom<&types::TargetGroupAttribute> for Attribute {
    type Error = CallError;

    fn try_from(told: &types::TargetGroupAttribute) -> Result<Self, CallError> {
        Ok(Self { key: text(told.key(), "Key")?, value: super::any(told.value()) })
    }
}

impl TryFrom<&types::LoadBalancerAttribute> for Attribute {
    type Error = CallError;

    fn try_from(told: &types::LoadBalancerAttribute) -> Result<Self, CallError> {
        Ok(Self { key: text(told.key(), "Key")?, value: super::any(told.value()) })
    }
}

impl TryFrom<&types::LoadBalancer> for LoadBalancer {
    type Error = CallError;

    fn try_from(told: &types::LoadBalancer) -> Result<Self, CallError> {
        let scheme = text(told.scheme().map(|it| it.as_str()), "Scheme")?;
        let scheme = match scheme.as_str() {
            "internal" => BalancerScheme::Internal,
            "internet-facing" => BalancerScheme::InternetFacing,
            other => return Err(CallError::unreadable(format!("Scheme is {other:?}"))),
        };
        let state = told.state().and_then(|it| it.code()).map(|it| it.as_str());
        let reason = told.state().and_then(|it| it.reason()).filter(|it| !it.is_empty());
        let subnet = |it: &types::AvailabilityZone| id(it.subnet_id(), "SubnetId", SubnetId::new);
        let group = |it: &String| id(Some(it), "SecurityGroups", GroupId::new);
        Ok(Self {
            load_balancer_arn: text(told.load_balancer_arn(), "LoadBalancerArn")?,
            load_balancer_name: text(told.load_balancer_name(), "LoadBalancerName")?,
            scheme,
            dns_name: text(told.dns_name(), "DNSName")?,
            canonical_hosted_zone_id: text(
                told.canonical_hosted_zone_id(),
                "CanonicalHostedZoneId",
            )?,
            state: text(state, "State.Code")?,
            state_reason: reason.map(str::to_owned),
            subnets: told.availability_zones().iter().map(subnet).collect::<Result<_, _>>()?,
            security_groups: told.security_groups().iter().map(group).collect::<Result<_, _>>()?,
            tags: Vec::new(),
        })
    }
}

impl TryFrom<&types::TargetGroup> for TargetGroup {
    type Error = CallError;

    fn try_from(told: &types::TargetGroup) -> Result<Self, CallError> {
        let settings = CreateTargetGroup {
            name: text(told.target_group_name(), "TargetGroupName")?,
            protocol: text(told.protocol().map(|it| it.as_str()), "Protocol")?,
            port: number(told.port(), "Port")?,
            vpc_id: id(told.vpc_id(), "VpcId", VpcId::new)?.into(),
            target_type: text(told.target_type().map(|it| it.as_str()), "TargetType")?,
            health_check_protocol: text(
                told.health_check_protocol().map(|it| it.as_str()),
                "HealthCheckProtocol",
            )?,
            health_check_port: text(told.health_check_port(), "HealthCheckPort")?,
            health_check_path: told.health_check_path().map(str::to_owned),
            matcher: told
                .matcher()
                .and_then(|it| it.http_code())
                .map(|it| Matcher { http_code: it.to_owned() }),
            health_check_interval_seconds: number(
                told.health_check_interval_seconds(),
                "HealthCheckIntervalSeconds",
            )?,
            health_check_timeout_seconds: told
                .health_check_timeout_seconds()
                .map(|it| number(Some(it), "HealthCheckTimeoutSeconds"))
                .transpose()?,
            healthy_threshold_count: number(
                told.healthy_threshold_count(),
                "HealthyThresholdCount",
            )?,
            unhealthy_threshold_count: number(
                told.unhealthy_threshold_count(),
                "UnhealthyThresholdCount",
            )?,
            tags: Vec::new(),
        };
        let target_group_arn = text(told.target_group_arn(), "TargetGroupArn")?;
        Ok(Self { target_group_arn, settings, tags: Vec::new() })
    }
}

impl TryFrom<&types::Listener> for Listener {
    type Error = CallError;

    fn try_from(told: &types::Listener) -> Result<Self, CallError> {
        Ok(Self {
            listener_arn: text(told.listener_arn(), "ListenerArn")?,
            load_balancer_arn: text(told.load_balancer_arn(), "LoadBalancerArn")?,
            port: number(told.port(), "Port")?,
            protocol: text(told.protocol().map(|it| it.as_str()), "Protocol")?,
            default_actions: told.default_actions().iter().flat_map(actions).collect(),
            tags: Vec::new(),
        })
    }
}

/// An action for each target group that connections go to: more than one where somebody weighted
/// them by hand, and none where they go to no target group.
fn actions(told: &types::Action) -> Vec<Action> {
    let weighted = told.forward_config().map(|it| it.target_groups()).unwrap_or_default();
    let arns: Vec<&str> = match told.target_group_arn() {
        Some(arn) => vec![arn],
        None => weighted.iter().filter_map(|it| it.target_group_arn()).collect(),
    };
    let action = |arn: &str| Action {
        kind: ForwardTo::Forward,
        target_group_arn: TargetGroupArn(arn.to_owned()).into(),
    };
    arns.into_iter().map(action).collect()
}

impl TryFrom<&types::TargetHealthDescription> for TargetHealth {
    type Error = CallError;

    fn try_from(told: &types::TargetHealthDescription) -> Result<Self, CallError> {
        let target = super::there(told.target(), "Target")?;
        let health = told.target_health();
        let state = health.and_then(|it| it.state()).map(|it| it.as_str());
        let reason = health.and_then(|it| it.reason()).map(|it| it.as_str().to_owned());
        let description = health.and_then(|it| it.description()).map(str::to_owned);
        Ok(Self {
            id: id(target.id(), "Target.Id", InstanceId::new)?,
            port: number(target.port(), "Target.Port")?,
            state: text(state, "TargetHealth.State")?,
            reason,
            description,
        })
    }
}

/// The tags of something, by its Amazon resource name.
pub(in crate::live) fn tags(told: &types::TagDescription) -> Result<(String, Vec<Tag>), CallError> {
    Ok((text(told.resource_arn(), "ResourceArn")?, all(told.tags())?))
}
