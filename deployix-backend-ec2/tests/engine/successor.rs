//! A machine takes another's place: where it does not start, the one before serves on or is put back.

use deployix_backend_ec2::{
    engine::{call::Write, shape::Instance},
    extension::{LocationSettings, TargetSettings},
    request::ImageId,
};
use deployix_core::{
    execute::Report,
    spec::{Deployment, FileContent, FunctionalitySpec, ServiceSpec},
};

use crate::{
    site::{Site, beyond, ends},
    strict::Death,
    support::{With, deployment},
    way::Way,
};

const REGION: &str = "eu-central-1";
const IMAGE: &str = "ami-0123456789abcdef0";

/// A machine with state behind a load balancer.
fn shop(settings: &TargetSettings) -> Deployment {
    let location =
        LocationSettings { region: Some(REGION.to_owned()), ..LocationSettings::default() };
    let service = ServiceSpec::builder(["web"])
        .ship("bin/web", FileContent::program("#!/bin/sh\n"))
        .endpoint("main", 8080)
        .state("/var/lib/web")
        .build()
        .unwrap();
    let web = FunctionalitySpec::new("web", service).unwrap().fqdn("web.example.com").unwrap();
    deployment(vec![web])
        .machine("one", Some("n"))
        .placed("web", "one")
        .located("n", &location)
        .target_settings("one", settings)
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

fn of_type(kind: &str) -> TargetSettings {
    TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() }
}

fn of_image() -> TargetSettings {
    TargetSettings { image: Some(ImageId::new(IMAGE).unwrap()), ..of_type("m5.large") }
}

fn running(site: &Site) -> Vec<Instance> {
    site.aws.by_hand(REGION, |world| {
        let all = world.instances.all();
        all.filter(|it| it.state == "running").cloned().collect()
    })
}

async fn try_to_deploy(site: &Site, settings: &TargetSettings) -> Report {
    let plan = site.plan(shop(settings)).await;
    let report = site.carry_out(&plan).await;
    assert!(!report.is_good());
    report
}

/// Its disk is attached to it, and it is the one that is led to, and healthy.
fn serves(site: &Site, machine: &Instance) {
    site.aws.by_hand(REGION, |world| {
        let attached: Vec<_> = world
            .volumes
            .all()
            .filter(|it| it.attachments.iter().any(|to| to.device == "/dev/sdf"))
            .collect();
        assert_eq!(attached.len(), 1, "{attached:#?}");
        assert_eq!(attached[0].attachments[0].instance_id, machine.instance_id);
        let behind: Vec<_> = world.behind().cloned().collect();
        assert_eq!(behind.len(), 1, "{behind:#?}");
        assert_eq!((&behind[0].id, &*behind[0].state), (&machine.instance_id, "healthy"));
    });
}

/// What follows deploys and stands as if nothing had happened.
async fn goes_on(site: &Site, settings: &TargetSettings) {
    site.deploy(shop(settings)).await;
    let fresh = Site::new(&shop(settings), 70);
    fresh.deploy(shop(settings)).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
    let (plan, drifts) = site.plan_refreshed(shop(settings)).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));
    serves(site, &running(site)[0]);
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_aws_would_refuse_leaves_the_machine_before_alone() {
    let site = Site::new(&shop(&of_type("m3.medium")), 71);
    site.deploy(shop(&of_type("m3.medium"))).await;
    let before = running(&site);
    site.aws.take_writes();
    site.aws.by_hand(REGION, |world| world.images.insert(IMAGE.to_owned()));
    let told = ends(&try_to_deploy(&site, &of_image()).await);
    assert!(told.contains("set `extensions.ec2.image`"), "{told}");
    assert_eq!(running(&site), before);
    let writes = site.aws.take_writes();
    for operation in ["TerminateInstances", "DeregisterTargets", "RunInstances"] {
        assert!(!writes.contains(&operation.to_owned()), "{writes:?}");
    }
    serves(&site, &before[0]);
    goes_on(&site, &of_type("m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_with_a_role_that_nobody_made_leaves_the_machine_before_alone() {
    let site = Site::new(&shop(&of_type("m3.medium")), 79);
    site.deploy(shop(&of_type("m3.medium"))).await;
    let before = running(&site);
    let never = tokio::time::Instant::now() + std::time::Duration::from_secs(100_000);
    site.aws.by_hand(REGION, |world| world.profiles.insert("lost".to_owned(), never));
    let settings =
        TargetSettings { instance_profile: Some("lost".to_owned()), ..of_type("m5.large") };
    let told = ends(&try_to_deploy(&site, &settings).await);
    assert!(told.contains("correct `extensions.ec2.instance-profile`"), "{told}");
    assert_eq!(running(&site), before);
    goes_on(&site, &of_type("m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_ends_while_it_starts_is_followed_by_one_like_the_machine_before() {
    let site = Site::new(&shop(&of_type("m3.medium")), 72);
    site.deploy(shop(&of_type("m3.medium"))).await;
    let before = running(&site);
    site.aws.by_hand(REGION, |world| world.broken.insert(IMAGE.to_owned()));
    for _ in 0..2 {
        let told = ends(&try_to_deploy(&site, &of_image()).await);
        assert!(told.contains("started from the launch template before"), "{told}");
        assert!(told.contains("Client.InternalError"), "the reason is told: {told}");
        let [machine] = running(&site).try_into().unwrap();
        assert_ne!(machine.instance_id, before[0].instance_id);
        assert_eq!(machine.instance_type, "m3.medium");
        assert_eq!(machine.network_interfaces, before[0].network_interfaces, "at its address");
        serves(&site, &machine);
    }
    goes_on(&site, &of_type("m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_the_machine_before_again_has_it_already() {
    let site = Site::new(&shop(&of_type("m3.medium")), 73);
    site.deploy(shop(&of_type("m3.medium"))).await;
    site.aws.by_hand(REGION, |world| world.scarce.insert("m5.large".to_owned()));
    let told = ends(&try_to_deploy(&site, &of_type("m5.large")).await);
    assert!(told.contains("InsufficientInstanceCapacity"), "{told}");
    let machine = running(&site);
    serves(&site, &machine[0]);
    site.aws.take_writes();
    site.deploy(shop(&of_type("m3.medium"))).await;
    assert_eq!(running(&site), machine);
    let writes = site.aws.take_writes();
    assert!(!writes.contains(&"TerminateInstances".to_owned()), "{writes:?}");
    goes_on(&site, &of_type("m3.medium")).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_may_not_be_ended_takes_its_places_again() {
    let site = Site::new(&shop(&of_type("m3.medium")), 78);
    site.deploy(shop(&of_type("m3.medium"))).await;
    let before = running(&site);
    site.aws.mood(|mood| {
        mood.refuses.insert("TerminateInstances", ("UnauthorizedOperation", ""));
    });
    let told = ends(&try_to_deploy(&site, &of_type("m5.large")).await);
    assert!(told.contains("allow the action `ec2:TerminateInstances`"), "{told}");
    assert_eq!(running(&site), before);
    serves(&site, &before[0]);
    site.aws.mood(|mood| mood.refuses.clear());
    let ends = site.aws.by_hand(REGION, |world| {
        let instance_ids = vec![before[0].instance_id.clone()];
        world.call(&Write::TerminateInstances { instance_ids }.into())
    });
    assert_eq!(ends.unwrap_err().code, "OperationNotPermitted", "it is protected again");
    goes_on(&site, &of_type("m5.large")).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_maker_dies_gets_its_disk_and_its_places_from_whoever_goes_on() {
    let (before, after) = (of_type("m3.medium"), of_type("m5.large"));
    let way = Way::new(|| shop(&before), || shop(&after)).await;
    assert!(way.takes > 8, "{}", way.takes);
    for at in 0..way.takes {
        way.goes_on(at, Death::Before).await;
        way.goes_on(at, Death::After).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_neither_starts_both_reasons_are_told_and_the_next_deploy_goes_on() {
    let site = Site::new(&shop(&of_type("m3.medium")), 74);
    site.deploy(shop(&of_type("m3.medium"))).await;
    for kind in ["m3.medium", "m5.large"] {
        site.aws.by_hand(REGION, |world| world.scarce.insert(kind.to_owned()));
    }
    let told = ends(&try_to_deploy(&site, &of_type("m5.large")).await);
    assert!(told.contains("the one before does not come back either"), "{told}");
    assert_eq!(running(&site), []);
    site.aws.by_hand(REGION, |world| world.scarce.clear());
    goes_on(&site, &of_type("m5.large")).await;
}
