//! A target's networks: one for each upstream's two ends, and one for whoever needs the outside.

use std::collections::BTreeMap;

use deployix_core::{
    Name,
    backend::{CompileError, LeftUnit, Remark, Unit, Via},
};
use ipnet::Ipv4Net;

use crate::{compile::Blueprint, extension::DockerTarget, naming, subnet};

/// A target's networks: their addresses and what they are, by name.
#[derive(Debug)]
pub(crate) struct Networks(BTreeMap<String, (Ipv4Net, Purpose)>);

/// What a network is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A consumer reaches its provider.
    Edge { consumer: Name, provider: Name },
    /// A functionality reaches, or is reached from, outside the engine.
    Outside { functionality: Name, reaches_out: bool },
}

impl Networks {
    /// A network's addresses.
    pub(crate) fn addresses(&self, name: &str) -> Option<Ipv4Net> {
        self.0.get(name).map(|(addresses, _)| *addresses)
    }

    /// All of them, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, Ipv4Net, &Purpose)> {
        self.0.iter().map(|(name, (addresses, purpose))| (name, *addresses, purpose))
    }

    /// What a network is for.
    pub(crate) fn purpose(&self, name: &str) -> Option<&Purpose> {
        self.0.get(name).map(|(_, purpose)| purpose)
    }

    /// Gives each network its addresses; those of what is left as it is keep theirs, so that nothing
    /// else gets them.
    ///
    /// # Errors
    /// Where the target's range has no room for all of them.
    pub(crate) fn new(
        units: &[Unit<'_>],
        left: &[LeftUnit<'_>],
        whose: &str,
        target: &DockerTarget,
        blueprints: &BTreeMap<&Name, Blueprint<'_>>,
    ) -> Result<Self, CompileError> {
        let instances = |name: &Name| match blueprints.get(name) {
            Some(blueprint) => blueprint.instances.len(),
            None => left
                .iter()
                .find(|left| left.name == name)
                .map_or(1, |left| usize::try_from(left.replicas.get()).unwrap_or(usize::MAX / 8)),
        };
        // While it is rolled, an instance stands there twice.
        let ends = |consumer: &Name, provider: &Name| {
            let both = if consumer == provider { 0 } else { instances(consumer) };
            2 * (both + instances(provider))
        };
        let mut purposes = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        for unit in left {
            for peer in unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback) {
                wanted.insert(naming::edge(unit.name, peer.name), ends(unit.name, peer.name));
            }
        }
        for unit in units {
            let up = unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback);
            let down = unit.consumers.iter().filter(|peer| peer.via == Via::Loopback);
            let up = up.map(|peer| (unit.name, peer.name));
            let down = down.map(|peer| (peer.name, unit.name));
            for (consumer, provider) in up.chain(down) {
                let name = naming::edge(consumer, provider);
                wanted.insert(name.clone(), ends(consumer, provider));
                let (consumer, provider) = (consumer.clone(), provider.clone());
                purposes.insert(name, Purpose::Edge { consumer, provider });
            }
            let blueprint = &blueprints[unit.name];
            if let Some(name) = outside(unit, blueprint) {
                wanted.insert(name.clone(), 2 * instances(unit.name));
                let reaches_out = reaches_out(unit, blueprint);
                let functionality = unit.name.clone();
                purposes.insert(name, Purpose::Outside { functionality, reaches_out });
            }
        }
        let blocks = subnet::allocate(target.subnets, whose, &wanted).map_err(|homeless| {
            let message =
                format!("{} has no room for the networks {}", target.subnets, homeless.join(", "));
            Remark::new(["extensions", "docker", "subnets"], message)
                .remedy("give the target a larger range: extensions.docker.subnets")
        })?;
        let both = purposes.into_iter().filter_map(|(name, purpose)| {
            let addresses = *blocks.get(&name)?;
            Some((name, (addresses, purpose)))
        });
        Ok(Self(both.collect()))
    }
}

/// The network over which it reaches, or is reached from, outside the engine, where it is. One that
/// leads out and one that does not have names of their own, since they differ in what cannot be
/// changed.
pub(crate) fn outside(unit: &Unit<'_>, blueprint: &Blueprint<'_>) -> Option<String> {
    if reaches_out(unit, blueprint) {
        Some(naming::outside(unit.name))
    } else {
        (!blueprint.host_ports.is_empty()).then(|| naming::published(unit.name))
    }
}

fn reaches_out(unit: &Unit<'_>, blueprint: &Blueprint<'_>) -> bool {
    !unit.externals.is_empty() || !blueprint.distant.is_empty()
}
