//! The units that NixOS writes from the generated modules, as systemd's own tools judge them.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use deployix_core::spec::FileContent;
use support::nix::Folder;

fn units() -> BTreeMap<String, String> {
    let mut files = support::files(support::sample::hydra(support::sample::targets()));
    files.insert("rack1/hardware-configuration.nix".to_owned(), FileContent::plain("{ }\n"));
    let folder = Folder::new(&files);
    ["rack1/configuration.nix", "rack2/configuration.nix", "eu/configuration-0.nix"]
        .iter()
        .flat_map(|configuration| {
            folder.units(configuration).unwrap_or_else(|error| panic!("{error}"))
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

fn systemd_analyze(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(folder)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()))
        .output()
        .expect("systemd-analyze is needed by this test: run scripts/test, which installs it")
}

#[test]
fn systemd_understands_every_unit() {
    let units = units();
    assert!(units.len() > 8, "{units:#?}");
    let folder = write(&units);
    for name in units.keys() {
        let output = systemd_analyze(
            folder.path(),
            &["verify", "--man=no", "--recursive-errors=no", &format!("./{name}")],
        );
        let complaints = String::from_utf8_lossy(&output.stderr);
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

#[test]
fn every_service_is_rated_as_hardly_exposed() {
    let units = units();
    let folder = write(&units);
    for name in units.keys().filter(|name| name.ends_with(".service")) {
        // 30 of 100 is an exposure of 3.0.
        let output = systemd_analyze(
            folder.path(),
            &["security", "--offline=yes", "--threshold=30", "--no-pager", &format!("./{name}")],
        );
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn timers_have_times_that_systemd_understands() {
    let units = units();
    let timer = &units["harvest-spice.timer"];
    let calendar = timer.lines().find_map(|line| line.strip_prefix("OnCalendar=")).expect("a time");
    let output = systemd_analyze(Path::new("/"), &["calendar", calendar]);
    assert!(output.status.success(), "{output:?}");
}
