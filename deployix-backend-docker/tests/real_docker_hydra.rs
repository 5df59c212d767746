//! The example of the project runs on a real engine: a commit travels through all of it.
//!
//! This test needs a Docker engine, the Compose plugin and the image `debian:bookworm-slim`;
//! `scripts/test` brings all of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod real;
mod stage;

use std::{
    net::TcpListener,
    num::NonZeroU16,
    path::Path,
    time::{Duration, Instant},
};

use deployix_backend_docker::extension::DockerTarget;
use deployix_core::load::load;

use crate::{
    real::{Project, get},
    stage::{compiled_whole, files, name, write},
};

#[test]
fn a_commit_travels_through_the_example() {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra/ops");
    let mut deployment = load(&ops.join("deployment-docker.toml")).value.unwrap();
    // Beside whatever else runs here: a name, a range and a port of its own.
    deployment.name = name(&format!("deployix-test-hydra-{}", std::process::id()));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let infrastructure = &mut deployment.infrastructure;
    let target = infrastructure.targets.get_mut("box").unwrap();
    let subnets = "10.214.32.0/20".parse().unwrap();
    target.extensions.insert(&DockerTarget { subnets, ..DockerTarget::default() }).unwrap();
    let balancer = infrastructure.load_balancers.get_mut("hydra").unwrap();
    balancer.source_port = NonZeroU16::new(port).unwrap();

    let compiled = compiled_whole(deployment);
    let folder = tempfile::tempdir().unwrap();
    write(&files(&compiled, "box"), folder.path());
    let secrets = folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::copy(ops.join("secrets/hydra-db"), secrets.join("hydra-db")).unwrap();
    let project = Project::new(&folder.path().join("compose.yaml"));
    project.compose(&["up", "--detach", "--wait", "--quiet-pull"]);

    // Only who declared the repository as an upstream reaches it.
    let bash = |service: &str, line: &str| {
        project.try_compose(&["exec", "--no-TTY", service, "bash", "-c", line])
    };
    let reach = "timeout 2 bash -c ': </dev/tcp/git.zalora.com/9418'";
    assert!(bash("hydra-evaluator.evaluator", reach) && !bash("hydra-web_1", reach));
    let push = "cd /tmp && git init --quiet --initial-branch=main work && cd work && \
                git -c user.name=A -c user.email=a@example.com commit --quiet --allow-empty \
                -m 'A commit that travels' && git push --quiet git://git.zalora.com/zalora.git main";
    assert!(bash("hydra-evaluator.evaluator", push));

    let start = Instant::now();
    loop {
        let page = get(port);
        if page.contains("A commit that travels") && page.contains("done") {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{page}\n{}",
            project.compose(&["logs"])
        );
        std::thread::sleep(Duration::from_secs(1));
    }
}
