//! Whoever dies at any moment of a deploy leaves nothing that the next one does not put right.
//!
//! The deploy is this very program, run again with a store that kills its own process right before or
//! right after the log's entry of some number; so is the engine, which is the test's own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../deployix-core/tests/shared/deadly.rs"]
mod deadly;
#[expect(dead_code, reason = "each test binary uses its part")]
mod engine;

use std::{
    env,
    io::{Write, stderr},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use deployix::core::{
    execute::{ApplyOptions, Interrupt, apply, observe, settle},
    history::{History, store},
    load::load,
    plan::{Only, compile, plan},
    secret::SecretsFolder,
    topology::{connect, place, resolve},
};

use crate::{
    deadly::{Deadly, Death, When},
    engine::{Engine, Home, World, ended, limited, private::PrivateEngine},
};

/// Where the process that deploys finds its deployment, and when it is to die.
const CHILD: &str = "DEPLOYIX_TEST_CHILD";
const DIES: &str = "DEPLOYIX_TEST_DIES";

/// So many engines at once: most of a deploy is waiting.
const ENGINES: usize = 3;

/// Five functionalities: with edges, state and what fills it, a group, replicas and a secret.
const BEFORE: &str = r#"
version = 1
name = "crash"
secrets = "secrets"

[functionality.db]
fqdn = "db.example.com"
service.start = ["sleep", "infinity"]
service.initializer = ["sh", "-c", "echo made >> /var/lib/db/made"]
service.state = ["/var/lib/db"]
service.env.VALUE = "1"
service.readiness.command = ["true"]
service.endpoints.sql.port = 5432

[functionality.api]
fqdn = "api.example.com"
upstream-hosts = ["db.example.com"]
replicas = 2
service.start = ["sleep", "infinity"]
service.env.VALUE = "1"
service.env.PASSWORD = "${secret:password}"
service.readiness.command = ["true"]
service.endpoints.http.port = 8000

[functionality.web]
upstream-hosts = ["api.example.com"]
service.start = ["sleep", "infinity"]
service.readiness.command = ["true"]

[functionality.pair]
upstream-hosts = ["db.example.com"]
group.front.start = ["sleep", "infinity"]
group.front.files."/etc/front.conf" = { text = "1" }
group.back.start = ["sleep", "infinity"]
group.back.state = ["/var/lib/back"]

[functionality.goes]
upstream-hosts = ["db.example.com"]
service.start = ["sleep", "infinity"]
service.readiness.command = ["true"]

[target.box]
backend = "docker"
extensions.docker = { firewall = false, subnets = "10.200.0.0/20" }
"#;

/// What is different afterwards: variables with a roll-out and with a gap, an image, an edge, and one
/// functionality for another.
const CHANGES: [(&str, &str); 4] = [
    ("VALUE = \"1\"", "VALUE = \"2\""),
    ("text = \"1\"", "text = \"2\""),
    ("upstream-hosts = [\"api.example.com\"]", "upstream-hosts = [\"db.example.com\"]"),
    ("functionality.goes", "functionality.comes"),
];

fn after() -> String {
    CHANGES.iter().fold(BEFORE.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    })
}

/// The moment of death that the process was told, if it is to die at all.
fn told() -> Option<Death> {
    Some(env::var(DIES).ok()?.parse().unwrap())
}

/// Not a test of its own: the process that deploys, and may die of it.
#[test]
fn the_deploying_process() {
    let Ok(folder) = env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(deploy(Path::new(&folder)));
}

/// What `deployix deploy` does.
async fn deploy(folder: &Path) {
    let deployment = load(&folder.join("deployment.toml")).complete().unwrap().unwrap();
    let name = deployment.name.clone();
    let mut store = store("file:history", folder).unwrap();
    if let Some(death) = told() {
        store = Arc::new(Deadly::new(store, death, || engine::kill(std::process::id(), "KILL")));
    }
    let registry = deployix::registry();
    let history = History::open(store, &name).await.unwrap();
    settle(&history, &registry, &name).await.unwrap();
    let heads = history.heads().await.unwrap();
    let compiled = resolve(deployment, &registry)
        .then(|resolved| place(resolved, &heads.assignments, &registry))
        .then(|placed| connect(placed, &registry))
        .then(|connected| compile(connected, &registry, None))
        .complete()
        .unwrap();
    let mut sites = heads.sites.clone();
    for site in compiled.connected().sites() {
        sites.insert(site.target.name.clone(), site.into());
    }
    let seen = observe(&registry, &name, sites.into_values(), &heads).await;
    let (heads, _) = seen.compare(&heads);
    let plan = plan(&compiled, &heads, &registry, &Only::All);
    let mut options = ApplyOptions::new();
    options.secrets = Arc::new(SecretsFolder::new(folder.join("secrets")));
    let report = apply(&plan, &history, &registry, &options, &Interrupt::default(), None).await;
    assert!(report.is_good(), "{report:#?}");
}

/// Deploys in a process of its own; whether that survived.
fn deployed(home: &Home, death: Option<Death>) -> bool {
    let mut command = limited(env::current_exe().unwrap());
    command.args(["--exact", "the_deploying_process", "--nocapture"]);
    command.env(CHILD, home.path("")).stdin(Stdio::null());
    let socket = home.engine.socket.as_ref().unwrap();
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    if let Some(death) = death {
        command.env(DIES, death.to_string());
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let told = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    let died = death.is_some() && status.signal() == Some(9);
    assert!(status.success() || died, "{status}: {told}");
    status.success()
}

/// A folder with the deployment, and an engine for it that has nothing else.
fn home(engine: &Engine, text: &str) -> Home {
    let home = Home::named("crash", engine.clone());
    home.write("deployment.toml", text);
    home.write("secrets/password", "not told");
    home
}

/// Everything that stands is what a deploy without trouble made, and the history can be read and
/// knows it.
fn check(home: &Home, clean: &World, what: &str) {
    let mut world = home.engine.world(None);
    // An engine that dies while it builds leaves the containers of its builder, which have names of
    // its own making and no label before the last step.
    if what.starts_with("SIG") {
        world.containers.retain(|name, _| name.starts_with("crash_box_"));
    }
    assert_eq!(difference(&world, clean), Vec::<String>::new(), "{what}");
    // A build that is cut off leaves layers that the engine keeps as its cache, as those of any
    // `docker build`; what it finished and labelled is ours.
    let (labelled, cached) = home.engine.nameless();
    assert_eq!(labelled, Vec::<String>::new(), "images that nobody needs, {what}");
    if cached > 0 {
        println!("{what}: {cached} layers in the engine's cache");
    }
    home.run("history").done();
    home.run("status").done();
    home.run("plan --refresh --exit-code").done();
}

/// Tells what is tried next at once, which also a test shows that runs out of its time.
fn trying(death: Death, engine: &Engine) {
    stderr().write_all(format!("killed {death}, on {engine:?}\n").as_bytes()).unwrap();
}

/// How two worlds differ.
fn difference(world: &World, clean: &World) -> Vec<String> {
    let (is, should) = (world.shape(), clean.shape());
    let more = is.iter().filter(|line| !should.contains(line)).map(|line| format!("+ {line}"));
    let less = should.iter().filter(|line| !is.contains(line)).map(|line| format!("- {line}"));
    more.chain(less).collect()
}

/// Hands out moments of death, each once, until a process survived one of each kind or an engine
/// found something wrong.
#[derive(Default)]
struct Deaths(Mutex<[(usize, bool); 2]>);

impl Deaths {
    /// Tries them on several engines at once.
    fn on_engines(work: impl Fn(&Engine, &Self) + Sync) {
        let (deaths, begin) = (Self::default(), Instant::now());
        thread::scope(|scope| {
            for _ in 0..ENGINES {
                scope.spawn(|| {
                    let _first_failure_ends_all = EndsWhenPanicking(&deaths);
                    let private = PrivateEngine::start();
                    work(&private.engine(), &deaths);
                });
            }
        });
        println!("{} deaths in {:?}", deaths.count(), begin.elapsed());
    }

    fn next(&self) -> Option<Death> {
        let mut all = self.0.lock().unwrap();
        let [(before, before_over), (after, after_over)] = &mut *all;
        let (when, next) = match (*before_over, *after_over) {
            (true, true) => return None,
            (false, over) if over || *before <= *after => (When::Before, before),
            _ => (When::After, after),
        };
        let entry = *next;
        *next += 1;
        Some(Death { when, entry })
    }

    fn survived(&self, death: Death) {
        self.0.lock().unwrap()[usize::from(death.when == When::After)].1 = true;
    }

    /// Hands out no more.
    fn end(&self) {
        for (_, over) in &mut *self.0.lock().unwrap() {
            *over = true;
        }
    }

    fn count(&self) -> usize {
        let all = self.0.lock().unwrap();
        all.iter().map(|(next, _)| next).sum()
    }
}

/// Ends the deaths of all engines as soon as one of them failed: the others would only go on with
/// its share.
struct EndsWhenPanicking<'d>(&'d Deaths);

impl Drop for EndsWhenPanicking<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

#[test]
fn a_first_deploy_that_is_killed_at_any_entry_of_the_log_is_put_right_by_the_next() {
    Deaths::on_engines(|engine, deaths| {
        let clean = home(engine, BEFORE);
        deployed(&clean, None);
        let world = engine.world(None);
        assert!(
            world.containers.values().all(|container| container.state != "created"),
            "{world:?}"
        );
        check(&clean, &world, "without trouble");
        engine.keep_layers();
        drop(clean);
        engine.clean(None);
        while let Some(death) = deaths.next() {
            trying(death, engine);
            let home = home(engine, BEFORE);
            if deployed(&home, Some(death)) {
                deaths.survived(death);
            } else {
                deployed(&home, None);
            }
            check(&home, &world, &format!("killed {death}"));
            drop(home);
            engine.clean(None);
            assert!(engine.world(None).is_empty());
        }
    });
}

#[test]
fn a_change_that_is_killed_at_any_entry_of_the_log_is_put_right_by_the_next() {
    let texts = [BEFORE.to_owned(), after()];
    Deaths::on_engines(|engine, deaths| {
        let home = home(engine, &texts[0]);
        // What stands after a change depends on what stood before in nothing.
        let worlds = texts.each_ref().map(|text| {
            home.write("deployment.toml", text);
            deployed(&home, None);
            engine.world(None)
        });
        let mut to = 0;
        while let Some(death) = deaths.next() {
            trying(death, engine);
            home.write("deployment.toml", &texts[to]);
            if deployed(&home, Some(death)) {
                deaths.survived(death);
            } else {
                deployed(&home, None);
            }
            check(&home, &worlds[to], &format!("killed {death}"));
            to = 1 - to;
        }
    });
}

#[test]
fn an_engine_that_stops_during_a_deploy_is_waited_for_or_the_next_deploy_puts_it_right() {
    let mut private = PrivateEngine::start();
    let engine = private.engine();
    let clean = home(&engine, BEFORE);
    let begin = Instant::now();
    clean.run("deploy --yes").done();
    let took = begin.elapsed();
    let world = engine.world(None);
    drop(clean);
    engine.clean(None);

    let mut ends = Vec::new();
    for (signal, sixths) in [("KILL", 1), ("TERM", 2), ("KILL", 3), ("TERM", 4), ("KILL", 5)] {
        let home = home(&engine, BEFORE);
        let deploy = home.start("deploy --yes");
        thread::sleep(took * sixths / 6);
        private.down(signal);
        thread::sleep(Duration::from_millis(500));
        private.up();
        let first = ended(deploy);
        let what = format!("SIG{signal} after {sixths} sixths of {took:?}");
        ends.push(format!("{what}: exit code {:?}", first.code));
        assert!(matches!(first.code, Some(0 | 1)), "{what}: {first}");
        if first.code == Some(1) {
            assert!(first.told().contains("engine"), "a reason, {what}: {first}");
        }
        home.run("deploy --yes").done();
        check(&home, &world, &what);
        drop(home);
        engine.clean(None);
    }
    println!("{ends:#?}");
}
