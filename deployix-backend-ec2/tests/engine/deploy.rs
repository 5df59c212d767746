//! Deploying, changing, removing.

use deployix_backend_ec2::extension::{LocationSettings, TargetSettings};
use deployix_core::{plan::PlannedAction, spec::Deployment};

use crate::{
    site::{Site, hydra},
    support::{With, deployment, functionality},
};

fn pair() -> Deployment {
    deployment(vec![functionality("web", 8080, &["db"]), functionality("db", 5432, &[])])
}

fn location() -> LocationSettings {
    LocationSettings {
        region: Some("eu-central-1".into()),
        zones: vec!["eu-central-1a".into(), "eu-central-1b".into()],
    }
}

#[tokio::test(start_paused = true)]
async fn hydra_deploys_deploys_again_with_no_call_that_writes_and_leaves_an_empty_account() {
    let site = Site::new(&hydra(), 1);
    site.deploy(hydra()).await;
    let stands = site.aws.inventory();
    assert!(stands.iter().any(|line| line.contains("instance running")), "{stands:#?}");
    assert!(stands.iter().any(|line| line.contains("balancer active")), "{stands:#?}");
    site.aws.take_writes();

    let again = site.plan(hydra()).await;
    assert_eq!(again.steps.len(), 0);
    let (again, drifts) = site.plan_refreshed(hydra()).await;
    assert_eq!(drifts, [""; 0]);
    assert_eq!(again.steps.len(), 0);
    assert_eq!(site.aws.take_writes(), [""; 0]);

    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_functionality_calls_for_it_alone() {
    let two = |port| {
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
    };
    let site = Site::new(&two(8080), 2);
    site.deploy(two(8080)).await;
    let before = site.aws.inventory();
    site.aws.take_writes();
    let plan = site.plan(two(8081)).await;
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
    let after = site.aws.inventory();
    assert_eq!(after.len(), before.len(), "nothing is left over: {after:#?}");
    let changed: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.iter().all(|line| !line.contains("/two/")), "{changed:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_functionality_that_goes_takes_its_rules_and_groups_along() {
    let site = Site::new(&pair(), 3);
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
    let left = site.aws.inventory();
    assert!(left.iter().all(|line| !line.contains("web") && !line.contains("/one/")), "{left:#?}");
    assert!(left.iter().any(|line| line.contains("instance running")), "{left:#?}");
    let other = Site::new(&pair(), 4);
    other.deploy(alone()).await;
    assert_eq!(left, other.aws.inventory(), "as if it had never been there");
}

#[tokio::test(start_paused = true)]
async fn a_pool_and_two_networks_that_talk_over_ipsec_come_and_go() {
    let wanted = || {
        pair()
            .pool("front", 2, "m")
            .machine("back", Some("n"))
            .placed("web", "front")
            .placed("db", "back")
            .located("m", &location())
            .located("n", &location())
    };
    let site = Site::new(&wanted(), 5);
    site.deploy(wanted()).await;
    let stands = site.aws.inventory();
    let vpcs = stands.iter().filter(|line| line.contains(" vpc ")).count();
    assert_eq!(vpcs, 2, "two networks never share one: {stands:#?}");
    let (plan, drifts) = site.plan_refreshed(wanted()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

fn fleet(min: u32, kind: &str) -> Deployment {
    let settings =
        TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() };
    deployment(vec![functionality("web", 8080, &[])])
        .autoscaling("fleet", min, 6, "n")
        .placed("web", "fleet")
        .located("n", &location())
        .target_settings("fleet", &settings)
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

#[tokio::test(start_paused = true)]
async fn an_autoscaling_group_behind_a_load_balancer_comes_grows_is_refreshed_and_goes() {
    let site = Site::new(&fleet(2, "m5.large"), 6);
    site.deploy(fleet(2, "m5.large")).await;
    let count = || {
        let all = site.aws.inventory();
        all.iter().filter(|line| line.contains("instance running")).count()
    };
    assert_eq!(count(), 2);

    site.aws.take_writes();
    site.deploy(fleet(3, "m5.large")).await;
    assert_eq!(count(), 3);
    let writes = site.aws.take_writes();
    assert!(!writes.contains(&"StartInstanceRefresh".to_owned()), "{writes:?}");

    site.deploy(fleet(3, "m3.medium")).await;
    let writes = site.aws.take_writes();
    assert!(writes.contains(&"StartInstanceRefresh".to_owned()), "{writes:?}");
    let of_type = |kind: &str| {
        site.aws.by_hand("eu-central-1", |world| {
            let live = world.instances.all().filter(|it| it.state == "running");
            live.filter(|it| it.instance_type == kind).count()
        })
    };
    assert_eq!((of_type("m5.large"), of_type("m3.medium")), (0, 3));
    let all = site.aws.inventory();
    assert_eq!(all.iter().filter(|line| line.contains(" template ")).count(), 1, "{all:#?}");

    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}
