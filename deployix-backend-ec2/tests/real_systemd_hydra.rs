//! A whole deployment's units as systemd itself judges them.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{fs, path::Path, process::Command};

use support::{compiled, file, hydra, named};

/// The files that a machine's user data writes, by path.
fn written(user_data: &str) -> Vec<(String, String)> {
    // The literal blocks of the user data, as they are printed.
    let mut files = Vec::new();
    let mut lines = user_data.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(path) = line.strip_prefix("  - path: ") else { continue };
        let path = path.trim_matches('"').to_owned();
        let mut content = String::new();
        for line in lines.by_ref() {
            if line.trim_start().starts_with("content: |") {
                break;
            }
        }
        while let Some(line) = lines.next_if(|line| line.starts_with("      ") || line.is_empty()) {
            content.push_str(line.get(6..).unwrap_or_default());
            content.push('\n');
        }
        files.push((path, content));
    }
    files
}

fn units() -> Vec<(String, String)> {
    let user_data = |deployment, target: &str| {
        let (compiled, found) = compiled(deployment);
        assert!(!found.has_errors(), "{found}");
        written(&file(&compiled, target, &format!("user-data/{target}-0")))
    };
    // A machine with state, and one that fetches its secrets.
    let files = [user_data(hydra(), "ec2-singapore"), user_data(named(), "one")].concat();
    files
        .into_iter()
        .filter_map(|(path, content)| {
            let name = path.strip_prefix("/etc/systemd/system/")?.to_owned();
            Some((
                name,
                content
                    .replace("<<VolumeId of ec2/target/ec2-singapore/machine/0/volume>>", "vol-1"),
            ))
        })
        .collect()
}

/// What systemd complains about in a unit. That its programs are not installed here is no fault of it.
fn complaints(file: &Path, folder: &Path) -> Vec<String> {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--recursive-errors=no"])
        .arg(file)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()))
        .output()
        .expect("systemd-analyze does not start: run scripts/test");
    let text = String::from_utf8(output.stderr).unwrap();
    let own = text.lines().filter(|line| line.contains("deployix-"));
    own.filter(|line| !line.contains("is not executable")).map(str::to_owned).collect()
}

#[test]
fn systemd_finds_nothing_wrong_with_any_unit() {
    let folder = tempfile::tempdir().unwrap();
    let units = units();
    assert_eq!(units.len(), 11);
    for (name, content) in &units {
        fs::write(folder.path().join(name), content).unwrap();
    }
    for (name, content) in &units {
        let complaints = complaints(&folder.path().join(name), folder.path());
        assert!(complaints.is_empty(), "{name}: {complaints:#?}\n{content}");
    }
}

#[test]
fn the_oracle_complains_about_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployix-wrong.service");
    fs::write(&file, "[Service]\nExecStart=/bin/true\nNoSuchSetting=1\n").unwrap();
    assert_eq!(complaints(&file, folder.path()).len(), 1);
}

#[test]
fn no_service_is_exposed_more_than_a_little() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in units() {
        let own = ["deployix-state.service", "deployix-secrets.service"].contains(&&*name);
        if !name.ends_with(".service") || own {
            continue;
        }
        let file = folder.path().join(&name);
        fs::write(&file, content).unwrap();
        // 100 is 10.0 of the "exposure level" that systemd-analyze(1) gives; below 3 is "OK".
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--threshold=30"])
            .arg(&file)
            .output()
            .expect("systemd-analyze does not start: run scripts/test");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {}", text.lines().last().unwrap_or_default());
    }
}
