//! Machines: addresses, disks, launch templates, instances.

use aws_sdk_ec2::{operation as api, types};

use super::{InputError, ToSdk, whole};
use crate::request::{
    AllocateAddress, AssociateAddress, AttachVolume, BlockDevice, CreateLaunchTemplate,
    CreateNetworkInterface, CreateVolume, Ebs, InstanceInterface, LaunchTemplateData,
    LaunchTemplateRef, MetadataOptions, RunInstances, TagSpecification,
};

impl ToSdk for CreateNetworkInterface {
    type Sdk = api::create_network_interface::builders::CreateNetworkInterfaceInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .subnet_id(self.subnet_id.to_sdk()?)
            .description(&self.description)
            .set_groups(self.groups.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for AllocateAddress {
    type Sdk = api::allocate_address::builders::AllocateAddressInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .domain(self.domain.as_str().into())
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for AssociateAddress {
    type Sdk = api::associate_address::builders::AssociateAddressInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .allocation_id(self.allocation_id.to_sdk()?)
            .network_interface_id(self.network_interface_id.to_sdk()?)
            .allow_reassociation(self.allow_reassociation))
    }
}

impl ToSdk for CreateVolume {
    type Sdk = api::create_volume::builders::CreateVolumeInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .availability_zone(self.availability_zone.to_sdk()?)
            .size(whole(self.size)?)
            .volume_type(self.volume_type.as_str().into())
            .encrypted(self.encrypted)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for AttachVolume {
    type Sdk = api::attach_volume::builders::AttachVolumeInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .volume_id(self.volume_id.to_sdk()?)
            .instance_id(self.instance_id.to_sdk()?)
            .device(&self.device))
    }
}

impl ToSdk for CreateLaunchTemplate {
    type Sdk = api::create_launch_template::builders::CreateLaunchTemplateInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .launch_template_name(&self.launch_template_name)
            .launch_template_data(self.launch_template_data.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}

impl ToSdk for LaunchTemplateData {
    type Sdk = types::RequestLaunchTemplateData;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        type Profile = types::LaunchTemplateIamInstanceProfileSpecificationRequest;
        let profile = |name: &String| Profile::builder().name(name).build();
        let profile = self.iam_instance_profile.as_ref().map(|named| profile(&named.name));
        let new = self.network_interfaces.iter().map(new_interface);
        let interfaces = new.collect::<Result<Vec<_>, _>>()?;
        let tags = self.tag_specifications.iter().map(template_tags);
        Ok(types::RequestLaunchTemplateData::builder()
            .image_id(self.image_id.as_str())
            .instance_type(self.instance_type.as_str().into())
            .set_key_name(self.key_name.clone())
            .set_iam_instance_profile(profile)
            .set_block_device_mappings(self.block_device_mappings.to_sdk()?)
            .metadata_options(self.metadata_options.to_sdk()?)
            .set_disable_api_termination(self.disable_api_termination.then_some(true))
            .set_network_interfaces(Some(interfaces).filter(|list| !list.is_empty()))
            .user_data(self.user_data.to_sdk()?)
            .set_tag_specifications(Some(tags.collect::<Result<Vec<_>, _>>()?))
            .build())
    }
}

/// The tags of what is started from a template; for once they have a type of their own.
fn template_tags(
    tags: &TagSpecification,
) -> Result<types::LaunchTemplateTagSpecificationRequest, InputError> {
    Ok(types::LaunchTemplateTagSpecificationRequest::builder()
        .resource_type(tags.resource_type.as_str().into())
        .set_tags(tags.tags.to_sdk()?)
        .build())
}

/// An interface that a template makes; for once it has a type of its own.
fn new_interface(
    interface: &InstanceInterface,
) -> Result<types::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, InputError> {
    type Sdk = types::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest;
    let existing = interface.network_interface_id.as_ref().map(ToSdk::to_sdk).transpose()?;
    Ok(Sdk::builder()
        .device_index(interface.device_index.into())
        .set_network_interface_id(existing)
        .set_associate_public_ip_address(interface.associate_public_ip_address)
        .set_delete_on_termination(interface.delete_on_termination)
        .set_groups(interface.groups.to_sdk()?)
        .build())
}

impl ToSdk for InstanceInterface {
    type Sdk = types::InstanceNetworkInterfaceSpecification;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let existing = self.network_interface_id.as_ref().map(ToSdk::to_sdk).transpose()?;
        Ok(types::InstanceNetworkInterfaceSpecification::builder()
            .device_index(self.device_index.into())
            .set_network_interface_id(existing)
            .set_associate_public_ip_address(self.associate_public_ip_address)
            .set_delete_on_termination(self.delete_on_termination)
            .set_groups(self.groups.to_sdk()?)
            .build())
    }
}

impl ToSdk for BlockDevice {
    type Sdk = types::LaunchTemplateBlockDeviceMappingRequest;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::LaunchTemplateBlockDeviceMappingRequest::builder()
            .device_name(&self.device_name)
            .ebs(self.ebs.to_sdk()?)
            .build())
    }
}

impl ToSdk for Ebs {
    type Sdk = types::LaunchTemplateEbsBlockDeviceRequest;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::LaunchTemplateEbsBlockDeviceRequest::builder()
            .encrypted(self.encrypted)
            .delete_on_termination(self.delete_on_termination)
            .set_volume_size(self.volume_size.map(whole).transpose()?)
            .volume_type(self.volume_type.as_str().into())
            .build())
    }
}

impl ToSdk for MetadataOptions {
    type Sdk = types::LaunchTemplateInstanceMetadataOptionsRequest;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .http_endpoint(self.http_endpoint.as_str().into())
            .http_tokens(self.http_tokens.as_str().into())
            .http_put_response_hop_limit(self.http_put_response_hop_limit.into())
            .build())
    }
}

impl ToSdk for LaunchTemplateRef {
    type Sdk = types::LaunchTemplateSpecification;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::LaunchTemplateSpecification::builder()
            .launch_template_name(&self.launch_template_name)
            .version(&self.version)
            .build())
    }
}

impl ToSdk for RunInstances {
    type Sdk = api::run_instances::builders::RunInstancesInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .launch_template(self.launch_template.to_sdk()?)
            .min_count(whole(self.min_count)?)
            .max_count(whole(self.max_count)?)
            .set_network_interfaces(self.network_interfaces.to_sdk()?)
            .set_tag_specifications(self.tag_specifications.to_sdk()?))
    }
}
