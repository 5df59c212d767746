//! Ports published on the host, and who may reach each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use deployix_core::{
    Name,
    backend::{PeerAddress, Remark, Unit, Via},
    spec::{Listener, LoadBalancer},
};
use ipnet::{IpNet, Ipv4Net};

use crate::{
    compile::Host,
    extension::{DockerFunctionality, DockerLoadBalancer, DockerTarget, Published},
    firewall::{self, Socket},
};

/// A port of the host that leads into a functionality.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) socket: Socket,
}

/// Who may come in by a host's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guest {
    /// The host itself. The engine passes such connections on from its own end of the network,
    /// and all that come over IPv6.
    Host,
    /// Whoever has one of these addresses.
    From(Ipv4Net),
}

/// The published ports of a functionality.
pub(crate) type HostPorts = BTreeMap<HostPort, BTreeSet<Guest>>;

/// Collects a functionality's published ports.
pub(crate) fn publish(
    unit: &Unit<'_>,
    settings: &Settings,
    (target, host): (&DockerTarget, Host),
    problems: &mut Vec<Remark>,
    remarks: &mut Vec<Remark>,
) -> HostPorts {
    let mut work = Publishing { unit, target, host, ports: HostPorts::new(), problems, remarks };
    match settings {
        Settings::Functionality(settings) => {
            for (endpoint, published) in &settings.publish {
                work.endpoint(endpoint, *published);
            }
        }
        Settings::LoadBalancer(settings, balancer) => work.balancer(settings, balancer),
    }
    work.private_consumers();
    if host == Host::Engine && unit.replicas.get() > 1 && !work.ports.is_empty() {
        work.problems.push(
            Remark::new(
                ["replicas"],
                "several replicas on one engine cannot share a port of its host",
            )
            .remedy("put a load balancer in front and publish that, or run one replica"),
        );
    }
    work.ports
}

/// The extension of whatever the unit is.
#[derive(Debug)]
pub(crate) enum Settings {
    Functionality(DockerFunctionality),
    LoadBalancer(DockerLoadBalancer, Box<LoadBalancer>),
}

struct Publishing<'a, 'n> {
    unit: &'n Unit<'a>,
    target: &'n DockerTarget,
    host: Host,
    ports: HostPorts,
    problems: &'n mut Vec<Remark>,
    remarks: &'n mut Vec<Remark>,
}

impl Publishing<'_, '_> {
    fn add(&mut self, published: Published, socket: Socket, guest: Guest) {
        let key = HostPort { address: published.address, port: published.port, socket };
        self.ports.entry(key).or_default().insert(guest);
    }

    fn endpoint(&mut self, name: &Name, published: Published) {
        let keys = ["extensions", "docker", "publish", name.as_str()];
        let found: Vec<_> =
            self.unit.endpoints().filter(|endpoint| endpoint.name == *name).collect();
        match found.as_slice() {
            [endpoint] => {
                self.add(published, (&endpoint.endpoint).into(), anybody_at(published.address));
            }
            [] => self.problems.push(
                Remark::new(keys, format!("there is no endpoint `{name}` to publish"))
                    .remedy("name one of the functionality's endpoints"),
            ),
            _ => self.problems.push(
                Remark::new(keys, format!("several members have an endpoint `{name}`"))
                    .remedy("give each endpoint of the group a name of its own"),
            ),
        }
    }

    fn balancer(&mut self, settings: &DockerLoadBalancer, balancer: &LoadBalancer) {
        if settings.publish.is_some() && balancer.listeners.iter().len() > 1 {
            let keys = ["extensions", "docker", "publish"];
            self.problems.push(
                Remark::new(keys, "it has several listeners, which cannot share a published port")
                    .remedy("leave it out: each listener is published at its own port"),
            );
            return;
        }
        let sockets: Vec<_> = balancer.listeners.iter().filter_map(|it| self.socket(it)).collect();
        if balancer.open_to.is_empty() {
            for (port, socket) in sockets {
                let published = settings.publish.unwrap_or(Published::on_loopback(port));
                self.add(published, socket, anybody_at(published.address));
            }
            return;
        }
        for range in &balancer.open_to {
            let keys = ["open-to"];
            match range {
                IpNet::V4(range) if range.prefix_len() == 0 || self.target.firewall => {
                    for &(port, socket) in &sockets {
                        let everywhere = Published { address: Ipv4Addr::UNSPECIFIED.into(), port };
                        let published = settings.publish.unwrap_or(everywhere);
                        self.add(published, socket, Guest::From(*range));
                    }
                }
                IpNet::V4(range) => self.problems.push(
                    Remark::new(
                        keys,
                        format!(
                            "Docker cannot keep a published port to {range} without the firewall"
                        ),
                    )
                    .remedy("leave extensions.docker.firewall of the target on"),
                ),
                IpNet::V6(range) if range.prefix_len() == 0 => self.remarks.push(
                    Remark::new(keys, "the networks made here are IPv4, so nobody comes by IPv6")
                        .remedy("leave ::/0 out, or balance on another backend"),
                ),
                IpNet::V6(range) => self.problems.push(
                    Remark::new(
                        keys,
                        format!("{range} is IPv6, and the networks made here are IPv4"),
                    )
                    .remedy("name IPv4 ranges"),
                ),
            }
        }
    }

    /// The port of a listener, and what listens there inside.
    fn socket(&self, listener: Listener) -> Option<(u16, Socket)> {
        let mut endpoints = self.unit.endpoints();
        let endpoint = endpoints.find(|it| it.endpoint.port == listener.source_port)?;
        Some((listener.source_port.get(), Socket::from(&endpoint.endpoint)))
    }

    /// Consumers on other machines of the private network come by this machine's address there.
    fn private_consumers(&mut self) {
        let mut consumers = self.unit.consumers.iter().filter(|peer| peer.via == Via::Private);
        let Some(first) = consumers.next() else { return };
        let consumers = std::iter::once(first).chain(consumers);
        let own = match (self.host, self.unit.site.target.private_address(0)) {
            // That of a machine yet to be made: all it has.
            (Host::Guest, None) => Some(Ipv4Addr::UNSPECIFIED.into()),
            (_, own) => own,
        };
        let Some(IpAddr::V4(own)) = own else {
            self.problems.push(
                Remark::new(
                    ["fqdn"],
                    format!(
                        "`{}` reaches it over the private network, in which its target's address \
                         is {}",
                        first.name,
                        if own.is_some() { "not IPv4" } else { "not known" },
                    ),
                )
                .remedy("give the target an IPv4 private-address"),
            );
            return;
        };
        for consumer in consumers {
            let mut guests = BTreeSet::new();
            for address in consumer.addresses() {
                match address {
                    PeerAddress::Known(IpAddr::V4(address)) if self.target.firewall => {
                        guests.insert(Guest::From(firewall::host(address)));
                    }
                    _ => {
                        guests.insert(Guest::From(Ipv4Net::default()));
                    }
                }
            }
            if self.host == Host::Engine && guests.contains(&Guest::From(Ipv4Net::default())) {
                self.remarks.push(
                    Remark::new(
                        ["fqdn"],
                        format!(
                            "whoever reaches {own} reaches what `{}` does: the address of `{}` is \
                             not known beforehand, or the target's firewall is off",
                            consumer.name, consumer.name
                        ),
                    )
                    .remedy("give its target a private-address and leave the firewall on"),
                );
            }
            for endpoint in consumer.endpoints {
                let published =
                    Published { address: own.into(), port: endpoint.endpoint.port.get() };
                for guest in &guests {
                    self.add(published, (&endpoint.endpoint).into(), *guest);
                }
            }
        }
    }
}

/// Everybody who can reach an address of the host.
fn anybody_at(address: IpAddr) -> Guest {
    match address {
        IpAddr::V4(address) if !address.is_loopback() => Guest::From(Ipv4Net::default()),
        _ => Guest::Host,
    }
}
