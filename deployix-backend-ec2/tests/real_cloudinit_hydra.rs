//! A whole deployment's user data as cloud-init itself judges it.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{fs, process::Command};

use support::{compiled, hydra, named};

#[test]
fn cloud_init_accepts_what_every_machine_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut judged = 0;
    let all = [hydra(), named()].map(|deployment| {
        let (compiled, found) = compiled(deployment);
        assert!(!found.has_errors(), "{found}");
        compiled
    });
    for ((_, path), content) in all.iter().flat_map(|compiled| compiled.files()) {
        if !path.as_str().starts_with("user-data/") {
            continue;
        }
        let file = folder.path().join("user-data");
        fs::write(&file, &content.bytes).unwrap();
        let output = Command::new("cloud-init")
            .args(["schema", "--config-file"])
            .arg(&file)
            .output()
            .expect("cloud-init does not start: run scripts/test");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && text.contains("Valid cloud-config"), "{path}: {text}");
        judged += 1;
    }
    assert_eq!(judged, 5);
}
