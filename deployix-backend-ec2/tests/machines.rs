//! What a target's machines are made of.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_backend_ec2::extension::{
    FunctionalitySettings, LocationSettings, NetworkSettings, TargetSettings,
};
use deployix_core::{
    backend::Input,
    diagnostic::Diagnostics,
    spec::{Bytes, ServiceSpec},
};
use support::{
    With, compiled, deployment, file, functionality, name, requests, resources, with_docker,
};

fn errors(found: &Diagnostics) -> Vec<String> {
    found
        .errors()
        .map(|error| format!("{}; {}", error.message, error.remedy.as_deref().unwrap_or("")))
        .collect()
}

fn settings() -> TargetSettings {
    TargetSettings::default()
}

#[test]
fn a_machine_can_be_replaced_without_its_address_or_state() {
    let resources = resources(support::hydra());
    let id = "ec2/target/ec2-singapore/machine/0";
    let run = &requests(&resources, "RunInstances")[&format!("{id}/instance")];
    assert_eq!(
        run["NetworkInterfaces"][0]["NetworkInterfaceId"]["$output"]["resource"],
        format!("{id}/interface/network/ec2-singapore/10.0.0.0-20")
    );
    assert_eq!(run["LaunchTemplate"]["Version"], "1");
    assert!(requests(&resources, "CreateVolume").contains_key(&format!("{id}/volume")));
    assert_eq!(requests(&resources, "CreateVolume").len(), 1);
}

#[test]
fn a_machine_that_runs_docker_keeps_state_on_a_disk_of_its_own() {
    let service = || ServiceSpec::builder(["/bin/web"]);
    for stateful in [service().state("/var/lib/web"), service().schedule("hourly")] {
        let (compiled, found) = compiled(with_docker(stateful));
        assert!(!found.has_errors(), "{found}");
        let all = compiled.resources();
        let id = "ec2/target/one/machine/0";
        let disk = all.values().find(|it| it.id().as_str() == format!("{id}/volume")).unwrap();
        assert!(disk.holds_data());
        assert_eq!(
            requests(all, "AttachVolume")[&format!("{id}/volume-attachment")]["Device"],
            "/dev/sdf"
        );
        let template = &requests(all, "CreateLaunchTemplate")[&format!("{id}/launch-template")];
        assert_eq!(template["LaunchTemplateData"]["DisableApiTermination"], true);
        let told = file(&compiled, "one", "user-data/one-0");
        assert!(told.contains(&format!("volume=<<VolumeId of {id}/volume>>\n")), "{told}");
        assert!(told.contains("device: \"/srv/deployix/docker/web_"), "{told}");
    }
    assert!(requests(&resources(with_docker(service())), "CreateVolume").is_empty());
}

#[test]
fn a_machine_that_runs_docker_boots_a_debian_that_has_compose_and_reaches_its_mirror() {
    let all = resources(with_docker(ServiceSpec::builder(["/bin/web"])));
    let template =
        &requests(&all, "CreateLaunchTemplate")["ec2/target/one/machine/0/launch-template"];
    assert_eq!(
        template["LaunchTemplateData"]["ImageId"],
        "resolve:ssm:/aws/service/debian/release/13/latest/amd64"
    );
    let mut rules = requests(&all, "AuthorizeSecurityGroupEgress").into_keys();
    assert!(rules.any(|id| id.contains("/egress/anyone/tcp-443/")), "{:?}", all.keys());
}

#[test]
fn a_machine_that_runs_docker_lets_its_load_balancer_in() {
    let service = ServiceSpec::builder(["/bin/web"]).endpoint("http", 3000);
    let deployment = with_docker(service);
    let deployment = deployment.balancer("web", "web.example.com", (443, 3000), &["0.0.0.0/0"]);
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    let told = file(&compiled, "one", "user-data/one-0");
    assert!(told.contains("published: \"3000\""), "{told}");
    assert!(told.contains("tcp dport 3000 accept"), "the packet filter lets it in: {told}");
}

#[test]
fn a_machine_that_runs_docker_finds_its_upstreams_load_balancer() {
    let web = functionality("web", 8080, &["db"]);
    let deployment = deployment(vec![web, functionality("db", 5432, &[])])
        .machine("one", Some("n"))
        .machine("two", Some("n"))
        .guest("one", "docker")
        .placed("web", "one")
        .placed("db", "two")
        .balancer("db", "db.example.com", (15432, 5432), &[]);
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    let told = file(&compiled, "one", "user-data/one-0");
    let balancer = "db.example.com:<<PrivateIpAddress of \
                    ec2/functionality/load-balancer-db/load-balancer/network/n/10.0.0.0-20>>";
    assert!(told.contains(balancer), "{told}");
}

#[test]
fn machines_have_encrypted_disks_and_tokens_for_their_metadata() {
    let resources = resources(support::hydra());
    for template in requests(&resources, "CreateLaunchTemplate").values() {
        let data = &template["LaunchTemplateData"];
        assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
        assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
        for disk in data["BlockDeviceMappings"].as_array().unwrap() {
            assert_eq!(disk["Ebs"]["Encrypted"], true);
        }
        assert!(data.get("KeyName").is_none());
    }
    for volume in requests(&resources, "CreateVolume").values() {
        assert_eq!(volume["Encrypted"], true);
    }
}

#[test]
fn another_user_data_gives_the_launch_template_another_name() {
    let template = |port| {
        let deployment = deployment(vec![functionality("web", port, &[])]).machine("one", None);
        let resources = resources(deployment);
        requests(&resources, "RunInstances")["ec2/target/one/machine/0/instance"]["LaunchTemplate"]
            ["LaunchTemplateName"]
            .clone()
    };
    assert_eq!(template(80), template(80));
    // A low port needs a capability, which stands in the unit.
    assert_ne!(template(80), template(8080));
}

#[test]
fn no_secret_is_in_user_data_and_units_read_it_from_its_file() {
    let (compiled, _) = compiled(support::hydra());
    let text = file(&compiled, "ec2-singapore", "user-data/ec2-singapore-0");
    assert!(text.contains("secret1=$(cat -- /var/lib/deployix/secrets/hydra-db)\n"));
    assert!(text.contains("EnvironmentFile=-/run/deployix/hydra-db.env\n"));
    assert!(!text.contains("${secret:"));
}

#[test]
fn targets_of_one_network_give_equal_resources_for_it() {
    let specs = vec![functionality("a", 1001, &[]), functionality("b", 1002, &[])];
    let location =
        LocationSettings { region: Some("eu-central-1".into()), ..LocationSettings::default() };
    let deployment = deployment(specs)
        .machine("one", Some("n"))
        .autoscaling("two", 1, 3, "n")
        .placed("a", "one")
        .placed("b", "two")
        .located("n", &location);
    let resources = resources(deployment);
    assert_eq!(requests(&resources, "CreateVpc").len(), 1);
    let subnet = &requests(&resources, "CreateSubnet")["ec2/network/n/subnet/10.0.0.0-20"];
    assert!(subnet.get("AvailabilityZone").is_none());
    for resource in resources.values() {
        assert_eq!(resource.inputs().get("region"), Some(&Input::from("eu-central-1")));
    }
}

#[test]
fn an_autoscaling_group_takes_part_in_its_load_balancer() {
    let deployment = deployment(vec![functionality("web", 8080, &[])])
        .autoscaling("fleet", 2, 5, "n")
        .balancer("web", "web.example.com", (443, 8080), &[]);
    let resources = resources(deployment);
    let group = &requests(&resources, "CreateAutoScalingGroup")["ec2/target/fleet/network/n/autoscaling-group"];
    assert_eq!(group["MinSize"], 2);
    assert_eq!(group["MaxSize"], 5);
    assert_eq!(group["HealthCheckType"], "ELB");
    let attach = &requests(&resources, "AttachLoadBalancerTargetGroups")["ec2/functionality/load-balancer-web/target-group-443/network/n/10.0.0.0-20/machines/fleet"];
    assert_eq!(attach["AutoScalingGroupName"], group["AutoScalingGroupName"]);
    assert!(requests(&resources, "RunInstances").is_empty());
}

#[test]
fn upstreams_on_an_autoscaling_group_need_a_load_balancer() {
    let specs = vec![functionality("web", 80, &["db"]), functionality("db", 5432, &[])];
    let make = || {
        deployment(specs.clone())
            .machine("one", Some("n"))
            .autoscaling("fleet", 1, 3, "n")
            .placed("web", "one")
            .placed("db", "fleet")
    };
    let (_, found) = compiled(make());
    assert!(errors(&found)[0].contains("[load-balancer.db]"), "{found}");
    let (compiled, found) = compiled(make().balancer("db", "db.example.com", (15432, 5432), &[]));
    assert!(!found.has_errors(), "{found}");
    assert!(file(&compiled, "one", "user-data/one-0").contains(
        "<<PrivateIpAddress of ec2/functionality/load-balancer-db/load-balancer/network/n/10.0.0.0-20>> db.example.com\n"
    ));
}

#[test]
fn a_network_that_exists_is_taken_and_not_made() {
    let network: NetworkSettings = serde_json::from_value(serde_json::json!({
        "vpc": "vpc-0123456789abcdef0", "subnets": ["subnet-0123456789abcdef0"],
    }))
    .unwrap();
    let location = LocationSettings {
        region: Some("eu-central-1".into()),
        zones: vec!["eu-central-1a".into()],
        ..LocationSettings::default()
    };
    let deployment = deployment(vec![functionality("web", 80, &[])])
        .machine("one", Some("n"))
        .located("n", &location)
        .network_settings("n", &network);
    let resources = resources(deployment);
    for made in ["CreateVpc", "CreateSubnet", "CreateInternetGateway", "CreateRoute"] {
        assert!(requests(&resources, made).is_empty(), "{made}");
    }
    let group = &requests(&resources, "CreateSecurityGroup")["ec2/functionality/web/security-group/vpc-0123456789abcdef0"];
    assert_eq!(group["VpcId"], "vpc-0123456789abcdef0");
}

#[test]
fn what_aws_would_refuse_is_refused_with_a_remedy() {
    let web = || deployment(vec![functionality("web", 80, &[])]).machine("one", Some("n"));
    let location = |region: &str, zones: &[&str]| LocationSettings {
        region: Some(region.to_owned()),
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        ..LocationSettings::default()
    };
    let network = |json| serde_json::from_value::<NetworkSettings>(json).unwrap();
    let cases = [
        (web().located("n", &location("singapore", &[])), "no region of AWS", "ap-southeast-1"),
        (
            web().located("n", &location("eu-west-1", &["eu-central-1a"])),
            "not in region eu-west-1",
            "zones of the location's own region",
        ),
        (
            web().network_settings("n", &network(serde_json::json!({"cidr": "10.0.0.0/8"}))),
            "not between /16 and /28",
            "10.0.0.0/16",
        ),
        (
            web().network_settings("n", &network(serde_json::json!({"vpc": "vpc-0123abcd"}))),
            "one subnet for each",
            "`subnets`",
        ),
        (
            web().network_settings(
                "n",
                &network(serde_json::json!({
                    "vpc": "vpc-0123abcd", "subnet-cidrs": ["10.0.0.0/24"]
                })),
            ),
            "the network exists",
            "`subnet-cidrs`",
        ),
        (
            web().target_settings(
                "one",
                &TargetSettings { instance_type: Some("large".into()), ..settings() },
            ),
            "no instance type",
            "m5.large",
        ),
        (
            web().target_settings(
                "one",
                &TargetSettings { root_disk: Some(Bytes(1 << 20)), ..settings() },
            ),
            "whole GiB",
            "20GiB",
        ),
        (
            web().target_settings(
                "one",
                &TargetSettings { tags: [("aws:x".into(), "".into())].into(), ..settings() },
            ),
            "AWS keeps `aws:`",
            "another key",
        ),
    ];
    for (deployment, reason, remedy) in cases {
        let (_, found) = compiled(deployment);
        let errors = errors(&found);
        assert!(
            errors.iter().any(|error| error.contains(reason) && error.contains(remedy)),
            "{reason}: {errors:?}"
        );
    }
}

#[test]
fn all_that_aws_would_refuse_of_a_target_is_told_at_once_with_its_place() {
    let wrong = TargetSettings {
        disk_type: "io2".to_owned(),
        root_device: "/dev/sdf".to_owned(),
        key_name: Some(String::new()),
        instance_profile: Some("role/web".to_owned()),
        ..settings()
    };
    let web = deployment(vec![functionality("web", 80, &[])]).machine("one", Some("n"));
    let (_, found) = compiled(web.target_settings("one", &wrong));
    let told = found.to_string();
    for words in [
        "\"io2\" needs a number of IOPS, for which there is no setting",
        "/dev/sdf is that of the disk for state",
        "\"\" is no name of a key pair",
        "\"role/web\" is no name of an instance profile",
        "set `disk-type` to",
        "set `root-device` to",
        "set `key-name` to",
        "set `instance-profile` to",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn subnets_have_the_blocks_that_somebody_chose_and_all_that_is_wrong_with_them_is_told() {
    let location = LocationSettings {
        region: Some("eu-west-1".to_owned()),
        zones: vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()],
        ..LocationSettings::default()
    };
    let with = |blocks: serde_json::Value| {
        let network = serde_json::json!({"cidr": "10.15.0.0/16", "subnet-cidrs": blocks});
        let network = serde_json::from_value::<NetworkSettings>(network).unwrap();
        deployment(vec![functionality("web", 80, &[])])
            .machine("one", Some("n"))
            .located("n", &location)
            .network_settings("n", &network)
    };
    let resources = resources(with(serde_json::json!(["10.15.70.0/24", "10.15.0.0/20"])));
    let subnets = requests(&resources, "CreateSubnet");
    let made = |place: &str| {
        let subnet = &subnets[&format!("ec2/network/n/subnet/{place}")];
        (subnet["CidrBlock"].clone(), subnet["AvailabilityZone"].clone())
    };
    assert_eq!(made("10.15.70.0-24"), ("10.15.70.0/24".into(), "eu-west-1a".into()));
    assert_eq!(made("10.15.0.0-20"), ("10.15.0.0/20".into(), "eu-west-1b".into()));

    let wrong = ["10.15.0.0/24", "10.15.0.128/25", "10.16.0.0/24", "10.15.1.0/30", "10.15.2.1/24"];
    let (_, found) = compiled(with(serde_json::json!(wrong)));
    let told = found.to_string();
    for words in [
        "there are 5 blocks and 2 zones",
        "10.15.0.0/24 and 10.15.0.128/25 overlap",
        "10.16.0.0/24 is not within 10.15.0.0/16",
        "10.15.1.0/30 is not between /16 and /28",
        "10.15.2.1/24 is not the first address of its range",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_wish_for_a_machine_is_honoured_where_the_target_does_not_say() {
    let wish = FunctionalitySettings {
        instance_type: Some("m6g.large".into()),
        ..FunctionalitySettings::default()
    };
    let web = || functionality("web", 80, &[]).extension(&wish).unwrap();
    let data = |found: &std::collections::BTreeMap<_, _>| {
        requests(found, "CreateLaunchTemplate")["ec2/target/one/machine/0/launch-template"]
            ["LaunchTemplateData"]
            .clone()
    };
    let template = data(&resources(deployment(vec![web()]).machine("one", None)));
    assert_eq!(template["InstanceType"], "m6g.large");
    assert_eq!(template["ImageId"], "resolve:ssm:/aws/service/debian/release/12/latest/arm64");

    let own = TargetSettings { instance_type: Some("m5.large".into()), ..settings() };
    let deployment = deployment(vec![web()]).machine("one", None).target_settings("one", &own);
    let (compiled, found) = compiled(deployment);
    assert_eq!(data(compiled.resources())["InstanceType"], "m5.large");
    assert!(found.to_string().contains("web wishes m6g.large and runs on m5.large"), "{found}");
}

#[test]
fn a_functionality_that_plain_machines_cannot_run_fails_alone() {
    let image = deployix_core::spec::ServiceSpec::builder(["x"]).image("x:1").build().unwrap();
    let specs = vec![
        functionality("web", 80, &[]),
        deployix_core::spec::FunctionalitySpec::new("boxed", image).unwrap(),
    ];
    let (compiled, found) = compiled(deployment(specs).machine("one", None));
    assert!(errors(&found)[0].contains("plain Debian"), "{found}");
    assert!(compiled.artifacts().contains_key(&name("web")));
    assert!(!compiled.artifacts().contains_key(&name("boxed")));
    assert_eq!(requests(compiled.resources(), "RunInstances").len(), 1);
}

#[test]
fn user_data_that_stays_too_large_is_told() {
    let noise: String = (0u32..2_000)
        .map(|n| deployix_core::Digest::of_bytes(&n.to_le_bytes()).to_string())
        .collect();
    let service = deployix_core::spec::ServiceSpec::builder(["/bin/x"])
        .ship("x", deployix_core::spec::FileContent::plain(noise))
        .build()
        .unwrap();
    let specs = vec![deployix_core::spec::FunctionalitySpec::new("web", service).unwrap()];
    let (_, found) = compiled(deployment(specs).machine("one", None));
    assert!(errors(&found)[0].contains("AWS takes 16384 at most"), "{found}");
}
