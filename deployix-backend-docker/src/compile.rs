//! One functionality, lowered to what its image, containers and published ports are.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use deployix_core::{
    Name, ResourceId,
    backend::{
        Artifact, CompileError, Input, Inputs, Owner, Peer, PeerAddress, Remark, Resource, Unit,
        Via,
    },
    name::{NameError, RelativePath},
    spec::{Extension, Extensions, FileContent},
};

use crate::{
    compose::Service,
    extension::{DockerFunctionality, DockerLoadBalancer, DockerTarget, RollOut},
    instance::Gap,
    naming,
    program::{self, Notes, Program},
    publish::{self, HostPorts, Settings},
};

/// A functionality, lowered.
#[derive(Debug)]
pub(crate) struct Blueprint<'a> {
    pub(crate) settings: DockerFunctionality,
    pub(crate) programs: Vec<Program<'a>>,
    /// What its replicas are called.
    pub(crate) instances: Vec<String>,
    pub(crate) host_ports: HostPorts,
    /// Upstreams on other machines.
    pub(crate) distant: Vec<Distant<'a>>,
    pub(crate) remarks: Vec<Remark>,
}

/// Whose engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// The target's own, on a machine that exists.
    Engine,
    /// That of a machine which another backend makes: its own address and those of others like it
    /// are known once it is made, and that backend keeps strangers out.
    Guest,
}

/// One machine of an upstream that runs elsewhere, or the load balancer that it is.
#[derive(Debug)]
pub(crate) struct Distant<'a> {
    pub(crate) peer: &'a Peer<'a>,
    pub(crate) address: PeerAddress,
}

impl Distant<'_> {
    /// Its address, where that is known.
    pub(crate) fn known(&self) -> Option<Ipv4Addr> {
        match self.address {
            PeerAddress::Known(IpAddr::V4(address)) => Some(address),
            _ => None,
        }
    }
}

/// Reads an extension's settings.
pub(crate) fn settings<E: Extension + Default>(extensions: &Extensions) -> Result<E, CompileError> {
    let read = extensions.get::<E>().map_err(|error| {
        let keys = ["extensions", E::NAMESPACE].into_iter().chain(error.keys());
        Remark::new(keys, error.reason())
    })?;
    Ok(read.unwrap_or_default())
}

impl<'a> Blueprint<'a> {
    /// Lowers a functionality.
    ///
    /// # Errors
    /// Every reason why it cannot run on this target.
    pub(crate) fn new(unit: &'a Unit<'a>, host: Host) -> Result<Self, CompileError> {
        let target: DockerTarget = settings(&unit.site.target.extensions)?;
        let (published, settings) = match unit.balancer {
            Some(balancer) => {
                let settings = settings::<DockerLoadBalancer>(unit.extensions)?;
                let settings = Settings::LoadBalancer(settings, Box::new(balancer.clone()));
                (settings, DockerFunctionality::default())
            }
            None => {
                let settings = settings::<DockerFunctionality>(unit.extensions)?;
                (Settings::Functionality(settings.clone()), settings)
            }
        };
        let mut notes = Notes::default();
        for capability in &settings.capabilities {
            if !is_capability(capability) {
                notes.problems.push(
                    Remark::new(
                        ["extensions", "docker", "capabilities"],
                        format!("{capability:?} is no capability"),
                    )
                    .remedy("write it as capabilities(7) does, without CAP_: `NET_RAW`"),
                );
            }
        }
        let programs = unit
            .service
            .members()
            .filter_map(|(member, spec)| {
                program::lower(unit, member, spec, &settings, &target, &mut notes)
            })
            .collect();
        let Notes { mut problems, mut remarks, .. } = notes;
        let host_ports =
            publish::publish(unit, &published, (&target, host), &mut problems, &mut remarks);
        if settings.roll_out == Some(RollOut::Overlap) && !host_ports.is_empty() {
            remarks.push(Remark::new(
                ["extensions", "docker", "roll-out"],
                "two versions cannot publish one port of the host at once, so the old one stops \
                 first all the same",
            ));
        }
        let distant = distant(unit, host, &mut problems);
        if !unit.externals.is_empty() {
            let hosts: Vec<_> = unit.externals.iter().map(ToString::to_string).collect();
            remarks.push(Remark::new(
                ["upstream-hosts"],
                format!(
                    "Docker cannot tell hosts outside by their names: to reach {}, it can reach \
                     every one",
                    hosts.join(", ")
                ),
            ));
        }
        if !problems.is_empty() {
            return Err(CompileError { reasons: problems });
        }
        let replicas = match host {
            Host::Engine => unit.replicas.get(),
            // The machines of such a target run one each.
            Host::Guest => 1,
        };
        let instances = naming::instances(unit.name, replicas);
        Ok(Self { settings, programs, instances, host_ports, distant, remarks })
    }

    /// Why an old version stops before a new one starts, where it has to.
    pub(crate) fn gap(&self) -> Option<Gap> {
        if !self.host_ports.is_empty() {
            return Some(Gap::HostPort);
        }
        match self.settings.roll_out {
            Some(RollOut::Gap) => return Some(Gap::Asked),
            Some(RollOut::Overlap) => return None,
            None => {}
        }
        if self.programs.iter().any(|program| program.spec.schedule.is_some()) {
            return Some(Gap::Schedule);
        }
        self.programs.iter().any(|program| !program.state.is_empty()).then_some(Gap::State)
    }

    /// The containers of one instance that run on, each with its program.
    pub(crate) fn containers(
        &self,
        instance: &str,
    ) -> impl Iterator<Item = (String, &Program<'a>)> {
        let instance = instance.to_owned();
        self.programs
            .iter()
            .map(move |program| (naming::container(&instance, program.member), program))
    }
}

/// Upstreams on other machines, machine by machine.
fn distant<'a>(unit: &'a Unit<'a>, host: Host, problems: &mut Vec<Remark>) -> Vec<Distant<'a>> {
    let mut found = Vec::new();
    for peer in &unit.upstreams {
        let message = match peer.via {
            Via::Loopback | Via::External => continue,
            Via::Ipsec => Some("is reached over IPsec, which Docker has none of"),
            Via::Private => {
                let addresses: Vec<_> = peer.addresses().collect();
                let message = addresses.iter().find_map(|address| match address {
                    PeerAddress::Known(address) if address.is_ipv6() => {
                        Some("has an IPv6 address, and the networks made here are IPv4")
                    }
                    PeerAddress::Later { .. } | PeerAddress::LoadBalancer { .. }
                        if host == Host::Engine =>
                    {
                        Some("has an address that is not known beforehand")
                    }
                    _ => None,
                });
                found.extend(addresses.into_iter().map(|address| Distant { peer, address }));
                message
            }
        };
        problems.extend(message.map(|message| {
            Remark::new(["upstream-hosts"], format!("`{}` {message}", peer.fqdn)).remedy(
                "place both on one engine, or both targets in one network and give each an IPv4 \
                 private-address",
            )
        }));
    }
    found
}

fn is_capability(text: &str) -> bool {
    text != "ALL"
        && !text.starts_with("CAP_")
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// A functionality's build contexts, and what exists of it whatever surrounds it: images and
/// volumes. Its containers depend on the networks around them and so come with their target.
///
/// # Errors
/// Every reason why it cannot run on this target.
pub(crate) fn compile(unit: &Unit<'_>) -> Result<Artifact, CompileError> {
    let blueprint = Blueprint::new(unit, Host::Engine)?;
    let owner = Owner::Functionality(unit.name.clone());
    let target = &unit.site.target.name;
    let mut artifact = Artifact { remarks: blueprint.remarks.clone(), ..Artifact::default() };
    for program in &blueprint.programs {
        artifact.files.extend(context(program)?);
        let id = image_id(target, &program.folder, &program.image)?;
        let image = image(&mut artifact, id, owner.clone(), &program.image, &program.context);
        artifact.resources.push(image);
        for instance in &blueprint.instances {
            let container = naming::container(instance, program.member);
            for path in &program.state {
                let name = naming::volume(&container, path);
                let on_engine = naming::on_engine(unit.deployment, target, &name);
                let id = naming::resource(target, "volume", &name)?;
                artifact.resources.push(volume(id, owner.clone(), &on_engine));
            }
        }
    }
    Ok(artifact)
}

/// The files of a program's build context, below the target's folder.
pub(crate) fn context(
    program: &Program<'_>,
) -> Result<Vec<(RelativePath, FileContent)>, CompileError> {
    let below = program.context.iter().map(|(path, content)| {
        let path = RelativePath::new(format!("{}/{path}", program.folder))?;
        Ok((path, content.clone()))
    });
    below
        .collect::<Result<_, NameError>>()
        .map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// The resource of the image that is built in a folder. A changed image is another resource: what
/// runs of the old one needs it until it is gone.
pub(crate) fn image_id(
    target: &Name,
    folder: &str,
    image: &str,
) -> Result<ResourceId, CompileError> {
    let version = image.rsplit(':').next().unwrap_or_default();
    naming::resource(target, "image", &format!("{folder}.{version}"))
}

/// A volume as a resource.
pub(crate) fn volume(id: ResourceId, owner: Owner, on_engine: &str) -> Resource {
    let inputs = Inputs::from([("name", on_engine.into())]);
    Resource::new(id, owner, inputs, []).holding_data()
}

/// An image as a resource, with its build context.
pub(crate) fn image(
    artifact: &mut Artifact,
    id: ResourceId,
    owner: Owner,
    image: &str,
    context: &BTreeMap<RelativePath, FileContent>,
) -> Resource {
    let files: Vec<_> =
        context.iter().map(|(path, file)| (path.to_string(), artifact.file(file))).collect();
    let inputs = Inputs::from([("context", Input::map(files)), ("image", image.into())]);
    Resource::new(id, owner, inputs, [])
}

/// The part of a container that follows from its program alone.
pub(crate) fn container(
    program: &Program<'_>,
    name: &str,
    settings: &DockerFunctionality,
) -> Service {
    use crate::compose::{Mount, Restart};

    let owner = program.user.as_deref().and_then(|user| user.split_once(':'));
    let owned = owner
        .filter(|(uid, gid)| uid.parse::<u32>().is_ok() && gid.parse::<u32>().is_ok())
        .map(|(uid, gid)| format!("/run:mode=0755,uid={uid},gid={gid}"));
    Service {
        image: Some(program.image.clone()),
        build: Some(format!("./{}", program.folder)),
        environment: program.environment.clone(),
        user: program.user.clone(),
        init: settings.init.unwrap_or(true),
        read_only: settings.read_only.unwrap_or(true),
        tmpfs: vec![
            owned.unwrap_or_else(|| "/run:mode=1777".to_owned()),
            "/tmp:mode=1777".to_owned(),
        ],
        volumes: program
            .state
            .iter()
            .map(|path| Mount { volume: naming::volume(name, path), target: path.to_string() })
            .collect(),
        secrets: program.secrets.clone(),
        cap_drop: vec!["ALL".to_owned()],
        cap_add: settings.capabilities.iter().cloned().collect(),
        security_opt: vec!["no-new-privileges:true".to_owned()],
        healthcheck: program.healthcheck.clone(),
        restart: Some(Restart::UnlessStopped),
        stop_signal: Some(program.spec.stop.signal.to_string()),
        stop_grace_period: Some(program.spec.stop.within.0),
        cpu_millis: program.spec.limits.cpus.map(|cpus| cpus.0.into()),
        mem_limit: program.spec.limits.memory.map(|memory| memory.0),
        ..Service::default()
    }
}
