//! Deploying, changing, removing.

use deployix_backend_ec2::{
    engine::{call::Write, shape::Volume},
    extension::TargetSettings,
};
use deployix_core::spec::{Deployment, FileContent, FunctionalitySpec, ServiceSpec};

use crate::{
    scenario::{self, location, pair},
    site::{Site, ends, hydra},
    support::{With, deployment, functionality},
    upcast,
};

#[tokio::test(start_paused = true)]
async fn hydra_deploys_deploys_again_with_no_call_that_writes_and_leaves_an_empty_account() {
    let site = Site::new(&hydra(), 1);
    scenario::hydra_deploys_deploys_again_with_no_call_that_writes_and_goes(&site).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_functionality_calls_for_it_alone() {
    let site = Site::new(&pair(), 2);
    scenario::a_change_of_one_functionality_calls_for_it_alone(&site).await;
}

#[tokio::test(start_paused = true)]
async fn a_functionality_that_goes_takes_its_rules_and_groups_along() {
    let (site, other) = (Site::new(&pair(), 3), Site::new(&pair(), 4));
    scenario::a_functionality_that_goes_takes_its_rules_and_groups_along(&site, &other).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_and_two_networks_that_talk_over_ipsec_come_and_go() {
    let site = Site::new(&pair(), 5);
    scenario::a_pool_and_two_networks_that_talk_over_ipsec_come_and_go(&site).await;
}

fn fleet(min: u32, kind: &str) -> Deployment {
    let settings =
        TargetSettings { instance_type: Some(kind.to_owned()), ..TargetSettings::default() };
    deployment(vec![functionality("web", 8080, &[])])
        .autoscaling("fleet", min, 6, "n")
        .placed("web", "fleet")
        .located("n", &location())
        .target_settings("fleet", &settings)
        .balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"])
}

#[tokio::test(start_paused = true)]
async fn an_autoscaling_group_behind_a_load_balancer_comes_grows_is_refreshed_and_goes() {
    let site = Site::new(&fleet(2, "m5.large"), 6);
    site.deploy(fleet(2, "m5.large")).await;
    let count = || {
        let all = site.aws.inventory();
        all.iter().filter(|line| line.contains("instance running")).count()
    };
    assert_eq!(count(), 2);

    site.aws.take_writes();
    site.deploy(fleet(3, "m5.large")).await;
    assert_eq!(count(), 3);
    let writes = site.aws.take_writes();
    assert!(!writes.contains(&"StartInstanceRefresh".to_owned()), "{writes:?}");

    site.deploy(fleet(3, "m3.medium")).await;
    let writes = site.aws.take_writes();
    assert!(writes.contains(&"StartInstanceRefresh".to_owned()), "{writes:?}");
    let of_type = |kind: &str| {
        site.aws.by_hand("eu-central-1", |world| {
            let live = world.instances.all().filter(|it| it.state == "running");
            live.filter(|it| it.instance_type == kind).count()
        })
    };
    assert_eq!((of_type("m5.large"), of_type("m3.medium")), (0, 3));
    let all = site.aws.inventory();
    assert_eq!(all.iter().filter(|line| line.contains(" template ")).count(), 1, "{all:#?}");

    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

fn disk(gib: u64, kind: &str) -> Deployment {
    let settings = TargetSettings {
        instance_type: Some(kind.to_owned()),
        state_disk: deployix_core::spec::Bytes(gib << 30),
        ..TargetSettings::default()
    };
    keeper().target_settings("one", &settings)
}

/// A machine that keeps state.
pub(crate) fn keeper() -> Deployment {
    let service = ServiceSpec::builder(["db"])
        .ship("bin/db", FileContent::program("#!/bin/sh\n"))
        .endpoint("main", 5432)
        .state("/var/lib/db")
        .build()
        .unwrap();
    let db = FunctionalitySpec::new("db", service).unwrap().fqdn("db.example.com").unwrap();
    deployment(vec![db]).machine("one", Some("n")).placed("db", "one").located("n", &location())
}

#[tokio::test(start_paused = true)]
async fn a_disk_with_state_grows_never_shrinks_and_outlives_its_machine() {
    let site = Site::new(&keeper(), 7);
    site.deploy(disk(20, "m3.medium")).await;
    let volume = || {
        site.aws.by_hand("eu-central-1", |world| {
            let with_state = |it: &&Volume| it.tags.iter().any(|tag| tag.key == "deployix:digest");
            world.volumes.all().find(with_state).unwrap().clone()
        })
    };
    let first = volume();
    assert_eq!((first.size, first.encrypted), (20, true));

    site.deploy(disk(40, "m5.large")).await;
    let grown = volume();
    assert_eq!((&grown.volume_id, grown.size), (&first.volume_id, 40));
    assert_ne!(grown.attachments[0].instance_id, first.attachments[0].instance_id);
    assert_eq!(grown.attachments[0].state, "attached");

    let plan = site.plan(disk(30, "m5.large")).await;
    let told = ends(&site.carry_out(&plan).await);
    assert!(told.contains("a disk cannot shrink from 40 GiB to 30"), "{told}");
    assert_eq!(volume().size, 40);

    site.destroy_but_data().await;
    let left = site.aws.inventory();
    assert!(left.len() == 1 && left[0].contains(" volume available "), "{left:?}");
    assert_eq!(volume().volume_id, first.volume_id);
    site.deploy(disk(40, "m5.large")).await;
    assert_eq!(volume().volume_id, first.volume_id, "it is taken again");
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_with_state_cannot_be_ended_by_mistake() {
    let site = Site::new(&keeper(), 8);
    site.deploy(keeper()).await;
    let ends = site.aws.by_hand("eu-central-1", |world| {
        let instance_ids = world.instances.all().map(|it| it.instance_id.clone()).collect();
        world.call(&Write::TerminateInstances { instance_ids }.into())
    });
    assert_eq!(ends.unwrap_err().code, "OperationNotPermitted");
}

#[tokio::test(start_paused = true)]
async fn a_machine_may_become_again_what_it_was_though_its_token_was_used() {
    let site = Site::new(&keeper(), 9);
    for kind in ["m3.medium", "m5.large", "m3.medium"] {
        site.deploy(disk(20, kind)).await;
        let running = site.aws.by_hand("eu-central-1", |world| {
            let live = world.instances.all().filter(|it| it.state == "running");
            live.map(|it| it.instance_type.clone()).collect::<Vec<_>>()
        });
        assert_eq!(running, [kind]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_is_opened_to_everybody_is_made_before_the_old_one_goes() {
    let (site, fresh) = (Site::new(&pair(), 10), Site::new(&pair(), 10));
    scenario::a_load_balancer_that_is_opened_to_everybody_is_made_before_the_old_one_goes(
        &site, &fresh,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_ends_what_it_is_at_before_it_goes() {
    let site = Site::new(&pair(), 16);
    scenario::a_machine_ends_what_it_is_at_before_it_goes(&site).await;
}

#[tokio::test(start_paused = true)]
async fn the_upcast_network_is_planned_deployed_and_read_back_equal() {
    upcast::is_planned_deployed_and_read_back_equal(&Site::new(&upcast::upcast(), 50)).await;
}
