//! Two histories of one name: what one of them keeps the other neither changes nor removes.

use std::collections::BTreeSet;

use deployix_core::{
    HistoryId,
    backend::{ErrorKind, Keeper},
    execute::{Event, Report, StepEnd},
    plan::{Only, Plan, destroy, ordered_by},
    spec::Deployment,
};

use crate::{
    deadly::{Death, When},
    faults::everything,
    journal::survives,
    site::{Hand, Site, beyond, ends},
};

const REGION: &str = "eu-central-1";

/// A colleague's fresh checkout: the same account and name, and an empty history.
fn another(site: &Site) -> Site {
    Site { aws: site.aws.clone(), ..Site::new(&everything(), 0) }
}

async fn deployed(seed: u64) -> Site {
    let site = Site::new(&everything(), seed);
    site.deploy(everything()).await;
    site
}

async fn id(site: &Site) -> HistoryId {
    site.heads().await.history.expect("it was used")
}

/// The histories that things in the account say they are kept by, how many say so, and how many were
/// made by steps.
fn keepers(site: &Site) -> (BTreeSet<String>, usize, usize) {
    let all = site.aws.raw().join("\n");
    let told: Vec<_> = all.split("deployix:history").skip(1).collect();
    let id = |rest: &&str| {
        let mut words = rest.split(|c: char| !c.is_ascii_hexdigit());
        words.find(|word| word.len() == 32).unwrap_or("none").to_owned()
    };
    (told.iter().map(id).collect(), told.len(), all.matches("deployix:digest").count())
}

/// That each step was refused on account of a history, or not begun; what is worked out on this side
/// alone is no matter.
fn is_refused(report: &Report, by: &HistoryId) -> usize {
    let mut refused = 0;
    for (step, end) in &report.steps {
        match end {
            StepEnd::Failed { error } => {
                let by_whom = format!("is kept by another history, {}", by.short());
                assert!(error.contains(&by_whom), "{step}: {error}");
                assert!(error.contains(" of the deployment `test` is kept"), "{step}: {error}");
                assert!(error.contains("choose another name for the deployment"), "{error}");
                assert!(error.contains(&format!("deploy --take-over {by}`")), "{error}");
                refused += 1;
            }
            StepEnd::Blocked { .. } => {}
            StepEnd::Done if step.as_str().ends_with("/user-data") => {}
            other => panic!("{step}: {other:?}"),
        }
    }
    refused
}

#[tokio::test(start_paused = true)]
async fn a_second_history_of_the_same_name_is_refused_step_by_step_and_changes_nothing() {
    let first = deployed(90).await;
    let second = another(&first);
    let (before, keeper) = (first.aws.raw(), id(&first).await);
    first.aws.take_writes();
    let attempts = first.aws.write_calls();

    let (plan, drifts) = second.plan_refreshed(everything()).await;
    let told = format!(": another history keeps it, {}", keeper.short());
    assert!(drifts.iter().all(|line| line.ends_with(&told)), "{drifts:#?}");
    assert_eq!(drifts.len(), first.heads().await.resources.len(), "of each, once");
    let report = second.carry_out(&plan).await;
    let refused = is_refused(&report, &keeper);
    assert!(refused > 3, "{refused} of {}", report.steps.len());

    assert_eq!(first.aws.raw(), before);
    assert_eq!(first.aws.write_calls(), attempts, "nothing was even tried");
    assert_ne!(id(&second).await, keeper);
    let heads = second.heads().await;
    assert!(heads.open.is_empty(), "nothing is in doubt: {:?}", heads.open);

    let (again, drifts) = first.plan_refreshed(everything()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_step_is_refused_alone_though_it_knows_all_that_it_reads() {
    let site = Site::new(&everything(), 96);
    let keeper = |digit: &str| Keeper::new(HistoryId::new(digit.repeat(32)).unwrap(), []);
    let mut hand = Hand::new(&site, everything());
    hand.keeper = Some(keeper("a"));
    hand.make().await;
    let (before, attempts) = (site.aws.raw(), site.aws.write_calls());
    hand.keeper = Some(keeper("b"));
    let mut refused = 0;
    for (step, ends) in hand.each().await {
        if step.as_str().ends_with("/user-data") {
            continue;
        }
        for end in ends {
            let error = end.expect_err(step.as_str());
            let told = error.to_string();
            assert!(told.contains("is kept by another history, aaaaaaaaaaaa,"), "{step}: {told}");
            assert!(error.is_as_it_was() && error.kind() == ErrorKind::Conflict, "{step}");
            refused += 1;
        }
    }
    assert!(refused > 70, "{refused}");
    assert_eq!((site.aws.raw(), site.aws.write_calls()), (before, attempts));
}

#[tokio::test(start_paused = true)]
async fn a_second_history_neither_removes_what_is_there_nor_what_it_does_not_want() {
    let first = deployed(91).await;
    let before = first.aws.raw();
    let second = another(&first);
    let mut less = everything();
    less.catalogs.clear();
    less.place.clear();
    less.infrastructure.load_balancers.clear();
    let (plan, drifts) = second.plan_refreshed(less).await;
    assert!(!drifts.is_empty());
    let removed = plan.steps.iter().filter(|step| step.from.is_some()).count();
    assert_eq!(removed, 0, "{:#?}", plan.steps);
    second.carry_out(&plan).await;
    second.destroy().await;
    assert_eq!(first.aws.raw(), before);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_was_taken_over_from_removes_nothing_and_the_other_one_goes_on() {
    let lost = deployed(92).await;
    let mut heir = another(&lost);
    let stands = lost.aws.inventory();
    heir.take_over = Some(id(&lost).await);
    heir.deploy(everything()).await;
    assert_eq!(beyond(&heir.aws.inventory(), &stands), [""; 0], "as it stood");
    let (ids, told, made) = keepers(&heir);
    assert_eq!(ids, [id(&heir).await.to_string()].into());
    assert!(told == made && made > 20, "{told} of {made} say whose they are");

    // It is written down, so nobody has to say it again.
    heir.take_over = None;
    let (again, drifts) = heir.plan_refreshed(everything()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));

    let (before, attempts) = (heir.aws.raw(), heir.aws.write_calls());
    let report = lost.carry_out(&lost.plan_to_destroy().await).await;
    let refused = is_refused(&report, &id(&heir).await);
    assert!(refused > 3, "{}", ends(&report));
    assert_eq!((heir.aws.raw(), heir.aws.write_calls()), (before, attempts));

    heir.destroy().await;
    assert_eq!(heir.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_written_down_before_anything_is_made_and_is_that_of_the_next_run() {
    for when in [When::Before, When::After] {
        let site = Site::new(&everything(), 93);
        let plan = site.plan(everything()).await;
        assert!(!survives(&site, &plan, Death { when, entry: 0 }).await);
        assert_eq!(site.aws.calls(), 0, "nothing was asked for yet");
        let drawn = site.heads().await.history;
        assert_eq!(drawn.is_some(), when == When::After, "{when:?}");
        site.settle().await;
        site.deploy(everything()).await;
        let kept = id(&site).await;
        assert!(drawn.is_none_or(|drawn| drawn == kept), "{when:?}");
        assert_eq!(keepers(&site).0, [kept.to_string()].into(), "{when:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_of_a_history_is_the_deployments_own_and_says_so_from_then_on() {
    let site = Site::new(&everything(), 94);
    // Whoever carries out steps by hand has no history.
    Hand::new(&site, everything()).make().await;
    assert_eq!(keepers(&site).1, 0);
    let stands = site.aws.inventory();
    site.deploy(everything()).await;
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
    let (ids, told, made) = keepers(&site);
    assert_eq!(ids, [id(&site).await.to_string()].into());
    assert_eq!(told, made);

    // The same where the history knows of it all, as after an upgrade.
    site.aws.by_hand(REGION, |world| world.untag("deployix:history"));
    let (again, drifts) = site.plan_refreshed(everything()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_history_is_the_same_history() {
    let site = deployed(95).await;
    let copy = Site { store: site.store.fork().into(), ..another(&site) };
    let (again, drifts) = copy.plan_refreshed(everything()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));
    copy.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

/// Plans to remove what is found where a deployment is described, whatever the history knows.
async fn plan_to_destroy_found(site: &Site, deployment: Deployment, data: bool) -> Plan {
    let mut heads = site.heads().await.taking_over(site.take_over.clone());
    for described in deployment.infrastructure.sites() {
        heads.sites.insert(described.target.name.clone(), described.into());
    }
    let (heads, _) = site.seen(&deployment).await.compare(&heads);
    let compiled = site.compiled(deployment, &heads);
    destroy(&site.name, &ordered_by(heads, &compiled), &Only::All, data).value
}

/// Carries a plan out, which has to succeed; tells how often a step was tried again.
async fn retries(site: &Site, plan: &Plan) -> usize {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let report = site.carry_out_telling(plan, Some(&sender)).await;
    assert!(report.is_good(), "{}", ends(&report));
    drop(sender);
    let mut retries = 0;
    while let Some(event) = events.recv().await {
        retries += usize::from(matches!(event, Event::Retrying { .. }));
    }
    retries
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_history_kept_is_removed_by_who_takes_it_over_but_for_data_and_then_with_it() {
    let lost = deployed(97).await;
    let mut heir = another(&lost);
    let stands = lost.aws.inventory();
    let plan = plan_to_destroy_found(&heir, everything(), true).await;
    assert!(plan.steps.is_empty(), "{:#?}", plan.steps);

    heir.take_over = Some(id(&lost).await);
    let plan = plan_to_destroy_found(&heir, everything(), false).await;
    assert!(plan.steps.len() > 30 && plan.data_kept.len() == 1, "{:#?}", plan.steps);
    assert_eq!(retries(&heir, &plan).await, 0, "in an order in which it can be done");
    let left = heir.aws.inventory();
    assert!(stands.len() > 30 && left.len() == 1 && left[0].contains("volume"), "{left:#?}");

    // It is written down, so nobody has to say it again.
    heir.take_over = None;
    let plan = plan_to_destroy_found(&heir, everything(), true).await;
    assert_eq!((plan.steps.len(), retries(&heir, &plan).await), (1, 0));
    assert_eq!(heir.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_history_kept_and_nobody_describes_any_more_is_removed_as_well() {
    let lost = deployed(98).await;
    let mut heir = another(&lost);
    heir.take_over = Some(id(&lost).await);
    let mut less = everything();
    less.catalogs.clear();
    less.place.clear();
    less.infrastructure.load_balancers.clear();
    let plan = plan_to_destroy_found(&heir, less, true).await;
    // Little tells what goes before what, so whatever is in use is waited for.
    let unordered = plan.steps.iter().filter(|step| step.after.is_empty()).count();
    assert!(unordered > 20, "{unordered} of {}", plan.steps.len());
    retries(&heir, &plan).await;
    assert_eq!(heir.aws.inventory(), [""; 0]);
}
