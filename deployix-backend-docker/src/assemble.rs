//! One target: the Compose project that ties its functionalities together, and its resources.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Name, RelativePath, ResourceId,
    backend::{
        Artifact, Assembly, CompileError, Input, Inputs, Owner, Remark, Resource, Site, Unit, Via,
    },
    spec::FileContent,
};
use ipnet::Ipv4Net;

use crate::{
    compile::{self, Blueprint, Host},
    compose::{Attachment, Compose, Condition, Network, Port, Restart, Service},
    extension::DockerTarget,
    firewall::{Accept, Allow, Firewall, Socket, host},
    namespace, naming,
    networks::{Networks, Purpose, needs_outside},
    publish::Guest,
    subnet,
    yaml::Yaml,
};

/// Compiles what ties a target's functionalities together.
///
/// # Errors
/// Every reason why they cannot stand side by side.
pub(crate) fn assemble(assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
    let scene = Scene::new(assembly.deployment, assembly.site, assembly.units, Host::Engine)?;
    let project = scene.project();
    Ok(Artifact {
        files: scene.files(&project)?,
        resources: scene.resources(&project)?,
        ..Artifact::default()
    })
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

/// Everything on a target, side by side.
pub(crate) struct Scene<'a> {
    deployment: &'a Name,
    /// The target's name.
    site: &'a Name,
    target: DockerTarget,
    units: &'a [Unit<'a>],
    blueprints: BTreeMap<&'a Name, Blueprint<'a>>,
    networks: Networks,
    /// The build context of what loads the packet filters, and the image made from it.
    filter: Option<(BTreeMap<RelativePath, FileContent>, String)>,
}

impl<'a> Scene<'a> {
    /// Lowers all functionalities of a target.
    ///
    /// # Errors
    /// Every reason why they cannot stand side by side.
    pub(crate) fn new(
        deployment: &'a Name,
        site: Site<'a>,
        units: &'a [Unit<'a>],
        host: Host,
    ) -> Result<Self, CompileError> {
        let target: DockerTarget = compile::settings(&site.target.extensions)?;
        let mut blueprints = BTreeMap::new();
        for unit in units {
            blueprints.insert(unit.name, Blueprint::new(unit, host)?);
        }
        check_host_ports(&blueprints)?;
        let networks = Networks::new(units, &target, &blueprints)?;
        let filter = if target.firewall && !units.is_empty() {
            let context = namespace::context(&target)?;
            let image = namespace::image(deployment, &context);
            Some((context, image))
        } else {
            None
        };
        let site = &site.target.name;
        Ok(Self { deployment, site, target, units, blueprints, networks, filter })
    }

    /// The files that belong to no functionality alone.
    pub(crate) fn files(
        &self,
        project: &Compose,
    ) -> Result<BTreeMap<RelativePath, FileContent>, CompileError> {
        let mut files = BTreeMap::new();
        if self.units.is_empty() {
            return Ok(files);
        }
        for (path, content) in self.filter.iter().flat_map(|(context, _)| context) {
            let path = format!("{}/{path}", naming::NETWORK_IMAGE);
            files.insert(relative(&path)?, content.clone());
        }
        let text = project.print().map_err(|error| Remark::new(["name"], error.to_string()))?;
        files.insert(relative("compose.yaml")?, FileContent::plain(text.into_bytes()));
        Ok(files)
    }

    /// The functionalities, lowered, each with its unit.
    pub(crate) fn blueprints(&self) -> impl Iterator<Item = (&Unit<'a>, &Blueprint<'a>)> {
        self.units.iter().filter_map(|unit| Some((unit, self.blueprints.get(unit.name)?)))
    }

    /// The Compose project.
    pub(crate) fn project(&self) -> Compose {
        let deployment = self.deployment;
        let mut project = Compose {
            comment: vec![
                format!("The deployment {deployment} on {}, made by Deployix.", self.site),
                "`docker compose up --detach --wait` builds and starts it; the same starts what the \
                 engine left behind after a crash."
                    .to_owned(),
            ],
            name: naming::project(deployment, self.site),
            ..Compose::default()
        };
        for unit in self.units {
            self.add(unit, &mut project);
        }
        if !project.secrets.is_empty() {
            project.comment.push(format!(
                "Each secret is read from secrets/NAME, a file that user {} can read.",
                crate::image::USER_ID
            ));
        }
        for (name, addresses, purpose) in self.networks.iter() {
            project.networks.insert(name.clone(), self.network(addresses, purpose));
        }
        project
    }

    fn labels(&self, entries: &[(&str, &Name)]) -> BTreeMap<String, String> {
        let common = [("deployment", self.deployment), ("target", self.site)];
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
        let mut service = namespace::service(
            &self.target,
            self.filter.as_ref().map(|(_, image)| image.as_str()),
            &firewall,
        );
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
            .filter_map(|distant| {
                Some((distant.peer.fqdn.to_string(), distant.known()?.to_string()))
            })
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
        for distant in &blueprint.distant {
            let endpoints = distant.peer.endpoints.iter();
            let sockets = endpoints.map(|endpoint| Socket::from(&endpoint.endpoint));
            allow.extend(sockets.map(|socket| match distant.known() {
                Some(address) => Allow::To(host(address), socket),
                None => Allow::Beyond(self.target.subnets, socket),
            }));
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
        let id = |kind: &str, name: &str| naming::resource(self.site, kind, name);
        let mut resources = Vec::new();
        if let Some((_, image)) = &self.filter {
            let inputs = Inputs::from([
                ("context".to_owned(), naming::NETWORK_IMAGE.into()),
                ("image".to_owned(), image.as_str().into()),
            ]);
            let owner = Owner::Target(self.site.clone());
            resources.push(Resource::new(id("image", naming::NETWORK_IMAGE)?, owner, inputs, []));
        }
        for (name, network) in &project.networks {
            let owner = match self.networks.purpose(name) {
                Some(Purpose::Edge { consumer, provider }) => {
                    Owner::Edge { consumer: consumer.clone(), provider: provider.clone() }
                }
                Some(Purpose::Outside { functionality, .. }) => {
                    Owner::Functionality(functionality.clone())
                }
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
                    if self.filter.is_some() {
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
                        let mut after = vec![compile::image_id(self.site, program)?];
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
