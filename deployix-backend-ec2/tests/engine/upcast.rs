//! The network of `examples/upcast`, deployed and read back by its numbers.

use std::{collections::BTreeMap, path::Path};

use deployix_backend_ec2::{
    engine::{
        Aws,
        call::{Answer, Described, Filter, Query, Read},
        shape::{
            Instance, Listener, LoadBalancer, SecurityGroupRule, Subnet, TargetGroup, TargetHealth,
            Volume, Vpc,
        },
    },
    request::{Attribute, BalancerScheme, PublicCidr, Tag},
};
use deployix_core::{load::load, spec::Deployment};

use crate::site::{Account, Site, ends};

const REGION: &str = "us-east-1";

/// The deployment of the repository's own example.
pub(crate) fn upcast() -> Deployment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/upcast/deployment.toml");
    let loaded = load(&path);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    loaded.value.unwrap()
}

/// All things of a kind, whatever page they are on.
async fn all<T: Described>(aws: &dyn Aws, filters: &[(&str, &str)]) -> Vec<T> {
    let filters: Vec<_> =
        filters.iter().map(|(name, value)| Filter::new(*name, [*value])).collect();
    let (mut all, mut next_token) = (Vec::new(), None);
    loop {
        let read = T::read(Query { filters: filters.clone(), next_token });
        let page = T::page(aws.call(Some(REGION), &read.into()).await.unwrap()).unwrap();
        all.extend(page.items);
        next_token = page.next_token;
        if next_token.is_none() {
            return all;
        }
    }
}

/// Which resource something was made as, without what all have in common.
fn resource(tags: &[Tag]) -> &str {
    let tag = tags.iter().find(|tag| tag.key == "deployix:resource").unwrap();
    tag.value.strip_prefix("ec2/").unwrap()
}

/// Reads the account back and compares everything in it that the example's files say, through the
/// client alone, so that it does not matter whose account it is.
async fn stands_as_written(aws: &dyn Aws) {
    const MINE: (&str, &str) = ("tag:deployix:deployment", "upcast");
    let vpcs: Vec<Vpc> = all(aws, &[MINE]).await;
    let [vpc] = vpcs.as_slice() else { panic!("{vpcs:?}") };
    assert_eq!(vpc.cidr_block.to_string(), "10.15.0.0/16");
    let subnets: Vec<Subnet> = all(aws, &[MINE]).await;
    let [subnet] = subnets.as_slice() else { panic!("{subnets:?}") };
    assert_eq!(subnet.cidr_block.to_string(), "10.15.0.0/24");
    assert_eq!((&subnet.vpc_id, &*subnet.availability_zone.0), (&vpc.vpc_id, "us-east-1a"));

    let mut machines: Vec<Instance> = all(aws, &[MINE]).await;
    machines.retain(|it| it.state != "terminated");
    let of =
        |it: &Instance| (resource(&it.tags).to_owned(), it.instance_type.clone(), it.state.clone());
    let mut has: Vec<_> = machines.iter().map(of).collect();
    has.sort();
    let wanted = [
        ("target/database/machine/0/instance", "r3.xlarge"),
        ("target/solr/machine/0/instance", "m3.large"),
        ("target/web/machine/0/instance", "m3.large"),
        ("target/web/machine/1/instance", "m3.large"),
    ];
    assert_eq!(has, wanted.map(|(id, kind)| (id.into(), kind.into(), "running".into())));

    // The disks that machines boot from go with them.
    let mut disks: Vec<Volume> = all(aws, &[MINE]).await;
    disks.retain(|it| resource(&it.tags).ends_with("/volume"));
    let [disk] = disks.as_slice() else { panic!("{disks:?}") };
    assert_eq!((disk.size, disk.encrypted), (200, true));
    let database = machines.iter().find(|it| it.instance_type == "r3.xlarge").unwrap();
    assert_eq!(disk.attachments.len(), 1);
    assert_eq!(disk.attachments[0].instance_id, database.instance_id);

    let balancers: Vec<LoadBalancer> = all(aws, &[]).await;
    let [balancer] = balancers.as_slice() else { panic!("{balancers:?}") };
    assert_eq!((balancer.scheme, &*balancer.state), (BalancerScheme::InternetFacing, "active"));
    assert_eq!(balancer.subnets, std::slice::from_ref(&subnet.subnet_id));
    let groups: Vec<TargetGroup> = all(aws, &[]).await;
    let groups: BTreeMap<_, _> = groups.iter().map(|it| (&*it.target_group_arn, it)).collect();
    let arn = &*balancer.load_balancer_arn;
    let mut listeners: Vec<Listener> = all(aws, &[("load-balancer-arn", arn)]).await;
    listeners.sort_by_key(|it| it.port);
    assert_eq!(listeners.iter().map(|it| it.port).collect::<Vec<_>>(), [80, 443]);
    let web = machines.iter().filter(|it| resource(&it.tags).starts_with("target/web/"));
    let mut web: Vec<_> = web.map(|it| it.instance_id.clone()).collect();
    web.sort();
    for listener in &listeners {
        assert_eq!(listener.protocol, "TCP");
        let [action] = listener.default_actions.as_slice() else { panic!("{listener:?}") };
        let group = groups[&*action.target_group_arn.known().unwrap().0];
        let it = &group.settings;
        assert_eq!((it.port, &*it.protocol), (listener.port, "TCP"));
        assert_eq!((&*it.health_check_protocol, &*it.health_check_port), ("TCP", "80"));
        assert_eq!(it.health_check_interval_seconds, 30);
        assert_eq!(it.health_check_timeout_seconds, Some(5));
        assert_eq!((it.healthy_threshold_count, it.unhealthy_threshold_count), (2, 10));
        let target_group_arn = group.target_group_arn.clone();
        let mut behind: Vec<TargetHealth> =
            all(aws, &[("target-group-arn", &target_group_arn)]).await;
        behind.sort_by(|one, other| one.id.cmp(&other.id));
        assert!(behind.iter().all(|it| (it.port, &*it.state) == (listener.port, "healthy")));
        assert_eq!(behind.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), web);
        let read = Read::DescribeTargetGroupAttributes { target_group_arn };
        let Answer::Attributes(attributes) = aws.call(Some(REGION), &read.into()).await.unwrap()
        else {
            panic!("no attributes")
        };
        let delay = Attribute {
            key: "deregistration_delay.timeout_seconds".to_owned(),
            value: "300".to_owned(),
        };
        assert!(attributes.contains(&delay), "{attributes:?}");
    }

    let rules: Vec<SecurityGroupRule> = all(aws, &[MINE]).await;
    let anyone = PublicCidr(ipnet::Ipv4Net::default());
    let from_anywhere = |rule: &&SecurityGroupRule| {
        let mut ranges = rule.permission.ip_ranges.iter();
        !rule.is_egress && ranges.any(|it| it.cidr_ip.known() == Some(&anyone))
    };
    let open = rules.iter().filter(from_anywhere).map(|rule| resource(&rule.tags));
    let mut open: Vec<_> = open.collect();
    open.sort_unstable();
    assert_eq!(
        open,
        [
            "functionality/load-balancer-web/ingress/0.0.0.0-0/tcp-443/network/shop",
            "functionality/load-balancer-web/ingress/0.0.0.0-0/tcp-80/network/shop",
        ],
        "nothing else is open to everybody"
    );
}

/// Plans the example, deploys it, reads it back, and removes it.
pub(crate) async fn is_planned_deployed_and_read_back_equal<A: Account>(site: &Site<A>) {
    let plan = site.plan(upcast()).await;
    let count = |operation: &str| {
        let resources = plan.steps.iter().map(|step| step.resource.inputs());
        let operation = Some(&deployix_core::backend::Input::from(operation));
        resources.filter(|inputs| inputs.get("operation") == operation).count()
    };
    for (operation, times) in [
        ("CreateVpc", 1),
        ("CreateSubnet", 1),
        ("RunInstances", 4),
        ("CreateVolume", 1),
        ("CreateLoadBalancer", 1),
        ("CreateTargetGroup", 2),
        ("CreateListener", 2),
    ] {
        assert_eq!(count(operation), times, "{operation}");
    }
    let report = site.carry_out(&plan).await;
    assert!(report.is_good(), "{}", ends(&report));
    stands_as_written(&*site.aws.client()).await;
    site.aws.take_writes();
    let (again, drifts) = site.plan_refreshed(upcast()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.things().await, [""; 0]);
}
