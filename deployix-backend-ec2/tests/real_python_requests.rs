//! Requests as AWS's own service model judges them: botocore checks each against the shape of its
//! operation's input, without a network.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use deployix_backend_ec2::{
    extension::{LocationSettings, TargetSettings},
    request::{OUTPUT_KEY, Operation, Service},
};
use deployix_core::{backend::Resource, spec::Bytes};
use serde_json::{Value, json};
use support::{With, deployment, functionality, resources};

/// Checks every request and gives a complaint for each that its model refuses, and the names of
/// all operations that were checked. What is not in the model is a complaint as well.
const SCRIPT: &str = r#"
import json, sys
import botocore.session, botocore.validate

session = botocore.session.get_session()
models, complaints = {}, []
for entry in json.load(sys.stdin):
    service, operation, parameters = entry["service"], entry["operation"], entry["request"]
    if service not in models:
        models[service] = session.get_service_model(service)
    shape = models[service].operation_model(operation).input_shape
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    if report.has_errors():
        complaints.append(f"{entry['id']}: {operation}: {report.generate_report()}")

    def enums(value, shape, path):
        if shape.type_name == "structure":
            for key, item in value.items():
                enums(item, shape.members[key], f"{path}.{key}")
        elif shape.type_name == "list":
            for item in value:
                enums(item, shape.member, path)
        elif shape.type_name == "string":
            if shape.enum and value not in shape.enum:
                complaints.append(f"{entry['id']}: {path}: {value!r} is none of {shape.enum}")
            most = shape.metadata.get("max")
            if most is not None and len(value) > most:
                complaints.append(f"{entry['id']}: {path}: longer than {most}")
        elif shape.type_name == "integer":
            least, most = shape.metadata.get("min"), shape.metadata.get("max")
            if least is not None and value < least or most is not None and value > most:
                complaints.append(f"{entry['id']}: {path}: {value} not in {least}..{most}")
    if not report.has_errors():
        enums(parameters, shape, operation)
print(json.dumps(complaints))
"#;

fn judge(entries: &[Value]) -> Vec<String> {
    let python = std::env::var("DEPLOYIX_PYTHON")
        .expect("DEPLOYIX_PYTHON names no python with botocore: run scripts/test");
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python does not start: run scripts/test");
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(entries).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "botocore fails");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is known only later becomes some text, which every output is.
fn filled(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key(OUTPUT_KEY) => json!("known-later"),
        Value::Object(map) if map.contains_key("$secret") => json!("never-shown"),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), filled(value))).collect(),
        Value::Array(items) => items.iter().map(filled).collect(),
        other => other.clone(),
    }
}

/// A resource's request as it goes over the wire.
fn entry(resource: &Resource) -> Option<Value> {
    let request = deployix_backend_ec2::resource::request(resource.inputs()).unwrap();
    if request.service() == Service::Local {
        return None;
    }
    let mut parameters = filled(&request.parameters().unwrap());
    // The only parameter that is a list here and a text with commas there.
    if let Some(list) = parameters.get("VPCZoneIdentifier").and_then(Value::as_array) {
        let joined: Vec<_> = list.iter().map(|item| item.as_str().unwrap()).collect();
        parameters["VPCZoneIdentifier"] = json!(joined.join(","));
    }
    Some(json!({
        "id": resource.id(),
        "service": request.service().as_str().replace("elasticloadbalancingv2", "elbv2"),
        "operation": request.operation(),
        "request": parameters,
    }))
}

fn everything() -> Vec<Value> {
    let location = LocationSettings {
        region: Some("eu-central-1".into()),
        zones: vec!["eu-central-1a".into()],
        ..LocationSettings::default()
    };
    let settings = TargetSettings {
        instance_type: Some("m6g.large".into()),
        key_name: Some("ops".into()),
        instance_profile: Some("web".into()),
        root_disk: Some(Bytes(32 << 30)),
        tags: [("team".into(), "web".into())].into(),
        ..TargetSettings::default()
    };
    let fleet = deployment(vec![functionality("web", 8080, &["db"]), functionality("db", 1, &[])])
        .autoscaling("fleet", 2, 5, "n")
        .machine("one", Some("n"))
        .placed("web", "fleet")
        .placed("db", "one")
        .located("n", &location)
        .target_settings("fleet", &settings)
        .balancer("web", "web.example.com", (443, 8080), &["2001:db8::/32", "10.0.0.0/8"]);
    let apart = deployment(vec![functionality("web", 8080, &["db"]), functionality("db", 1, &[])])
        .machine("one", Some("m"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("db", "two");
    [support::hydra(), fleet, apart, support::named()]
        .into_iter()
        .flat_map(|deployment| resources(deployment).into_values())
        .filter_map(|resource| entry(&resource))
        .collect()
}

#[test]
fn aws_accepts_every_request() {
    let complaints = judge(&everything());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_operation_is_among_those_that_are_judged() {
    let entries = everything();
    let judged: BTreeSet<_> =
        entries.iter().map(|entry| entry["operation"].as_str().unwrap()).collect();
    let all = Operation::ALL.iter().filter(|it| it.service() != Service::Local);
    assert_eq!(judged, all.map(|it| it.as_str()).collect());
}

#[test]
fn the_oracle_complains_about_what_is_wrong() {
    let wrong = [
        json!({ "CidrBlok": "10.0.0.0/16" }),
        json!({ "CidrBlock": 10 }),
        json!({ "CidrBlock": "10.0.0.0/16", "InstanceTenancy": "sometimes" }),
    ];
    for request in wrong {
        let entry =
            json!({ "id": "x", "service": "ec2", "operation": "CreateVpc", "request": request });
        assert_eq!(judge(&[entry]).len(), 1, "{request}");
    }
}
