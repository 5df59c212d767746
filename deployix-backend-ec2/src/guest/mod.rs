//! The inside of a machine where its target names no guest: a plain Debian with systemd.
//!
//! cloud-init installs the packages, writes files and units, makes users and directories, and starts
//! everything. Secrets are never in user data, which every program on the machine can read from the
//! metadata service: units take them from a folder, one file each. A machine with a role fetches
//! them from Parameter Store at each boot, into `/run/deployix/secrets`; on others they are put into
//! `/var/lib/deployix/secrets` by other means.
//!
//! * [`service`]: one program as its units;
//! * [`script`]: the shell scripts that it starts with;
//! * [`secret`]: fetching secrets;
//! * [`ipsec`]: talking to machines of other networks;
//! * [`machine`]: everything together as one `#cloud-config`.

mod ipsec;
mod machine;
mod script;
mod secret;
mod service;

use deployix_core::{
    Name, ResourceId,
    backend::{
        CompileError, Disk, FirstBoot, Guest, Peer, PeerAddress, Remark, Site, Unit, UserData,
        UserDataPart, Via,
    },
};
pub(crate) use ipsec::Ipsec;
pub(crate) use machine::{Machine, check, cloud_config};
pub(crate) use secret::fetches as fetches_secrets;

use crate::{
    network,
    request::{PrivateIp, Value},
    user_data::text::Text,
};

/// The id under which targets may name this guest, as they may name none.
const NATIVE: &str = "native";

/// Whether a target's machines are plain Debian ones with systemd.
pub(crate) fn is_plain(site: &Site<'_>) -> bool {
    site.target.guest.as_ref().is_none_or(|guest| guest.as_str() == NATIVE)
}

/// Whether a unit talks to machines of other networks.
pub(crate) fn talks_ipsec(unit: &Unit<'_>) -> bool {
    unit.upstreams.iter().chain(&unit.consumers).any(|peer| peer.via == Via::Ipsec)
}

/// The disk for state: a volume that is attached once its machine runs.
pub(crate) fn disk(volume: &ResourceId) -> Disk {
    Disk { mount: parts_of(&script::mount_state(volume)) }
}

/// A plain Debian with systemd, as a guest that other backends can boot as well.
///
/// The EC2 backend takes it for targets that name no guest, or `native`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PlainGuest;

impl PlainGuest {
    /// The guest.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Guest for PlainGuest {
    fn keeps_on_disk(&self, unit: &Unit<'_>) -> bool {
        unit.service.members().any(|(_, service)| !service.state.is_empty())
    }

    fn user_data(&self, machine: &FirstBoot<'_>) -> Result<UserData, CompileError> {
        let units: Vec<_> = machine.units.iter().collect();
        if let Some(unit) = units.iter().find(|unit| talks_ipsec(unit)) {
            let message =
                format!("{} talks IPsec, which this guest sets up on EC2 only", unit.name);
            return Err(Remark::new(["upstream-hosts"], message)
                .remedy("put both ends into one network")
                .into());
        }
        let state_disk = machine.disk.cloned();
        let text = cloud_config(&Machine { units, state_disk, ..Machine::default() })?;
        Ok(UserData { parts: parts_of(&text) })
    }
}

fn parts_of(text: &Text) -> Vec<UserDataPart> {
    let part = |part: &Value<String>| match part {
        Value::Known(text) => UserDataPart::Text(text.clone()),
        Value::Output(output) => UserDataPart::Output(output.clone()),
    };
    text.parts().iter().map(part).collect()
}

/// What a guest gives of some units, as text with holes.
pub(crate) fn text_of(parts: &[UserDataPart], units: &[&Unit<'_>]) -> Result<Text, CompileError> {
    let mut text = Text::default();
    for part in parts {
        match part {
            UserDataPart::Text(known) => text.push(known),
            UserDataPart::Address(PeerAddress::Known(address)) => text.push(&address.to_string()),
            UserDataPart::Address(PeerAddress::Later { target, machine }) => {
                text.push_output::<PrivateIp>(&interface(units, target, *machine)?);
            }
            UserDataPart::Address(PeerAddress::LoadBalancer { name }) => {
                text.push_output::<PrivateIp>(&balancer(units, name)?);
            }
            UserDataPart::Output(output) => {
                text.append(&Text::from(vec![Value::Output(output.clone())]));
            }
        }
    }
    Ok(text)
}

/// The network interface of a machine that some units talk to.
fn interface(units: &[&Unit<'_>], target: &Name, machine: u32) -> Result<ResourceId, CompileError> {
    let (deployment, peer) = peer(units, |peer| peer.site.target.name == *target)
        .ok_or_else(|| stranger(&format!("machine {machine} of target {target}")))?;
    network::interface(deployment, &peer.site, machine)
}

/// A load balancer that some units talk to.
fn balancer(units: &[&Unit<'_>], name: &Name) -> Result<ResourceId, CompileError> {
    let (deployment, peer) = peer(units, |peer| peer.name == name)
        .ok_or_else(|| stranger(&format!("load balancer {name}")))?;
    network::balancer(deployment, &peer.site, name)
}

/// The other end of one of some units' connections, and the deployment.
fn peer<'u, 'd>(
    units: &[&'u Unit<'d>],
    is: impl Fn(&Peer<'_>) -> bool,
) -> Option<(&'u Name, &'u Peer<'d>)> {
    units.iter().find_map(|unit| {
        let mut peers = unit.upstreams.iter().chain(&unit.consumers);
        Some((unit.deployment, peers.find(|peer| is(peer))?))
    })
}

fn stranger(what: &str) -> CompileError {
    let message = format!("its guest tells the address of {what}, which nothing here talks to");
    Remark::new(["guest"], message).into()
}

/// Where everything that belongs to no package is.
const HOME: &str = "/usr/local/lib/deployix";

/// Where secrets are put by other means, one file each.
pub(crate) const SECRETS: &str = "/var/lib/deployix/secrets";

/// Where what has secrets in it is kept while a machine runs, in memory only.
const RUNTIME: &str = "/run/deployix";

/// Where the disk for state is mounted.
const STATE: &str = "/srv/deployix";
