//! Plans that are saved, and refused where what they touch has moved on; and histories as stories.

use deployix_core::{
    backend::Owner,
    history::{StepResult, Story},
    plan::{HowMoved, Plan, SavedPlanError, moved_on},
};

use crate::support::{Site, Trouble, deployment, name};

/// What moved on, and how, in short.
fn moved(plan: &Plan, heads: &deployix_core::history::Heads) -> Vec<String> {
    let moved = moved_on(plan, heads);
    let how = |how: &HowMoved| match how {
        HowMoved::Made { .. } => "made",
        HowMoved::Changed { .. } => "changed",
        HowMoved::Removed => "removed",
        HowMoved::Begun { .. } => "begun",
        _ => "?",
    };
    moved.iter().map(|moved| format!("{} {}", moved.resource, how(&moved.how))).collect()
}

#[tokio::test]
async fn a_saved_plan_is_read_back_and_carried_out() {
    let site = Site::new();
    let plan = site.plan(deployment(&[("web", "1", &["db"]), ("db", "1", &[])]), &[]).await;
    let saved = plan.to_saved().unwrap();
    let read = Plan::from_saved(&saved).unwrap();
    assert_eq!(read, plan);
    assert!(site.carry_out(&read).await.is_good());
    assert_eq!(site.heads().await.resources.len(), plan.steps.len());
}

#[tokio::test]
async fn what_is_no_saved_plan_is_told_apart_from_a_damaged_and_a_newer_one() {
    let site = Site::new();
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let saved = String::from_utf8(plan.to_saved().unwrap()).unwrap();
    let read = |text: &str| Plan::from_saved(text.as_bytes());
    for text in ["", "{}", "[1]", "version = 1", r#"{"kind": "other", "format": 1}"#] {
        assert!(matches!(read(text), Err(SavedPlanError::NoPlan)), "{text}");
    }
    let newer = saved.replace("\"format\":1", "\"format\":2");
    assert!(matches!(read(&newer), Err(SavedPlanError::Format { format: 2 })));
    // What a resource is to be like is held by its digest.
    let edited = saved.replace("VALUE", "OTHER");
    assert!(matches!(read(&edited), Err(SavedPlanError::Damaged(_))), "{edited}");
}

#[tokio::test]
async fn a_plan_is_stale_where_what_it_touches_has_moved_on_and_nowhere_else() {
    let site = Site::new();
    let both = |web: &'static str, db: &'static str| {
        deployment(&[("web", web, &[][..]), ("db", db, &[][..])])
    };
    let anew = site.plan(both("1", "1"), &["web"]).await;
    assert_eq!(moved(&anew, &site.heads().await), [""; 0]);
    assert!(site.deploy(both("1", "1")).await.is_good());
    assert_eq!(moved(&anew, &site.heads().await), ["memory/functionality/web made"]);

    let change = site.plan(both("2", "1"), &["web"]).await;
    let other = site.plan(both("1", "2"), &["db"]).await;
    assert!(site.carry_out(&other).await.is_good());
    assert_eq!(moved(&change, &site.heads().await), [""; 0], "only the database moved on");
    let third = site.plan(both("3", "2"), &["web"]).await;
    assert!(site.carry_out(&third).await.is_good());
    assert_eq!(moved(&change, &site.heads().await), ["memory/functionality/web changed"]);

    let change = site.plan(both("4", "2"), &["web"]).await;
    assert!(site.deploy(deployment(&[("db", "2", &[])])).await.is_good());
    assert_eq!(moved(&change, &site.heads().await), ["memory/functionality/web removed"]);
}

#[tokio::test]
async fn a_plan_is_stale_where_somebody_began_since_and_not_where_it_mends_what_was_in_doubt() {
    let site = Site::new();
    let web = |value: &'static str| deployment(&[("web", value, &[][..])]);
    assert!(site.deploy(web("1")).await.is_good());
    let before = site.plan(web("2"), &["web"]).await;
    site.backend.trouble("functionality/web", Trouble::Fails);
    assert!(!site.carry_out(&before).await.is_good());
    assert_eq!(moved(&before, &site.heads().await), ["memory/functionality/web begun"]);
    let mending = site.plan(web("2"), &["web"]).await;
    assert!(mending.steps[0].doubt.is_some());
    assert_eq!(moved(&mending, &site.heads().await), [""; 0]);
}

#[tokio::test]
async fn a_story_tells_who_did_what_and_how_it_ended() {
    let site = Site::new();
    site.backend.trouble("functionality/db", Trouble::FailsAsItWas);
    site.deploy(deployment(&[("web", "1", &[]), ("db", "1", &[])])).await;
    let entries = site.history().await.entries(0).await.unwrap();
    let story = Story::of(&entries);
    assert_eq!(story.runs.len(), 1);
    let run = &story.runs[0];
    assert_eq!(run.by.as_ref(), Some(&site.options.by));
    assert!(run.ended);
    assert_eq!(run.generations, (1, entries.len() as u64));
    let end = |text: &str| {
        let owner = Owner::Functionality(name(text));
        let step = run.steps.iter().find(|step| step.owner == owner).unwrap();
        step.end.as_ref().unwrap().0.clone()
    };
    assert!(matches!(end("web"), StepResult::Made { .. }));
    let StepResult::Failed { error, as_it_was: true } = end("db") else { panic!("{run:?}") };
    assert!(error.contains("it does not work"), "{error}");
    let web = &run.steps.iter().find(|step| step.resource.as_str().ends_with("web")).unwrap();
    assert_eq!(story.last(&web.resource).unwrap().1, *web);
}
