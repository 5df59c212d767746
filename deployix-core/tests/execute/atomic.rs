//! Sets of functionalities that succeed or are put back together.

use deployix_core::{
    backend::Owner,
    execute::{Fate, Report},
};

use crate::support::{Site, Trouble, Written, deployment, name};

fn owner(text: &str) -> Owner {
    Owner::Functionality(name(text))
}

async fn deploy_together(site: &Site, written: &[Written<'_>], set: &[&str]) -> Report {
    let mut plan = site.plan(deployment(written), &[]).await;
    plan.atomic = vec![set.iter().map(|text| name(text)).collect()];
    site.carry_out(&plan).await
}

#[tokio::test]
async fn a_set_of_which_one_fails_is_put_back_and_the_rest_stays() {
    let site = Site::new();
    let before: [Written<'_>; 2] = [("a", "1", &[]), ("b", "1", &["a"])];
    assert!(site.deploy(deployment(&before)).await.is_good());
    let world = site.world().await;

    site.backend.trouble("functionality/b", Trouble::FailsAsItWas);
    site.backend.done();
    let after: [Written<'_>; 4] =
        [("a", "2", &[]), ("b", "2", &["a"]), ("c", "1", &[]), ("other", "1", &[])];
    let report = deploy_together(&site, &after, &["a", "b", "c"]).await;
    assert!(!report.is_good());
    assert_eq!(report.fates[&owner("a")], Fate::PutBack);
    assert_eq!(report.fates[&owner("c")], Fate::PutBack);
    assert!(matches!(report.fates[&owner("b")], Fate::Failed { .. }), "{report:?}");
    assert_eq!(report.fates[&owner("other")], Fate::Deployed);
    let now = site.world().await;
    let new: Vec<_> = now.difference(&world).collect();
    assert!(new.len() == 1 && new[0].starts_with("memory/functionality/other"), "{new:?}");
    assert!(world.is_subset(&now), "{now:?}");
    let plan = site.plan(deployment(&before), &["a", "b"]).await;
    assert!(plan.steps.is_empty(), "the history tells the same: {plan:?}");
}

#[tokio::test]
async fn a_set_that_succeeds_stays() {
    let site = Site::new();
    let written: [Written<'_>; 2] = [("a", "1", &[]), ("b", "1", &["a"])];
    let report = deploy_together(&site, &written, &["a", "b"]).await;
    assert!(report.is_good(), "{report:?}");
    assert!(site.plan(deployment(&written), &[]).await.steps.is_empty());
}

#[tokio::test]
async fn what_goes_with_a_set_stays_where_the_set_fails() {
    let site = Site::new();
    assert!(site.deploy(deployment(&[("a", "1", &[]), ("gone", "1", &[])])).await.is_good());
    let world = site.world().await;
    site.backend.trouble("functionality/a", Trouble::FailsAsItWas);
    let report = deploy_together(&site, &[("a", "2", &[])], &["a", "gone"]).await;
    assert_eq!(report.fates[&owner("gone")], Fate::Blocked { by: vec![owner("a")] });
    assert_eq!(site.world().await, world);
}
