//! Several at once: who holds what, who waits, and plans that are too old.

use std::{collections::BTreeSet, time::Duration};

use deployix_core::{
    backend::Owner,
    execute::{Event, Fate, settle},
    history::{Heads, IntentAction, Record, RunId, StepResult, Story},
    plan::PlannedAction,
};

use crate::support::{Site, Trouble, Written, deployment, name};

fn owner(text: &str) -> Owner {
    Owner::Functionality(name(text))
}

/// Another process: another handle on the same history and world.
fn another(site: &Site) -> Site {
    let mut other = site.clone();
    other.options.by.name = "somebody else".to_owned();
    other
}

/// A site where nobody is taken for dead, however busy the machine is that the tests run on.
fn patient() -> Site {
    let mut site = Site::new();
    site.options.lease = Duration::from_secs(30);
    site
}

#[tokio::test]
async fn who_deploys_the_same_is_refused_with_the_holder_and_the_unrelated_goes_on() {
    let site = Site::new();
    let other = another(&site);
    site.backend.trouble("functionality/web", Trouble::Takes(400));
    let first = site.plan(deployment(&[("web", "1", &[])]), &["web"]).await;
    let second = other.plan(deployment(&[("web", "2", &[]), ("new", "1", &[])]), &[]).await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.carry_out(&second).await
    };
    let (first, second) = tokio::join!(site.carry_out(&first), late);
    assert!(first.is_good(), "{first:?}");
    let Fate::Held { holder } = &second.fates[&owner("web")] else { panic!("{second:?}") };
    assert_eq!(holder.by, site.options.by);
    let told = holder.to_string();
    let by = &site.options.by;
    for part in [&by.name, &by.host, &by.process.to_string(), "since 20"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(second.fates[&owner("new")], Fate::Deployed);
}

#[tokio::test]
async fn who_is_refused_all_of_it_leaves_nothing_in_the_history() {
    let site = patient();
    let other = another(&site);
    site.backend.trouble("functionality/db", Trouble::Takes(2000));
    let written = [("web", "1", &["db"][..]), ("db", "1", &[])];
    let first = site.plan(deployment(&written), &[]).await;
    let only = other.plan(deployment(&written), &["db"]).await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = other.heads().await;
        let report = other.carry_out(&only).await;
        (before, report, other.heads().await)
    };
    let (first, (before, second, after)) = tokio::join!(site.carry_out(&first), late);
    assert!(first.is_good(), "{first:?}");
    assert!(matches!(second.fates[&owner("db")], Fate::Held { .. }), "{second:?}");
    assert_eq!((second.run, second.generation), (None, before.generation));
    // Renewals of the one who is at it are all that may have come meanwhile.
    assert_eq!(before.runs.keys().collect::<Vec<_>>(), after.runs.keys().collect::<Vec<_>>());
    let story = Story::of(&site.history().await.entries(0).await.unwrap());
    assert_eq!(story.runs.len(), 1, "{story:?}");
    assert!(other.carry_out(&only).await.is_good());
}

#[tokio::test]
async fn sixteen_deploy_sixteen_functionalities_that_need_each_other() {
    let site = patient();
    let names: Vec<String> = (0..16).map(|n| format!("f{n}")).collect();
    let upstreams: Vec<Vec<&str>> = (0..16)
        .map(|n: usize| n.checked_sub(1).map(|m| &*names[m]).into_iter().collect())
        .collect();
    let written: Vec<Written<'_>> =
        names.iter().zip(&upstreams).map(|(text, up)| (&**text, "1", &**up)).collect();
    let mut runs = tokio::task::JoinSet::new();
    for (n, text) in names.iter().enumerate() {
        let mut site = another(&site);
        site.options.asked = Some([name(text)].into());
        site.backend.trouble(&format!("functionality/{text}"), Trouble::Takes(5 + n as u64 % 3));
        let plan = site.plan_from(deployment(&written), &[text], &Heads::default());
        runs.spawn(async move { site.carry_out(&plan).await });
    }
    for report in runs.join_all().await {
        assert!(report.is_good(), "{report:?}");
    }
    let done = site.backend.done();
    let distinct: BTreeSet<_> = done.iter().collect();
    assert_eq!(done.len(), distinct.len(), "each was made once: {done:?}");
    assert_eq!(done.iter().filter(|line| line.contains("functionality")).count(), 16);
    let heads = site.heads().await;
    assert!(heads.open.is_empty() && heads.runs.is_empty(), "{heads:?}");
}

#[tokio::test]
async fn whoever_waits_is_told_for_whom() {
    let site = Site::new();
    let other = another(&site);
    let written = [("web", "1", &["db"][..]), ("db", "1", &[])];
    site.backend.trouble("functionality/db", Trouble::Takes(400));
    let db = site.plan(deployment(&written), &["db"]).await;
    let web = site.plan(deployment(&written), &["web"]).await;
    let mut late = other.clone();
    late.options.asked = Some([name("web")].into());
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        late.carry_out_told(&web).await
    };
    let (db, (web, events)) = tokio::join!(site.carry_out(&db), late);
    assert!(db.is_good() && web.is_good(), "{db:?} {web:?}");
    let waited = events.iter().any(|event| {
        matches!(event, Event::Waiting { owner, holder, .. }
            if *owner == self::owner("db") && holder.by == site.options.by)
    });
    assert!(waited, "{events:?}");
}

#[tokio::test]
async fn a_claim_of_who_died_runs_out_and_is_settled() {
    let site = Site::new();
    site.backend.trouble("functionality/web", Trouble::HangsAfter);
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let died = tokio::time::timeout(Duration::from_millis(100), site.carry_out(&plan)).await;
    assert!(died.is_err(), "it hangs");
    site.backend.no_trouble();

    let other = another(&site);
    let refused = other.carry_out(&plan).await;
    assert!(matches!(refused.fates[&owner("web")], Fate::Held { .. }), "{refused:?}");
    tokio::time::sleep(Duration::from_millis(350)).await;
    let (history, registry) = (other.history().await, other.registry());
    let settled = settle(&history, &registry, &name("test")).await.unwrap();
    assert_eq!((settled.steps.len(), settled.runs.len()), (1, 1), "{settled:?}");
    let heads = other.heads().await;
    assert!(heads.resources.contains_key("memory/functionality/web"), "it was done: {heads:?}");
    assert!(heads.open.is_empty() && heads.runs.is_empty(), "{heads:?}");
    site.backend.done();
    assert!(other.deploy(deployment(&[("web", "1", &[])])).await.is_good());
    assert_eq!(site.backend.done(), ["make target/box"]);
}

#[tokio::test]
async fn a_long_run_keeps_its_claims() {
    let site = Site::new();
    site.backend.trouble("functionality/web", Trouble::Takes(1000));
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let other = another(&site);
    let late = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        other.carry_out(&plan).await
    };
    let (first, second) = tokio::join!(site.carry_out(&plan), late);
    assert!(first.is_good(), "{first:?}");
    assert!(matches!(second.fates[&owner("web")], Fate::Held { .. }), "{second:?}");
}

#[tokio::test]
async fn a_plan_is_refused_where_what_it_touches_has_moved_on_and_nowhere_else() {
    let site = Site::new();
    let before = [("web", "1", &[][..]), ("db", "1", &[])];
    assert!(site.deploy(deployment(&before)).await.is_good());
    let web = site.plan(deployment(&[("web", "2", &[]), ("db", "1", &[])]), &[]).await;
    assert_eq!(web.steps[0].action, PlannedAction::Update);
    assert!(site.deploy(deployment(&[("web", "1", &[]), ("db", "2", &[])])).await.is_good());
    assert!(site.carry_out(&web).await.is_good(), "only something else has moved on");

    let old = site.plan(deployment(&[("web", "3", &[]), ("db", "2", &[])]), &[]).await;
    assert!(site.deploy(deployment(&[("web", "4", &[]), ("db", "2", &[])])).await.is_good());
    let world = site.world().await;
    let report = site.carry_out(&old).await;
    assert!(matches!(report.fates[&owner("web")], Fate::MovedOn { .. }), "{report:?}");
    assert_eq!(site.world().await, world);
}

#[tokio::test]
async fn a_run_that_was_held_up_has_no_say_over_what_another_took_over() {
    let site = Site::new();
    let other = another(&site);
    let history = site.history().await;
    let begin = |by: &str, until: &str| {
        let mut holder = site.options.by.clone();
        holder.name = by.to_owned();
        let run = RunId::new(&holder);
        let until = until.parse().unwrap();
        (run.clone(), Record::Begin { run, by: holder, until, claims: BTreeSet::new() })
    };
    assert!(other.deploy(deployment(&[("web", "1", &[])])).await.is_good());
    let heads = other.heads().await;
    let resource = heads.resources["memory/functionality/web"].resource.clone();
    let intent = |run: &RunId| Record::Intent {
        run: run.clone(),
        action: IntentAction::Make,
        resource: resource.clone(),
        target: name("box"),
    };
    let outcome = |run: &RunId, result| Record::Outcome {
        run: run.clone(),
        resource: resource.id().clone(),
        result,
    };
    let (slow, begun) = begin("slow", "2000-01-01T00:00:00Z");
    history.append(vec![begun, intent(&slow)]).await.unwrap();
    let settled = settle(&history, &other.registry(), &name("test")).await.unwrap();
    assert_eq!(settled.runs.len(), 1);
    let (quick, begun) = begin("quick", "2999-01-01T00:00:00Z");
    history.append(vec![begun, intent(&quick)]).await.unwrap();
    let failed = StepResult::Failed { error: "it was held up".to_owned(), as_it_was: true };
    history.append(vec![outcome(&slow, failed)]).await.unwrap();
    let heads = history.heads().await.unwrap();
    assert_eq!(heads.open[resource.id()].run, quick, "the quick one is still at it");
    let made = StepResult::Made { outputs: Default::default() };
    let last = history.append(vec![outcome(&quick, made)]).await.unwrap();
    assert_eq!(history.heads().await.unwrap().resources[resource.id()].since, last);
}
