//! One target as resources and files: its network, its machines and what they do at first boot.

mod boot;
mod image;
mod launch;
mod report;
mod secret;
mod setting;
mod tag;

use std::collections::BTreeMap;

use deployix_core::{
    Digest, Name, ResourceId,
    backend::{Artifact, Assembly, CompileError, Guest, Owner, Remark, Resource, Unit},
    spec::{FileContent, TargetKind},
};

use crate::{
    compile::{autoscaling_group, found_by, group_of, needed_to_boot},
    extension::TargetSettings,
    guest, naming,
    network::Net,
    request::{
        AllocateAddress, AssociateAddress, AttachVolume, AutoScalingTag, CreateAutoScalingGroup,
        CreateNetworkInterface, CreateVolume, InstanceInterface, InstanceMaintenancePolicy,
        RunInstances, Value, ZoneName,
    },
    resource::resource,
    settings,
};

/// The quota that AWS gives for groups of one interface, and what it can be raised to (Amazon VPC
/// User Guide, "Amazon VPC quotas").
const GROUPS: usize = 5;
const GROUPS_AT_MOST: usize = 16;

/// The quota that AWS gives for elastic addresses of one region.
const ADDRESSES: u32 = 5;

/// The device that the disk for state is attached as; machines with NVMe call it otherwise.
pub(crate) const STATE_DEVICE: &str = "/dev/sdf";

/// Compiles what ties one target together.
pub(crate) fn assemble(assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
    let net = Net::of(assembly.deployment, &assembly.site)?;
    let settings: TargetSettings = settings(&assembly.site.target.extensions)?;
    let mut job = Job { assembly, net, settings, artifact: Artifact::default() };
    job.check()?;
    let network = job.net.resources()?;
    job.artifact.resources.extend(network);
    match assembly.site.target.kind {
        TargetKind::Machine | TargetKind::Pool { .. } => job.machines()?,
        TargetKind::Autoscaling { min, max } => job.autoscaling(min, max.get())?,
        other => {
            return Err(Remark::new(["kind"], format!("EC2 has no target of kind {other:?}"))
                .remedy("use `machine`, `pool` or `autoscaling`")
                .into());
        }
    }
    job.secrets()?;
    report::write(assembly, &mut job.artifact)?;
    Ok(job.artifact)
}

/// The work on one target.
struct Job<'a> {
    assembly: &'a Assembly<'a>,
    net: Net<'a>,
    settings: TargetSettings,
    artifact: Artifact,
}

/// One machine, or all of an autoscaling group.
struct Place<'a> {
    /// The number; none for the machines of an autoscaling group.
    machine: Option<u32>,
    units: Vec<&'a Unit<'a>>,
    /// The disk for state.
    state_disk: Option<ResourceId>,
    /// What runs on it, each with the digest of what it is told of it at first boot.
    carries: BTreeMap<Name, Digest>,
}

impl<'a> Place<'a> {
    fn new(machine: Option<u32>, units: Vec<&'a Unit<'a>>) -> Self {
        Self { machine, units, state_disk: None, carries: BTreeMap::new() }
    }

    /// Whether anything on it keeps state.
    fn has_state(&self) -> bool {
        let mut services = self.units.iter().flat_map(|unit| unit.service.members());
        services.any(|(_, service)| !service.state.is_empty())
    }
}

impl<'a> Job<'a> {
    fn owner(&self) -> Owner {
        Owner::Target(self.assembly.site.target.name.clone())
    }

    /// A resource of the target.
    fn made(
        &self,
        id: &ResourceId,
        request: impl Into<crate::request::Request>,
        after: impl IntoIterator<Item = ResourceId>,
    ) -> Result<Resource, CompileError> {
        resource(id.clone(), self.owner(), self.net.region.as_deref(), request, after)
    }

    fn make(
        &mut self,
        id: &ResourceId,
        request: impl Into<crate::request::Request>,
        after: impl IntoIterator<Item = ResourceId>,
    ) -> Result<(), CompileError> {
        let made = self.made(id, request, after)?;
        self.artifact.resources.push(made);
        Ok(())
    }

    /// The same, carrying what runs on a machine: it is made from all of that, and from it alone.
    fn make_carrying(
        &mut self,
        place: &Place<'_>,
        id: &ResourceId,
        request: impl Into<crate::request::Request>,
        after: impl IntoIterator<Item = ResourceId>,
    ) -> Result<(), CompileError> {
        let made = self.made(id, request, after)?;
        self.artifact.resources.push(made.carrying(place.carries.clone()));
        Ok(())
    }

    /// Adds what was made at the turn of its machine, so that those of a pool are changed one after the
    /// other; what an autoscaling group starts has the first.
    fn push_in_turn(&mut self, place: &Place<'_>, made: Resource) {
        let group = self.assembly.site.target.name.clone();
        self.artifact.resources.push(made.in_turn(group, place.machine.unwrap_or(0)));
    }

    /// What is called `zalora/epsilon1/0` on AWS.
    fn name(&self, machine: Option<u32>) -> String {
        let target = &self.assembly.site.target.name;
        match machine {
            Some(machine) => format!("{}/{target}/{machine}", self.assembly.deployment),
            None => format!("{}/{target}", self.assembly.deployment),
        }
    }

    fn check(&self) -> Result<(), CompileError> {
        let mut reasons = tag::check(&self.settings.tags);
        reasons.extend(setting::check(&self.settings));
        if reasons.is_empty() { Ok(()) } else { Err(CompileError { reasons }) }
    }

    /// What runs on a machine; a load balancer is on none.
    fn units(&self, machine: Option<u32>) -> Vec<&'a Unit<'a>> {
        let here = |unit: &&Unit<'_>| {
            unit.balancer.is_none() && machine.is_none_or(|it| unit.machines.contains(&it))
        };
        self.assembly.units.iter().filter(here).collect()
    }

    fn machines(&mut self) -> Result<(), CompileError> {
        let count = self.assembly.site.target.kind.machines();
        let mut made = 0;
        let mut reasons = Vec::new();
        for machine in 0..count {
            let units = self.units(Some(machine));
            if units.is_empty() {
                continue;
            }
            made += 1;
            if let Err(error) = self.machine(machine, units) {
                reasons.extend(error.reasons);
            }
        }
        if !reasons.is_empty() {
            reasons.sort();
            reasons.dedup();
            return Err(CompileError { reasons });
        }
        if made < count {
            let message = match made {
                0 => "it is not made: nothing runs there".to_owned(),
                _ => format!(
                    "only {made} of its {count} machines are made: nothing runs on the others"
                ),
            };
            self.artifact.remarks.push(Remark::new(["count"], message));
        }
        if made > ADDRESSES && self.settings.public_address {
            let message = format!("its machines take {made} elastic addresses");
            self.artifact.remarks.push(Remark::new(["count"], message).remedy(format!(
                "AWS allows {ADDRESSES} a region unless asked for more: request a quota increase of \
                 \"EC2-VPC Elastic IPs\", or set `public-address = false` where the network has \
                 another way out"
            )));
        }
        Ok(())
    }

    /// One machine: its interface, address and disk stay when it is replaced.
    fn machine(&mut self, machine: u32, units: Vec<&'a Unit<'a>>) -> Result<(), CompileError> {
        let target = &self.assembly.site.target.name;
        let deployment = self.assembly.deployment;
        let id = |what: &str| naming::of_machine(target, machine, what);
        let name = self.name(Some(machine));
        let tagged = |kind: &str, id: &ResourceId| naming::tagged(kind, deployment, &name, id);
        let mut place = Place::new(Some(machine), units);

        let interface = self.net.interface(target, machine)?;
        let subnet =
            self.net.subnet(machine).map(|subnet| (subnet.id.clone(), subnet.zone.clone()));
        let Some((subnet_id, zone)) = subnet else {
            return Err(Remark::new(["network"], "its network has no subnet").into());
        };
        if place.units.iter().any(|unit| self.keeps_on_disk(unit)) {
            place.state_disk = Some(self.state_disk(&id("volume")?, &name, zone)?);
        } else if place.has_state() {
            self.remark_on_root_disk();
        }
        place.carries = self.carried(&place)?;

        let create = CreateNetworkInterface {
            subnet_id,
            description: name.clone(),
            groups: self.groups(&place)?,
            tag_specifications: tagged("network-interface", &interface),
        };
        // A disk that cannot come along is told before anything leads elsewhere.
        self.make_carrying(&place, &interface, create, place.state_disk.clone())?;

        if self.settings.public_address {
            let address = id("address")?;
            let allocate = AllocateAddress {
                domain: "vpc".to_owned(),
                tag_specifications: tagged("elastic-ip", &address),
            };
            self.make(&address, allocate, [])?;
            let associate = AssociateAddress {
                allocation_id: Value::output_of(&address),
                network_interface_id: Value::output_of(&interface),
                allow_reassociation: true,
            };
            // An address is reached only through a gateway that is there.
            let ways_out = self.net.ways_out()?;
            self.make(&id("address-association")?, associate, ways_out)?;
        }

        let template_id = id("launch-template")?;
        let launch = self.launch_template(&place, &id("user-data")?, &template_id)?;
        let instance = id("instance")?;
        let run = RunInstances {
            launch_template: launch.template,
            min_count: 1,
            max_count: 1,
            network_interfaces: vec![InstanceInterface {
                device_index: 0,
                network_interface_id: Some(Value::output_of(&interface)),
                associate_public_ip_address: None,
                delete_on_termination: None,
                groups: Vec::new(),
            }],
            tag_specifications: tagged("instance", &instance),
        };
        let mut after = self.before_boot(&place)?;
        after.extend(launch.before);
        if self.settings.public_address {
            after.push(id("address-association")?);
        }
        let made = self.made(&instance, run, after)?.carrying(place.carries.clone());
        self.push_in_turn(&place, made);

        if let Some(volume) = &place.state_disk {
            let attach = AttachVolume {
                volume_id: Value::output_of(volume),
                instance_id: Value::output_of(&instance),
                device: STATE_DEVICE.to_owned(),
            };
            let made = self.made(&id("volume-attachment")?, attach, [])?;
            self.push_in_turn(&place, made);
        }
        Ok(())
    }

    /// The disk that a machine keeps state on.
    fn state_disk(
        &mut self,
        volume: &ResourceId,
        name: &str,
        zone: Value<ZoneName>,
    ) -> Result<ResourceId, CompileError> {
        let create = CreateVolume {
            availability_zone: zone,
            size: gib(self.settings.state_disk),
            volume_type: self.settings.disk_type.clone(),
            encrypted: true,
            tag_specifications: naming::tagged("volume", self.assembly.deployment, name, volume),
        };
        let (owner, region) = (self.owner(), self.net.region.as_deref());
        let disk = resource(volume.clone(), owner, region, create, [])?.holding_data();
        self.artifact.resources.push(disk);
        Ok(volume.clone())
    }

    fn remark_on_root_disk(&mut self) {
        let message = "the state of its services is on the disk that its machines boot from, since \
                       its guest knows no other, and goes when a machine is replaced";
        let remark = Remark::new(["guest"], message).remedy(
            "leave `guest` out, or set it to `docker`: these keep state on a disk of its own",
        );
        if !self.artifact.remarks.contains(&remark) {
            self.artifact.remarks.push(remark);
        }
    }

    /// Whether a machine needs a disk of its own for a unit.
    fn keeps_on_disk(&self, unit: &Unit<'_>) -> bool {
        if guest::is_plain(&self.assembly.site) {
            return guest::PlainGuest.keeps_on_disk(unit);
        }
        self.assembly.guest.is_some_and(|guest| guest.keeps_on_disk(unit))
    }

    fn autoscaling(&mut self, min: u32, max: u32) -> Result<(), CompileError> {
        let target = &self.assembly.site.target.name;
        let units = self.units(None);
        if units.is_empty() {
            let message = "it is not made: nothing runs there";
            self.artifact.remarks.push(Remark::new(["kind"], message));
            return Ok(());
        }
        let mut place = Place::new(None, units);
        if let Some(unit) = place.units.iter().find(|unit| keeps_state(unit)) {
            let message = format!(
                "{} keeps state, and the machines of an autoscaling group are thrown away",
                unit.name
            );
            return Err(Remark::new(["kind"], message)
                .remedy("place it on a target of kind `machine` or `pool`")
                .into());
        }
        place.carries = self.carried(&place)?;
        // In another VPC all of it is made beside what was there.
        let id = |what: &str| naming::of_group(target, &self.net.vpc_place, what);
        let (template_id, user_data) = (id("launch-template")?, id("user-data")?);
        let id = id("autoscaling-group")?;
        let launch = self.launch_template(&place, &user_data, &template_id)?;
        let tags = naming::tags(self.assembly.deployment, &self.name(None), &id);
        let tag = |tag: crate::request::Tag| AutoScalingTag {
            key: tag.key,
            value: tag.value,
            propagate_at_launch: false,
        };
        let grace = place.units.iter().flat_map(|unit| unit.service.members());
        let grace = grace.filter_map(|(_, service)| service.readiness.as_ref());
        let grace = grace.map(|readiness| readiness.within.as_seconds()).max().unwrap_or(0);
        let create = CreateAutoScalingGroup {
            auto_scaling_group_name: autoscaling_group(self.assembly.deployment, target, &self.net),
            launch_template: launch.template,
            min_size: min,
            max_size: max,
            vpc_zone_identifier: self.net.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
            health_check_type: "ELB".to_owned(),
            // Booting and installing takes minutes before anything can get ready.
            health_check_grace_period: 300 + u32::try_from(grace).unwrap_or(3600).min(3600),
            instance_maintenance_policy: InstanceMaintenancePolicy {
                min_healthy_percentage: 100,
                max_healthy_percentage: 200,
            },
            tags: tags.into_iter().map(tag).collect(),
        };
        let mut after = self.before_boot(&place)?;
        after.extend(launch.before);
        let made = self.made(&id, create, after)?.carrying(place.carries.clone());
        self.push_in_turn(&place, made);
        Ok(())
    }

    /// What runs on a machine, each with the digest of what the machine would be told if it ran there
    /// alone: that differs where the functionality does, whatever else is there.
    fn carried(&self, place: &Place<'_>) -> Result<BTreeMap<Name, Digest>, CompileError> {
        let told = |unit: &&Unit<'_>| {
            let mut alone = Place::new(place.machine, vec![*unit]);
            alone.state_disk.clone_from(&place.state_disk);
            let text = self.user_data(&alone)?;
            Ok((unit.name.clone(), Digest::of_bytes(text.preview().as_bytes())))
        };
        place.units.iter().map(told).collect()
    }

    /// The groups of a machine's interface: those of what runs on it, and no other. An interface
    /// without any would get the network's default group.
    fn groups(
        &mut self,
        place: &Place<'_>,
    ) -> Result<Vec<Value<crate::request::GroupId>>, CompileError> {
        let count = place.units.len();
        if count > GROUPS_AT_MOST {
            let message = format!(
                "{count} functionalities are on one machine, and AWS gives one at most \
                 {GROUPS_AT_MOST} security groups"
            );
            return Err(Remark::new(["capacity", "services"], message)
                .remedy(format!("set `capacity.services` to {GROUPS_AT_MOST} or less"))
                .into());
        }
        if count > GROUPS {
            let message = format!("one of its machines has {count} security groups");
            let remark = Remark::new(["capacity", "services"], message).remedy(format!(
                "AWS allows {GROUPS} unless asked for more: request a quota increase of \"Security \
                 groups per network interface\""
            ));
            if !self.artifact.remarks.contains(&remark) {
                self.artifact.remarks.push(remark);
            }
        }
        place.units.iter().map(|unit| group_of(unit.name, &self.net)).collect()
    }

    /// What a machine waits for: that its groups are closed, its software is in reach, its network
    /// has a way out, its secrets are there to be fetched, and those that it reaches by name have one.
    fn before_boot(&self, place: &Place<'_>) -> Result<Vec<ResourceId>, CompileError> {
        let mut needed = self.net.ways_out()?;
        needed.extend(self.secrets_before(&place.units)?);
        for unit in &place.units {
            needed.extend(needed_to_boot(unit, &self.net)?);
            if guest::is_plain(&self.assembly.site) {
                for upstream in &unit.upstreams {
                    needed.extend(found_by(unit, upstream)?);
                }
            }
        }
        Ok(needed)
    }
}

fn keeps_state(unit: &Unit<'_>) -> bool {
    unit.service.members().any(|(_, service)| !service.state.is_empty())
}

/// A size in GiB, which it is a whole number of.
fn gib(size: deployix_core::spec::Bytes) -> u32 {
    u32::try_from(size.0 >> 30).unwrap_or(u32::MAX)
}

/// Adds a file to what the target compiles to.
fn add_file(artifact: &mut Artifact, path: &str, text: String) -> Result<(), CompileError> {
    let path = deployix_core::RelativePath::new(path)
        .map_err(|error| Remark::new(["name"], error.to_string()))?;
    artifact.files.insert(path, FileContent::plain(text));
    Ok(())
}
