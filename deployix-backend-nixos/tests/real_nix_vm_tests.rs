//! The VM tests that `compile` writes for whoever owns the services, as far as evaluating goes: the
//! machines are those of the target, and what is waited for is there.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::spec::{FileContent, ServiceSpec};
use serde_json::{Value, json};
use support::nix::{Folder, evaluate};
use support::{deployment, functionality, machine};

fn sample() -> Folder {
    let mut files = support::files(support::sample::hydra(support::sample::targets()));
    let hardware = "{ networking.extraHosts = \"real hardware\"; }\n";
    files.insert("rack1/hardware-configuration.nix".to_owned(), FileContent::plain(hardware));
    Folder::new(&files)
}

fn spec(folder: &Folder, test: &str) -> Value {
    let test = folder.test(test);
    evaluate(&format!(
        "let test = {test}; in {{ inherit (test) name node testScript; \
         nodes = builtins.attrNames test.nodes; given = test.defaults.nixpkgs ? pkgs; }}"
    ))
    .unwrap_or_else(|error| panic!("{error}"))
}

/// What a script waits for: unit files and ports, by machine.
fn waited_for(script: &str) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<u16>)> {
    let mut waited: BTreeMap<String, (BTreeSet<String>, BTreeSet<u16>)> = BTreeMap::new();
    for line in script.lines() {
        let (machine, call) = line.split_once('.').expect("a call");
        let of = waited.entry(machine.to_owned()).or_default();
        let (what, argument) = call.trim_end_matches(')').split_once('(').expect("a call");
        match what {
            "start" => assert_eq!(argument, ""),
            "wait_for_unit" => assert!(of.0.insert(argument.trim_matches('"').to_owned())),
            "wait_for_open_port" => assert!(of.1.insert(argument.parse().expect("a port"))),
            other => panic!("{other}"),
        }
    }
    waited
}

#[test]
fn every_functionality_is_waited_for_on_its_machine() {
    let folder = sample();
    let rack1 = spec(&folder, "rack1/tests/rack1.nix");
    assert_eq!(rack1["name"], "zalora-rack1");
    assert_eq!(rack1["nodes"], json!(["rack1"]));
    assert_eq!((&rack1["node"]["pkgsReadOnly"], &rack1["given"]), (&json!(false), &json!(true)));
    let expected = |units: &[&str], ports: &[u16]| {
        (units.iter().map(|unit| (*unit).to_owned()).collect(), ports.iter().copied().collect())
    };
    let script = |test: &Value| waited_for(test["testScript"].as_str().expect("a script"));
    assert_eq!(
        script(&rack1)["rack1"],
        expected(
            &[
                "harvest-spice.timer",
                "hydra-db.service",
                "hydra-evaluator-evaluator.service",
                "hydra-evaluator-queue-runner.service",
            ],
            &[5432],
        )
    );
    let rack2 = script(&spec(&folder, "rack2/tests/rack2.nix"));
    assert_eq!(
        rack2["rack2"],
        expected(&["git-git-418.socket", "load-balancer-hydra.service"], &[443])
    );
    let pool = spec(&folder, "eu/tests/eu.nix");
    assert_eq!(pool["nodes"], json!(["eu-0", "eu-1"]));
    for machine in ["eu_0", "eu_1"] {
        assert_eq!(script(&pool)[machine], expected(&["hydra-web.service"], &[3000]));
    }
}

#[test]
fn machines_are_those_of_the_target_without_their_hardware_and_with_something_for_secrets() {
    let folder = sample();
    for (target, file, node) in [
        ("rack1", "configuration.nix", "rack1"),
        ("rack2", "configuration.nix", "rack2"),
        ("eu", "configuration-1.nix", "eu-1"),
    ] {
        let test = format!("{target}/tests/{target}.nix");
        let module = folder.node(&test, node);
        let mut units = folder.units_of(&module).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(units, folder.units(&format!("{target}/{file}")).expect("units"));
        let script = spec(&folder, &test)["testScript"].clone();
        let waited = waited_for(script.as_str().expect("a script"));
        for unit in &waited[&node.replace('-', "_")].0 {
            assert!(units.contains_key(unit), "{unit}");
        }
        let settings = folder.evaluate(&module, "config: config").expect("settings");
        assert_ne!(settings["networking"]["extraHosts"], "real hardware");
        let rules = settings["systemd"]["tmpfiles"]["rules"].to_string();
        units.retain(|_, text| text.contains("LoadCredential="));
        for text in units.values() {
            let loaded = text.lines().filter_map(|line| line.strip_prefix("LoadCredential="));
            for (_, path) in loaded.filter_map(|line| line.split_once(':')) {
                assert!(rules.contains(&format!("f {path} 0600 root root - placeholder")));
            }
        }
        assert_eq!(units.is_empty(), target != "eu", "{target}");
    }
    let rack1 = folder.settings("rack1/configuration.nix").expect("settings");
    assert_eq!(rack1["networking"]["extraHosts"], "real hardware");
}

#[test]
fn a_machine_called_like_a_word_of_python_has_another_name_in_its_test() {
    let files = support::files(deployment(
        [functionality("web", ServiceSpec::builder(["true"]))],
        [machine("class", "10.0.0.1")],
    ));
    let folder = Folder::new(&files);
    let test = spec(&folder, "class/tests/class.nix");
    assert_eq!(test["nodes"], json!(["machine-class"]));
    assert!(test["testScript"].as_str().expect("text").starts_with("machine_class.start()\n"));
    // The driver calls a machine by its host name.
    let module = folder.node("class/tests/class.nix", "machine-class");
    let settings = folder.evaluate(&module, "config: config").expect("settings");
    assert_eq!(settings["networking"]["hostName"], "machine-class");
}

#[test]
fn the_flake_has_the_test_as_a_check() {
    let folder = sample();
    let flake = std::fs::read_to_string(folder.path("eu/flake.nix")).expect("a flake");
    // Imports are relative to the flake.
    let flake = flake.replace("./tests", &folder.path("eu/tests").display().to_string());
    let text = format!(
        "let flake = {flake}; nixpkgs.legacyPackages.x86_64-linux.testers.runNixOSTest = x: x; in \
         (flake.outputs {{ inherit nixpkgs; }}).checks.x86_64-linux.eu.name"
    );
    assert_eq!(evaluate(&text), Ok(json!("zalora-eu")));
}
