//! Who reaches whom: firewall openings for consumers, host names of upstreams.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Name,
    backend::{Peer, PeerAddress, Remark, Unit, Via},
    spec::{Protocol, TargetKind},
};

use super::Form;
use crate::nftables::{Opening, Source, Traffic};
use crate::syntax::{Attrs, Expr, Part};

/// The name of the variable that holds an address which is not known yet.
pub(crate) fn address_variable(address: &PeerAddress) -> Option<String> {
    match address {
        PeerAddress::Known(_) => None,
        PeerAddress::Later { target, machine } => Some(variable_of_machine(target, *machine)),
        PeerAddress::LoadBalancer { name } => Some(variable_of_balancer(name)),
    }
}

fn variable_of_machine(target: &Name, machine: u32) -> String {
    format!("address-{target}-{machine}")
}

fn variable_of_balancer(name: &Name) -> String {
    format!("balancer-{name}")
}

/// Where a peer's machines are reached: from outside of its network by the address that is its own,
/// where it is a single machine with one, else by those in the private network.
pub(crate) fn addresses(peer: &Peer<'_>) -> Vec<PeerAddress> {
    let target = peer.site.target;
    let outside = matches!((peer.via, target.kind), (Via::Ipsec, TargetKind::Machine));
    let own = target.address.as_ref().filter(|_| outside).and_then(|text| text.parse().ok());
    match own {
        Some(own) => peer.machines.iter().map(|_| PeerAddress::Known(own)).collect(),
        None => peer.addresses().collect(),
    }
}

/// Where a peer is, or why that cannot be written down.
pub(crate) fn sources(peer: &Peer<'_>, form: Form<'_>) -> Result<Vec<Source>, Remark> {
    addresses(peer)
        .into_iter()
        .map(|address| match (address, form) {
            (PeerAddress::Known(address), _) => Ok(Source::Net(address.into())),
            (PeerAddress::Later { target, machine }, Form::UserData) => {
                Ok(Source::Variable(variable_of_machine(&target, machine)))
            }
            (PeerAddress::LoadBalancer { name }, Form::UserData) => {
                Ok(Source::Variable(variable_of_balancer(&name)))
            }
            (PeerAddress::LoadBalancer { name }, Form::Module(_)) => Err(Remark::new(
                ["upstream-hosts"],
                format!(
                    "the address of `{name}` is known to its own backend alone, and a NixOS \
                     configuration is written before anything is made"
                ),
            )
            .remedy("balance on a machine with a known address")),
            (PeerAddress::Later { target, machine }, Form::Module(_)) => Err(Remark::new(
                ["upstream-hosts"],
                format!(
                    "the address of machine {machine} of target `{target}`, where `{}` runs, is not \
                     known, and a NixOS \
                     configuration is written before anything is made",
                    peer.name
                ),
            )
            .remedy(match peer.via {
                Via::Ipsec => format!("give target `{target}` an IP address as its `address`"),
                _ => format!("give target `{target}` its `private-addresses`"),
            })),
        })
        .collect()
}

/// Openings for exactly the declared consumers, and whoever the load balancer is open to.
///
/// Connections over loopback need none: NixOS's firewall lets everything in that comes from the
/// machine itself.
pub(super) fn openings(
    unit: &Unit<'_>,
    form: Form<'_>,
    reasons: &mut Vec<Remark>,
) -> BTreeSet<Opening> {
    let mut openings = BTreeSet::new();
    for peer in &unit.consumers {
        if matches!(peer.via, Via::Loopback | Via::External) {
            continue;
        }
        let sources = match sources(peer, form) {
            Ok(sources) => sources,
            Err(remark) => {
                reasons.push(remark);
                continue;
            }
        };
        for source in sources {
            // The address of a machine that needs this one to be made cannot be waited for; such
            // machines have a firewall in front of them that lets in the declared consumers alone.
            let source = match source {
                Source::Variable(_) => Source::Anywhere,
                known => known,
            };
            for endpoint in peer.endpoints {
                let (protocol, port) = (endpoint.endpoint.protocol, endpoint.endpoint.port.get());
                let what = match peer.via {
                    Via::Ipsec => Traffic::EncryptedPort(protocol, port),
                    _ => Traffic::Port(protocol, port),
                };
                openings.insert(Opening {
                    comment: format!("{} reaches {endpoint} of {}", peer.name, unit.name),
                    from: source.clone(),
                    what,
                });
            }
        }
    }
    if let Some(balancer) = unit.balancer {
        for (net, listener) in balancer
            .open_to
            .iter()
            .flat_map(|net| balancer.listeners.iter().map(move |listener| (net, listener)))
        {
            openings.insert(Opening {
                comment: format!("{} is open to {net}", unit.name),
                from: Source::Net(*net),
                what: Traffic::Port(Protocol::Tcp, listener.source_port.get()),
            });
        }
    }
    openings
}

/// Makes each upstream's fqdn resolve to where it runs.
pub(super) fn hosts(unit: &Unit<'_>, form: Form<'_>, reasons: &mut Vec<Remark>) -> Attrs {
    let mut known: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut later: BTreeSet<(String, &str)> = BTreeSet::new();
    for peer in &unit.upstreams {
        let sources = match peer.via {
            Via::External => continue,
            Via::Loopback => Ok(vec![Source::Net(std::net::IpAddr::from([127, 0, 0, 1]).into())]),
            Via::Private | Via::Ipsec => sources(peer, form),
        };
        match sources {
            Err(remark) => reasons.push(remark),
            Ok(sources) => {
                for source in sources {
                    match source {
                        Source::Net(net) => {
                            known
                                .entry(net.addr().to_string())
                                .or_default()
                                .insert(peer.fqdn.as_str());
                        }
                        Source::Variable(name) => {
                            later.insert((name, peer.fqdn.as_str()));
                        }
                        Source::Anywhere => {}
                    }
                }
            }
        }
    }
    let mut settings = Attrs::new();
    for (address, names) in known {
        let names: Vec<&str> = names.into_iter().collect();
        settings.set(["networking", "hosts", address.as_str()], names);
    }
    if !later.is_empty() {
        let lines = later.into_iter().flat_map(|(variable, name)| -> [Part; 2] {
            [Expr::var(variable).into(), format!(" {name}\n").into()]
        });
        settings.set(["networking", "extraHosts"], Expr::concat(lines));
    }
    settings
}
