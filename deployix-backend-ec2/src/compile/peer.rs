//! The other end of a connection: what it is, and under which address it is reached.

use std::{collections::BTreeSet, net::IpAddr};

use deployix_core::{
    Name,
    backend::{CompileError, OutputRef, Peer, Remark, Site, Unit, Via},
    spec::TargetKind,
};
use ipnet::IpNet;

use crate::{
    extension::TargetSettings,
    naming,
    network::{self, Net},
    request::{GroupId, Output, Peer as RulePeer, PrivateIp, PublicCidr, PublicIp, Value},
    settings,
};

/// The name of a target's autoscaling group, which nobody else in the account and region has. In another
/// VPC it is another group: none has machines in two, as its target groups are in one.
pub(crate) fn autoscaling_group(deployment: &Name, target: &Name, net: &Net<'_>) -> String {
    naming::long(deployment, &format!("{target}/{}", net.vpc_place), 255)
}

/// The targets whose machines are at either end of a connection, or at one end of several; a load
/// balancer is on none.
pub(super) fn targets<'p>(
    unit: &Unit<'_>,
    peers: impl IntoIterator<Item = &'p Peer<'p>>,
) -> BTreeSet<Name> {
    let own = unit.balancer.is_none().then_some(&unit.site.target.name);
    let peers = peers.into_iter().filter(|peer| is_ec2(&peer.site) && !is_load_balancer(peer));
    own.into_iter().chain(peers.map(|peer| &peer.site.target.name)).cloned().collect()
}

/// Whether this backend makes a target's machines.
pub(super) fn is_ec2(site: &Site<'_>) -> bool {
    site.target.backend.as_str() == crate::ID
}

/// Whether a target's machines come and go.
pub(super) fn is_autoscaling(site: &Site<'_>) -> bool {
    matches!(site.target.kind, TargetKind::Autoscaling { .. })
}

/// Whether the other end is a load balancer of this backend, which is on no machine.
pub(super) fn is_load_balancer(peer: &Peer<'_>) -> bool {
    is_ec2(&peer.site) && peer.machines.is_empty()
}

/// What a connection runs over. All machines of an autoscaling group run the same, so what is on
/// the same group is on the same machine.
pub(super) fn via(unit: &Unit<'_>, peer: &Peer<'_>) -> Via {
    let balanced = unit.balancer.is_some() || is_load_balancer(peer);
    let same_group = is_autoscaling(&unit.site) && peer.site.target.name == unit.site.target.name;
    match peer.via {
        Via::Private if same_group && !balanced => Via::Loopback,
        via => via,
    }
}

/// A peer in the same network, as one side of a rule, and a short name for it that is unique among
/// a group's rules.
pub(super) fn private_sides(
    peer: &Peer<'_>,
    net: &Net<'_>,
) -> Result<Vec<(String, RulePeer)>, CompileError> {
    if is_ec2(&peer.site) {
        let group: Value<GroupId> = super::group_of(peer.name, net)?;
        return Ok(vec![(peer.name.to_string(), RulePeer::Group(group))]);
    }
    let addresses = peer.known_addresses().ok_or_else(|| no_address(peer))?;
    let machines = peer.machines.iter().zip(addresses);
    let side = |(machine, address): (&u32, IpAddr)| {
        (format!("{}-{machine}", peer.site.target.name), RulePeer::from(IpNet::from(address)))
    };
    Ok(machines.map(side).collect())
}

/// The machines of a peer in another network, as sides of rules.
pub(super) fn public_sides(peer: &Peer<'_>) -> Result<Vec<(String, RulePeer)>, CompileError> {
    let target = peer.site.target;
    if !is_ec2(&peer.site) {
        let address = fixed_address(peer)?;
        return Ok(vec![(target.name.to_string(), RulePeer::from(IpNet::from(address)))]);
    }
    check_fixed(&peer.site)?;
    let side = |&machine: &u32| {
        let address = naming::of_machine(&target.name, machine, "address")?;
        let range: Value<PublicCidr> = Value::output_of(&address);
        Ok((format!("{}-{machine}", target.name), RulePeer::Addresses(range)))
    };
    peer.machines.iter().map(side).collect()
}

/// Refuses machines without fixed addresses, to which nobody can open exactly what is needed.
pub(super) fn check_fixed(site: &Site<'_>) -> Result<(), CompileError> {
    if !is_autoscaling(site) {
        let own: TargetSettings = settings(&site.target.extensions)?;
        if own.public_address {
            return Ok(());
        }
        let message = format!(
            "target {} has no public addresses, and one of its connections goes to another network \
             over IPsec",
            site.target.name
        );
        return Err(Remark::new(["upstream-hosts"], message)
            .remedy("put both ends into one network, or leave `public-address` out of the target")
            .into());
    }
    let message = format!(
        "target {} is an autoscaling group, whose machines have no fixed addresses, and one of its \
         connections goes to another network over IPsec",
        site.target.name
    );
    Err(Remark::new(["upstream-hosts"], message)
        .remedy("put both ends into one network, or use a target of kind `machine` or `pool`")
        .into())
}

/// An address as it stands in a file of hosts: text, or an output.
pub(crate) type Address = Value<String>;

/// The address of a machine in its network.
pub(super) fn private_address(
    deployment: &Name,
    site: &Site<'_>,
    machine: u32,
) -> Result<Address, CompileError> {
    Ok(output::<PrivateIp>(&network::interface(deployment, site, machine)?))
}

/// Under which addresses an upstream's fqdn is reached from a machine, as far as its name does not
/// tell: one with a record needs none, and its machines may come and go without a new version of
/// those that reach it.
pub(crate) fn hosts(
    unit: &Unit<'_>,
    upstream: &Peer<'_>,
) -> Result<BTreeSet<Address>, CompileError> {
    let target = &upstream.site.target.name;
    let one = |address: Address| Ok(BTreeSet::from([address]));
    match via(unit, upstream) {
        Via::Loopback => one(Value::Known("127.0.0.1".to_owned())),
        Via::External => Ok(BTreeSet::new()),
        Via::Private if is_load_balancer(upstream) => {
            let balancer = network::balancer(unit.deployment, &upstream.site, upstream.name)?;
            one(output::<PrivateIp>(&balancer))
        }
        Via::Private if is_ec2(&upstream.site) && is_autoscaling(&upstream.site) => {
            let message = format!(
                "its upstream {} runs on the autoscaling group {target}, whose machines have no \
                 fixed addresses",
                upstream.fqdn
            );
            Err(Remark::new(["upstream-hosts"], message)
                .remedy(format!("put a load balancer before it: [load-balancer.{}]", upstream.name))
                .into())
        }
        Via::Private if super::found_by(unit, upstream)?.is_some() => Ok(BTreeSet::new()),
        Via::Private if is_ec2(&upstream.site) => {
            let address = |&machine| private_address(unit.deployment, &upstream.site, machine);
            upstream.machines.iter().map(address).collect()
        }
        Via::Private => {
            let known = upstream.known_addresses().ok_or_else(|| no_address(upstream))?;
            Ok(known.into_iter().map(|address| Value::Known(address.to_string())).collect())
        }
        Via::Ipsec => {
            upstream.machines.iter().map(|&machine| public_address(upstream, machine)).collect()
        }
    }
}

/// Under which address one of a peer's machines is reached from other networks.
pub(crate) fn public_address(peer: &Peer<'_>, machine: u32) -> Result<Address, CompileError> {
    if is_ec2(&peer.site) {
        check_fixed(&peer.site)?;
        let address = naming::of_machine(&peer.site.target.name, machine, "address")?;
        return Ok(output::<PublicIp>(&address));
    }
    Ok(Value::Known(fixed_address(peer)?.to_string()))
}

fn output<T: Output>(resource: &deployix_core::ResourceId) -> Address {
    Value::Output(OutputRef { resource: resource.clone(), output: T::NAME.to_owned() })
}

/// The address of a machine that this backend does not make, as others reach it.
fn fixed_address(peer: &Peer<'_>) -> Result<IpAddr, CompileError> {
    let target = peer.site.target;
    let address = target.address.as_deref().unwrap_or_default();
    address.parse().map_err(|_| {
        let message = format!(
            "security groups and files of hosts know addresses and no names, and target {} has {}",
            target.name,
            if address.is_empty() { "none".to_owned() } else { format!("address = {address:?}") }
        );
        Remark::new(["upstream-hosts"], message)
            .remedy(format!("set an address such as \"203.0.113.7\" on target {}", target.name))
            .into()
    })
}

fn no_address(peer: &Peer<'_>) -> CompileError {
    let target = &peer.site.target.name;
    Remark::new(
        ["upstream-hosts"],
        format!("the private addresses of target {target} are not known"),
    )
    .remedy(format!("list `private-addresses` on target {target}"))
    .into()
}

/// Whether anybody outside private networks is in a range (RFC 1918, RFC 6598, RFC 4193).
pub(super) fn is_public(range: &IpNet) -> bool {
    let private = |text: &str| text.parse::<IpNet>().is_ok_and(|private| private.contains(range));
    const PRIVATE: [&str; 5] =
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
    !PRIVATE.iter().any(|text| private(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_public_unless_all_of_it_is_private() {
        for private in ["10.1.0.0/16", "192.168.1.7/32", "fd00::/8", "100.64.0.0/10"] {
            assert!(!is_public(&private.parse().unwrap()), "{private}");
        }
        for public in ["0.0.0.0/0", "203.0.113.0/24", "10.0.0.0/7", "::/0", "172.0.0.0/8"] {
            assert!(is_public(&public.parse().unwrap()), "{public}");
        }
    }
}
