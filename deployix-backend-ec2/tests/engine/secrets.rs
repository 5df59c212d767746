//! Secrets in Parameter Store.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use deployix_backend_ec2::{
    extension::{LocationSettings, TargetSettings},
    request::{ParameterValue, PutParameter, Tag},
};
use deployix_core::{
    SecretName,
    backend::{SecretError, SecretValue, Secrets},
    spec::{Deployment, FunctionalitySpec, ServiceSpec},
};

use crate::{
    site::{Site, beyond, ends},
    support::{With, deployment},
};

const REGION: &str = "eu-central-1";
const NAME: &str = "/deployix/test/one/db-password";

/// A database on one machine, with two secrets.
fn database(kind: &str, profile: Option<&str>) -> Deployment {
    let service = ServiceSpec::builder(["db"])
        .ship("bin/db", deployix_core::spec::FileContent::program("#!/bin/sh\n"))
        .endpoint("main", 5432)
        .env("PASSWORD", "${secret:db-password}")
        .file("/etc/db/key", "${secret:db.key}")
        .build()
        .unwrap();
    let db = FunctionalitySpec::new("db", service).unwrap().fqdn("db.example.com").unwrap();
    let location = LocationSettings { region: Some(REGION.into()), ..LocationSettings::default() };
    let settings = TargetSettings {
        instance_type: Some(kind.to_owned()),
        instance_profile: profile.map(str::to_owned),
        ..TargetSettings::default()
    };
    deployment(vec![db])
        .machine("one", Some("n"))
        .placed("db", "one")
        .located("n", &location)
        .target_settings("one", &settings)
}

fn fetched() -> Deployment {
    database("m5.large", Some("db"))
}

/// What a parameter says, as a machine reads it.
fn value(site: &Site, name: &str) -> Option<String> {
    let text = site.aws.by_hand(REGION, |world| world.values.get(name).cloned())?;
    let bytes = STANDARD.decode(text.strip_prefix("base64:").unwrap()).unwrap();
    Some(String::from_utf8(bytes).unwrap())
}

/// One value for all secrets.
#[derive(Debug)]
struct Same(&'static str);

#[async_trait]
impl Secrets for Same {
    async fn value(&self, _: &SecretName) -> Result<SecretValue, SecretError> {
        Ok(SecretValue::new(self.0.as_bytes().to_vec()))
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_parameters_before_their_machine_starts_and_go_with_it() {
    let site = Site::new(&fetched(), 70);
    site.deploy(fetched()).await;
    assert_eq!(value(&site, NAME).unwrap(), "hunter2 db-password");
    assert_eq!(value(&site, "/deployix/test/one/db.key").unwrap(), "hunter2 db.key");
    let writes = site.aws.take_writes();
    let at = |operation: &str| writes.iter().rposition(|it| it == operation).unwrap();
    assert!(at("PutParameter") < at("RunInstances"), "{writes:?}");
    let (plan, drifts) = site.plan_refreshed(fetched()).await;
    assert_eq!((plan.steps.len(), drifts), (0, Vec::new()));

    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
    assert_eq!(value(&site, NAME), None);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_in_no_history_and_nothing_shows_it() {
    let site = Site::new(&fetched(), 71);
    site.aws.listen();
    site.deploy(fetched()).await;
    site.deploy(database("m3.medium", Some("db"))).await;
    let (_, drifts) = site.plan_refreshed(fetched()).await;
    site.destroy().await;
    let shown = [site.aws.heard().join("\n"), site.written().await, drifts.join("\n")].join("\n");
    assert!(shown.contains("PutParameter") && shown.contains("db-password"), "it was listened to");
    for value in ["hunter2", &STANDARD.encode("hunter2 db-password"), "aHVudGVyMi"] {
        assert!(!shown.contains(value), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_replaced_gets_secrets_as_they_are_then() {
    let mut site = Site::new(&fetched(), 72);
    site.deploy(fetched()).await;
    site.secrets = Arc::new(Same("newer"));
    assert_eq!(site.plan(fetched()).await.steps.len(), 0, "a value is not noticed by itself");
    site.deploy(database("m3.medium", Some("db"))).await;
    assert_eq!(value(&site, NAME).unwrap(), "newer");
    assert_eq!(site.plan_refreshed(database("m3.medium", Some("db"))).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_somebody_wrote_by_hand_is_told_and_put_right() {
    let site = Site::new(&fetched(), 73);
    site.deploy(fetched()).await;
    site.aws.by_hand(REGION, |world| world.write_by_hand(NAME, "base64:"));
    let (plan, drifts) = site.plan_refreshed(fetched()).await;
    assert!(
        drifts.len() == 1 && drifts[0].ends_with("it was `version 1` and is `version 2`"),
        "{drifts:?}"
    );
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(value(&site, NAME).unwrap(), "hunter2 db-password");
    assert_eq!(site.plan_refreshed(fetched()).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_of_somebody_else_is_refused_and_stays() {
    let site = Site::new(&fetched(), 74);
    site.aws
        .by_hand(REGION, |world| {
            let foreign = PutParameter {
                name: NAME.to_owned(),
                description: String::new(),
                value: ParameterValue::Known(SecretValue::new(b"theirs".to_vec())),
                kind: "SecureString".to_owned(),
                tier: "Standard".to_owned(),
                overwrite: false,
                tags: vec![Tag::new("team", "ops")],
            };
            world.call(&deployix_backend_ec2::engine::call::Call::Create {
                request: Box::new(foreign.into()),
                client_token: None,
            })
        })
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let told = ends(&site.carry_out(&site.plan(fetched()).await).await);
    assert!(told.contains(&format!("Deployix did not make the parameter {NAME}")), "{told}");
    site.destroy().await;
    let theirs = site.aws.by_hand(REGION, |world| world.values.get(NAME).cloned());
    assert_eq!(theirs.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_too_long_or_not_there_is_told() {
    let mut site = Site::new(&fetched(), 75);
    site.secrets = Arc::new(Same(Box::leak("x".repeat(7000).into_boxed_str())));
    let told = ends(&site.carry_out(&site.plan(fetched()).await).await);
    assert!(told.contains("takes 9343 bytes there, and a parameter holds 8192"), "{told}");
    site.secrets = Arc::new(deployix_core::backend::NoSecrets);
    let told = ends(&site.carry_out(&site.plan(fetched()).await).await);
    assert!(told.contains("there is no secret `db"), "{told}");
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn secrets_arrive_though_a_third_of_the_calls_fail() {
    let calm = Site::new(&fetched(), 76);
    calm.deploy(fetched()).await;
    for seed in 77..81 {
        let site = Site::new(&fetched(), seed);
        site.aws.mood(|mood| mood.faults = 30);
        site.deploy(fetched()).await;
        assert_eq!(beyond(&site.aws.inventory(), &calm.aws.inventory()), [""; 0], "seed {seed}");
        assert_eq!(value(&site, NAME).unwrap(), "hunter2 db-password");
        site.destroy().await;
        assert_eq!(site.aws.inventory(), [""; 0], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_role_has_its_secrets_put_there_and_says_so() {
    let (compiled, found) = crate::support::compiled(database("m5.large", None));
    let found = found.to_string();
    assert!(found.contains("expected on its machines, in /var/lib/deployix/secrets"), "{found}");
    assert!(found.contains("`ssm:GetParameter` on `parameter/deployix/test/one/*`"), "{found}");
    assert!(compiled.resources().keys().all(|id| !id.as_str().contains("/secret/")));
}
