//! Commands to the engine of this machine.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Runs `docker`, whatever comes of it.
pub(crate) fn try_docker(arguments: &[&str]) -> Output {
    Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("docker is needed by this test: run scripts/test, which installs it")
}

/// Runs `docker`, which has to succeed, and gives what it prints.
pub(crate) fn docker(arguments: &[&str]) -> String {
    text(arguments, &try_docker(arguments))
}

/// The same with something to read.
pub(crate) fn docker_reads(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("docker")
        .args(arguments)
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("docker is needed by this test: run scripts/test, which installs it");
    // Who ends early tells why.
    let _ = child.stdin.take().unwrap().write_all(input);
    text(arguments, &child.wait_with_output().unwrap())
}

fn text(arguments: &[&str], output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {}: {told}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < within, "waited {within:?} for {what}");
        std::thread::sleep(Duration::from_millis(250));
    }
    println!("{what}: {:?}", start.elapsed());
}
