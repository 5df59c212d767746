//! What stands on AWS, as its describing operations tell it: as much of it as the engine reads.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::request::{
    Action, AddressId, CreateTargetGroup, GroupId, InstanceId, InstanceMaintenancePolicy,
    InterfaceId, InternetGatewayId, IpPermission, LaunchTemplateRef, RouteTableId, SubnetId, Tag,
    VolumeId, VpcId, ZoneName,
};

macro_rules! shapes {
    ($($(#[$meta:meta])* $type:ident { $($field:ident: $of:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "fields have the API's own names")]
        pub struct $type {
            $(pub $field: $of,)*
        }
    )*};
}

shapes! {
    /// A virtual private cloud.
    Vpc { vpc_id: VpcId, cidr_block: Ipv4Net, state: String, tags: Vec<Tag> }

    /// A subnet.
    Subnet {
        subnet_id: SubnetId,
        vpc_id: VpcId,
        cidr_block: Ipv4Net,
        availability_zone: ZoneName,
        state: String,
        tags: Vec<Tag>,
    }

    /// An internet gateway, and the networks that it is attached to: one at most.
    InternetGateway {
        internet_gateway_id: InternetGatewayId,
        attachments: Vec<VpcId>,
        tags: Vec<Tag>,
    }

    /// A route table.
    RouteTable {
        route_table_id: RouteTableId,
        vpc_id: VpcId,
        routes: Vec<Route>,
        associations: Vec<RouteTableAssociation>,
        tags: Vec<Tag>,
    }

    /// A route of a table. The gateway is `local` for the network's own addresses.
    Route { destination_cidr_block: Ipv4Net, gateway_id: String, state: String }

    /// A subnet that uses a route table.
    RouteTableAssociation { route_table_association_id: String, subnet_id: SubnetId }

    /// A security group.
    SecurityGroup {
        group_id: GroupId,
        group_name: String,
        description: String,
        vpc_id: VpcId,
        tags: Vec<Tag>,
    }

    /// A rule of a security group. One for all ports has none here, where AWS tells of -1.
    SecurityGroupRule {
        security_group_rule_id: String,
        group_id: GroupId,
        is_egress: bool,
        permission: IpPermission,
        tags: Vec<Tag>,
    }

    /// A network interface.
    NetworkInterface {
        network_interface_id: InterfaceId,
        vpc_id: VpcId,
        subnet_id: SubnetId,
        description: String,
        groups: Vec<GroupId>,
        private_ip_address: Ipv4Addr,
        status: String,
        instance_id: Option<InstanceId>,
        tags: Vec<Tag>,
    }

    /// An elastic address.
    Address {
        allocation_id: AddressId,
        public_ip: Ipv4Addr,
        association_id: Option<String>,
        network_interface_id: Option<InterfaceId>,
        tags: Vec<Tag>,
    }

    /// A volume.
    Volume {
        volume_id: VolumeId,
        availability_zone: ZoneName,
        size: u32,
        volume_type: String,
        encrypted: bool,
        state: String,
        attachments: Vec<VolumeAttachment>,
        tags: Vec<Tag>,
    }

    /// A machine that a volume is attached to.
    VolumeAttachment { instance_id: InstanceId, device: String, state: String }

    /// A launch template.
    LaunchTemplate {
        launch_template_id: String,
        launch_template_name: String,
        default_version_number: i64,
        tags: Vec<Tag>,
    }

    /// What a launch template says, as far as it is read.
    LaunchTemplateVersion {
        launch_template_id: String,
        user_data: Option<String>,
        disable_api_termination: bool,
    }

    /// An instance. The status is that of `DescribeInstanceStatus`, which a client asks as well: `initializing`, `ok`,
    /// `impaired`.
    Instance {
        instance_id: InstanceId,
        state: String,
        state_reason: Option<String>,
        status: String,
        instance_type: String,
        network_interfaces: Vec<InterfaceId>,
        tags: Vec<Tag>,
    }

    /// An autoscaling group. It has a status only while it is being deleted.
    AutoScalingGroup {
        auto_scaling_group_name: String,
        launch_template: LaunchTemplateRef,
        min_size: u32,
        max_size: u32,
        subnets: Vec<SubnetId>,
        health_check_type: String,
        health_check_grace_period: u32,
        instance_maintenance_policy: InstanceMaintenancePolicy,
        target_group_arns: Vec<String>,
        instances: Vec<AutoScalingInstance>,
        status: Option<String>,
        tags: Vec<Tag>,
    }

    /// An instance of an autoscaling group.
    AutoScalingInstance {
        instance_id: InstanceId,
        lifecycle_state: String,
        health_status: String,
        launch_template: LaunchTemplateRef,
    }

    /// A load balancer.
    LoadBalancer {
        load_balancer_arn: String,
        load_balancer_name: String,
        scheme: crate::request::BalancerScheme,
        dns_name: String,
        canonical_hosted_zone_id: String,
        state: String,
        state_reason: Option<String>,
        subnets: Vec<SubnetId>,
        security_groups: Vec<GroupId>,
        tags: Vec<Tag>,
    }

    /// A parameter, as far as it is told without its value. Its tags are told apart.
    Parameter { name: String, version: i64, tags: Vec<Tag> }

    /// A target group, with the settings it would be made with.
    TargetGroup {
        target_group_arn: String,
        settings: CreateTargetGroup,
        tags: Vec<Tag>,
    }

    /// A listener.
    Listener {
        listener_arn: String,
        load_balancer_arn: String,
        port: u16,
        protocol: String,
        default_actions: Vec<Action>,
        tags: Vec<Tag>,
    }

    /// An object of S3.
    Object { bucket: String, key: String }

    /// A machine of a target group, and how it is: `initial`, `healthy`, `unhealthy`, `unused`,
    /// `draining`. Where it is not healthy, the reason is AWS's code for why, such as
    /// `Target.FailedHealthChecks`, and the description says it in words.
    TargetHealth {
        id: InstanceId,
        port: u16,
        state: String,
        reason: Option<String>,
        description: Option<String>,
    }
}
