//! Networks, and the tags of everything in EC2.

use aws_sdk_ec2::{operation as api, types};

use super::{InputError, ToSdk};
use crate::request::{
    AssociateRouteTable, AttachInternetGateway, CreateInternetGateway, CreateRoute,
    CreateRouteTable, CreateSubnet, CreateVpc, Tag, TagSpecification,
};

impl ToSdk for Tag {
    type Sdk = types::Tag;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::Tag::builder().key(&self.key).value(&self.value).build())
    }
}

impl ToSdk for TagSpecification {
    type Sdk = types::TagSpecification;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::TagSpecification::builder()
            .resource_type(self.resource_type.as_str().into())
            .set_tags(self.tags.to_sdk()?)
            .build())
    }
}

impl ToSdk for CreateVpc {
    type Sdk = api::create_vpc::builders::CreateVpcInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .cidr_block(self.cidr_block.to_string())
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for CreateSubnet {
    type Sdk = api::create_subnet::builders::CreateSubnetInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .vpc_id(self.vpc_id.to_sdk()?)
            .cidr_block(self.cidr_block.to_string())
            .set_availability_zone(self.availability_zone.as_ref().map(ToString::to_string))
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for CreateInternetGateway {
    type Sdk = api::create_internet_gateway::builders::CreateInternetGatewayInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default().set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for AttachInternetGateway {
    type Sdk = api::attach_internet_gateway::builders::AttachInternetGatewayInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .internet_gateway_id(self.internet_gateway_id.to_sdk()?)
            .vpc_id(self.vpc_id.to_sdk()?))
    }
}

impl ToSdk for CreateRouteTable {
    type Sdk = api::create_route_table::builders::CreateRouteTableInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .vpc_id(self.vpc_id.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for CreateRoute {
    type Sdk = api::create_route::builders::CreateRouteInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .route_table_id(self.route_table_id.to_sdk()?)
            .destination_cidr_block(self.destination_cidr_block.to_string())
            .gateway_id(self.gateway_id.to_sdk()?))
    }
}

impl ToSdk for AssociateRouteTable {
    type Sdk = api::associate_route_table::builders::AssociateRouteTableInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .route_table_id(self.route_table_id.to_sdk()?)
            .subnet_id(self.subnet_id.to_sdk()?))
    }
}
