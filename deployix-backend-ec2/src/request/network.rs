//! Requests for what connects machines: networks, subnets, gateways, routes.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{InternetGatewayId, RouteTableId, SubnetId, TagSpecification, Value, VpcId, ZoneName};

/// Makes a virtual private cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateVpc {
    /// Its addresses, a block between /16 and /28.
    pub cidr_block: Ipv4Net,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Makes a subnet in one zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateSubnet {
    /// Its network.
    pub vpc_id: Value<VpcId>,
    /// Its addresses, a part of the network's.
    pub cidr_block: Ipv4Net,
    /// Its zone; AWS chooses where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<ZoneName>,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Makes an internet gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateInternetGateway {
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Attaches an internet gateway to a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AttachInternetGateway {
    /// The gateway.
    pub internet_gateway_id: Value<InternetGatewayId>,
    /// The network.
    pub vpc_id: Value<VpcId>,
}

/// Makes a route table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateRouteTable {
    /// Its network.
    pub vpc_id: Value<VpcId>,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Adds a route to a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateRoute {
    /// The table.
    pub route_table_id: Value<RouteTableId>,
    /// For which addresses.
    pub destination_cidr_block: Ipv4Net,
    /// To which gateway.
    pub gateway_id: Value<InternetGatewayId>,
}

/// Makes a subnet use a route table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AssociateRouteTable {
    /// The table.
    pub route_table_id: Value<RouteTableId>,
    /// The subnet.
    pub subnet_id: Value<SubnetId>,
}
