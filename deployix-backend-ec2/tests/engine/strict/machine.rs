//! Network interfaces, addresses, disks, launch templates, instances.

use std::net::Ipv4Addr;

use base64::Engine;
use deployix_backend_ec2::{
    engine::{
        call::{InterfaceAttribute, Write},
        shape::{Address, Instance, LaunchTemplate, NetworkInterface, Volume, VolumeAttachment},
    },
    request::{
        AddressId, AllocateAddress, AssociateAddress, AttachVolume, CreateLaunchTemplate,
        CreateNetworkInterface, CreateVolume, GroupId, InstanceId, InterfaceId, LaunchTemplateData,
        RunInstances, SubnetId, Tag, VolumeId,
    },
};

use tokio::time;

use super::{
    network::{known, tags_of},
    table::{Result, new_tags, refuse},
    world::World,
};

/// The quotas of a new account (Amazon VPC User Guide, Amazon EC2 User Guide, "quotas").
const ADDRESSES: usize = 5;
const GROUPS: usize = 5;
const INSTANCES: usize = 20;

const TYPES: [&str; 7] =
    ["m3.large", "m3.medium", "m5.large", "m6g.large", "r3.xlarge", "t3.small", "t4g.small"];

impl World {
    pub(super) fn create_interface(&mut self, it: &CreateNetworkInterface) -> Result<String> {
        let groups: Vec<_> = it.groups.iter().map(|it| known(it).clone()).collect();
        let tags = tags_of(&it.tag_specifications, "network-interface")?;
        self.new_interface(known(&it.subnet_id), &it.description, groups, tags)
    }

    pub(super) fn new_interface(
        &mut self,
        subnet: &SubnetId,
        description: &str,
        groups: Vec<GroupId>,
        tags: Vec<Tag>,
    ) -> Result<String> {
        let subnet = self.subnets.get(subnet.as_str(), "InvalidSubnetID.NotFound")?.it.clone();
        self.check_groups(&groups, &subnet.subnet_id)?;
        let id = self.id("eni");
        let interface = NetworkInterface {
            network_interface_id: InterfaceId::new(&id).unwrap(),
            private_ip_address: self.free_address(subnet.cidr_block),
            vpc_id: subnet.vpc_id,
            subnet_id: subnet.subnet_id,
            description: description.to_owned(),
            groups,
            status: "pending".to_owned(),
            instance_id: None,
            tags,
        };
        let entry = self.interfaces.add(&id, interface, self.late);
        entry.then(1, |it| {
            if it.status == "pending" {
                it.status = "available".to_owned();
            }
        });
        Ok(id)
    }

    pub(super) fn check_groups(&mut self, groups: &[GroupId], subnet: &SubnetId) -> Result<()> {
        if groups.len() > GROUPS {
            return refuse("SecurityGroupsPerInterfaceLimitExceeded", GROUPS);
        }
        let vpc = self.subnets.entry(subnet.as_str()).unwrap().it.vpc_id.clone();
        for group in groups {
            let group = &self.groups.get(group.as_str(), "InvalidGroup.NotFound")?.it;
            if group.vpc_id != vpc {
                return refuse("InvalidParameterValue", "group and subnet are of two networks");
            }
        }
        Ok(())
    }

    pub(super) fn allocate(&mut self, it: &AllocateAddress) -> Result<String> {
        if self.addresses.all().count() >= ADDRESSES {
            return refuse("AddressLimitExceeded", "the maximum number of addresses is reached");
        }
        let id = self.id("eipalloc");
        let mut free = (1..=254).map(|last| Ipv4Addr::new(203, 0, 113, last));
        let taken: Vec<_> = self.addresses.all().map(|it| it.public_ip).collect();
        let address = Address {
            allocation_id: AddressId::new(&id).unwrap(),
            public_ip: free.find(|it| !taken.contains(it)).unwrap(),
            association_id: None,
            network_interface_id: None,
            tags: tags_of(&it.tag_specifications, "elastic-ip")?,
        };
        self.addresses.add(&id, address, self.late);
        Ok(id)
    }

    pub(super) fn associate_address(&mut self, it: &AssociateAddress) -> Result<String> {
        let interface = known(&it.network_interface_id).clone();
        let subnet =
            self.interfaces.get(interface.as_str(), "InvalidNetworkInterfaceID.NotFound")?;
        let subnet = subnet.it.subnet_id.to_string();
        let vpc = self.subnets.entry(&subnet).unwrap().it.vpc_id.clone();
        if !self.gateways.all().any(|it| it.attachments.contains(&vpc)) {
            return refuse("Gateway.NotAttached", format!("{vpc} has no internet gateway"));
        }
        if self.addresses.all().any(|other| {
            other.network_interface_id.as_ref() == Some(&interface)
                && other.allocation_id != *known(&it.allocation_id)
        }) {
            return refuse("Resource.AlreadyAssociated", interface);
        }
        let association = self.id("eipassoc");
        let address = known(&it.allocation_id).as_str();
        let address = &mut self.addresses.get(address, "InvalidAllocationID.NotFound")?.it;
        if address.association_id.is_some() && !it.allow_reassociation {
            return refuse("Resource.AlreadyAssociated", interface);
        }
        address.association_id = Some(association.clone());
        address.network_interface_id = Some(interface);
        Ok(association)
    }

    pub(super) fn create_volume(&mut self, it: &CreateVolume) -> Result<String> {
        if !(1..=16384).contains(&it.size) {
            return refuse("InvalidParameterValue", it.size);
        }
        let id = self.id("vol");
        let volume = Volume {
            volume_id: VolumeId::new(&id).unwrap(),
            availability_zone: known(&it.availability_zone).clone(),
            size: it.size,
            volume_type: it.volume_type.clone(),
            encrypted: it.encrypted,
            state: "creating".to_owned(),
            attachments: Vec::new(),
            tags: tags_of(&it.tag_specifications, "volume")?,
        };
        let entry = self.volumes.add(&id, volume, self.late);
        entry.then(3, |it| it.state = "available".to_owned());
        Ok(id)
    }

    pub(super) fn attach_volume(&mut self, it: &AttachVolume) -> Result<String> {
        let instance = known(&it.instance_id).clone();
        let there = &self.instances.get(instance.as_str(), "InvalidInstanceID.NotFound")?.it;
        if !["running", "stopped"].contains(&&*there.state) {
            return refuse("IncorrectState", format!("{instance} is {}", there.state));
        }
        let interface = there.network_interfaces[0].to_string();
        let subnet = self.interfaces.entry(&interface).unwrap().it.subnet_id.to_string();
        let zone = self.subnets.entry(&subnet).unwrap().it.availability_zone.clone();
        let entry = self.volumes.get(known(&it.volume_id).as_str(), "InvalidVolume.NotFound")?;
        let volume = &mut entry.it;
        if volume.availability_zone != zone {
            return refuse("InvalidVolume.ZoneMismatch", zone);
        }
        if volume.state == "in-use" {
            return refuse("VolumeInUse", &volume.volume_id);
        }
        if volume.state != "available" {
            return refuse("IncorrectState", &volume.state);
        }
        volume.state = "in-use".to_owned();
        let (device, state) = (it.device.clone(), "attaching".to_owned());
        volume.attachments = vec![VolumeAttachment { instance_id: instance, device, state }];
        entry.then(3, |it| {
            for attachment in &mut it.attachments {
                attachment.state = "attached".to_owned();
            }
        });
        Ok(String::new())
    }

    /// A disk that somebody made from a snapshot of another, tags and all.
    pub(crate) fn copy_volume(&mut self, of: &Volume) -> VolumeId {
        let id = self.id("vol");
        let volume_id = VolumeId::new(&id).unwrap();
        let (state, attachments) = ("available".to_owned(), Vec::new());
        let copy = Volume { volume_id: volume_id.clone(), state, attachments, ..of.clone() };
        self.volumes.add(&id, copy, self.late.at_once());
        volume_id
    }

    /// A machine that somebody else runs.
    pub(crate) fn machine_of_others(&mut self) -> InstanceId {
        let id = self.id("i");
        let instance_id = InstanceId::new(&id).unwrap();
        let machine = Instance {
            instance_id: instance_id.clone(),
            state: "running".to_owned(),
            state_reason: None,
            status: "ok".to_owned(),
            instance_type: "t3.nano".to_owned(),
            network_interfaces: Vec::new(),
            tags: vec![Tag::new("Name", "rescue")],
        };
        self.instances.add(&id, machine, self.late.at_once());
        instance_id
    }

    /// An interface that somebody else made, in the subnet of another.
    pub(crate) fn interface_of_others(&mut self, beside: &InterfaceId) -> InterfaceId {
        let interface = self.interfaces.entry(beside.as_str()).unwrap().it.clone();
        let (subnet, groups) = (interface.subnet_id, interface.groups);
        let id = self.new_interface(&subnet, "of others", groups, Vec::new()).unwrap();
        InterfaceId::new(&id).unwrap()
    }

    pub(super) fn create_template(&mut self, it: &CreateLaunchTemplate) -> Result<String> {
        let name = &it.launch_template_name;
        if self.templates.all().any(|other| other.launch_template_name == *name) {
            return refuse("InvalidLaunchTemplateName.AlreadyExistsException", name);
        }
        let text = &known(&it.launch_template_data.user_data).0;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        if !bytes.is_ok_and(|bytes| bytes.len() <= 16 * 1024) {
            return refuse("InvalidUserData.Malformed", name);
        }
        for specification in &it.launch_template_data.tag_specifications {
            new_tags(&specification.tags)?;
        }
        let id = self.id("lt");
        let template = LaunchTemplate {
            launch_template_id: id.clone(),
            launch_template_name: name.clone(),
            default_version_number: 1,
            tags: tags_of(&it.tag_specifications, "launch-template")?,
        };
        self.template_data.insert(name.clone(), it.clone());
        self.templates.add(&id, template, self.late);
        Ok(id)
    }

    /// What can be told of a request for machines before they are started, which is not whether there
    /// are any to give.
    pub(super) fn check_machines(&mut self, it: &RunInstances) -> Result<()> {
        self.check_template(&it.launch_template.launch_template_name)?;
        self.free_interface(it).map(|_| ())
    }

    fn free_interface(&mut self, it: &RunInstances) -> Result<String> {
        let [interface] = it.network_interfaces.as_slice() else {
            return refuse("InvalidParameterValue", "interfaces");
        };
        let interface = known(interface.network_interface_id.as_ref().unwrap()).to_string();
        let status =
            &self.interfaces.get(&interface, "InvalidNetworkInterfaceID.NotFound")?.it.status;
        if status != "available" {
            return refuse("InvalidNetworkInterface.InUse", interface);
        }
        Ok(interface)
    }

    pub(super) fn run_instances(&mut self, it: &RunInstances) -> Result<String> {
        let interface = self.free_interface(it)?;
        let tags = tags_of(&it.tag_specifications, "instance")?;
        self.start_machine(&it.launch_template.launch_template_name, &interface, &tags)
    }

    /// Whether an instance profile is known by now.
    pub(super) fn check_profile(&self, name: &str) -> Result<()> {
        if self.profiles.get(name).is_none_or(|known| *known <= time::Instant::now()) {
            return Ok(());
        }
        let message = format!(
            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance \
             Profile name"
        );
        refuse("InvalidParameterValue", message)
    }

    fn check_template(&self, template: &str) -> Result<LaunchTemplateData> {
        if !self.templates.all().any(|it| it.launch_template_name == template) {
            return refuse("InvalidLaunchTemplateName.NotFoundException", template);
        }
        let data = self.template_data[template].launch_template_data.clone();
        if self.images.contains(data.image_id.as_str()) {
            return refuse("InvalidAMIID.NotFound", data.image_id.as_str());
        }
        if !TYPES.contains(&&*data.instance_type) {
            return refuse("InvalidParameterValue", data.instance_type);
        }
        if data.key_name.as_deref().is_some_and(|key| key != "ops") {
            return refuse("InvalidKeyPair.NotFound", data.key_name.unwrap());
        }
        if let Some(profile) = &data.iam_instance_profile {
            self.check_profile(&profile.name)?;
        }
        Ok(data)
    }

    /// Starts a machine from a template.
    pub(super) fn start_machine(
        &mut self,
        template: &str,
        interface: &str,
        tags: &[Tag],
    ) -> Result<String> {
        let data = self.check_template(template)?;
        if self.scarce.contains(&data.instance_type) {
            return refuse("InsufficientInstanceCapacity", data.instance_type);
        }
        let most = INSTANCES + self.more;
        if self.instances.all().filter(|it| it.state != "terminated").count() >= most {
            return refuse("VcpuLimitExceeded", most);
        }
        let boots = self.boots(&data);
        let id = self.id("i");
        let instance_id = InstanceId::new(&id).unwrap();
        let of = |kind: &str| {
            let all = data.tag_specifications.iter().filter(|it| it.resource_type == kind);
            all.flat_map(|it| it.tags.clone()).collect::<Vec<_>>()
        };
        let mut all = new_tags(&of("instance"))?;
        super::table::put_tags(&mut all, tags)?;
        let network_interface_id = InterfaceId::new(interface).unwrap();
        let subnet = {
            let interface = &mut self.interfaces.entry(interface).unwrap().instead().it;
            interface.status = "in-use".to_owned();
            interface.instance_id = Some(instance_id.clone());
            interface.subnet_id.to_string()
        };
        let zone = self.subnets.entry(&subnet).unwrap().it.availability_zone.clone();
        let instance = Instance {
            instance_id: instance_id.clone(),
            state: "pending".to_owned(),
            state_reason: None,
            status: "not-applicable".to_owned(),
            instance_type: data.instance_type.clone(),
            network_interfaces: vec![network_interface_id],
            tags: all,
        };
        let entry = self.instances.add(&id, instance, self.late);
        if self.broken.contains(data.image_id.as_str()) {
            entry.then(8, |it| {
                it.state = "terminated".to_owned();
                it.state_reason = Some("Client.InternalError: Client error on launch".to_owned());
            });
        } else {
            starts(entry);
            if !boots {
                entry.then(12, |it| {
                    it.state = "stopped".to_owned();
                    it.state_reason = Some("Client.InstanceInitiatedShutdown".to_owned());
                });
            }
        }
        let told = data.user_data.known().map(ToString::to_string).unwrap_or_default();
        self.user_data.insert(id.clone(), told);
        if data.disable_api_termination {
            self.protected.insert(id.clone());
        }
        let root = self.id("vol");
        let volume = Volume {
            volume_id: VolumeId::new(&root).unwrap(),
            availability_zone: zone,
            size: 8,
            volume_type: "gp3".to_owned(),
            encrypted: true,
            state: "in-use".to_owned(),
            attachments: vec![VolumeAttachment {
                instance_id,
                device: "/dev/xvda".to_owned(),
                state: "attached".to_owned(),
            }],
            tags: new_tags(&of("volume"))?,
        };
        self.volumes.add(&root, volume, self.late);
        self.roots.insert(root, id.clone());
        Ok(id)
    }

    /// What terminated machines leave, and what goes with them.
    pub(super) fn machines_that_ended(&mut self) {
        let ended: Vec<_> =
            self.instances.all().filter(|it| it.state == "terminated").cloned().collect();
        for machine in ended {
            for id in &machine.network_interfaces {
                if self.fleeting.remove(id.as_str()) {
                    self.interfaces.remove(id.as_str());
                } else if let Some(entry) = self.interfaces.entry(id.as_str())
                    && entry.it.instance_id.as_ref() == Some(&machine.instance_id)
                {
                    entry.it.instance_id = None;
                    entry.it.status = "available".to_owned();
                }
            }
            self.roots.retain(|root, of| {
                let stays = of != machine.instance_id.as_str();
                if !stays {
                    self.volumes.remove(root);
                }
                stays
            });
            for volume in self.volumes.all_mut() {
                if volume.attachments.iter().any(|it| it.instance_id == machine.instance_id) {
                    volume.attachments.clear();
                    volume.state = "available".to_owned();
                }
            }
            if let Some(entry) = self.instances.entry(machine.instance_id.as_str()) {
                entry.it.network_interfaces.clear();
            }
        }
    }

    pub(super) fn end_machine(&mut self, id: &InstanceId) {
        self.protected.remove(id.as_str());
        if let Some(entry) = self.instances.entry(id.as_str())
            && !["shutting-down", "terminated"].contains(&&*entry.it.state)
        {
            entry.it.state = "shutting-down".to_owned();
            entry.instead().then(20, |it| it.state = "terminated".to_owned()).gone_after(3600);
        }
    }

    pub(super) fn write_machine(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::ModifyNetworkInterfaceAttribute { network_interface_id, attribute } => {
                let id = network_interface_id.as_str();
                let interface = &self.interfaces.get(id, "InvalidNetworkInterfaceID.NotFound")?.it;
                let subnet = interface.subnet_id.clone();
                match attribute {
                    InterfaceAttribute::Description(text) => {
                        self.interfaces.entry(id).unwrap().it.description.clone_from(text);
                    }
                    InterfaceAttribute::Groups(groups) => {
                        self.check_groups(groups, &subnet)?;
                        self.interfaces.entry(id).unwrap().it.groups.clone_from(groups);
                    }
                }
            }
            Write::DeleteNetworkInterface { network_interface_id } => {
                let id = network_interface_id.as_str();
                let entry = self.interfaces.get(id, "InvalidNetworkInterfaceID.NotFound")?;
                if entry.it.status == "in-use" {
                    return refuse("InvalidParameterValue", format!("{id} is currently in use"));
                }
                self.interfaces.remove(id);
            }
            Write::DisassociateAddress { association_id } => {
                let mut all = self.addresses.all_mut();
                let Some(address) =
                    all.find(|it| it.association_id.as_ref() == Some(association_id))
                else {
                    return refuse("InvalidAssociationID.NotFound", association_id);
                };
                address.association_id = None;
                address.network_interface_id = None;
            }
            Write::ReleaseAddress { allocation_id } => {
                let id = allocation_id.as_str();
                let entry = self.addresses.get(id, "InvalidAllocationID.NotFound")?;
                if entry.it.association_id.is_some() {
                    return refuse("InvalidIPAddress.InUse", id);
                }
                self.addresses.remove(id);
            }
            Write::ModifyVolume { volume_id, size, volume_type } => {
                let entry = self.volumes.get(volume_id.as_str(), "InvalidVolume.NotFound")?;
                if *size < entry.it.size {
                    return refuse("InvalidParameterValue", "new size cannot be smaller");
                }
                entry.it.size = *size;
                entry.it.volume_type.clone_from(volume_type);
            }
            Write::DetachVolume { volume_id } => {
                let entry = self.volumes.get(volume_id.as_str(), "InvalidVolume.NotFound")?;
                let Some(attachment) = entry.it.attachments.first_mut() else {
                    return refuse("IncorrectState", format!("{volume_id} is available"));
                };
                if attachment.state == "detaching" {
                    return refuse("IncorrectState", format!("{volume_id} is detaching"));
                }
                attachment.state = "detaching".to_owned();
                entry.instead().then(3, |it| {
                    it.attachments.clear();
                    it.state = "available".to_owned();
                });
            }
            Write::DeleteVolume { volume_id } => {
                let entry = self.volumes.get(volume_id.as_str(), "InvalidVolume.NotFound")?;
                match entry.it.state.as_str() {
                    "in-use" => return refuse("VolumeInUse", volume_id),
                    "deleting" => return Ok(()),
                    _ => {}
                }
                entry.it.state = "deleting".to_owned();
                entry.instead().gone_after(3);
            }
            Write::ModifyLaunchTemplate { launch_template_id, default_version } => {
                let entry =
                    self.templates.get(launch_template_id, "InvalidLaunchTemplateId.NotFound")?;
                let Ok(version) = default_version.parse() else {
                    return refuse("InvalidParameterValue", default_version);
                };
                entry.it.default_version_number = version;
            }
            Write::DeleteLaunchTemplate { launch_template_id } => {
                self.templates.get(launch_template_id, "InvalidLaunchTemplateId.NotFound")?;
                self.templates.remove(launch_template_id);
            }
            Write::ModifyInstanceAttribute { instance_id, disable_api_termination } => {
                let id = instance_id.as_str();
                self.instances.get(id, "InvalidInstanceID.NotFound")?;
                if *disable_api_termination {
                    self.protected.insert(id.to_owned());
                } else {
                    self.protected.remove(id);
                }
            }
            Write::StopInstances { instance_ids } => {
                for id in instance_ids {
                    let entry = self.instances.get(id.as_str(), "InvalidInstanceID.NotFound")?;
                    match entry.it.state.as_str() {
                        "running" | "stopping" | "stopped" => {}
                        other => return refuse("IncorrectInstanceState", other),
                    }
                    if entry.it.state == "running" {
                        entry.it.state = "stopping".to_owned();
                        entry.instead().then(10, |it| it.state = "stopped".to_owned());
                    }
                }
            }
            Write::StartInstances { instance_ids } => {
                for id in instance_ids {
                    let entry = self.instances.get(id.as_str(), "InvalidInstanceID.NotFound")?;
                    match entry.it.state.as_str() {
                        "pending" | "running" => {}
                        "stopped" => {
                            entry.it.state = "pending".to_owned();
                            starts(entry.instead());
                        }
                        other => return refuse("IncorrectInstanceState", other),
                    }
                }
            }
            Write::TerminateInstances { instance_ids } => {
                for id in instance_ids {
                    self.instances.get(id.as_str(), "InvalidInstanceID.NotFound")?;
                    if self.protected.contains(id.as_str()) {
                        return refuse("OperationNotPermitted", "disableApiTermination");
                    }
                    self.end_machine(id);
                }
            }
            other => return refuse("InvalidAction", other.operation()),
        }
        Ok(())
    }
}

fn starts(entry: &mut super::table::Entry<Instance>) {
    entry
        .then(8, |it| {
            it.state = "running".to_owned();
            it.status = "initializing".to_owned();
        })
        .then(30, |it| it.status = "ok".to_owned());
}
