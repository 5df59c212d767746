//! Calls that are throttled, fail, hang or are cut off: what stands is what is wanted, once.

use deployix_backend_ec2::extension::{LocationSettings, TargetSettings};
use deployix_core::spec::Deployment;
use futures_util::future::join_all;

use crate::{
    names::zone,
    site::{Hand, Site, beyond, hydra},
    strict::Death,
    support::{With, deployment, functionality, noise},
};

#[tokio::test(start_paused = true)]
async fn a_deploy_of_which_a_third_of_the_calls_fail_ends_with_exactly_what_is_wanted() {
    let calm = Site::new(&hydra(), 20);
    calm.deploy(hydra()).await;
    for seed in 21..27 {
        let site = Site::new(&hydra(), seed);
        site.aws.mood(|mood| mood.faults = 30);
        site.deploy(hydra()).await;
        assert_eq!(beyond(&site.aws.inventory(), &calm.aws.inventory()), [""; 0], "seed {seed}");
        site.destroy().await;
        assert_eq!(site.aws.inventory(), [""; 0], "seed {seed}");
    }
}

/// One of everything: a machine with state, a secret and more to do than it can be told, an autoscaling
/// group, a load balancer, names.
pub(crate) fn everything() -> Deployment {
    let location = LocationSettings {
        region: Some("eu-central-1".into()),
        hosted_zone: Some(zone()),
        staging: Some("s3://boot/machines".parse().unwrap()),
        ..LocationSettings::default()
    };
    let profile =
        TargetSettings { instance_profile: Some("db".to_owned()), ..TargetSettings::default() };
    let service = deployix_core::spec::ServiceSpec::builder(["db"])
        .ship("bin/db", deployix_core::spec::FileContent::program(noise(0, 40_000)))
        .endpoint("main", 5432)
        .state("/var/lib/db")
        .env("PASSWORD", "${secret:db}")
        .build()
        .unwrap();
    let db = deployix_core::spec::FunctionalitySpec::new("db", service).unwrap();
    deployment(vec![db.fqdn("db.example.com").unwrap(), functionality("web", 8080, &["db"])])
        .machine("one", Some("n"))
        .autoscaling("fleet", 1, 2, "n")
        .placed("db", "one")
        .placed("web", "fleet")
        .located("n", &location)
        .target_settings("one", &profile)
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

#[tokio::test(start_paused = true)]
async fn whoever_is_cut_off_at_any_call_that_writes_and_begins_again_makes_nothing_twice() {
    let site = || Site::new(&everything(), 30);
    let calm = site();
    let mut hand = Hand::new(&calm, everything());
    hand.make().await;
    let (wanted, making) = (calm.aws.inventory(), calm.aws.write_calls());
    hand.remove().await;
    let all = calm.aws.write_calls();
    assert_eq!(calm.aws.inventory(), [""; 0]);
    assert!(making > 50 && all > making + 30, "{making} {all}");

    let deaths = (0..all).flat_map(|at| [(at, Death::Before), (at, Death::After)]);
    let runs = deaths.map(|(at, death)| {
        let (wanted, site) = (&wanted, &site);
        async move {
            let site = site();
            site.aws.mood(|mood| mood.dies_at = Some((at, death)));
            let mut hand = Hand::new(&site, everything());
            tokio::select! {
                () = hand.make() => {}
                () = site.aws.died() => {}
            }
            hand.make().await;
            let beyond = beyond(&site.aws.inventory(), wanted);
            assert_eq!(beyond, [""; 0], "made, cut off at {at}, {death:?}");
            tokio::select! {
                () = hand.remove() => {}
                () = site.aws.died() => {}
            }
            hand.remove().await;
            assert_eq!(site.aws.inventory(), [""; 0], "removed, cut off at {at}, {death:?}");
        }
    });
    join_all(runs).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_dies_is_settled_by_what_the_account_shows_and_taken_up() {
    let calm = Site::new(&hydra(), 31);
    calm.deploy(hydra()).await;
    let (wanted, all) = (calm.aws.inventory(), calm.aws.write_calls());
    assert!(all > 50, "{all}");
    for at in (0..all - 10).step_by(5) {
        for death in [Death::Before, Death::After] {
            let site = Site::new(&hydra(), 31);
            site.aws.mood(|mood| mood.dies_at = Some((at, death)));
            let plan = site.plan(hydra()).await;
            site.carry_out_and_die(&plan).await;
            site.settle().await;
            site.deploy(hydra()).await;
            let beyond = beyond(&site.aws.inventory(), &wanted);
            assert_eq!(beyond, [""; 0], "died at {at}, {death:?}");
            let heads = site.heads().await;
            assert!(heads.open.is_empty() && heads.runs.is_empty(), "died at {at}, {death:?}");
            assert_eq!(site.plan_refreshed(hydra()).await.1, [""; 0], "died at {at}, {death:?}");
        }
    }
}
