//! One target: the Compose project that ties its functionalities together, and its resources.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Digest, Name, RelativePath, ResourceId, SecretName,
    backend::{
        Artifact, Assembly, CompileError, Inputs, LeftUnit, Owner, Remark, Resource, Site, Unit,
        Via,
    },
    spec::FileContent,
};
use ipnet::Ipv4Net;

use crate::{
    compile::{self, Blueprint, Host},
    compose::{Attachment, Compose, Condition, Mount, Network, Port, Restart, Service, Volume},
    extension::DockerTarget,
    firewall::{Accept, Allow, Firewall, Socket, host},
    instance::{Instance, Member, Secret},
    namespace, naming,
    networks::{self, Networks, Purpose},
    publish::Guest,
    subnet,
};

/// Compiles what ties a target's functionalities together.
///
/// # Errors
/// Every reason why they cannot stand side by side.
pub(crate) fn assemble(assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
    let Assembly { deployment, site, units, left, .. } = *assembly;
    let scene = Scene::new(deployment, site, units, left, Host::Engine)?;
    let project = scene.project();
    let mut artifact = Artifact { files: scene.files(&project)?, ..Artifact::default() };
    scene.add_resources(&project, &mut artifact)?;
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
    /// Lowers all functionalities of a target, on which some may be left as they are.
    ///
    /// # Errors
    /// Every reason why they cannot stand side by side.
    pub(crate) fn new(
        deployment: &'a Name,
        site: Site<'a>,
        units: &'a [Unit<'a>],
        left: &[LeftUnit<'_>],
        host: Host,
    ) -> Result<Self, CompileError> {
        let target: DockerTarget = compile::settings(&site.target.extensions)?;
        let mut blueprints = BTreeMap::new();
        for unit in units {
            blueprints.insert(unit.name, Blueprint::new(unit, host)?);
        }
        check_host_ports(&blueprints)?;
        let whose = naming::project(deployment, &site.target.name);
        let networks = Networks::new(units, left, &whose, &target, &blueprints)?;
        let filter = if target.firewall && !units.is_empty() {
            let context = namespace::context(&target)?;
            let image = namespace::image(deployment, &site.target.name, &context);
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
                    let volume = Volume { labels: labels.clone(), ..Volume::default() };
                    project.volumes.insert(mount.volume.clone(), volume);
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

    /// What has to run before a functionality's containers start.
    fn upstreams(&self, unit: &Unit<'_>) -> BTreeMap<String, Condition> {
        let mut conditions = BTreeMap::new();
        for provider in self.waited_for(unit) {
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

    /// A functionality's upstreams here, but for the ones that wait for it in turn.
    fn waited_for(&self, unit: &Unit<'_>) -> impl Iterator<Item = &Blueprint<'a>> {
        let peers = unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback && !peer.mutual);
        let others = peers.filter(|peer| peer.name != unit.name);
        others.filter_map(|peer| self.blueprints.get(peer.name))
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
        if let Some(outside) = networks::outside(unit, blueprint) {
            service.networks.entry(outside).or_default();
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
            protocol: port.socket.protocol.to_string(),
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
        if let Some(through) = networks::outside(unit, blueprint).and_then(|name| block(&name)) {
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

    /// What a network is called on the engine: with the version of what cannot be changed of it.
    fn versioned(&self, name: &str, network: &Network) -> String {
        let fixed = (network.internal, &network.subnet, &network.options);
        // Texts always serialize.
        let version = Digest::of(&fixed).unwrap_or_else(|_| Digest::of_bytes(b""));
        naming::versioned(name, version)
    }

    /// Adds the resources of what surrounds the programs, and of the instances.
    fn add_resources(
        &self,
        project: &Compose,
        artifact: &mut Artifact,
    ) -> Result<(), CompileError> {
        if let Some((context, image)) = &self.filter {
            let owner = Owner::Target(self.site.clone());
            let id = self.filter_id(image)?;
            let image = compile::image(artifact, id, owner, image, context);
            artifact.resources.push(image);
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
            let versioned = self.versioned(name, network);
            let options = network.options.clone();
            let inputs = Inputs::from([
                ("name", naming::on_engine(self.deployment, self.site, &versioned).into()),
                ("internal", network.internal.into()),
                ("subnet", network.subnet.clone().into()),
                ("options", options.into()),
                ("labels", network.labels.clone().into()),
            ]);
            let id = naming::resource(self.site, "network", &versioned)?;
            artifact.resources.push(Resource::new(id, owner, inputs, []));
        }
        for (unit, blueprint) in self.blueprints() {
            for instance in &blueprint.instances {
                if let Some(resource) = self.instance(unit, blueprint, instance, project)? {
                    artifact.resources.push(resource);
                }
            }
        }
        Ok(())
    }

    fn filter_id(&self, image: &str) -> Result<ResourceId, CompileError> {
        compile::image_id(self.site, naming::NETWORK_IMAGE, image)
    }

    /// One instance, with all that it takes.
    fn instance(
        &self,
        unit: &Unit<'_>,
        blueprint: &Blueprint<'_>,
        instance: &str,
        project: &Compose,
    ) -> Result<Option<Resource>, CompileError> {
        let id = |kind: &str, name: &str| naming::resource(self.site, kind, name);
        let on_engine = |name: &str| naming::on_engine(self.deployment, self.site, name);
        let Some(namespace) = project.services.get(&naming::namespace(instance)) else {
            return Ok(None);
        };
        let mut after = Vec::new();
        if let Some((_, image)) = &self.filter {
            after.push(self.filter_id(image)?);
        }
        let mut networks = BTreeMap::new();
        for (name, attachment) in &namespace.networks {
            let Some(network) = project.networks.get(name) else { continue };
            let versioned = self.versioned(name, network);
            after.push(id("network", &versioned)?);
            networks.insert(on_engine(&versioned), attachment.clone());
        }
        let mut programs = BTreeMap::new();
        for (name, program) in blueprint.containers(instance) {
            let Some(service) = project.services.get(&name) else { continue };
            after.push(compile::image_id(self.site, &program.folder, &program.image)?);
            for mount in &service.volumes {
                after.push(id("volume", &mount.volume)?);
            }
            let volumes = service.volumes.iter().map(|mount| Mount {
                volume: on_engine(&mount.volume),
                target: mount.target.clone(),
            });
            let secrets = service.secrets.iter().map(|secret| {
                SecretName::new(secret).map(|name| Secret { name }).map_err(CompileError::from)
            });
            let member = Member {
                initializer: program.initializer.clone(),
                secrets: secrets.collect::<Result<_, _>>()?,
                container: Service {
                    volumes: volumes.collect(),
                    secrets: Vec::new(),
                    ..alone(service)
                },
            };
            programs.insert(name, member);
        }
        for upstream in self.waited_for(unit) {
            for instance in &upstream.instances {
                after.push(id("instance", instance)?);
            }
        }
        let settings = Instance {
            namespace: Service { networks: BTreeMap::new(), ..alone(namespace) },
            networks,
            programs,
            gap: blueprint.gap(),
        };
        let inputs = settings
            .to_inputs()
            .map_err(|error| Remark::new(["service", "limits"], error.to_string()))?;
        let owner = Owner::Functionality(unit.name.clone());
        Ok(Some(Resource::new(id("instance", instance)?, owner, inputs, after)))
    }
}

/// A service without what ties it to others, and without what it is built from.
fn alone(service: &Service) -> Service {
    Service { build: None, depends_on: BTreeMap::new(), shares_network_of: None, ..service.clone() }
}
