//! What has to come true in every account, whoever plays AWS there.

use deployix_backend_ec2::extension::{LocationSettings, NetworkSettings, TargetSettings};
use deployix_core::{plan::PlannedAction, spec::Deployment};

use crate::{
    site::{Account, Site, hydra},
    support::{With, deployment, functionality},
};

pub(crate) fn pair() -> Deployment {
    deployment(vec![functionality("web", 8080, &["db"]), functionality("db", 5432, &[])])
}

pub(crate) fn location() -> LocationSettings {
    LocationSettings {
        region: Some("eu-central-1".into()),
        zones: vec!["eu-central-1a".into(), "eu-central-1b".into()],
        ..LocationSettings::default()
    }
}

pub(crate) async fn hydra_deploys_deploys_again_with_no_call_that_writes_and_goes<A: Account>(
    site: &Site<A>,
) {
    site.deploy(hydra()).await;
    let stands = site.aws.things().await;
    assert!(stands.iter().any(|line| line.contains("instance running")), "{stands:#?}");
    assert!(stands.iter().any(|line| line.contains("balancer active")), "{stands:#?}");
    let (calls, writes) = (site.aws.calls(), site.aws.take_writes());
    let made = site.heads().await.resources.len();
    assert!(writes.len() < 2 * made, "{} calls write {made} resources", writes.len());

    let again = site.plan(hydra()).await;
    assert_eq!(again.steps.len(), 0);
    assert_eq!(site.aws.calls(), calls, "the history knows");
    let (again, drifts) = site.plan_refreshed(hydra()).await;
    let looks = site.aws.calls() - calls;
    assert!(looks < 40, "{looks} calls to look at {made} resources");
    assert_eq!(drifts, [""; 0]);
    assert_eq!(again.steps.len(), 0);
    assert!(site.carry_out(&again).await.is_good());
    assert_eq!(site.aws.take_writes(), [""; 0]);

    site.destroy().await;
    assert_eq!(site.aws.things().await, [""; 0]);
}

pub(crate) fn three(port: u16) -> Deployment {
    deployment(vec![
        functionality("web", port, &["db"]),
        functionality("db", 5432, &[]),
        functionality("other", 7000, &[]),
    ])
    .machine("one", Some("n"))
    .machine("two", Some("n"))
    .placed("web", "one")
    .placed("db", "two")
    .placed("other", "two")
    .located("n", &location())
}

pub(crate) async fn a_change_of_one_functionality_calls_for_it_alone<A: Account>(site: &Site<A>) {
    site.deploy(three(8080)).await;
    let before = site.aws.things().await;
    site.aws.take_writes();
    let plan = site.plan(three(8081)).await;
    let touched: Vec<_> = plan.steps.iter().map(|step| step.id().as_str().to_owned()).collect();
    assert!(!touched.is_empty());
    assert!(touched.iter().all(|id| !id.contains("/two/") && !id.contains("other")), "{touched:?}");
    let replaced = plan.steps.iter().find(|step| step.id().as_str().ends_with("/instance"));
    assert_eq!(replaced.unwrap().action, PlannedAction::Replace);
    assert!(replaced.unwrap().gap.is_some());
    assert!(site.carry_out(&plan).await.is_good());
    let writes = site.aws.take_writes();
    let ended = writes.iter().filter(|it| *it == "TerminateInstances").count();
    let started = writes.iter().filter(|it| *it == "RunInstances").count();
    assert_eq!((ended, started), (1, 1), "{writes:?}");
    let after = site.aws.things().await;
    assert_eq!(after.len(), before.len(), "nothing is left over: {after:#?}");
    let changed: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.iter().all(|line| !line.contains("/two/")), "{changed:#?}");
}

pub(crate) async fn a_functionality_that_goes_takes_its_rules_and_groups_along<A: Account>(
    site: &Site<A>,
    other: &Site<A>,
) {
    let both = || pair().machine("one", Some("n")).machine("two", Some("n"));
    let both = || both().placed("web", "one").placed("db", "two").located("n", &location());
    site.deploy(both()).await;
    let alone = || {
        deployment(vec![functionality("db", 5432, &[])])
            .machine("two", Some("n"))
            .placed("db", "two")
            .located("n", &location())
    };
    site.deploy(alone()).await;
    let left = site.aws.things().await;
    assert!(left.iter().all(|line| !line.contains("web") && !line.contains("/one/")), "{left:#?}");
    assert!(left.iter().any(|line| line.contains("instance running")), "{left:#?}");
    other.deploy(alone()).await;
    assert_eq!(left, other.aws.things().await, "as if it had never been there");
}

/// Two machines that talk to each other, in one subnet.
pub(crate) fn two(zones: &[&str], block: Option<&str>) -> Deployment {
    let location =
        LocationSettings { zones: zones.iter().map(|&it| it.to_owned()).collect(), ..location() };
    let subnet_cidrs = block.map(|it| it.parse().unwrap()).into_iter().collect();
    pair()
        .machine("one", Some("n"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("db", "two")
        .located("n", &location)
        .network_settings("n", &NetworkSettings { subnet_cidrs, ..NetworkSettings::default() })
}

pub(crate) async fn machines_follow_their_subnet<A: Account>(site: &Site<A>, fresh: &Site<A>) {
    let (zone, block) = (["eu-central-1a"], Some("10.0.64.0/20"));
    site.deploy(two(&zone, None)).await;
    let before = site.aws.things().await;
    site.deploy(two(&zone, block)).await;
    let after = site.aws.things().await;
    assert_ne!(before, after);
    fresh.deploy(two(&zone, block)).await;
    assert_eq!(after, fresh.aws.things().await, "as if it had never been elsewhere");
    let (plan, drifts) = site.plan_refreshed(two(&zone, block)).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
}

/// Two machines that talk to each other, one of them with its name at a load balancer, in a network.
pub(crate) fn in_network(network: &str) -> Deployment {
    let location = LocationSettings { zones: vec!["eu-central-1a".into()], ..location() };
    pair()
        .machine("one", Some(network))
        .machine("two", Some(network))
        .placed("web", "one")
        .placed("db", "two")
        .located(network, &location)
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

pub(crate) async fn machines_move_to_another_network<A: Account>(site: &Site<A>, fresh: &Site<A>) {
    site.deploy(in_network("n")).await;
    let before = site.aws.things().await;
    site.deploy(in_network("m")).await;
    let after = site.aws.things().await;
    assert_ne!(before, after);
    fresh.deploy(in_network("m")).await;
    assert_eq!(after, fresh.aws.things().await, "as if it had never been elsewhere");
    let (plan, drifts) = site.plan_refreshed(in_network("m")).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.things().await, [""; 0]);
}

/// A machine that serves at a port, behind a load balancer.
fn serving(port: u16) -> Deployment {
    deployment(vec![functionality("web", port, &[])])
        .machine("one", Some("n"))
        .placed("web", "one")
        .located("n", &location())
        .balancer("front", "web.example.com", (443, port), &["0.0.0.0/0"])
}

pub(crate) async fn a_listener_keeps_its_target_group_where_machines_serve_at_another_port<
    A: Account,
>(
    site: &Site<A>,
    fresh: &Site<A>,
) {
    site.deploy(serving(8080)).await;
    site.aws.take_writes();
    site.deploy(serving(9090)).await;
    let writes = site.aws.take_writes();
    for operation in ["CreateTargetGroup", "ModifyListener", "CreateListener"] {
        assert!(!writes.iter().any(|it| it == operation), "{writes:?}");
    }
    fresh.deploy(serving(9090)).await;
    assert_eq!(site.aws.things().await, fresh.aws.things().await);
    let (plan, drifts) = site.plan_refreshed(serving(9090)).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
}

pub(crate) fn two_networks() -> Deployment {
    pair()
        .pool("front", 2, "m")
        .machine("back", Some("n"))
        .placed("web", "front")
        .placed("db", "back")
        .located("m", &location())
        .located("n", &location())
}

pub(crate) async fn a_pool_and_two_networks_that_talk_over_ipsec_come_and_go<A: Account>(
    site: &Site<A>,
) {
    site.deploy(two_networks()).await;
    let stands = site.aws.things().await;
    let vpcs = stands.iter().filter(|line| line.contains(" vpc ")).count();
    assert_eq!(vpcs, 2, "two networks never share one: {stands:#?}");
    let (plan, drifts) = site.plan_refreshed(two_networks()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.things().await, [""; 0]);
}

pub(crate) fn balanced(kind: &str, open_to: &[&str]) -> Deployment {
    let settings =
        TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() };
    deployment(vec![functionality("web", 8080, &[])])
        .machine("one", Some("n"))
        .placed("web", "one")
        .located("n", &location())
        .target_settings("one", &settings)
        .balancer("front", "web.example.com", (443, 8080), open_to)
}

pub(crate) async fn a_load_balancer_that_is_opened_to_everybody_is_made_before_the_old_one_goes<
    A: Account,
>(
    site: &Site<A>,
    fresh: &Site<A>,
) {
    site.deploy(balanced("m5.large", &["10.0.0.0/8"])).await;
    site.aws.take_writes();
    site.deploy(balanced("m5.large", &["0.0.0.0/0"])).await;
    let writes = site.aws.take_writes();
    let at = |operation: &str| writes.iter().position(|it| it == operation).unwrap();
    assert!(at("CreateLoadBalancer") < at("CreateListener"), "{writes:?}");
    assert!(at("CreateListener") < at("DeleteLoadBalancer"), "{writes:?}");
    fresh.deploy(balanced("m5.large", &["0.0.0.0/0"])).await;
    assert_eq!(site.aws.things().await, fresh.aws.things().await);
}

pub(crate) async fn a_machine_ends_what_it_is_at_before_it_goes<A: Account>(site: &Site<A>) {
    site.deploy(balanced("m5.large", &["0.0.0.0/0"])).await;
    site.aws.take_writes();
    site.deploy(balanced("m3.medium", &["0.0.0.0/0"])).await;
    let writes = site.aws.take_writes();
    let at = |operation: &str| writes.iter().position(|it| it == operation).unwrap();
    assert!(at("DeregisterTargets") < at("TerminateInstances"), "{writes:?}");
    assert!(at("RunInstances") < at("RegisterTargets"), "{writes:?}");
    let machines = site.aws.things().await;
    assert!(machines.iter().any(|line| line.contains("target group 1 ")), "{machines:?}");
}
