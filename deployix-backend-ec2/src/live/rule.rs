//! Security groups and their rules.

use aws_sdk_ec2::{operation as api, types};

use super::{InputError, ToSdk};
use crate::request::{
    AuthorizeSecurityGroupEgress, AuthorizeSecurityGroupIngress, CreateSecurityGroup, IpPermission,
    IpRange, Ipv6Range, RevokeSecurityGroupEgress, UserIdGroupPair,
};

impl ToSdk for CreateSecurityGroup {
    type Sdk = api::create_security_group::builders::CreateSecurityGroupInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .group_name(&self.group_name)
            .description(&self.description)
            .vpc_id(self.vpc_id.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for RevokeSecurityGroupEgress {
    type Sdk = api::revoke_security_group_egress::builders::RevokeSecurityGroupEgressInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .group_id(self.group_id.to_sdk()?)
            .set_ip_permissions(self.ip_permissions.to_sdk()?))
    }
}

impl ToSdk for AuthorizeSecurityGroupIngress {
    type Sdk =
        api::authorize_security_group_ingress::builders::AuthorizeSecurityGroupIngressInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .group_id(self.group_id.to_sdk()?)
            .set_ip_permissions(self.ip_permissions.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for AuthorizeSecurityGroupEgress {
    type Sdk =
        api::authorize_security_group_egress::builders::AuthorizeSecurityGroupEgressInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .group_id(self.group_id.to_sdk()?)
            .set_ip_permissions(self.ip_permissions.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for IpPermission {
    type Sdk = types::IpPermission;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::IpPermission::builder()
            .ip_protocol(self.ip_protocol.as_str())
            .set_from_port(self.from_port.map(i32::from))
            .set_to_port(self.to_port.map(i32::from))
            .set_user_id_group_pairs(self.user_id_group_pairs.to_sdk()?)
            .set_ip_ranges(self.ip_ranges.to_sdk()?)
            .set_ipv6_ranges(self.ipv6_ranges.to_sdk()?)
            .build())
    }
}

impl ToSdk for UserIdGroupPair {
    type Sdk = types::UserIdGroupPair;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::UserIdGroupPair::builder()
            .group_id(self.group_id.to_sdk()?)
            .set_description(self.description.clone())
            .build())
    }
}

impl ToSdk for IpRange {
    type Sdk = types::IpRange;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::IpRange::builder()
            .cidr_ip(self.cidr_ip.to_sdk()?)
            .set_description(self.description.clone())
            .build())
    }
}

impl ToSdk for Ipv6Range {
    type Sdk = types::Ipv6Range;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::Ipv6Range::builder()
            .cidr_ipv6(self.cidr_ipv6.to_string())
            .set_description(self.description.clone())
            .build())
    }
}
