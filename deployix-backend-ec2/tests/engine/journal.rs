//! Whoever dies right before or right after any entry of the history's log is followed by somebody
//! who puts everything right.

use std::sync::Arc;

use deployix_core::{
    execute::{ApplyOptions, Interrupt, apply},
    history::{History, Holder},
    plan::Plan,
    spec::Deployment,
};
use tokio::sync::Notify;

use crate::{
    deadly::{Deadly, Death, When},
    faults::everything,
    site::{Site, beyond, ends},
    turns::pool,
};

/// Carries a plan out as a process that dies at an entry of the log; whether it survived.
pub(crate) async fn survives(site: &Site, plan: &Plan, death: Death) -> bool {
    let died = Arc::new(Notify::new());
    let deadly = Deadly::new(site.store.clone(), death, {
        let died = died.clone();
        move || died.notify_one()
    });
    let history = History::open(Arc::new(deadly), &site.name).await.unwrap();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let mut options = ApplyOptions::new();
    options.by = Holder::current();
    options.by.process = gone.id();
    options.secrets = site.secrets.clone();
    let (registry, interrupt) = (site.registry(), Interrupt::default());
    tokio::select! {
        report = apply(plan, &history, &registry, &options, &interrupt, None) => {
            assert!(report.is_good(), "{}", ends(&report));
            true
        }
        () = died.notified() => false,
    }
}

/// Dies at every entry of what `plan` makes of a site, and looks at what stands of a deployment once
/// `again` was carried out after it. Gives how often somebody died.
async fn dies_everywhere<P, A>(
    plan: P,
    again: A,
    deployment: fn() -> Deployment,
    wanted: &[String],
) -> usize
where
    P: AsyncFn(u64) -> (Site, Plan),
    A: AsyncFn(&Site),
{
    let mut deaths = 0;
    for when in [When::Before, When::After] {
        for entry in 0.. {
            let death = Death { when, entry };
            let (site, plan) = plan(50).await;
            if survives(&site, &plan, death).await {
                break;
            }
            deaths += 1;
            site.settle().await;
            again(&site).await;
            assert_eq!(beyond(&site.aws.inventory(), wanted), [""; 0], "died {death}");
            let heads = site.heads().await;
            assert!(heads.open.is_empty() && heads.runs.is_empty(), "died {death}");
            if !wanted.is_empty() {
                let (plan, drifts) = site.plan_refreshed(deployment()).await;
                assert_eq!((plan.steps.len(), drifts), (0, Vec::new()), "died {death}");
            }
        }
    }
    deaths
}

async fn deployed(deployment: Deployment, seed: u64) -> Site {
    let site = Site::new(&deployment, seed);
    site.deploy(deployment).await;
    site
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_dies_at_any_entry_of_the_log_is_taken_up_and_leaves_nothing_over() {
    let wanted = deployed(everything(), 50).await.aws.inventory();
    let deaths = dies_everywhere(
        async |seed| {
            let site = Site::new(&everything(), seed);
            let plan = site.plan(everything()).await;
            (site, plan)
        },
        async |site| {
            site.deploy(everything()).await;
        },
        everything,
        &wanted,
    )
    .await;
    assert!(deaths > 100, "{deaths} deaths");
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_dies_at_any_entry_of_the_log_is_taken_up_and_leaves_nothing_over() {
    let deaths = dies_everywhere(
        async |seed| {
            let site = deployed(everything(), seed).await;
            let plan = site.plan_to_destroy().await;
            (site, plan)
        },
        async |site| site.destroy().await,
        everything,
        &[],
    )
    .await;
    assert!(deaths > 100, "{deaths} deaths");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_pool_that_dies_at_any_entry_of_the_log_is_taken_up_and_leaves_nothing_over()
{
    let after = || pool(2, "m5.large");
    let wanted = deployed(after(), 51).await.aws.inventory();
    let deaths = dies_everywhere(
        async |seed| {
            let site = deployed(pool(2, "m3.medium"), seed).await;
            let plan = site.plan(after()).await;
            (site, plan)
        },
        async |site| {
            site.deploy(after()).await;
        },
        after,
        &wanted,
    )
    .await;
    assert!(deaths > 30, "{deaths} deaths");
}
