//! The real engine, for tests: run it, and clean up what a test made.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

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

    /// An image that holds one program and no shell: a static one that sleeps.
    pub(crate) fn shell_less(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("sleeper.c");
        std::fs::write(&source, "#include <unistd.h>\nint main() { for (;;) pause(); }\n").unwrap();
        let compiled = Command::new("cc")
            .args(["-static", "-o"])
            .arg(folder.path().join("sleeper"))
            .arg(&source)
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "this test needs a C compiler");
        std::fs::write(
            folder.path().join("Dockerfile"),
            "FROM scratch\nCOPY [\"sleeper\", \"/sleeper\"]\n",
        )
        .unwrap();
        let name = format!("{name}-{}", std::process::id());
        docker(&["build", "--quiet", "--tag", &name, folder.path().to_str().unwrap()]);
        Self(name)
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

    /// Whether a Compose command succeeds.
    pub(crate) fn try_compose(&self, arguments: &[&str]) -> bool {
        let output = Command::new("docker")
            .args(["compose", "--file", self.0.to_str().unwrap()])
            .args(arguments)
            .output();
        output.unwrap().status.success()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let file = self.0.to_str().unwrap_or_default();
        let images = Command::new("docker")
            .args(["compose", "--file", file, "config", "--images"])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        let _ = Command::new("docker")
            .args(["compose", "--file", file, "down", "--volumes", "--timeout", "1"])
            .output();
        // By name, and only those that the test built itself: `down --rmi` would take the base
        // image's name away from everybody.
        for image in images.lines().filter(|image| image.starts_with("deployix-deployix-test-")) {
            let _ = Command::new("docker").args(["image", "rm", image]).output();
        }
    }
}

/// Asks a server on this machine, again and again for as long as it takes to come up.
pub(crate) fn get(port: u16) -> String {
    let start = Instant::now();
    loop {
        let answer = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        match answer {
            Ok(answer) if !answer.is_empty() => return answer,
            other => assert!(start.elapsed() < Duration::from_secs(30), "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}
