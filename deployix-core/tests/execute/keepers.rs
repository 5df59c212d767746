//! Histories of one name: what one of them keeps the other neither changes nor removes.

use std::sync::Arc;

use deployix_core::{
    HistoryId,
    backend::OwnedSite,
    execute::{Drift, StepEnd, observe},
    history::{Heads, History, Record, Story},
    plan::{Only, destroy, ordered_by},
};
use futures_util::future::join_all;
use object_store::memory::InMemory;

use crate::support::{Site, Written, deployment, machine, name};

const WRITTEN: [Written<'static>; 2] = [("web", "1", &["db"]), ("db", "1", &[])];

/// The same world, and an empty history.
fn another(site: &Site) -> Site {
    Site { store: Arc::new(InMemory::new()), ..site.clone() }
}

async fn deployed() -> Site {
    let site = Site::new();
    assert!(site.deploy(deployment(&WRITTEN)).await.is_good());
    site
}

async fn id(site: &Site) -> HistoryId {
    site.heads().await.history.expect("it was used")
}

/// What stands, with what is seen where it is to stand.
async fn compared(site: &Site, heads: Heads) -> (Heads, Vec<Drift>) {
    let target = machine();
    let here = deployix_core::backend::Site { target: &target, network: None, location: None };
    observe(&site.registry(), &name("test"), [OwnedSite::from(here)], &heads).await.compare(&heads)
}

/// Every record that a history holds.
async fn records(site: &Site) -> Vec<Record> {
    let entries = site.history().await.entries(0).await.unwrap();
    entries.into_iter().flat_map(|entry| entry.records).collect()
}

#[tokio::test]
async fn an_id_is_the_first_that_a_history_says_and_is_drawn_once() {
    let site = Site::new();
    assert_eq!(site.heads().await.history, None);
    assert!(site.deploy(deployment(&WRITTEN)).await.is_good());
    let first = id(&site).await;
    assert!(site.deploy(deployment(&[("db", "2", &[])])).await.is_good());
    let all = records(&site).await;
    assert_eq!(all.first(), Some(&Record::Identity { history: first.clone() }));
    let drawn = all.iter().filter(|record| matches!(record, Record::Identity { .. }));
    assert_eq!((drawn.count(), id(&site).await), (1, first.clone()));
    assert_ne!(id(&deployed().await).await, first);
}

#[tokio::test]
async fn of_two_that_begin_at_once_one_draws_the_id_for_both() {
    let site = Site::new();
    let plans = ["web", "db", "more"].map(|text| {
        let site = site.clone();
        async move {
            let plan = site.plan(deployment(&[(text, "1", &[])]), &[text]).await;
            site.carry_out(&plan).await
        }
    });
    for report in join_all(plans).await {
        assert!(report.is_good(), "{report:?}");
    }
    let drawn = records(&site).await;
    let drawn = drawn.iter().filter(|record| matches!(record, Record::Identity { .. }));
    assert_eq!(drawn.count(), 1);
    let (_, drifts) = compared(&another(&site), Heads::default()).await;
    let kept: Vec<_> = drifts.into_iter().filter_map(|drift| drift.kept_by).collect();
    assert_eq!(kept, vec![id(&site).await; 3]);
}

#[tokio::test]
async fn what_another_history_keeps_is_told_and_refused_and_stands_as_it_was() {
    let first = deployed().await;
    let (world, keeper) = (first.world().await, id(&first).await);
    let second = another(&first);
    let (heads, drifts) = compared(&second, second.heads().await).await;
    assert_eq!(drifts.len(), world.len());
    for drift in &drifts {
        let told = format!("another history keeps it, {}", keeper.short());
        assert_eq!((&drift.what, &drift.kept_by), (&vec![told], &Some(keeper.clone())));
    }
    assert!(heads.open.is_empty(), "nothing is planned for it: {heads:?}");

    let report = second.deploy(deployment(&[("db", "2", &[])])).await;
    let end = &report.steps["memory/functionality/db"];
    let StepEnd::Failed { error } = end else { panic!("{end:?}") };
    assert!(
        error.contains(&format!("by another history, {}, and stays", keeper.short())),
        "{error}"
    );
    assert!(error.contains(&format!("--take-over {keeper}`")), "{error}");
    let refused: Vec<_> = report.kept_by.iter().map(|(id, by)| (id.as_str(), by)).collect();
    assert_eq!(refused, [("memory/functionality/db", &keeper)]);
    assert!(second.heads().await.open.is_empty(), "nothing is in doubt");
    assert_eq!(first.world().await, world);
    assert!(first.plan(deployment(&WRITTEN), &[]).await.steps.is_empty());
}

#[tokio::test]
async fn what_was_taken_over_is_the_heirs_and_no_longer_the_lost_ones() {
    let lost = deployed().await;
    let (world, keeper) = (lost.world().await, id(&lost).await);
    let mut heir = another(&lost);
    let (as_if, drifts) = compared(&heir, heir.heads().await.taking_over([keeper.clone()])).await;
    assert!(drifts.iter().all(|drift| drift.kept_by.is_none()), "{drifts:?}");
    assert!(records(&heir).await.is_empty(), "looking writes nothing");

    let plan = heir.plan_from(deployment(&WRITTEN), &[], &as_if);
    heir.options.take_over = Some(keeper.clone());
    assert!(heir.carry_out(&plan).await.is_good());
    assert_eq!(heir.world().await, world);
    let by = heir.options.by.clone();
    let said = Record::TakeOver { by, history: keeper.clone() };
    assert!(records(&heir).await.contains(&said));
    let story = Story::of(&heir.history().await.entries(0).await.unwrap());
    assert!(story.notes[0].3.contains(keeper.as_str()), "{:?}", story.notes);
    assert_eq!(heir.heads().await.took_over, [keeper].into());
    let own = compared(&heir, heir.heads().await).await;
    assert_eq!(own, (heir.heads().await, Vec::new()));

    let (_, drifts) = compared(&lost, lost.heads().await).await;
    assert_eq!(drifts.len(), world.len(), "of each it is told: {drifts:?}");
    let removal = destroy(&name("test"), &lost.heads().await, &Only::All, true).value;
    assert!(!lost.carry_out(&removal).await.is_good());
    assert_eq!(heir.world().await, world);

    // Who takes over once more says nothing new.
    let entries = records(&heir).await.len();
    assert!(heir.deploy(deployment(&WRITTEN)).await.is_good());
    let more = records(&heir).await;
    assert!(more[entries..].iter().all(|record| !matches!(record, Record::TakeOver { .. })));
}

#[tokio::test]
async fn what_a_lost_history_kept_is_removed_in_the_order_of_what_is_described() {
    let lost = deployed().await;
    let mut heir = another(&lost);
    let (found, _) = compared(&heir, heir.heads().await).await;
    assert!(destroy(&name("test"), &found, &Only::All, true).value.steps.is_empty());

    let keeper = id(&lost).await;
    heir.options.take_over = Some(keeper.clone());
    let mut heads = heir.heads().await.taking_over([keeper]);
    let target = machine();
    let here = deployix_core::backend::Site { target: &target, network: None, location: None };
    heads.sites.insert(target.name.clone(), OwnedSite::from(here));
    let (found, _) = compared(&heir, heads).await;
    let compiled = heir.compiled(deployment(&WRITTEN), &found);
    let plan = destroy(&name("test"), &ordered_by(found, &compiled), &Only::All, true).value;
    let at = |id: &str| plan.steps.iter().position(|step| step.id().as_str() == id).unwrap();
    let (web, db) = (at("memory/functionality/web"), at("memory/functionality/db"));
    assert!(web < db && plan.steps[db].after.contains(plan.steps[web].id()), "{:#?}", plan.steps);
    assert_eq!(plan.steps.len(), lost.world().await.len());
    assert!(heir.carry_out(&plan).await.is_good());
    assert!(lost.world().await.is_empty());
}

#[tokio::test]
async fn a_checkpoint_and_a_copy_have_the_id_of_their_history() {
    let store = Arc::new(InMemory::new());
    let site = Site { store: store.clone(), ..Site::new() };
    assert!(site.deploy(deployment(&WRITTEN)).await.is_good());
    let json = serde_json::to_string(&site.heads().await).unwrap();
    let read: Heads = serde_json::from_str(&json).unwrap();
    assert_eq!(read, site.heads().await);
    let copy = History::open(Arc::new(store.fork()), &name("test")).await.unwrap();
    assert_eq!(copy.heads().await.unwrap().history, Some(id(&site).await));
}
