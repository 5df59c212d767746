//! [`Infrastructure`]: where things can run, apart from what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Bytes, Extensions, Listener, Listeners, MilliCpus};
use crate::{
    name::{BackendId, Fqdn, Name},
    source::Source,
};

/// Where things can run: locations, networks, targets and load balancers.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Infrastructure {
    /// Places in the world.
    pub locations: BTreeMap<Name, Location>,
    /// Private networks.
    pub networks: BTreeMap<Name, Network>,
    /// Machines, pools of them and groups that scale.
    pub targets: BTreeMap<Name, Target>,
    /// Load balancers.
    pub load_balancers: BTreeMap<Name, LoadBalancer>,
    /// The files it came from.
    pub sources: Vec<Arc<Source>>,
    /// What has a name and could not be read.
    pub unreadable: Unreadable,
    /// Whether files may name more than is here and in `unreadable`.
    pub incomplete: bool,
}

/// Names of what is described in a way that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Places in the world.
    pub locations: BTreeSet<Name>,
    /// Private networks.
    pub networks: BTreeSet<Name>,
    /// Machines, pools of them and groups that scale.
    pub targets: BTreeSet<Name>,
    /// Load balancers.
    pub load_balancers: BTreeSet<Name>,
}

impl Unreadable {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { locations, networks, targets, load_balancers } = self;
        [locations, networks, targets, load_balancers].iter().all(|names| names.is_empty())
    }

    /// Adds those of another file.
    pub(crate) fn extend(&mut self, more: Self) {
        self.locations.extend(more.locations);
        self.networks.extend(more.networks);
        self.targets.extend(more.targets);
        self.load_balancers.extend(more.load_balancers);
    }
}

/// A place in the world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Location {
    /// What one backend owns, such as a cloud's name for the place.
    pub extensions: Extensions,
}

/// A private network: its machines reach each other privately.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Network {
    /// Where it is.
    pub location: Option<Name>,
    /// What one backend owns.
    pub extensions: Extensions,
}

/// Where services run: a machine, a pool of identical ones or a group that scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Target {
    /// Its name, unique within a deployment.
    pub name: Name,
    /// The backend that compiles for it.
    pub backend: BackendId,
    /// What it is.
    pub kind: TargetKind,
    /// Its private network; targets without one share none with anybody.
    pub network: Option<Name>,
    /// Where it is; that of its network where nothing is said.
    pub location: Option<Name>,
    /// Where the tool that deploys reaches it: a host for SSH, an engine's URL, or `local`.
    pub address: Option<String>,
    /// The machines' addresses in the private network, in order; where the backend makes the
    /// machines they are not known before.
    pub private_addresses: Vec<IpAddr>,
    /// The backend that compiles what runs inside, where this one only makes the machine.
    pub guest: Option<BackendId>,
    /// How much each of its machines holds.
    pub capacity: Capacity,
    /// What its backend owns.
    pub extensions: Extensions,
}

impl Target {
    /// A single machine of a backend.
    #[must_use]
    pub fn machine(name: Name, backend: BackendId) -> Self {
        Self {
            name,
            backend,
            kind: TargetKind::Machine,
            network: None,
            location: None,
            address: None,
            private_addresses: Vec::new(),
            guest: None,
            capacity: Capacity::default(),
            extensions: Extensions::default(),
        }
    }

    /// The address of one of its machines in the private network, where it is known beforehand:
    /// as given, or the target's own address where that is one of a single machine.
    #[must_use]
    pub fn private_address(&self, machine: u32) -> Option<IpAddr> {
        let given = self.private_addresses.get(machine as usize).copied();
        given.or_else(|| {
            let single = matches!(self.kind, TargetKind::Machine);
            self.address.as_ref().filter(|_| single)?.parse().ok()
        })
    }
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TargetKind {
    /// One machine.
    Machine,
    /// Several identical machines.
    Pool {
        /// How many.
        count: NonZeroU32,
    },
    /// Identical machines that come and go; all of them run everything placed there.
    Autoscaling {
        /// How many at least.
        min: u32,
        /// How many at most; never below `min`.
        max: NonZeroU32,
    },
    /// Several engines that act as one.
    Swarm,
}

impl TargetKind {
    /// How many machines things are placed on one by one; a group that scales and a swarm count
    /// as one.
    #[must_use]
    pub fn machines(self) -> u32 {
        match self {
            Self::Pool { count } => count.get(),
            Self::Machine | Self::Autoscaling { .. } | Self::Swarm => 1,
        }
    }
}

/// How much a machine holds; what is not said is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<MilliCpus>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Functionalities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<NonZeroU32>,
}

/// Balances over the machines behind an fqdn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LoadBalancer {
    /// Its name, unique among load balancers.
    pub name: Name,
    /// The fqdn it balances over, and from then on answers for.
    pub balances: Fqdn,
    /// Where it listens.
    pub listeners: Listeners,
    /// Where it runs, for backends without one of their own.
    pub target: Option<Name>,
    /// Who may reach it besides the functionalities that declare its fqdn as an upstream.
    pub open_to: Vec<IpNet>,
    /// What one backend owns.
    pub extensions: Extensions,
}

impl LoadBalancer {
    /// A load balancer that only declared upstreams reach.
    #[must_use]
    pub fn new(
        name: Name,
        balances: Fqdn,
        source_port: NonZeroU16,
        target_port: NonZeroU16,
    ) -> Self {
        Self {
            name,
            balances,
            listeners: Listener::new(source_port, target_port).into(),
            target: None,
            open_to: Vec::new(),
            extensions: Extensions::default(),
        }
    }
}
