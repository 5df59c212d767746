//! What AWS refuses, and what a person reads of it.

use std::time::Duration;

use deployix_backend_ec2::extension::{LocationSettings, TargetSettings};
use deployix_core::{conformance::Kit, execute::observe, spec::Deployment};
use tokio::time::Instant;

use crate::{
    scenario::three,
    site::{Account, Site, ends},
    support::{With, deployment, functionality},
};

fn one(settings: &TargetSettings, region: &str) -> Deployment {
    let location =
        LocationSettings { region: Some(region.to_owned()), ..LocationSettings::default() };
    deployment(vec![functionality("web", 8080, &[])])
        .machine("one", Some("n"))
        .placed("web", "one")
        .located("n", &location)
        .target_settings("one", settings)
}

/// What a person reads of a deploy that fails.
async fn told(deployment: impl Fn() -> Deployment, prepare: impl Fn(&Site)) -> String {
    let site = Site::new(&deployment(), 40);
    prepare(&site);
    let plan = site.plan(deployment()).await;
    let report = site.carry_out(&plan).await;
    assert!(!report.is_good());
    let told = ends(&report);
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0], "what failed leaves nothing: {told}");
    told
}

#[tokio::test(start_paused = true)]
async fn each_refusal_names_what_to_do() {
    let plain = TargetSettings::default();
    let refuses =
        |operation, code, message| move |site: &Site| site.aws.refuse(operation, code, message);
    let at_home = || one(&plain, "eu-central-1");
    let denied =
        told(at_home, refuses("RunInstances", "UnauthorizedOperation", "not authorized")).await;
    assert!(denied.contains("allow the action `ec2:RunInstances`"), "{denied}");
    let tags = "You are not authorized to perform: ec2:CreateTags on it";
    let denied = told(at_home, refuses("CreateVpc", "UnauthorizedOperation", tags)).await;
    assert!(denied.contains("allow the action `ec2:CreateTags`"), "{denied}");
    let full = told(at_home, refuses("RunInstances", "VcpuLimitExceeded", "")).await;
    assert!(full.contains("Service Quotas"), "{full}");

    let image = TargetSettings {
        image: Some(deployix_backend_ec2::request::ImageId::new("ami-0123456789abcdef0").unwrap()),
        ..TargetSettings::default()
    };
    let unknown = told(
        || one(&image, "eu-central-1"),
        |site| {
            site.aws.by_hand("eu-central-1", |world| {
                world.images.insert("ami-0123456789abcdef0".to_owned());
            });
        },
    )
    .await;
    assert!(unknown.contains("set `extensions.ec2.image`"), "{unknown}");
    let broken = told(
        || one(&image, "eu-central-1"),
        |site| {
            site.aws.by_hand("eu-central-1", |world| {
                world.broken.insert("ami-0123456789abcdef0".to_owned());
            });
        },
    )
    .await;
    assert!(broken.contains("ended again before it was ready: Client.InternalError"), "{broken}");
    let key = TargetSettings { key_name: Some("lost".to_owned()), ..TargetSettings::default() };
    let unknown = told(|| one(&key, "eu-central-1"), |_| {}).await;
    assert!(unknown.contains("extensions.ec2.key-name"), "{unknown}");
}

/// A machine and an autoscaling group whose programs have a role.
fn with_role() -> Deployment {
    let settings =
        TargetSettings { instance_profile: Some("boot".to_owned()), ..TargetSettings::default() };
    let location =
        LocationSettings { region: Some("eu-central-1".to_owned()), ..LocationSettings::default() };
    deployment(vec![functionality("web", 8080, &[]), functionality("api", 8080, &[])])
        .machine("one", Some("n"))
        .autoscaling("fleet", 1, 2, "n")
        .placed("web", "one")
        .placed("api", "fleet")
        .located("n", &location)
        .target_settings("one", &settings)
        .target_settings("fleet", &settings)
}

fn known_after(site: &Site, seconds: u64) {
    let known = Instant::now() + Duration::from_secs(seconds);
    site.aws.by_hand("eu-central-1", |world| world.profiles.insert("boot".to_owned(), known));
}

#[tokio::test(start_paused = true)]
async fn an_instance_profile_that_nobody_made_is_told_of_machines_and_of_groups() {
    let told = told(with_role, |site| known_after(site, 100_000)).await;
    for resource in ["target/one/machine/0/instance", "target/fleet/network/n/autoscaling-group"] {
        let line = told.lines().find(|line| line.contains(resource));
        let line = line.unwrap_or_else(|| panic!("nothing of {resource}: {told}"));
        assert!(line.contains("correct `extensions.ec2.instance-profile`"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_profile_that_was_just_made_is_waited_for() {
    let site = Site::new(&with_role(), 43);
    known_after(&site, 60);
    site.deploy(with_role()).await;
    site.destroy().await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_region_and_expired_credentials_are_told() {
    let plain = TargetSettings::default();
    for (region, code, words) in [
        ("us-middle-7", None, "correct `extensions.ec2.region`"),
        ("eu-central-1", Some("RequestExpired"), "sign in again"),
    ] {
        let site = Site::new(&one(&plain, region), 41);
        if let Some(code) = code {
            site.aws.refuse("any", code, "");
        }
        let plan = site.plan(one(&plain, region)).await;
        let told = ends(&site.carry_out(&plan).await);
        assert!(told.contains(words), "{told}");
        assert_eq!(site.aws.inventory(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_backend_keeps_its_contract_with_an_account_behind_it() {
    let site = Site::new(&deployment(vec![functionality("web", 8080, &[])]), 42);
    if let Err(failures) = Kit::new(site.backend()).run().await {
        panic!("{failures}");
    }
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_have_expired_are_told_once_for_all_targets() {
    let site = Site::new(&three(8080), 43);
    site.deploy(three(8080)).await;
    site.aws.refuse("any", "ExpiredToken", "The security token included in the request is expired");
    let heads = site.heads().await;
    let sites: Vec<_> = heads.sites.values().cloned().collect();
    let observation = observe(&site.registry(), &site.name, sites, &heads).await;
    assert_eq!(observation.targets.len(), 2);
    let told: Vec<_> = observation.findings().into_iter().map(|it| it.message).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("targets `one` and `two` cannot be asked"), "{told:?}");
    assert!(told[0].contains("sign in again"), "{told:?}");
    let (same, drifts) = observation.compare(&heads);
    assert_eq!((same == heads, drifts), (true, Vec::new()), "nothing is known to be other");
}
