//! What a machine is told at its first boot, as cloud-init itself judges it.
//!
//! This test needs `cloud-init`; `scripts/test` brings it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use std::process::Command;

use deployix_core::backend::{UserData, UserDataPart};

use crate::stage::{server, told};

#[test]
fn cloud_init_accepts_what_a_machine_is_told() {
    let hostile = "quotes \" ' ${x} $$ `id`\n\ttab: - # \\ é 日本\n";
    let hostile = deployix_core::spec::Template::literal(hostile).to_string();
    let page = || server(80).env("HOSTILE", &hostile).file("/etc/x", &hostile);
    judge(told(page(), false).unwrap());
    judge(told(page().state("/var/lib/web"), true).unwrap());
}

fn judge(told: UserData) {
    let text: String = told
        .parts
        .iter()
        .map(|part| match part {
            UserDataPart::Text(text) => text.as_str(),
            UserDataPart::Output(_) => "vol-0123456789abcdef0",
            UserDataPart::Address(_) => "10.0.0.5",
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = Command::new("cloud-init")
        .args(["schema", "--config-file"])
        .arg(file.path())
        .output()
        .expect("cloud-init does not start: run scripts/test");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.contains("Valid"), "{said}");
}
