//! `examples/hydra` deployed to a real engine with the program as a user runs it: first, again, changed,
//! broken, put right and removed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod engine;

use std::{collections::BTreeSet, fs, path::Path};

use crate::engine::{
    Home, copy, free_port,
    probe::{Probe, get},
    subnets, wait_for,
};

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

/// Exits with 0 if a connection opens, with 1 if it is refused, dropped or the name is unknown.
const REACHES: &str = r#"
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
except OSError as error:
    sys.exit(str(error))
"#;

const DEPLOYMENT: &str = "hydra/ops/deployment-docker.toml";
const CATALOG: &str = "hydra/hydra/deployix.toml";

/// A copy of the example that gets in nobody's way: another name, other addresses, another port.
fn hydra(home: &Home, port: u16) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra");
    copy(&example, &home.path("hydra"));
    home.edit(DEPLOYMENT, "name = \"zalora\"", &format!("name = \"{}\"", home.name));
    let infrastructure = "hydra/ops/infrastructure-docker.toml";
    home.edit(
        infrastructure,
        "base-image =",
        &format!("subnets = \"{}\", base-image =", subnets(0)),
    );
    let published = format!("extensions.docker.publish = {port}\nbalances =");
    home.edit(infrastructure, "balances =", &published);
}

fn reaches(home: &Home, from: &str, host: &str, port: &str) -> bool {
    home.can(from, &["python3", "-c", REACHES, host, port])
}

fn push(home: &Home, subject: &str) -> String {
    let program = ["sh", "-c", PUSH, "sh", subject];
    let commit = home.says("hydra-evaluator.evaluator", &program).trim().to_owned();
    assert_eq!(commit.len(), 40, "a commit: {commit}");
    commit
}

fn wait_for_row(port: u16, commit: &str) {
    wait_for(&format!("{commit} to be done"), || {
        let page = get(port, "/").unwrap_or_default();
        page.lines().any(|row| row.contains(commit) && row.contains("<td>done</td>"))
    });
}

/// The containers of all functionalities but some, and since when they run.
fn others(home: &Home, but: &str) -> BTreeSet<(String, String)> {
    let world = home.world();
    let others = world.containers.values().filter(|container| {
        container.labels.get("deployix.functionality").is_none_or(|name| name != but)
    });
    others.map(|container| (container.id.clone(), container.started.clone())).collect()
}

#[test]
fn hydra_is_deployed_changed_broken_put_right_and_removed() {
    let home = Home::new("hydra");
    let port = free_port();
    hydra(&home, port);
    home.run(&format!("deploy --yes {DEPLOYMENT}")).done().tells("deployed");

    // A commit travels, and the edges are what was declared.
    let commit = push(&home, "Travel");
    wait_for_row(port, &commit);
    let web = "hydra-web";
    assert!(reaches(&home, web, "hydra-db.zalora.com", "5432"), "an upstream is reached");
    for (host, port) in [("git.zalora.com", "9418"), ("1.1.1.1", "443")] {
        assert!(!reaches(&home, web, host, port), "{host} is no upstream of the page");
    }
    // A port that the queue runner opens on its loopback is the evaluator's as well.
    let open = "import socket, time\ns = socket.create_server(('127.0.0.1', 4711))\ntime.sleep(30)";
    let runner = home.container("hydra-evaluator.queue-runner");
    home.engine.docker(&["exec", "--detach", &runner, "python3", "-c", open]);
    wait_for("the shared loopback", || {
        reaches(&home, "hydra-evaluator.evaluator", "127.0.0.1", "4711")
    });

    // Again: nothing changes, and nobody writes anything to the engine.
    let before = home.world();
    let begin = now(&home);
    home.run(&format!("deploy --yes {DEPLOYMENT}")).done().tells("no changes");
    let end = now(&home);
    assert_eq!(home.world(), before);
    let written = writes(&home, &begin, &end);
    assert_eq!(written, [""; 0], "the engine was written to");

    // One variable of one functionality: its own containers alone, and nobody notices.
    let untouched = others(&home, web);
    home.edit(CATALOG, "env = { PGHOST = \"${upstream:hydra-db.zalora.com}\", PGDATABASE = \"hydra\", PGUSER = \"hydra\", PGPASSWORD = \"${secret:hydra-db}\" }\nreadiness = { http", "env = { COLOUR = \"red\", PGHOST = \"${upstream:hydra-db.zalora.com}\", PGDATABASE = \"hydra\", PGUSER = \"hydra\", PGPASSWORD = \"${secret:hydra-db}\" }\nreadiness = { http");
    let probe = Probe::start(port, "/");
    home.run(&format!("deploy --yes {DEPLOYMENT}")).done();
    let answers = probe.stop();
    let failed = answers.failed();
    println!("{} of {} requests failed during the roll-out", failed.len(), answers.0.len());
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(others(&home, web), untouched);
    let replaced = home.world();
    let old: BTreeSet<_> = before.of(web).map(|container| &container.id).collect();
    assert!(replaced.of(web).all(|container| !old.contains(&container.id)), "{replaced:?}");
    assert_eq!(home.says(web, &["printenv", "COLOUR"]), "red\n");
    wait_for_row(port, &commit);

    // A version that never gets ready: the old one answers throughout, and it is told.
    let good = fs::read_to_string(home.path(CATALOG)).unwrap();
    home.edit(
        CATALOG,
        "path = \"/healthz\", within = \"60s\"",
        "path = \"/no-such-page\", within = \"6s\"",
    );
    let before = home.world();
    let probe = Probe::start(port, "/");
    let broken = home.run(&format!("deploy --yes {DEPLOYMENT}")).failed().tells("hydra-web");
    let answers = probe.stop();
    let failed = answers.failed();
    println!("{} of {} requests failed meanwhile", failed.len(), answers.0.len());
    assert!(failed.is_empty() && answers.0.len() > 20, "{failed:?}");
    assert!(broken.told().contains("as it was before"), "{broken}");
    let incarnations = |world: &engine::World| {
        let of_web =
            world.of(web).map(|container| (container.id.clone(), container.started.clone()));
        of_web.collect::<BTreeSet<_>>()
    };
    assert_eq!(incarnations(&home.world()), incarnations(&before));
    let told = home.run(&format!("history hydra-web {DEPLOYMENT}")).done().stdout;
    assert!(told.contains("failed") && told.contains("ready"), "{told}");

    // Put right: what stands is what is wanted, so nothing is replaced.
    fs::write(home.path(CATALOG), good).unwrap();
    home.run(&format!("deploy --yes {DEPLOYMENT}")).done();
    assert_eq!(incarnations(&home.world()), incarnations(&before));

    // An image that does not build: what needs it is blocked by name, the unrelated is deployed.
    let untouched = others(&home, "git");
    home.edit(
        CATALOG,
        "software.debian = [\"postgresql\"]",
        "software.debian = [\"postgresql\", \"no-such-package\"]",
    );
    home.edit(CATALOG, "COLOUR = \"red\"", "COLOUR = \"blue\"");
    home.edit("hydra/git/deployix.toml", "user = \"git\"", "user = \"git\"\nenv.COLOUR = \"blue\"");
    let (document, code) = home.json(&format!("deploy --yes {DEPLOYMENT}"));
    assert_eq!(code, Some(1), "{document}");
    let fate = |name: &str| {
        let fates = document["report"]["fates"].as_array().unwrap_or_else(|| panic!("{document}"));
        let of = |fate: &&serde_json::Value| fate["owner"]["functionality"] == name;
        fates.iter().find(of).map(|fate| fate["fate"].clone()).unwrap_or_default()
    };
    assert!(fate("hydra-db")["failed"]["errors"].to_string().contains("no-such-package"));
    assert!(fate("hydra-web")["blocked"]["by"].to_string().contains("hydra-db"), "{document}");
    assert_eq!(fate("git"), "deployed", "{document}");
    assert_eq!(home.says("git", &["printenv", "COLOUR"]), "blue\n");
    assert_eq!(others(&home, "git"), untouched, "the rest is as it was");
    wait_for_row(port, &commit);

    // The secret was told to nobody but the programs.
    let secret = fs::read_to_string(home.path("hydra/ops/secrets/hydra-db")).unwrap();
    let secret = secret.trim();
    let folder = home.files("hydra/ops/history-docker");
    assert!(!folder.is_empty());
    for (path, content) in &folder {
        assert!(!String::from_utf8_lossy(content).contains(secret), "{}", path.display());
    }
    let mut told = home.run(&format!("history --json {DEPLOYMENT}")).told();
    told += &home.run(&format!("plan --json {DEPLOYMENT}")).told();
    for container in home.world().containers.values() {
        told += &home.engine.docker(&["inspect", &container.id]);
        told += &home.engine.try_docker(&["logs", &container.id]).told();
        told += &home.engine.try_docker(&["top", &container.id, "-eo", "pid,args"]).told();
    }
    assert!(told.contains("hydra-db") && !told.contains(secret), "a secret is told");

    // All goes but the data, and then the data as well.
    home.run(&format!("destroy --yes {DEPLOYMENT}")).done();
    let left = home.world();
    assert!(left.containers.is_empty() && left.networks.is_empty(), "{left:?}");
    assert!(left.images.is_empty() && left.volumes.len() >= 4, "{left:?}");
    home.run(&format!("destroy --yes --volumes {DEPLOYMENT}")).done();
    assert!(home.world().is_empty(), "{:?}", home.world());
}

/// The time on the engine, as it takes and tells it.
fn now(home: &Home) -> String {
    home.engine.docker(&["info", "--format", "{{.SystemTime}}"]).trim().to_owned()
}

/// What the engine was asked to make, change or remove for the deployment between two times.
fn writes(home: &Home, since: &str, until: &str) -> Vec<String> {
    let events = home.engine.docker(&[
        "events",
        "--since",
        since,
        "--until",
        until,
        "--format",
        "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}",
    ]);
    let told = events.lines().filter(|line| {
        // Health checks are the engine's own doing.
        line.contains(&home.name) && !line.contains(" exec_") && !line.contains("health_status")
    });
    told.map(str::to_owned).collect()
}
