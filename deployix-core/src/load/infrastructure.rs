//! Infrastructure: where things can run.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32};

use super::{
    catalog::name,
    decode::{Fields, Named, Reader, invalid},
    service::port,
    tree::{At, Entry, Node, Value},
};
use crate::{
    diagnostic::{Cause, Code, Diagnostic},
    name::{BackendId, Fqdn, Name},
    spec::{
        Bytes, Capacity, Infrastructure, IpNet, Listener, Listeners, LoadBalancer, Location,
        Network, Target, TargetKind, Unreadable,
    },
};

/// Reads the locations, networks, targets and load balancers of a file.
pub(super) fn infrastructure(
    reader: &mut Reader<'_>,
    fields: &mut Fields<'_, '_>,
) -> Infrastructure {
    let locations = section(reader, fields.get("location"), Cause::Location, location);
    let networks = section(reader, fields.get("network"), Cause::Network, network);
    let targets = section(reader, fields.get("target"), Cause::Target, target);
    let node = fields.get("load-balancer");
    let load_balancers = section(reader, node, Cause::load_balancer, load_balancer);
    let nameless =
        locations.nameless + networks.nameless + targets.nameless + load_balancers.nameless;
    Infrastructure {
        locations: locations.read,
        networks: networks.read,
        targets: targets.read,
        load_balancers: load_balancers.read,
        sources: Vec::new(),
        unreadable: Unreadable {
            locations: locations.unreadable,
            networks: networks.unreadable,
            targets: targets.unreadable,
            load_balancers: load_balancers.unreadable,
        },
        incomplete: nameless > 0,
    }
}

fn section<'n, 't, T>(
    reader: &mut Reader<'_>,
    node: Option<&'n Node<'t>>,
    cause: impl Fn(Name) -> Cause,
    read: impl FnMut(&mut Reader<'_>, &'n Node<'t>, Name) -> Option<T>,
) -> Named<T> {
    node.map(|node| reader.named(node, &Cause::Infrastructure, cause, read)).unwrap_or_default()
}

fn location(reader: &mut Reader<'_>, node: &Node<'_>, _: Name) -> Option<Location> {
    reader.table(node, "a location", |reader, fields| Location {
        extensions: reader.extensions(fields.get("extensions")),
    })
}

fn network(reader: &mut Reader<'_>, node: &Node<'_>, _: Name) -> Option<Network> {
    reader.table(node, "a network", |reader, fields| Network {
        location: fields.get("location").and_then(|node| name(reader, node)),
        extensions: reader.extensions(fields.get("extensions")),
    })
}

fn target(reader: &mut Reader<'_>, node: &Node<'_>, target: Name) -> Option<Target> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let backend = reader.required(fields, "backend").and_then(|node| backend(reader, node));
        let kind = kind(reader, fields);
        let network = fields.get("network").and_then(|node| name(reader, node));
        let location = fields.get("location").and_then(|node| name(reader, node));
        let address = fields.get("address").and_then(|node| address(reader, node));
        let private_addresses = private_addresses(reader, fields, kind);
        let guest = fields.get("guest").and_then(|node| self::backend(reader, node));
        let capacity = fields.get("capacity").and_then(|node| capacity(reader, node));
        let extensions = reader.extensions(fields.get("extensions"));
        let mut target = Target::machine(target, backend?);
        target.kind = kind?;
        target.network = network;
        target.location = location;
        target.address = address;
        target.private_addresses = private_addresses;
        target.guest = guest;
        target.capacity = capacity.unwrap_or_default();
        target.extensions = extensions;
        Some(target)
    };
    reader.table(node, "a target", read).flatten()
}

/// Reads a backend's id.
pub(super) fn backend(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<BackendId> {
    reader.parse(node, |text| BackendId::new(text))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Machine,
    Pool,
    Autoscaling,
    Swarm,
}

fn kind(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> Option<TargetKind> {
    const KINDS: [(&str, Kind); 4] = [
        ("machine", Kind::Machine),
        ("pool", Kind::Pool),
        ("autoscaling", Kind::Autoscaling),
        ("swarm", Kind::Swarm),
    ];
    let given = fields.get("kind");
    let [count, min, max] = ["count", "min", "max"].map(|key| fields.entry(key));
    let kind = match given {
        Some(node) => reader.word(node, "a kind of target", &KINDS)?,
        None => Kind::Machine,
    };
    for (entry, owner) in [(count, Kind::Pool), (min, Kind::Autoscaling), (max, Kind::Autoscaling)]
    {
        if let Some(entry) = entry.filter(|_| kind != owner) {
            let said = |kind| KINDS.iter().find(|(_, k)| *k == kind).map_or("", |(word, _)| word);
            let message = format!("a {} has no `{}`", said(kind), entry.key);
            let remedy = format!("remove it, or set `kind` to \"{}\"", said(owner));
            let diagnostic = Diagnostic::error(Code::ValuesConflict, message);
            reader.fail(entry.key_at, diagnostic.remedy(remedy));
        }
    }
    let at = fields.at();
    let of_kind = |reader: &mut Reader<'_>, entry: Option<&Entry<'_>>, message: &str| {
        let missing = Diagnostic::error(Code::KeyMissing, message);
        match entry {
            Some(entry) => return Some(entry.node.at),
            None => reader.fail(given.map_or(at, |node| node.at), missing),
        }
        None
    };
    match kind {
        Kind::Machine => Some(TargetKind::Machine),
        Kind::Swarm => Some(TargetKind::Swarm),
        Kind::Pool => {
            of_kind(reader, count, "a pool needs the key `count`")?;
            Some(TargetKind::Pool { count: reader.count(&count?.node)? })
        }
        Kind::Autoscaling => {
            of_kind(reader, min, "an autoscaling group needs the key `min`");
            of_kind(reader, max, "an autoscaling group needs the key `max`");
            let min = min.and_then(|min| reader.integer::<u32>(&min.node, "a number"));
            let most = max.and_then(|max| reader.count(&max.node));
            let (min, most, max_at) = (min?, most?, max?.node.at);
            within(reader, min, most, max_at)
        }
    }
}

fn within(reader: &mut Reader<'_>, min: u32, max: NonZeroU32, at: At) -> Option<TargetKind> {
    if min > max.get() {
        let message = format!("`max` is {max}, which is less than `min`, {min}");
        reader.fail(at, Diagnostic::error(Code::ValuesConflict, message));
        return None;
    }
    Some(TargetKind::Autoscaling { min, max })
}

fn address(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let address = reader.line(node)?;
    // What starts with a hyphen would be an option to the program that connects.
    if address.starts_with('-') || address.contains(char::is_whitespace) {
        let diagnostic = invalid(format!("{address:?} is no address"));
        let remedy = "write a host, an engine's URL such as \"unix:///var/run/docker.sock\", or \
                      \"local\"";
        reader.fail(node.at, diagnostic.remedy(remedy));
        return None;
    }
    Some(address)
}

fn private_addresses(
    reader: &mut Reader<'_>,
    fields: &mut Fields<'_, '_>,
    kind: Option<TargetKind>,
) -> Vec<IpAddr> {
    let ip = |reader: &mut Reader<'_>, node: &Node<'_>| {
        let text = reader.string(node)?;
        let address = text.parse().ok();
        if address.is_none() {
            let diagnostic = invalid(format!("{text:?} is no IP address"));
            reader.fail(node.at, diagnostic.remedy("write an address such as \"10.0.0.5\""));
        }
        address
    };
    let conflict = |message: String| Diagnostic::error(Code::ValuesConflict, message);
    let (one, several) = (fields.entry("private-address"), fields.entry("private-addresses"));
    let (entry, addresses) = match (one, several) {
        (None, None) => return Vec::new(),
        (Some(_), Some(several)) => {
            let message = "a target has `private-address` or `private-addresses`, not both";
            reader.fail(several.key_at, conflict(message.to_owned()));
            return Vec::new();
        }
        (Some(one), None) => (one, ip(reader, &one.node).into_iter().collect()),
        (None, Some(several)) => (several, reader.distinct(&several.node, ip)),
    };
    let message = match kind {
        Some(TargetKind::Autoscaling { .. }) => {
            "the machines of an autoscaling group get their addresses as they come".to_owned()
        }
        Some(kind) if addresses.len() > kind.machines() as usize => format!(
            "there are {} addresses, and the target has {} machines",
            addresses.len(),
            kind.machines()
        ),
        _ => return addresses,
    };
    reader.fail(entry.key_at, conflict(message).remedy("remove what is too much"));
    addresses
}

fn capacity(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Capacity> {
    reader.table(node, "a capacity", |reader, fields| Capacity {
        cpus: fields.get("cpus").and_then(|node| reader.cpus(node)),
        memory: fields.get("memory").and_then(|node| reader.parse(node, str::parse::<Bytes>)),
        services: fields.get("services").and_then(|node| reader.count(node)),
    })
}

fn load_balancer(reader: &mut Reader<'_>, node: &Node<'_>, balancer: Name) -> Option<LoadBalancer> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let balances = reader
            .required(fields, "balances")
            .and_then(|node| reader.parse(node, |text| Fqdn::new(text)));
        let listeners = listeners(reader, fields);
        let target = fields.get("target").and_then(|node| name(reader, node));
        let open_to = fields.get("open-to").map(|node| open_to(reader, node));
        let extensions = reader.extensions(fields.get("extensions"));
        let (balances, listeners) = (balances?, listeners?);
        let Listener { source_port, target_port } = listeners.iter().next()?;
        let mut balancer = LoadBalancer::new(balancer, balances, source_port, target_port);
        balancer.listeners = listeners;
        balancer.target = target;
        balancer.open_to = open_to.unwrap_or_default();
        balancer.extensions = extensions;
        Some(balancer)
    };
    reader.table(node, "a load balancer", read).flatten()
}

/// Where a load balancer listens: as a list, or as one pair of ports.
fn listeners(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> Option<Listeners> {
    let list = fields.entry("listeners");
    let ports = ["source-port", "target-port"].map(|key| fields.entry(key));
    let Some(list) = list else {
        if ports.iter().all(Option::is_none) {
            let message = "a load balancer needs `source-port` and `target-port`, or `listeners`";
            let remedy = "write where it listens and where it passes connections to";
            reader.fail(fields.at(), Diagnostic::error(Code::KeyMissing, message).remedy(remedy));
            return None;
        }
        return listener(reader, fields).map(Listeners::from);
    };
    for entry in ports.into_iter().flatten() {
        let message = format!("a load balancer has `listeners` or `{}`, not both", entry.key);
        let remedy = "move its ports into `listeners`, or remove that";
        let diagnostic = Diagnostic::error(Code::ValuesConflict, message).remedy(remedy);
        reader.fail(entry.key_at, diagnostic);
    }
    let mut listening = BTreeMap::new();
    let read = reader.list(&list.node, |reader, node| {
        let listener = reader.table(node, "a listener", listener).flatten()?;
        let Some(first) = listening.insert(listener.source_port, node.at) else {
            return Some(listener);
        };
        let message = format!("two listeners are on port {}", listener.source_port);
        let diagnostic = Diagnostic::error(Code::ValuesConflict, message);
        let diagnostic = diagnostic.remedy("keep one of the two, or give it another port");
        reader.fail_twice(node.at, diagnostic, ("first listed here", first));
        None
    });
    if matches!(&list.node.value, Value::List(items) if items.is_empty()) {
        let diagnostic = invalid("a load balancer listens on at least one port");
        let remedy = "add one such as { source-port = 443, target-port = 3000 }";
        reader.fail(list.node.at, diagnostic.remedy(remedy));
    }
    Listeners::new(read)
}

/// Reads one pair of ports.
fn listener(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> Option<Listener> {
    let source_port = reader.required(fields, "source-port").and_then(|n| port(reader, n));
    let target_port = reader.required(fields, "target-port").and_then(|n| port(reader, n));
    Some(Listener { source_port: source_port?, target_port: target_port? })
}

fn open_to(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<IpNet> {
    let nets = reader.list(node, |reader, node| {
        let text = reader.string(node)?;
        if text == "anywhere" {
            let all: [IpNet; 2] = [
                IpNet::new_assert(IpAddr::from([0; 4]), 0),
                IpNet::new_assert(IpAddr::from([0u16; 8]), 0),
            ];
            return Some(all.to_vec());
        }
        let (message, remedy) = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) if net == net.trunc() => return Some(vec![net]),
            (Ok(net), _) => {
                let message = format!("{text:?} names an address within a network");
                (message, format!("write \"{}\" for the network", net.trunc()))
            }
            (_, Ok(address)) => {
                let message = format!("{text:?} is an address, not a network");
                (message, format!("write \"{}\"", IpNet::from(address)))
            }
            _ => {
                let message = format!("{text:?} is no network");
                (message, "write one such as \"10.0.0.0/8\", or \"anywhere\"".to_owned())
            }
        };
        reader.fail(node.at, invalid(message).remedy(remedy));
        None
    });
    nets.into_iter().flatten().collect()
}
