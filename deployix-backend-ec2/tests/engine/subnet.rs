//! Machines move to another subnet, or stay where they cannot.

use base64::{Engine, engine::general_purpose::STANDARD};
use deployix_backend_ec2::{
    engine::shape::{Instance, NetworkInterface, Subnet},
    extension::{LocationSettings, NetworkSettings, TargetSettings},
};
use deployix_core::{
    plan::{Plan, PlannedAction},
    spec::{Deployment, FunctionalitySpec, ServiceSpec},
};

use crate::{
    faults::everything,
    names::zone,
    scenario::{self, three, two},
    site::{Site, beyond, ends},
    strict::Death,
    support::{With, deployment},
    way::Way,
};

const REGION: &str = "eu-central-1";
const OTHER: Option<&str> = Some("10.0.64.0/20");

fn location(zones: &[&str]) -> LocationSettings {
    LocationSettings {
        region: Some(REGION.to_owned()),
        zones: zones.iter().map(|&it| it.to_owned()).collect(),
        ..LocationSettings::default()
    }
}

fn blocks(block: Option<&str>) -> NetworkSettings {
    let subnet_cidrs = block.map(|it| it.parse().unwrap()).into_iter().collect();
    NetworkSettings { subnet_cidrs, ..NetworkSettings::default() }
}

/// A machine that keeps state, in one subnet.
fn stateful(zones: &[&str], block: Option<&str>) -> Deployment {
    let service =
        ServiceSpec::builder(["web"]).endpoint("main", 8080).state("/var/lib/web").build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    let location = LocationSettings { hosted_zone: Some(zone()), ..location(zones) };
    deployment(vec![web])
        .machine("one", Some("n"))
        .placed("web", "one")
        .located("n", &location)
        .network_settings("n", &blocks(block))
}

fn actions(plan: &Plan, what: &str) -> Vec<PlannedAction> {
    let about = plan.steps.iter().filter(|step| step.id().as_str().contains(what));
    about.map(|step| step.action).collect()
}

fn running(site: &Site) -> Vec<Instance> {
    site.aws.by_hand(REGION, |world| {
        let all = world.instances.all().filter(|it| it.state == "running");
        all.cloned().collect()
    })
}

/// Every machine runs on the one interface of its own, in the one subnet that there is, and knows the
/// others by the addresses that they have.
fn all_in_one_subnet(site: &Site, block: &str, zone: &str) {
    let machines = running(site);
    site.aws.by_hand(REGION, |world| {
        let subnets: Vec<&Subnet> = world.subnets.all().collect();
        let [subnet] = subnets.as_slice() else { panic!("{subnets:#?}") };
        let is = (subnet.cidr_block.to_string(), &*subnet.availability_zone.0);
        assert_eq!(is, (block.to_owned(), zone));
        let interfaces: Vec<&NetworkInterface> = world.interfaces.all().collect();
        assert!(interfaces.iter().all(|it| it.subnet_id == subnet.subnet_id), "{interfaces:#?}");
        assert_eq!((machines.len(), interfaces.len()), (2, 2));
        for machine in &machines {
            let [own] = machine.network_interfaces.as_slice() else { panic!("{machine:#?}") };
            let own = interfaces.iter().find(|it| it.network_interface_id == *own).unwrap();
            assert_eq!(own.instance_id.as_ref(), Some(&machine.instance_id));
        }
        let db = interfaces.iter().find(|it| it.description.contains("/two/")).unwrap();
        let web = interfaces.iter().find(|it| it.description.contains("/one/")).unwrap();
        let told = &world.user_data[web.instance_id.as_ref().unwrap().as_str()];
        let told = String::from_utf8(STANDARD.decode(told).unwrap()).unwrap();
        let address = db.private_ip_address.to_string();
        assert!(told.contains(&address), "{address} is not in what web was told: {told}");
    });
}

/// What follows stands as if nothing else had ever been there.
async fn stands_as_if_fresh(site: &Site, wanted: impl Fn() -> Deployment) {
    let fresh = Site::new(&wanted(), 0);
    fresh.deploy(wanted()).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
    let (plan, drifts) = site.plan_refreshed(wanted()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

async fn deployed(deployment: Deployment, seed: u64) -> Site {
    let site = Site::new(&deployment, seed);
    site.deploy(deployment).await;
    site
}

#[tokio::test(start_paused = true)]
async fn machines_follow_their_subnet_to_another_block() {
    use PlannedAction::{Create, Remove, Replace};
    let site = deployed(two(&[], None), 90).await;
    site.aws.take_writes();
    let plan = site.plan(two(&[], OTHER)).await;
    assert_eq!(actions(&plan, "/subnet/10.0.64.0-20"), [Create, Create], "with its routes");
    assert_eq!(actions(&plan, "/subnet/10.0.0.0-20"), [Remove, Remove]);
    assert_eq!(actions(&plan, "/interface/"), [Create, Create, Remove, Remove]);
    assert_eq!(actions(&plan, "/instance"), [Replace, Replace]);
    let mut machines = plan.steps.iter().filter(|step| step.id().as_str().ends_with("/instance"));
    let gap = "it moves to another subnet, and takes its disk and public address along";
    assert!(machines.all(|step| step.gap.as_deref() == Some(gap)), "the gap is told");
    let report = site.carry_out(&plan).await;
    assert!(report.is_good(), "{}", ends(&report));
    all_in_one_subnet(&site, "10.0.64.0/20", "eu-central-1a");
    let writes = site.aws.take_writes();
    let at = |operation: &str| writes.iter().position(|it| it == operation).unwrap();
    assert!(at("RunInstances") < at("DeleteNetworkInterface"), "{writes:?}");
    assert!(at("RunInstances") < at("DeleteSubnet"), "{writes:?}");
    stands_as_if_fresh(&site, || two(&[], OTHER)).await;
}

#[tokio::test(start_paused = true)]
async fn machines_follow_their_subnet() {
    let site = || Site::new(&two(&[], None), 91);
    scenario::machines_follow_their_subnet(&site(), &site()).await;
}

#[tokio::test(start_paused = true)]
async fn machines_follow_their_subnet_to_another_zone_and_block() {
    let site = deployed(two(&["eu-central-1a"], None), 92).await;
    let there = || two(&["eu-central-1b"], OTHER);
    site.deploy(there()).await;
    all_in_one_subnet(&site, "10.0.64.0/20", "eu-central-1b");
    stands_as_if_fresh(&site, there).await;
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_added_moves_nobody() {
    let site = deployed(two(&["eu-central-1a"], None), 93).await;
    let before = running(&site);
    let both = || two(&["eu-central-1a", "eu-central-1b"], None);
    let plan = site.plan(both()).await;
    assert_eq!(actions(&plan, "/subnet/10.0.16.0-20"), [PlannedAction::Create; 2]);
    assert_eq!(actions(&plan, "/instance"), []);
    site.deploy(both()).await;
    assert_eq!(running(&site), before);
    stands_as_if_fresh(&site, both).await;
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_aws_chose_may_be_named() {
    let site = deployed(two(&[], None), 103).await;
    let before = running(&site);
    site.deploy(two(&["eu-central-1a"], None)).await;
    assert_eq!(running(&site), before);
    site.deploy(two(&[], None)).await;
    assert_eq!(running(&site), before);
    stands_as_if_fresh(&site, || two(&[], None)).await;
}

#[tokio::test(start_paused = true)]
async fn a_subnet_that_cannot_be_made_beside_the_one_before_is_refused_and_nothing_changes() {
    let before = || two(&["eu-central-1a"], None);
    let site = deployed(before(), 94).await;
    let stands = site.aws.inventory();
    let moves = "10.0.0.0/20, is in eu-central-1a, and AWS moves none to eu-central-1b";
    let overlaps = "of this deployment, 10.0.0.0/20 in eu-central-1a, has these addresses";
    for (zone, block, why) in
        [("eu-central-1b", None, moves), ("eu-central-1a", Some("10.0.0.0/18"), overlaps)]
    {
        let plan = site.plan(two(&[zone], block)).await;
        let told = ends(&site.carry_out(&plan).await);
        assert!(told.contains(why), "{told}");
        assert!(told.contains("set `extensions.ec2.subnet-cidrs`"), "{told}");
        assert!(!told.contains("none of this deployment"), "{told}");
        assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
    }
    assert_eq!(site.plan(before()).await.steps.len(), 0, "whoever goes back has it already");
    let there = || two(&["eu-central-1b"], OTHER);
    site.deploy(there()).await;
    stands_as_if_fresh(&site, there).await;
}

#[tokio::test(start_paused = true)]
async fn a_subnet_of_somebody_else_in_its_way_is_none_of_the_deployments() {
    let site = deployed(two(&[], None), 95).await;
    site.aws.by_hand(REGION, |world| world.subnet_of_others("10.0.64.0/24".parse().unwrap()));
    let told = ends(&site.carry_out(&site.plan(two(&[], OTHER)).await).await);
    assert!(told.contains("none of this deployment has its name or its addresses"), "{told}");
}

/// What can be had in another network is not asked of this one.
#[tokio::test(start_paused = true)]
async fn a_network_does_not_get_other_addresses_under_what_runs_in_it() {
    let of = |cidr: &str, port: u16| {
        let network =
            NetworkSettings { cidr: Some(cidr.parse().unwrap()), ..NetworkSettings::default() };
        three(port).network_settings("n", &network)
    };
    let site = deployed(of("10.0.0.0/16", 8080), 96).await;
    let stands = site.aws.inventory();
    let two = || {
        running(&site)
            .into_iter()
            .filter(|it| it.tags.iter().any(|tag| tag.value.contains("/two/")))
    };
    let before: Vec<_> = two().collect();
    for cidr in ["10.30.0.0/16", "10.0.0.0/17"] {
        let plan = site.plan(of(cidr, 8080)).await;
        let told = ends(&site.carry_out(&plan).await);
        assert!(told.contains("is 10.0.0.0/16, which AWS does not change"), "{told}");
        assert!(told.contains("set `extensions.ec2.cidr`"), "{told}");
        assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
    }
    assert_eq!(site.plan(of("10.0.0.0/16", 8080)).await.steps.len(), 0);
    assert_eq!(two().collect::<Vec<_>>(), before);
    site.deploy(of("10.0.0.0/16", 8081)).await;
    stands_as_if_fresh(&site, || of("10.0.0.0/16", 8081)).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_moves_within_its_zone_with_its_disk() {
    let site = deployed(stateful(&[], None), 97).await;
    let disk = || {
        site.aws.by_hand(REGION, |world| {
            let all = world
                .volumes
                .all()
                .filter(|it| it.attachments.iter().any(|at| at.device == "/dev/sdf"));
            all.map(|it| (it.volume_id.clone(), it.attachments[0].instance_id.clone()))
                .collect::<Vec<_>>()
        })
    };
    let before = disk();
    site.deploy(stateful(&[], OTHER)).await;
    let after = disk();
    assert_eq!((after.len(), &after[0].0), (1, &before[0].0), "the same disk");
    assert_eq!(after[0].1, running(&site)[0].instance_id);
    stands_as_if_fresh(&site, || stateful(&[], OTHER)).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_disk_cannot_come_along_to_another_zone_stays_and_is_found() {
    let here = || stateful(&["eu-central-1a"], None);
    let site = deployed(here(), 99).await;
    let (before, names) = (running(&site), site.aws.names(|it| it.inventory()));
    site.aws.take_writes();
    let plan = site.plan(stateful(&["eu-central-1b"], OTHER)).await;
    let told = ends(&site.carry_out(&plan).await);
    assert!(told.contains("a disk cannot move out of its zone"), "{told}");
    assert_eq!((running(&site), site.aws.names(|it| it.inventory())), (before.clone(), names));
    let writes = site.aws.take_writes();
    for operation in ["CreateNetworkInterface", "AssociateAddress", "StopInstances"] {
        assert!(!writes.contains(&operation.to_owned()), "{writes:?}");
    }
    site.deploy(here()).await;
    assert_eq!(running(&site), before, "whoever goes back keeps the machine");
    stands_as_if_fresh(&site, here).await;
}

/// A machine that AWS would refuse keeps its public address.
#[tokio::test(start_paused = true)]
async fn a_machine_that_may_not_move_keeps_what_leads_to_it() {
    let of = |kind: &str, block: Option<&str>| {
        let settings =
            TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() };
        two(&[], block).target_settings("one", &settings)
    };
    let site = deployed(of("m5.large", None), 100).await;
    let before = running(&site);
    let reached = || {
        site.aws.by_hand(REGION, |world| {
            let own = |it: &Instance| {
                let all = world.addresses.all();
                all.filter(|at| at.network_interface_id.as_ref() == it.network_interfaces.first())
                    .count()
            };
            before.iter().map(own).collect::<Vec<_>>()
        })
    };
    assert_eq!(reached(), [1, 1]);
    site.aws.mood(|mood| {
        mood.refuses.insert("RunInstances", ("UnauthorizedOperation", ""));
    });
    assert!(!site.carry_out(&site.plan(of("m5.large", OTHER)).await).await.is_good());
    assert_eq!(running(&site), before);
    assert_eq!(reached(), [1, 1]);
    site.aws.mood(|mood| mood.refuses.clear());
    site.deploy(of("m5.large", OTHER)).await;
    stands_as_if_fresh(&site, || of("m5.large", OTHER)).await;
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_cut_off_at_any_call_that_writes_is_ended_or_taken_back() {
    let way = Way::new(|| two(&[], None), || two(&["eu-central-1b"], OTHER)).await;
    assert!(way.takes > 20, "{}", way.takes);
    for at in 0..way.takes {
        way.goes_on(at, Death::Before).await;
        way.goes_on(at, Death::After).await;
        way.goes_back(at, if at % 2 == 0 { Death::Before } else { Death::After }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_of_everything_that_is_cut_off_is_ended_or_taken_back() {
    let there = || everything().network_settings("n", &blocks(OTHER));
    let way = Way::new(everything, there).await;
    assert!(way.takes > 40, "{}", way.takes);
    for at in (0..way.takes).step_by(4) {
        way.goes_on(at, Death::Before).await;
        way.goes_on(at + 2, Death::After).await;
        way.goes_back(at, Death::After).await;
    }
}

#[tokio::test(start_paused = true)]
async fn everything_follows_its_subnet() {
    let there = || everything().network_settings("n", &blocks(OTHER));
    let site = deployed(everything(), 102).await;
    site.deploy(there()).await;
    stands_as_if_fresh(&site, there).await;
}
