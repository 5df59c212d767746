#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! `examples/hydra`, compiled for Docker, built and started by a real engine with nothing of
//! deployix: a commit that is pushed travels to the page behind the load balancer.

mod support;

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const EVALUATOR: &str = "hydra-evaluator.evaluator";
const WEB: &str = "hydra-web_1";

/// Clones the repository as the network gives it, commits and pushes; prints the commit.
const PUSH: &str = include_str!("support/push.sh");

/// Exits with 0 if a connection opens, with 1 if it is refused, dropped or the name is unknown.
const REACHES: &str = include_str!("support/reaches.py");

#[test]
fn a_commit_travels_through_the_generated_project() {
    let project = Project::compiled();
    project.compose(&["config", "--quiet"]);
    project.compose(&["build", "--quiet"]);
    project.compose(&["up", "--detach", "--wait", "--wait-timeout", "120", "--quiet-pull"]);

    let first = project.push("Travel <far>");
    project.wait_for_row(&first, "done");
    assert!(project.page().contains("Travel &lt;far&gt;"));

    assert!(project.reaches(WEB, "hydra-db.zalora.com", 5432), "an upstream is reached");
    for (host, port) in [("git.zalora.com", 9418), ("hydra-evaluator", 22), ("1.1.1.1", 443)] {
        assert!(!project.reaches(WEB, host, port), "{host} is no upstream of the page");
    }

    let password = fs::read_to_string(project.path("box/secrets/hydra-db")).unwrap();
    let mut told = project.compose(&["config"]) + &project.compose(&["top"]);
    told += &project.compose(&["logs", "--no-color"]);
    for container in project.compose(&["ps", "--all", "--quiet"]).lines() {
        told += &run(Command::new("docker").args(["inspect", container]));
    }
    assert!(told.contains("hydra-db"), "{told}");
    assert!(!told.contains(&password), "a secret is told to nobody but its program: {told}");

    // What has to survive does: the database and the repositories, in containers made anew.
    project.compose(&["down", "--timeout", "20"]);
    project.compose(&["up", "--detach", "--wait", "--wait-timeout", "120"]);
    project.wait_for_row(&first, "done");
    let second = project.push("Arrive");
    project.wait_for_row(&second, "done");

    // A page that fails is left out by the load balancer.
    project.compose(&["stop", "--timeout", "10", WEB]);
    wait_for("the other page to answer", || project.page().contains(&second));
}

/// The generated project, which is removed with everything it made when the test ends.
struct Project {
    folder: TempDir,
    port: u16,
}

impl Project {
    /// Compiles a copy of the example that gets in nobody's way: other addresses, another port.
    fn compiled() -> Self {
        let folder = tempfile::Builder::new().prefix("deployix-test-hydra-").tempdir().unwrap();
        let project = Self { folder, port: free_port() };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra");
        run(Command::new("cp").arg("-r").arg(example).arg(project.path("hydra")));
        let infrastructure = project.path("hydra/ops/infrastructure-docker.toml");
        let mut text = fs::read_to_string(&infrastructure).unwrap();
        for (old, new) in [
            ("base-image =", "subnets = \"10.214.0.0/16\", base-image ="),
            ("balances =", &format!("extensions.docker.publish = {}\nbalances =", project.port)),
        ] {
            assert!(text.contains(old), "{old} in {text}");
            text = text.replace(old, new);
        }
        fs::write(&infrastructure, text).unwrap();

        let compiled = support::compiled(&project.path("hydra/ops/deployment-docker.toml"));
        let target = deployix::core::Name::new("box").unwrap();
        support::write(&compiled, &target, &project.path("box"));
        run(Command::new("cp")
            .arg("-r")
            .arg(project.path("hydra/ops/secrets"))
            .arg(project.path("box")));
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn compose_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .args(["compose", "--project-name", &format!("deployix-test-hydra-{}", self.port)])
            .arg("--file")
            .arg(self.path("box/compose.yaml"))
            .args(arguments);
        command
    }

    fn compose(&self, arguments: &[&str]) -> String {
        run(&mut self.compose_command(arguments))
    }

    fn push(&self, subject: &str) -> String {
        let pushed = self.compose(&["exec", "-T", EVALUATOR, "sh", "-c", PUSH, "sh", subject]);
        pushed.trim().to_owned()
    }

    fn reaches(&self, from: &str, host: &str, port: u16) -> bool {
        let port = port.to_string();
        let program = ["exec", "-T", from, "python3", "-c", REACHES, host, &port];
        output(&mut self.compose_command(&program)).status.success()
    }

    /// The page as this machine sees it, through the load balancer; empty where none comes.
    fn page(&self) -> String {
        get(self.port).unwrap_or_default()
    }

    fn wait_for_row(&self, commit: &str, state: &str) {
        assert_eq!(commit.len(), 40, "a commit: {commit}");
        let state = format!("<td>{state}</td>");
        let listed = || self.page().lines().any(|row| row.contains(commit) && row.contains(&state));
        wait_for(&format!("{commit} to be {state}"), listed);
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.compose_command(&["logs", "--no-color", "--tail", "40"]).output();
            let text = logs.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!("{}", text.unwrap_or_default());
        }
        let images = self.compose_command(&["config", "--images"]).output();
        let images = images.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let _ = self.compose_command(&["down", "--volumes", "--timeout", "5"]).output();
        // By name: what Compose removes itself may be the base image's name as well.
        for image in images.unwrap_or_default().lines().filter(|i| i.starts_with("deployix-")) {
            let _ = Command::new("docker").args(["image", "rm", image]).output();
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = output(command);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}{told}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        sleep(Duration::from_millis(200));
    }
}

fn get(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
