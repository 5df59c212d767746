//! What is wrong is told by a code of its own, and the rest still compiles.

use deployix_core::{
    Fqdn,
    diagnostic::{Code, Diagnostic, Diagnostics},
    name::SecretName,
    plan::Compiled,
    spec::{
        Catalog, Deployment, Extension, ExtensionSite, FunctionalitySpec, Group, IfUnsupported,
        Listener, LoadBalancer, Part, ServiceSpec, Template,
    },
};
use serde::{Deserialize, Serialize};

use crate::support::{With, codes, compiled, deployment, functionality, name};

/// What was found, and the names that still compile.
fn outcome(deployment: Deployment) -> (Diagnostics, Vec<String>) {
    let staged = compiled(deployment);
    let Compiled { .. } = &staged.value;
    let names = staged.value.artifacts().keys().map(ToString::to_string).collect();
    (staged.diagnostics, names)
}

fn only(found: &Diagnostics) -> &Diagnostic {
    assert_eq!(found.len(), 1, "{found}");
    found.iter().next().unwrap()
}

#[test]
fn an_upstream_that_nobody_provides_suggests_the_nearest() {
    let (found, compiled) = outcome(
        deployment(vec![
            functionality("web", 80, &["dbb"]),
            functionality("db", 5432, &[]),
            functionality("lone", 9000, &["db"]),
        ])
        .machine("box", None),
    );
    let diagnostic = only(&found);
    assert_eq!(diagnostic.code, Code::UpstreamNotProvided);
    let remedy = diagnostic.remedy.as_deref().unwrap();
    assert!(remedy.contains("db.example.com") && remedy.contains("external-hosts"), "{remedy}");
    assert_eq!(compiled, ["db", "lone"]);
}

#[test]
fn what_depends_on_a_failure_is_blocked_by_name_and_nothing_else_is() {
    let (found, compiled) = outcome(
        deployment(vec![
            functionality("a", 1, &["b"]),
            functionality("b", 2, &["c"]),
            functionality("c", 3, &["nobody"]),
            functionality("d", 4, &["e"]),
            functionality("e", 5, &[]),
        ])
        .machine("box", None),
    );
    assert_eq!(codes(&found), [Code::UpstreamNotProvided, Code::Blocked, Code::Blocked]);
    let blocked: Vec<_> = found.iter().filter(|d| d.code == Code::Blocked).collect();
    assert!(blocked[0].message.contains("`c`") && blocked[1].message.contains("`b`"));
    assert_eq!(compiled, ["d", "e"]);
}

#[test]
fn two_functionalities_with_one_fqdn_both_fail() {
    let mut twin = functionality("twin", 81, &[]);
    twin.fqdn = Some(Fqdn::new("db.example.com").unwrap());
    let (found, compiled) = outcome(
        deployment(vec![
            functionality("db", 80, &[]),
            twin,
            functionality("web", 82, &["db"]),
            functionality("other", 83, &[]),
        ])
        .machine("box", None),
    );
    assert_eq!(codes(&found), [Code::FqdnTaken, Code::Blocked]);
    assert_eq!(compiled, ["other"]);
}

#[test]
fn two_functionalities_with_one_name_both_fail() {
    let (found, compiled) = outcome(
        deployment(vec![
            functionality("db", 80, &[]),
            functionality("other", 83, &[]),
            functionality("db", 81, &[]),
        ])
        .machine("box", None),
    );
    // Their fqdns are the same as well.
    assert!(codes(&found).contains(&Code::NameTaken), "{found}");
    assert_eq!(compiled, ["other"]);
}

#[derive(Debug, Serialize, Deserialize)]
struct Mesh {}

impl Extension for Mesh {
    const NAMESPACE: &'static str = "mesh";
    const SITE: ExtensionSite = ExtensionSite::Functionality;
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Refuse;
}

#[test]
fn an_extension_that_nobody_registered_is_refused() {
    let web = functionality("web", 80, &[]).extension(&Mesh {}).unwrap();
    let (found, compiled) =
        outcome(deployment(vec![web, functionality("other", 81, &[])]).machine("box", None));
    assert_eq!(only(&found).code, Code::ExtensionUnknown);
    assert_eq!(compiled, ["other"]);
}

#[test]
fn a_group_member_cannot_be_placed_elsewhere() {
    let group = Group::new()
        .member("evaluator", ServiceSpec::builder(["evaluator"]).build().unwrap())
        .unwrap()
        .member("runner", ServiceSpec::builder(["runner"]).build().unwrap())
        .unwrap();
    let group = FunctionalitySpec::new("hydra", group).unwrap();
    let mut deployment = deployment(vec![functionality("other", 80, &[])])
        .machine("one", None)
        .machine("two", None)
        .placed("hydra", "one")
        .placed("runner", "two");
    deployment.catalogs.push([group.shared()].into_iter().collect::<Catalog>());
    let (found, compiled) = outcome(deployment);
    let diagnostic = only(&found);
    assert_eq!(diagnostic.code, Code::GroupSplit);
    assert!(diagnostic.remedy.as_deref().unwrap().contains("`hydra`"), "{diagnostic}");
    assert_eq!(compiled, ["hydra", "other"]);
}

#[test]
fn a_port_used_twice_on_one_host_is_refused() {
    let specs = vec![
        functionality("one", 80, &[]),
        functionality("two", 80, &[]),
        functionality("three", 81, &[]),
    ];
    let deployment =
        deployment(specs).machine("box", None).placed("one", "box").placed("two", "box");
    let (found, compiled) = outcome(deployment);
    let diagnostic = only(&found);
    assert_eq!(diagnostic.code, Code::PortTaken);
    assert!(diagnostic.message.contains("`one`") && diagnostic.message.contains("80/tcp"));
    assert_eq!(compiled, ["one", "three"]);
}

#[test]
fn members_of_a_group_share_their_ports() {
    let member = || ServiceSpec::builder(["x"]).endpoint("main", 80).build().unwrap();
    let group = Group::new().member("a", member()).unwrap().member("b", member()).unwrap();
    let mut deployment = deployment(vec![functionality("other", 80, &[])]).machine("box", None);
    let group = FunctionalitySpec::new("group", group).unwrap().shared();
    deployment.catalogs.push([group].into_iter().collect::<Catalog>());
    let (found, compiled) = outcome(deployment);
    assert_eq!(only(&found).code, Code::PortTaken);
    assert_eq!(compiled, ["other"]);
}

#[test]
fn a_full_target_is_refused_and_says_what_is_missing() {
    let mut deployment = deployment(vec![
        functionality("one", 80, &[]),
        functionality("two", 81, &[]),
        functionality("three", 82, &[]),
    ])
    .machine("box", None);
    let target = deployment.infrastructure.targets.get_mut("box").unwrap();
    target.capacity.services = std::num::NonZeroU32::new(2);
    let (found, compiled) = outcome(deployment);
    let diagnostic = only(&found);
    assert_eq!(diagnostic.code, Code::TargetFull);
    assert!(diagnostic.message.contains("`two`"), "{diagnostic}");
    assert_eq!(compiled, ["one", "three"]);
}

#[test]
fn a_target_without_enough_memory_is_refused() {
    let hungry = |text: &str, port| {
        let service = ServiceSpec::builder([text]).endpoint("main", port).memory("600MiB");
        FunctionalitySpec::new(text, service.build().unwrap()).unwrap()
    };
    let mut deployment =
        deployment(vec![hungry("one", 80), hungry("two", 81)]).machine("box", None);
    let target = deployment.infrastructure.targets.get_mut("box").unwrap();
    target.capacity.memory = Some("1GiB".parse().unwrap());
    let (found, _) = outcome(deployment);
    let diagnostic = only(&found);
    assert_eq!(diagnostic.code, Code::TargetFull);
    assert!(diagnostic.message.contains("600MiB"), "{diagnostic}");
}

#[test]
fn a_secret_on_a_command_line_is_refused() {
    let secret: Template =
        [Part::Secret(SecretName::new("password").unwrap())].into_iter().collect();
    let service = ServiceSpec::builder(["web", &secret.to_string()]).build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap();
    let (found, compiled) =
        outcome(deployment(vec![web, functionality("other", 80, &[])]).machine("box", None));
    assert_eq!(only(&found).code, Code::SecretExposed);
    assert_eq!(compiled, ["other"]);
}

#[test]
fn what_a_service_names_has_to_exist() {
    let service = ServiceSpec::builder(["web", "${endpoint:nowhere}"])
        .env("DB", "${upstream:db.example.com}")
        .ready_over_tcp("main")
        .build()
        .unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap();
    let (found, _) = outcome(deployment(vec![web]).machine("box", None));
    assert_eq!(codes(&found), [Code::ReferenceUnknown; 3]);
}

#[test]
fn a_load_balancer_stands_between_consumers_and_provider() {
    let mut deployment =
        deployment(vec![functionality("web", 3000, &[]), functionality("client", 80, &["web"])])
            .machine("box", None);
    let port = |port| std::num::NonZeroU16::new(port).unwrap();
    let fqdn = Fqdn::new("web.example.com").unwrap();
    let balancer = LoadBalancer::new(name("front"), fqdn, port(443), port(3000));
    deployment.infrastructure.load_balancers.insert(name("front"), balancer);
    let staged = compiled(deployment);
    assert_eq!(staged.diagnostics, Diagnostics::new());
    let connections: Vec<_> = staged
        .value
        .connected()
        .connections()
        .map(|c| (c.from.to_string(), c.to.to_owned(), c.endpoints[0].endpoint.port.get()))
        .collect();
    let expected = [("client", "load-balancer-front", 443), ("load-balancer-front", "web", 3000)];
    assert_eq!(connections, expected.map(|(from, to, port)| (from.into(), to.into(), port)));
}

#[test]
fn a_load_balancer_with_several_listeners_opens_each_of_them_and_what_is_behind() {
    let service = ServiceSpec::builder(["web"]).endpoint("http", 8080).endpoint("https", 8443);
    let service = service.endpoint("metrics", 9000).build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    let client = functionality("client", 1234, &["web"]);
    let port = |port| std::num::NonZeroU16::new(port).unwrap();
    let fqdn = Fqdn::new("web.example.com").unwrap();
    let mut balancer = LoadBalancer::new(name("front"), fqdn, port(443), port(8443));
    assert!(balancer.listeners.add(Listener::new(port(80), port(8080))));
    let mut deployment = deployment(vec![web, client]).machine("box", None);
    deployment.infrastructure.load_balancers.insert(name("front"), balancer.clone());
    let staged = compiled(deployment.clone());
    assert_eq!(staged.diagnostics, Diagnostics::new());
    let connections = staged.value.connected().connections();
    let ports: Vec<_> = connections
        .map(|c| {
            let mut ports: Vec<_> = c.endpoints.iter().map(|it| it.endpoint.port.get()).collect();
            ports.sort_unstable();
            (c.from.to_string(), ports)
        })
        .collect();
    let expected = [("client", [80, 443]), ("load-balancer-front", [8080, 8443])];
    assert_eq!(ports, expected.map(|(from, ports)| (from.to_owned(), ports.to_vec())));

    for lost in [81, 82] {
        balancer.listeners.add(Listener::new(port(lost), port(lost)));
    }
    deployment.infrastructure.load_balancers.insert(name("front"), balancer);
    let (found, _) = outcome(deployment);
    let told = found.to_string();
    assert!(told.contains("`web` has no endpoint at ports 81, 82"), "{told}");
    assert!(told.contains("its ports are 8080, 8443, 9000"), "{told}");
}

#[test]
fn a_load_balancer_in_front_of_nothing_is_refused() {
    let mut deployment = deployment(vec![functionality("web", 80, &[])]).machine("box", None);
    let port = |port| std::num::NonZeroU16::new(port).unwrap();
    let nothing = Fqdn::new("wed.example.com").unwrap();
    let balancer = LoadBalancer::new(name("front"), nothing, port(443), port(80));
    deployment.infrastructure.load_balancers.insert(name("front"), balancer);
    let wrong_port =
        LoadBalancer::new(name("other"), "web.example.com".parse().unwrap(), port(443), port(81));
    deployment.infrastructure.load_balancers.insert(name("other"), wrong_port);
    let (found, compiled) = outcome(deployment);
    assert_eq!(codes(&found), [Code::ReferenceUnknown; 2]);
    assert!(found.to_string().contains("did you mean web.example.com?"), "{found}");
    assert_eq!(compiled, ["web"]);
}

#[test]
fn a_load_balancer_in_front_of_what_could_not_be_read_is_blocked() {
    let mut deployment = deployment(vec![functionality("other", 80, &[])]).machine("box", None);
    deployment.catalogs[0].unreadable.insert(name("web"));
    let port = |port| std::num::NonZeroU16::new(port).unwrap();
    let fqdn = Fqdn::new("web.example.com").unwrap();
    let balancer = LoadBalancer::new(name("front"), fqdn, port(443), port(80));
    deployment.infrastructure.load_balancers.insert(name("front"), balancer);
    let (found, compiled) = outcome(deployment);
    assert_eq!(only(&found).code, Code::Blocked);
    assert_eq!(compiled, ["other"]);
}

#[test]
fn ipsec_without_a_certificate_authority_is_refused() {
    let deployment =
        deployment(vec![functionality("web", 80, &["db"]), functionality("db", 5432, &[])])
            .machine("one", Some("here"))
            .machine("two", Some("there"))
            .placed("web", "one")
            .placed("db", "two");
    let (found, compiled) = outcome(deployment);
    assert_eq!(only(&found).code, Code::AuthorityMissing);
    assert_eq!(compiled, ["db"]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let mut deployment = deployment(vec![
        functionality("a", 80, &["nobody"]),
        functionality("b", 80, &["nowhere"]),
        functionality("c", 80, &[]),
    ])
    .machine("box", None)
    .placed("typo", "box")
    .placed("c", "bix");
    deployment.infrastructure.targets.get_mut("box").unwrap().network = Some(name("missing"));
    let (found, _) = outcome(deployment);
    assert_eq!(
        codes(&found),
        [
            Code::UpstreamNotProvided,
            Code::UpstreamNotProvided,
            Code::ReferenceUnknown,
            Code::ReferenceUnknown,
            Code::ReferenceUnknown,
        ],
        "{found}"
    );
}

#[test]
fn one_path_wanted_twice_on_a_machine_is_refused_for_the_second() {
    let writes = |text: &str, port, content: &str| {
        let service = ServiceSpec::builder([text]).endpoint("main", port);
        let service = service.file("/etc/app", content).file("/etc/same", "same").build().unwrap();
        FunctionalitySpec::new(text, service).unwrap()
    };
    let specs = vec![writes("a", 80, "one"), writes("b", 81, "two"), writes("c", 82, "one")];
    let (found, compiled) = outcome(deployment(specs).machine("box", None));
    let diagnostic = only(&found);
    assert_eq!(diagnostic.code, Code::PathTaken);
    assert!(diagnostic.message.contains("/etc/app"), "{diagnostic}");
    assert_eq!(compiled, ["a", "c"], "an equal file may be shared");
    let state = |text: &str, port| {
        let service = ServiceSpec::builder([text]).endpoint("main", port).state("/var/lib/app");
        FunctionalitySpec::new(text, service.build().unwrap()).unwrap()
    };
    let (found, compiled) =
        outcome(deployment(vec![state("a", 80), state("b", 81)]).machine("box", None));
    assert_eq!(only(&found).code, Code::PathTaken);
    assert_eq!(compiled, ["a"]);
    let own = |text: &str, port| {
        let service = ServiceSpec::builder([text]).endpoint("main", port).state("/var/lib/app");
        FunctionalitySpec::new(text, service.user("app").build().unwrap()).unwrap()
    };
    let (found, compiled) =
        outcome(deployment(vec![own("a", 80), own("b", 81)]).machine("box", None));
    assert_eq!((found, compiled.len()), (Diagnostics::new(), 2), "one user may share its state");
}

#[test]
fn counts_beyond_reason_are_refused_before_anything_is_made_of_them() {
    let many = std::num::NonZeroU32::MAX;
    let web = functionality("web", 80, &[]).replicas(many);
    let (found, _) = outcome(deployment(vec![web]).pool("pool", u32::MAX));
    assert_eq!(codes(&found), [Code::ValueInvalid; 2]);
}

#[test]
fn paths_and_programs_that_cannot_be_are_refused() {
    let service = |builder: deployix_core::spec::ServiceBuilder| {
        let web = FunctionalitySpec::new("web", builder.build().unwrap()).unwrap();
        codes(&outcome(deployment(vec![web]).machine("box", None)).0)
    };
    let web = || ServiceSpec::builder(["web"]);
    for builder in [
        web().state("/proc"),
        web().state("/etc"),
        web().file("/sys/x", "x"),
        web().state("/var/${secret:x}"),
        ServiceSpec::builder([""]),
        web().debian(["-oX=y"]),
        web().debian(["python3; rm -rf /"]),
        web().nix(["hello world"]),
    ] {
        assert_eq!(service(builder.clone()), [Code::ValueInvalid], "{builder:?}");
    }
    let nested = web().file("/etc/x", "x").file("/etc/x-y", "x").file("/etc/x/y", "x");
    assert_eq!(service(nested), [Code::ValuesConflict]);
    assert_eq!(service(web().file("/etc/x", "x").file("/etc/x-y", "x")), []);
}

#[test]
fn an_edge_from_what_is_left_out_is_left_out_with_it() {
    // Without a command it cannot be compiled.
    let service = ServiceSpec::builder(Vec::<String>::new()).build().unwrap();
    let broken = FunctionalitySpec::new("web", service).unwrap();
    let broken = broken.upstream("db.example.com").unwrap();
    let other = functionality("other", 81, &["db"]);
    let staged = compiled(
        deployment(vec![broken, other, functionality("db", 5432, &[])]).machine("box", None),
    );
    assert_eq!(codes(&staged.diagnostics), [Code::KeyMissing]);
    let ids: Vec<_> = staged.value.resources().keys().map(ToString::to_string).collect();
    assert!(ids.contains(&"memory/edge/other/db".to_owned()), "{ids:?}");
    assert!(!ids.iter().any(|id| id.contains("web")), "{ids:?}");
}

#[test]
fn an_atomic_set_names_functionalities_each_in_one_set_alone() {
    let specs = vec![functionality("db", 80, &[]), functionality("web", 81, &[])];
    let mut deployment = deployment(specs).machine("box", None);
    deployment.atomic = vec![
        [name("db"), name("webb")].into(),
        [name("db"), name("web")].into(),
        [name("db"), name("web")].into(),
    ];
    let (found, compiled) = outcome(deployment);
    assert_eq!(
        codes(&found),
        [Code::ValuesConflict, Code::ValuesConflict, Code::ValuesConflict, Code::ReferenceUnknown]
    );
    assert!(found.to_string().contains("did you mean `web`?"), "{found}");
    assert_eq!(compiled, ["db", "web"]);
}
