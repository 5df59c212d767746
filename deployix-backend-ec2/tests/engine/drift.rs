//! What was changed by hand is told, and put right.

use deployix_backend_ec2::{
    extension::LocationSettings,
    request::{IpPermission, IpProtocol, Peer},
};

use deployix_core::Name;

use crate::{
    site::{Site, beyond, ends, hydra},
    strict::World,
    support::{With, deployment, functionality},
};

const REGION: &str = "ap-southeast-1";

#[tokio::test(start_paused = true)]
async fn a_port_opened_by_hand_is_told_and_closed_again() {
    let site = Site::new(&hydra(), 11);
    site.deploy(hydra()).await;
    let stands = site.aws.inventory();
    site.aws.by_hand(REGION, |world| {
        let rule = world.rules.all().next().unwrap();
        let group = rule.group_id.clone();
        let anyone = IpPermission::new(IpProtocol::Tcp, Some(22), Peer::anyone(), "just for now");
        world.add_rule(group, false, anyone, Vec::new());
    });
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let (plan, drifts) = site.plan_refreshed(hydra()).await;
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    assert!(drifts[0].contains("somebody opened the way in: tcp 22 with 0.0.0.0/0"), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
    assert_eq!(site.plan_refreshed(hydra()).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_user_data_of_others_is_not_looked_at() {
    let (site, mut other) = (Site::new(&hydra(), 14), Site::new(&hydra(), 14));
    site.deploy(hydra()).await;
    let named = || {
        let mut deployment = hydra();
        deployment.name = Name::new("other").unwrap();
        deployment
    };
    other.aws = site.aws.clone();
    other.name = named().name;
    other.deploy(named()).await;
    let templates = |world: &mut World| {
        let all = world.templates.all().map(|it| it.launch_template_id.clone());
        all.collect::<Vec<_>>()
    };
    let templates = site.aws.by_hand(REGION, templates);

    site.aws.listen();
    assert_eq!(site.plan_refreshed(hydra()).await.1, [""; 0]);
    let heard = site.aws.heard();
    let told: Vec<_> =
        heard.iter().filter(|it| it.contains("DescribeLaunchTemplateVersions")).collect();
    let seen = |id: &&String| told.iter().any(|it| it.contains(id.as_str()));
    let seen = templates.iter().filter(seen).count();
    assert_eq!((seen, templates.len()), (templates.len() / 2, 2 * seen), "{told:#?}");
    assert!(seen > 0);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_machine_is_told_and_started_again() {
    let site = Site::new(&hydra(), 12);
    site.deploy(hydra()).await;
    let stands = site.aws.inventory();
    site.aws.by_hand(REGION, |world| {
        world.instances.all_mut().next().unwrap().state = "stopped".to_owned();
    });
    let (plan, drifts) = site.plan_refreshed(hydra()).await;
    assert!(drifts.len() == 1 && drifts[0].ends_with("instance: it is stopped"), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_another_size_is_told_and_made_as_it_was() {
    let site = Site::new(&hydra(), 13);
    site.deploy(hydra()).await;
    site.aws.by_hand(REGION, |world| {
        world.instances.all_mut().next().unwrap().instance_type = "m5.large".to_owned();
    });
    let (plan, drifts) = site.plan_refreshed(hydra()).await;
    assert!(drifts[0].ends_with("it was `m3.medium` and is `m5.large`"), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.plan_refreshed(hydra()).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_one_of_a_thing_is_told_and_goes() {
    let site = Site::new(&hydra(), 15);
    site.deploy(hydra()).await;
    let stands = site.aws.inventory();
    site.aws.by_hand(REGION, |world| {
        // As a run leaves it that was cut off, and shows it when all others have looked.
        let gateway = world.gateways.all().next().unwrap().clone();
        let tags = gateway.tags.iter().filter(|tag| !tag.key.contains("part:")).cloned();
        world.second_gateway(tags.collect());
    });
    let (plan, drifts) = site.plan_refreshed(hydra()).await;
    assert!(drifts.iter().any(|line| line.contains("there are two of it")), "{drifts:?}");
    let report = site.carry_out(&plan).await;
    assert!(report.is_good(), "{}", ends(&report));
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_history_knew_is_found_by_its_tags() {
    let wanted = || {
        let location =
            LocationSettings { region: Some("eu-central-1".into()), ..LocationSettings::default() };
        deployment(vec![functionality("web", 8080, &[])])
            .machine("one", Some("n"))
            .placed("web", "one")
            .located("n", &location)
    };
    let site = Site::new(&wanted(), 14);
    site.deploy(wanted()).await;
    let heads = site.heads().await;
    let (backend, compiled) = (site.backend(), site.compiled(wanted(), &heads));
    let at = compiled.connected().sites().next().unwrap();
    let scope = deployix_core::backend::Scope::new(compiled.connected().deployment(), at);
    let seen = deployix_core::backend::Backend::observe(&backend, &scope).await.unwrap();
    assert_eq!(seen.len(), heads.resources.len());
    for observed in seen {
        let standing = &heads.resources[&observed.id];
        assert_eq!(observed.digest, Some(standing.resource.digest()), "{}", observed.id);
        assert_eq!(observed.outputs, standing.outputs, "{}", observed.id);
        assert_eq!(observed.owner.as_ref(), Some(standing.resource.owner()), "{}", observed.id);
        assert_eq!(observed.holds_data, standing.resource.holds_data(), "{}", observed.id);
    }
}
