//! What cannot be honoured is refused or remarked on, with the place and a remedy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use deployix_backend_docker::extension::{
    DockerFunctionality, DockerLoadBalancer, DockerTarget, Published,
};
use deployix_core::{
    backend::Registry,
    spec::{
        Catalog, Deployment, FunctionalitySpec, Listener, Network, ServiceBuilder, ServiceSpec,
    },
};

use crate::stage::{
    balance, compiled, compiled_whole, deployment, engine, files, functionality, name, said, server,
};

/// What is said about a single program.
fn about(service: ServiceBuilder) -> Vec<String> {
    about_functionality(functionality("web", service.build().unwrap(), &[]))
}

fn about_functionality(spec: FunctionalitySpec<ServiceSpec>) -> Vec<String> {
    about_deployment(deployment([spec.shared()].into_iter().collect()))
}

fn about_deployment(deployment: Deployment) -> Vec<String> {
    said(&compiled(deployment).diagnostics)
}

#[track_caller]
fn assert_says(said: &[String], code: &str, message: &str, remedy: &str) {
    let matches = |line: &&String| {
        let (text, what) = line.split_once(" | ").unwrap();
        text.starts_with(code) && text.contains(message) && what.contains(remedy)
    };
    assert!(said.iter().any(|line| matches(&line)), "no {code}: {message} | {remedy} in {said:#?}");
}

#[test]
fn what_docker_has_none_of_is_refused_with_a_remedy() {
    let refused = |service, message, remedy| {
        assert_says(&about(service), "not-compiled", message, remedy);
    };
    refused(server(80).on_demand(), "sockets", "overrides.docker.on-demand = false");
    refused(server(80).ready_by_notify(), "say by itself", "overrides.docker.readiness");
    refused(server(80).schedule("Mon *-*-* 03:30"), "calendar", "daily HH:MM");
    refused(server(80).user("root"), "root", "another user");
    refused(server(80).debian(["git-"]), "\"git-\" is not a package", "Debian packages");
    refused(server(80).file("/etc/hosts", "x"), "the engine puts its own", "elsewhere");
    refused(server(80).env("LONG", &"x".repeat(140_000)), "128 KiB", "files");
    refused(ServiceSpec::builder(["x"]).nix(["x"]), "Nix alone", "software.debian");
    refused(ServiceSpec::builder(["x"]).image("a b"), "not an image reference", "NAME:TAG");
    let no_start = ServiceSpec::builder::<&str>([]).image("redis").env("K", "${secret:k}");
    refused(no_start, "own command is not known", "`start`");
}

#[test]
fn what_is_other_than_expected_is_remarked_on() {
    let noted = |service, message, remedy| assert_says(&about(service), "noted", message, remedy);
    let ready = || ServiceSpec::builder(["redis-server"]).image("redis:7");
    noted(ready().user("redis"), "900:900 and not as `redis`", "extensions.docker.user");
    noted(ready().env("K", "${secret:k}"), "POSIX shell", "software.debian");
    noted(ServiceSpec::builder(["x"]).schedule("hourly"), "local time", "env.TZ");
    let readiness = server(80).schedule("hourly");
    noted(readiness, "not checked for readiness", "leave readiness out");
}

#[test]
fn settings_that_make_no_sense_name_their_key() {
    let with = |settings: DockerFunctionality| {
        let spec = functionality("web", server(80).build().unwrap(), &[]);
        about_functionality(spec.extension(&settings).unwrap())
    };
    let publish = |endpoint: &str| DockerFunctionality {
        publish: [(name(endpoint), Published::on_loopback(8080))].into(),
        ..DockerFunctionality::default()
    };
    assert_says(&with(publish("htp")), "not-compiled", "no endpoint `htp`", "endpoints");
    let capabilities = ["CAP_CHOWN".to_owned()].into();
    let settings = DockerFunctionality { capabilities, ..DockerFunctionality::default() };
    assert_says(&with(settings), "not-compiled", "\"CAP_CHOWN\" is no capability", "without CAP_");
    let user = Some("image".to_owned());
    let settings = DockerFunctionality { user, ..DockerFunctionality::default() };
    assert_says(&with(settings), "not-compiled", "ready images", "service.user");
}

#[test]
fn one_port_of_the_host_is_published_once() {
    let publish = |text: &str| {
        let settings = DockerFunctionality {
            publish: [(name("http"), Published::on_loopback(8080))].into(),
            ..DockerFunctionality::default()
        };
        functionality(text, server(80).build().unwrap(), &[]).extension(&settings).unwrap()
    };
    let catalog: Catalog = [publish("a").shared(), publish("b").shared()].into_iter().collect();
    let said = about_deployment(deployment(catalog));
    assert_says(&said, "not-compiled", "`b` and `a` both want port 8080/tcp", "publish");
    let twice = publish("a").replicas(2.try_into().unwrap());
    assert_says(&about_functionality(twice), "not-compiled", "cannot share", "load balancer");
}

#[test]
fn a_range_without_room_is_told() {
    let mut specs = vec![functionality("db", server(80).build().unwrap(), &[]).shared()];
    for index in 0..9 {
        let spec = functionality(&format!("web-{index}"), server(80).build().unwrap(), &["db"]);
        specs.push(spec.shared());
    }
    let mut deployment = deployment(specs.into_iter().collect());
    let settings =
        DockerTarget { subnets: "10.0.0.0/26".parse().unwrap(), ..DockerTarget::default() };
    let target = deployment.infrastructure.targets.get_mut("box").unwrap();
    target.extensions.insert(&settings).unwrap();
    assert_says(&about_deployment(deployment), "not-compiled", "no room", "subnets");
}

/// A balanced page that is open to some addresses.
fn open_to(ranges: &[&str], firewall: bool) -> Deployment {
    let web = functionality("web", server(80).build().unwrap(), &[]).shared();
    let mut deployment = deployment([web].into_iter().collect());
    balance(&mut deployment, "web", 443, 80);
    let balancer = deployment.infrastructure.load_balancers.get_mut("web").unwrap();
    balancer.open_to = ranges.iter().map(|range| range.parse().unwrap()).collect();
    let target = deployment.infrastructure.targets.get_mut("box").unwrap();
    target.extensions.insert(&DockerTarget { firewall, ..DockerTarget::default() }).unwrap();
    deployment
}

fn compose(deployment: Deployment) -> String {
    let compiled = compiled_whole(deployment);
    files(&compiled, "box")["compose.yaml"].as_text().unwrap().to_owned()
}

#[test]
fn a_balancer_is_published_to_whom_it_is_open() {
    let nobody = compose(open_to(&[], true));
    assert!(nobody.contains("host_ip: \"127.0.0.1\""), "{nobody}");
    let some = compose(open_to(&["192.0.2.0/24"], true));
    assert!(some.contains("host_ip: \"0.0.0.0\""), "{some}");
    assert!(some.contains("ip saddr 192.0.2.0/24 ip daddr"), "{some}");
    let all = compose(open_to(&["0.0.0.0/0"], false));
    assert!(all.contains("host_ip: \"0.0.0.0\"") && !all.contains("FIREWALL"), "{all}");

    let said = about_deployment(open_to(&["192.0.2.0/24"], false));
    assert_says(&said, "not-compiled", "192.0.2.0/24 without the firewall", "firewall");
    let said = about_deployment(open_to(&["2001:db8::/32"], true));
    assert_says(&said, "not-compiled", "IPv6", "IPv4 ranges");
    let said = about_deployment(open_to(&["0.0.0.0/0", "::/0"], true));
    assert_says(&said, "noted", "IPv4", "::/0");
}

#[test]
fn each_listener_of_a_balancer_is_published_at_its_own_port() {
    let several = |ranges: &[&str]| {
        let mut deployment = open_to(ranges, true);
        let balancer = deployment.infrastructure.load_balancers.get_mut("web").unwrap();
        let port = |port| std::num::NonZeroU16::new(port).unwrap();
        assert!(balancer.listeners.add(Listener::new(port(8080), port(80))));
        deployment
    };
    for (ranges, address) in [(&[][..], "127.0.0.1"), (&["0.0.0.0/0"], "0.0.0.0")] {
        let text = compose(several(ranges));
        for port in ["443", "8080"] {
            let published = format!(
                "host_ip: \"{address}\"\n        published: \"{port}\"\n        target: {port}\n"
            );
            assert!(text.contains(&published), "{published}\n{text}");
        }
    }
    let mut deployment = several(&[]);
    let published = DockerLoadBalancer { publish: Some(Published::on_loopback(9443)) };
    let balancer = deployment.infrastructure.load_balancers.get_mut("web").unwrap();
    balancer.extensions.insert(&published).unwrap();
    let said = about_deployment(deployment);
    assert_says(&said, "not-compiled", "cannot share a published port", "at its own port");
}

/// A page on one engine and its database on another.
fn two_engines(network: bool) -> Deployment {
    let db = functionality("db", server(5432).build().unwrap(), &[]).target("right").unwrap();
    let web = functionality("web", server(80).build().unwrap(), &["db"]).target("left").unwrap();
    let mut deployment =
        Deployment::new(name("shop"), vec![[db.shared(), web.shared()].into_iter().collect()]);
    for (text, address) in [("left", "10.0.0.1"), ("right", "10.0.0.2")] {
        let mut target = engine(text);
        if network {
            deployment.infrastructure.networks.insert(name("rack"), Network::default());
            target.network = Some(name("rack"));
            target.private_addresses = vec![address.parse().unwrap()];
        }
        deployment.infrastructure.targets.insert(name(text), target);
    }
    deployment
}

#[test]
fn engines_of_one_network_reach_each_other_by_their_private_addresses() {
    let compiled = compiled_whole(two_engines(true));
    let text =
        |target: &str| files(&compiled, target)["compose.yaml"].as_text().unwrap().to_owned();
    let (left, right) = (text("left"), text("right"));
    assert!(left.contains("extra_hosts: [\"db.example.com:10.0.0.2\"]"), "{left}");
    assert!(left.contains("ip daddr 10.0.0.2/32 tcp dport 5432 accept"), "{left}");
    assert!(right.contains("host_ip: \"10.0.0.2\""), "{right}");
    assert!(right.contains("ip saddr 10.0.0.1/32 ip daddr"), "{right}");
}

#[test]
fn engines_without_a_common_network_are_refused() {
    let said = about_deployment(two_engines(false));
    assert_says(&said, "not-compiled", "IPsec", "network");
}

#[test]
fn the_order_of_specs_does_not_matter() {
    let specs = || {
        ["a", "b", "c"]
            .map(|text| functionality(text, server(80).build().unwrap(), &["a", "b", "c"]).shared())
    };
    let forwards = compiled_whole(deployment(specs().into_iter().collect()));
    let backwards = compiled_whole(deployment(specs().into_iter().rev().collect()));
    assert_eq!(files(&forwards, "box"), files(&backwards, "box"));
    assert_eq!(forwards.resources(), backwards.resources());
    // Whoever needs each other cannot wait for each other: Compose refuses circles.
    let text = files(&forwards, "box")["compose.yaml"].as_text().unwrap().to_owned();
    assert!(!text.contains("service_healthy"), "{text}");
}

#[test]
fn the_extensions_are_known_where_the_backend_is() {
    let registry = Registry::new().with(deployix_backend_docker::DockerBackend::new());
    assert_eq!(registry.extension_decls().filter(|decl| decl.namespace() == "docker").count(), 3);
}
