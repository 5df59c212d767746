//! The scripts of VM tests, as Python reads them.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::process::Command;

use deployix_core::spec::ServiceSpec;
use support::{deployment, functionality, machine};

/// The script in a test's text; it has no character that Nix escapes.
fn script(text: &str) -> String {
    let (_, rest) = text.split_once("testScript = ''\n").expect("a script");
    let (script, _) = rest.split_once("'';\n").expect("the script's end");
    script.lines().map(|line| line.trim_start().to_owned() + "\n").collect()
}

#[test]
fn python_compiles_every_script() {
    let python = std::env::var("DEPLOYIX_PYTHON")
        .expect("a Python is needed by this test: run scripts/test, which makes one");
    let word = functionality("web", ServiceSpec::builder(["true"]).endpoint("http", 3000));
    let deployments = [
        support::sample::hydra(support::sample::targets()),
        support::example(),
        support::everything(),
        deployment([word], [machine("lambda", "10.0.0.1")]),
    ];
    let files: Vec<_> = deployments.into_iter().flat_map(support::files).collect();
    let tests = files.iter().filter(|(path, _)| path.contains("/tests/"));
    let mut compiled = 0;
    for (path, file) in tests {
        let script = script(file.as_text().expect("text"));
        assert!(script.contains(".wait_for_unit("), "{path}: {script}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("test.py");
        std::fs::write(&file, &script).expect("written");
        let output = Command::new(&python)
            .args(["-m", "py_compile"])
            .arg(file)
            .output()
            .unwrap_or_else(|error| panic!("{python}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {errors}\n{script}");
        compiled += 1;
    }
    assert_eq!(compiled, 3 + 4 + 2 + 1);
}
