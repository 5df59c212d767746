//! Security groups and their rules.

use aws_sdk_ec2::types;
use ipnet::Ipv6Net;

use super::{all, any, id, parsed, text, there};
use crate::{
    engine::{
        call::CallError,
        shape::{SecurityGroup, SecurityGroupRule},
    },
    request::{
        GroupId, IpPermission, IpProtocol, IpRange, Ipv6Range, PublicCidr, UserIdGroupPair, VpcId,
    },
};

impl TryFrom<&types::SecurityGroup> for SecurityGroup {
    type Error = CallError;

    fn try_from(told: &types::SecurityGroup) -> Result<Self, CallError> {
        Ok(Self {
            group_id: id(told.group_id(), "GroupId", GroupId::new)?,
            group_name: text(told.group_name(), "GroupName")?,
            description: any(told.description()),
            vpc_id: id(told.vpc_id(), "VpcId", VpcId::new)?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::SecurityGroupRule> for SecurityGroupRule {
    type Error = CallError;

    fn try_from(told: &types::SecurityGroupRule) -> Result<Self, CallError> {
        Ok(Self {
            security_group_rule_id: text(told.security_group_rule_id(), "SecurityGroupRuleId")?,
            group_id: id(told.group_id(), "GroupId", GroupId::new)?,
            is_egress: there(told.is_egress(), "IsEgress")?,
            permission: permission(told)?,
            tags: all(told.tags())?,
        })
    }
}

/// What a rule allows. A list of prefixes is none of its peers, since no rule that is made here has
/// one.
fn permission(told: &types::SecurityGroupRule) -> Result<IpPermission, CallError> {
    let description = told.description().filter(|it| !it.is_empty()).map(str::to_owned);
    let group = told.referenced_group_info().map(|group| {
        Ok(UserIdGroupPair {
            group_id: id(group.group_id(), "ReferencedGroupInfo.GroupId", GroupId::new)?.into(),
            description: description.clone(),
        })
    });
    let range = told.cidr_ipv4().map(|range| {
        let cidr_ip = PublicCidr(parsed(Some(range), "CidrIpv4")?).into();
        Ok(IpRange { cidr_ip, description: description.clone() })
    });
    let range6 = told.cidr_ipv6().map(|range| {
        let cidr_ipv6: Ipv6Net = parsed(Some(range), "CidrIpv6")?;
        Ok(Ipv6Range { cidr_ipv6, description: description.clone() })
    });
    Ok(IpPermission {
        ip_protocol: protocol(there(told.ip_protocol(), "IpProtocol")?),
        from_port: port(told.from_port())?,
        to_port: port(told.to_port())?,
        user_id_group_pairs: group.into_iter().collect::<Result<_, CallError>>()?,
        ip_ranges: range.into_iter().collect::<Result<_, CallError>>()?,
        ipv6_ranges: range6.into_iter().collect::<Result<_, CallError>>()?,
    })
}

fn protocol(told: &str) -> IpProtocol {
    let all = [IpProtocol::Tcp, IpProtocol::Udp, IpProtocol::Esp, IpProtocol::All];
    all.into_iter().find(|it| it.as_str() == told).unwrap_or(IpProtocol::Other)
}

/// A port; -1 is for all of them (Amazon EC2 API Reference, `SecurityGroupRule`).
fn port(told: Option<i32>) -> Result<Option<u16>, CallError> {
    match told {
        None | Some(-1) => Ok(None),
        some => super::number(some, "FromPort or ToPort").map(Some),
    }
}
