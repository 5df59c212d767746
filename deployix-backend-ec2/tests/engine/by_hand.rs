//! What people change by hand in AWS's console, kind by kind: it is told in a line that says what is and
//! what should be, and the next deploy that looks puts it right.

use std::{collections::BTreeMap, fmt, time::Duration};

use deployix_backend_ec2::{
    engine::shape::{Listener, RouteTable},
    request::{Attribute, InstanceId, IpPermission, IpProtocol, Peer, RouteTableId, Tag},
};
use deployix_core::spec::Deployment;

use crate::{
    balancing::{ALL, REGION, shop},
    deploy::keeper,
    faults::everything,
    site::{Site, beyond, ends},
    strict::{World, seat},
};

/// A thing with the tags of a resource.
fn is(tags: &[Tag], resource: &str) -> bool {
    tags.iter().any(|tag| tag.key == "deployix:resource" && tag.value == resource)
}

/// Deploys, changes something by hand, and sees it told in these lines, put right, and told no more.
async fn is_told_and_put_right<T: PartialEq + fmt::Debug>(
    wanted: impl Fn() -> Deployment,
    look: impl Fn(&mut World) -> T,
    change: impl FnOnce(&mut World) -> Vec<String>,
) {
    let site = Site::new(&wanted(), 140);
    site.deploy(wanted()).await;
    let of_ours = || {
        let mut all = site.aws.inventory();
        // What people made besides stays, and so do their routes.
        all.retain(|line| !line.contains("of nobody") && !line.contains(" table "));
        all
    };
    let (stands, right) = (of_ours(), site.aws.by_hand(REGION, &look));
    let lines = site.aws.by_hand(REGION, change);
    assert_ne!(site.aws.by_hand(REGION, &look), right, "it is changed");
    tokio::time::sleep(Duration::from_secs(5)).await;

    let (plan, drifts) = site.plan_refreshed(wanted()).await;
    assert_eq!(drifts, lines);
    let report = site.carry_out(&plan).await;
    assert!(report.is_good(), "{}", ends(&report));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(site.aws.by_hand(REGION, &look), right, "it is put right");
    assert_eq!(beyond(&of_ours(), &stands), [""; 0]);
    let (again, drifts) = site.plan_refreshed(wanted()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));
}

fn two_behind() -> Deployment {
    shop(&[(80, 8080)], &ALL)
}

const BALANCER: &str = "ec2/functionality/load-balancer-front/load-balancer/network/n/10.0.0.0-20";
const GROUP: &str = "ec2/functionality/load-balancer-front/target-group-80/network/n/10.0.0.0-20";

/// Machine and port of all that are behind a load balancer.
fn seats(world: &mut World) -> Vec<(InstanceId, u16)> {
    let mut seats: Vec<_> = world.behind().map(|it| (it.id.clone(), it.port)).collect();
    seats.sort();
    seats
}

#[tokio::test(start_paused = true)]
async fn one_of_two_machines_that_was_taken_out_of_its_target_group() {
    is_told_and_put_right(two_behind, seats, |world| {
        let (gone, port) = seats(world).remove(0);
        for targets in world.targets.values_mut() {
            targets.take(&seat(&gone, port));
        }
        let machine = world.instances.all().find(|it| it.instance_id == gone).unwrap();
        let resource = machine.tags.iter().find(|tag| tag.key == "deployix:resource").unwrap();
        let number = resource.value.split('/').nth(4).unwrap();
        vec![format!("{GROUP}/machines/machines/{number}: it is gone")]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_others_that_was_put_behind_a_load_balancer() {
    is_told_and_put_right(two_behind, seats, |world| {
        let other = world.machine_of_others();
        let arn = world.targets.keys().next().unwrap().clone();
        world.put_target(&arn, &other, 8080);
        // It is told with the first interface.
        let first = world.interfaces.all().find(|it| it.instance_id.is_some()).unwrap();
        let resource = first.tags.iter().find(|tag| tag.key == "deployix:resource").unwrap();
        let number = resource.value.split('/').nth(4).unwrap();
        vec![format!(
            "{GROUP}/machines/machines/{number}: {other} is behind it at port 8080 as well"
        )]
    })
    .await;
}

/// An attribute, of whatever has it.
fn attribute(world: &World, key: &str) -> Vec<String> {
    let all = world.attributes.values().flatten().filter(|it| it.key == key);
    all.map(|it| it.value.clone()).collect()
}

fn set(world: &mut World, key: &str, value: &str) {
    let all = world.attributes.values_mut().flatten();
    all.filter(|it| it.key == key).for_each(|it| it.value = value.to_owned());
}

#[tokio::test(start_paused = true)]
async fn how_long_a_machine_may_take_to_leave() {
    let key = "deregistration_delay.timeout_seconds";
    is_told_and_put_right(
        two_behind,
        |world| attribute(world, key),
        |world| {
            set(world, key, "5");
            vec![format!("{GROUP}/attributes: {key} is 5 and should be 300")]
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_attribute_of_a_load_balancer_that_was_made_with_it() {
    let key = "load_balancing.cross_zone.enabled";
    is_told_and_put_right(
        two_behind,
        |world| attribute(world, key),
        |world| {
            set(world, key, "false");
            vec![format!("{BALANCER}/attributes: {key} is false and should be true")]
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_nobody_wrote_is_left_to_people() {
    let site = Site::new(&two_behind(), 141);
    site.deploy(two_behind()).await;
    site.aws.by_hand(REGION, |world| {
        for balancer in world.balancers.all().map(|it| it.load_balancer_arn.clone()) {
            let protected = Attribute::new("deletion_protection.enabled", "true");
            world.attributes.get_mut(&balancer).unwrap().push(protected);
        }
    });
    let (plan, drifts) = site.plan_refreshed(two_behind()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_was_added_to_a_load_balancer() {
    for deployment in [Vec::new(), vec![Tag::new("deployix:deployment", "test")]] {
        is_told_and_put_right(
            two_behind,
            |world| world.listeners.all().map(|it| it.port).collect::<Vec<_>>(),
            |world| {
                let own = world.listeners.all().next().unwrap().clone();
                let tags = deployment;
                world.add_listener(Listener { port: 8081, tags, ..own });
                vec![format!("{BALANCER}: somebody made it listen on TCP 8081")]
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_elastic_address_that_was_given_to_another_interface() {
    let place = |world: &mut World| {
        let all = world.addresses.all().map(|it| it.network_interface_id.clone());
        all.collect::<Vec<_>>()
    };
    is_told_and_put_right(keeper, place, |world| {
        let own = world.addresses.all().next().unwrap().network_interface_id.clone().unwrap();
        let other = world.interface_of_others(&own);
        let address = world.addresses.all_mut().next().unwrap();
        address.network_interface_id = Some(other.clone());
        let part = "ec2/target/one/machine/0/address-association";
        vec![format!("{part}: the place of the address is {other} and should be {own}")]
    })
    .await;
}

fn routes(world: &mut World) -> Vec<(RouteTableId, Vec<String>)> {
    let way = |it: &RouteTable| {
        let routes = it.routes.iter().map(|it| format!("{it:?}")).collect();
        (it.route_table_id.clone(), routes)
    };
    world.tables.all().map(way).collect()
}

const ROUTE: &str = "ec2/network/n/default-route";

#[tokio::test(start_paused = true)]
async fn a_default_route_that_leads_elsewhere() {
    is_told_and_put_right(keeper, routes, |world| {
        let own = world.gateways.all().next().unwrap().internet_gateway_id.clone();
        let table = world.tables.all_mut().next().unwrap();
        let route = table.routes.iter_mut().find(|it| it.gateway_id != "local").unwrap();
        route.gateway_id = "nat-0123456789abcdef0".to_owned();
        let told = "the way to 0.0.0.0/0 is nat-0123456789abcdef0";
        vec![format!("{ROUTE}: {told} and should be {own}")]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_default_route_that_was_removed_beside_another() {
    is_told_and_put_right(
        keeper,
        |world| {
            let tables = world.tables.all().flat_map(|it| it.routes.clone());
            tables.filter(|it| it.destination_cidr_block.prefix_len() == 0).collect::<Vec<_>>()
        },
        |world| {
            let table = world.tables.all_mut().next().unwrap();
            let route = table.routes.iter_mut().find(|it| it.gateway_id != "local").unwrap();
            route.destination_cidr_block = "192.168.0.0/16".parse().unwrap();
            vec![format!("{ROUTE}: there is no way to 0.0.0.0/0, and other ways are there")]
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_protection_of_a_machine_with_state() {
    is_told_and_put_right(
        keeper,
        |world| world.protected.clone(),
        |world| {
            world.protected.clear();
            let machine = "ec2/target/one/machine/0/instance";
            let off = "its protection from being ended is off and should be on";
            vec![format!("{machine}: {off}")]
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_somebody_gave_the_tag_of_the_deployment_or_of_another() {
    let tag = |key: &str, value: &str| Tag::new(format!("deployix:{key}"), value);
    let of_another =
        [("deployment", "other"), ("resource", "ec2/x"), ("digest", "0"), ("owner", "target x")];
    for tags in [
        vec![tag("deployment", "test")],
        vec![tag("deployment", "test"), tag("resource", "ec2/functionality/db/ingress/x")],
        of_another.iter().map(|(key, value)| tag(key, value)).collect(),
    ] {
        is_told_and_put_right(
            keeper,
            |world| world.rules.all().count(),
            |world| {
                let group = |world: &World| {
                    let mut all = world.groups.all();
                    let is_db =
                        |tags: &[Tag]| is(tags, "ec2/functionality/db/security-group/network/n");
                    all.find(|it| is_db(&it.tags)).unwrap().group_id.clone()
                };
                let group = group(world);
                let anyone = IpPermission::new(IpProtocol::Tcp, Some(22), Peer::anyone(), "ssh");
                world.add_rule(group, false, anyone, tags);
                let told = "somebody opened the way in: tcp 22 with 0.0.0.0/0";
                vec![format!("ec2/functionality/db/security-group/network/n: {told}")]
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_version_of_a_launch_template() {
    is_told_and_put_right(
        keeper,
        |world| {
            let all = world.templates.all();
            all.map(|it| it.default_version_number).collect::<Vec<_>>()
        },
        |world| {
            world.templates.all_mut().for_each(|it| it.default_version_number = 3);
            let template = "ec2/target/one/machine/0/launch-template";
            vec![format!("{template}: its default version is 3 and should be 1")]
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn how_many_machines_an_autoscaling_group_has_at_least_and_at_most() {
    let sizes = |world: &mut World| {
        let all = world.scaling.all();
        all.map(|it| (it.min_size, it.max_size)).collect::<Vec<_>>()
    };
    is_told_and_put_right(everything, sizes, |world| {
        let group = world.scaling.all_mut().next().unwrap();
        group.max_size = 9;
        let template = &group.launch_template.launch_template_name;
        let subnets = group.subnets.iter().map(ToString::to_string).collect::<Vec<_>>();
        let in_subnets = format!("of {template} in {}", subnets.join(" and "));
        let (was, is) = (format!("1 to 2 {in_subnets}"), format!("1 to 9 {in_subnets}"));
        vec![format!("ec2/target/fleet/network/n/autoscaling-group: it was `{was}` and is `{is}`")]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_autoscaling_group_that_was_taken_from_behind_a_load_balancer() {
    let behind = |world: &mut World| {
        let all = world.scaling.all();
        all.map(|it| (it.auto_scaling_group_name.clone(), it.target_group_arns.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    is_told_and_put_right(everything, behind, |world| {
        world.scaling.all_mut().for_each(|it| it.target_group_arns.clear());
        let told = "the autoscaling group test/fleet/network/n is not behind it";
        let group = GROUP.replace("-80/", "-443/");
        vec![format!("{group}/machines/fleet: {told}")]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_does_not_look_asks_no_more_than_before() {
    let site = Site::new(&keeper(), 142);
    site.deploy(keeper()).await;
    let tally = site.aws.tally();
    for operation in ["DescribeInstanceAttribute", "DescribeLaunchTemplateVersions"] {
        assert!(!tally.contains_key(operation), "{operation}: {tally:?}");
    }
}
