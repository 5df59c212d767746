//! Listeners come, change and go; machines serve before a deploy says that it is done, and leave with
//! time to end what they are at.

use std::{collections::BTreeSet, num::NonZeroU16};

use deployix_backend_ec2::extension::{LoadBalancerSettings, LocationSettings, TargetSettings};
use deployix_core::spec::{Deployment, FunctionalitySpec, Listener, Listeners, ServiceSpec, Span};

use crate::{
    site::{Site, beyond, ends},
    support::{With, deployment, name},
};

pub(crate) const REGION: &str = "eu-central-1";

/// Two machines behind a load balancer with these listeners.
pub(crate) fn shop(ports: &[(u16, u16)], open_to: &[&str]) -> Deployment {
    let location =
        LocationSettings { region: Some(REGION.to_owned()), ..LocationSettings::default() };
    let service = ServiceSpec::builder(["/bin/web"]).endpoint("http", 8080);
    let service = service.endpoint("https", 8443).build().unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    let mut deployment = deployment(vec![web.replicas(2.try_into().unwrap())])
        .pool("machines", 2, "n")
        .placed("web", "machines")
        .located("n", &location)
        .balancer("front", "web.example.com", ports[0], open_to);
    let port = |port| NonZeroU16::new(port).unwrap();
    let listeners = ports.iter().map(|&(from, to)| Listener::new(port(from), port(to)));
    let balancer = deployment.infrastructure.load_balancers.get_mut(&name("front")).unwrap();
    balancer.listeners = Listeners::new(listeners).unwrap();
    deployment
}

pub(crate) const ALL: [&str; 1] = ["0.0.0.0/0"];

/// Each listener's port, and that of the machines it leads to.
fn leads(site: &Site) -> Vec<(u16, u16)> {
    site.aws.by_hand(REGION, |world| {
        let to = |arn: &str| {
            let ports: BTreeSet<u16> = world.targets[arn].all().map(|it| it.port).collect();
            assert_eq!(ports.len(), 1, "{ports:?}");
            ports.into_iter().next().unwrap()
        };
        let listeners = world.listeners.all();
        let target = |it: &deployix_backend_ec2::engine::shape::Listener| {
            to(&it.default_actions[0].target_group_arn.known().unwrap().0)
        };
        let mut all: Vec<_> = listeners.map(|it| (it.port, target(it))).collect();
        all.sort_unstable();
        all
    })
}

#[tokio::test(start_paused = true)]
async fn listeners_come_and_go_and_lead_elsewhere() {
    let site = Site::new(&shop(&[(443, 8443)], &ALL), 60);
    for ports in [
        &[(443, 8443)][..],
        &[(80, 8080), (443, 8443)],
        &[(80, 8443), (443, 8443)],
        &[(80, 8443), (443, 8080), (8000, 8080)],
        &[(8000, 8443)],
    ] {
        site.deploy(shop(ports, &ALL)).await;
        assert_eq!(leads(&site), ports);
        let fresh = Site::new(&shop(ports, &ALL), 61);
        fresh.deploy(shop(ports, &ALL)).await;
        assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0], "{ports:?}");
        let (plan, drifts) = site.plan_refreshed(shop(ports, &ALL)).await;
        assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    }
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_old_load_balancer_goes_with_the_last_of_its_listeners() {
    let before = || shop(&[(80, 8080), (443, 8443), (8000, 8080)], &["10.0.0.0/8"]);
    let after = || shop(&[(80, 8080), (443, 8443)], &ALL);
    let fresh = Site::new(&after(), 62);
    fresh.deploy(after()).await;
    for seed in 63..69 {
        let site = Site::new(&before(), seed);
        site.deploy(before()).await;
        site.deploy(after()).await;
        assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn machines_at_which_nothing_listens_fail_the_deploy_by_name_and_reason() {
    let ports = [(80, 8080), (443, 8443)];
    let site = Site::new(&shop(&ports, &ALL), 75);
    site.aws.by_hand(REGION, |world| world.silent.insert(8443));
    let plan = site.plan(shop(&ports, &ALL)).await;
    let report = site.carry_out(&plan).await;
    assert!(!report.is_good());
    let told = ends(&report);
    for words in [
        "listener-443",
        "test/machines/0 (i-",
        "test/machines/1 (i-",
        "at port 8443 is unhealthy: Health checks failed, Target.FailedHealthChecks",
        "checked over TCP at that port",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("listener-80:"), "{told}");
    site.aws.by_hand(REGION, |world| world.silent.clear());
    site.deploy(shop(&ports, &ALL)).await;
    assert_eq!(leads(&site), ports);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_takes_anothers_place_serves_before_the_deploy_is_done() {
    let of_type = |kind: &str| {
        let kind = Some(kind.to_owned());
        let settings = TargetSettings { instance_type: kind, ..TargetSettings::default() };
        shop(&[(80, 8080)], &ALL).target_settings("machines", &settings)
    };
    let site = Site::new(&of_type("m5.large"), 76);
    site.deploy(of_type("m5.large")).await;
    site.deploy(of_type("m3.medium")).await;
    site.aws.by_hand(REGION, |world| {
        let states: Vec<_> = world.behind().map(|it| it.state.clone()).collect();
        assert_eq!(states, ["healthy", "healthy"]);
        world.silent.insert(8080);
    });
    let plan = site.plan(of_type("m5.large")).await;
    let told = ends(&site.carry_out(&plan).await);
    assert!(told.contains("target-group-80/network/n/10.0.0.0-20/machines/machines"), "{told}");
    assert!(told.contains("Target.FailedHealthChecks"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_has_the_time_to_leave_that_somebody_set() {
    let shop = |delay: Option<u64>, kind: &str| {
        let machines =
            TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() };
        let settings = LoadBalancerSettings {
            deregistration_delay: delay.map(Span::seconds),
            ..LoadBalancerSettings::default()
        };
        let mut shop = shop(&[(80, 8080)], &ALL).target_settings("machines", &machines);
        let balancer = shop.infrastructure.load_balancers.get_mut(&name("front")).unwrap();
        balancer.extensions.insert(&settings).unwrap();
        shop
    };
    let site = Site::new(&shop(None, "m5.large"), 77);
    site.deploy(shop(None, "m5.large")).await;
    let replaced = async |delay, kind: &str| {
        site.deploy(shop(delay, "m5.large")).await;
        let began = tokio::time::Instant::now();
        site.deploy(shop(delay, kind)).await;
        let took = began.elapsed().as_secs();
        site.deploy(shop(delay, "m5.large")).await;
        took
    };
    let short = replaced(Some(10), "m3.medium").await;
    let long = replaced(Some(3000), "m3.medium").await;
    let usual = replaced(None, "m3.medium").await;
    // One machine after the other.
    assert!(short < 300 && (600..2000).contains(&usual) && long >= 6000, "{short} {usual} {long}");
}
