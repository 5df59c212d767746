//! What does not fit into user data is fetched from S3.

use std::io::Read;

use deployix_backend_ec2::extension::{LocationSettings, TargetSettings};
use deployix_core::{
    backend::{Backend, Scope},
    spec::{Deployment, FileContent, FunctionalitySpec, ServiceSpec},
};

use crate::{
    site::{Site, beyond, ends},
    support::{With, compiled, deployment, noise},
};

const REGION: &str = "eu-central-1";

fn functionality(name: &str, seed: u32, bytes: usize) -> FunctionalitySpec<ServiceSpec> {
    let service = ServiceSpec::builder([name])
        .ship(&format!("bin/{name}"), FileContent::program(noise(seed, bytes)))
        .endpoint("main", 8080)
        .build()
        .unwrap();
    FunctionalitySpec::new(name, service).unwrap().fqdn(&format!("{name}.example.com")).unwrap()
}

fn located(staging: Option<&str>) -> LocationSettings {
    let staging = staging.map(|staging| staging.parse().unwrap());
    LocationSettings { region: Some(REGION.into()), staging, ..LocationSettings::default() }
}

fn settings(profile: Option<&str>) -> TargetSettings {
    TargetSettings { instance_profile: profile.map(str::to_owned), ..TargetSettings::default() }
}

/// A machine that is told of a program of so many bytes.
fn large(seed: u32, bytes: usize, staging: &str) -> Deployment {
    deployment(vec![functionality("web", seed, bytes)])
        .machine("one", Some("n"))
        .placed("web", "one")
        .located("n", &located(Some(staging)))
        .target_settings("one", &settings(Some("boot")))
}

fn objects(site: &Site) -> Vec<String> {
    site.aws.inventory().into_iter().filter(|line| line.contains(" object ")).collect()
}

const PLACE: &str = "s3://boot/machines";

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_put_into_s3_and_goes_with_its_machine() {
    let site = Site::new(&large(1, 40_000, PLACE), 60);
    site.deploy(large(1, 40_000, PLACE)).await;
    let first = objects(&site);
    let folder = "eu-central-1 object boot/machines/test/target/one/machine/0/staged-user-data/";
    assert!(first.len() == 1 && first[0].starts_with(folder), "{first:?}");
    let body = site
        .aws
        .by_hand(REGION, |world| world.buckets["boot"].values().next().unwrap().body.clone());
    let mut text = String::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("#cloud-config\n") && text.contains(&noise(1, 60)), "{text}");

    assert_eq!(site.plan(large(1, 40_000, PLACE)).await.steps.len(), 0);
    let (again, drifts) = site.plan_refreshed(large(1, 40_000, PLACE)).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));

    site.deploy(large(2, 40_000, PLACE)).await;
    let second = objects(&site);
    assert!(second.len() == 1 && second != first, "the old one went: {second:?}");

    site.deploy(large(2, 40_000, "s3://other")).await;
    let moved = objects(&site);
    assert!(moved.len() == 1 && moved[0].contains(" object other/test/target/one/"), "{moved:?}");

    site.deploy(large(2, 400, PLACE)).await;
    assert_eq!(objects(&site), [""; 0], "it fits again");
    let fresh = Site::new(&large(2, 400, PLACE), 60);
    fresh.deploy(large(2, 400, PLACE)).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);

    site.deploy(large(3, 40_000, PLACE)).await;
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_somebody_removed_is_told_and_put_there_again() {
    let site = Site::new(&large(1, 40_000, PLACE), 61);
    site.deploy(large(1, 40_000, PLACE)).await;
    let before = objects(&site);
    site.aws.by_hand(REGION, |world| {
        world.buckets.get_mut("boot").unwrap().clear();
    });
    let (plan, drifts) = site.plan_refreshed(large(1, 40_000, PLACE)).await;
    assert!(drifts.len() == 1 && drifts[0].ends_with("staged-user-data: it is gone"), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(objects(&site), before);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_turns_itself_off_while_it_begins_is_an_error() {
    let wanted = || {
        deployment(vec![functionality("web", 1, 40_000)])
            .machine("one", Some("n"))
            .placed("web", "one")
            .located("n", &located(Some(PLACE)))
            .target_settings("one", &settings(Some("boot")))
    };
    let site = Site::new(&wanted(), 62);
    site.aws.mood(|mood| mood.loses_objects = true);
    let plan = site.plan(wanted()).await;
    let told = ends(&site.carry_out(&plan).await);
    assert!(told.contains("started and stopped again: Client.InstanceInitiated"), "{told}");
    assert!(told.contains("console output"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_not_there_is_told_at_once() {
    let wanted = || large(1, 40_000, "s3://nowhere/x");
    let site = Site::new(&wanted(), 63);
    let plan = site.plan(wanted()).await;
    let told = ends(&site.carry_out(&plan).await);
    assert!(told.contains("PutObject: there is no such bucket"), "{told}");
    assert!(told.contains("correct `extensions.ec2.staging`"), "{told}");
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_history_knew_of_an_object_is_told_by_its_tags() {
    let site = Site::new(&large(1, 40_000, PLACE), 64);
    site.deploy(large(1, 40_000, PLACE)).await;
    let heads = site.heads().await;
    let compiled = site.compiled(large(1, 40_000, PLACE), &heads);
    let at = compiled.connected().sites().next().unwrap();
    let scope = Scope::new(compiled.connected().deployment(), at);
    let seen = site.backend().observe(&scope).await.unwrap();
    let object = seen.iter().find(|it| it.id.as_str().ends_with("/staged-user-data")).unwrap();
    let standing = &heads.resources[&object.id];
    assert_eq!(object.digest, Some(standing.resource.digest()));
    assert_eq!(object.owner.as_ref(), Some(standing.resource.owner()));
    assert_eq!(object.outputs, standing.outputs);
}

/// What a person reads of a deployment that cannot be compiled.
fn found(deployment: Deployment) -> String {
    let (_, found) = compiled(deployment);
    assert!(found.has_errors());
    found.to_string()
}

#[test]
fn what_is_missing_for_staging_is_told_with_its_remedy() {
    let web = |location: &LocationSettings, settings: &TargetSettings| {
        deployment(vec![functionality("web", 1, 40_000)])
            .machine("one", Some("n"))
            .placed("web", "one")
            .located("n", location)
            .target_settings("one", settings)
    };
    let nowhere = found(web(&located(None), &settings(Some("boot"))));
    assert!(nowhere.contains("AWS takes 16384 at most"), "{nowhere}");
    assert!(nowhere.contains("extensions.ec2.staging = \"s3://BUCKET/PREFIX\""), "{nowhere}");
    let roleless = found(web(&located(Some(PLACE)), &settings(None)));
    assert!(roleless.contains("extensions.ec2.instance-profile"), "{roleless}");
    let policy = "`s3:GetObject` on `arn:aws:s3:::boot/machines/*`";
    assert!(roleless.contains(policy), "{roleless}");
}

#[test]
fn machines_that_are_not_told_to_fetch_anything_reach_nothing_for_it() {
    let opened = |bytes| {
        let (compiled, found) = compiled(large(1, bytes, PLACE));
        assert!(!found.has_errors(), "{found}");
        let ids = compiled.resources().keys().map(ToString::to_string);
        ids.filter(|id| id.contains("/egress/")).collect::<Vec<_>>()
    };
    assert_eq!(opened(400), [""; 0]);
    assert_eq!(opened(40_000), ["ec2/functionality/web/egress/anyone/tcp-443/network/n"]);
}

#[test]
fn machines_of_a_pool_share_the_way_to_s3_and_have_objects_of_their_own() {
    let mut web = functionality("web", 1, 40_000);
    web = web.replicas(std::num::NonZeroU32::new(2).unwrap());
    let deployment = deployment(vec![web])
        .pool("front", 2, "n")
        .placed("web", "front")
        .located("n", &located(Some(PLACE)))
        .target_settings("front", &settings(Some("boot")));
    let (compiled, found) = compiled(deployment);
    assert!(!found.has_errors(), "{found}");
    let ids = compiled.resources().keys().map(ToString::to_string);
    let staged = ids.filter(|id| id.ends_with("/staged-user-data")).count();
    assert_eq!(staged, 2);
}
