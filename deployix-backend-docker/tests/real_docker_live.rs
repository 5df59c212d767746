//! Deployments made real on an engine, changed, broken, mended and removed.
//!
//! These tests need a Docker engine and the image `debian:bookworm-slim`; `scripts/test` brings both.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod live;
mod perl;
#[expect(dead_code, reason = "each test binary uses its part")]
mod real;
#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    os::unix::net::UnixStream,
    time::Instant,
};

use deployix_core::{
    ResourceId,
    backend::{ErrorKind, ErrorStatus},
    plan::PlannedAction,
    spec::{Deployment, FunctionalitySpec, ServiceBuilder, ServiceSpec, Span},
};

use crate::{
    live::{Probe, World, ask},
    perl::{deployment, free_port, server},
    real::{docker, docker_json, get},
    stage::{balance, functionality},
};

fn id(text: &str) -> ResourceId {
    ResourceId::new(text).unwrap()
}

/// A page that greets and is published through a load balancer, and another that it needs.
fn shop(what: &str, subnets: &str, port: u16, page: ServiceBuilder) -> Deployment {
    let db = server(&["5432"])
        .env("GREETING", "db")
        .initializer(["bash", "-c", "sleep 1; echo made >> /var/lib/db/made"])
        .state("/var/lib/db")
        .build()
        .unwrap();
    let shared = [
        functionality("db", db, &[]).shared(),
        functionality("web", page.build().unwrap(), &["db"]).shared(),
    ];
    let mut deployment = deployment(what, subnets, shared.into_iter().collect());
    balance(&mut deployment, "web", port, 80);
    deployment
}

fn page(greeting: &str) -> ServiceBuilder {
    server(&["80"]).env("GREETING", greeting).ready_within(Span(30_000))
}

#[test]
fn what_is_made_is_made_once_rolled_when_ready_and_removed_without_a_trace() {
    let port = free_port();
    let shop = |page| shop("live", "10.214.80.0/20", port, page);
    let mut world = World::new(&shop(page("one"))).with_secret("greeting", "it's \"$HOME\"\n");

    // Everything is made, and a second time nothing is.
    world.deploy(shop(page("one"))).unwrap();
    assert!(get(port).contains("one|"));
    world.assert_as_made();
    assert!(world.told().iter().any(|line| line.starts_with("Step 1/")), "{:?}", world.told());
    let waits = "waits for the initializer of `db` to end (it runs, 0 s)";
    assert!(world.told().iter().any(|line| line == waits), "{:?}", world.told());
    let before = world.containers();
    assert_eq!(before.len(), 6, "{before:?}");
    assert_eq!(world.plan(shop(page("one"))).steps, []);
    let ids: Vec<_> = world.heads.resources.keys().cloned().collect();
    for id in ids {
        world.repair(&id).unwrap();
    }
    assert_eq!(world.containers(), before);

    // A version that never gets ready: the old one answers throughout and stays.
    let broken =
        || page("two").ready_over_tcp("nowhere").endpoint("nowhere", 81).ready_within(Span(3_000));
    let probe = Probe::of(port);
    let error = world.deploy(shop(broken())).unwrap_err();
    let answers = probe.end();
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["one"], "{answers:?}");
    assert!(error.is_as_it_was() && error.status() == ErrorStatus::Permanent, "{error}");
    assert!(error.to_string().contains("`web` is not ready within 3 s"), "{error}");
    assert_eq!(world.containers(), before);

    // A program that ends at once is not waited for, and its last words are told.
    let begin = Instant::now();
    let ends = server(&["80"])
        .env("GREETING", "x")
        .start_on("docker", ["sh", "-c", "echo last words; exit 3"]);
    let error = world.deploy(shop(ends.ready_within(Span(60_000)))).unwrap_err().to_string();
    assert!(error.contains("`web` ends with status 3") && error.contains("last words"), "{error}");
    assert!(begin.elapsed().as_secs() < 30);
    assert_eq!(world.containers(), before);

    // One variable changes: exactly its own containers are replaced.
    let probe = Probe::of(port);
    let plan = world.deploy(shop(page("two ${secret:greeting}"))).unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|step| (step.action, step.id().as_str())).collect();
    assert!(steps.contains(&(PlannedAction::Replace, "docker/box/instance/web")), "{steps:?}");
    let text = "two it's \"$HOME\"";
    let begin = Instant::now();
    while !ask(port).is_ok_and(|answer| answer == text) {
        assert!(begin.elapsed().as_secs() < 20, "{:?}", ask(port));
    }
    let answers = probe.end();
    assert!(answers.keys().all(|answer| answer == "one" || answer == text), "{answers:?}");
    world.assert_as_made();
    let after = world.containers();
    assert_eq!(after.len(), 6, "{after:?}");
    for (name, container) in &before {
        assert_eq!(after.get(name) != Some(container), name.starts_with("web"), "{name}");
    }

    // The secret is in a file of the program's own, and in nothing that is shown.
    let web = world.container("web");
    let file = docker(&["exec", &web, "stat", "-c", "%u:%g %a", "/run/secrets/greeting"]);
    assert_eq!(file, "900:900 400\n");
    assert!(!docker(&["inspect", &web, &world.container("web_network")]).contains("it's"));
    assert!(!world.told().iter().any(|line| line.contains("it's")));

    // Without it, nothing is begun.
    let error = world.deploy(shop(page("${secret:missing}"))).unwrap_err();
    assert!(error.to_string().contains("there is no secret `missing`"), "{error}");
    assert!(error.is_as_it_was());
    assert_eq!(world.containers(), after);

    // State outlives its containers, and everything goes where that is asked for.
    let made = docker(&["exec", &world.container("db"), "cat", "/var/lib/db/made"]);
    assert_eq!(made, "made\n");
    world.remove_all();
}

#[test]
fn a_gap_is_as_short_as_it_can_be_and_the_old_one_comes_back() {
    let port = free_port();
    let at = |port: u16, page: ServiceBuilder| {
        let mut web: FunctionalitySpec<ServiceSpec> =
            functionality("web", page.build().unwrap(), &[]);
        let settings = serde_json::json!({ "publish": { "http": port } });
        web.extensions
            .insert(
                &serde_json::from_value::<deployix_backend_docker::extension::DockerFunctionality>(
                    settings,
                )
                .unwrap(),
            )
            .unwrap();
        deployment("gap", "10.214.96.0/20", [web.shared()].into_iter().collect())
    };
    let with = |page: ServiceBuilder| at(port, page);
    let mut world = World::new(&with(page("one")));
    world.deploy(with(page("one"))).unwrap();
    assert!(get(port).contains("one|"));
    let old = world.container("web");

    let broken =
        page("two").ready_over_tcp("nowhere").endpoint("nowhere", 81).ready_within(Span(2_000));
    let plan = world.plan(with(broken.clone()));
    let gaps: Vec<_> = plan.steps.iter().filter_map(|step| step.gap.as_deref()).collect();
    assert_eq!(gaps, ["it publishes a port of its host"]);
    let error = world.deploy(with(broken)).unwrap_err();
    assert!(error.is_as_it_was(), "{error}");
    assert!(get(port).contains("one|"), "the old one answers again");
    assert_eq!(world.container("web"), old);

    world.deploy(with(page("three"))).unwrap();
    assert!(get(port).contains("three|"));
    world.assert_as_made();

    // A port that somebody else's container has: the old version is not even stopped.
    let theirs = free_port();
    let stranger = format!("deployix-test-stranger-{theirs}");
    let bound = format!("127.0.0.1:{theirs}:80");
    docker(&[
        "run",
        "--detach",
        "--name",
        &stranger,
        "--publish",
        &bound,
        "debian:bookworm-slim",
        "sleep",
        "60",
    ]);
    let web = world.container("web");
    let started = || docker(&["inspect", "--format", "{{.State.StartedAt}}", &web]);
    let since = started();
    let error = world.deploy(at(theirs, page("four"))).unwrap_err();
    docker(&["rm", "--force", &stranger]);
    assert_eq!((error.kind(), error.status()), (ErrorKind::Conflict, ErrorStatus::Permanent));
    assert!(error.to_string().contains(&stranger) && error.is_as_it_was(), "{error}");
    assert_eq!(started(), since);

    // Somebody else's port: told with what to do, and worth another try.
    let taken = free_port();
    let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let other = functionality("other", page("x").build().unwrap(), &[]);
    let mut other: FunctionalitySpec<ServiceSpec> = other;
    let settings = serde_json::json!({ "publish": { "http": taken } });
    let settings: deployix_backend_docker::extension::DockerFunctionality =
        serde_json::from_value(settings).unwrap();
    other.extensions.insert(&settings).unwrap();
    let mut both = with(page("three"));
    both.catalogs.push([other.shared()].into_iter().collect());
    let error = world.deploy(both).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Conflict, ErrorStatus::Temporary));
    assert!(error.to_string().contains("extensions.docker.publish"), "{error}");
    assert!(error.is_as_it_was());
    world.remove_all();
}

#[test]
fn an_image_that_does_not_build_tells_why() {
    let with = |package: &str| {
        let service = page("one").debian([package]).build().unwrap();
        let web = functionality("web", service, &[]);
        deployment("build", "10.214.112.0/20", [web.shared()].into_iter().collect())
    };
    let mut world = World::new(&with("no-such-package-anywhere"));
    let error = world.deploy(with("no-such-package-anywhere")).unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert!(error.is_as_it_was());
    let text = error.to_string();
    assert!(text.contains("E: Unable to locate package no-such-package-anywhere"), "{text}");
    world.remove_all();
}

#[test]
fn what_somebody_changed_is_seen_and_mended() {
    let port = free_port();
    let shop = || shop("drift", "10.214.128.0/20", port, page("one"));
    let mut world = World::new(&shop());
    world.deploy(shop()).unwrap();
    let whole = world.containers();
    let instance = id("docker/box/instance/web");
    let drift = |world: &World| world.observed()["docker/box/instance/web"].drift.clone();
    let ids = |containers: &std::collections::BTreeMap<String, String>| -> Vec<String> {
        containers.values().map(|c| c.split(' ').next().unwrap().to_owned()).collect()
    };

    // Stopped, as an engine that was killed leaves it: started again, and not made anew.
    docker(&["stop", "--time", "1", &world.container("web")]);
    assert_eq!(drift(&world), ["it is stopped"]);
    world.repair(&instance).unwrap();
    world.assert_as_made();
    docker(&["kill", &world.container("web_network")]);
    world.repair(&instance).unwrap();
    world.assert_as_made();
    docker(&["pause", &world.container("web")]);
    assert_eq!(drift(&world), ["it is paused"]);
    world.repair(&instance).unwrap();
    world.assert_as_made();
    assert_eq!(ids(&world.containers()), ids(&whole));

    // Taken out of a network, or without its name there.
    let holder = world.container("web_network");
    let network = docker_json(&["inspect", &holder])[0]["NetworkSettings"]["Networks"]
        .as_object()
        .unwrap()
        .keys()
        .find(|name| name.contains("load-balancer"))
        .unwrap()
        .clone();
    docker(&["network", "disconnect", &network, &holder]);
    assert_eq!(drift(&world), [format!("it is not in the network {network}")]);
    docker(&["network", "connect", &network, &holder]);
    assert!(drift(&world)[0].contains("does not know it as web."), "{:?}", drift(&world));
    world.repair(&instance).unwrap();
    world.assert_as_made();
    assert_eq!(ids(&world.containers()), ids(&whole));
    assert!(get(port).contains("one|"));

    // In pieces: made anew.
    docker(&["rm", "--force", &world.container("web")]);
    let seen = &world.observed()["docker/box/instance/web"];
    assert_eq!(
        (seen.digest, seen.drift.as_slice()),
        (None, &["a container of it is missing".to_owned()][..])
    );
    world.repair(&instance).unwrap();
    world.assert_as_made();
    world.remove_all();
}

#[test]
fn a_step_that_is_cut_off_anywhere_is_finished_or_undone_by_the_next() {
    let with = |greeting: &str, gap: bool| {
        let state = |page: ServiceBuilder| if gap { page.state("/var/lib/web") } else { page };
        let web = functionality("web", state(page(greeting)).build().unwrap(), &[]);
        let peer = functionality("peer", page("peer").build().unwrap(), &["web"]);
        let both = [web.shared(), peer.shared()].into_iter().collect();
        deployment("cut", "10.214.160.0/20", both)
    };
    for gap in [false, true] {
        let mut world =
            World::new(&with("${secret:greeting}", gap)).with_secret("greeting", "hello");
        let first = world.plan(with("0 ${secret:greeting}", gap));
        let instance = |plan: &deployix_core::plan::Plan| {
            let is_web = |step: &&deployix_core::plan::PlannedStep| {
                step.id().as_str() == "docker/box/instance/web"
            };
            plan.steps.iter().find(is_web).cloned()
        };
        let mut cuts = [0, 20, 50, 90, 140, 200, 280, 380, 500, 650, 900, 1_300, 3_200].into_iter();
        for step in &first.steps {
            if Some(step) == instance(&first).as_ref() {
                for after in cuts.by_ref().take(6) {
                    world.cut_off(&first, step, std::time::Duration::from_millis(after));
                }
            }
            world.carry_out_one(&first, step).unwrap();
        }
        world.assert_as_made();
        for (round, after) in
            [0, 30, 80, 150, 250, 350, 500, 700, 1_000, 1_500, 3_000, 3_600].into_iter().enumerate()
        {
            let next = world.plan(with(&format!("{} ${{secret:greeting}}", round + 1), gap));
            let step = instance(&next).unwrap();
            world.cut_off(&next, &step, std::time::Duration::from_millis(after));
            if round % 2 == 0 {
                // The next run wants the same.
                world.carry_out(&next).unwrap();
            } else {
                // The next run wants what was there before.
                world.repair(step.id()).unwrap();
            }
            world.assert_as_made();
            let standing = world.containers().len();
            assert_eq!(standing, 4, "after {after} ms: {:?}", world.containers());
            let secrets = world.listed("volume").len();
            assert_eq!(secrets, 1 + usize::from(gap), "after {after} ms");
        }
        world.remove_all();
    }
}

#[test]
fn hundreds_of_networks_fit_and_an_instance_joins_dozens() {
    let names: Vec<String> = (0..25).map(|at| format!("n{at}")).collect();
    let shared = names.iter().enumerate().map(|(at, name)| {
        let upstreams: Vec<&str> =
            (1..=12).map(|step| names[(at + step) % names.len()].as_str()).collect();
        functionality(name, page(name).build().unwrap(), &upstreams).shared()
    });
    let mesh = deployment("mesh", "10.215.0.0/16", shared.collect());
    let mut world = World::new(&mesh);
    let plan = world.plan(mesh);
    let kind = |step: &deployix_core::plan::PlannedStep| {
        step.id().as_str().split('/').nth(2).unwrap().to_owned()
    };
    let networks: Vec<_> = plan.steps.iter().filter(|step| kind(step) == "network").collect();
    assert_eq!(networks.len(), 300);
    let begin = Instant::now();
    for step in &networks {
        world.carry_out_one(&plan, step).unwrap();
    }
    println!("300 networks in {:?}", begin.elapsed());
    for step in &plan.steps {
        let of_one = kind(step) == "image" && step.id().as_str().contains("/n0.");
        if of_one || step.id().as_str().contains("/_network.") {
            world.carry_out_one(&plan, step).unwrap();
        }
    }
    let one = plan.steps.iter().find(|step| step.id().as_str() == "docker/box/instance/n0");
    world.carry_out_one(&plan, one.unwrap()).unwrap();
    let inspected = docker_json(&["inspect", &world.container("n0_network")]);
    let joined = inspected[0]["NetworkSettings"]["Networks"].as_object().unwrap().len();
    assert_eq!(joined, 24);
    world.assert_as_made();
    world.remove_all();
}

/// Hands what comes by TCP on to the engine's socket.
fn tcp_engine() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
            let (mut from, mut to) = (stream.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut to) = (engine, stream);
            std::thread::spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    port
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
}

#[test]
fn an_engine_is_reached_over_tcp_and_one_that_is_none_is_told() {
    let at = |address: &str| {
        let web = functionality("web", page("one").build().unwrap(), &[]);
        let mut deployment =
            deployment("tcp", "10.214.144.0/20", [web.shared()].into_iter().collect());
        let target = deployment.infrastructure.targets.get_mut("box").unwrap();
        target.address = Some(address.to_owned());
        deployment
    };
    let mut world = World::new(&at("local"));
    let nobody = format!("tcp://127.0.0.1:{}", free_port());
    let error = world.deploy(at(&nobody)).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, ErrorStatus::Temporary));
    assert!(error.to_string().contains(&nobody), "{error}");
    let error = world.deploy(at("https://127.0.0.1")).unwrap_err();
    assert!(error.to_string().contains("ssh://USER@HOST"), "{error}");

    let engine = at(&format!("tcp://127.0.0.1:{}", tcp_engine()));
    world.deploy(engine).unwrap();
    world.assert_as_made();
    world.remove_all();
}
