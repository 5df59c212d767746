//! Requests as the inputs of AWS's SDK: nothing of them is lost on the way.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::BTreeSet;

use deployix_backend_ec2::{
    extension::{LocationSettings, TargetSettings},
    live::{InputError, input},
    request::{OUTPUT_KEY, Operation, ParameterValue, Request, Service},
    resource,
};
use deployix_core::{
    backend::{Resource, SecretValue},
    spec::{Bytes, Deployment},
};
use serde_json::{Value, json};
use support::{With, deployment, functionality, resources};

fn request(resource: &Resource) -> Request {
    resource::request(resource.inputs()).unwrap()
}

/// Puts a value of its kind in place of each output, as applying a plan does.
fn filled(value: Value) -> Value {
    match value {
        Value::Object(map) => match map.get(OUTPUT_KEY) {
            Some(output) => sample(output["output"].as_str().unwrap()),
            None => map.into_iter().map(|(key, value)| (key, filled(value))).collect(),
        },
        Value::Array(items) => items.into_iter().map(filled).collect(),
        other => other,
    }
}

fn sample(output: &str) -> Value {
    let id = |prefix| format!("{prefix}-0123456789abcdef0");
    json!(match output {
        "VpcId" => id("vpc"),
        "SubnetId" => id("subnet"),
        "InternetGatewayId" => id("igw"),
        "RouteTableId" => id("rtb"),
        "GroupId" => id("sg"),
        "NetworkInterfaceId" => id("eni"),
        "AllocationId" => id("eipalloc"),
        "VolumeId" => id("vol"),
        "InstanceId" => id("i"),
        "PrivateIpAddress" => "10.0.0.5".to_owned(),
        "PublicCidr" => "203.0.113.7/32".to_owned(),
        "AvailabilityZone" => "eu-central-1a".to_owned(),
        "LoadBalancerArn" | "TargetGroupArn" => format!("arn:aws:elasticloadbalancing:{output}"),
        "DNSName" => "front.elb.eu-central-1.amazonaws.com".to_owned(),
        "CanonicalHostedZoneId" => "Z3F0SRJ5LGBH90".to_owned(),
        "UserData" => "I2Nsb3VkLWNvbmZpZwo=".to_owned(),
        other => panic!("no request reads the output {other}"),
    })
}

fn deployments() -> [Deployment; 4] {
    let location =
        LocationSettings { region: Some("eu-central-1".into()), ..LocationSettings::default() };
    let settings = TargetSettings {
        instance_type: Some("m6g.large".into()),
        key_name: Some("ops".into()),
        instance_profile: Some("web".into()),
        root_disk: Some(Bytes(32 << 30)),
        ..TargetSettings::default()
    };
    let pair =
        || deployment(vec![functionality("web", 8080, &["db"]), functionality("db", 1, &[])]);
    let fleet = pair()
        .autoscaling("fleet", 2, 5, "n")
        .machine("one", Some("n"))
        .placed("web", "fleet")
        .placed("db", "one")
        .located("n", &location)
        .target_settings("fleet", &settings)
        .balancer("web", "web.example.com", (443, 8080), &["2001:db8::/32"]);
    let apart = pair()
        .machine("one", Some("m"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("db", "two");
    [support::hydra(), fleet, apart, support::named()]
}

/// Every text and number in a request but for truth values, which look the same everywhere.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| leaves(value, found)),
        Value::Array(items) => items.iter().for_each(|value| leaves(value, found)),
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Letters and digits alone: the SDK prints `m3.medium` as `M3Medium`.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

#[test]
fn every_request_is_an_input_that_says_the_same() {
    let mut seen = BTreeSet::new();
    let resources =
        deployments().into_iter().flat_map(|deployment| resources(deployment).into_values());
    for resource in resources {
        let request = request(&resource);
        if request.service() == Service::Local {
            continue;
        }
        let parameters = filled(request.parameters().unwrap());
        let mut request = Request::parse(request.operation(), parameters.clone()).unwrap();
        if let Request::PutParameter(put) = &mut request {
            assert!(matches!(input(&put.clone().into()), Err(InputError::Secret(_))));
            put.value = ParameterValue::encoded(&SecretValue::new(b"hunter2".to_vec()));
        }
        let input = format!("{:?}", input(&request).unwrap());
        assert!(!input.contains("aHVudGVyMg"), "a secret is shown: {input}");
        assert!(
            !input.contains("Unknown("),
            "{}: a value that AWS does not know: {input}",
            resource.id()
        );
        // The protocols of rules and `-1` are numbers in quotes, so quotes must not matter.
        let printed = plain(&input);
        let mut expected = Vec::new();
        leaves(&parameters, &mut expected);
        for leaf in expected {
            // The SDK does not print user data, which could hold secrets elsewhere.
            let redacted = leaf == sample("UserData").as_str().unwrap();
            assert!(redacted || printed.contains(&plain(&leaf)), "{leaf} is lost in {input}");
        }
        seen.insert(request.operation());
    }
    let all = Operation::ALL.iter().filter(|it| it.service() != Service::Local);
    assert_eq!(seen, all.map(|it| it.as_str()).collect());
}

#[test]
fn a_request_with_an_output_in_it_is_no_input_yet() {
    let resources = resources(support::hydra());
    let subnet =
        resources.values().find(|resource| resource.id().as_str().contains("/subnet/10.0.0.0-20"));
    let error = input(&request(subnet.unwrap())).unwrap_err();
    assert!(matches!(error, InputError::Unknown(_)), "{error}");
    assert!(error.to_string().contains("ec2/network/ec2-singapore/vpc"), "{error}");
}

#[test]
fn user_data_is_rendered_here_and_sent_to_nobody() {
    let resources = resources(support::hydra());
    let local = resources.values().map(request).find(|request| request.service() == Service::Local);
    assert!(matches!(input(&local.unwrap()), Err(InputError::Local("RenderUserData"))));
}
