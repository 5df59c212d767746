//! The machines of a pool are changed one after the other, so that the others serve meanwhile.

use std::{collections::BTreeSet, time::Duration};

use deployix_backend_ec2::{
    extension::{LocationSettings, TargetSettings},
    request::{ImageId, InstanceId, Tag},
};
use deployix_core::{
    Name,
    backend::Owner,
    execute::{Fate, StepEnd},
    spec::{Deployment, FunctionalitySpec, ServiceSpec},
};
use futures_util::future::join_all;

use crate::{
    scenario,
    site::{Site, beyond, ends},
    strict::{Death, World, seat},
    support::{With, deployment, functionality, name},
};

const REGION: &str = "eu-central-1";
const IMAGE: &str = "ami-0123456789abcdef0";

fn of_type(kind: &str) -> TargetSettings {
    TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() }
}

/// So many machines of a pool, without a load balancer.
fn alone(count: u32, settings: &TargetSettings) -> Deployment {
    let location =
        LocationSettings { region: Some(REGION.to_owned()), ..LocationSettings::default() };
    let settings = TargetSettings { public_address: false, ..settings.clone() };
    let service = ServiceSpec::builder(["web"]).endpoint("main", 8080).build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    deployment(vec![web.replicas(count.try_into().unwrap())])
        .pool("pool", count, "n")
        .placed("web", "pool")
        .located("n", &location)
        .target_settings("pool", &settings)
}

/// The same behind a load balancer.
fn balanced(count: u32, settings: &TargetSettings) -> Deployment {
    alone(count, settings).balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

/// So many machines of a type behind a load balancer.
pub(crate) fn pool(count: u32, kind: &str) -> Deployment {
    balanced(count, &of_type(kind))
}

/// Three machines behind a load balancer that serve at a port.
fn at_port(port: u16) -> Deployment {
    let location =
        LocationSettings { region: Some(REGION.to_owned()), ..LocationSettings::default() };
    let settings = TargetSettings { public_address: false, ..of_type("m5.large") };
    let service = ServiceSpec::builder(["web"]).endpoint("main", port).build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    deployment(vec![web.replicas(3.try_into().unwrap())])
        .pool("pool", 3, "n")
        .placed("web", "pool")
        .located("n", &location)
        .target_settings("pool", &settings)
        .balancer("front", "web.example.com", (443, port), &["0.0.0.0/0"])
}

/// How many machines the listener leads to that serve at their port, and that the load balancer reaches
/// there.
fn served(world: &World) -> usize {
    let open: BTreeSet<u16> = world
        .rules
        .all()
        .filter(|rule| !rule.is_egress && !rule.permission.user_id_group_pairs.is_empty())
        .filter_map(|rule| rule.permission.from_port)
        .collect();
    let way: BTreeSet<u16> = world
        .rules
        .all()
        .filter(|rule| rule.is_egress && !rule.permission.user_id_group_pairs.is_empty())
        .filter_map(|rule| rule.permission.from_port)
        .collect();
    let reached = |port: u16| open.contains(&port) && way.contains(&port);
    world.behind().filter(|it| it.state == "healthy" && reached(it.port)).count()
}

/// The pool, and a machine that has nothing to do with it.
fn with_another(kind: &str, port: u16) -> Deployment {
    let other = functionality("other", port, &[]);
    let mut pool = pool(3, kind).machine("one", Some("n")).placed("other", "one");
    pool.catalogs.push([other].into_iter().map(FunctionalitySpec::shared).collect());
    pool
}

fn healthy(world: &World) -> usize {
    world.behind().filter(|it| it.state == "healthy").count()
}

fn running(world: &World) -> usize {
    world.instances.all().filter(|it| it.state == "running" && it.status == "ok").count()
}

/// The machines that run, with their types.
fn machines(site: &Site) -> BTreeSet<(String, InstanceId)> {
    site.aws.by_hand(REGION, |world| {
        let running = world.instances.all().filter(|it| it.state == "running");
        running.map(|it| (it.instance_type.clone(), it.instance_id.clone())).collect()
    })
}

/// What stands is as if nothing else had ever been there.
async fn is_as_new(site: &Site, wanted: impl Fn() -> Deployment) {
    let fresh = Site::new(&wanted(), 99);
    fresh.deploy(wanted()).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
    let (plan, drifts) = site.plan_refreshed(wanted()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn the_machines_of_a_new_pool_wait_for_none_of_each_other() {
    let site = Site::new(&pool(3, "m5.large"), 90);
    let plan = site.plan(pool(3, "m5.large")).await;
    let place = |id: &str| id.split("/machine/").nth(1).map(|it| it[..1].to_owned());
    let mut parts = 0;
    for step in &plan.steps {
        let Some(own) = place(step.id().as_str()) else { continue };
        parts += 1;
        let others = step.after.iter().filter_map(|id| place(id.as_str()));
        assert!(others.into_iter().all(|other| other == own), "{step:#?}");
    }
    assert!(parts > 9, "{parts}");
    let began = tokio::time::Instant::now();
    site.deploy(pool(3, "m5.large")).await;
    let three = began.elapsed();
    let one = Site::new(&pool(1, "m5.large"), 90);
    let began = tokio::time::Instant::now();
    one.deploy(pool(1, "m5.large")).await;
    assert!(three < began.elapsed().mul_f64(1.2), "{three:?} {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn all_but_one_machine_of_a_pool_serve_while_it_changes() {
    for seed in 91..95 {
        let site = Site::new(&pool(3, "m3.medium"), seed);
        site.deploy(pool(3, "m3.medium")).await;
        site.aws.watch(REGION, healthy);
        site.deploy(pool(3, "m5.large")).await;
        assert_eq!(site.aws.fewest(), 2, "seed {seed}");
        assert_eq!(site.aws.by_hand(REGION, |world| healthy(world)), 3);
        is_as_new(&site, || pool(3, "m5.large")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_but_one_machine_of_a_pool_run_while_it_changes_without_a_load_balancer() {
    let wanted = |kind| alone(3, &of_type(kind));
    let site = Site::new(&wanted("m3.medium"), 95);
    site.deploy(wanted("m3.medium")).await;
    site.aws.watch(REGION, running);
    site.deploy(wanted("m5.large")).await;
    assert_eq!(site.aws.fewest(), 2);
    is_as_new(&site, || wanted("m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_get_healthy_stops_those_after_it_and_nothing_else() {
    let site = Site::new(&with_another("m3.medium", 7000), 96);
    site.deploy(with_another("m3.medium", 7000)).await;
    let before = machines(&site);
    site.aws.watch(REGION, healthy);
    site.aws.by_hand(REGION, |world| world.mute.insert("m5.large".to_owned()));
    let plan = site.plan(with_another("m5.large", 7001)).await;
    let report = site.carry_out(&plan).await;
    assert!(!report.is_good());
    let told = ends(&report);
    assert!(told.contains("test/pool/0 (i-") && told.contains("is unhealthy"), "{told}");
    let edge = Owner::Edge { consumer: name("load-balancer-front"), provider: name("web") };
    assert!(matches!(report.fates[&edge], Fate::Failed { .. }), "{told}");
    for machine in [1, 2] {
        let id = format!("ec2/target/pool/machine/{machine}/instance");
        let (_, end) = report.steps.iter().find(|(it, _)| it.as_str() == id).unwrap();
        let StepEnd::Waits(waiting) = end else { panic!("{told}") };
        let line = waiting.to_string();
        let behind = "waits its turn behind `pool.0`, which was not done: ";
        assert!(line.starts_with(&format!("`pool.{machine}` {behind}")), "{line}");
        assert!(line.contains("test/pool/0 (i-") && line.contains("is unhealthy"), "{line}");
    }
    let other = |name: &Name| report.fates[&Owner::Target(name.clone())].clone();
    assert_eq!(other(&name("one")), Fate::Deployed, "{told}");
    let Fate::Waits { turns } = other(&name("pool")) else { panic!("{told}") };
    let waiting: Vec<_> = turns.iter().map(|it| it.turn.to_string()).collect();
    assert_eq!(waiting, ["pool.1", "pool.2"]);

    let now = machines(&site);
    let stayed: Vec<_> = now.intersection(&before).map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(stayed, ["m3.medium", "m3.medium"], "{now:?}");
    assert_eq!(site.aws.by_hand(REGION, |world| healthy(world)), 2);
    // The one that is out of service is first, so no other is out beside it.
    site.deploy(with_another("r3.xlarge", 7001)).await;
    assert_eq!(site.aws.fewest(), 2);
    is_as_new(&site, || with_another("r3.xlarge", 7001)).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_in_the_middle_that_does_not_get_healthy_is_the_first_to_be_mended() {
    let site = Site::new(&pool(3, "m3.medium"), 97);
    site.deploy(pool(3, "m3.medium")).await;
    // The second is out of service: what stands is told by the account.
    site.aws.by_hand(REGION, |world| {
        let own =
            |tags: &[Tag]| tags.iter().any(|tag| tag.value == "ec2/target/pool/machine/1/instance");
        let second = world.instances.all_mut().find(|it| own(&it.tags)).unwrap();
        second.state = "stopped".to_owned();
    });
    let (plan, drifts) = site.plan_refreshed(pool(3, "m5.large")).await;
    assert!(!drifts.is_empty());
    let ids = plan.steps.iter().map(|step| step.id().as_str());
    let order: Vec<_> = ids.filter(|id| id.ends_with("/instance")).collect();
    assert!(order.len() == 3 && order[0].contains("/machine/1/"), "{order:?}");
    site.aws.watch(REGION, healthy);
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.aws.fewest(), 2);
    is_as_new(&site, || pool(3, "m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_start_is_put_back_and_stops_those_after_it() {
    let of_image =
        TargetSettings { image: Some(ImageId::new(IMAGE).unwrap()), ..of_type("m3.medium") };
    let site = Site::new(&pool(3, "m3.medium"), 98);
    site.deploy(pool(3, "m3.medium")).await;
    let before = machines(&site);
    site.aws.watch(REGION, healthy);
    site.aws.by_hand(REGION, |world| world.broken.insert(IMAGE.to_owned()));
    let plan = site.plan(balanced(3, &of_image)).await;
    let report = site.carry_out(&plan).await;
    let told = ends(&report);
    assert!(told.contains("machine/0/instance: Failed"), "{told}");
    assert!(told.contains("machine/1/instance: Waits"), "{told}");
    assert!(told.contains("machine/2/instance: Waits"), "{told}");
    assert_eq!(machines(&site).intersection(&before).count(), 2);
    assert_eq!(site.aws.by_hand(REGION, |world| healthy(world)), 3, "it is put back");
    // What was registered before is so again, and the account tells.
    let (_, drifts) = site.plan_refreshed(pool(3, "m3.medium")).await;
    assert!(drifts.iter().all(|line| !line.contains("/machines/")), "{drifts:?}");
    site.aws.by_hand(REGION, |world| world.broken.clear());
    site.deploy(balanced(3, &of_image)).await;
    assert_eq!(site.aws.fewest(), 2);
    is_as_new(&site, || balanced(3, &of_image)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_cut_off_at_any_call_that_writes_goes_on_or_back_in_turn() {
    let (before, after) = (|| pool(3, "m3.medium"), || pool(3, "m5.large"));
    in_turn_wherever_it_is_cut_off(before, after, healthy).await;
}

/// Two machines of three serve at any time, also where somebody dies at any call that writes, and
/// somebody else goes on or back.
async fn in_turn_wherever_it_is_cut_off(
    before: impl Fn() -> Deployment,
    after: impl Fn() -> Deployment,
    serving: fn(&World) -> usize,
) {
    let (before, after) = (&before, &after);
    let calm = Site::new(&before(), 30);
    calm.deploy(before()).await;
    let (unchanged, first) = (calm.aws.inventory(), calm.aws.write_calls());
    calm.deploy(after()).await;
    let (changed, all) = (calm.aws.inventory(), calm.aws.write_calls());
    assert!(all > first + 20, "{first} {all}");
    let deaths = (first..all).flat_map(|at| [(at, Death::Before), (at, Death::After)]);
    let runs = deaths.map(|(at, death)| {
        let (changed, unchanged) = (&changed, &unchanged);
        async move {
            for (forth, wanted) in [(true, changed), (false, unchanged)] {
                let next = || if forth { after() } else { before() };
                let site = Site::new(&before(), 30);
                site.deploy(before()).await;
                site.aws.watch(REGION, serving);
                site.aws.mood(|mood| mood.dies_at = Some((at, death)));
                let plan = site.plan(after()).await;
                site.carry_out_and_die(&plan).await;
                // Nobody can settle by what AWS does not show yet.
                tokio::time::sleep(Duration::from_secs(5)).await;
                site.settle().await;
                site.deploy(next()).await;
                let told = format!("cut off at {at}, {death:?}, then on: {forth}");
                assert_eq!(beyond(&site.aws.inventory(), wanted), [""; 0], "{told}");
                assert!(site.aws.fewest() >= 2, "{told}: {} served", site.aws.fewest());
                assert_eq!(site.aws.by_hand(REGION, |world| serving(world)), 3, "{told}");
                assert_eq!(site.plan_refreshed(next()).await.1, [""; 0], "{told}");
            }
        }
    });
    join_all(runs).await;
}

#[tokio::test(start_paused = true)]
async fn all_but_one_machine_of_a_pool_serve_while_the_port_changes_that_they_serve_at() {
    for seed in 104..107 {
        let site = Site::new(&at_port(8080), seed);
        site.deploy(at_port(8080)).await;
        site.aws.watch(REGION, served);
        site.deploy(at_port(9090)).await;
        assert_eq!(site.aws.fewest(), 2, "seed {seed}");
        assert_eq!(site.aws.by_hand(REGION, |world| served(world)), 3);
        is_as_new(&site, || at_port(9090)).await;
        site.destroy().await;
        assert_eq!(site.aws.inventory(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_keeps_its_target_group_where_machines_serve_at_another_port() {
    let site = || Site::new(&at_port(8080), 108);
    let (site, fresh) = (site(), site());
    scenario::a_listener_keeps_its_target_group_where_machines_serve_at_another_port(&site, &fresh)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_port_that_is_cut_off_at_any_call_that_writes_goes_on_or_back_in_turn() {
    in_turn_wherever_it_is_cut_off(|| at_port(8080), || at_port(9090), served).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_serve_at_the_new_port_stops_those_after_it() {
    let site = Site::new(&at_port(8080), 107);
    site.deploy(at_port(8080)).await;
    site.aws.watch(REGION, served);
    site.aws.by_hand(REGION, |world| world.silent.insert(9090));
    let told = ends(&site.carry_out(&site.plan(at_port(9090)).await).await);
    assert!(told.contains("at port 9090 is unhealthy"), "{told}");
    assert_eq!(
        site.aws.by_hand(REGION, |world| served(world)),
        2,
        "the others serve at the old one"
    );
    site.aws.by_hand(REGION, |world| world.silent.clear());
    site.deploy(at_port(9090)).await;
    assert_eq!(site.aws.fewest(), 2);
    is_as_new(&site, || at_port(9090)).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_comes_or_goes_leaves_the_others_alone_and_ends_what_it_is_at() {
    let site = Site::new(&pool(3, "m5.large"), 100);
    site.deploy(pool(3, "m5.large")).await;
    let three = machines(&site);
    site.aws.take_writes();
    site.deploy(pool(4, "m5.large")).await;
    assert!(machines(&site).is_superset(&three));
    let writes = site.aws.take_writes();
    let count = |what: &str| writes.iter().filter(|it| *it == what).count();
    assert_eq!((count("RunInstances"), count("RegisterTargets")), (1, 1), "{writes:?}");
    assert_eq!((count("TerminateInstances"), count("DeregisterTargets")), (0, 0), "{writes:?}");
    is_as_new(&site, || pool(4, "m5.large")).await;

    let began = tokio::time::Instant::now();
    site.deploy(pool(3, "m5.large")).await;
    assert!(began.elapsed().as_secs() >= 300, "it has the time that AWS gives by itself");
    assert_eq!(machines(&site), three);
    let writes = site.aws.take_writes();
    let at = |what: &str| writes.iter().position(|it| it == what).unwrap();
    assert!(at("DeregisterTargets") < at("TerminateInstances"), "{writes:?}");
    is_as_new(&site, || pool(3, "m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_goes_serves_until_the_others_are_changed() {
    let site = Site::new(&pool(3, "m3.medium"), 101);
    site.deploy(pool(3, "m3.medium")).await;
    site.aws.watch(REGION, healthy);
    site.deploy(pool(2, "m5.large")).await;
    assert_eq!(site.aws.fewest(), 2);
    is_as_new(&site, || pool(2, "m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn sixty_machines_take_part_in_one_target_group() {
    let site = Site::new(&pool(60, "m5.large"), 102);
    site.aws.by_hand(REGION, |world| world.more = 60);
    site.aws.mood(|mood| mood.page = 1000);
    site.deploy(pool(60, "m5.large")).await;
    assert_eq!(site.aws.by_hand(REGION, |world| healthy(world)), 60);
    let (plan, drifts) = site.plan_refreshed(pool(60, "m5.large")).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn one_of_several_machines_that_was_taken_out_by_hand_is_told_and_registered_again() {
    let site = Site::new(&pool(3, "m5.large"), 103);
    site.deploy(pool(3, "m5.large")).await;
    site.aws.by_hand(REGION, |world| {
        let group = world.targets.values_mut().next().unwrap();
        let first = group.all().next().unwrap().clone();
        group.take(&seat(&first.id, first.port));
    });
    let (plan, drifts) = site.plan_refreshed(pool(3, "m5.large")).await;
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    assert!(drifts[0].contains("/machines/pool/") && drifts[0].ends_with(": it is gone"));
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.aws.by_hand(REGION, |world| healthy(world)), 3);
}
