//! Builds an [`Infrastructure`] from text, collecting every problem.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
};

use ipnet::IpNet;

use super::{
    Bytes, Extension, Extensions, Infrastructure, Listener, LoadBalancer, Location, MilliCpus,
    Network, SpecError, Target, TargetKind, problems::Problems,
};
use crate::name::{BackendId, Fqdn, Name};

/// Builds an [`Infrastructure`] from text; [`build`](Self::build) tells every problem at once.
///
/// ```
/// use deployix_core::spec::Infrastructure;
///
/// let infrastructure = Infrastructure::builder()
///     .location("singapore", |location| location)
///     .network("rack", |network| network.location("singapore"))
///     .target("vault", "nixos", |target| {
///         target.network("rack").address("vault.example.com").private_addresses(["10.20.0.10"])
///     })
///     .target("front", "nixos", |target| target.network("rack").pool(2))
///     .load_balancer("web", "www.example.com", 443, 3000, |balancer| {
///         balancer.target("vault").open_to("0.0.0.0/0")
///     })
///     .build()?;
/// assert_eq!(infrastructure.targets.len(), 2);
/// # Ok::<(), deployix_core::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct InfrastructureBuilder {
    made: Infrastructure,
    problems: Problems,
}

/// Builds one thing in an infrastructure: a location, a network, a target, a load balancer or a
/// default backend.
#[derive(Debug, Clone)]
#[must_use]
pub struct InfrastructurePart<T> {
    pub(super) made: T,
    pub(super) problems: Problems,
    extensions: fn(&mut T) -> &mut Extensions,
}

impl Infrastructure {
    /// Starts building an infrastructure.
    pub fn builder() -> InfrastructureBuilder {
        InfrastructureBuilder::default()
    }
}

impl InfrastructureBuilder {
    /// Adds a place in the world.
    pub fn location(
        mut self,
        name: &str,
        with: impl FnOnce(InfrastructurePart<Location>) -> InfrastructurePart<Location>,
    ) -> Self {
        let part =
            with(InfrastructurePart::new(Location::default(), |location| &mut location.extensions));
        let Self { made, problems } = &mut self;
        put(&mut made.locations, problems, "location", name, part);
        self
    }

    /// Adds a private network.
    pub fn network(
        mut self,
        name: &str,
        with: impl FnOnce(InfrastructurePart<Network>) -> InfrastructurePart<Network>,
    ) -> Self {
        let part =
            with(InfrastructurePart::new(Network::default(), |network| &mut network.extensions));
        let Self { made, problems } = &mut self;
        put(&mut made.networks, problems, "network", name, part);
        self
    }

    /// Adds a target of a backend: a single machine, unless it is made something else.
    pub fn target(
        mut self,
        name: &str,
        backend: &str,
        with: impl FnOnce(InfrastructurePart<Target>) -> InfrastructurePart<Target>,
    ) -> Self {
        let Self { made, problems } = &mut self;
        let own = problems.parsed("target", Name::new(name));
        let backend = problems.parsed(format_args!("target {name}"), BackendId::new(backend));
        if let (Some(own), Some(backend)) = (own, backend) {
            let target = Target::machine(own, backend);
            let part = with(InfrastructurePart::new(target, |target| &mut target.extensions));
            put(&mut made.targets, problems, "target", name, part);
        }
        self
    }

    /// Adds a load balancer over an fqdn, from the port that it listens on to the port that it
    /// passes connections to; [`listener`](InfrastructurePart::listener) adds more of them.
    pub fn load_balancer(
        mut self,
        name: &str,
        balances: &str,
        source_port: u16,
        target_port: u16,
        with: impl FnOnce(InfrastructurePart<LoadBalancer>) -> InfrastructurePart<LoadBalancer>,
    ) -> Self {
        let Self { made, problems } = &mut self;
        let what = format!("load balancer {name}");
        let own = problems.parsed("load balancer", Name::new(name));
        let balances = problems.parsed(&what, Fqdn::new(balances));
        let listener = listener(problems, &what, source_port, target_port);
        if let (Some(own), Some(balances), Some(listener)) = (own, balances, listener) {
            let Listener { source_port, target_port } = listener;
            let balancer = LoadBalancer::new(own, balances, source_port, target_port);
            let part = with(InfrastructurePart::new(balancer, |balancer| &mut balancer.extensions));
            put(&mut made.load_balancers, problems, "load balancer", name, part);
        }
        self
    }

    /// The infrastructure.
    ///
    /// # Errors
    /// Every text that was not what it had to be, and every name that was given twice.
    pub fn build(self) -> Result<Infrastructure, SpecError> {
        self.problems.none(self.made)
    }
}

fn listener(
    problems: &mut Problems,
    what: &str,
    source_port: u16,
    target_port: u16,
) -> Option<Listener> {
    let ports = NonZeroU16::new(source_port).zip(NonZeroU16::new(target_port));
    if ports.is_none() {
        problems.add(what, "a port is at least 1");
    }
    ports.map(|(source_port, target_port)| Listener { source_port, target_port })
}

/// Adds a part under its name.
fn put<T>(
    map: &mut BTreeMap<Name, T>,
    problems: &mut Problems,
    what: &str,
    name: &str,
    part: InfrastructurePart<T>,
) {
    problems.extend(format_args!("{what} {name}"), part.problems);
    if let Some(name) = problems.parsed(what, Name::new(name))
        && map.insert(name.clone(), part.made).is_some()
    {
        problems.add(what, format_args!("there are two called `{name}`"));
    }
}

impl<T> InfrastructurePart<T> {
    pub(super) fn new(made: T, extensions: fn(&mut T) -> &mut Extensions) -> Self {
        Self { made, problems: Problems::default(), extensions }
    }

    /// Adds settings that one backend owns.
    pub fn extension<E: Extension>(mut self, settings: &E) -> Self {
        let inserted = (self.extensions)(&mut self.made).insert(settings);
        self.problems.parsed("extensions", inserted);
        self
    }

    pub(super) fn name(&mut self, field: &str, name: &str) -> Option<Name> {
        self.problems.parsed(field, Name::new(name))
    }
}

impl InfrastructurePart<Network> {
    /// Sets where it is.
    pub fn location(mut self, location: &str) -> Self {
        self.made.location = self.name("location", location);
        self
    }
}

impl InfrastructurePart<Target> {
    /// Makes it so many identical machines.
    pub fn pool(mut self, count: u32) -> Self {
        match NonZeroU32::new(count) {
            Some(count) => self.made.kind = TargetKind::Pool { count },
            None => self.problems.add("pool", "it has at least one machine"),
        }
        self
    }

    /// Makes it a group of identical machines that come and go.
    pub fn autoscaling(mut self, min: u32, max: u32) -> Self {
        match NonZeroU32::new(max) {
            Some(max) if min <= max.get() => {
                self.made.kind = TargetKind::Autoscaling { min, max };
            }
            _ => self.problems.add("autoscaling", format_args!("{min} to {max} is no range")),
        }
        self
    }

    /// Sets its private network.
    pub fn network(mut self, network: &str) -> Self {
        self.made.network = self.name("network", network);
        self
    }

    /// Sets where it is; that of its network where nothing is said.
    pub fn location(mut self, location: &str) -> Self {
        self.made.location = self.name("location", location);
        self
    }

    /// Sets where the tool that deploys reaches it.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.made.address = Some(address.into());
        self
    }

    /// Sets its machines' addresses in the private network, in order.
    pub fn private_addresses<S: AsRef<str>>(
        mut self,
        addresses: impl IntoIterator<Item = S>,
    ) -> Self {
        let Self { made, problems, .. } = &mut self;
        let addresses = addresses.into_iter();
        made.private_addresses.extend(addresses.filter_map(|address| {
            problems.parsed("private-addresses", address.as_ref().parse::<IpAddr>())
        }));
        self
    }

    /// Sets what compiles the inside of its machines.
    pub fn guest(mut self, guest: &str) -> Self {
        self.made.guest = self.problems.parsed("guest", BackendId::new(guest));
        self
    }

    /// Sets how many processors each machine has.
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.made.capacity.cpus = self.problems.parsed("capacity", MilliCpus::from_cpus(cpus));
        self
    }

    /// Sets how much memory each machine has, such as `"32GiB"`.
    pub fn memory(mut self, memory: &str) -> Self {
        self.made.capacity.memory = self.problems.parsed("capacity", memory.parse::<Bytes>());
        self
    }

    /// Sets how many functionalities each machine takes.
    pub fn services(mut self, services: u32) -> Self {
        self.made.capacity.services = NonZeroU32::new(services);
        if services == 0 {
            self.problems.add("capacity", "a machine takes at least one functionality");
        }
        self
    }
}

impl InfrastructurePart<LoadBalancer> {
    /// Lets it listen on another port as well, and pass connections from there to a port.
    pub fn listener(mut self, source_port: u16, target_port: u16) -> Self {
        let Self { made, problems, .. } = &mut self;
        let another = listener(problems, "listeners", source_port, target_port);
        if another.is_some_and(|another| !made.listeners.add(another)) {
            problems.add("listeners", format_args!("there are two on port {source_port}"));
        }
        self
    }

    /// Sets where it runs, for backends without one of their own.
    pub fn target(mut self, target: &str) -> Self {
        self.made.target = self.name("target", target);
        self
    }

    /// Adds addresses that may reach it besides its consumers, such as `"0.0.0.0/0"`.
    pub fn open_to(mut self, addresses: &str) -> Self {
        let addresses = self.problems.parsed("open-to", addresses.parse::<IpNet>());
        self.made.open_to.extend(addresses);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once_with_the_thing_it_is_about() {
        let error = Infrastructure::builder()
            .location("Singapore", |location| location)
            .network("rack", |network| network.location("no place"))
            .target("vault", "nixos", |target| {
                target.pool(0).autoscaling(2, 1).private_addresses(["10.0.0"]).memory("1MB")
            })
            .target("vault", "nixos", |target| target.services(0))
            .load_balancer("web", "www.example.com", 0, 1, |balancer| balancer)
            .load_balancer("api", "api.example.com", 1, 1, |balancer| {
                balancer.listener(1, 2).listener(2, 0).open_to("all")
            })
            .build()
            .unwrap_err();
        let told: Vec<_> = error
            .reasons()
            .iter()
            .map(|reason| reason.split(": ").take(2).collect::<Vec<_>>().join(": "))
            .collect();
        assert_eq!(
            told,
            [
                "location: \"Singapore\" is not a name",
                "network rack: location",
                "target vault: pool",
                "target vault: autoscaling",
                "target vault: private-addresses",
                "target vault: capacity",
                "target vault: capacity",
                "target: there are two called `vault`",
                "load balancer web: a port is at least 1",
                "load balancer api: listeners",
                "load balancer api: listeners",
                "load balancer api: open-to",
            ]
        );
    }
}
