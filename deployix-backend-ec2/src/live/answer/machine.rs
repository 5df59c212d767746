//! Network interfaces, addresses, disks, launch templates, instances.

use std::collections::BTreeMap;

use aws_sdk_ec2::types;

use super::{all, any, id, number, parsed, text, there};
use crate::{
    engine::{
        call::CallError,
        shape::{
            Address, Instance, LaunchTemplate, LaunchTemplateVersion, NetworkInterface, Volume,
            VolumeAttachment,
        },
    },
    request::{AddressId, GroupId, InstanceId, InterfaceId, SubnetId, VolumeId, VpcId, ZoneName},
};

impl TryFrom<&types::NetworkInterface> for NetworkInterface {
    type Error = CallError;

    fn try_from(told: &types::NetworkInterface) -> Result<Self, CallError> {
        let group = |it: &types::GroupIdentifier| id(it.group_id(), "GroupId", GroupId::new);
        let instance = told.attachment().and_then(|it| it.instance_id());
        let instance = instance.map(|it| id(Some(it), "Attachment.InstanceId", InstanceId::new));
        Ok(Self {
            network_interface_id: id(
                told.network_interface_id(),
                "NetworkInterfaceId",
                InterfaceId::new,
            )?,
            vpc_id: id(told.vpc_id(), "VpcId", VpcId::new)?,
            subnet_id: id(told.subnet_id(), "SubnetId", SubnetId::new)?,
            description: any(told.description()),
            groups: told.groups().iter().map(group).collect::<Result<_, _>>()?,
            private_ip_address: parsed(told.private_ip_address(), "PrivateIpAddress")?,
            status: text(told.status().map(|it| it.as_str()), "Status")?,
            instance_id: instance.transpose()?,
            tags: all(told.tag_set())?,
        })
    }
}

impl TryFrom<&types::Address> for Address {
    type Error = CallError;

    fn try_from(told: &types::Address) -> Result<Self, CallError> {
        let interface = told.network_interface_id().filter(|it| !it.is_empty());
        let interface =
            interface.map(|it| id(Some(it), "NetworkInterfaceId", InterfaceId::new)).transpose()?;
        let association = told.association_id().filter(|it| !it.is_empty());
        Ok(Self {
            allocation_id: id(told.allocation_id(), "AllocationId", AddressId::new)?,
            public_ip: parsed(told.public_ip(), "PublicIp")?,
            association_id: association.map(str::to_owned),
            network_interface_id: interface,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::Volume> for Volume {
    type Error = CallError;

    fn try_from(told: &types::Volume) -> Result<Self, CallError> {
        Ok(Self {
            volume_id: id(told.volume_id(), "VolumeId", VolumeId::new)?,
            availability_zone: ZoneName(text(told.availability_zone(), "AvailabilityZone")?),
            size: number(told.size(), "Size")?,
            volume_type: text(told.volume_type().map(|it| it.as_str()), "VolumeType")?,
            encrypted: there(told.encrypted(), "Encrypted")?,
            state: text(told.state().map(|it| it.as_str()), "State")?,
            attachments: all(told.attachments())?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::VolumeAttachment> for VolumeAttachment {
    type Error = CallError;

    fn try_from(told: &types::VolumeAttachment) -> Result<Self, CallError> {
        Ok(Self {
            instance_id: id(told.instance_id(), "InstanceId", InstanceId::new)?,
            device: any(told.device()),
            state: text(told.state().map(|it| it.as_str()), "State")?,
        })
    }
}

impl TryFrom<&types::LaunchTemplate> for LaunchTemplate {
    type Error = CallError;

    fn try_from(told: &types::LaunchTemplate) -> Result<Self, CallError> {
        Ok(Self {
            launch_template_id: text(told.launch_template_id(), "LaunchTemplateId")?,
            launch_template_name: text(told.launch_template_name(), "LaunchTemplateName")?,
            default_version_number: there(told.default_version_number(), "DefaultVersionNumber")?,
            tags: all(told.tags())?,
        })
    }
}

impl TryFrom<&types::LaunchTemplateVersion> for LaunchTemplateVersion {
    type Error = CallError;

    fn try_from(told: &types::LaunchTemplateVersion) -> Result<Self, CallError> {
        let data = told.launch_template_data();
        Ok(Self {
            launch_template_id: text(told.launch_template_id(), "LaunchTemplateId")?,
            user_data: data.and_then(|data| data.user_data()).map(str::to_owned),
            // Where nothing is told, it is not set.
            disable_api_termination: data
                .and_then(|data| data.disable_api_termination())
                .unwrap_or_default(),
        })
    }
}

impl TryFrom<&types::Instance> for Instance {
    type Error = CallError;

    /// Without the status of its checks, which another operation tells.
    fn try_from(told: &types::Instance) -> Result<Self, CallError> {
        let state = told.state().and_then(|it| it.name()).map(|it| it.as_str());
        let interface = |it: &types::InstanceNetworkInterface| {
            id(it.network_interface_id(), "NetworkInterfaceId", InterfaceId::new)
        };
        let reason = told.state_reason().map(|it| match (it.code(), it.message()) {
            // AWS's messages begin with the code.
            (Some(code), Some(message)) if !message.starts_with(code) => {
                format!("{code}: {message}")
            }
            (code, message) => any(message.or(code)),
        });
        Ok(Self {
            instance_id: id(told.instance_id(), "InstanceId", InstanceId::new)?,
            state: text(state, "State.Name")?,
            state_reason: reason.filter(|it| !it.is_empty()),
            status: String::new(),
            instance_type: text(told.instance_type().map(|it| it.as_str()), "InstanceType")?,
            network_interfaces: told
                .network_interfaces()
                .iter()
                .map(interface)
                .collect::<Result<_, _>>()?,
            tags: all(told.tags())?,
        })
    }
}

/// The statuses of the checks of instances.
#[derive(Debug, Default)]
pub(in crate::live) struct Statuses(BTreeMap<String, String>);

impl Statuses {
    /// Takes in what `DescribeInstanceStatus` tells: the worse of the checks of the instance and of
    /// the system that it runs on.
    pub(in crate::live) fn add(&mut self, told: &[types::InstanceStatus]) -> Result<(), CallError> {
        for one in told {
            let checks = [one.instance_status(), one.system_status()];
            let checks = checks.map(|it| it.and_then(|it| it.status()).map(|it| it.as_str()));
            let status = match checks {
                [Some("impaired"), _] | [_, Some("impaired")] => "impaired",
                [Some("ok"), Some("ok")] => "ok",
                [Some("ok"), Some(other)] | [Some(other), _] => other,
                [None, _] => INITIALIZING,
            };
            self.0.insert(text(one.instance_id(), "InstanceId")?, status.to_owned());
        }
        Ok(())
    }

    /// The status of one; checks of which nothing is told yet have not begun.
    pub(in crate::live) fn of(&self, instance: &Instance) -> String {
        let status = self.0.get(instance.instance_id.as_str());
        status.map_or_else(|| INITIALIZING.to_owned(), Clone::clone)
    }
}

const INITIALIZING: &str = "initializing";
