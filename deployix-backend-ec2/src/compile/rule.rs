//! Security groups and their rules.
//!
//! A functionality has a group of its own, closed in both directions, and one rule for each
//! endpoint of each connection. Groups come first and rules after, so functionalities that need
//! each other make no circle. A rule is named by what it says, so two connections that need the
//! same one share it: AWS refuses a second one like it.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Name, ResourceId,
    backend::{CompileError, Owner, Peer, Remark, Resource, Unit, Via},
    spec::{Protocol, ServiceSpec},
};

use super::peer;
use crate::{
    extension::FunctionalitySettings,
    guest, naming,
    network::Net,
    request::{
        AuthorizeSecurityGroupEgress, AuthorizeSecurityGroupIngress, CreateSecurityGroup, GroupId,
        IpPermission, IpProtocol, Peer as RulePeer, Request, RevokeSecurityGroupEgress, Value,
    },
    resource::resource,
    settings,
};

/// The id of a functionality's group, or of something of it: in another VPC it is another one.
fn of_group(
    functionality: &Name,
    net: &Net<'_>,
    what: &[&str],
) -> Result<ResourceId, CompileError> {
    naming::of_functionality(functionality, &[what, &[&net.vpc_place]].concat())
}

/// The group of a functionality in a network.
pub(crate) fn group_of(
    functionality: &Name,
    net: &Net<'_>,
) -> Result<Value<GroupId>, CompileError> {
    Ok(Value::output_of(&of_group(functionality, net, &["security-group"])?))
}

/// The removal of the rule by which a new group lets everything out.
fn closed(unit: &Unit<'_>, net: &Net<'_>) -> Result<ResourceId, CompileError> {
    of_group(unit.name, net, &["default-egress"])
}

/// What has to be there before a machine with a functionality may start: its group must be closed,
/// and its packages must be in reach.
pub(crate) fn needed_to_boot(
    unit: &Unit<'_>,
    net: &Net<'_>,
) -> Result<Vec<ResourceId>, CompileError> {
    let mut needed = vec![closed(unit, net)?];
    if fetches(unit)? {
        needed.push(software(unit).id(unit, net)?);
    }
    Ok(needed)
}

/// The group, and the removal of the rule by which a new group lets everything out.
pub(super) fn group(unit: &Unit<'_>, net: &Net<'_>) -> Result<[Resource; 2], CompileError> {
    let owner = Owner::Functionality(unit.name.clone());
    let group = of_group(unit.name, net, &["security-group"])?;
    let name = naming::long(unit.deployment, unit.name.as_str(), 255);
    // AWS keeps names that start with `sg-` for itself.
    let name = if name.starts_with("sg-") { format!("x{name}") } else { name };
    let create = CreateSecurityGroup {
        group_name: name.clone(),
        description: format!("{} of {}", unit.name, unit.deployment),
        vpc_id: net.vpc.clone(),
        tag_specifications: naming::tagged("security-group", unit.deployment, &name, &group),
    };
    let revoke = RevokeSecurityGroupEgress {
        group_id: Value::output_of(&group),
        ip_permissions: vec![IpPermission::default_egress()],
    };
    let region = net.region.as_deref();
    Ok([
        resource(group, owner.clone(), region, create, [])?,
        resource(closed(unit, net)?, owner, region, revoke, [])?,
    ])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// What a rule says; two that say the same are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    direction: Direction,
    protocol: IpProtocol,
    port: Option<u16>,
    /// The other side, as it stands in the rule's id.
    side: String,
}

/// One rule of a functionality's group.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    key: Key,
    peer: RulePeer,
    owner: Owner,
    description: String,
    /// The targets whose machines need it: as long as one of the version before serves, it stays.
    serves: BTreeSet<Name>,
}

impl Rule {
    pub(super) fn direction(&self) -> &'static str {
        self.key.direction.as_str()
    }

    fn id(&self, unit: &Unit<'_>, net: &Net<'_>) -> Result<ResourceId, CompileError> {
        let protocol = match self.key.protocol {
            IpProtocol::Tcp => "tcp",
            IpProtocol::Udp => "udp",
            IpProtocol::Esp => "esp",
            IpProtocol::All => "all",
            IpProtocol::Other => "other",
        };
        let what = match self.key.port {
            Some(port) => format!("{protocol}-{port}"),
            None => protocol.to_owned(),
        };
        of_group(unit.name, net, &[self.direction(), &self.key.side, &what])
    }

    pub(super) fn resource(self, unit: &Unit<'_>, net: &Net<'_>) -> Result<Resource, CompileError> {
        let id = self.id(unit, net)?;
        let group_id = group_of(unit.name, net)?;
        let Key { protocol, port, direction, .. } = self.key;
        let rule = IpPermission::new(protocol, port, self.peer, &self.description);
        let ip_permissions = vec![rule];
        let name = format!("{}/{}", unit.deployment, unit.name);
        let tag_specifications = naming::tagged("security-group-rule", unit.deployment, &name, &id);
        let request: Request = match direction {
            Direction::Ingress => {
                AuthorizeSecurityGroupIngress { group_id, ip_permissions, tag_specifications }
                    .into()
            }
            Direction::Egress => {
                AuthorizeSecurityGroupEgress { group_id, ip_permissions, tag_specifications }.into()
            }
        };
        // The rule by which everything may go out goes first, lest it be taken for this one.
        let rule = resource(id, self.owner, net.region.as_deref(), request, [closed(unit, net)?])?;
        Ok(rule.serving(self.serves))
    }
}

/// All rules of a functionality's group.
pub(super) fn rules(unit: &Unit<'_>, net: &Net<'_>) -> Result<Vec<Rule>, CompileError> {
    let mut rules = Rules { unit, net, found: BTreeMap::new() };
    let mut reasons = Vec::new();
    for upstream in &unit.upstreams {
        let outcome = rules.connection(upstream, Direction::Egress);
        reasons.extend(outcome.err().into_iter().flat_map(|error| error.reasons));
    }
    for consumer in &unit.consumers {
        let outcome = rules.connection(consumer, Direction::Ingress);
        reasons.extend(outcome.err().into_iter().flat_map(|error| error.reasons));
    }
    if !reasons.is_empty() {
        return Err(CompileError { reasons });
    }
    if let Some(balancer) = unit.balancer {
        for listener in balancer.listeners.iter() {
            let port = Some(listener.source_port.get());
            let protocol = super::balancer::protocol(unit, balancer, listener.target_port)?.into();
            for range in &balancer.open_to {
                let side = range.trunc().to_string().replace(['/', ':'], "-");
                let side = (side, RulePeer::from(*range));
                rules.add(Direction::Ingress, protocol, port, side, Use::own(unit, "open to"));
            }
        }
    }
    if fetches(unit)? {
        let rule = software(unit);
        rules.found.insert(rule.key.clone(), rule);
    }
    if !unit.externals.is_empty() {
        let wishes: FunctionalitySettings = settings(unit.extensions)?;
        for port in wishes.external_ports {
            let side = (ANYONE.to_owned(), RulePeer::anyone());
            let external = Use::own(unit, "external hosts");
            rules.add(Direction::Egress, IpProtocol::Tcp, Some(port), side, external);
        }
    }
    Ok(rules.found.into_values().collect())
}

/// How every address is called in a rule's id.
const ANYONE: &str = "anyone";

/// What a machine needs to get its software and secrets: HTTPS to anywhere, since package mirrors and
/// registries are content delivery networks without fixed addresses; Debian's images for AWS name
/// mirrors that speak it. Names, time and metadata need no rule: security groups do not filter what
/// goes to AWS's own services on the machine's link (Amazon VPC User Guide, "Security groups").
fn software(unit: &Unit<'_>) -> Rule {
    let Use { owner, description, serves } = Use::own(unit, "software");
    let (direction, protocol) = (Direction::Egress, IpProtocol::Tcp);
    let key = Key { direction, protocol, port: Some(443), side: ANYONE.to_owned() };
    Rule { key, peer: RulePeer::anyone(), owner, description, serves }
}

/// Whether a functionality's group lets its machine reach what everybody can, over HTTPS.
pub(crate) fn reaches_software(unit: &Unit<'_>, net: &Net<'_>) -> Result<bool, CompileError> {
    let id = software(unit).id(unit, net)?;
    for rule in rules(unit, net)? {
        if rule.id(unit, net)? == id {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rule by which it does.
pub(crate) fn way_to_software(unit: &Unit<'_>, net: &Net<'_>) -> Result<Resource, CompileError> {
    software(unit).resource(unit, net)
}

/// Whether something has to be fetched before a functionality can run.
fn fetches(unit: &Unit<'_>) -> Result<bool, CompileError> {
    Ok(fetches_software(unit) || guest::fetches_secrets(unit)?)
}

/// Machines with other guests than a plain Debian fetch what runs the functionality as well: an engine
/// and its images, or a system.
fn fetches_software(unit: &Unit<'_>) -> bool {
    let fetches = |service: &ServiceSpec| {
        !service.software.debian.is_empty()
            || !service.software.nix.is_empty()
            || service.software.image.is_some()
    };
    unit.balancer.is_none()
        && (!guest::is_plain(&unit.site)
            || guest::talks_ipsec(unit)
            || unit.service.members().any(|(_, service)| fetches(service)))
}

struct Rules<'a, 'b> {
    unit: &'a Unit<'b>,
    net: &'a Net<'a>,
    found: BTreeMap<Key, Rule>,
}

/// What a rule is there for.
struct Use {
    owner: Owner,
    description: String,
    serves: BTreeSet<Name>,
}

impl Use {
    /// The functionality's own.
    fn own(unit: &Unit<'_>, description: &str) -> Self {
        let owner = Owner::Functionality(unit.name.clone());
        Self { owner, description: description.to_owned(), serves: peer::targets(unit, []) }
    }
}

impl Rules<'_, '_> {
    fn add(
        &mut self,
        direction: Direction,
        protocol: IpProtocol,
        port: Option<u16>,
        (side, peer): (String, RulePeer),
        Use { owner, description, serves }: Use,
    ) {
        let key = Key { direction, protocol, port, side };
        let new = || Rule { key: key.clone(), peer, owner, description, serves: BTreeSet::new() };
        self.found.entry(key.clone()).or_insert_with(new).serves.extend(serves);
    }

    /// The rules of one connection, at this end of it.
    fn connection(&mut self, peer: &Peer<'_>, direction: Direction) -> Result<(), CompileError> {
        let (consumer, provider) = match direction {
            Direction::Ingress => (peer.name, self.unit.name),
            Direction::Egress => (self.unit.name, peer.name),
        };
        let owner = Owner::Edge { consumer: consumer.clone(), provider: provider.clone() };
        let description = format!("{consumer} to {provider}");
        match peer::via(self.unit, peer) {
            Via::Loopback | Via::External => {}
            Via::Private => {
                for side in peer::private_sides(peer, self.net)? {
                    for (protocol, port) in self.ports(peer, direction) {
                        let (owner, description) = (owner.clone(), description.clone());
                        let serves = peer::targets(self.unit, [peer]);
                        let connection = Use { owner, description, serves };
                        self.add(direction, protocol, Some(port), side.clone(), connection);
                    }
                }
            }
            Via::Ipsec => self.ipsec(peer)?,
        }
        Ok(())
    }

    /// The ports that a connection opens: the provider's endpoints; of a load balancer those it
    /// listens on, and behind it those it passes connections to.
    fn ports(&self, peer: &Peer<'_>, direction: Direction) -> Vec<(IpProtocol, u16)> {
        let all = peer.endpoints.iter().map(|endpoint| &endpoint.endpoint);
        let opens = |port| match (self.unit.balancer, direction) {
            (Some(balancer), Direction::Ingress) => balancer.listeners.listens_on(port),
            (Some(balancer), Direction::Egress) => {
                balancer.listeners.iter().any(|listener| listener.target_port == port)
            }
            (None, _) => true,
        };
        let mut ports: Vec<_> = all
            .filter(|endpoint| opens(endpoint.port))
            .map(|endpoint| (endpoint.protocol.into(), endpoint.port.get()))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// The rules for talking to other machines over IPsec: the exchange of keys (RFC 7296, UDP 500,
    /// and 4500 behind address translation, RFC 3948), and the payload (protocol 50). They belong to
    /// the pair of machines, whichever connections use them: either side may renew the keys. The
    /// endpoints themselves stay closed, so nothing goes in clear.
    fn ipsec(&mut self, peer: &Peer<'_>) -> Result<(), CompileError> {
        if self.unit.balancer.is_some() || peer::is_load_balancer(peer) {
            let message = format!(
                "{} and {} are in different networks, and a network load balancer does not talk IPsec",
                self.unit.name, peer.name
            );
            return Err(Remark::new(["upstream-hosts"], message)
                .remedy("put the load balancer into the network of both its ends")
                .into());
        }
        peer::check_fixed(&self.unit.site)?;
        for side in peer::public_sides(peer)? {
            for direction in [Direction::Ingress, Direction::Egress] {
                for (protocol, port) in [
                    (IpProtocol::Udp, Some(500)),
                    (IpProtocol::Udp, Some(4500)),
                    (IpProtocol::Esp, None),
                ] {
                    let mut ipsec = Use::own(self.unit, "IPsec");
                    ipsec.serves.extend(peer::targets(self.unit, [peer]));
                    self.add(direction, protocol, port, side.clone(), ipsec);
                }
            }
        }
        Ok(())
    }
}

impl From<Protocol> for IpProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}
