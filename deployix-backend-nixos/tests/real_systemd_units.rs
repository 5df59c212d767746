//! The units that NixOS writes from the generated modules, as systemd's own tools judge them.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use deployix_backend_nixos::NixosFunctionality;
use deployix_core::spec::ServiceSpec;
use support::{deployment, functionality, machine};

/// The units of each machine of a sample in both styles, of the example, and of a deployment with
/// every field of a service.
fn machines() -> Vec<BTreeMap<String, String>> {
    let sample = || support::sample::hydra(support::sample::targets());
    let modular = || support::sample::hydra_in(support::sample::targets(), support::modular);
    [sample(), modular(), support::example(), support::everything()]
        .into_iter()
        .flat_map(|deployment| {
            let configurations = support::configurations(&deployment);
            let folder = support::folder(deployment);
            let units = |configuration: String| {
                folder.units(&configuration).unwrap_or_else(|error| panic!("{error}"))
            };
            configurations.into_iter().map(units).collect::<Vec<_>>()
        })
        .collect()
}

fn write(units: &BTreeMap<String, String>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in units {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn systemd_analyze(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(folder)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()))
        .output()
        .expect("systemd-analyze is needed by this test: run scripts/test, which installs it")
}

#[test]
fn systemd_understands_every_unit() {
    let machines = machines();
    assert!(machines.iter().map(BTreeMap::len).sum::<usize>() > 40, "{machines:#?}");
    for units in &machines {
        assert_understood(units);
    }
}

fn assert_understood(units: &BTreeMap<String, String>) {
    let folder = write(units);
    let names = units.keys().map(|name| format!("./{name}"));
    let verify = ["verify", "--man=no", "--recursive-errors=no"].map(str::to_owned);
    let arguments: Vec<String> = verify.into_iter().chain(names).collect();
    let output = systemd_analyze(folder.path(), &arguments);
    let complaints = String::from_utf8_lossy(&output.stderr);
    for name in units.keys() {
        let ours = complaints.lines().filter(|line| {
            line.contains(&*folder.path().to_string_lossy()) || line.contains(name.as_str())
        });
        // Programs of the store do not exist here, and settings of newer systemds (NixOS 25.05 has
        // 257) may not either.
        let known = ["is not executable", "RestartMode", "RestartSteps", "RestartMaxDelaySec"];
        let complaints: Vec<&str> =
            ours.filter(|line| !known.iter().any(|known| line.contains(known))).collect();
        assert!(complaints.is_empty(), "{name}: {complaints:#?}\n{}", units[name]);
    }
}

#[test]
fn a_unit_that_systemd_does_not_understand_is_found() {
    let units = BTreeMap::from([(
        "x.service".to_owned(),
        "[Service]\nExecStart=/bin/true\nKillSignal=SIGNONE\n".to_owned(),
    )]);
    let folder = write(&units);
    let output = systemd_analyze(
        folder.path(),
        &["verify", "--man=no", "--recursive-errors=no", "./x.service"],
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("SIGNONE"), "{output:?}");
}

/// How exposed a service is, in tenths.
fn exposure(folder: &Path, service: &str) -> u32 {
    let output = systemd_analyze(
        folder,
        &["security", "--offline=yes", "--no-pager", &format!("./{service}")],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().expect("a line");
    let (_, rated) = last.split_once(": ").unwrap_or_else(|| panic!("{text}"));
    let number = rated.split(' ').next().expect("a number").replace('.', "");
    number.parse().unwrap_or_else(|_| panic!("{last}"))
}

#[test]
fn every_service_is_rated_as_hardly_exposed() {
    let mut rated = 0;
    for units in machines() {
        let folder = write(&units);
        for name in units.keys().filter(|name| name.ends_with(".service")) {
            let exposure = exposure(folder.path(), name);
            assert!(exposure <= 30, "{name}: {exposure}\n{}", units[name]);
            rated += 1;
        }
    }
    assert!(rated > 20, "{rated}");
}

#[test]
fn a_loosened_service_differs_in_just_that() {
    let units = |service_config: &[(&str, serde_json::Value)]| {
        let service_config =
            service_config.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let settings = NixosFunctionality {
            service_config: service_config.collect(),
            ..NixosFunctionality::default()
        };
        let web = functionality("web", ServiceSpec::builder(["true"]).initializer(["true"]));
        let web = web.extension(&settings).expect("JSON");
        let folder = support::folder(deployment([web], [machine("rack1", "10.0.0.1")]));
        folder.units("rack1/configuration.nix").expect("units")
    };
    let strict = units(&[]);
    let loose = units(&[
        ("RestrictNamespaces", false.into()),
        ("SystemCallFilter", serde_json::json!(["@system-service"])),
    ]);
    for (name, strict) in &strict {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (before, after) = (lines(strict), lines(&loose[name]));
        let changed: Vec<&String> = before.symmetric_difference(&after).collect();
        let expected: &[&str] = match name.ends_with(".service") {
            true => &[
                "RestrictNamespaces=false",
                "RestrictNamespaces=true",
                "SystemCallFilter=~@privileged",
            ],
            false => &[],
        };
        assert_eq!(changed, expected, "{name}");
    }
    let rated = |units| exposure(write(units).path(), "web.service");
    assert!(rated(&loose) > rated(&strict));
}

#[test]
fn timers_have_times_that_systemd_understands() {
    let machines = machines();
    let units = machines.iter().flatten();
    let timers: Vec<&String> =
        units.filter(|(name, _)| name.ends_with(".timer")).map(|(_, text)| text).collect();
    assert_eq!(timers.len(), 3, "{timers:?}");
    for timer in timers {
        let mut lines = timer.lines();
        let calendar = lines.find_map(|line| line.strip_prefix("OnCalendar=")).expect("a time");
        let output = systemd_analyze(Path::new("/"), &["calendar", calendar]);
        assert!(output.status.success(), "{output:?}");
    }
}
