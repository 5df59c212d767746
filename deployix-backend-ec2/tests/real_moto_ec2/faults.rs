//! Calls that are throttled, fail, hang or are cut off at the wire: what stands is what is wanted,
//! once.

use crate::{
    moto::Moto,
    site::{Account, Site, beyond, hydra},
};

#[tokio::test]
async fn a_deploy_of_which_a_third_of_the_calls_fail_ends_with_exactly_what_is_wanted() {
    let calm = Site::of(Moto::new().await, &hydra());
    calm.deploy(hydra()).await;
    let wanted = calm.aws.things().await;

    let site = Site::of(Moto::new().await, &hydra());
    site.aws.proxy.mood(|mood| (mood.faults, mood.seed) = (30, 1));
    site.deploy(hydra()).await;
    assert_eq!(beyond(&site.aws.things().await, &wanted), [""; 0]);
    let (plan, drifts) = site.plan_refreshed(hydra()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.things().await, [""; 0]);

    let (faults, calls) = (site.aws.proxy.faults(), site.aws.calls());
    let all: u64 = faults.values().sum();
    assert!((calls / 5..calls / 2).contains(&all), "{all} of {calls} calls");
    for fault in ["Throttled", "Fails", "Hangs", "Cut"] {
        assert!(faults.keys().any(|it| it.starts_with(fault)), "{fault}: {faults:?}");
    }
}
