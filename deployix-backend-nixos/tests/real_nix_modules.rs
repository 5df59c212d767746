//! What is generated evaluates under real Nix, against the options that NixOS declares, and every
//! text arrives unchanged.
//!
//! With `DEPLOYIX_NIXPKGS_LIB` set to the folder of nixpkgs' `lib`, its `evalModules` does the
//! evaluating.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use deployix_backend_nixos::NixosFunctionality;
use deployix_core::spec::{FileContent, ServiceBuilder, ServiceSpec, Template};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::nix::Folder;
use support::{Spec, deployment, functionality, machine};

fn sample() -> Folder {
    sample_in(|functionality| functionality)
}

fn sample_in(style: fn(Spec) -> Spec) -> Folder {
    let mut files = support::files(support::sample::hydra_in(support::sample::targets(), style));
    files.insert("rack1/hardware-configuration.nix".to_owned(), FileContent::plain("{ }\n"));
    Folder::new(&files)
}

#[test]
fn every_configuration_of_the_hydra_deployment_evaluates() {
    let folder = sample();
    for configuration in [
        "rack1/configuration.nix",
        "rack2/configuration.nix",
        "eu/configuration-0.nix",
        "eu/configuration-1.nix",
    ] {
        let settings = folder
            .settings(configuration)
            .unwrap_or_else(|error| panic!("{configuration}: {error}"));
        assert_eq!(settings["networking"]["nftables"]["enable"], true, "{configuration}");
    }
}

#[test]
fn every_configuration_of_the_example_evaluates() {
    let mut files = support::files(support::example());
    // Whoever owns the machines describes their hardware.
    for target in ["vault", "workshop", "front", "gate"] {
        let path = format!("{target}/hardware-configuration.nix");
        assert_eq!(files.insert(path, FileContent::plain("{ }\n")), None);
    }
    let folder = Folder::new(&files);
    let configurations: Vec<&String> = files
        .keys()
        .filter(|path| path.contains("/configuration") && !path.starts_with("front/configuration."))
        .collect();
    assert_eq!(configurations.len(), 5, "{configurations:?}");
    for configuration in configurations {
        folder.settings(configuration).unwrap_or_else(|error| panic!("{configuration}: {error}"));
    }
}

#[test]
fn modular_services_become_the_same_units() {
    let (classic, modular) = (sample(), sample_in(support::modular));
    for configuration in
        ["rack1/configuration.nix", "rack2/configuration.nix", "eu/configuration-0.nix"]
    {
        let (mut classic, mut modular) = [&classic, &modular]
            .map(|folder| folder.settings(configuration).unwrap_or_else(|error| panic!("{error}")))
            .into();
        // Other quotes around the words of a command line, and what NixOS chooses for whatever
        // runs to its end.
        for settings in [&mut classic, &mut modular] {
            let services = settings["systemd"]["services"].as_object_mut().expect("services");
            for service in services.values_mut() {
                let config = service["serviceConfig"].as_object_mut().expect("settings");
                assert!(config.remove("ExecStart").is_some());
                if config["Type"] == "oneshot" {
                    let restart = config.remove("Restart");
                    assert_ne!(restart, Some("always".into()));
                    config.remove("RestartSec");
                }
            }
        }
        assert_eq!(modular, classic, "{configuration}");
    }
}

/// The names of the units that differ between two deployments on one machine.
fn changed(before: [Spec; 2], after: [Spec; 2]) -> Vec<String> {
    let [before, after] = [before, after].map(|functionalities| {
        let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
        Folder::new(&files).units("rack1/configuration.nix").expect("units")
    });
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[test]
fn a_change_reaches_the_units_that_read_it_and_no_other() {
    let web = || {
        ServiceSpec::builder(["web", "--port", "3000"])
            .ship("web", FileContent::program("#!/bin/sh\n"))
            .ship("web.py", FileContent::plain("a = 1\n"))
            .file("/etc/web.conf", "a = 1\n")
            .file_bytes("/etc/web.key", FileContent::plain([0, 1]), 0o600)
            .endpoint("http", 3000)
    };
    let with = |service: ServiceBuilder| {
        let other = ServiceSpec::builder(["other"])
            .ship("other", FileContent::program("#!/bin/sh\n"))
            .initializer(["other", "--first"])
            .file("/etc/other.conf", "b = 1\n")
            .endpoint("http", 3001)
            .on_demand();
        [functionality("other", other), functionality("web", service)]
    };
    let changed = |service| changed(with(web()), with(service));
    assert_eq!(changed(web()), [""; 0]);
    for service in [
        web().env("KEY", "value"),
        web().file("/etc/web.conf", "a = 2\n"),
        web().file_bytes("/etc/web.key", FileContent::plain([0, 2]), 0o600),
        web().ship("web.py", FileContent::plain("a = 2\n")),
        web().endpoint("http", 3002),
    ] {
        let shown = format!("{service:?}");
        let changed = changed(service);
        if shown.contains("3002") {
            // Nothing but the firewall and its consumers know the port of what listens by itself.
            assert_eq!(changed, [""; 0]);
        } else {
            assert_eq!(changed, ["web.service"], "{shown}");
        }
    }
    assert_eq!(
        changed(web().initializer(["web", "--first"])),
        ["web-initializer.service", "web.service"]
    );
}

#[test]
fn a_changed_initializer_or_socket_is_another_unit() {
    let service = |first: &str, port| {
        let web = ServiceSpec::builder(["true"])
            .initializer(["echo", first])
            .endpoint("http", port)
            .on_demand();
        let job = ServiceSpec::builder(["true"]).initializer(["echo", first]).schedule("hourly");
        [functionality("web", web), functionality("job", job)]
    };
    assert_eq!(
        changed(service("a", 3000), service("b", 3000)),
        ["job-initializer.service", "web-initializer.service"]
    );
    // The switch stops the one and starts the other; it would leave one alone that has changed.
    assert_eq!(
        changed(service("a", 3000), service("a", 3001)),
        ["web-http-3000.socket", "web-http-3001.socket", "web.service"]
    );
    let files = support::files(deployment(service("a", 3000), [machine("rack1", "10.0.0.1")]));
    let units = Folder::new(&files).units("rack1/configuration.nix").expect("units");
    let skipped = units.iter().filter(|(_, text)| text.contains("\nX-RestartIfChanged=false\n"));
    assert_eq!(skipped.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["job.service"]);
    let in_place = units.iter().filter(|(_, text)| text.contains("\nX-StopIfChanged=false\n"));
    assert_eq!(in_place.count(), 4);
    // A run under way goes on when its initializer is restarted.
    assert!(!units["job.service"].contains("Requires="), "{}", units["job.service"]);
    assert!(units["web.service"].contains("Requires=web-initializer.service"));
}

#[test]
fn flakes_evaluate_to_one_system_for_each_machine() {
    let folder = sample();
    for (target, machines) in [("rack1", json!(["rack1"])), ("eu", json!(["eu-0", "eu-1"]))] {
        let flake =
            std::fs::read_to_string(folder.path(&format!("{target}/flake.nix"))).expect("a flake");
        let text = format!(
            "let flake = {flake}; nixpkgs.lib.nixosSystem = x: x; in \
             builtins.attrNames (flake.outputs {{ inherit nixpkgs; }}).nixosConfigurations"
        );
        assert_eq!(support::nix::evaluate(&text), Ok(machines));
    }
    // A second opinion, where there is somebody to ask.
    for folder in [sample(), sample_in(support::modular)] {
        for (target, machine, file) in [
            ("rack1", "rack1", "configuration.nix"),
            ("rack2", "rack2", "configuration.nix"),
            ("eu", "eu-1", "configuration-1.nix"),
        ] {
            let Some(systems) = folder.systems(target) else { return };
            assert_same_units(
                &folder.units(&format!("{target}/{file}")).expect("units"),
                &systems[machine],
            );
        }
    }
}

/// Whatever our own rendering of a unit says, that of nixpkgs says as well. Its packages are others,
/// it adds variables of its own, and what wants a unit is a link.
fn assert_same_units(ours: &BTreeMap<String, String>, nixpkgs: &support::nix::Units) {
    for (name, ours) in ours {
        let text = nixpkgs.get(name).and_then(Option::as_deref);
        let theirs: BTreeSet<&str> =
            text.unwrap_or_else(|| panic!("{name} is missing")).lines().collect();
        let ours = ours.lines().filter(|line| {
            let own = ["/nix/store/", "/usr/", "X-Restart-Triggers", "WantedBy=", "[Install]"];
            !own.iter().any(|own| line.contains(own))
        });
        for line in ours {
            assert!(theirs.contains(line), "{line} is not in {name}: {theirs:#?}");
        }
    }
}

#[test]
fn a_setting_that_nixos_does_not_have_is_found() {
    let module =
        FileContent::plain("{ lib, pkgs, ... }: { systemd.services.x.serviceconfig = { }; }");
    let folder = Folder::new(&BTreeMap::from([("configuration.nix".to_owned(), module)]));
    let error = folder.settings("configuration.nix").expect_err("there is no such option");
    assert!(error.contains("serviceconfig"), "{error}");
    let module =
        FileContent::plain("{ lib, pkgs, ... }: { systemd.services.x.after = [ \"no unit\" ]; }");
    let folder = Folder::new(&BTreeMap::from([("configuration.nix".to_owned(), module)]));
    folder.settings("configuration.nix").expect_err("not a unit's name");
}

#[test]
fn only_declared_consumers_are_let_in() {
    let folder = sample();
    let rules = |configuration: &str| {
        let settings = folder.settings(configuration).expect("evaluates");
        let rules = settings["networking"]["firewall"]["extraInputRules"]
            .as_str()
            .expect("text")
            .to_owned();
        let accepted =
            rules.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // In which order modules add their rules does not matter.
        accepted.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let expected = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect();
    assert_eq!(
        rules("rack1/configuration.nix"),
        expected(&[
            // The web servers reach the database, encrypted; the evaluator does so over loopback.
            "meta ipsec exists ip saddr 10.1.0.1 tcp dport 5432 accept",
            "meta ipsec exists ip saddr 10.1.0.2 tcp dport 5432 accept",
            // The key exchange with both machines of the pool.
            "ip saddr 10.1.0.1 udp dport { 500, 4500 } accept",
            "ip saddr 10.1.0.1 meta l4proto esp accept",
            "ip saddr 10.1.0.2 udp dport { 500, 4500 } accept",
            "ip saddr 10.1.0.2 meta l4proto esp accept",
        ])
    );
    let mut over_tcp = rules("rack2/configuration.nix");
    over_tcp.retain(|rule| rule.contains("tcp"));
    assert_eq!(
        over_tcp,
        expected(&[
            "ip saddr 10.0.0.1 tcp dport 418 accept",
            "meta nfproto ipv4 tcp dport 443 accept",
            "meta nfproto ipv6 tcp dport 443 accept",
        ])
    );
}

#[test]
fn upstreams_resolve_to_where_they_run() {
    let folder = sample();
    let hosts = |configuration: &str| {
        folder.settings(configuration).expect("evaluates")["networking"]["hosts"].clone()
    };
    assert_eq!(
        hosts("rack1/configuration.nix"),
        json!({ "10.0.0.2": ["git.zalora.com"], "127.0.0.1": ["hydra-db.zalora.com"] })
    );
    assert_eq!(hosts("eu/configuration-1.nix"), json!({ "10.0.0.1": ["hydra-db.zalora.com"] }));
}

#[test]
fn users_have_the_ids_of_their_names_and_the_sandbox_can_be_loosened() {
    let folder = sample();
    let settings = folder.settings("rack1/configuration.nix").expect("evaluates");
    assert_eq!(settings["users"]["users"]["postgres"]["uid"], 1_945_606_946);
    assert_eq!(settings["users"]["groups"]["postgres"]["gid"], 1_945_606_946);
    let database = &settings["systemd"]["services"]["hydra-db"]["serviceConfig"];
    assert_eq!(database["MemoryDenyWriteExecute"], true);
    assert_eq!(database["NoNewPrivileges"], true);
}

#[test]
fn settings_of_its_owner_replace_any_of_ours_in_both_styles() {
    let settings = NixosFunctionality {
        service_config: [
            ("ExecStart".to_owned(), json!("/bin/other")),
            ("Restart".to_owned(), json!("on-failure")),
        ]
        .into(),
        ..NixosFunctionality::default()
    };
    let job = || {
        let job = ServiceSpec::builder(["true"]).schedule("hourly");
        functionality("job", job).extension(&settings).expect("JSON")
    };
    for job in [job(), support::modular(job())] {
        let files = support::files(deployment([job], [machine("rack1", "10.0.0.1")]));
        let settings = Folder::new(&files).settings("rack1/configuration.nix").expect("evaluates");
        let config = &settings["systemd"]["services"]["job"]["serviceConfig"];
        assert_eq!(
            (&config["ExecStart"], &config["Restart"]),
            (&json!("/bin/other"), &json!("on-failure"))
        );
    }
}

#[test]
fn users_whose_ids_would_meet_get_different_ones() {
    // Found by trying names: both hash to the same id.
    let service = |user: &str| ServiceSpec::builder(["true"]).user(user);
    let functionalities =
        [functionality("one", service("u2064")), functionality("two", service("u2927"))];
    let folder =
        Folder::new(&support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")])));
    let settings = folder.settings("rack1/configuration.nix").expect("evaluates");
    let id = |user: &str| {
        (
            settings["users"]["users"][user]["uid"].clone(),
            settings["users"]["groups"][user]["gid"].clone(),
        )
    };
    assert_eq!(id("u2064").0, id("u2064").1);
    assert_eq!(id("u2927").0, id("u2927").1);
    assert_ne!(id("u2064").0, id("u2927").0);
}

/// Texts that Nix, systemd, a shell and tmpfiles treat specially, and that all of them can carry.
fn hostile_texts(count: usize) -> Vec<String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "$", "${", "}", "$$", "''", "'", "\\", "\\n", "\"", "\n", "\r", "\t", " ", "%", "%n", "%%", "$(reboot)", "`id`",
            "#", ";", "{", "a", "é", "\u{1F980}", "\u{1}", "\u{1b}[31m", "\u{7f}", "-", "*", "~", "!", "&&", "<", "|",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_filter("refused", |c| {
            let code = u32::from(*c);
            code != 0 && !(0xFDD0..=0xFDEF).contains(&code) && code & 0xFFFE != 0xFFFE
        }).prop_map(String::from),
    ];
    let text = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let mut runner = TestRunner::default();
    let tree = prop::collection::vec(text, count).new_tree(&mut runner).expect("texts");
    tree.current().into_iter().chain(["x".repeat(100_000), "${'\"\\%\n".repeat(12_000)]).collect()
}

fn escaped(text: &str) -> String {
    Template::literal(text).to_string()
}

/// What NixOS and then systemd make of a value in `environment`: a JSON string, whose `%` are
/// specifiers.
fn environment(value: &Value) -> String {
    value.as_str().expect("text").replace("%%", "%")
}

#[test]
fn hostile_texts_arrive_in_variables_and_files() {
    let settings = assert_hostile_texts_arrive(|web| web, &hostile_texts(150));
    let start = settings["systemd"]["services"]["web"]["serviceConfig"]["ExecStart"].as_str();
    assert!(start.expect("a command").starts_with(":true "), "{start:?}");
}

#[test]
fn hostile_texts_arrive_in_modular_services_and_in_their_arguments() {
    let texts = hostile_texts(150);
    let settings = assert_hostile_texts_arrive(support::modular, &texts);
    let start = &settings["systemd"]["services"]["web"]["serviceConfig"]["ExecStart"];
    assert_eq!(start.as_array().map(Vec::len), Some(1));
    let words = serde_json::Deserializer::from_str(start[0].as_str().expect("a command"));
    let words: Vec<String> = words.into_iter().collect::<Result<_, _>>().expect("words");
    // systemd.service(5), "Command lines": a program's path has no variables.
    let read = |word: &String| word.replace("%%", "%").replace("$$", "$");
    assert_eq!(words[0], "true");
    assert!(words[1..].iter().map(read).eq(texts), "{words:?}");
}

fn assert_hostile_texts_arrive(in_style: fn(Spec) -> Spec, texts: &[String]) -> Value {
    let words = ["true".to_owned()].into_iter().chain(texts.iter().map(|text| escaped(text)));
    let mut service = ServiceSpec::builder(words);
    for (index, text) in texts.iter().enumerate() {
        service = service
            .env(&format!("V{index}"), &escaped(text))
            .file(&format!("/etc/text/{index}"), &escaped(text))
            .file_bytes(&format!("/srv/bytes/{index}"), FileContent::plain(text.as_bytes()), 0o755);
    }
    let web = in_style(functionality("web", service));
    let files = support::files(deployment([web], [machine("rack1", "10.0.0.1")]));
    let folder = Folder::new(&files);
    let settings =
        folder.settings("rack1/configuration.nix").unwrap_or_else(|error| panic!("{error}"));
    let variables = &settings["systemd"]["services"]["web"]["environment"];
    let etc = &settings["environment"]["etc"];
    let rules = settings["systemd"]["tmpfiles"]["rules"].as_array().expect("rules");
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(&environment(&variables[format!("V{index}")]), text);
        let stored = |path: &str| {
            std::fs::read(folder.stored(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let source = etc[format!("text/{index}")]["source"].as_str().expect("a path");
        assert_eq!(String::from_utf8(stored(source)).as_deref(), Ok(text.as_str()));
        let fixed = format!("deployix/files/srv/bytes/{index}");
        let link = format!("L /srv/bytes/{index} - - - - /etc/{fixed}");
        assert!(rules.contains(&link.into()), "{rules:?}");
        let source = etc[fixed]["source"].as_str().expect("a path");
        assert_eq!(String::from_utf8(stored(source)).as_deref(), Ok(text.as_str()));
    }
    settings
}

#[test]
fn secrets_and_the_text_around_them_arrive() {
    let mut texts = hostile_texts(40);
    // The last two are of 100 kB, and twice that is more than one variable may have.
    texts.truncate(40);
    let secret = "s3cr3t 'quoted' $HOME \\ \"é\"\nsecond line";
    let mut service = ServiceSpec::builder(["true"]);
    for (index, text) in texts.iter().enumerate() {
        let template = format!("{}${{secret:db}}{}", escaped(text), escaped(text));
        service = service.env(&format!("V{index}"), &template);
    }
    let files =
        support::files(deployment([functionality("web", service)], [machine("rack1", "10.0.0.1")]));
    let folder = Folder::new(&files);
    let settings =
        folder.settings("rack1/configuration.nix").unwrap_or_else(|error| panic!("{error}"));
    let config = &settings["systemd"]["services"]["web"]["serviceConfig"];
    assert_eq!(config["LoadCredential"], json!(["db:/var/lib/deployix/secrets/zalora/web/db"]));
    let start = config["ExecStart"].as_str().expect("a command");
    let script = start.split(' ').next().expect("the script");
    let credentials = tempfile::tempdir().expect("a folder");
    std::fs::write(credentials.path().join("db"), format!("{secret}\n")).expect("written");
    for (index, text) in texts.iter().enumerate() {
        let printed = Command::new("bash")
            .arg(folder.stored(script))
            .args(["printenv", &format!("V{index}")])
            .env("CREDENTIALS_DIRECTORY", credentials.path())
            .output()
            .expect("bash runs");
        let expected = format!("{text}{secret}{text}\n");
        let errors = String::from_utf8_lossy(&printed.stderr);
        assert_eq!(String::from_utf8(printed.stdout).as_deref(), Ok(expected.as_str()), "{errors}");
    }
}

#[test]
fn a_file_with_a_secret_is_written_at_the_start_for_its_user_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = ServiceSpec::builder(["true"])
        .file("/etc/web.conf", "password = ${secret:db}\n")
        .file_bytes("/etc/key.bin", FileContent::plain([0, 1, 0xff, b'\n']), 0o600);
    let files =
        support::files(deployment([functionality("web", service)], [machine("rack1", "10.0.0.1")]));
    let generated = Folder::new(&files);
    let settings =
        generated.settings("rack1/configuration.nix").unwrap_or_else(|error| panic!("{error}"));
    let start = settings["systemd"]["services"]["web"]["serviceConfig"]["ExecStart"]
        .as_str()
        .expect("a command");
    let script = start.split(' ').next().expect("the script");
    // The script runs on this machine: its paths are moved below a folder of the test.
    let text = std::fs::read_to_string(generated.stored(script)).expect("a script");
    let text = text
        .replace("/run/deployix/web", &folder.path().display().to_string())
        .replace("/nix/store", &generated.stored("/nix/store").display().to_string());
    let credentials = tempfile::tempdir().expect("a folder");
    std::fs::write(credentials.path().join("db"), "s3cr3t\n").expect("written");
    let status = Command::new("bash")
        .args(["-c", &text, "prepare", "true"])
        .env("CREDENTIALS_DIRECTORY", credentials.path())
        .status()
        .expect("bash runs");
    assert!(status.success());
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a file");
    assert_eq!(read("1-web.conf"), b"password = s3cr3t\n");
    assert_eq!(read("0-key.bin"), [0, 1, 0xff, b'\n']);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(folder.path().join(name)).expect("a file").permissions().mode() & 0o7777
    };
    assert_eq!((mode("1-web.conf"), mode("0-key.bin")), (0o644, 0o600));
    assert_eq!(
        settings["environment"]["etc"]["web.conf"]["source"],
        "/run/deployix/web/1-web.conf"
    );
    let config = &settings["systemd"]["services"]["web"]["serviceConfig"];
    assert_eq!(config["RuntimeDirectory"], "deployix/web");
    assert_eq!(config["RuntimeDirectoryMode"], "0700");
}
