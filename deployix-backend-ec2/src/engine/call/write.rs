//! [`Write`]: calls that change and remove things.

use ipnet::Ipv4Net;

use super::Call;
use crate::request::{
    Action, AddressId, AutoScalingTag, CreateAutoScalingGroup, CreateTargetGroup, GroupId,
    InstanceId, InterfaceId, InternetGatewayId, RouteTableId, Service, SubnetId, Tag,
    TargetDescription, VolumeId, VpcId,
};

macro_rules! writes {
    ($($operation:ident: $service:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        /// A call that changes or removes something, named as its operation, with the operation's
        /// own parameters.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each is the operation, and has the parameters, of its name")]
        pub enum Write {
            $($operation { $($field: $type),* },)*
        }

        impl Write {
            /// The operation's name in the API.
            #[must_use]
            pub fn operation(&self) -> &'static str {
                match self { $(Self::$operation { .. } => stringify!($operation),)* }
            }

            /// The service that takes it.
            #[must_use]
            pub fn service(&self) -> Service {
                match self { $(Self::$operation { .. } => Service::$service,)* }
            }
        }

        impl From<Write> for Call {
            fn from(write: Write) -> Self {
                Self::Write(write)
            }
        }
    };
}

writes! {
    CreateTags: Ec2 { resources: Vec<String>, tags: Vec<Tag> }
    DeleteTags: Ec2 { resources: Vec<String>, tag_keys: Vec<String> }
    DeleteVpc: Ec2 { vpc_id: VpcId }
    DeleteSubnet: Ec2 { subnet_id: SubnetId }
    DetachInternetGateway: Ec2 { internet_gateway_id: InternetGatewayId, vpc_id: VpcId }
    DeleteInternetGateway: Ec2 { internet_gateway_id: InternetGatewayId }
    DeleteRouteTable: Ec2 { route_table_id: RouteTableId }
    ReplaceRoute: Ec2 {
        route_table_id: RouteTableId,
        destination_cidr_block: Ipv4Net,
        gateway_id: InternetGatewayId,
    }
    DeleteRoute: Ec2 { route_table_id: RouteTableId, destination_cidr_block: Ipv4Net }
    ReplaceRouteTableAssociation: Ec2 { association_id: String, route_table_id: RouteTableId }
    DisassociateRouteTable: Ec2 { association_id: String }
    DeleteSecurityGroup: Ec2 { group_id: GroupId }
    RevokeSecurityGroupIngress: Ec2 { group_id: GroupId, security_group_rule_ids: Vec<String> }
    RevokeSecurityGroupEgress: Ec2 { group_id: GroupId, security_group_rule_ids: Vec<String> }
    ModifyNetworkInterfaceAttribute: Ec2 {
        network_interface_id: InterfaceId,
        attribute: InterfaceAttribute,
    }
    DeleteNetworkInterface: Ec2 { network_interface_id: InterfaceId }
    DisassociateAddress: Ec2 { association_id: String }
    ReleaseAddress: Ec2 { allocation_id: AddressId }
    ModifyVolume: Ec2 { volume_id: VolumeId, size: u32, volume_type: String }
    DetachVolume: Ec2 { volume_id: VolumeId }
    DeleteVolume: Ec2 { volume_id: VolumeId }
    ModifyLaunchTemplate: Ec2 { launch_template_id: String, default_version: String }
    DeleteLaunchTemplate: Ec2 { launch_template_id: String }
    ModifyInstanceAttribute: Ec2 { instance_id: InstanceId, disable_api_termination: bool }
    StopInstances: Ec2 { instance_ids: Vec<InstanceId> }
    StartInstances: Ec2 { instance_ids: Vec<InstanceId> }
    TerminateInstances: Ec2 { instance_ids: Vec<InstanceId> }
    UpdateAutoScalingGroup: AutoScaling { group: Box<CreateAutoScalingGroup> }
    CreateOrUpdateTags: AutoScaling { auto_scaling_group_name: String, tags: Vec<AutoScalingTag> }
    StartInstanceRefresh: AutoScaling { auto_scaling_group_name: String }
    DetachLoadBalancerTargetGroups: AutoScaling {
        auto_scaling_group_name: String,
        target_group_arns: Vec<String>,
    }
    DeleteAutoScalingGroup: AutoScaling { auto_scaling_group_name: String, force_delete: bool }
    AddTags: ElasticLoadBalancing { resource_arns: Vec<String>, tags: Vec<Tag> }
    RemoveTags: ElasticLoadBalancing { resource_arns: Vec<String>, tag_keys: Vec<String> }
    SetSubnets: ElasticLoadBalancing { load_balancer_arn: String, subnets: Vec<SubnetId> }
    SetSecurityGroups: ElasticLoadBalancing {
        load_balancer_arn: String,
        security_groups: Vec<GroupId>,
    }
    DeleteLoadBalancer: ElasticLoadBalancing { load_balancer_arn: String }
    ModifyTargetGroup: ElasticLoadBalancing {
        target_group_arn: String,
        health_check: Box<CreateTargetGroup>,
    }
    DeleteTargetGroup: ElasticLoadBalancing { target_group_arn: String }
    ModifyListener: ElasticLoadBalancing {
        listener_arn: String,
        port: u16,
        protocol: String,
        default_actions: Vec<Action>,
    }
    DeleteListener: ElasticLoadBalancing { listener_arn: String }
    DeregisterTargets: ElasticLoadBalancing {
        target_group_arn: String,
        targets: Vec<TargetDescription>,
    }
    AddTagsToResource: Ssm { resource_id: String, tags: Vec<Tag> }
    DeleteParameter: Ssm { name: String }
    PutObject: S3 {
        bucket: String,
        key: String,
        body: Vec<u8>,
        server_side_encryption: String,
        tagging: Vec<Tag>,
    }
    DeleteObject: S3 { bucket: String, key: String }
}

/// What is changed about a network interface: one thing with each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceAttribute {
    /// What it is for.
    Description(String),
    /// Its security groups.
    Groups(Vec<GroupId>),
}
