//! What whoever runs an account's machines for real reads in it, and tells it.

use std::net::Ipv4Addr;

use deployix_backend_ec2::request::{InstanceId, Value};

use crate::{
    groups,
    strict::{World, seat},
};

/// What is there at one moment.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) machines: Vec<Machine>,
    /// The disks that outlive machines, with their size in GiB.
    pub(crate) disks: Vec<(String, u32)>,
    pub(crate) listeners: Vec<Listener>,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: InstanceId,
    pub(crate) address: Ipv4Addr,
    /// Whether it is to run; else it is stopped.
    pub(crate) runs: bool,
    /// What lets others reach it, and it others: see [`groups::filter`].
    pub(crate) filter: String,
    /// What it is told at its first boot, in base64.
    pub(crate) user_data: String,
    /// The disks that are attached beside that which it boots from, each with its device.
    pub(crate) disks: Vec<(String, String)>,
}

/// A port of a load balancer.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) id: InstanceId,
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) is_draining: bool,
}

/// Looks at what is there, where load balancers' connections come from this address.
pub(crate) fn look(world: &mut World, balancers: Ipv4Addr) -> Seen {
    let machines = machines(world, balancers);
    let address = |id: &InstanceId| machines.iter().find(|it| it.id == *id).map(|it| it.address);
    let targets = |group: &str| {
        let all = world.targets.get(group).into_iter().flat_map(|all| all.all());
        let target = |it: &deployix_backend_ec2::engine::shape::TargetHealth| {
            Some(Target {
                group: group.to_owned(),
                id: it.id.clone(),
                address: address(&it.id)?,
                port: it.port,
                is_draining: it.state == "draining",
            })
        };
        all.filter_map(target).collect::<Vec<_>>()
    };
    let listener = |it: &deployix_backend_ec2::engine::shape::Listener| {
        let groups =
            it.default_actions.iter().filter_map(|action| match &action.target_group_arn {
                Value::Known(arn) => Some(&arn.0),
                Value::Output(_) => None,
            });
        Listener { port: it.port, targets: groups.flat_map(|group| targets(group)).collect() }
    };
    let listeners = world.listeners.all().map(listener).collect();
    let own = world.volumes.all().filter(|it| !world.roots.contains_key(it.volume_id.as_str()));
    let disks = own.map(|it| (it.volume_id.to_string(), it.size)).collect();
    Seen { machines, disks, listeners }
}

fn machines(world: &World, balancers: Ipv4Addr) -> Vec<Machine> {
    let there = world.instances.all().filter_map(|it| {
        let runs = match it.state.as_str() {
            "pending" | "running" => true,
            "stopping" | "stopped" => false,
            _ => return None,
        };
        let interface = it.network_interfaces.first()?;
        let mut interfaces = world.interfaces.all();
        let interface = interfaces.find(|it| it.network_interface_id == *interface)?;
        let attached = world.volumes.all().flat_map(|volume| {
            let here = volume.attachments.iter().filter(|at| {
                at.instance_id == it.instance_id
                    && at.state == "attached"
                    && !world.roots.contains_key(volume.volume_id.as_str())
            });
            here.map(|at| (volume.volume_id.to_string(), at.device.clone()))
        });
        Some(Machine {
            id: it.instance_id.clone(),
            address: interface.private_ip_address,
            runs,
            filter: groups::filter(world, interface, balancers),
            user_data: world.user_data[it.instance_id.as_str()].clone(),
            disks: attached.collect(),
        })
    });
    there.collect()
}

/// Tells how a machine behind a load balancer was found.
pub(crate) fn tell_health(world: &mut World, target: &Target, is_well: bool) {
    let targets = world.targets.get_mut(&target.group);
    let entry = targets.and_then(|targets| targets.entry(&seat(&target.id, target.port)));
    if let Some(entry) = entry
        && entry.it.state != "draining"
    {
        let state = if is_well { "healthy" } else { "unhealthy" };
        entry.instead().it.state = state.to_owned();
    }
}
