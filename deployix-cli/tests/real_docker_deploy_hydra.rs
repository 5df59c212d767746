//! `examples/hydra`, deployed on a real engine with the command, as a user would.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod engine;

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use crate::engine::{
    Home, copy, free_port,
    probe::{Answers, Probe, get},
    subnets, wait_for,
};

const FILE: &str = "hydra/ops/deployment-docker.toml";
const INFRASTRUCTURE: &str = "hydra/ops/infrastructure-docker.toml";
const CATALOG: &str = "hydra/hydra/deployix.toml";
const EVALUATOR: &str = "hydra-evaluator.evaluator";
const WEB: &str = "hydra-web";
/// What the page's functionality has, to which a test adds.
const WEB_ENV: &str = "env = { PGHOST = \"${upstream:hydra-db.zalora.com}\", PGDATABASE";

/// Clones the repository as the network gives it, commits and pushes; prints the commit.
const PUSH: &str = include_str!("../../tests/support/push.sh");

/// Exits with 0 if a connection opens, with 1 if it is refused, dropped or the name is unknown.
const REACHES: &str = include_str!("../../tests/support/reaches.py");

/// Listens on the loopback for one connection.
const LISTENS: &str = r#"
import socket
server = socket.create_server(("127.0.0.1", 4711))
server.settimeout(60)
server.accept()
"#;

/// The example in a folder of its own, which gets in nobody's way: another name, other addresses,
/// another port.
fn hydra() -> (Home, u16) {
    let (home, port) = (Home::new("hydra"), free_port());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra");
    copy(&example, &home.path("hydra"));
    home.edit(FILE, "name = \"zalora\"", &format!("name = \"{}\"", home.name));
    let subnets = format!("subnets = \"{}\", base-image =", subnets(0));
    home.edit(INFRASTRUCTURE, "base-image =", &subnets);
    let publish = format!("extensions.docker.publish = {port}\nbalances =");
    home.edit(INFRASTRUCTURE, "balances =", &publish);
    (home, port)
}

fn deploy(home: &Home) -> engine::Ran {
    let begin = Instant::now();
    let ran = home.run(&format!("deploy --yes {FILE}"));
    println!("deploy: exit code {:?} after {:?}", ran.code, begin.elapsed());
    ran
}

fn push(home: &Home, subject: &str) -> String {
    home.says(EVALUATOR, &["sh", "-c", PUSH, "sh", subject]).trim().to_owned()
}

/// The page as this machine sees it, through the load balancer; empty where none comes.
fn page(port: u16) -> String {
    get(port, "/").unwrap_or_default()
}

fn wait_for_row(port: u16, commit: &str, state: &str) {
    assert_eq!(commit.len(), 40, "a commit: {commit}");
    let state = format!("<td>{state}</td>");
    let listed = || page(port).lines().any(|row| row.contains(commit) && row.contains(&state));
    wait_for(&format!("{commit} to be {state}"), listed);
}

fn reaches(home: &Home, from: &str, host: &str, port: u16) -> bool {
    home.can(from, &["python3", "-c", REACHES, host, &port.to_string()])
}

/// The names of the containers of which one world has other ones than another, or none.
fn replaced(before: &engine::World, after: &engine::World) -> BTreeSet<String> {
    let ids = |world: &engine::World| -> BTreeSet<(String, String, String)> {
        let label = |c: &engine::Container| {
            c.labels.get("deployix.functionality").cloned().unwrap_or_default()
        };
        world.containers.values().map(|c| (label(c), c.id.clone(), c.started.clone())).collect()
    };
    let (before, after) = (ids(before), ids(after));
    before.symmetric_difference(&after).map(|(name, ..)| name.clone()).collect()
}

fn report(what: &str, answers: &Answers) {
    let failed = answers.failed();
    println!("{what}: {} requests, {} failed: {failed:#?}", answers.0.len(), failed.len());
}

#[test]
fn hydra_is_deployed_changed_and_destroyed() {
    let (home, port) = hydra();
    deploy(&home).done();

    // A pushed commit travels to the page.
    let first = push(&home, "Travel <far>");
    wait_for_row(port, &first, "done");
    assert!(page(port).contains("Travel &lt;far&gt;"));

    connections(&home);
    nothing_changes(&home);
    one_changes(&home, port);
    one_never_gets_ready(&home, port);
    one_does_not_build(&home);
    no_secret_is_told(&home);

    // What has to survive does: the repository, in containers made anew.
    home.run(&format!("destroy --yes {FILE}")).done().tells("volume");
    let world = home.world();
    assert!(world.containers.is_empty() && world.networks.is_empty(), "{world:?}");
    assert!(world.images.is_empty() && world.volumes.len() == 4, "{world:?}");
    home.run(&format!("deploy --yes --only git {FILE}")).done();
    let log = ["git", "-C", "/var/lib/git/zalora.git", "rev-parse", "main"];
    assert_eq!(home.says("git", &log).trim(), first);
    home.run(&format!("destroy --yes --volumes {FILE}")).done();
    let world = home.world();
    assert!(world.is_empty(), "{world:?}");
    let told = home.run(&format!("history {FILE}")).done().stdout;
    assert!(told.contains("hydra-db"), "what is gone is still in the history: {told}");
}

/// Who reaches whom.
fn connections(home: &Home) {
    assert!(reaches(home, WEB, "hydra-db.zalora.com", 5432), "an upstream is reached");
    for (host, port) in [("git.zalora.com", 9418), ("hydra-evaluator", 22), ("1.1.1.1", 443)] {
        assert!(!reaches(home, WEB, host, port), "{host} is no upstream of the page");
    }
    // Not even by address.
    let evaluator = home.container("hydra-evaluator.evaluator");
    let git = home.says(EVALUATOR, &["getent", "hosts", "git.zalora.com"]);
    let git = git.split_whitespace().next().unwrap();
    assert!(reaches(home, EVALUATOR, git, 9418), "{git}");
    assert!(!reaches(home, WEB, git, 9418), "{git} is no upstream of the page");
    // The evaluator and its queue runner have one loopback.
    home.engine.docker(&["exec", "--detach", &evaluator, "python3", "-c", LISTENS]);
    wait_for("the queue runner to reach the evaluator over the loopback", || {
        reaches(home, "hydra-evaluator.queue-runner", "127.0.0.1", 4711)
    });
}

/// A second deploy changes nothing and writes nothing.
fn nothing_changes(home: &Home) {
    let before = home.world();
    let since = home.engine.docker(&["info", "--format", "{{.SystemTime}}"]);
    let history = home.files("hydra/ops/history-docker");
    let (document, code) = home.json(&format!("deploy --yes {FILE}"));
    assert_eq!(code, Some(0), "{document}");
    assert_eq!(document["plan"]["steps"], serde_json::json!([]), "{document}");
    let until = home.engine.docker(&["info", "--format", "{{.SystemTime}}"]);
    let after = home.world();
    assert_eq!(after.incarnations(), before.incarnations());
    assert_eq!(after, before);
    let label = format!("label=deployix.deployment={}", home.name);
    let range = ["--since", since.trim(), "--until", until.trim(), "--filter", &label];
    let events = home.engine.docker(&[&["events"], &range[..]].concat());
    // Looking at what is not known to be ready yet, and the engine doing so itself, is no writing.
    let written: Vec<&str> = events.lines().filter(|line| !line.contains(" exec_")).collect();
    assert_eq!(written, [""; 0]);
    assert_eq!(home.files("hydra/ops/history-docker"), history, "nothing is written down either");
    home.run(&format!("plan --refresh --exit-code {FILE}")).done();
}

/// A changed variable replaces its functionality's containers alone, while the page answers.
fn one_changes(home: &Home, port: u16) {
    let before = home.world();
    home.edit(CATALOG, WEB_ENV, &WEB_ENV.replace("{ ", "{ CHANGED = \"once\", "));
    let probe = Probe::start(port, "/healthz");
    deploy(home).done();
    let answers = probe.stop();
    report("a change", &answers);
    let after = home.world();
    assert_eq!(replaced(&before, &after), [WEB.to_owned()].into());
    let (old, new) = (before.of(WEB).count(), after.of(WEB).count());
    assert_eq!((old, new), (4, 4), "{after:?}");
    let ids: BTreeSet<_> = before.of(WEB).map(|container| &container.id).collect();
    assert!(after.of(WEB).all(|container| !ids.contains(&container.id)), "{after:?}");
    assert_eq!(home.says(WEB, &["printenv", "CHANGED"]).trim(), "once");
    assert!(answers.failed().is_empty(), "the page answers throughout");
}

/// A version that never gets ready leaves the one before it, which answers throughout.
fn one_never_gets_ready(home: &Home, port: u16) {
    let before = home.world();
    let ready = "readiness = { http = \"http\", path = \"/healthz\", within = \"60s\" }";
    let never = "readiness = { http = \"http\", path = \"/never\", within = \"5s\" }";
    home.edit(CATALOG, ready, never);
    let probe = Probe::start(port, "/healthz");
    let failed = deploy(home).failed();
    let answers = probe.stop();
    report("a version that never gets ready", &answers);
    assert!(answers.failed().is_empty() && answers.0.len() > 50, "the old one answers throughout");
    let told = failed.told();
    assert!(told.contains(WEB) && told.contains("ready"), "{failed}");
    assert_eq!(replaced(&before, &home.world()), BTreeSet::new(), "the old one is untouched");
    let history = home.run(&format!("history {WEB} {FILE}")).done().stdout;
    assert!(history.contains("not ready within 5 s"), "{history}");
    home.edit(CATALOG, never, ready);
    deploy(home).done();
    assert_eq!(replaced(&before, &home.world()), BTreeSet::new(), "there is nothing to do");
}

/// An image that does not build stops who needs it, by name, and nobody else.
fn one_does_not_build(home: &Home) {
    let catalog = fs::read_to_string(home.path(CATALOG)).unwrap();
    let before = home.world();
    let broken = "software.debian = [\"postgresql\"]";
    home.edit(CATALOG, broken, "software.debian = [\"postgresql\", \"no-such-package\"]");
    // The page needs the database; the repository needs nobody.
    home.edit(CATALOG, "CHANGED = \"once\"", "CHANGED = \"twice\"");
    home.edit(
        "hydra/git/deployix.toml",
        "user = \"git\"",
        "user = \"git\"\nenv.CHANGED = \"twice\"",
    );
    let (document, code) = home.json(&format!("deploy --yes {FILE}"));
    assert_eq!(code, Some(1), "{document}");
    let fates = document["report"]["fates"].as_array().unwrap();
    let fate = |name: &str| {
        let of = |fate: &&serde_json::Value| fate["owner"]["functionality"] == name;
        &fates.iter().find(of).unwrap_or_else(|| panic!("{name} in {document}"))["fate"]
    };
    assert_eq!(fate("git"), "deployed");
    let error = fate("hydra-db")["failed"].to_string();
    assert!(error.contains("no-such-package"), "the end of the build's log: {error}");
    let blocked = fate(WEB)["blocked"]["by"].to_string();
    assert!(blocked.contains("hydra-db"), "{blocked}");
    let after = home.world();
    assert_eq!(replaced(&before, &after), ["git".to_owned()].into());
    assert_eq!(home.says("git", &["printenv", "CHANGED"]).trim(), "twice");
    // The same for people.
    let told = deploy(home).failed().told();
    let row = told.lines().find(|line| line.contains(WEB) && line.contains("hydra-db"));
    assert!(row.is_some_and(|row| row.contains("blocked")), "{told}");
    home.write(CATALOG, &catalog);
    deploy(home).done();
}

/// The database's password is nowhere but where its programs read it.
fn no_secret_is_told(home: &Home) {
    let secret = fs::read_to_string(home.path("hydra/ops/secrets/hydra-db")).unwrap();
    let secret = secret.trim();
    assert!(secret.len() > 4, "a password that nothing else is like");
    let world = home.world();
    let mut told = home.run(&format!("deploy --yes {FILE}")).told();
    for command in ["plan", "plan --json", "history", "history --json", "status", "status --json"] {
        told += &home.run(&format!("{command} {FILE}")).told();
    }
    for container in world.containers.keys() {
        told += &home.engine.docker(&["inspect", container]);
        told += &home.engine.try_docker(&["logs", container]).told();
        told += &home.engine.try_docker(&["top", container, "-eo", "pid,args"]).told();
    }
    for image in &world.images {
        told += &home.engine.docker(&["image", "inspect", image]);
        told += &home.engine.docker(&["history", "--no-trunc", image]);
    }
    for (path, content) in home.files("hydra/ops/history-docker") {
        told += &format!("{} {}", path.display(), String::from_utf8_lossy(&content));
    }
    assert!(told.contains("hydra-db"));
    let at = told.find(secret).map(|at| told[..at].chars().rev().take(300).collect::<String>());
    let before: Option<String> = at.map(|text| text.chars().rev().collect());
    assert_eq!(before, None, "a secret is told to nobody but its program");
}
