//! Who may talk to whom: the same functionalities on one machine, in one network, in two.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_backend_ec2::extension::LoadBalancerSettings;
use deployix_core::spec::Deployment;
use support::{With, compiled, deployment, file, functionality, name, requests, resources, rules};

fn pair() -> Deployment {
    deployment(vec![functionality("web", 80, &["db"]), functionality("db", 5432, &[])])
}

#[test]
fn on_one_machine_nothing_is_opened() {
    let deployment = pair().machine("one", None);
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    assert_eq!(rules(compiled.resources()), Vec::<String>::new());
    assert!(file(&compiled, "one", "user-data/one-0").contains("127.0.0.1 db.example.com\n"));
}

#[test]
fn in_one_network_exactly_the_endpoint_is_opened_between_the_two_groups() {
    let deployment = pair()
        .machine("one", Some("n"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("db", "two");
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    let resources = compiled.resources();
    assert_eq!(rules(resources), ["db/ingress/web/tcp-5432", "web/egress/db/tcp-5432"]);
    let rule = &requests(resources, "AuthorizeSecurityGroupIngress")["ec2/functionality/db/ingress/web/tcp-5432/network/n"];
    let permission = &rule["IpPermissions"][0];
    assert_eq!(permission["FromPort"], 5432);
    assert_eq!(permission["ToPort"], 5432);
    assert_eq!(
        permission["UserIdGroupPairs"][0]["GroupId"]["$output"]["resource"],
        "ec2/functionality/web/security-group/network/n"
    );
    assert!(permission.get("IpRanges").is_none());
    assert!(
        file(&compiled, "one", "user-data/one-0").contains(
            "<<PrivateIpAddress of ec2/target/two/machine/0/interface/network/n/10.0.0.0-20>> db.example.com\n"
        )
    );
}

#[test]
fn between_networks_only_ipsec_is_opened_and_only_to_the_other_machine() {
    let deployment = pair()
        .machine("one", Some("m"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("db", "two");
    let resources = resources(deployment);
    let expected: Vec<_> = [("db", "one-0"), ("web", "two-0")]
        .into_iter()
        .flat_map(|(own, peer)| {
            ["egress", "ingress"].into_iter().flat_map(move |direction| {
                ["esp", "udp-4500", "udp-500"]
                    .map(|what| format!("{own}/{direction}/{peer}/{what}"))
            })
        })
        .collect();
    let mut rules = rules(&resources);
    // Both fetch what they talk IPsec with.
    let fetch = |rule: &String| rule.ends_with("/egress/anyone/tcp-443");
    assert_eq!(rules.iter().filter(|rule| fetch(rule)).count(), 2);
    rules.retain(|rule| !fetch(rule));
    assert_eq!(rules, expected);
    let rule = &requests(&resources, "AuthorizeSecurityGroupIngress")["ec2/functionality/db/ingress/one-0/esp/network/n"];
    let permission = &rule["IpPermissions"][0];
    assert_eq!(permission["IpProtocol"], "50");
    assert_eq!(
        permission["IpRanges"][0]["CidrIp"]["$output"]["resource"],
        "ec2/target/one/machine/0/address"
    );
}

#[test]
fn two_upstreams_on_one_machine_of_another_network_share_their_rules() {
    let specs = vec![
        functionality("web", 80, &["db", "mail"]),
        functionality("db", 5432, &["web"]),
        functionality("mail", 25, &[]),
    ];
    let deployment = deployment(specs)
        .machine("one", Some("m"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("db", "two")
        .placed("mail", "two");
    let rules = rules(&resources(deployment));
    assert_eq!(rules.iter().filter(|rule| rule.starts_with("web/")).count(), 7, "{rules:?}");
}

#[test]
fn upstreams_that_need_each_other_make_no_circle() {
    let specs = vec![functionality("a", 1001, &["b"]), functionality("b", 1002, &["a"])];
    let deployment = deployment(specs)
        .machine("one", Some("n"))
        .machine("two", Some("n"))
        .placed("a", "one")
        .placed("b", "two");
    let resources = resources(deployment);
    assert_eq!(
        rules(&resources),
        [
            "a/egress/b/tcp-1002",
            "a/ingress/b/tcp-1001",
            "b/egress/a/tcp-1001",
            "b/ingress/a/tcp-1002"
        ]
    );
    let mut done = std::collections::BTreeSet::new();
    for resource in deployix_backend_ec2::resource::ordered(resources.values()) {
        assert!(
            resource.after().iter().all(|id| done.contains(id)),
            "{} comes too early",
            resource.id()
        );
        done.insert(resource.id().clone());
    }
}

#[test]
fn no_group_lets_out_what_nobody_asked_for() {
    let resources = resources(support::hydra());
    let groups = requests(&resources, "CreateSecurityGroup");
    assert_eq!(groups.len(), 7);
    assert_eq!(requests(&resources, "RevokeSecurityGroupEgress").len(), groups.len());
    let to_anyone: Vec<_> = requests(&resources, "AuthorizeSecurityGroupEgress")
        .into_iter()
        .filter(|(_, rule)| rule["IpPermissions"][0]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0")
        .map(|(id, rule)| (id, rule["IpPermissions"][0]["FromPort"].clone()))
        .collect();
    // Those that fetch packages, and the one with an external upstream.
    let names = ["cleanup", "git", "hydra-db", "hydra-evaluator", "hydra-web"];
    let expected: Vec<_> = names
        .map(|name| {
            (
                format!("ec2/functionality/{name}/egress/anyone/tcp-443/network/ec2-singapore"),
                serde_json::json!(443),
            )
        })
        .into();
    assert_eq!(to_anyone, expected);
}

#[test]
fn a_port_is_open_to_the_world_only_where_a_load_balancer_says_so() {
    let open = |resources| {
        requests(&resources, "AuthorizeSecurityGroupIngress")
            .into_iter()
            .filter(|(_, rule)| rule["IpPermissions"][0]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0")
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        open(resources(support::hydra())),
        ["ec2/functionality/load-balancer-hydra/ingress/0.0.0.0-0/tcp-443/network/ec2-singapore"]
    );
    let mut closed = support::hydra();
    closed.infrastructure.load_balancers.get_mut(&name("hydra")).unwrap().open_to.clear();
    let resources = resources(closed);
    assert_eq!(
        requests(&resources, "CreateLoadBalancer")["ec2/functionality/load-balancer-hydra/load-balancer/network/ec2-singapore/10.0.0.0-20"]
            ["Scheme"],
        "internal"
    );
    assert_eq!(open(resources), Vec::<String>::new());
}

#[test]
fn a_private_range_does_not_make_a_load_balancer_face_the_internet() {
    let mut deployment = support::hydra();
    let balancer = deployment.infrastructure.load_balancers.get_mut(&name("hydra")).unwrap();
    balancer.open_to = vec!["10.9.0.0/16".parse().unwrap()];
    balancer
        .extensions
        .insert(&LoadBalancerSettings {
            health_check_path: Some("/healthz".into()),
            health_check_interval: Some(deployix_core::spec::Span::seconds(30)),
            ..LoadBalancerSettings::default()
        })
        .unwrap();
    let resources = resources(deployment);
    const PLACE: &str = "network/ec2-singapore/10.0.0.0-20";
    let id = "ec2/functionality/load-balancer-hydra";
    let made = &requests(&resources, "CreateLoadBalancer")[&format!("{id}/load-balancer/{PLACE}")];
    assert_eq!(made["Scheme"], "internal");
    let group =
        &requests(&resources, "CreateTargetGroup")[&format!("{id}/target-group-443/{PLACE}")];
    assert_eq!(group["HealthCheckProtocol"], "HTTP");
    assert_eq!(group["HealthCheckPath"], "/healthz");
}

#[test]
fn a_provider_behind_a_load_balancer_is_open_to_it_alone() {
    let rules = rules(&resources(support::hydra()));
    let ingress: Vec<_> =
        rules.iter().filter(|rule| rule.starts_with("hydra-web/ingress/")).collect();
    assert_eq!(ingress, ["hydra-web/ingress/load-balancer-hydra/tcp-3000"]);
}

#[test]
fn machines_of_two_networks_know_each_other_by_certificates() {
    let deployment = pair()
        .machine("one", Some("m"))
        .pool("two", 2, "n")
        .placed("web", "one")
        .placed("db", "two");
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    let user_data = file(&compiled, "one", "user-data/one-0");
    for expected in [
        "  - \"strongswan-swanctl\"\n",
        "-----BEGIN CERTIFICATE-----",
        "remote_addrs = <<PublicIp of ec2/target/two/machine/0/address>>\n",
        "id = one.test\n",
        "id = two-0.test\n",
        "mode = transport\n",
        "<<PublicIp of ec2/target/two/machine/0/address>> db.example.com\n",
        "\"strongswan.service\"",
    ] {
        assert!(user_data.contains(expected), "{expected:?} is not in\n{user_data}");
    }
    let other = file(&compiled, "two", "user-data/two-0");
    assert!(other.contains("remote_addrs = <<PublicIp of ec2/target/one/machine/0/address>>\n"));
}

#[test]
fn a_machine_without_a_fixed_public_address_is_refused_between_networks() {
    let hidden = deployix_backend_ec2::extension::TargetSettings {
        public_address: false,
        ..Default::default()
    };
    let apart = |deployment: Deployment| {
        deployment.machine("one", Some("m")).placed("web", "one").placed("db", "two")
    };
    for (deployment, reason) in [
        (pair().machine("two", Some("n")).target_settings("two", &hidden), "no public addresses"),
        (pair().autoscaling("two", 1, 2, "n"), "autoscaling group"),
    ] {
        let (_, found) = compiled(apart(deployment));
        assert!(found.to_string().contains(reason), "{found}");
    }
}
