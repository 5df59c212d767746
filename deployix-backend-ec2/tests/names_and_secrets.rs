//! Names as records, and secrets as parameters, as they come out.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_backend_ec2::{
    extension::{HostedZone, LocationSettings},
    request::HostedZoneId,
};
use deployix_core::{Fqdn, ResourceId, diagnostic::Diagnostics, spec::Span};
use support::{With, compiled, deployment, file, functionality, requests, resources};

fn errors(found: &Diagnostics) -> Vec<String> {
    found.errors().map(|error| error.message.clone()).collect()
}

#[test]
fn a_machine_with_a_role_fetches_its_secrets_before_anything_starts_that_takes_them() {
    let (compiled, found) = compiled(support::named());
    assert_eq!(found.to_string(), "");
    let text = file(&compiled, "one", "user-data/one-0");
    let command = ":/usr/local/lib/deployix/fetch-secrets /run/deployix/secrets \
                   /deployix/test/one db-password\n";
    assert!(text.contains(command), "{text}");
    assert!(text.contains("Requires=deployix-secrets.service\n"), "{text}");
    assert!(text.contains("secret1=$(cat -- /run/deployix/secrets/db-password)\n"), "{text}");
    assert!(!text.contains("/var/lib/deployix/secrets"), "{text}");
    let resources = compiled.resources();
    let put = &requests(resources, "PutParameter")["ec2/target/one/secret/db-password"];
    assert_eq!(put["Name"], "/deployix/test/one/db-password");
    assert_eq!(put["Type"], "SecureString");
    assert_eq!(put["Value"], serde_json::json!({ "$secret": "db-password" }));
    let machine = ResourceId::new("ec2/target/one/machine/0/instance").unwrap();
    let after: Vec<_> = resources[&machine].after().iter().map(ToString::to_string).collect();
    assert!(after.contains(&"ec2/target/one/secret/db-password".to_owned()), "{after:?}");
    // It is fetched over HTTPS, which nothing else there needs.
    let rules = support::rules(resources);
    assert!(rules.contains(&"db/egress/anyone/tcp-443".to_owned()), "{rules:?}");
}

#[test]
fn names_with_records_are_in_no_file_of_hosts_but_those_of_load_balancers() {
    let text = |deployment, machine| {
        let (compiled, found) = compiled(deployment);
        assert!(!found.has_errors(), "{found}");
        file(&compiled, "two", &format!("user-data/two-{machine}"))
    };
    assert!(!text(support::named(), 0).contains("db.example.com"));
    let mut outside = support::named();
    let location = outside.infrastructure.locations.values_mut().next().unwrap();
    let settings = LocationSettings {
        region: Some("eu-central-1".into()),
        hosted_zone: Some(HostedZone {
            id: HostedZoneId::new("Z1").unwrap(),
            name: Fqdn::new("example.org").unwrap(),
            ttl: None,
        }),
        ..LocationSettings::default()
    };
    location.extensions.insert(&settings).unwrap();
    assert!(
        text(outside, 0).contains("/machine/0/interface/network/n/10.0.0.0-20>> db.example.com\n")
    );
}

#[test]
fn a_record_says_whose_it_is_and_where_its_name_leads() {
    let resources = resources(support::named());
    let changes = requests(&resources, "ChangeResourceRecordSets");
    let of = |owner: &str, name: &str| {
        let id = format!("ec2/functionality/{owner}/record/Z0123456789ABCDEFGHIJ/{name}");
        changes[&id]["ChangeBatch"]["Changes"].clone()
    };
    let db = of("db", "db.example.com");
    assert_eq!(db[0]["ResourceRecordSet"]["TTL"], 60);
    assert_eq!(db[0]["ResourceRecordSet"]["ResourceRecords"].as_array().unwrap().len(), 1);
    assert_eq!(db[1]["ResourceRecordSet"]["Name"], "_deployix.db.example.com");
    let note = &db[1]["ResourceRecordSet"]["ResourceRecords"][0]["Value"];
    assert!(
        note.as_str().unwrap().starts_with("\"deployix:deployment=test\" \"deployix:resource=")
    );
    let front = of("load-balancer-front", "web.example.com");
    let alias = &front[0]["ResourceRecordSet"]["AliasTarget"];
    assert_eq!(alias["DNSName"]["$output"]["output"], "DNSName");
    assert!(front[0]["ResourceRecordSet"].get("TTL").is_none());
    assert_eq!(changes.len(), 2, "the page itself goes by another name");
}

#[test]
fn a_zone_of_another_shape_is_refused_with_its_reason() {
    let refused = |ttl: Option<Span>, fqdn: &str| {
        let mut deployment = deployment(vec![functionality("db", 5432, &[]).fqdn(fqdn).unwrap()])
            .machine("one", Some("n"))
            .placed("db", "one");
        let settings = LocationSettings {
            hosted_zone: Some(HostedZone {
                id: HostedZoneId::new("Z1").unwrap(),
                name: Fqdn::new("example.com").unwrap(),
                ttl,
            }),
            ..LocationSettings::default()
        };
        deployment = deployment.located("n", &settings);
        errors(&compiled(deployment).1).join("\n")
    };
    let day = Span::seconds(86_401);
    let told = refused(Some(day), "db.example.com");
    assert!(told.contains("`ttl` of hosted zone example.com is 86401 s"), "{told}");
    let label = "x".repeat(60);
    let told = refused(None, &format!("{label}.{label}.{label}.{label}.example.com").split_off(8));
    assert!(told.contains("is too long for a record in zone example.com"), "{told}");
}
