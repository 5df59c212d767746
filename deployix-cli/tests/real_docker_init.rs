//! What `deployix init` makes runs on a Docker engine, with Compose alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
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
        self.compose(&["down", "--volumes", "--timeout", "1"]);
        // By their names: what Compose removes itself may be the base image's name as well.
        let own = format!("{}/*", self.name);
        let docker = |arguments: &[&str]| Command::new("docker").args(arguments).output();
        let format = "{{.Repository}}:{{.Tag}}";
        let Ok(images) = docker(&["image", "ls", "--format", format, &own]) else { return };
        for image in String::from_utf8_lossy(&images.stdout).lines() {
            let _ = docker(&["image", "rm", image]);
        }
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
    // Images go by the deployment's name, so it has to be this test's own.
    let name = format!("deployix-test-init-{}", process::id());
    let file = folder.path().join("deployment.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"hello\"", &format!("{name:?}"))).unwrap();
    deployix(folder.path(), &["compile", "--out", "out"]);
    let project =
        Project { folder: folder.path().join("out/local"), name: format!("deployix-{name}") };
    project.compose_done(&["up", "--build", "--detach"]);
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let log = project.compose_done(&["logs", "--no-color", "--no-log-prefix", "visitor"]);
        if log.lines().any(|line| line.ends_with("Hello!")) {
            break;
        }
        assert!(Instant::now() < until, "{log}");
        thread::sleep(Duration::from_secs(1));
    }
}
