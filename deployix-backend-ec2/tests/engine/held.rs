//! A mistake in what describes one functionality ends no machine that it runs on.

use std::{fs, path::Path};

use deployix_core::{load::load, plan::Plan, spec::Deployment};

use crate::{
    deploy::keeper,
    scenario::location,
    site::{Site, hydra},
    support::{With, deployment, functionality, name},
};

/// A database with state alone on one machine, and something else on another.
fn apart(port: u16) -> Deployment {
    let mut both = keeper();
    both.catalogs.push([functionality("other", port, &[]).shared()].into_iter().collect());
    both.machine("two", Some("n")).placed("other", "two")
}

/// The same, with something that is wrong about the database.
fn mistaken(mut deployment: Deployment) -> Deployment {
    deployment.place.insert(name("db"), name("nowhere"));
    deployment
}

/// Hydra, with one of its files written anew.
fn hydra_where(file: &str, edit: impl Fn(&str) -> String) -> Deployment {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra"), folder.path());
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    let edited = edit(&text);
    assert_ne!(edited, text);
    fs::write(&path, edited).unwrap();
    load(&folder.path().join("ops/deployment.toml")).value.unwrap()
}

fn machines(site: &Site) -> Vec<String> {
    let all = site.aws.inventory();
    all.into_iter().filter(|line| line.contains("instance running")).collect()
}

fn touched(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.as_str(), step.id())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_machine_runs_on_while_what_describes_its_only_functionality_is_wrong() {
    let site = Site::new(&apart(7000), 70);
    site.deploy(apart(7000)).await;
    let before = site.aws.inventory();
    site.aws.take_writes();

    let plan = site.plan_in_part(mistaken(apart(7000))).await;
    assert_eq!(touched(&plan), [""; 0]);
    let held: Vec<_> = plan.held.keys().map(ToString::to_string).collect();
    assert!(held.contains(&"ec2/target/one/machine/0/instance".to_owned()), "{held:?}");
    assert!(held.iter().all(|id| id.starts_with("ec2/target/one/")), "{held:?}");
    assert!(plan.held.values().all(|since| *since == [name("db")].into()), "{:?}", plan.held);
    assert!(plan.data_kept.is_empty(), "the disk is wanted: {:?}", plan.data_kept);
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.aws.take_writes(), [""; 0]);
    assert_eq!(site.aws.inventory(), before);

    site.deploy(apart(7000)).await;
    assert_eq!(site.aws.take_writes(), [""; 0], "mended, it is what it was");
}

#[tokio::test(start_paused = true)]
async fn another_machine_is_changed_all_the_same() {
    let site = Site::new(&apart(7000), 71);
    site.deploy(apart(7000)).await;
    let before = machines(&site);
    let plan = site.plan_in_part(mistaken(apart(7001))).await;
    let steps = touched(&plan);
    assert!(steps.contains(&"replace ec2/target/two/machine/0/instance".to_owned()), "{steps:?}");
    assert!(steps.iter().all(|step| !step.contains("/one/")), "{steps:?}");
    assert!(plan.waiting.is_empty(), "{:?}", plan.waiting);
    assert!(site.carry_out(&plan).await.is_good());
    let after = machines(&site);
    let stays = |line: &&String| line.contains("/one/");
    assert_eq!(after.iter().find(stays), before.iter().find(stays));
    assert_eq!((after.len(), after != before), (2, true));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_shared_keeps_what_failed_there() {
    let site = Site::new(&hydra(), 72);
    site.deploy(hydra()).await;
    let before = site.aws.inventory();
    site.aws.take_writes();
    let twice = hydra_where("hydra/deployix.toml", |text| {
        text.replacen("user = \"hydra-web\"\n", "user = \"hydra-web\"\nenv = {}\n", 1)
    });
    let plan = site.plan_in_part(twice).await;
    assert!(plan.left.contains(&name("hydra-web")), "{:?}", plan.left);
    assert!(!plan.held.is_empty());
    assert_eq!(touched(&plan), [""; 0]);
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.aws.take_writes(), [""; 0]);
    assert_eq!(site.aws.inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_a_machine_that_is_held_back_waits_as_a_whole() {
    let with = |new: bool| {
        let mut specs = vec![functionality("db", 5432, &[])];
        specs.extend(new.then(|| functionality("new", 9000, &[])));
        let all = deployment(specs).machine("one", Some("n")).located("n", &location());
        let all = all.placed("db", "one");
        if new { all.placed("new", "one") } else { all }
    };
    let site = Site::new(&with(false), 73);
    site.deploy(with(false)).await;
    let before = site.aws.inventory();
    let plan = site.plan_in_part(mistaken(with(true))).await;
    assert_eq!(touched(&plan), [""; 0]);
    assert_eq!(plan.waiting, [name("new")].into());
    assert!(plan.assignments.is_empty(), "{:?}", plan.assignments);
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.aws.inventory(), before);

    site.deploy(with(true)).await;
    let fresh = Site::new(&with(true), 74);
    fresh.deploy(with(true)).await;
    assert_eq!(site.aws.inventory(), fresh.aws.inventory(), "mended, everything is there");
}

#[tokio::test(start_paused = true)]
async fn what_never_stood_holds_nothing_back() {
    let alone = |port| {
        let one = deployment(vec![functionality("other", port, &[])]).machine("two", Some("n"));
        one.placed("other", "two").located("n", &location())
    };
    let site = Site::new(&alone(7000), 75);
    site.deploy(alone(7000)).await;
    let mut both = deployment(vec![functionality("db", 1, &[]), functionality("other", 7001, &[])])
        .machine("two", Some("n"))
        .placed("other", "two")
        .located("n", &location());
    both.place.insert(name("db"), name("nowhere"));
    let plan = site.plan_in_part(both).await;
    assert!(plan.held.is_empty() && plan.waiting.is_empty(), "{:?}", plan.held);
    let steps = touched(&plan);
    assert!(steps.contains(&"replace ec2/target/two/machine/0/instance".to_owned()), "{steps:?}");
}
