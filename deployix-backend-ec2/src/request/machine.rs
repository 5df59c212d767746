//! Requests for machines: addresses, disks, launch templates, instances.

use serde::{Deserialize, Serialize};

use super::{
    AddressId, GroupId, ImageId, InstanceId, InterfaceId, SubnetId, TagSpecification, UserDataText,
    Value, VolumeId, ZoneName,
};

/// Makes a network interface: a machine's place in the network, which stays when the machine is
/// replaced, and with it the machine's address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateNetworkInterface {
    /// Its subnet.
    pub subnet_id: Value<SubnetId>,
    /// What it is for.
    pub description: String,
    /// Its security groups.
    pub groups: Vec<Value<GroupId>>,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Allocates an elastic address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AllocateAddress {
    /// Always `vpc`.
    pub domain: String,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Gives an elastic address to a network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AssociateAddress {
    /// The address.
    pub allocation_id: Value<AddressId>,
    /// The interface.
    pub network_interface_id: Value<InterfaceId>,
    /// Whether it may be taken from another interface.
    pub allow_reassociation: bool,
}

/// Makes a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateVolume {
    /// Its zone.
    pub availability_zone: Value<ZoneName>,
    /// Its size in GiB.
    pub size: u32,
    /// Its type, such as `gp3`.
    pub volume_type: String,
    /// Always true.
    pub encrypted: bool,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Attaches a disk to a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AttachVolume {
    /// The disk.
    pub volume_id: Value<VolumeId>,
    /// The machine.
    pub instance_id: Value<InstanceId>,
    /// The device, such as `/dev/sdf`.
    pub device: String,
}

/// Renders user data from its template; a local computation whose output is base64 text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RenderUserData {
    /// The text in order; a part is text, or an output put in as it is.
    pub parts: Vec<Value<String>>,
    /// How the rendered bytes are packed before they become base64.
    pub encoding: UserDataEncoding,
}

/// How user data is packed; cloud-init tells the two apart by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserDataEncoding {
    /// As it is.
    Plain,
    /// Compressed (RFC 1952).
    Gzip,
}

/// Makes a launch template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateLaunchTemplate {
    /// Its name, 3 to 128 characters, unique in the account and region. It ends in a digest of what
    /// is in the template, so a template never changes under its name.
    pub launch_template_name: String,
    /// What it says.
    pub launch_template_data: LaunchTemplateData,
    /// Its own tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// What a launch template says about the instances started from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LaunchTemplateData {
    /// The image to boot.
    pub image_id: ImageId,
    /// The size of the machine, such as `m3.medium`.
    pub instance_type: String,
    /// The key pair of whoever may log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// The role that its programs have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_instance_profile: Option<InstanceProfile>,
    /// Its disks.
    pub block_device_mappings: Vec<BlockDevice>,
    /// How its metadata may be read.
    pub metadata_options: MetadataOptions,
    /// Whether nobody may remove it without saying first that this may be: where state is on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_api_termination: bool,
    /// Its network interfaces, where it brings none of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_interfaces: Vec<InstanceInterface>,
    /// What it does at first boot.
    pub user_data: Value<UserDataText>,
    /// The tags of what is started from it.
    pub tag_specifications: Vec<TagSpecification>,
}

/// An instance profile, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct InstanceProfile {
    /// The name.
    pub name: String,
}

/// A disk of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BlockDevice {
    /// The device, such as `/dev/xvda`.
    pub device_name: String,
    /// What it is.
    pub ebs: Ebs,
}

/// An Elastic Block Store disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Ebs {
    /// Always true.
    pub encrypted: bool,
    /// Whether it goes with the machine.
    pub delete_on_termination: bool,
    /// Its size in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_size: Option<u32>,
    /// Its type, such as `gp3`.
    pub volume_type: String,
}

/// How a machine's metadata may be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct MetadataOptions {
    /// `enabled`, since cloud-init reads its user data there.
    pub http_endpoint: String,
    /// `required`: only with a session token (IMDSv2).
    pub http_tokens: String,
    /// 1: only from the machine itself, from no container or network behind it.
    pub http_put_response_hop_limit: u8,
}

impl MetadataOptions {
    /// Version 2 of the service only, and only from the machine itself.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            http_endpoint: "enabled".to_owned(),
            http_tokens: "required".to_owned(),
            http_put_response_hop_limit: 1,
        }
    }
}

/// A network interface of an instance: one that exists, or a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct InstanceInterface {
    /// Its number, from 0.
    pub device_index: u8,
    /// The interface that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_interface_id: Option<Value<InterfaceId>>,
    /// For a new one: whether it gets a public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associate_public_ip_address: Option<bool>,
    /// For a new one: whether it goes with the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,
    /// For a new one: its security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Value<GroupId>>,
}

/// Starts machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RunInstances {
    /// From which template.
    pub launch_template: LaunchTemplateRef,
    /// Always 1.
    pub min_count: u32,
    /// Always 1.
    pub max_count: u32,
    /// With which network interfaces.
    pub network_interfaces: Vec<InstanceInterface>,
    /// The machine's tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Names a launch template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LaunchTemplateRef {
    /// Its name.
    pub launch_template_name: String,
    /// Its version; always `1`, see [`CreateLaunchTemplate`].
    pub version: String,
}

impl LaunchTemplateRef {
    /// The number of the only version that a template is made with.
    pub const VERSION: i64 = 1;

    /// The only version of a template.
    #[must_use]
    pub fn to(template: &CreateLaunchTemplate) -> Self {
        Self {
            launch_template_name: template.launch_template_name.clone(),
            version: Self::VERSION.to_string(),
        }
    }
}
