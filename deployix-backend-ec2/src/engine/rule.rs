//! Security groups and their rules.

use std::time::Duration;

use deployix_core::{Name, backend::BackendError};

use super::{
    call::{Filter, Write},
    job::{Job, Outputs, is_made_for, resource_of},
    kind::{Kind, Once},
    network::{output, tags_of_ec2_requests},
    shape::{SecurityGroup, SecurityGroupRule},
    trace,
    wait::Waiting,
};
use crate::request::{
    AuthorizeSecurityGroupEgress, AuthorizeSecurityGroupIngress, CreateSecurityGroup, GroupId,
    IpPermission, Request, Tag, TagSpecification, Value,
};

impl Kind for SecurityGroup {
    type Request = CreateSecurityGroup;

    const NOUN: &'static str = "the security group";
    const ONCE: Once = Once::Name;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.group_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateSecurityGroup) -> bool {
        request.vpc_id.known() == Some(&self.vpc_id)
            && self.group_name == request.group_name
            && self.description == request.description
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.group_id)])
    }

    /// Takes away what somebody opened by hand.
    async fn adjust(&self, job: &Job<'_>, _: &CreateSecurityGroup) -> Result<bool, BackendError> {
        revoke(job, &self.group_id, |rule| is_by_hand(job.deployment(), rule)).await
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let holding = Filter::new("group-id", [self.group_id.as_str()]);
        let write = Write::DeleteSecurityGroup { group_id: self.group_id.clone() };
        trace::remove(job, write, holding).await
    }
}

/// All rules of a group.
pub(super) async fn rules_of(
    job: &Job<'_>,
    group: &GroupId,
) -> Result<Vec<SecurityGroupRule>, BackendError> {
    job.aws.all(vec![Filter::new("group-id", [group.as_str()])]).await
}

/// Takes rules away, and looks until they are no longer there: what AWS shows already, it may not
/// know yet where it is to be taken away.
pub(super) async fn revoke(
    job: &Job<'_>,
    group_id: &GroupId,
    goes: impl Fn(&SecurityGroupRule) -> bool + Send + Sync,
) -> Result<bool, BackendError> {
    let what = format!("rules of the security group {group_id} to go");
    let mut wait = Waiting::new(&job.aws, Duration::from_secs(120), what);
    let mut any = false;
    loop {
        let rules: Vec<_> = rules_of(job, group_id).await?.into_iter().filter(&goes).collect();
        if rules.is_empty() {
            return Ok(any);
        }
        any = true;
        for egress in [false, true] {
            let some = rules.iter().filter(|rule| rule.is_egress == egress);
            let ids: Vec<_> = some.map(|rule| rule.security_group_rule_id.clone()).collect();
            let (group_id, security_group_rule_ids) = (group_id.clone(), ids);
            match (security_group_rule_ids.is_empty(), egress) {
                (true, _) => continue,
                (false, true) => {
                    let write =
                        Write::RevokeSecurityGroupEgress { group_id, security_group_rule_ids };
                    job.aws.ask(write).await?;
                }
                (false, false) => {
                    let write =
                        Write::RevokeSecurityGroupIngress { group_id, security_group_rule_ids };
                    job.aws.ask(write).await?;
                }
            }
        }
        let ids: Vec<_> = rules.iter().map(|it| it.security_group_rule_id.as_str()).collect();
        if !wait.go_on(format!("{} still there", ids.join(", "))).await {
            let to_do = SecurityGroup::look_at(group_id.as_str());
            return Err(wait.over("DescribeSecurityGroupRules", &to_do));
        }
    }
}

/// Whether a rule is none that was made for the deployment of its group, nor the one that AWS gives to
/// every new group.
pub(super) fn is_by_hand(deployment: &Name, rule: &SecurityGroupRule) -> bool {
    !is_made_for(deployment, &rule.tags) && !is_default_egress(rule)
}

/// The rule that AWS gives to every new group.
pub(super) fn is_default_egress(rule: &SecurityGroupRule) -> bool {
    rule.is_egress
        && resource_of(&rule.tags).is_none()
        && is_same(&rule.permission, &IpPermission::default_egress())
}

/// Whether two rules allow the same. What they are for is no part of that.
fn is_same(one: &IpPermission, other: &IpPermission) -> bool {
    says(one) == says(other)
}

/// What a rule allows, in short: `tcp 80 from sg-…`.
pub(super) fn says(rule: &IpPermission) -> String {
    let mut text = rule.ip_protocol.as_str().to_owned();
    match (rule.from_port, rule.to_port) {
        (Some(from), Some(to)) if from == to => text += &format!(" {from}"),
        (Some(from), Some(to)) => text += &format!(" {from}-{to}"),
        _ => {}
    }
    fn shown<T: std::fmt::Display>(value: &Value<T>) -> String {
        value.known().map_or_else(|| "?".to_owned(), ToString::to_string)
    }
    let groups = rule.user_id_group_pairs.iter().map(|pair| shown(&pair.group_id));
    let ranges = rule.ip_ranges.iter().map(|range| shown(&range.cidr_ip));
    let ranges6 = rule.ipv6_ranges.iter().map(|range| range.cidr_ipv6.to_string());
    let mut peers: Vec<_> = groups.chain(ranges).chain(ranges6).collect();
    peers.sort();
    if peers.is_empty() {
        peers.push("a list of prefixes".to_owned());
    }
    format!("{text} with {}", peers.join(" "))
}

/// A request for a rule, in either direction.
#[derive(Debug, Clone)]
pub(super) struct RuleRequest {
    group_id: Value<GroupId>,
    is_egress: bool,
    ip_permissions: Vec<IpPermission>,
    tag_specifications: Vec<TagSpecification>,
}

macro_rules! rule_requests {
    ($($type:ident: $egress:literal,)*) => {$(
        impl From<$type> for RuleRequest {
            fn from(request: $type) -> Self {
                let $type { group_id, ip_permissions, tag_specifications } = request;
                Self { group_id, is_egress: $egress, ip_permissions, tag_specifications }
            }
        }
    )*};
}

rule_requests! {
    AuthorizeSecurityGroupIngress: false,
    AuthorizeSecurityGroupEgress: true,
}

impl From<RuleRequest> for Request {
    fn from(request: RuleRequest) -> Self {
        let RuleRequest { group_id, is_egress, ip_permissions, tag_specifications } = request;
        if is_egress {
            AuthorizeSecurityGroupEgress { group_id, ip_permissions, tag_specifications }.into()
        } else {
            AuthorizeSecurityGroupIngress { group_id, ip_permissions, tag_specifications }.into()
        }
    }
}

impl SecurityGroupRule {
    fn is_as(&self, request: &RuleRequest) -> bool {
        request.group_id.known() == Some(&self.group_id)
            && self.is_egress == request.is_egress
            && request.ip_permissions.iter().any(|wanted| is_same(&self.permission, wanted))
    }
}

impl Kind for SecurityGroupRule {
    type Request = RuleRequest;

    const NOUN: &'static str = "the security group rule";
    const ONCE: Once = Once::Name;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.security_group_rule_id.clone()
    }

    fn fits(&self, _: &Job<'_>, request: &RuleRequest) -> bool {
        self.is_as(request)
    }

    fn outputs(&self) -> Outputs {
        Outputs::new()
    }

    fn settings(&self) -> String {
        says(&self.permission)
    }

    /// The same rule, opened by hand or by an earlier version: it becomes this one.
    async fn alike(job: &Job<'_>, request: &RuleRequest) -> Result<Option<Self>, BackendError> {
        let Some(group) = request.group_id.known() else { return Ok(None) };
        let all = rules_of(job, group).await?;
        Ok(all.into_iter().find(|rule| rule.is_as(request)))
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let is_this = |rule: &Self| rule.security_group_rule_id == self.security_group_rule_id;
        revoke(job, &self.group_id, is_this).await.map(|_| ())
    }
}
