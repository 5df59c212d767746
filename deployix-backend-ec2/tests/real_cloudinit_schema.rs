//! User data as cloud-init itself judges it.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

use std::{fs, process::Command};

use deployix_backend_ec2::user_data::{
    cloud_config::{CloudConfig, Content, WriteFile},
    text::Text,
};
use deployix_core::AbsolutePath;

/// Runs `cloud-init schema`; gives what it complains about.
fn judge(user_data: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user-data");
    fs::write(&file, user_data).unwrap();
    let output = Command::new("cloud-init")
        .args(["schema", "--config-file"])
        .arg(&file)
        .output()
        .expect("cloud-init does not start: run scripts/test");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() && text.contains("Valid cloud-config") { Ok(()) } else { Err(text) }
}

fn everything() -> CloudConfig {
    let file = |path, append, content| WriteFile {
        path: AbsolutePath::new(path).unwrap(),
        mode: 0o600,
        append,
        content,
    };
    CloudConfig {
        hostname: Some("epsilon1-0".into()),
        early_commands: vec![vec!["true".into()]],
        packages: vec!["postgresql".into()],
        files: vec![
            file("/etc/a", false, Content::Bytes(vec![0, 255])),
            file("/etc/hosts", true, Content::Text(Text::from("a\nb\n"))),
        ],
        commands: vec![vec!["echo".into(), "{{ hostile }}: \"'".into()]],
    }
}

#[test]
fn cloud_init_accepts_a_configuration_with_everything_in_it() {
    judge(everything().print().as_known().unwrap()).unwrap();
}

#[test]
fn cloud_init_accepts_the_smallest_configuration() {
    let smallest = CloudConfig::default();
    judge(smallest.print().as_known().unwrap()).unwrap();
}

#[test]
fn the_oracle_complains_about_what_is_wrong() {
    let text = everything().print().as_known().unwrap().to_owned();
    assert!(judge(&text.replace("permissions", "permission")).is_err());
}
