//! Generated projects run on a real engine, as confined as they claim to be.
//!
//! These tests need a Docker engine, the Compose plugin and the image `debian:bookworm-slim`;
//! `scripts/test` brings all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod perl;
#[expect(dead_code, reason = "each test binary uses its part")]
mod real;
#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use std::net::TcpListener;

use deployix_core::spec::{Deployment, FileContent, Group, ServiceSpec};

use crate::{
    perl::{deployment, free_port, server},
    real::{Project, docker, docker_json, get},
    stage::{balance, compiled_whole, files, functionality, write},
};

/// A project written to a folder of its own, not yet up.
fn written(deployment: Deployment) -> (tempfile::TempDir, Project) {
    let compiled = compiled_whole(deployment);
    let folder = tempfile::tempdir().unwrap();
    write(&files(&compiled, "box"), folder.path());
    let project = Project::new(&folder.path().join("compose.yaml"));
    (folder, project)
}

/// Runs a line of bash in a container and tells whether it succeeded.
fn can(project: &Project, service: &str, line: &str) -> bool {
    project.try_compose(&["exec", "--no-TTY", service, "bash", "-c", line])
}

fn says(project: &Project, service: &str, line: &str) -> String {
    project.compose(&["exec", "--no-TTY", service, "bash", "-c", line])
}

/// A line of bash that connects, and gives up soon.
fn connect(host: &str, port: u16) -> String {
    format!("timeout 2 bash -c ': </dev/tcp/{host}/{port}'")
}

/// The addresses of a container, by the last part of the network's name.
fn address(project: &Project, service: &str, network: &str) -> String {
    let id = project.compose(&["ps", "--quiet", service]);
    let inspected = docker_json(&["inspect", id.trim()]);
    let networks = inspected[0]["NetworkSettings"]["Networks"].as_object().unwrap();
    let (_, network) = networks.iter().find(|(name, _)| name.ends_with(network)).unwrap();
    network["IPAddress"].as_str().unwrap().to_owned()
}

#[test]
fn a_deployment_runs_confined() {
    let db = server(&["5432", "9999"])
        .initializer(["bash", "-c", "echo made >> /var/lib/db/made"])
        .state("/var/lib/db")
        .build()
        .unwrap();
    let web = server(&["80"])
        .env("GREETING", "a ${secret:greeting} b")
        .file("/etc/greeting.conf", "from a file: ${secret:greeting}")
        .file("/var/lib/web/sub/kept.conf", "in a volume")
        .state("/var/lib/web")
        .build()
        .unwrap();
    let other = server(&["5432"]).build().unwrap();
    let pair = Group::new()
        .member("front", server(&["8001"]).build().unwrap())
        .unwrap()
        .member("back", server(&["8002"]).build().unwrap())
        .unwrap();
    let outward = ServiceSpec::builder(["sleep", "infinity"]).build().unwrap();
    let outward = functionality("outward", outward, &["db"]).upstream("world.example.org").unwrap();
    let job = ServiceSpec::builder(["echo", "it ran"]).schedule("daily 03:30").build().unwrap();
    let shared = [
        outward.shared(),
        functionality("job", job, &[]).shared(),
        functionality("db", db, &[]).shared(),
        functionality("web", web, &["db"]).replicas(2.try_into().unwrap()).shared(),
        functionality("other", other, &["pair"]).shared(),
        functionality("pair", pair, &["other"]).shared(),
    ];
    let mut deployment = deployment("confined", "10.214.0.0/20", shared.into_iter().collect());
    deployment.external_hosts.insert(deployix_core::Fqdn::new("world.example.org").unwrap());
    let published = free_port();
    balance(&mut deployment, "web", published, 80);
    let (folder, project) = written(deployment);
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/greeting"), "it's \"$HOME\"\n").unwrap();
    project.compose(&["up", "--detach", "--quiet-pull"]);

    // The program: not root, no capabilities, no way to gain any, a read-only root.
    let status = says(&project, "web_1", "id -u; grep -E '^(Cap|NoNewPrivs)' /proc/1/status");
    assert!(status.starts_with("900\n"), "{status}");
    for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"] {
        assert!(status.contains(line), "{status}");
    }
    assert!(status.contains("CapBnd:\t0000000000000000") && status.contains("NoNewPrivs:\t1"));
    for path in ["/x", "/etc/x", "/opt/deployix/x", "/etc/greeting.conf/x"] {
        assert!(!can(&project, "web_1", &format!("touch {path}")), "{path} can be written");
    }
    for path in ["/tmp/x", "/run/x", "/var/lib/web/x"] {
        assert!(can(&project, "web_1", &format!("touch {path}")), "{path} cannot be written");
    }

    // Its upstream: the declared endpoint, and no other port of it.
    assert!(can(&project, "web_1", &connect("db.example.com", 5432)));
    assert!(can(&project, "web_2", &connect("db.example.com", 5432)));
    assert!(can(&project, "db", &connect("127.0.0.1", 9999)), "the port to be refused is open");
    assert!(!can(&project, "web_1", &connect("db.example.com", 9999)));

    // Nobody else: not by name, not by address, not backwards, not the host, not the world.
    let other = address(&project, "other_network", "pair_other");
    let web = address(&project, "web_1_network", "web_db");
    assert!(!can(&project, "web_1", "getent hosts other.example.com"));
    assert!(!can(&project, "web_1", &connect(&other, 5432)));
    assert!(can(&project, "web_1", &connect("127.0.0.1", 80)));
    assert!(!can(&project, "db", &connect(&web, 80)), "a provider reaches its consumer");
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let host_port = listener.local_addr().unwrap().port();
    let block: ipnet::Ipv4Net = format!("{web}/28").parse().unwrap();
    let gateway = std::net::Ipv4Addr::from(u32::from(block.network()) + 1).to_string();
    assert!(!can(&project, "web_1", &connect(&gateway, host_port)), "the host");
    // This machine at an address outside of the deployment's networks stands for the world.
    let bridge = docker_json(&["network", "inspect", "bridge"]);
    let subnet: ipnet::Ipv4Net =
        bridge[0]["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().parse().unwrap();
    let world = &subnet.hosts().next().unwrap().to_string();
    assert!(!can(&project, "web_1", &connect(world, host_port)), "the world");

    // Who declared a host outside reaches the world, and within the deployment its upstreams alone.
    assert!(can(&project, "outward", &connect(world, host_port)));
    assert!(can(&project, "outward", &connect("db.example.com", 5432)));
    assert!(!can(&project, "outward", &connect("db.example.com", 9999)));
    assert!(!can(&project, "outward", &connect(&other, 5432)));

    // Two that need each other reach each other, and a group shares its loopback.
    assert!(can(&project, "other", &connect("pair.example.com", 8001)));
    assert!(can(&project, "pair.front", &connect("other.example.com", 5432)));
    assert!(can(&project, "pair.front", &connect("127.0.0.1", 8002)));

    // The namespace's holder keeps no privilege once its rules are loaded.
    let holder = project.compose(&["ps", "--quiet", "web_1_network"]);
    let sleeper = docker(&["top", holder.trim(), "-eo", "pid,user,comm"]);
    assert!(sleeper.contains("nobody") && !sleeper.contains("root"), "{sleeper}");

    // Secrets arrive whole, by variable and by file, through the balancer, from both replicas.
    let mut replicas = std::collections::BTreeSet::new();
    for _ in 0..6 {
        let answer = get(published);
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let (text, host) = body.trim_end().rsplit_once('|').unwrap();
        assert_eq!(text, "a it's \"$HOME\" b|from a file: it's \"$HOME\"");
        replicas.insert(host.to_owned());
    }
    assert_eq!(replicas.len(), 2, "both replicas answer");
    for id in project.compose(&["ps", "--all", "--quiet"]).lines() {
        let inspected = docker(&["inspect", id]);
        assert!(!inspected.contains("it's"), "the secret shows in a container's settings");
    }

    // A run that was missed is caught up as soon as its container is back.
    assert!(!project.compose(&["logs", "job"]).contains("it ran"));
    assert!(can(&project, "job", "echo 5 > /var/lib/deployix/last-run"));
    project.compose(&["restart", "job"]);
    let start = std::time::Instant::now();
    while !project.compose(&["logs", "job"]).contains("it ran") {
        assert!(start.elapsed().as_secs() < 20, "{}", project.compose(&["logs", "job"]));
    }

    // State survives a new container, and the initializer is free to run again.
    project.compose(&["up", "--detach", "--force-recreate", "db"]);
    let made = says(&project, "db", "cat /var/lib/db/made; stat -c '%u %a' /var/lib/db");
    assert_eq!(made, "made\nmade\n900 700\n");
    let kept = says(&project, "web_1", "cat /var/lib/web/sub/kept.conf");
    assert_eq!(kept, "in a volume");
}

#[test]
fn a_ready_image_without_a_shell_gets_files_and_directories() {
    let image = real::Image::shell_less("deployix-test-sleeper");
    let service = ServiceSpec::builder(["/sleeper"])
        .image(image.id())
        .file("/etc/deep/er/plain.conf", "plain")
        .file_bytes("/etc/exact.bin", FileContent::plain([0, 255, 10]), 0o600)
        .state("/data/state")
        .build()
        .unwrap();
    let catalog = [functionality("ready", service, &[]).shared()].into_iter().collect();
    let (_folder, project) = written(deployment("ready", "10.214.16.0/20", catalog));
    project.compose(&["up", "--detach", "--quiet-pull"]);
    let id = project.compose(&["ps", "--all", "--quiet", "ready"]);
    let copied = tempfile::tempdir().unwrap();
    let archive = copied.path().join("root.tar");
    docker(&["export", "--output", archive.to_str().unwrap(), id.trim()]);
    let listed = std::process::Command::new("tar")
        .args(["--list", "--verbose", "--numeric-owner", "--file", archive.to_str().unwrap()])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = |path: &str| {
        let found = listed.lines().find(|line| line.ends_with(&format!(" {path}")));
        found.unwrap_or_else(|| panic!("no {path} in {listed}")).to_owned()
    };
    assert!(line("etc/deep/er/plain.conf").starts_with("-rw-r--r-- 0/0"));
    assert!(line("etc/exact.bin").starts_with("-rw------- 900/900"));
    let inspected = docker_json(&["inspect", id.trim()]);
    assert_eq!(inspected[0]["Config"]["User"], "900:900");
    let volume = inspected[0]["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    let mount = format!("{volume}:/volume");
    let owner = docker(&[
        "run",
        "--rm",
        "--network=none",
        "--volume",
        &mount,
        "debian:bookworm-slim",
        "stat",
        "-c",
        "%u %a",
        "/volume",
    ]);
    assert_eq!(owner, "900 700\n");
}
