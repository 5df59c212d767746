//! What each edge runs over, for several placements of the same specs.

use deployix_core::{backend::Via, diagnostic::Diagnostics, spec::Deployment};

use crate::support::{With, connected, deployment, functionality};

/// Web needs the database and the queue; the queue and the worker need each other.
fn specs() -> Deployment {
    deployment(vec![
        functionality("web", 80, &["db", "queue"]),
        functionality("db", 5432, &[]),
        functionality("queue", 5672, &["worker"]),
        functionality("worker", 7000, &["queue"]),
    ])
}

fn vias(deployment: Deployment) -> Vec<(String, Via)> {
    let staged = connected(deployment);
    assert_eq!(staged.diagnostics, Diagnostics::new());
    let connections = staged.value;
    connections.connections().map(|c| (format!("{} → {}", c.from, c.to), c.via)).collect()
}

#[test]
fn on_one_machine_everything_runs_over_loopback() {
    let vias = vias(specs().machine("box", None));
    assert_eq!(vias.len(), 4);
    assert!(vias.iter().all(|(_, via)| *via == Via::Loopback), "{vias:?}");
}

#[test]
fn in_one_network_machines_talk_privately() {
    let deployment = specs().machine("one", Some("net")).machine("two", Some("net"));
    let deployment = deployment
        .placed("web", "one")
        .placed("queue", "one")
        .placed("db", "two")
        .placed("worker", "two");
    assert_eq!(
        vias(deployment),
        [
            ("queue → worker".to_owned(), Via::Private),
            ("web → db".to_owned(), Via::Private),
            ("web → queue".to_owned(), Via::Loopback),
            ("worker → queue".to_owned(), Via::Private),
        ]
    );
}

#[test]
fn between_networks_machines_talk_over_ipsec() {
    let deployment = specs().machine("one", Some("here")).machine("two", Some("there"));
    let deployment = deployment
        .placed("web", "one")
        .placed("queue", "one")
        .placed("db", "two")
        .placed("worker", "two");
    let vias = vias(deployment);
    let over = |wanted: Via| vias.iter().filter(|(_, via)| *via == wanted).count();
    assert_eq!((over(Via::Ipsec), over(Via::Loopback)), (3, 1));
}

#[test]
fn machines_without_a_network_share_none() {
    let deployment = specs().machine("one", None).machine("two", None);
    let deployment = deployment
        .placed("web", "one")
        .placed("queue", "one")
        .placed("worker", "one")
        .placed("db", "two");
    let ipsec: Vec<_> =
        vias(deployment).into_iter().filter(|(_, via)| *via == Via::Ipsec).collect();
    assert_eq!(ipsec, [("web → db".to_owned(), Via::Ipsec)]);
}

#[test]
fn peers_that_need_each_other_know_it() {
    let connected = connected(specs().machine("box", None)).value;
    let unit = connected.unit(&crate::support::name("queue")).unwrap();
    let mutual: Vec<_> =
        unit.consumers.iter().map(|peer| (peer.name.as_str(), peer.mutual)).collect();
    assert_eq!(mutual, [("web", false), ("worker", true)]);
}

#[test]
fn a_host_outside_is_an_external_connection() {
    let mut deployment = deployment(vec![functionality("web", 80, &["api"])]).machine("box", None);
    deployment.external_hosts.insert("api.example.com".parse().unwrap());
    assert_eq!(vias(deployment), [("web → api.example.com".to_owned(), Via::External)]);
}
