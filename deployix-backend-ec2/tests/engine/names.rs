//! Fqdns as records of a Route 53 zone.

use deployix_backend_ec2::{
    extension::{HostedZone, LocationSettings, TargetSettings},
    request::{HostedZoneId, ResourceRecord, ResourceRecordSet},
};
use deployix_core::{Fqdn, spec::Deployment};

use crate::{
    site::{Site, ZONE, beyond, ends},
    support::{With, deployment, functionality},
};

pub(crate) fn zone() -> HostedZone {
    HostedZone {
        id: HostedZoneId::new(ZONE).unwrap(),
        name: Fqdn::new("example.com").unwrap(),
        ttl: None,
    }
}

fn location() -> LocationSettings {
    LocationSettings {
        region: Some("eu-central-1".into()),
        hosted_zone: Some(zone()),
        ..LocationSettings::default()
    }
}

/// A page on one machine, which reaches a database that runs so many times.
fn pair(databases: u32) -> Deployment {
    let db = functionality("db", 5432, &[]).replicas(databases.try_into().unwrap());
    deployment(vec![functionality("web", 8080, &["db"]), db])
        .machine("one", Some("n"))
        .pool("two", 3, "n")
        .placed("web", "one")
        .placed("db", "two")
        .located("n", &location())
}

fn record(name: &str, address: &str) -> ResourceRecordSet {
    ResourceRecordSet {
        name: name.to_owned(),
        kind: "A".to_owned(),
        set_identifier: None,
        ttl: Some(60),
        resource_records: vec![ResourceRecord { value: address.to_owned().into() }],
        alias_target: None,
    }
}

/// The addresses that the servers give for a name.
fn addresses(site: &Site, name: &str) -> Vec<String> {
    let set = site.aws.names(|names| names.answer(ZONE, name));
    let records = set.into_iter().flat_map(|set| set.resource_records);
    let mut all: Vec<_> = records.map(|it| it.value.known().unwrap().clone()).collect();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn a_name_leads_to_all_replicas_and_those_that_use_it_stay_when_one_more_comes() {
    let site = Site::new(&pair(2), 50);
    site.deploy(pair(2)).await;
    let machines = |target: &str| {
        let interfaces = site.aws.inventory();
        interfaces.iter().filter(|it| it.contains(" interface ") && it.contains(target)).count()
    };
    assert_eq!((addresses(&site, "db.example.com").len(), machines("/two/")), (2, 2));
    assert_eq!(addresses(&site, "web.example.com").len(), 1);

    let plan = site.plan(pair(3)).await;
    let touched: Vec<_> = plan.steps.iter().map(|step| step.id().to_string()).collect();
    assert!(touched.iter().all(|id| !id.contains("/one/")), "{touched:#?}");
    assert!(touched.iter().any(|id| id.ends_with("/record/Z0123456789ABCDEFGHIJ/db.example.com")));
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(addresses(&site, "db.example.com").len(), 3);
    assert_eq!(site.plan_refreshed(pair(3)).await.1, [""; 0]);

    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_starts_after_all_servers_know_the_names_that_it_uses() {
    let site = Site::new(&pair(1), 51);
    let plan = site.plan(pair(1)).await;
    let after = |id: &str| {
        let step = plan.steps.iter().find(|step| step.id().as_str() == id).unwrap();
        step.after.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let record = format!("ec2/functionality/db/record/{ZONE}/db.example.com");
    assert!(after("ec2/target/one/machine/0/instance").contains(&record));
    assert!(!after("ec2/target/two/machine/0/instance").contains(&record));
    assert_eq!(after(&record), ["ec2/target/two/machine/0/interface"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_somebody_else_made_is_refused_and_stays() {
    let foreign = record("db.example.com", "192.0.2.1");
    let site = Site::new(&pair(1), 52);
    site.aws.names(|names| names.put(ZONE, foreign.clone()));
    let report = site.carry_out(&site.plan(pair(1)).await).await;
    let told = ends(&report);
    assert!(
        told.contains("has a record of db.example.com that Deployix did not make (A 192.0.2.1 for"),
        "{told}"
    );
    assert!(told.contains("remove it, or choose another fqdn"), "{told}");
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [format!("{ZONE} record db.example.com A 1")]);
    assert_eq!(site.aws.names(|names| names.answer(ZONE, "db.example.com")), Some(foreign));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_answered_in_turn_and_other_names_of_a_host_are_nobody_s_to_change() {
    let weighted = ResourceRecordSet {
        set_identifier: Some("blue".to_owned()),
        ..record("db.example.com", "192.0.2.1")
    };
    let alias = ResourceRecordSet {
        kind: "CNAME".to_owned(),
        ..record("db.example.com", "elsewhere.example.com")
    };
    for (seed, foreign) in [(66, weighted), (67, alias)] {
        let site = Site::new(&pair(1), seed);
        site.deploy(pair(1)).await;
        // Somebody took the name over, and left the note.
        site.aws.names(|names| {
            names.take(ZONE, "db.example.com", "A");
            names.put(ZONE, foreign.clone());
        });
        let (plan, _) = site.plan_refreshed(pair(1)).await;
        let told = ends(&site.carry_out(&plan).await);
        assert!(told.contains("that Deployix did not make"), "{told}");
        site.destroy().await;
        let kind = &foreign.kind;
        assert_eq!(site.aws.inventory(), [format!("{ZONE} record db.example.com {kind} 1")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_deployment_is_named_and_stays() {
    let site = Site::new(&pair(1), 53);
    site.deploy(pair(1)).await;
    let stands = site.aws.inventory();
    let other = || {
        let mut other = pair(1);
        other.name = crate::support::name("other");
        other
    };
    let mut second = Site::new(&other(), 53);
    second.aws = site.aws.clone();
    let told = ends(&second.carry_out(&second.plan(other()).await).await);
    assert!(told.contains("is of the deployment `test` (ec2/functionality/db/record/"), "{told}");
    second.destroy().await;
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_name_passes_to_a_load_balancer_and_back() {
    let plain = || {
        deployment(vec![functionality("web", 8080, &[])])
            .machine("one", Some("n"))
            .placed("web", "one")
            .located("n", &location())
    };
    let balanced = || plain().balancer("front", "web.example.com", (443, 8080), &["0.0.0.0/0"]);
    let site = Site::new(&plain(), 54);
    for round in 0..2 {
        site.deploy(plain()).await;
        assert_eq!(addresses(&site, "web.example.com").len(), 1, "round {round}");
        site.deploy(balanced()).await;
        let set = site.aws.names(|names| names.answer(ZONE, "web.example.com")).unwrap();
        let alias = set.alias_target.expect("an alias");
        assert_eq!(alias.hosted_zone_id.known().unwrap().0, "Z1LOADBALANCERS");
        assert!(alias.dns_name.known().unwrap().0.ends_with("eu-central-1.amazonaws.com"));
        assert_eq!(site.plan_refreshed(balanced()).await.1, [""; 0], "round {round}");
    }
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_by_hand_in_a_zone_is_told_and_put_right() {
    let site = Site::new(&pair(2), 55);
    site.deploy(pair(2)).await;
    let (right, stands) = (addresses(&site, "db.example.com"), site.aws.inventory());
    site.aws.names(|names| {
        names.put(ZONE, record("db.example.com", "192.0.2.1"));
        names.take(ZONE, "web.example.com", "A");
    });
    let (plan, drifts) = site.plan_refreshed(pair(2)).await;
    assert_eq!(drifts.len(), 2, "{drifts:?}");
    assert!(drifts[0].contains("and is `A 192.0.2.1 for 60 s`"), "{drifts:?}");
    assert!(drifts[1].contains("its record is gone"), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(addresses(&site, "db.example.com"), right);
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0]);
    assert_eq!(site.plan_refreshed(pair(2)).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_history_knew_of_names_is_found_by_their_notes() {
    let mut site = Site::new(&pair(1), 56);
    site.deploy(pair(1)).await;
    let (stands, lost) = (site.aws.inventory(), site.heads().await);
    let resources = lost.resources;
    let aws = site.aws.clone();
    site = Site::new(&pair(1), 56);
    site.aws = aws;
    let heads = site.heads().await;
    let compiled = site.compiled(pair(1), &heads);
    let at = compiled.connected().sites().next().unwrap();
    let scope = deployix_core::backend::Scope::new(compiled.connected().deployment(), at);
    let seen = deployix_core::backend::Backend::observe(&site.backend(), &scope).await.unwrap();
    let records: Vec<_> = seen.iter().filter(|it| it.id.as_str().contains("/record/")).collect();
    assert_eq!(records.len(), 2);
    for observed in records {
        let standing = &resources[&observed.id];
        assert_eq!(observed.digest, Some(standing.resource.digest()), "{}", observed.id);
        assert_eq!(observed.owner.as_ref(), Some(standing.resource.owner()), "{}", observed.id);
        assert_eq!(observed.kept_by, lost.history, "{}", observed.id);
    }
    site.take_over = lost.history;
    site.deploy(pair(1)).await;
    assert_eq!(beyond(&site.aws.inventory(), &stands), [""; 0], "they are taken up");
}

#[tokio::test(start_paused = true)]
async fn another_fqdn_is_another_record_and_the_one_before_goes() {
    let named = |fqdn: &str| {
        let web = functionality("web", 8080, &[]).fqdn(fqdn).unwrap();
        deployment(vec![web])
            .machine("one", Some("n"))
            .placed("web", "one")
            .located("n", &location())
    };
    let site = Site::new(&named("a.example.com"), 57);
    site.deploy(named("a.example.com")).await;
    site.deploy(named("b.example.com")).await;
    let names: Vec<_> =
        site.aws.inventory().into_iter().filter(|line| line.starts_with(ZONE)).collect();
    assert!(
        names.len() == 2 && names.iter().all(|line| line.contains("b.example.com")),
        "{names:?}"
    );
    site.deploy(named("b.example.org")).await;
    let names: Vec<_> =
        site.aws.inventory().into_iter().filter(|line| line.starts_with(ZONE)).collect();
    assert_eq!(names, [""; 0], "it is outside of the zone");
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_not_there_is_told_and_keeps_nothing_from_going() {
    let site = Site::new(&pair(1), 58);
    site.aws.names(|names| names.remove_zone(ZONE));
    let told = ends(&site.carry_out(&site.plan(pair(1)).await).await);
    assert!(told.contains("correct `extensions.ec2.hosted-zone`"), "{told}");
    site.aws.names(|names| names.add_zone(ZONE, "example.com"));
    site.deploy(pair(1)).await;
    site.aws.names(|names| names.remove_zone(ZONE));
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn names_come_and_go_though_a_third_of_the_calls_fail() {
    let calm = Site::new(&pair(3), 60);
    calm.deploy(pair(3)).await;
    for seed in 61..65 {
        let site = Site::new(&pair(3), seed);
        site.aws.mood(|mood| mood.faults = 30);
        site.deploy(pair(3)).await;
        assert_eq!(beyond(&site.aws.inventory(), &calm.aws.inventory()), [""; 0], "seed {seed}");
        site.destroy().await;
        assert_eq!(site.aws.inventory(), [""; 0], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_without_a_load_balancer_gets_no_name() {
    let fleet = deployment(vec![functionality("web", 8080, &[])])
        .autoscaling("fleet", 1, 2, "n")
        .placed("web", "fleet")
        .located("n", &location())
        .target_settings("fleet", &TargetSettings::default());
    let (compiled, found) = crate::support::compiled(fleet);
    assert!(found.to_string().contains("web.example.com gets no record"), "{found}");
    assert!(compiled.resources().keys().all(|id| !id.as_str().contains("/record/")));
}
