//! `examples/hydra` made real on an engine: a commit that is pushed travels to the page behind the
//! load balancer, and nobody reaches what it did not declare.
//!
//! This test needs a Docker engine and the image `debian:bookworm-slim`; `scripts/test` brings both.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod live;
mod perl;
mod real;
mod stage;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use deployix_backend_docker::extension::{DockerLoadBalancer, DockerTarget, Published};
use deployix_core::{load::load, spec::Deployment};

use crate::{live::World, perl::free_port, real::docker, stage::name};

/// Clones the repository as the network gives it, commits and pushes; prints the commit.
const PUSH: &str = r#"
set -eu
folder=$(mktemp -d)
git clone --quiet git://git.zalora.com/zalora.git "$folder"
cd "$folder"
echo "$1" >>changes
git add changes
git -c user.name='A Person' -c user.email=person@example.com commit --quiet --message "$1"
git push --quiet origin HEAD:main
git rev-parse HEAD
rm -rf "$folder"
"#;

/// Exits with 0 if a connection opens.
const REACHES: &str = r#"
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
except OSError as error:
    sys.exit(str(error))
"#;

/// The example's deployment, where it gets in nobody's way.
fn hydra(port: u16) -> Deployment {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra/ops");
    let loaded = load(&example.join("deployment-docker.toml"));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    let mut deployment = loaded.value.unwrap();
    deployment.name = name(&format!("deployix-test-hydra-live-{}", std::process::id()));
    let settings =
        DockerTarget { subnets: "10.217.0.0/16".parse().unwrap(), ..DockerTarget::default() };
    let infrastructure = &mut deployment.infrastructure;
    infrastructure.targets.get_mut("box").unwrap().extensions.insert(&settings).unwrap();
    let publish = Some(Published::on_loopback(port));
    let balancer = infrastructure.load_balancers.get_mut("hydra").unwrap();
    balancer.extensions.insert(&DockerLoadBalancer { publish }).unwrap();
    deployment
}

fn page(port: u16) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}

fn wait_for_row(port: u16, commit: &str) {
    assert_eq!(commit.len(), 40, "a commit: {commit}");
    let begin = Instant::now();
    while !page(port).lines().any(|row| row.contains(commit) && row.contains("<td>done</td>")) {
        assert!(begin.elapsed().as_secs() < 60, "{}", page(port));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_commit_travels_through_the_deployment_and_survives_its_containers() {
    let port = free_port();
    let secrets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra/ops/secrets");
    let password = fs::read_to_string(secrets.join("hydra-db")).unwrap();
    let mut world = World::new(&hydra(port)).with_secret("hydra-db", &password);
    world.deploy(hydra(port)).unwrap();
    world.assert_as_made();
    let push = |world: &World, what: &str| {
        let evaluator = world.container("hydra-evaluator.evaluator");
        docker(&["exec", &evaluator, "sh", "-c", PUSH, "sh", what]).trim().to_owned()
    };
    let first = push(&world, "Travel");
    wait_for_row(port, &first);

    let web = world.container("hydra-web_1");
    let reaches = |host: &str, port: &str| {
        let program = ["exec", &web, "python3", "-c", REACHES, host, port];
        Command::new("docker").args(program).output().unwrap().status.success()
    };
    assert!(reaches("hydra-db.zalora.com", "5432"), "an upstream is reached");
    for (host, port) in [("git.zalora.com", "9418"), ("hydra-evaluator", "22"), ("1.1.1.1", "443")]
    {
        assert!(!reaches(host, port), "{host} is no upstream of the page");
    }
    for id in world.listed("container") {
        assert!(!docker(&["inspect", &id]).contains(password.trim()), "{id} tells a secret");
    }

    // Nothing to do, and nothing done; then all that runs is taken away and made again.
    assert_eq!(world.plan(hydra(port)).steps, []);
    for id in world.listed("container") {
        docker(&["rm", "--force", &id]);
    }
    let instances: Vec<_> = world.heads.resources.keys().cloned().collect();
    let before_others: Vec<_> = ["hydra-db", "git"].map(|name| format!("instance/{name}")).to_vec();
    let (first_ones, others): (Vec<_>, Vec<_>) = instances
        .into_iter()
        .partition(|id| before_others.iter().any(|end| id.as_str().ends_with(end)));
    for id in first_ones.iter().chain(&others) {
        world.repair(id).unwrap();
    }
    world.assert_as_made();
    wait_for_row(port, &first);
    let second = push(&world, "Arrive");
    wait_for_row(port, &second);
    world.remove_all();
}
