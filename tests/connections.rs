#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! The same catalog on one machine, on two in one network and on two in two networks: what follows
//! for its connections, from spec files to what the backends compile.

use std::fs;

use deployix::core::{
    Name,
    backend::Via,
    load::load,
    plan::{Compiled, compile_anew},
    spec::EnvName,
};

/// Web needs a database; two peers need each other.
const CATALOG: &str = r#"
version = 1
[functionality.web]
upstream-hosts = ["db.example.com"]
service.software = { debian = ["python3"], nix = ["python3"] }
service.start = ["python3", "-m", "http.server", "8080"]
service.env.DATABASE = "tcp://${upstream:db.example.com}"
service.endpoints.http.port = 8080
[functionality.db]
fqdn = "db.example.com"
service.software = { debian = ["python3"], nix = ["python3"] }
service.start = ["python3", "-m", "http.server", "5432"]
service.endpoints.sql.port = 5432
[functionality.left]
fqdn = "left.example.com"
upstream-hosts = ["right.example.com"]
service.software = { debian = ["python3"], nix = ["python3"] }
service.start = ["python3", "-m", "http.server", "7001"]
service.endpoints.peer.port = 7001
[functionality.right]
fqdn = "right.example.com"
upstream-hosts = ["left.example.com"]
service.software = { debian = ["python3"], nix = ["python3"] }
service.start = ["python3", "-m", "http.server", "7002"]
service.endpoints.peer.port = 7002
"#;

const ONE_MACHINE: &str = r#"
[target.here]
backend = "BACKEND"
[place]
web = "here"
db = "here"
left = "here"
right = "here"
"#;

const TWO_MACHINES: &str = r#"
[network.net]
[target.here]
backend = "BACKEND"
network = "net"
private-address = "10.0.0.1"
[target.there]
backend = "BACKEND"
network = "net"
private-address = "10.0.0.2"
[place]
web = "here"
db = "there"
left = "here"
right = "there"
"#;

const TWO_NETWORKS: &str = r#"
[network.east]
[network.west]
[target.here]
backend = "BACKEND"
network = "east"
address = "192.0.2.1"
[target.there]
backend = "BACKEND"
network = "west"
address = "192.0.2.2"
[place]
web = "here"
db = "there"
left = "here"
right = "there"
"#;

/// Compiles the catalog where the infrastructure says, without an error.
fn compiled(infrastructure: &str, backend: &str) -> Compiled {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    // The addresses of machines that a backend makes are not known beforehand.
    let makes_machines =
        deployix::registry().backend_named(backend).unwrap().capabilities().makes_machines;
    let known = |line: &&str| !makes_machines || !line.contains("address = ");
    let infrastructure = infrastructure.lines().filter(known).collect::<Vec<_>>().join("\n");
    let central = r#"
version = 1
name = "three-places"
catalogs = ["deployix.toml"]
ca = { certificate = "ca.crt", key = "ca.key.age" }
"#;
    write("deployix.toml", CATALOG);
    write("ca.crt", include_str!("../examples/hydra/ops/ca.crt"));
    write("deployment.toml", &(central.to_owned() + &infrastructure.replace("BACKEND", backend)));
    let deployment = load(&folder.path().join("deployment.toml")).complete().unwrap().unwrap();
    let compiled = compile_anew(deployment, &deployix::registry());
    compiled.complete().unwrap_or_else(|found| panic!("{backend}: {found}"))
}

/// Who reaches whom over what.
fn connections(compiled: &Compiled) -> Vec<(&str, &str, Via)> {
    let connections = compiled.connected().connections();
    connections.map(|edge| (edge.from.as_str(), edge.to, edge.via)).collect()
}

fn all_over(via: Via) -> [(&'static str, &'static str, Via); 3] {
    [("left", "right", via), ("right", "left", via), ("web", "db", via)]
}

#[test]
fn on_one_machine_everything_goes_over_loopback() {
    for backend in ["docker", "ec2", "nixos"] {
        let compiled = compiled(ONE_MACHINE, backend);
        assert_eq!(connections(&compiled), all_over(Via::Loopback), "{backend}");
    }
}

#[test]
fn between_two_machines_of_one_network_everything_goes_over_private_addresses() {
    for backend in ["ec2", "nixos"] {
        let compiled = compiled(TWO_MACHINES, backend);
        assert_eq!(connections(&compiled), all_over(Via::Private), "{backend}");
    }
}

#[test]
fn between_two_networks_everything_goes_over_ipsec() {
    for backend in ["ec2", "nixos"] {
        let compiled = compiled(TWO_NETWORKS, backend);
        assert_eq!(connections(&compiled), all_over(Via::Ipsec), "{backend}");
    }
}

#[test]
fn machines_that_another_backend_boots_find_its_load_balancers() {
    const BALANCED: &str = r#"
[network.net]
[target.here]
backend = "BACKEND"
guest = "GUEST"
network = "net"
extensions.ec2.image = "ami-0123456789abcdef0"
[target.there]
backend = "BACKEND"
network = "net"
[load-balancer.db]
balances = "db.example.com"
source-port = 15432
target-port = 5432
[place]
web = "here"
db = "there"
left = "here"
right = "here"
"#;
    let address = "<<PrivateIpAddress of ec2/functionality/load-balancer-db/load-balancer/network/net/10.0.0.0-20>>";
    for (guest, line) in [
        ("docker", format!("[\"db.example.com:{address}\"]")),
        ("nixos", format!("balancer-load-balancer-db = \"{address}\";")),
    ] {
        let compiled = compiled(&BALANCED.replace("GUEST", guest), "ec2");
        let files = compiled.files();
        let mut told = files.iter().filter(|((_, path), _)| path.as_str() == "user-data/here-0");
        let told = told.next().unwrap().1.as_text().unwrap();
        assert!(told.contains(&line), "{line} in {told}");
    }
}

#[test]
fn an_application_names_its_upstream_the_same_wherever_that_is() {
    let database = EnvName::new("DATABASE").unwrap();
    for infrastructure in [ONE_MACHINE, TWO_MACHINES, TWO_NETWORKS] {
        let compiled = compiled(infrastructure, "nixos");
        let unit = compiled.connected().unit(&Name::new("web").unwrap()).unwrap();
        let (_, service) = unit.service.members().next().unwrap();
        assert_eq!(service.env[&database].as_literal(), Some("tcp://db.example.com"));
    }
}

#[test]
fn only_what_leaves_its_network_is_encrypted() {
    let text = |infrastructure| {
        let compiled = compiled(infrastructure, "nixos");
        let texts: Vec<_> = compiled
            .files()
            .values()
            .filter_map(|file| file.as_text().map(str::to_owned))
            .collect();
        texts.join("\n")
    };
    assert!(text(TWO_NETWORKS).contains("strongswan"));
    assert!(!text(TWO_MACHINES).contains("strongswan"));
}

#[test]
fn functionalities_that_need_each_other_are_rolled_out_together() {
    let compiled = compiled(ONE_MACHINE, "docker");
    let graph = compiled.connected().graph();
    let together: Vec<Vec<&str>> = graph
        .roll_out_order()
        .into_iter()
        .map(|names| names.into_iter().map(Name::as_str).collect())
        .collect();
    assert!(together.contains(&vec!["left", "right"]), "{together:?}");
    let at = |name| together.iter().position(|names| names.contains(&name)).unwrap();
    assert!(at("db") < at("web"), "upstreams come first: {together:?}");
}
