//! What is done when, what a failure stops, and what is told about it.

use std::{num::NonZeroUsize, time::Duration};

use deployix_core::{
    backend::Owner,
    execute::{Event, Fate, Interrupt, StepEnd, apply},
};
use tokio::sync::mpsc;

use crate::support::{Site, Trouble, deployment, name};

fn owner(text: &str) -> Owner {
    Owner::Functionality(name(text))
}

#[tokio::test]
async fn upstreams_are_made_first_and_a_second_run_does_nothing() {
    let site = Site::new();
    let written = [("web", "1", &["api"][..]), ("api", "1", &["db"]), ("db", "1", &[])];
    let report = site.deploy(deployment(&written)).await;
    assert!(report.is_good(), "{report:?}");
    let done = site.backend.done();
    let at = |id: &str| done.iter().position(|line| line == &format!("make {id}")).unwrap();
    assert!(at("functionality/db") < at("functionality/api"), "{done:?}");
    assert!(at("functionality/api") < at("functionality/web"), "{done:?}");
    assert_eq!(done.last().unwrap(), "make target/box");

    let plan = site.plan(deployment(&written), &[]).await;
    assert!(plan.steps.is_empty() && plan.assignments.is_empty(), "{plan:?}");
    let report = site.carry_out(&plan).await;
    assert!(report.is_good() && site.backend.done().is_empty());
    assert_eq!(site.heads().await.generation, plan.generation, "nothing was written");
}

#[tokio::test]
async fn a_failure_stops_what_needs_it_by_name_and_nothing_else() {
    let site = Site::new();
    site.backend.trouble("functionality/db", Trouble::Fails);
    let written =
        [("web", "1", &["api"][..]), ("api", "1", &["db"]), ("db", "1", &[]), ("other", "1", &[])];
    let report = site.deploy(deployment(&written)).await;
    assert!(!report.is_good());
    assert_eq!(report.fates[&owner("other")], Fate::Deployed);
    let blocked = Fate::Blocked { by: vec![owner("db")] };
    assert_eq!(report.fates[&owner("api")], blocked);
    assert_eq!(report.fates[&owner("web")], blocked);
    let Fate::Failed { errors } = &report.fates[&owner("db")] else { panic!("{report:?}") };
    assert_eq!(errors[0].1, "apply: it does not work");

    // What it left is not known, so the next run makes it what it should be.
    site.backend.no_trouble();
    site.backend.done();
    let report = site.deploy(deployment(&written)).await;
    assert!(report.is_good(), "{report:?}");
    assert!(!site.backend.done().contains(&"make functionality/other".to_owned()));
    assert!(site.heads().await.open.is_empty());
}

#[tokio::test]
async fn a_failure_that_leaves_what_stood_leaves_no_doubt() {
    let site = Site::new();
    let (before, after) = ([("web", "1", &[][..])], [("web", "2", &[][..])]);
    assert!(site.deploy(deployment(&before)).await.is_good());
    site.backend.trouble("functionality/web", Trouble::FailsAsItWas);
    assert!(!site.deploy(deployment(&after)).await.is_good());
    assert!(site.plan(deployment(&before), &[]).await.steps.is_empty());
    site.backend.trouble("functionality/web", Trouble::Fails);
    assert!(!site.deploy(deployment(&after)).await.is_good());
    let plan = site.plan(deployment(&before), &[]).await;
    assert!(plan.steps[0].doubt.as_deref().unwrap().contains("it does not work"), "{plan:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_is_tried_again_where_that_can_help() {
    let site = Site::new();
    site.backend.trouble("functionality/web", Trouble::Hiccups(3));
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let (report, events) = site.carry_out_told(&plan).await;
    assert!(report.is_good(), "{report:?}");
    let retries = events.iter().filter(|event| matches!(event, Event::Retrying { .. }));
    assert_eq!(retries.count(), 3);

    let site = Site::new();
    site.backend.trouble("functionality/web", Trouble::Hiccups(4));
    let report = site.deploy(deployment(&[("web", "1", &[])])).await;
    assert!(matches!(report.fates[&owner("web")], Fate::Failed { .. }), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_told_and_ends_the_step_once_its_time_is_over() {
    let site = Site::new();
    site.backend.trouble("functionality/web", Trouble::WaitsInVain(22));
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let (report, events) = site.carry_out_told(&plan).await;
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Awaiting { owner, wait, .. } if *owner == self::owner("web") => {
                Some(wait.to_string())
            }
            _ => None,
        })
        .collect();
    let wanted = [10, 15, 20].map(|at| format!("waits for it to run (it is pending, {at} s)"));
    assert_eq!(told, wanted, "a step that waited is not begun anew");
    assert!(!events.iter().any(|event| matches!(event, Event::Retrying { .. })), "{events:?}");
    let Fate::Failed { errors } = &report.fates[&owner("web")] else { panic!("{report:?}") };
    let words = "waited 22 s for it to run; seen last: it is pending; look at it, and do the same";
    assert!(errors[0].1.contains(words), "{errors:?}");
    site.backend.no_trouble();
    assert!(
        site.deploy(deployment(&[("web", "1", &[])])).await.is_good(),
        "what is in doubt is done"
    );
}

#[tokio::test]
async fn no_more_steps_run_at_once_than_allowed() {
    for most in [1, 3] {
        let mut site = Site::new();
        site.options.concurrency = NonZeroUsize::new(most).unwrap();
        let names = ["a", "b", "c", "d", "e", "f"];
        for text in names {
            site.backend.trouble(&format!("functionality/{text}"), Trouble::Takes(5));
        }
        let written = names.map(|text| (text, "1", &[][..]));
        assert!(site.deploy(deployment(&written)).await.is_good());
        assert_eq!(site.backend.most_at_once(), most);
    }
}

#[tokio::test]
async fn an_interrupted_run_ends_what_is_under_way_and_starts_nothing_new() {
    let site = Site::new();
    site.backend.trouble("functionality/db", Trouble::Takes(50));
    let plan = site.plan(deployment(&[("web", "1", &["db"]), ("db", "1", &[])]), &[]).await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let interrupt = Interrupt::default();
    let (history, registry) = (site.history().await, site.registry());
    let db = owner("db");
    let watch = async {
        while let Some(event) = events.recv().await {
            match event {
                Event::Started { owner, .. } if owner == db => interrupt.now(),
                _ => {}
            }
        }
    };
    let run = async {
        let report =
            apply(&plan, &history, &registry, &site.options, &interrupt, Some(&sender)).await;
        drop(sender);
        report
    };
    let (report, ()) = tokio::join!(run, watch);
    assert!(report.interrupted && !report.is_good());
    assert_eq!(report.fates[&owner("db")], Fate::Deployed);
    assert_eq!(report.fates[&owner("web")], Fate::Interrupted);
    let heads = site.heads().await;
    assert!(heads.open.is_empty() && heads.runs.is_empty(), "{heads:?}");
    assert!(site.deploy(deployment(&[("web", "1", &["db"]), ("db", "1", &[])])).await.is_good());
}

#[tokio::test]
async fn events_tell_each_step_from_its_start_to_its_end() {
    let site = Site::new();
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let (_, events) = site.carry_out_told(&plan).await;
    assert!(matches!(events[0], Event::Began { steps: 2, .. }), "{events:?}");
    let of_web: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Started { owner, .. } if *owner == self::owner("web") => Some("started"),
            Event::Finished { owner, end: StepEnd::Done, .. } if *owner == self::owner("web") => {
                Some("finished")
            }
            Event::Settled { fate: Fate::Deployed, .. } => Some("settled"),
            _ => None,
        })
        .collect();
    assert_eq!(of_web, ["started", "finished", "settled"]);
}

#[tokio::test]
async fn what_is_wanted_no_more_goes_and_so_does_its_place() {
    let site = Site::new();
    assert!(site.deploy(deployment(&[("web", "1", &["db"]), ("db", "1", &[])])).await.is_good());
    site.backend.done();
    let report = site.deploy(deployment(&[("db", "1", &[])])).await;
    assert!(report.is_good());
    assert_eq!(report.fates[&owner("web")], Fate::Removed);
    assert_eq!(site.backend.done(), ["remove functionality/web", "remove edge/web/db"]);
    assert!(!site.heads().await.assignments.contains_key("web"));
}

#[tokio::test]
async fn a_run_can_be_spawned() {
    let site = Site::new();
    let plan = site.plan(deployment(&[("web", "1", &[])]), &[]).await;
    let report = tokio::spawn(async move { site.carry_out(&plan).await });
    assert!(tokio::time::timeout(Duration::from_secs(5), report).await.unwrap().unwrap().is_good());
}
