//! Networks, subnets, gateways, route tables, and the tags of everything in EC2.

use aws_sdk_ec2::types;

use super::{all, any, id, parsed, tag, text};
use crate::{
    engine::{
        call::CallError,
        shape::{InternetGateway, Route, RouteTable, RouteTableAssociation, Subnet, Vpc},
    },
    request::{InternetGatewayId, RouteTableId, SubnetId, Tag, VpcId, ZoneName},
};

impl TryFrom<&types::Tag> for Tag {
    type Error = CallError;

    fn try_from(told: &types::Tag) -> Result<Self, CallError> {
        tag(told.key(), told.value())
    }
}

impl TryFrom<&types::Vpc> for Vpc {
    type Error = CallError;

    fn try_from(told: &types::Vpc) -> Result<Self, CallError> {
        Ok(Self {
            vpc_id: id(told.vpc_id(), "VpcId", VpcId::new)?,
            cidr_block: parsed(told.cidr_block(), "CidrBlock")?,
            state: text(told.state().map(|it| it.as_str()), "State")?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::Subnet> for Subnet {
    type Error = CallError;

    fn try_from(told: &types::Subnet) -> Result<Self, CallError> {
        Ok(Self {
            subnet_id: id(told.subnet_id(), "SubnetId", SubnetId::new)?,
            vpc_id: id(told.vpc_id(), "VpcId", VpcId::new)?,
            cidr_block: parsed(told.cidr_block(), "CidrBlock")?,
            availability_zone: ZoneName(text(told.availability_zone(), "AvailabilityZone")?),
            state: text(told.state().map(|it| it.as_str()), "State")?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::InternetGateway> for InternetGateway {
    type Error = CallError;

    fn try_from(told: &types::InternetGateway) -> Result<Self, CallError> {
        let vpc = |it: &types::InternetGatewayAttachment| id(it.vpc_id(), "VpcId", VpcId::new);
        Ok(Self {
            internet_gateway_id: id(
                told.internet_gateway_id(),
                "InternetGatewayId",
                InternetGatewayId::new,
            )?,
            attachments: told.attachments().iter().map(vpc).collect::<Result<_, _>>()?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::RouteTable> for RouteTable {
    type Error = CallError;

    /// Without routes for other than IPv4 addresses, and without the associations of gateways and of
    /// the network itself, whose main table it is.
    fn try_from(told: &types::RouteTable) -> Result<Self, CallError> {
        let routes = told.routes().iter().filter(|it| it.destination_cidr_block().is_some());
        let associations = told.associations().iter().filter(|it| it.subnet_id().is_some());
        Ok(Self {
            route_table_id: id(told.route_table_id(), "RouteTableId", RouteTableId::new)?,
            vpc_id: id(told.vpc_id(), "VpcId", VpcId::new)?,
            routes: all(routes)?,
            associations: all(associations)?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::Route> for Route {
    type Error = CallError;

    /// The gateway is whatever the route leads to; none where that is gone.
    fn try_from(told: &types::Route) -> Result<Self, CallError> {
        let leads_to = [
            told.gateway_id(),
            told.nat_gateway_id(),
            told.transit_gateway_id(),
            told.vpc_peering_connection_id(),
            told.network_interface_id(),
            told.instance_id(),
            told.local_gateway_id(),
            told.carrier_gateway_id(),
            told.core_network_arn(),
        ];
        Ok(Self {
            destination_cidr_block: parsed(told.destination_cidr_block(), "DestinationCidrBlock")?,
            gateway_id: any(leads_to.into_iter().flatten().next()),
            state: text(told.state().map(|it| it.as_str()), "State")?,
        })
    }
}

impl TryFrom<&types::RouteTableAssociation> for RouteTableAssociation {
    type Error = CallError;

    fn try_from(told: &types::RouteTableAssociation) -> Result<Self, CallError> {
        Ok(Self {
            route_table_association_id: text(
                told.route_table_association_id(),
                "RouteTableAssociationId",
            )?,
            subnet_id: id(told.subnet_id(), "SubnetId", SubnetId::new)?,
        })
    }
}
