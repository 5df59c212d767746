//! What `deployix init` makes runs on a Docker engine, with Compose alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    process::{self, Command, Output},
    thread,
    time::{Duration, Instant},
};

/// A Compose project that goes when the test ends, however it ends.
struct Project {
    folder: PathBuf,
    name: String,
}

impl Project {
    fn compose(&self, arguments: &[&str]) -> Output {
        let mut compose = Command::new("docker");
        compose.args(["compose", "--project-name", &self.name]).args(arguments);
        let output = compose.current_dir(&self.folder).output();
        output.expect("`docker` is missing: run scripts/test, which starts an engine")
    }

    fn compose_done(&self, arguments: &[&str]) -> String {
        let output = self.compose(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}; run scripts/test");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes", "--rmi", "local", "--timeout", "1"]);
    }
}

fn deployix(folder: &Path, arguments: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_deployix"));
    let output = program.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_first_deployment_runs_and_its_visitor_reads_the_page() {
    let folder = tempfile::tempdir().unwrap();
    deployix(folder.path(), &["init"]);
    deployix(folder.path(), &["compile", "--out", "out"]);
    let project = Project {
        folder: folder.path().join("out/local"),
        name: format!("deployix-test-init-{}", process::id()),
    };
    project.compose_done(&["up", "--build", "--detach"]);
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let log = project.compose_done(&["logs", "--no-color", "--no-log-prefix", "visitor"]);
        if log.lines().any(|line| line == "Hello!") {
            break;
        }
        assert!(Instant::now() < until, "{log}");
        thread::sleep(Duration::from_secs(1));
    }
}
