//! What is slow, or never comes: it is told while it is waited for, and once its time is over the step
//! fails, with what was seen last and what to do.

use std::{collections::BTreeMap, time::Duration};

use deployix_core::{
    backend::Awaited,
    execute::{Event, Report},
    plan::Plan,
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    balancing::{ALL, REGION, shop},
    site::{Site, ends},
};

const PORTS: [(u16, u16); 1] = [(80, 8080)];

/// What was told of a run.
struct Run {
    report: Report,
    took: Duration,
    /// What each wait told, one after the other.
    waits: BTreeMap<String, Vec<Awaited>>,
    /// How often a step was tried again.
    retries: usize,
}

impl Run {
    async fn of(site: &Site, plan: &Plan) -> Self {
        let (sender, mut events) = mpsc::unbounded_channel();
        let began = Instant::now();
        let report = site.carry_out_telling(plan, Some(&sender)).await;
        drop(sender);
        let (mut waits, mut retries) = (BTreeMap::<_, Vec<_>>::new(), 0);
        while let Some(event) = events.recv().await {
            match event {
                Event::Awaiting { wait, .. } => {
                    waits.entry(wait.what.clone()).or_default().push(wait);
                }
                Event::Retrying { .. } => retries += 1,
                _ => {}
            }
        }
        Self { report, took: began.elapsed(), waits, retries }
    }

    /// What a wait told of which the words begin and end so.
    fn wait(&self, begins: &str, ends: &str) -> &[Awaited] {
        let mut all = self.waits.iter();
        let is_it = |what: &str| what.starts_with(begins) && what.ends_with(ends);
        all.find(|(what, _)| is_it(what)).unwrap_or_else(|| panic!("{:?}", self.waits.keys())).1
    }

    /// What a person reads of it, which has to hold these words.
    fn tells(&self, words: &[&str]) {
        let told = ends(&self.report);
        for words in words {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert_eq!(self.retries, 0, "{told}");
    }
}

/// An account in which things of a kind stay as they are.
fn stuck(kind: &'static str, why: &'static str, seed: u64) -> Site {
    let site = Site::new(&shop(&PORTS, &ALL), seed);
    site.aws.by_hand(REGION, |world| world.stuck.insert(kind, why));
    site
}

fn move_on(site: &Site) {
    site.aws.by_hand(REGION, |world| world.stuck.clear());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_stays_pending_is_told_and_fails_its_step_once() {
    let site = stuck("instances", "Server.InternalError: it is slow today", 90);
    let plan = site.plan(shop(&PORTS, &ALL)).await;
    let run = Run::of(&site, &plan).await;
    let told = run.wait("the instance i-", " to run and to pass its status checks");
    let first = told[0].waited.as_secs();
    assert!((10..20).contains(&first), "first after {first} s");
    for pair in told.windows(2) {
        let apart = (pair[1].waited - pair[0].waited).as_secs();
        assert!((5..20).contains(&apart), "{apart} s later");
    }
    assert!(told.len() > 900 / 20, "{}", told.len());
    let why = "it is pending: Server.InternalError: it is slow today";
    assert!(told.iter().all(|it| it.seen == why), "{:?}", told[0]);
    run.tells(&[
        "DescribeInstances: waited 15 min for the instance i-",
        "seen last: it is pending: Server.InternalError: it is slow today; look at its console output",
        "`aws ec2 get-console-output --instance-id i-",
        "do the same again to go on waiting",
    ]);
    assert!(run.took < Duration::from_secs(2 * 900), "one time-out, not several: {:?}", run.took);

    move_on(&site);
    site.aws.take_writes();
    site.deploy(shop(&PORTS, &ALL)).await;
    let again = site.aws.take_writes();
    assert!(!again.contains(&"RunInstances".to_owned()), "it went on waiting: {again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_does_not_get_active_is_told_with_its_reason() {
    let site = stuck("balancers", "no capacity for load balancers", 91);
    let plan = site.plan(shop(&PORTS, &ALL)).await;
    let run = Run::of(&site, &plan).await;
    let told = run.wait("the load balancer net/", " to be active");
    assert_eq!(told[0].seen, "it is provisioning: no capacity for load balancers");
    run.tells(&[
        "DescribeLoadBalancers: waited 15 min for the load balancer net/",
        "seen last: it is provisioning: no capacity for load balancers; look at it in AWS's console",
    ]);
    move_on(&site);
    site.deploy(shop(&PORTS, &ALL)).await;
}

#[tokio::test(start_paused = true)]
async fn machines_that_do_not_serve_are_told_with_the_reason_of_their_health() {
    let site = Site::new(&shop(&PORTS, &ALL), 92);
    site.aws.by_hand(REGION, |world| world.silent.insert(8080));
    let plan = site.plan(shop(&PORTS, &ALL)).await;
    let run = Run::of(&site, &plan).await;
    let told = run.wait("machines of the target group ", " to be healthy");
    let last = &told.last().unwrap().seen;
    let ill = "at port 8080 is unhealthy: Health checks failed, Target.FailedHealthChecks";
    assert!(last.starts_with("i-") && last.matches(ill).count() == 2, "{last}");
    run.tells(&[
        "waited 20 min for machines of the target group ",
        "test/machines/0 (i-",
        ill,
        "checked over TCP at that port: look at its console output",
        "`aws ec2 get-console-output --instance-id i-",
    ]);
    assert!(run.took < Duration::from_secs(2 * 1200), "{:?}", run.took);
}

#[tokio::test(start_paused = true)]
async fn machines_that_do_not_get_rid_of_their_connections_are_told() {
    let site = Site::new(&shop(&PORTS, &ALL), 93);
    site.deploy(shop(&PORTS, &ALL)).await;
    site.aws.by_hand(REGION, |world| world.stuck.insert("targets", ""));
    let plan = site.plan_to_destroy().await;
    let run = Run::of(&site, &plan).await;
    let told = run.wait("machines to leave the target group ", "");
    let draining = "at port 8080 is draining: Target deregistration is in progress, \
                    Target.DeregistrationInProgress";
    assert!(told[0].seen.contains(draining), "{:?}", told[0]);
    run.tells(&[
        "waited 65 min for machines to leave the target group ",
        draining,
        "`extensions.ec2.deregistration-delay`",
    ]);
    move_on(&site);
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn interfaces_that_a_load_balancer_leaves_are_told() {
    let site = Site::new(&shop(&PORTS, &ALL), 94);
    site.deploy(shop(&PORTS, &ALL)).await;
    site.aws.by_hand(REGION, |world| world.stuck.insert("interfaces", ""));
    let plan = site.plan_to_destroy().await;
    let run = Run::of(&site, &plan).await;
    let told = run.wait("the network interfaces of load balancer net/", " to go");
    assert!(told[0].seen.starts_with("eni-"), "{:?}", told[0]);
    run.tells(&[
        "waited 15 min for the network interfaces of load balancer net/",
        ") is in-use; look at them in AWS's console",
    ]);
    move_on(&site);
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_aws_throttles_is_told_and_tried_again() {
    let site = Site::new(&shop(&PORTS, &ALL), 95);
    site.aws.mood(|mood| {
        mood.refuses.insert("CreateVpc", ("RequestLimitExceeded", "slow down"));
    });
    let plan = site.plan(shop(&PORTS, &ALL)).await;
    let run = Run::of(&site, &plan).await;
    let told = run.wait("AWS to carry out CreateVpc", "");
    assert_eq!(told[0].seen, "it does not for now: RequestLimitExceeded: slow down");
    assert!(run.retries > 3, "{} retries", run.retries);
}
