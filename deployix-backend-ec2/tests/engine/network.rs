//! A target moves to another network, which is made or exists already: everything that cannot leave a
//! VPC is made beside what was there, and that goes once nothing needs it.

use deployix_backend_ec2::{
    extension::{LocationSettings, NetworkSettings},
    request::{SubnetId, Value, VpcId},
};
use deployix_core::spec::{Deployment, FunctionalitySpec, ServiceSpec};

use crate::{
    faults::everything,
    names::zone,
    scenario::{self, in_network},
    site::{Site, beyond, ends},
    strict::{Death, World},
    support::{With, deployment, name},
    way::Way,
};

const REGION: &str = "eu-central-1";

/// The same with every target in another network, which is in the same place.
fn moved(mut deployment: Deployment, from: &str, to: &str) -> Deployment {
    let networks = &mut deployment.infrastructure.networks;
    let network = networks.remove(&name(from)).unwrap();
    networks.insert(name(to), network);
    for target in deployment.infrastructure.targets.values_mut() {
        target.network = Some(name(to));
    }
    deployment
}

fn everything_in(network: &str) -> Deployment {
    if network == "n" { everything() } else { moved(everything(), "n", network) }
}

/// Three machines of a pool behind a load balancer, found by name.
fn pool_in(network: &str) -> Deployment {
    let location = LocationSettings {
        region: Some(REGION.to_owned()),
        hosted_zone: Some(zone()),
        ..LocationSettings::default()
    };
    let service = ServiceSpec::builder(["web"]).endpoint("main", 8080).build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    deployment(vec![web.replicas(3.try_into().unwrap())])
        .pool("pool", 3, network)
        .placed("web", "pool")
        .located(network, &location)
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

/// What stands is as if nothing else had ever been there, and goes without a rest.
async fn stands_as_if_fresh(site: &Site, wanted: impl Fn() -> Deployment) {
    let fresh = Site::new(&wanted(), 0);
    fresh.deploy(wanted()).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
    let (plan, drifts) = site.plan_refreshed(wanted()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    assert_eq!(site.plan(wanted()).await.steps.len(), 0);
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

/// Whether all that runs is in the one VPC of these addresses.
fn all_in_one_vpc(site: &Site) {
    site.aws.by_hand(REGION, |world| {
        let vpcs: Vec<_> = world.vpcs.all().map(|it| it.vpc_id.clone()).collect();
        let [vpc] = vpcs.as_slice() else { panic!("{vpcs:?}") };
        assert!(world.interfaces.all().all(|it| it.vpc_id == *vpc));
        assert!(world.groups.all().all(|it| it.vpc_id == *vpc));
        let running = world.instances.all().filter(|it| it.state == "running").count();
        assert!(running > 0, "nothing runs");
    });
}

async fn moves(from: impl Fn() -> Deployment, to: impl Fn() -> Deployment, seed: u64) {
    let site = Site::new(&from(), seed);
    site.deploy(from()).await;
    site.deploy(to()).await;
    all_in_one_vpc(&site);
    stands_as_if_fresh(&site, to).await;
}

#[tokio::test(start_paused = true)]
async fn machines_move_to_another_network() {
    let site = || Site::new(&in_network("n"), 110);
    scenario::machines_move_to_another_network(&site(), &site()).await;
}

#[tokio::test(start_paused = true)]
async fn machines_and_their_rules_leave_nothing_in_the_network_before() {
    moves(|| in_network("n"), || in_network("m"), 111).await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_a_secret_an_autoscaling_group_and_a_load_balancer_move_as_well() {
    moves(everything, || everything_in("m"), 112).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_behind_a_load_balancer_moves() {
    moves(|| pool_in("n"), || pool_in("m"), 113).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_leads_to_the_new_load_balancer_once_it_listens_and_what_was_there_goes_after_that()
{
    let site = Site::new(&pool_in("n"), 119);
    site.deploy(pool_in("n")).await;
    let plan = site.plan(pool_in("m")).await;
    let after = |what: &str| {
        let step = plan.steps.iter().find(|step| step.id().as_str().contains(what));
        let after = &step.unwrap_or_else(|| panic!("nothing of {what}")).after;
        after.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
    };
    let front = "ec2/functionality/load-balancer-front";
    let record = after("/record/");
    assert!(record.contains(&format!("{front}/listener-443/network/m/10.0.0.0-20")), "{record:?}");
    let old = after("/listener-443/network/n/10.0.0.0-20");
    assert!(old.iter().any(|id| id.contains("/record/")), "{old:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_had_a_network_of_its_own_moves_into_one_and_back() {
    let own = || {
        let mut deployment = in_network("n");
        let one = deployment.infrastructure.targets.get_mut(&name("one")).unwrap();
        (one.network, one.location) = (None, Some(name("n-location")));
        deployment
    };
    let site = Site::new(&in_network("n"), 114);
    site.deploy(in_network("n")).await;
    let plan = site.plan(own()).await;
    let report = site.carry_out(&plan).await;
    assert!(report.is_good(), "{}", ends(&report));
    site.deploy(in_network("n")).await;
    all_in_one_vpc(&site);
    stands_as_if_fresh(&site, || in_network("n")).await;
}

/// A network that people made, in another deployment.
fn network_of_others(site: &Site) -> (VpcId, SubnetId) {
    site.aws.by_hand(REGION, World::network_of_others)
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_made_gives_way_to_one_that_exists_and_back() {
    let site = Site::new(&in_network("n"), 115);
    let (vpc, subnet) = network_of_others(&site);
    let theirs = site.aws.inventory();
    let adopted = || {
        let settings = NetworkSettings {
            vpc: Some(vpc.clone()),
            subnets: vec![subnet.clone()],
            ..NetworkSettings::default()
        };
        in_network("n").network_settings("n", &settings)
    };
    site.deploy(in_network("n")).await;
    site.deploy(adopted()).await;
    site.aws.by_hand(REGION, |world| {
        assert_eq!(world.vpcs.all().count(), 1, "the one that was made is gone");
        assert!(world.groups.all().all(|it| it.vpc_id == vpc));
        let mut groups = world.target_groups.all();
        assert!(groups.all(|it| it.settings.vpc_id == Value::Known(vpc.clone())));
    });
    let (plan, drifts) = site.plan_refreshed(adopted()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.deploy(in_network("n")).await;
    assert_eq!(site.plan_refreshed(in_network("n")).await.0.steps.len(), 0);
    site.destroy().await;
    assert_eq!(site.aws.inventory(), theirs);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_exists_under_another_name_moves_nobody() {
    let site = Site::new(&in_network("n"), 116);
    let (vpc, subnet) = network_of_others(&site);
    let adopted = |network: &str| {
        let settings = NetworkSettings {
            vpc: Some(vpc.clone()),
            subnets: vec![subnet.clone()],
            ..NetworkSettings::default()
        };
        in_network(network).network_settings(network, &settings)
    };
    site.deploy(adopted("n")).await;
    assert_eq!(site.plan(adopted("m")).await.steps.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_may_not_move_serves_on_where_it_is() {
    let site = Site::new(&in_network("n"), 117);
    site.deploy(in_network("n")).await;
    let serves = || {
        site.aws.by_hand(REGION, |world| {
            let running = world.instances.all().filter(|it| it.state == "running");
            let running: Vec<_> = running.map(|it| it.instance_id.clone()).collect();
            let own = world.interfaces.all().filter(|it| {
                it.instance_id.as_ref().is_some_and(|instance| running.contains(instance))
            });
            let groups: Vec<_> = own.flat_map(|it| it.groups.clone()).collect();
            let rules = world.rules.all().filter(|it| groups.contains(&it.group_id));
            let rules = rules.map(|it| it.security_group_rule_id.clone()).collect::<Vec<_>>();
            (running, rules)
        })
    };
    let before = serves();
    assert!(before.0.len() == 2 && before.1.len() >= 2, "{before:?}");
    site.aws.mood(|mood| {
        mood.refuses.insert("RunInstances", ("UnauthorizedOperation", ""));
    });
    assert!(!site.carry_out(&site.plan(in_network("m")).await).await.is_good());
    assert_eq!(serves(), before, "with all rules by which they talk to each other");
    site.aws.mood(|mood| mood.refuses.clear());
    site.deploy(in_network("m")).await;
    stands_as_if_fresh(&site, || in_network("m")).await;
}

/// What is in another region is seen by nobody who looks in one, so it would be left over, with its data.
#[tokio::test(start_paused = true)]
async fn what_stands_does_not_move_to_another_region_but_by_another_name() {
    let of = |target: &str, network: &str, region: &str| {
        let location =
            LocationSettings { region: Some(region.to_owned()), ..LocationSettings::default() };
        let service =
            ServiceSpec::builder(["db"]).endpoint("main", 5432).state("/var/lib/db").build();
        let db = FunctionalitySpec::new("db", service.unwrap()).unwrap();
        deployment(vec![db.fqdn("db.example.com").unwrap()])
            .machine(target, Some(network))
            .placed("db", target)
            .located(network, &location)
    };
    let site = Site::new(&of("one", "n", REGION), 118);
    site.deploy(of("one", "n", REGION)).await;
    let runs = || {
        site.aws.by_hand(REGION, |world| {
            let running = world.instances.all().filter(|it| it.state == "running");
            let running = running.map(|it| it.instance_id.clone()).collect::<Vec<_>>();
            (running, world.rules.all().count(), world.volumes.all().count())
        })
    };
    let before = runs();
    for network in ["n", "m"] {
        let told = ends(&site.carry_out(&site.plan(of("one", network, "us-east-1")).await).await);
        let why = "it is in eu-central-1, and AWS moves nothing to us-east-1";
        assert!(told.contains(why), "{network}: {told}");
        assert_eq!(runs(), before, "{network}");
        site.deploy(of("one", "n", REGION)).await;
        assert_eq!(runs(), before, "whoever goes back keeps all of it");
    }
    site.deploy(of("two", "m", "us-east-1")).await;
    let (running, rules, disks) = runs();
    assert_eq!((running.len(), rules, disks), (0, 0, 1), "only the disk is kept");
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_cut_off_at_any_call_that_writes_is_ended_or_taken_back() {
    let way = Way::new(|| in_network("n"), || in_network("m")).await;
    assert!(way.takes > 40, "{}", way.takes);
    for at in 0..way.takes {
        way.goes_on(at, if at % 2 == 0 { Death::Before } else { Death::After }).await;
        way.goes_back(at, if at % 2 == 0 { Death::After } else { Death::Before }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_of_a_pool_behind_a_load_balancer_that_is_cut_off_is_ended_or_taken_back() {
    let way = Way::new(|| pool_in("n"), || pool_in("m")).await;
    assert!(way.takes > 60, "{}", way.takes);
    for at in (0..way.takes).step_by(3) {
        way.goes_on(at, Death::Before).await;
        way.goes_on(at + 1, Death::After).await;
        way.goes_back(at + 2, Death::After).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_of_everything_that_is_cut_off_is_ended_or_taken_back() {
    let way = Way::new(everything, || everything_in("m")).await;
    assert!(way.takes > 60, "{}", way.takes);
    for at in (0..way.takes).step_by(5) {
        way.goes_on(at, Death::Before).await;
        way.goes_on(at + 2, Death::After).await;
        way.goes_back(at + 4, Death::After).await;
    }
}
