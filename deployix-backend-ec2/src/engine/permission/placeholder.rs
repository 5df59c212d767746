//! Placeholders: what has the form of something on AWS and is nobody's.

use deployix_core::backend::BackendError;

use crate::{
    engine::call::Write,
    request::{
        AddressId, AssociateAddress, GroupId, IdError, InstanceId, InterfaceId, InternetGatewayId,
        Output, PrivateIp, PublicCidr, PublicIp, RouteTableId, SubnetId, UserDataText, VolumeId,
        VpcId, ZoneName,
    },
};

/// Something of the form of an output, which is nobody's.
pub(super) fn placeholder(output: &str) -> String {
    let id = |prefix: &str| format!("{prefix}-00000000000000000");
    match output {
        VpcId::NAME => id("vpc"),
        SubnetId::NAME => id("subnet"),
        InternetGatewayId::NAME => id("igw"),
        RouteTableId::NAME => id("rtb"),
        GroupId::NAME => id("sg"),
        InterfaceId::NAME => id("eni"),
        AddressId::NAME => id("eipalloc"),
        VolumeId::NAME => id("vol"),
        InstanceId::NAME => id("i"),
        // Addresses for documentation (RFC 5737).
        PublicCidr::NAME => "192.0.2.1/32".to_owned(),
        PrivateIp::NAME | PublicIp::NAME => "192.0.2.1".to_owned(),
        ZoneName::NAME => "us-east-1a".to_owned(),
        // `#cloud-config`, in base64.
        UserDataText::NAME => "I2Nsb3VkLWNvbmZpZwo=".to_owned(),
        other => other.to_owned(),
    }
}

/// Ids that are nobody's.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) vpc: VpcId,
    pub(super) subnet: SubnetId,
    pub(super) gateway: InternetGatewayId,
    pub(super) table: RouteTableId,
    pub(super) group: GroupId,
    pub(super) interface: InterfaceId,
    pub(super) address: AddressId,
    pub(super) volume: VolumeId,
    pub(super) instance: InstanceId,
}

/// Those of kinds that are plain texts here.
pub(super) const ASSOCIATION: &str = "rtbassoc-00000000000000000";
const RULE: &str = "sgr-00000000000000000";
pub(super) const TEMPLATE: &str = "lt-00000000000000000";

impl Ids {
    pub(super) fn new() -> Result<Self, BackendError> {
        fn id<T: Output>(new: impl Fn(&str) -> Result<T, IdError>) -> Result<T, BackendError> {
            new(&placeholder(T::NAME)).map_err(|error| BackendError::unreadable(&error.to_string()))
        }
        Ok(Self {
            vpc: id(VpcId::new)?,
            subnet: id(SubnetId::new)?,
            gateway: id(InternetGatewayId::new)?,
            table: id(RouteTableId::new)?,
            group: id(GroupId::new)?,
            interface: id(InterfaceId::new)?,
            address: id(AddressId::new)?,
            volume: id(VolumeId::new)?,
            instance: id(InstanceId::new)?,
        })
    }

    pub(super) fn detach_gateway(&self) -> Write {
        let (internet_gateway_id, vpc_id) = (self.gateway.clone(), self.vpc.clone());
        Write::DetachInternetGateway { internet_gateway_id, vpc_id }
    }

    pub(super) fn associate_address(&self) -> AssociateAddress {
        AssociateAddress {
            allocation_id: self.address.clone().into(),
            network_interface_id: self.interface.clone().into(),
            allow_reassociation: true,
        }
    }

    pub(super) fn revoke_ingress(&self) -> Write {
        let (group_id, security_group_rule_ids) = (self.group.clone(), vec![RULE.to_owned()]);
        Write::RevokeSecurityGroupIngress { group_id, security_group_rule_ids }
    }

    pub(super) fn revoke_egress(&self) -> Write {
        let (group_id, security_group_rule_ids) = (self.group.clone(), vec![RULE.to_owned()]);
        Write::RevokeSecurityGroupEgress { group_id, security_group_rule_ids }
    }
}
