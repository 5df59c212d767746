//! The hydra deployment in small, with everything that a service can have.

use deployix_backend_nixos::{NixosFunctionality, NixosTarget};
use deployix_core::spec::{
    CertificateAuthority, Deployment, FileContent, FunctionalitySpec, Group, LoadBalancer, Network,
    Service, ServiceSpec, Signal, Span, Target, TargetKind,
};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use super::{Spec, deployment, functionality, machine, name};

fn web() -> Spec {
    let service = ServiceSpec::builder([
        "hydra-web",
        "--port",
        "${endpoint:http}",
        "100%",
        "a \"b\" $c",
    ])
    .nix(["git", "python3Packages.psycopg2"])
    .ship("hydra-web", FileContent::program("#!/usr/bin/env python3\n"))
    .ship("hydra_queue.py", FileContent::plain("# a module\n"))
    .initializer(["hydra-init"])
    .env(
        "HYDRA_DBI",
        "dbi:Pg:dbname=hydra;host=${upstream:hydra-db.zalora.com};password=${secret:hydra-db}",
    )
    .env("HYDRA_TITLE", "100% ${endpoint:http}")
    .file("/etc/hydra.conf", "max_servers 10\nport ${endpoint:http}\n")
    .file("/etc/hydra-secret.conf", "password ${secret:hydra-db}\n")
    .file_bytes("/opt/hydra/logo.png", FileContent::plain([0x89, b'P', 0, 0xff]), 0o640)
    .endpoint("http", 3000)
    .state("/var/lib/hydra")
    .user("hydra")
    .cpus(0.5)
    .memory("512MiB")
    .stop(Signal::Int, Span::seconds(30))
    .ready_over_http("http", "/healthz?full=1")
    .ready_within(Span::seconds(20));
    functionality("hydra-web", service)
        .fqdn("hydra.zalora.com")
        .and_then(|web| web.upstream("hydra-db.zalora.com"))
        .expect("names")
}

fn database() -> Spec {
    let service = ServiceSpec::builder(["postgres", "-D", "/var/lib/postgresql/data"])
        .nix(["postgresql"])
        .initializer(["sh", "-c", "test -e \"$HOME/data\" || initdb -D /var/lib/postgresql/data"])
        .endpoint("postgres", 5432)
        .state("/var/lib/postgresql")
        .user("postgres")
        .ready_over_tcp("postgres");
    functionality("hydra-db", service)
        .fqdn("hydra-db.zalora.com")
        .expect("a name")
        .extension(&NixosFunctionality {
            service_config: [("MemoryDenyWriteExecute".to_owned(), true.into())].into(),
            ..NixosFunctionality::default()
        })
        .expect("JSON")
}

fn evaluator() -> Spec {
    let member = |program: &str| {
        ServiceSpec::builder([program])
            .nix(["hydra", "git"])
            .ready_by_notify()
            .build()
            .expect("a service")
    };
    let group = Group::new()
        .member("evaluator", member("hydra-evaluator"))
        .and_then(|group| group.member("queue-runner", member("hydra-queue-runner")))
        .expect("names");
    let service: Arc<dyn Service> = Arc::new(group);
    FunctionalitySpec::new("hydra-evaluator", service)
        .and_then(|evaluator| evaluator.upstream("hydra-db.zalora.com"))
        .and_then(|evaluator| evaluator.upstream("git.zalora.com"))
        .expect("names")
}

fn git() -> Spec {
    let service = ServiceSpec::builder(["git", "daemon", "--inetd"])
        .nix(["git"])
        .endpoint("git", 418)
        .state("/srv/git")
        .on_demand();
    functionality("git", service).fqdn("git.zalora.com").expect("a name")
}

fn harvest() -> Spec {
    functionality("harvest-spice", ServiceSpec::builder(["echo", "spice"]).schedule("every minute"))
}

/// Three targets: two machines and a pool in networks of their own choosing.
pub(crate) fn hydra(targets: [Target; 3]) -> Deployment {
    hydra_in(targets, |functionality| functionality)
}

/// The same, each functionality changed.
pub(crate) fn hydra_in(targets: [Target; 3], change: fn(Spec) -> Spec) -> Deployment {
    let place = ["hydra-web", "hydra-db", "hydra-evaluator", "git", "harvest-spice"];
    let on = [2, 0, 0, 1, 0];
    let web = web().replicas(NonZeroU32::new(2).expect("2"));
    let functionalities = [web, database(), evaluator(), git(), harvest()].map(change);
    let mut deployment = deployment(functionalities, targets.clone());
    for (functionality, target) in place.iter().zip(on) {
        deployment.place.insert(name(functionality), targets[target].name.clone());
    }
    let port = |port| NonZeroU16::new(port).expect("a port");
    let fqdn = deployix_core::Fqdn::new("hydra.zalora.com").expect("a name");
    let mut balancer = LoadBalancer::new(name("hydra"), fqdn, port(443), port(3000));
    balancer.target = Some(targets[1].name.clone());
    balancer.open_to =
        vec!["0.0.0.0/0".parse().expect("a network"), "::/0".parse().expect("a network")];
    deployment.infrastructure.load_balancers.insert(name("hydra"), balancer);
    deployment.certificate_authority = Some(CertificateAuthority {
        certificate: Some(
            "-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        key: "ca.key".into(),
    });
    for network in ["sg", "eu"] {
        deployment.infrastructure.networks.insert(name(network), Network::default());
    }
    deployment
}

/// The targets: `rack1` and `rack2` in one network, the pool `eu` in another.
pub(crate) fn targets() -> [Target; 3] {
    let mut rack1 = machine("rack1", "10.0.0.1");
    let settings = NixosTarget {
        modules: vec![
            deployix_core::RelativePath::new("hardware-configuration.nix").expect("a path"),
        ],
        ..NixosTarget::default()
    };
    rack1.extensions.insert(&settings).expect("JSON");
    rack1.network = Some(name("sg"));
    let mut rack2 = machine("rack2", "10.0.0.2");
    rack2.network = Some(name("sg"));
    let mut pool = machine("eu", "eu.example.com");
    pool.kind = TargetKind::Pool { count: NonZeroU32::new(2).expect("2") };
    pool.private_addresses =
        vec!["10.1.0.1".parse().expect("an address"), "10.1.0.2".parse().expect("an address")];
    pool.network = Some(name("eu"));
    [rack1, rack2, pool]
}
