//! Records and parameters over the wire: the engine, AWS's own SDK, and moto, the public mock of AWS.
//!
//! moto tells every change to be `INSYNC` at once, checks no signature, and never makes again what it made
//! once, even where that was removed; so signatures and what is put right are tried elsewhere.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[path = "support/hunter.rs"]
mod hunter;
#[path = "support/moto.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod moto;
#[path = "support/sdk.rs"]
mod sdk;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use deployix_backend_ec2::{
    Ec2Backend,
    engine::{
        Aws,
        call::{Answer, Call, Filter, Query, Read},
    },
    extension::{HostedZone, LocationSettings},
    live::Sdk,
    request::{HostedZoneId, OUTPUT_KEY, Request},
};
use deployix_core::{
    Fqdn,
    backend::{
        Action, Backend, BackendError, Input, Inputs, NoFiles, Observed, Resource, Scope, Step,
        StepContext,
    },
    plan::Compiled,
    spec::Deployment,
};
use hunter::Hunter;
use support::{compiled, named};

/// A zone of a test's own, and a deployment that has its names there.
struct Place {
    config: SdkConfig,
    zone: String,
    backend: Ec2Backend,
    compiled: Compiled,
}

fn in_zone(id: &str, name: &str) -> Deployment {
    let mut deployment = named();
    deployment.name = support::name(name);
    let settings = LocationSettings {
        region: Some("eu-central-1".into()),
        hosted_zone: Some(HostedZone {
            id: HostedZoneId::new(id).unwrap(),
            name: Fqdn::new("example.com").unwrap(),
            ttl: None,
        }),
        ..LocationSettings::default()
    };
    let location = deployment.infrastructure.locations.values_mut().next().unwrap();
    location.extensions.insert(&settings).unwrap();
    deployment
}

/// What would come out of other resources.
fn filled(input: &Input) -> Input {
    let mut json = serde_json::to_value(input).unwrap();
    fn fill(json: &mut serde_json::Value) {
        match json {
            serde_json::Value::Object(map) => match map.get(OUTPUT_KEY) {
                Some(output) => {
                    let output = output["output"].as_str().unwrap();
                    *json = match output {
                        "PrivateIpAddress" => "10.0.0.5",
                        "DNSName" => "front.elb.eu-central-1.amazonaws.com",
                        "CanonicalHostedZoneId" => "Z3F0SRJ5LGBH90",
                        other => panic!("{other}"),
                    }
                    .into();
                }
                None => map.values_mut().for_each(fill),
            },
            serde_json::Value::Array(items) => items.iter_mut().for_each(fill),
            _ => {}
        }
    }
    fill(&mut json);
    serde_json::from_value(json).unwrap()
}

impl Place {
    async fn new(deployment: &str) -> Self {
        let config = sdk::config_with_http(moto::server(), "eu-central-1").await;
        let route53 = aws_sdk_route53::Client::new(&config);
        let zone = route53.create_hosted_zone().name("example.com").caller_reference(deployment);
        let zone = zone.send().await.unwrap().hosted_zone().unwrap().id().to_owned();
        let zone = zone.trim_start_matches("/hostedzone/").to_owned();
        Self::of(config, zone, deployment)
    }

    fn of(config: SdkConfig, zone: String, deployment: &str) -> Self {
        let backend = Ec2Backend::new().through(Arc::new(Sdk::with(config.clone())));
        let (compiled, found) = compiled(in_zone(&zone, deployment));
        assert!(!found.has_errors(), "{found}");
        Self { config, zone, backend, compiled }
    }

    /// Records and parameters.
    fn own(&self) -> Vec<Resource> {
        let own = |resource: &&Resource| {
            let request = deployix_backend_ec2::resource::request(resource.inputs()).unwrap();
            matches!(request, Request::ChangeResourceRecordSets(_) | Request::PutParameter(_))
        };
        let all: Vec<_> = self.compiled.resources().values().filter(own).cloned().collect();
        assert_eq!(all.len(), 3);
        all
    }

    async fn step(&self, resource: &Resource, action: Action<'_>) -> Result<(), BackendError> {
        let (_, site) =
            self.compiled.sited().find(|(other, _)| other.id() == resource.id()).unwrap();
        let inputs = resource.inputs().iter();
        let inputs: Inputs = inputs.map(|(key, input)| (key.clone(), filled(input))).collect();
        let deployment = self.compiled.connected().deployment();
        let step = Step::new(deployment, site, resource, action).with_inputs(&inputs);
        let context = StepContext::new(&NoFiles, &Hunter, &|_| {});
        self.backend.apply(&step, &context).await.map(drop)
    }

    async fn observed(&self) -> Vec<Observed> {
        let target = support::name("one");
        let site = self.compiled.connected().sites().find(|site| site.target.name == target);
        let scope = Scope::new(self.compiled.connected().deployment(), site.unwrap());
        self.backend.observe(&scope).await.unwrap()
    }

    /// The records in the zone but for its own, as `NAME TYPE VALUE..`.
    async fn records(&self) -> Vec<String> {
        let route53 = aws_sdk_route53::Client::new(&self.config);
        let told = route53.list_resource_record_sets().hosted_zone_id(&self.zone).send().await;
        let told = told.unwrap();
        let all = told.resource_record_sets().iter();
        let others = all.filter(|it| !matches!(it.r#type(), RrType::Ns | RrType::Soa));
        let mut lines: Vec<_> = others
            .map(|it| {
                let values: Vec<_> = it.resource_records().iter().map(|it| it.value()).collect();
                let alias = it.alias_target().map(|it| it.dns_name()).unwrap_or_default();
                format!("{} {} {}{alias}", it.name(), it.r#type(), values.join(" "))
            })
            .collect();
        lines.sort();
        lines
    }

    /// Changes a record by hand.
    async fn by_hand(&self, action: ChangeAction, name: &str, address: &str) {
        let record = ResourceRecord::builder().value(address).build().unwrap();
        let set = ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60);
        let set = set.resource_records(record).build().unwrap();
        let change = Change::builder().action(action).resource_record_set(set).build().unwrap();
        let batch = ChangeBatch::builder().changes(change).build().unwrap();
        let route53 = aws_sdk_route53::Client::new(&self.config);
        let call = route53.change_resource_record_sets().hosted_zone_id(&self.zone);
        call.change_batch(batch).send().await.unwrap();
    }

    async fn parameter(&self, name: &str) -> Option<String> {
        let ssm = aws_sdk_ssm::Client::new(&self.config);
        let told = ssm.get_parameter().name(name).with_decryption(true).send().await.ok()?;
        told.parameter().unwrap().value().map(str::to_owned)
    }
}

#[tokio::test]
async fn names_and_secrets_come_are_told_of_and_go() {
    let place = Place::new("wire").await;
    let own = place.own();
    for round in 0..2 {
        for resource in &own {
            place.step(resource, Action::Create).await.unwrap();
        }
        let records = place.records().await;
        assert_eq!(records.len(), 4, "{round}: {records:#?}");
        assert!(
            records[0].starts_with("_deployix.db.example.com. TXT \"deployix:deployment=wire\"")
        );
        assert!(records.contains(&"db.example.com. A 10.0.0.5".to_owned()), "{records:#?}");
        let alias = "web.example.com. A front.elb.eu-central-1.amazonaws.com";
        assert!(records.iter().any(|it| it.starts_with(alias)), "{records:#?}");
        let secret = place.parameter("/deployix/wire/one/db-password").await;
        assert_eq!(secret.as_deref(), Some("base64:aHVudGVyMiBkYi1wYXNzd29yZA=="));
    }
    let seen = place.observed().await;
    assert_eq!(seen.len(), own.len(), "{seen:#?}");
    for resource in &own {
        let observed = seen.iter().find(|it| it.id == *resource.id()).unwrap();
        assert_eq!(observed.digest, Some(resource.digest()));
        assert_eq!(observed.owner.as_ref(), Some(resource.owner()));
        assert_eq!(observed.drift, [""; 0], "{}", observed.id);
    }

    place.by_hand(ChangeAction::Upsert, "db.example.com", "192.0.2.1").await;
    let seen = place.observed().await;
    let drifts: Vec<_> = seen.iter().flat_map(|it| it.drift.clone()).collect();
    assert_eq!(drifts, ["it was `A 10.0.0.5 for 60 s` and is `A 192.0.2.1 for 60 s`"]);
    for resource in &own {
        place.step(resource, Action::Remove).await.unwrap();
        place.step(resource, Action::Remove).await.unwrap();
    }
    assert_eq!(place.records().await, [""; 0]);
    assert_eq!(place.parameter("/deployix/wire/one/db-password").await, None);
    assert_eq!(place.observed().await, []);
}

#[tokio::test]
async fn what_somebody_else_made_is_refused_over_the_wire_as_well() {
    let place = Place::new("refused").await;
    place.by_hand(ChangeAction::Create, "db.example.com", "192.0.2.1").await;
    let own = place.own();
    let db = own.iter().find(|it| it.id().as_str().ends_with("/db.example.com")).unwrap();
    let error = place.step(db, Action::Create).await.unwrap_err();
    assert!(error.to_string().contains("that Deployix did not make (A 192.0.2.1"), "{error}");
    place.by_hand(ChangeAction::Delete, "db.example.com", "192.0.2.1").await;
    place.step(db, Action::Create).await.unwrap();
    let other = Place::of(place.config.clone(), place.zone.clone(), "other");
    let error = other.step(other.own().first().unwrap(), Action::Create).await.unwrap_err();
    assert!(error.to_string().contains("is of the deployment `refused`"), "{error}");
    for resource in &own {
        place.step(resource, Action::Remove).await.unwrap();
    }
}

#[tokio::test]
async fn a_zone_is_told_page_by_page_and_a_refused_change_by_its_code() {
    let place = Place::new("pages").await;
    for number in 0..310 {
        place.by_hand(ChangeAction::Create, &format!("n{number}.example.com"), "192.0.2.1").await;
    }
    let sdk = Sdk::with(place.config.clone());
    let (mut names, mut next_token, mut pages) = (Vec::new(), None, 0);
    loop {
        let filters = vec![Filter::new("hosted-zone-id", [&place.zone])];
        let read = Read::ListResourceRecordSets(Query { filters, next_token });
        let Answer::ResourceRecordSet(page) = sdk.call(None, &read.into()).await.unwrap() else {
            panic!("another answer")
        };
        names.extend(page.items.into_iter().filter(|it| it.kind == "A").map(|it| it.name));
        pages += 1;
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    assert_eq!((names.len(), pages), (310, 2));

    let zone = HostedZoneId::new("Z00000000000000000000").unwrap();
    let filters = vec![Filter::new("hosted-zone-id", [zone.as_str()])];
    let read = Read::ListResourceRecordSets(Query { filters, next_token: None });
    assert_eq!(sdk.call(None, &read.into()).await.unwrap_err().code, "NoSuchHostedZone");
    let change = place.own().into_iter().find_map(|resource| {
        let inputs = resource.inputs().iter();
        let inputs: Inputs = inputs.map(|(key, input)| (key.clone(), filled(input))).collect();
        match deployix_backend_ec2::resource::request(&inputs).unwrap() {
            Request::ChangeResourceRecordSets(it) => Some(it),
            _ => None,
        }
    });
    let create = Call::Create { request: Box::new(change.unwrap().into()), client_token: None };
    sdk.call(None, &create).await.unwrap();
    let error = sdk.call(None, &create).await.unwrap_err();
    assert_eq!(error.code, "InvalidChangeBatch");
    assert!(error.message.contains("db.example.com"), "{error}");
}
