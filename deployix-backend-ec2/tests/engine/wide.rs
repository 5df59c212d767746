//! Fifty functionalities at once: how long that takes, and how many calls.

use std::{collections::BTreeMap, time::Duration};

use deployix_backend_ec2::extension::{LocationSettings, TargetSettings};
use deployix_core::{ResourceId, execute::Event, plan::Plan, spec::Deployment};
use tokio::time::Instant;

use crate::{
    site::{Hand, Site, ends},
    support::{With, deployment, functionality},
};

/// Fifty functionalities that need each other, on six machines, a pool and an autoscaling group; a port
/// of the third.
fn wide(port: u16) -> Deployment {
    let location = LocationSettings {
        region: Some("eu-central-1".into()),
        zones: vec!["eu-central-1a".into(), "eu-central-1b".into()],
        ..LocationSettings::default()
    };
    let name = |at: usize| format!("f{at}");
    let specs = (0..50).map(|at| {
        let (first, second) = (name(at / 2), name(at / 3));
        let upstreams: &[&str] = if at < 3 { &[] } else { &[&first, &second] };
        let port = if at == 2 { port } else { 8000 + u16::try_from(at).unwrap() };
        functionality(&name(at), port, upstreams)
    });
    let mut wide = deployment(specs.collect());
    let private = TargetSettings { public_address: false, ..TargetSettings::default() };
    // Five to a machine, which is what AWS allows; the last five on the group.
    for target in (0..6).map(|at| format!("m{at}")) {
        wide = wide.machine(&target, Some("n")).target_settings(&target, &private);
    }
    wide = wide.pool("pool", 3, "n").target_settings("pool", &private);
    wide = wide.autoscaling("fleet", 2, 4, "n");
    for at in 0..50 {
        let target = match at {
            0..30 => format!("m{}", at / 5),
            30..45 => "pool".to_owned(),
            _ => "fleet".to_owned(),
        };
        wide = wide.placed(&name(at), &target);
    }
    wide.located("n", &location).balancer("front", "f5.example.com", (443, 8005), &["0.0.0.0/0"])
}

/// How long a plan takes, and each of its steps.
async fn timed(site: &Site, plan: &Plan) -> (Duration, BTreeMap<ResourceId, Duration>) {
    let (events, mut told) = tokio::sync::mpsc::unbounded_channel();
    let began = Instant::now();
    let follow = async {
        let (mut since, mut took) = (BTreeMap::new(), BTreeMap::new());
        while let Some(event) = told.recv().await {
            match event {
                Event::Started { resource, .. } => {
                    since.insert(resource, Instant::now());
                }
                Event::Finished { resource, .. } => {
                    took.insert(resource.clone(), since[&resource].elapsed());
                }
                _ => {}
            }
        }
        took
    };
    let carry = async {
        let report = site.carry_out_telling(plan, Some(&events)).await;
        drop(events);
        report
    };
    let (report, took) = tokio::join!(carry, follow);
    assert!(report.is_good(), "{}", ends(&report));
    (began.elapsed(), took)
}

/// The longest chain of steps that wait for each other.
fn critical_path(plan: &Plan, took: &BTreeMap<ResourceId, Duration>) -> (Duration, Vec<String>) {
    let mut until: BTreeMap<&ResourceId, (Duration, Vec<String>)> = BTreeMap::new();
    // Steps stand behind what they come after.
    for step in &plan.steps {
        let before = step.after.iter().filter_map(|id| until.get(id));
        let (mut so_far, mut chain) =
            before.max_by_key(|(so_far, _)| *so_far).cloned().unwrap_or_default();
        let own = took[step.id()];
        so_far += own;
        chain.push(format!("{} {own:?}", step.id()));
        until.insert(step.id(), (so_far, chain));
    }
    until.into_values().max_by_key(|(so_far, _)| *so_far).unwrap()
}

#[tokio::test(start_paused = true)]
async fn fifty_functionalities_take_little_longer_than_their_longest_chain() {
    let slow = |site: &Site| {
        site.aws.mood(|mood| {
            mood.latency = Duration::from_millis(100);
            // As few pages as AWS has.
            mood.page = 1000;
        });
    };
    let alone = Site::new(&wide(80), 80);
    slow(&alone);
    let mut hand = Hand::new(&alone, wide(80));
    hand.make().await;
    // Waits end at moments that all share, so it matters when a run begins.
    for begins in [0, 150, 300, 450] {
        tokio::time::sleep(Duration::from_millis(begins)).await;
        let site = Site::new(&wide(80), 81 + begins);
        slow(&site);
        let plan = site.plan(wide(80)).await;
        let (wall, took) = timed(&site, &plan).await;
        let (path, chain) = critical_path(&plan, &hand.took);
        let (together, _) = critical_path(&plan, &took);
        assert!(path >= Duration::from_secs(60), "{path:?}: {chain:#?}");
        let most = path.min(together).mul_f64(1.2);
        assert!(
            wall <= most,
            "{wall:?} for a longest chain of {path:?}, {together:?} beside others"
        );
    }
}

/// The figures that the README tells.
#[tokio::test(start_paused = true)]
async fn calls_are_bounded_by_what_the_graph_needs() {
    let site = Site::new(&wide(80), 81);
    site.aws.mood(|mood| mood.page = 1000);
    let mut before = 0;
    let mut calls = || {
        let now = site.aws.calls();
        now - std::mem::replace(&mut before, now)
    };
    site.deploy(wide(80)).await;
    let first = calls();
    site.deploy(wide(80)).await;
    let none = calls();
    site.deploy(wide(81)).await;
    let changed = calls();
    site.destroy().await;
    let gone = calls();
    assert!(first <= 50 * 28, "{first} calls make it: {:#?}", site.aws.tally());
    assert_eq!(none, 0, "nothing to do is nothing to ask");
    assert!(changed <= 100, "{changed} calls change one of fifty");
    assert!(gone <= 50 * 12, "{gone} calls remove it");
    assert_eq!(site.aws.inventory(), [""; 0]);
}
