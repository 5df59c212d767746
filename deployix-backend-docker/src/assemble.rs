//! One target: the Compose project that ties its functionalities together, and its resources.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Name, RelativePath, ResourceId,
    backend::{
        Artifact, Assembly, CompileError, Input, Inputs, Owner, Remark, Resource, Unit, Via,
    },
    spec::FileContent,
};
use ipnet::Ipv4Net;

use crate::{
    compile::{self, Blueprint},
    compose::{Attachment, Compose, Condition, Network, Port, Restart, Service},
    extension::DockerTarget,
    firewall::{Accept, Allow, Firewall, Socket, host},
    namespace, naming,
    publish::Guest,
    subnet,
    yaml::Yaml,
};

/// Compiles what ties a target's functionalities together.
///
/// # Errors
/// Every reason why they cannot stand side by side.
pub(crate) fn assemble(assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
    let target: DockerTarget = compile::settings(&assembly.site.target.extensions)?;
    let mut blueprints = BTreeMap::new();
    for unit in assembly.units {
        blueprints.insert(unit.name, Blueprint::new(unit)?);
    }
    check_host_ports(&blueprints)?;
    let networks = Networks::new(assembly, &target, &blueprints)?;
    let context = if target.firewall { namespace::context(&target)? } else { BTreeMap::new() };
    let image = target.firewall.then(|| namespace::image(assembly.deployment, &context));
    let scene = Scene { assembly, target, blueprints, networks, image };
    let project = scene.project();
    let mut artifact = Artifact { resources: scene.resources(&project)?, ..Artifact::default() };
    if !project.services.is_empty() {
        for (path, content) in context {
            let path = format!("{}/{path}", naming::NETWORK_IMAGE);
            artifact.files.insert(relative(&path)?, content);
        }
        let text = project.print().map_err(|error| Remark::new(["name"], error.to_string()))?;
        let path = relative("compose.yaml")?;
        artifact.files.insert(path, FileContent::plain(text.into_bytes()));
    }
    Ok(artifact)
}

fn relative(path: &str) -> Result<RelativePath, CompileError> {
    RelativePath::new(path).map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// Refuses two functionalities that want one port of the host.
fn check_host_ports(blueprints: &BTreeMap<&Name, Blueprint<'_>>) -> Result<(), CompileError> {
    let mut taken: BTreeMap<_, Vec<(_, &Name)>> = BTreeMap::new();
    let mut reasons = Vec::new();
    for (name, blueprint) in blueprints {
        for port in blueprint.host_ports.keys() {
            let holders = taken.entry((port.port, port.socket.protocol)).or_default();
            let clash = holders.iter().find(|(address, holder): &&(std::net::IpAddr, &Name)| {
                holder != name
                    && (*address == port.address
                        || address.is_unspecified()
                        || port.address.is_unspecified())
            });
            if let Some((_, other)) = clash {
                reasons.push(
                    Remark::new(
                        ["name"],
                        format!(
                            "`{name}` and `{other}` both want port {}/{} of the host",
                            port.port, port.socket.protocol
                        ),
                    )
                    .remedy("publish one of them elsewhere: extensions.docker.publish"),
                );
            }
            holders.push((port.address, *name));
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(CompileError { reasons }) }
}

/// A target's networks: their addresses and what they are, by name.
struct Networks(BTreeMap<String, (Ipv4Net, Purpose)>);

/// What a network is for.
#[derive(Clone)]
enum Purpose {
    /// A consumer reaches its provider.
    Edge { consumer: Name, provider: Name },
    /// A functionality reaches, or is reached from, outside the engine.
    Outside { functionality: Name, reaches_out: bool },
}

impl Networks {
    fn addresses(&self, name: &str) -> Option<Ipv4Net> {
        self.0.get(name).map(|(addresses, _)| *addresses)
    }

    fn new(
        assembly: &Assembly<'_>,
        target: &DockerTarget,
        blueprints: &BTreeMap<&Name, Blueprint<'_>>,
    ) -> Result<Self, CompileError> {
        // A peer that did not compile keeps its network, for what still runs of it.
        let instances =
            |name: &Name| blueprints.get(name).map_or(1, |blueprint| blueprint.instances.len());
        let mut purposes = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        for unit in assembly.units {
            let up = unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback);
            let down = unit.consumers.iter().filter(|peer| peer.via == Via::Loopback);
            let up = up.map(|peer| (unit.name, peer.name));
            let down = down.map(|peer| (peer.name, unit.name));
            for (consumer, provider) in up.chain(down) {
                let name = naming::edge(consumer, provider);
                let both = if consumer == provider { 0 } else { instances(consumer) };
                wanted.insert(name.clone(), both + instances(provider));
                let (consumer, provider) = (consumer.clone(), provider.clone());
                purposes.insert(name, Purpose::Edge { consumer, provider });
            }
            let blueprint = &blueprints[unit.name];
            if needs_outside(unit, blueprint) {
                let name = naming::outside(unit.name);
                wanted.insert(name.clone(), instances(unit.name));
                let reaches_out = !unit.externals.is_empty() || !blueprint.distant.is_empty();
                let functionality = unit.name.clone();
                purposes.insert(name, Purpose::Outside { functionality, reaches_out });
            }
        }
        let blocks = subnet::allocate(target.subnets, &wanted).map_err(|homeless| {
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

/// Whether it reaches, or is reached from, outside the engine.
fn needs_outside(unit: &Unit<'_>, blueprint: &Blueprint<'_>) -> bool {
    !unit.externals.is_empty() || !blueprint.distant.is_empty() || !blueprint.host_ports.is_empty()
}

/// Everything on a target, side by side.
struct Scene<'a> {
    assembly: &'a Assembly<'a>,
    target: DockerTarget,
    blueprints: BTreeMap<&'a Name, Blueprint<'a>>,
    networks: Networks,
    /// What loads the packet filters, where there are any.
    image: Option<String>,
}

impl Scene<'_> {
    fn project(&self) -> Compose {
        let deployment = self.assembly.deployment;
        let mut project = Compose {
            comment: vec![
                format!("The deployment {deployment} on {}, made by Deployix.", self.site()),
                "`docker compose up --detach --wait` builds and starts it; the same starts what the \
                 engine left behind after a crash."
                    .to_owned(),
            ],
            name: naming::project(deployment, self.site()),
            ..Compose::default()
        };
        for unit in self.assembly.units {
            self.add(unit, &mut project);
        }
        if !project.secrets.is_empty() {
            project.comment.push(format!(
                "Each secret is read from secrets/NAME, a file that user {} can read.",
                crate::image::USER_ID
            ));
        }
        for (name, (addresses, purpose)) in &self.networks.0 {
            project.networks.insert(name.clone(), self.network(*addresses, purpose));
        }
        project
    }

    fn site(&self) -> &Name {
        &self.assembly.site.target.name
    }

    fn labels(&self, entries: &[(&str, &Name)]) -> BTreeMap<String, String> {
        let common = [("deployment", self.assembly.deployment), ("target", self.site())];
        let all = common.iter().chain(entries);
        all.map(|(key, value)| (format!("deployix.{key}"), value.to_string())).collect()
    }

    fn network(&self, addresses: Ipv4Net, purpose: &Purpose) -> Network {
        let option =
            |key: &str, value: &str| (format!("com.docker.network.bridge.{key}"), value.to_owned());
        let (internal, options, labels) = match purpose {
            // Without an address of its own on the bridge, the host and all it publishes are out
            // of reach, which `internal` alone does not see to.
            Purpose::Edge { consumer, provider } => (
                true,
                [option("inhibit_ipv4", "true")].into(),
                self.labels(&[("consumer", consumer), ("provider", provider)]),
            ),
            Purpose::Outside { functionality, reaches_out } => (
                false,
                // Where it is only reached, it needs no way out.
                (!reaches_out)
                    .then(|| option("enable_ip_masquerade", "false"))
                    .into_iter()
                    .collect(),
                self.labels(&[("functionality", functionality)]),
            ),
        };
        Network { internal, subnet: Some(addresses.to_string()), options, labels }
    }

    /// Adds a functionality's containers, volumes and secrets.
    fn add(&self, unit: &Unit<'_>, project: &mut Compose) {
        let blueprint = &self.blueprints[unit.name];
        let upstreams = self.upstreams(unit);
        for instance in &blueprint.instances {
            let namespace = naming::namespace(instance);
            project.services.insert(namespace.clone(), self.namespace(unit, blueprint));
            for (name, program) in blueprint.containers(instance) {
                let labels: BTreeMap<_, _> =
                    naming::labels(unit, program.member).into_iter().collect();
                let mut service = compile::container(program, &name, &blueprint.settings);
                service.shares_network_of = Some(namespace.clone());
                service.depends_on = upstreams.clone();
                service.depends_on.insert(namespace.clone(), Condition::Started);
                service.labels.clone_from(&labels);
                for mount in &service.volumes {
                    project.volumes.insert(mount.volume.clone(), labels.clone());
                }
                for secret in &service.secrets {
                    project.secrets.insert(secret.clone(), format!("./secrets/{secret}"));
                }
                if !program.initializer.is_empty() {
                    let initializer = naming::initializer(&name);
                    let once = Service {
                        entrypoint: program.initializer.clone(),
                        healthcheck: None,
                        restart: Some(Restart::Never),
                        ..service.clone()
                    };
                    service.depends_on.insert(initializer.clone(), Condition::Completed);
                    project.services.insert(initializer, once);
                }
                project.services.insert(name, service);
            }
        }
    }

    /// What has to run before a functionality's containers start: those of its upstreams here, but
    /// for the ones that wait for it in turn.
    fn upstreams(&self, unit: &Unit<'_>) -> BTreeMap<String, Condition> {
        let mut conditions = BTreeMap::new();
        let waited_for =
            unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback && !peer.mutual);
        for peer in waited_for.filter(|peer| peer.name != unit.name) {
            let Some(provider) = self.blueprints.get(peer.name) else { continue };
            for instance in &provider.instances {
                for (container, program) in provider.containers(instance) {
                    let condition = match program.healthcheck {
                        Some(_) => Condition::Healthy,
                        None => Condition::Started,
                    };
                    conditions.insert(container, condition);
                }
            }
        }
        conditions
    }

    /// The container that holds the network namespace of one instance.
    fn namespace(&self, unit: &Unit<'_>, blueprint: &Blueprint<'_>) -> Service {
        let firewall = self.firewall(unit, blueprint);
        let mut service = namespace::service(&self.target, self.image.as_deref(), &firewall);
        for peer in unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback) {
            service.networks.entry(naming::edge(unit.name, peer.name)).or_default();
        }
        for peer in unit.consumers.iter().filter(|peer| peer.via == Via::Loopback) {
            let Attachment { aliases } =
                service.networks.entry(naming::edge(peer.name, unit.name)).or_default();
            aliases.insert(peer.fqdn.to_string());
        }
        if needs_outside(unit, blueprint) {
            service.networks.entry(naming::outside(unit.name)).or_default();
        }
        let hosts: BTreeSet<_> = blueprint
            .distant
            .iter()
            .map(|(peer, address)| (peer.fqdn.to_string(), address.to_string()))
            .collect();
        service.extra_hosts = hosts.into_iter().collect();
        let ports = blueprint.host_ports.keys().map(|port| Port {
            host_address: port.address.to_string(),
            published: port.port,
            target: port.socket.port,
            protocol: port.socket.protocol.as_str(),
        });
        service.ports = ports.collect();
        if unit.endpoints().any(|endpoint| endpoint.endpoint.port.get() < 1024) {
            // So that no program needs a capability for it.
            let key = "net.ipv4.ip_unprivileged_port_start".to_owned();
            service.sysctls.insert(key, "0".to_owned());
        }
        service.labels = naming::labels(unit, None).into_iter().collect();
        service
    }

    fn firewall(&self, unit: &Unit<'_>, blueprint: &Blueprint<'_>) -> Firewall {
        let block = |name: &str| self.networks.addresses(name);
        let mut accept = BTreeSet::new();
        let mut allow = BTreeSet::new();
        for peer in unit.consumers.iter().filter(|peer| peer.via == Via::Loopback) {
            let Some(block) = block(&naming::edge(peer.name, unit.name)) else { continue };
            accept.extend(peer.endpoints.iter().map(|endpoint| Accept {
                from: block,
                through: block,
                socket: Socket::from(&endpoint.endpoint),
            }));
        }
        for peer in unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback) {
            let Some(block) = block(&naming::edge(unit.name, peer.name)) else { continue };
            let sockets = peer.endpoints.iter().map(|endpoint| Socket::from(&endpoint.endpoint));
            allow.extend(sockets.map(|socket| Allow::To(block, socket)));
        }
        for (peer, address) in &blueprint.distant {
            let std::net::IpAddr::V4(address) = address else { continue };
            let sockets = peer.endpoints.iter().map(|endpoint| Socket::from(&endpoint.endpoint));
            allow.extend(sockets.map(|socket| Allow::To(host(*address), socket)));
        }
        if !unit.externals.is_empty() {
            allow.insert(Allow::Outside(self.target.subnets));
        }
        if let Some(through) = block(&naming::outside(unit.name)) {
            for (port, guests) in &blueprint.host_ports {
                accept.extend(guests.iter().map(|guest| Accept {
                    from: match guest {
                        Guest::Host => host(subnet::gateway(through)),
                        Guest::From(range) => *range,
                    },
                    through,
                    socket: port.socket,
                }));
            }
        }
        Firewall { accept: accept.into_iter().collect(), allow: allow.into_iter().collect() }
    }

    /// The resources of what surrounds the programs: networks, namespaces and containers.
    fn resources(&self, project: &Compose) -> Result<Vec<Resource>, CompileError> {
        let id = |kind: &str, name: &str| naming::resource(self.site(), kind, name);
        let mut resources = Vec::new();
        if let Some(image) = self.image.as_ref().filter(|_| !project.services.is_empty()) {
            let inputs = Inputs::from([
                ("context".to_owned(), naming::NETWORK_IMAGE.into()),
                ("image".to_owned(), image.as_str().into()),
            ]);
            let owner = Owner::Target(self.site().clone());
            resources.push(Resource::new(id("image", naming::NETWORK_IMAGE)?, owner, inputs, []));
        }
        for (name, network) in &project.networks {
            let owner = match self.networks.0.get(name).map(|(_, purpose)| purpose.clone()) {
                Some(Purpose::Edge { consumer, provider }) => Owner::Edge { consumer, provider },
                Some(Purpose::Outside { functionality, .. }) => Owner::Functionality(functionality),
                None => continue,
            };
            resources.push(Resource::new(id("network", name)?, owner, inputs(network.tree()), []));
        }
        for (name, blueprint) in &self.blueprints {
            let owner = || Owner::Functionality((*name).clone());
            for instance in &blueprint.instances {
                let namespace = naming::namespace(instance);
                if let Some(service) = project.services.get(&namespace) {
                    let mut after: Vec<ResourceId> = service
                        .networks
                        .keys()
                        .map(|network| id("network", network))
                        .collect::<Result<_, _>>()?;
                    if self.image.is_some() {
                        after.push(id("image", naming::NETWORK_IMAGE)?);
                    }
                    let container = id("container", &namespace)?;
                    resources.push(Resource::new(
                        container,
                        owner(),
                        inputs(service.tree()),
                        after,
                    ));
                }
                for (container, program) in blueprint.containers(instance) {
                    for name in [naming::initializer(&container), container] {
                        let Some(service) = project.services.get(&name) else { continue };
                        let mut after = vec![compile::image_id(self.site(), program)?];
                        for mount in &service.volumes {
                            after.push(id("volume", &mount.volume)?);
                        }
                        for other in service.depends_on.keys() {
                            after.push(id("container", other)?);
                        }
                        let container = id("container", &name)?;
                        let inputs = inputs(service.tree());
                        resources.push(Resource::new(container, owner(), inputs, after));
                    }
                }
            }
        }
        Ok(resources)
    }
}

/// A tree as a resource's settings.
fn inputs(tree: Yaml) -> Inputs {
    match input(tree) {
        Input::Map(entries) => entries,
        other => Inputs::from([("value".to_owned(), other)]),
    }
}

fn input(tree: Yaml) -> Input {
    match tree {
        Yaml::Bool(value) => Input::Bool(value),
        Yaml::Number(value) => i64::try_from(value).map_or(Input::Null, Input::Integer),
        Yaml::Text(text) => Input::Text(text),
        Yaml::List(items) => Input::List(items.into_iter().map(input).collect()),
        Yaml::Map(entries) => {
            Input::Map(entries.into_iter().map(|(key, value)| (key, input(value))).collect())
        }
    }
}
