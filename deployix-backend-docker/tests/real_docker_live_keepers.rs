//! Two histories of one name on one engine: what one of them keeps the other leaves as it is.
//!
//! This test needs a Docker engine and the image `debian:bookworm-slim`; `scripts/test` brings both.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod live;
#[expect(dead_code, reason = "each test binary uses its part")]
mod perl;
#[expect(dead_code, reason = "each test binary uses its part")]
mod real;
#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use std::collections::BTreeSet;

use deployix_core::{
    HistoryId,
    backend::{ErrorKind, Keeper},
    plan::{Only, destroy},
    spec::Deployment,
};

use crate::{
    live::World,
    perl::{deployment, server},
    stage::functionality,
};

fn history(digit: &str) -> HistoryId {
    HistoryId::new(digit.repeat(32)).unwrap()
}

/// A page with a database, which keeps state and knows a secret.
fn shop() -> Deployment {
    let db = server(&["5432"])
        .env("GREETING", "${secret:greeting}")
        .state("/var/lib/db")
        .build()
        .unwrap();
    let web = server(&["80"]).env("GREETING", "web").build().unwrap();
    let shared =
        [functionality("db", db, &[]).shared(), functionality("web", web, &["db"]).shared()];
    deployment("keepers", "10.214.208.0/20", shared.into_iter().collect())
}

fn world(keeper: Keeper) -> World {
    let mut world = World::new(&shop()).with_secret("greeting", "hello");
    world.keeper = Some(keeper);
    world
}

#[test]
fn what_another_history_keeps_stays_until_it_is_taken_over() {
    let mut first = world(Keeper::new(history("a"), []));
    first.deploy(shop()).unwrap();
    let before =
        (first.containers(), ["network", "volume", "image"].map(|kind| first.listed(kind)));
    let kept: BTreeSet<_> = first.observed().into_values().map(|seen| seen.kept_by).collect();
    assert_eq!(kept, [Some(history("a"))].into());

    // Each step alone, making and removing, of somebody who knows all that stands.
    let mut second = world(Keeper::new(history("b"), []));
    let making = second.plan(shop());
    let removing = destroy(&making.deployment, &first.heads, &Only::All, true).value;
    let kinds: BTreeSet<_> =
        making.steps.iter().filter_map(|step| step.id().as_str().split('/').nth(2)).collect();
    assert_eq!(kinds, ["image", "instance", "network", "volume"].into());
    for (plan, step) in [&making, &removing]
        .into_iter()
        .flat_map(|plan| plan.steps.iter().map(move |step| (plan, step)))
    {
        let error = second.carry_out_one(plan, step).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("is kept by another history, aaaaaaaaaaaa,"), "{told}");
        assert!(error.is_as_it_was() && error.kind() == ErrorKind::Conflict, "{told}");
    }
    let now = (first.containers(), ["network", "volume", "image"].map(|kind| first.listed(kind)));
    assert_eq!(now, before);

    // Labels never change, so all stays as it is, and goes.
    second.keeper = Some(Keeper::new(history("b"), [history("a")]));
    second.deploy(shop()).unwrap();
    assert_eq!(second.containers(), before.0);
    second.remove_all();
}
