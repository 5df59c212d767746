//! All of a deployment on one target.

use std::num::{NonZeroU16, NonZeroU32};

use deployix_core::{
    BackendId, Fqdn,
    backend::{MemoryBackend, Registry, Via},
    diagnostic::{Code, Diagnostics},
    name::Namespace,
    spec::{DefaultBackend, Deployment, Extensions, LoadBalancer, Location, Network, Target},
    topology::{Assignments, on_one_target},
};
use serde_json::json;

use crate::support::{With, codes, connected_with, deployment, functionality, memory, name};

fn other() -> BackendId {
    BackendId::new("other").unwrap()
}

fn registry() -> Registry {
    Registry::new().with(MemoryBackend::new()).with(MemoryBackend::named(other()))
}

/// A page behind a load balancer and its database, on two machines.
fn spread() -> Deployment {
    let mut web = functionality("web", 80, &["db"]);
    web.replicas = NonZeroU32::new(2).unwrap();
    let mut deployment = deployment(vec![web, functionality("db", 5432, &[])])
        .machine("one", Some("net"))
        .machine("two", Some("net"))
        .placed("web", "one")
        .placed("db", "two");
    let port = |port| NonZeroU16::new(port).unwrap();
    let fqdn = Fqdn::new("web.example.com").unwrap();
    let mut balancer = LoadBalancer::new(name("front"), fqdn, port(443), port(80));
    balancer.target = Some(name("two"));
    deployment.infrastructure.load_balancers.insert(name("front"), balancer);
    deployment
}

#[test]
fn everything_runs_on_the_one_target_over_loopback() {
    let staged = on_one_target(spread(), &other());
    assert_eq!(staged.diagnostics, Diagnostics::new());
    let connected = connected_with(staged.value, &registry(), &Assignments::new());
    // The backend has one address for all, so one replica runs.
    assert_eq!(codes(&connected.diagnostics), [Code::ReplicasReduced]);
    let units: Vec<_> = connected.value.units().collect();
    assert_eq!(units.len(), 3);
    assert!(units.iter().all(|unit| unit.site.target.name.as_str() == "other"));
    assert_eq!(units[0].site.target.backend, other());
    assert!(connected.value.connections().all(|connection| connection.via == Via::Loopback));
    assert_eq!(connected.value.sites().count(), 1);
}

#[test]
fn what_all_targets_of_the_backend_say_holds_for_the_one() {
    let mut deployment = spread();
    let settings = |value: u32| {
        let mut extensions = Extensions::default();
        extensions.insert_value(Namespace::new("memory").unwrap(), json!({ "size": value }));
        extensions
    };
    let infrastructure = &mut deployment.infrastructure;
    infrastructure.locations.insert(name("here"), Location::default());
    infrastructure.locations.insert(name("there"), Location::default());
    infrastructure.networks.get_mut("net").unwrap().location = Some(name("there"));
    for target in infrastructure.targets.values_mut() {
        target.extensions = settings(1);
    }
    let of = |deployment| on_one_target(deployment, &memory());
    let alike = of(deployment.clone());
    assert_eq!(alike.diagnostics, Diagnostics::new());
    let target = &alike.value.infrastructure.targets["memory"];
    assert_eq!(target.extensions, settings(1));
    assert_eq!(target.network, Some(name("net")));
    assert_eq!(target.location, Some(name("there")));

    deployment.infrastructure.targets.get_mut("two").unwrap().extensions = settings(2);
    let differing = of(deployment);
    assert_eq!(codes(&differing.diagnostics), [Code::Noted]);
    assert!(differing.diagnostics.to_string().contains("differ in `extensions`"));
    assert!(differing.value.infrastructure.targets["memory"].extensions.is_empty());
}

#[test]
fn the_default_backends_settings_hold_where_it_is_the_one() {
    let mut specs = deployment(vec![functionality("web", 80, &[])]);
    let infrastructure = &mut specs.infrastructure;
    infrastructure.locations.insert(name("here"), Location::default());
    let network = Network { location: Some(name("here")), ..Network::default() };
    infrastructure.networks.insert(name("net"), network);
    let mut default = DefaultBackend::new(memory());
    default.location = Some(name("here"));
    default.guest = Some(other());
    specs.default_backend = Some(default);
    let mut expected = Target::machine(name("memory"), memory());
    expected.location = Some(name("here"));
    expected.network = Some(name("net"));
    expected.guest = Some(other());
    let staged = on_one_target(specs.clone(), &memory());
    assert_eq!(staged.value.infrastructure.targets["memory"], expected);

    // Another backend's targets are none of its guests' hosts.
    let staged = on_one_target(specs, &other());
    assert_eq!(staged.value.infrastructure.targets["other"].guest, None);
}
