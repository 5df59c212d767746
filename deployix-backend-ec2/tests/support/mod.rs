//! Small deployments compiled for EC2, and ways to look at what comes out.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

use std::{collections::BTreeMap, num::NonZeroU16, num::NonZeroU32};

use deployix_backend_docker::DockerBackend;
use deployix_backend_ec2::{
    Ec2Backend, PlainGuest,
    extension::{HostedZone, LocationSettings, TargetSettings},
    request::HostedZoneId,
};
use deployix_core::{
    BackendId, Name, ResourceId,
    backend::{Registry, Resource},
    diagnostic::Diagnostics,
    plan::{Compiled, compile},
    spec::{
        Catalog, CertificateAuthority, DefaultBackend, Deployment, Extension, FunctionalitySpec,
        Group, LoadBalancer, Location, Network, Service, ServiceBuilder, ServiceSpec, Target,
        TargetKind,
    },
    topology::{Assignments, connect, place, resolve},
};
use serde_json::Value;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn ec2() -> BackendId {
    BackendId::new("ec2").unwrap()
}

pub(crate) fn registry() -> Registry {
    let native = BackendId::new("native").unwrap();
    let docker = BackendId::new("docker").unwrap();
    Registry::new()
        .with(Ec2Backend::new())
        .with_guest(native, PlainGuest::new())
        .with_guest(docker, DockerBackend::new())
}

/// A functionality that listens on one port, with the fqdn `NAME.example.com`.
pub(crate) fn functionality(
    text: &str,
    port: u16,
    upstreams: &[&str],
) -> FunctionalitySpec<ServiceSpec> {
    let service = ServiceSpec::builder([text])
        .ship(&format!("bin/{text}"), deployix_core::spec::FileContent::program("#!/bin/sh\n"))
        .endpoint("main", port)
        .build()
        .unwrap();
    let mut spec = FunctionalitySpec::new(text, service)
        .unwrap()
        .fqdn(&format!("{text}.example.com"))
        .unwrap();
    for upstream in upstreams {
        spec = spec.upstream(&format!("{upstream}.example.com")).unwrap();
    }
    spec
}

/// Text of so many bytes that gets no smaller by packing it.
pub(crate) fn noise(seed: u32, bytes: usize) -> String {
    let bytes_of = |n: u32| [seed.to_le_bytes(), n.to_le_bytes()].concat();
    let digests = (0..).map(|n| deployix_core::Digest::of_bytes(&bytes_of(n)).to_string());
    let mut text: String = digests.take(bytes / 64 + 1).collect();
    text.truncate(bytes);
    text
}

pub(crate) fn deployment<S: Service + 'static>(specs: Vec<FunctionalitySpec<S>>) -> Deployment {
    let catalog: Catalog = specs.into_iter().map(FunctionalitySpec::shared).collect();
    let mut deployment = Deployment::new(name("test"), vec![catalog]);
    deployment.certificate_authority = Some(CertificateAuthority {
        certificate: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
        key: "ca.key".into(),
    });
    deployment
}

/// One machine, called `one`, that runs Docker and on it a service, called `web`.
pub(crate) fn with_docker(service: ServiceBuilder) -> Deployment {
    let web = FunctionalitySpec::new("web", service.build().unwrap()).unwrap();
    let web = web.fqdn("web.example.com").unwrap();
    deployment(vec![web]).machine("one", None).guest("one", "docker")
}

pub(crate) trait With: Sized {
    fn target(self, target: &str, kind: TargetKind, network: Option<&str>) -> Self;
    fn machine(self, target: &str, network: Option<&str>) -> Self {
        self.target(target, TargetKind::Machine, network)
    }
    fn guest(self, target: &str, guest: &str) -> Self;
    fn pool(self, target: &str, count: u32, network: &str) -> Self {
        let count = NonZeroU32::new(count).unwrap();
        self.target(target, TargetKind::Pool { count }, Some(network))
    }
    fn autoscaling(self, target: &str, min: u32, max: u32, network: &str) -> Self {
        let max = NonZeroU32::new(max).unwrap();
        self.target(target, TargetKind::Autoscaling { min, max }, Some(network))
    }
    fn placed(self, functionality: &str, target: &str) -> Self;
    /// Puts a network into a location with settings of its own.
    fn located(self, network: &str, settings: &LocationSettings) -> Self;
    fn target_settings<E: Extension>(self, target: &str, settings: &E) -> Self;
    fn network_settings<E: Extension>(self, network: &str, settings: &E) -> Self;
    fn balancer(self, balancer: &str, fqdn: &str, ports: (u16, u16), open_to: &[&str]) -> Self;
}

impl With for Deployment {
    fn target(mut self, target: &str, kind: TargetKind, network: Option<&str>) -> Self {
        let mut made = Target::machine(name(target), ec2());
        made.kind = kind;
        if let Some(network) = network {
            self.infrastructure.networks.entry(name(network)).or_default();
            made.network = Some(name(network));
        }
        self.infrastructure.targets.insert(name(target), made);
        self
    }

    fn guest(mut self, target: &str, guest: &str) -> Self {
        let target = self.infrastructure.targets.get_mut(&name(target)).unwrap();
        target.guest = Some(BackendId::new(guest).unwrap());
        self
    }

    fn placed(mut self, functionality: &str, target: &str) -> Self {
        self.place.insert(name(functionality), name(target));
        self
    }

    fn located(mut self, network: &str, settings: &LocationSettings) -> Self {
        let mut location = Location::default();
        location.extensions.insert(settings).unwrap();
        let at = name(&format!("{network}-location"));
        self.infrastructure.locations.insert(at.clone(), location);
        let network: &mut Network = self.infrastructure.networks.entry(name(network)).or_default();
        network.location = Some(at);
        self
    }

    fn target_settings<E: Extension>(mut self, target: &str, settings: &E) -> Self {
        let target = self.infrastructure.targets.get_mut(&name(target)).unwrap();
        target.extensions.insert(settings).unwrap();
        self
    }

    fn network_settings<E: Extension>(mut self, network: &str, settings: &E) -> Self {
        let network = self.infrastructure.networks.get_mut(&name(network)).unwrap();
        network.extensions.insert(settings).unwrap();
        self
    }

    fn balancer(
        mut self,
        balancer: &str,
        fqdn: &str,
        (source, target): (u16, u16),
        open_to: &[&str],
    ) -> Self {
        let port = |port| NonZeroU16::new(port).unwrap();
        let fqdn = deployix_core::Fqdn::new(fqdn).unwrap();
        let mut made = LoadBalancer::new(name(balancer), fqdn, port(source), port(target));
        made.open_to = open_to.iter().map(|range| range.parse().unwrap()).collect();
        self.infrastructure.load_balancers.insert(name(balancer), made);
        self
    }
}

/// Runs all stages.
pub(crate) fn compiled(deployment: Deployment) -> (Compiled, Diagnostics) {
    let registry = registry();
    let staged = resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::new(), &registry))
        .then(|placed| connect(placed, &registry))
        .then(|connected| compile(connected, &registry, None));
    (staged.value, staged.diagnostics)
}

/// Runs all stages, of which none may find an error.
pub(crate) fn resources(deployment: Deployment) -> BTreeMap<ResourceId, Resource> {
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    compiled.resources().clone()
}

/// The requests of an operation, as JSON by the resource's id.
pub(crate) fn requests(
    resources: &BTreeMap<ResourceId, Resource>,
    operation: &str,
) -> BTreeMap<String, Value> {
    let of = |resource: &&Resource| {
        resource.inputs().get("operation") == Some(&deployix_core::backend::Input::from(operation))
    };
    resources
        .values()
        .filter(of)
        .map(|resource| {
            (resource.id().to_string(), serde_json::to_value(resource.inputs()).unwrap())
        })
        .collect()
}

/// Whose a rule is and what it says, by its id, without the network that the id ends in.
fn rule(id: &str) -> String {
    let own = id.trim_start_matches("ec2/functionality/");
    own.split('/').take(4).collect::<Vec<_>>().join("/")
}

/// All rules of security groups, but for those that close a new group.
pub(crate) fn rules(resources: &BTreeMap<ResourceId, Resource>) -> Vec<String> {
    let mut ids: Vec<_> = requests(resources, "AuthorizeSecurityGroupIngress")
        .into_keys()
        .chain(requests(resources, "AuthorizeSecurityGroupEgress").into_keys())
        .collect();
    ids.sort();
    ids.iter().map(|id| rule(id)).collect()
}

/// A file below a target's folder.
pub(crate) fn file(compiled: &Compiled, target: &str, path: &str) -> String {
    let files = compiled.files();
    let found = files.iter().find(|((of, at), _)| of.as_str() == target && at.as_str() == path);
    found.unwrap_or_else(|| panic!("no {target}/{path}")).1.as_text().unwrap().to_owned()
}

/// The deployment of a continuous build: a repository, a database, a page that runs twice behind a
/// load balancer, and two programs that share a machine.
pub(crate) fn hydra() -> Deployment {
    let service = |start: &str| {
        ServiceSpec::builder([start])
            .debian(["python3", "python3-psycopg2"])
            .ship(&format!("bin/{start}"), program(start))
            .user(start)
            .env("PGHOST", "${upstream:hydra-db.zalora.com}")
            .env("PGPASSWORD", "${secret:hydra-db}")
    };
    let git = ServiceSpec::builder(["git", "daemon", "--port=${endpoint:git}", "/var/lib/git"])
        .debian(["git"])
        .initializer(["git", "init", "--bare", "/var/lib/git/zalora.git"])
        .endpoint("git", 9418)
        .state("/var/lib/git")
        .user("git")
        .ready_over_tcp("git")
        .memory("512MiB")
        .build()
        .unwrap();
    let database = ServiceSpec::builder(["/usr/lib/postgresql/15/bin/postgres"])
        .debian(["postgresql"])
        .endpoint("postgresql", 5432)
        .state("/var/lib/hydra-db")
        .env("PASSWORD", "${secret:hydra-db}")
        .file("/etc/hydra-db/pg.conf", "max_connections = 100\nlog_line_prefix = '%m '\n")
        .file("/etc/hydra-db/pass", "*:*:*:hydra:${secret:hydra-db}\n")
        .ready_by_command(["pg_isready", "--quiet"])
        .build()
        .unwrap();
    let web = service("hydra-web")
        .endpoint("http", 3000)
        .ready_over_http("http", "/healthz")
        .cpus(0.5)
        .build()
        .unwrap();
    let group = Group::new()
        .member("evaluator", service("hydra-evaluator").build().unwrap())
        .unwrap()
        .member("queue-runner", service("hydra-queue-runner").build().unwrap())
        .unwrap();
    let cleanup = ServiceSpec::builder(["/bin/true"])
        .ship("x", program("x"))
        .schedule("daily 03:30")
        .build()
        .unwrap();
    let debugger = ServiceSpec::builder(["/bin/cat"])
        .ship("x", program("x"))
        .endpoint("finger", 79)
        .on_demand()
        .build()
        .unwrap();

    let catalog: Catalog = [
        spec("git", git, Some("git.zalora.com"), &[]).shared(),
        spec("hydra-db", database, Some("hydra-db.zalora.com"), &[]).shared(),
        spec("hydra-web", web, Some("hydra.zalora.com"), &["hydra-db.zalora.com"])
            .replicas(NonZeroU32::new(2).unwrap())
            .shared(),
        spec("hydra-evaluator", group, None, &["hydra-db.zalora.com", "git.zalora.com"]).shared(),
        spec("cleanup", cleanup, None, &["api.example.com", "hydra.zalora.com"]).shared(),
        spec("debugger", debugger, None, &[]).shared(),
    ]
    .into_iter()
    .collect();

    let mut deployment = Deployment::new(name("zalora"), vec![catalog]);
    deployment.external_hosts.insert(deployix_core::Fqdn::new("api.example.com").unwrap());
    let mut location = Location::default();
    location
        .extensions
        .insert(&LocationSettings {
            region: Some("ap-southeast-1".into()),
            zones: vec!["ap-southeast-1a".into(), "ap-southeast-1b".into()],
            ..LocationSettings::default()
        })
        .unwrap();
    deployment.infrastructure.locations.insert(name("singapore"), location);
    let mut default = DefaultBackend::new(ec2());
    default.services_per_instance = NonZeroU32::new(5);
    default.location = Some(name("singapore"));
    default
        .extensions
        .insert(&TargetSettings {
            instance_type: Some("m3.medium".into()),
            ..TargetSettings::default()
        })
        .unwrap();
    deployment.default_backend = Some(default);
    deployment.balancer("hydra", "hydra.zalora.com", (443, 3000), &["0.0.0.0/0"])
}

/// A page behind a load balancer and its database, whose names are records, and which fetches a secret.
pub(crate) fn named() -> Deployment {
    let location = LocationSettings {
        region: Some("eu-central-1".into()),
        hosted_zone: Some(HostedZone {
            id: HostedZoneId::new("Z0123456789ABCDEFGHIJ").unwrap(),
            name: deployix_core::Fqdn::new("example.com").unwrap(),
            ttl: None,
        }),
        ..LocationSettings::default()
    };
    let database = ServiceSpec::builder(["db"])
        .ship("bin/db", program("db"))
        .endpoint("main", 5432)
        .env("PASSWORD", "${secret:db-password}")
        .build()
        .unwrap();
    let web = functionality("web", 8080, &["db"]);
    deployment(vec![web, spec("db", database, Some("db.example.com"), &[])])
        .machine("one", Some("n"))
        .pool("two", 1, "n")
        .placed("db", "one")
        .placed("web", "two")
        .located("n", &location)
        .target_settings(
            "one",
            &TargetSettings { instance_profile: Some("db".into()), ..TargetSettings::default() },
        )
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

fn program(text: &str) -> deployix_core::spec::FileContent {
    deployix_core::spec::FileContent::program(format!("#!/usr/bin/env python3\nprint('{text}')\n"))
}

fn spec<S: Service + 'static>(
    text: &str,
    service: S,
    fqdn: Option<&str>,
    upstreams: &[&str],
) -> FunctionalitySpec<S> {
    let mut spec = FunctionalitySpec::new(text, service).unwrap();
    if let Some(fqdn) = fqdn {
        spec = spec.fqdn(fqdn).unwrap();
    }
    for upstream in upstreams {
        spec = spec.upstream(upstream).unwrap();
    }
    spec
}
