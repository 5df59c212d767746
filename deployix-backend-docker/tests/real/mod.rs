//! The real engine, for tests: run it, and clean up what a test made.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Runs `docker` and returns what it printed.
///
/// # Panics
/// When it fails, with what it said. A missing engine is a failure, never a silent skip.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("this test needs Docker: run it through scripts/test, which installs it");
    assert!(
        output.status.success(),
        "docker {}: {}\n(this test needs a Docker engine and the Compose plugin: scripts/test starts them)",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `docker` and reads what it printed as JSON.
pub(crate) fn docker_json(arguments: &[&str]) -> Value {
    serde_json::from_str(&docker(arguments)).unwrap()
}

/// An image that is removed with the test that built it.
pub(crate) struct Image(String);

impl Image {
    pub(crate) fn build(context: &Path) -> Self {
        let built = docker(&["build", "--quiet", context.to_str().unwrap()]);
        Self(built.trim().to_owned())
    }

    pub(crate) fn id(&self) -> &str {
        &self.0
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Two equal images of parallel tests are one: whoever comes last removes it.
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}

/// A Compose project that is taken down with the test.
pub(crate) struct Project(PathBuf);

impl Project {
    pub(crate) fn new(file: &Path) -> Self {
        Self(file.to_owned())
    }

    pub(crate) fn compose(&self, arguments: &[&str]) -> String {
        let file = self.0.to_str().unwrap();
        docker(&[&["compose", "--file", file], arguments].concat())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let file = self.0.to_str().unwrap_or_default();
        let _ = Command::new("docker")
            .args(["compose", "--file", file, "down", "--volumes", "--timeout", "1"])
            .output();
    }
}
