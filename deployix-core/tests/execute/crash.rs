//! A run that dies at any moment: the next one ends where it would have, with nothing left over.

use std::{collections::BTreeSet, time::Duration};

use deployix_core::{
    execute::settle,
    plan::{Only, destroy},
};
use futures_util::future::join_all;

use crate::support::{Site, Trouble, Written, deployment, name};

const BEFORE: [Written<'static>; 4] =
    [("web", "1", &["api"]), ("api", "1", &["db"]), ("db", "1", &[]), ("gone", "1", &[])];
const AFTER: [Written<'static>; 5] = [
    ("web", "2", &["api", "new"]),
    ("api", "1", &["db"]),
    ("db", "2", &[]),
    ("new", "1", &[]),
    ("more", "1", &["db"]),
];

/// The world, standing as it did before the run that is to die.
async fn standing() -> Site {
    let site = Site::new();
    assert!(site.deploy(deployment(&BEFORE)).await.is_good());
    site
}

#[tokio::test]
async fn a_run_that_dies_at_any_step_is_taken_up_by_the_next() {
    let site = standing().await;
    let plan = site.plan(deployment(&AFTER), &[]).await;
    assert!(site.carry_out(&plan).await.is_good());
    let expected = site.world().await;
    let steps: Vec<String> =
        plan.steps.iter().map(|step| step.id().as_str().replace("memory/", "")).collect();
    assert!(steps.len() >= 7, "{steps:?}");

    let deaths = steps.iter().flat_map(|step| {
        [Trouble::HangsBefore, Trouble::HangsAfter]
            .map(|trouble| taken_up(step, trouble, &expected))
    });
    join_all(deaths).await;
}

/// A run dies at a step, and the next one ends where it would have.
async fn taken_up(step: &str, trouble: Trouble, expected: &BTreeSet<String>) {
    let site = standing().await;
    site.backend.trouble(step, trouble);
    let plan = site.plan(deployment(&AFTER), &[]).await;
    let died = tokio::time::timeout(Duration::from_millis(500), site.carry_out(&plan)).await;
    assert!(died.is_err(), "{step} hangs");
    site.backend.no_trouble();
    tokio::time::sleep(Duration::from_millis(400)).await;

    let (history, registry) = (site.history().await, site.registry());
    settle(&history, &registry, &name("test")).await.unwrap();
    let report = site.deploy(deployment(&AFTER)).await;
    assert!(report.is_good(), "{step} {trouble:?}: {report:?}");
    assert_eq!(&site.world().await, expected, "{step} {trouble:?}");
    let heads = site.heads().await;
    assert!(heads.open.is_empty() && heads.runs.is_empty(), "{step}: {heads:?}");
    let told: Vec<_> = heads
        .resources
        .values()
        .map(|s| format!("{} {:?}", s.resource.id(), Some(s.resource.digest())))
        .collect();
    assert!(told.iter().eq(expected), "the history tells what stands: {told:?}");
}

#[tokio::test]
async fn what_a_dead_run_began_and_nobody_wants_any_more_goes() {
    let site = standing().await;
    let world = site.world().await;
    site.backend.trouble("functionality/new", Trouble::HangsAfter);
    let plan = site.plan(deployment(&AFTER), &["new"]).await;
    let died = tokio::time::timeout(Duration::from_millis(200), site.carry_out(&plan)).await;
    assert!(died.is_err());
    site.backend.no_trouble();
    tokio::time::sleep(Duration::from_millis(400)).await;
    settle(&site.history().await, &site.registry(), &name("test")).await.unwrap();
    assert!(site.deploy(deployment(&BEFORE)).await.is_good());
    assert_eq!(site.world().await, world);
}

#[tokio::test]
async fn what_is_tried_again_is_told_since_when_and_anew_once_it_was_done() {
    const DB: &str = "functionality/db";
    let wanted = || deployment(&[("db", "1", &[])]);
    let site = Site::new();
    // A provider may show only later what was done, so nothing of this makes it another wish.
    for trouble in [Trouble::FailsAsItWas, Trouble::Fails, Trouble::HangsBefore] {
        site.backend.trouble(DB, trouble);
        let plan = site.plan(wanted(), &[]).await;
        let _ = tokio::time::timeout(Duration::from_millis(200), site.carry_out(&plan)).await;
        site.backend.no_trouble();
        tokio::time::sleep(Duration::from_millis(400)).await;
        settle(&site.history().await, &site.registry(), &name("test")).await.unwrap();
    }
    let tried = || {
        let all = site.backend.tried.lock().unwrap();
        let own = all.iter().filter(|(id, _)| id.ends_with(DB));
        own.map(|(_, since)| *since).collect::<Vec<_>>()
    };
    assert!(site.deploy(wanted()).await.is_good());
    let first = tried();
    assert_eq!(first.len(), 4, "{first:?}");
    assert!(first[0] > 0 && first.iter().all(|since| *since == first[0]), "{first:?}");
    assert!(site.heads().await.tried.is_empty());

    let gone = destroy(&name("test"), &site.heads().await, &Only::All, true).value;
    assert!(site.carry_out(&gone).await.is_good());
    assert!(site.deploy(wanted()).await.is_good());
    let last = *tried().last().unwrap();
    assert!(last > first[0], "{last} after {first:?}");
}
