//! Services as a real systemd runs them: from specs, over the generated modules and real Nix, to
//! running programs.

#[path = "support/container.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod container;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::path::Path;
use std::sync::Arc;

use container::Container;
use deployix_core::spec::{
    Deployment, FileContent, FunctionalitySpec, Group, Service, ServiceBuilder, ServiceSpec,
    Template,
};
use serde_json::Value;
use support::nix::Folder;
use support::{Spec, deployment, functionality, machine};

const HOSTILE: [&str; 22] = [
    "",
    " ",
    "a b",
    "\"",
    "'",
    "\\",
    "\\n",
    "line\nbreak\n",
    "\r",
    "\t",
    "%n %% 100%",
    "$HOME ${HOME} $$ $",
    "${",
    "''${x}''",
    ";",
    "\\;",
    "`id` $(id)",
    "# no comment",
    "é \u{1F980} \u{2028} \u{FEFF}",
    "\u{1}\u{1b}[31m\u{7f}",
    "-",
    "*~!&|<>",
];

fn escaped(text: &str) -> String {
    Template::literal(text).to_string()
}

fn witness(arguments: &[&str], folder: &str) -> ServiceBuilder {
    let program = FileContent::program(include_bytes!("support/witness.py").as_slice());
    ServiceSpec::builder(
        ["witness"]
            .into_iter()
            .map(str::to_owned)
            .chain(arguments.iter().map(|text| escaped(text))),
    )
    .nix(["python3"])
    .ship("witness", program)
    .state(folder)
    .env("WITNESS_FOLDER", folder)
}

/// Puts what NixOS would make of a configuration onto a machine.
fn install(folder: &Folder, container: &Container) -> Value {
    let settings =
        folder.settings("rack1/configuration.nix").unwrap_or_else(|error| panic!("{error}"));
    let machine = tempfile::tempdir().expect("a folder");
    let write = |path: &str, bytes: &[u8]| {
        let path = machine.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    };
    let units = folder.units("rack1/configuration.nix").expect("units");
    for (name, text) in &units {
        write(&format!("etc/systemd/system/{name}"), text.as_bytes());
    }
    let wanted = units.iter().filter(|(_, text)| text.starts_with("[Install]"));
    let wanted: Vec<&str> = wanted.map(|(name, _)| name.as_str()).collect();
    let strings =
        |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).expect("texts") };
    let rules = strings(&settings["systemd"]["tmpfiles"]["rules"]).join("\n") + "\n";
    write("etc/tmpfiles.d/deployix.conf", rules.as_bytes());
    let mut links = String::from("set -e\n");
    for (path, entry) in settings["environment"]["etc"].as_object().expect("files") {
        let source = entry["source"].as_str().expect("a path");
        links +=
            &format!("mkdir -p \"$(dirname '/etc/{path}')\"; ln -s '{source}' '/etc/{path}'\n");
    }
    for (user, entry) in settings["users"]["users"].as_object().expect("users") {
        let id = &entry["uid"];
        links +=
            &format!("groupadd -g {id} {user}; useradd -u {id} -g {id} -d /var/empty -M {user}\n");
    }
    write("setup.sh", links.as_bytes());
    write("var/lib/deployix/secrets/zalora/web/db", b"s3cr3t 'x' $y\n");
    container.copy(machine.path());
    let store = tempfile::tempdir().expect("a folder");
    let nix = store.path().join("nix");
    std::fs::create_dir(&nix).expect("a folder");
    copy_tree(&folder.stored("/nix/store"), &nix.join("store"));
    container.copy(store.path());
    // In nixpkgs `writeShellScript` makes a program; here it made a plain file.
    container.shell("chmod +x /nix/store/*-prepare /nix/store/*-ready 2> /dev/null; sh /setup.sh");
    container.shell("systemd-tmpfiles --create deployix.conf && systemctl daemon-reload");
    container.shell(&format!("systemctl enable --quiet {}", wanted.join(" ")));
    settings
}

fn copy_tree(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp runs").success());
}

fn report(container: &Container, path: &str) -> Value {
    serde_json::from_str(&container.shell(&format!("cat {path}"))).expect("a report")
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_service_is_started_exactly_as_it_was_described() {
    assert_started_as_described("service", |web| web);
}

#[test]
fn a_modular_service_is_started_exactly_as_it_was_described() {
    assert_started_as_described("modular", support::modular);
}

fn assert_started_as_described(what: &str, in_style: fn(Spec) -> Spec) {
    let long = "x%$\"".repeat(25_000);
    let texts: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    let mut service = witness(&texts, "/var/lib/witness 1%")
        .initializer(["witness", "--initialize"])
        .env("WITNESS_PORT", "3000")
        .env("WITNESS_FILES", "/etc/witness/a.conf:/etc/witness/secret.conf:/opt/witness/key.bin")
        .env("SECRET", "before ${secret:db} after")
        .file("/etc/witness/a.conf", &escaped(&HOSTILE.concat()))
        .file("/etc/witness/secret.conf", "password='${secret:db}'\n")
        .file_bytes("/opt/witness/key.bin", FileContent::plain([0, 0xff, b'\n']), 0o600)
        .endpoint("http", 3000)
        .ready_over_http("http", "/");
    for (index, text) in texts.iter().enumerate() {
        service = service.env(&format!("V{index}"), &escaped(text));
    }
    let web = in_style(functionality("web", service));
    let files = support::files(deployment([web], [machine("rack1", "10.0.0.1")]));
    let container = Container::start(what);
    let settings = install(&Folder::new(&files), &container);

    container.shell("systemctl start web.service");
    container
        .shell("! journalctl --no-pager | grep -E '/etc/systemd/system/web.*(Unknown|ignoring)'");
    // The start waited until the probe succeeded, a second after the program began.
    container.shell("test -e '/var/lib/witness 1%/listening'");
    let report = report(&container, "'/var/lib/witness 1%/started.json'");
    let expected: Vec<String> = texts.iter().map(|text| hex(text)).collect();
    assert_eq!(report["argv"], serde_json::json!(expected));
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(report["env"][format!("V{index}")], hex(text), "{text:?}");
    }
    assert_eq!(report["env"]["SECRET"], hex("before s3cr3t 'x' $y after"));
    assert_eq!(report["files"]["/etc/witness/a.conf"], hex(&HOSTILE.concat()));
    assert_eq!(report["files"]["/etc/witness/secret.conf"], hex("password='s3cr3t 'x' $y'\n"));
    assert_eq!(report["files"]["/opt/witness/key.bin"], "00ff0a");
    assert_eq!(report["uid"], settings["users"]["users"]["web"]["uid"]);
    assert_eq!(report["writes"]["/etc/x"], "Read-only file system");
    assert_eq!(report["writes"]["/var/lib/x"], "Read-only file system");
    assert_eq!(report["writes"]["/var/lib/witness 1%/x"], "written");
    assert_eq!(report["before"], serde_json::json!(["events", "initialized.json", "x"]));
    // Nobody else reads the secret: not from the list of processes, not from the files.
    assert_eq!(
        container.shell("stat -c %a-%U /run/deployix/web /run/deployix/web/*key.bin").trim(),
        "700-web\n600-web"
    );
    container.shell("! ps axww -o args | grep -v grep | grep -F s3cr3t");
}

#[test]
fn what_stands_where_a_file_is_to_be_survives_and_the_service_does_not_start() {
    let reader =
        |path: &str| ServiceSpec::builder(["sh", "-c", &format!("cat '{path}'; sleep 1000")]);
    let functionalities = [
        functionality(
            "web",
            reader("/opt/a b/100%").initializer(["true"]).file("/opt/a b/100%", "for web\n"),
        ),
        functionality(
            "job",
            reader("/srv/theirs").file_bytes("/srv/theirs", FileContent::plain("for job\n"), 0o600),
        ),
        functionality("other", reader("/opt/free").file("/opt/free", "for other\n")),
    ];
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("taken");
    container.shell(
        "mkdir -p '/opt/a b/100%/data' && echo 1 > '/opt/a b/100%/data/kept' && echo 2 > /srv/theirs",
    );
    install(&Folder::new(&files), &container);
    container.shell("systemctl start other.service");
    for (unit, path) in
        [("web-initializer", "/opt/a b/100%"), ("web", "/opt/a b/100%"), ("job", "/srv/theirs")]
    {
        container.shell(&format!("! systemctl start {unit}.service"));
        container.shell(&format!("! systemctl is-active {unit}.service"));
        if unit != "web" {
            let told = container.shell(&format!("systemctl status {unit}.service; true"));
            let reason = format!("AssertPathIsSymbolicLink={path} was not met");
            assert!(told.contains(&reason), "{told}");
        }
    }
    assert_eq!(container.shell("cat '/opt/a b/100%/data/kept' /srv/theirs"), "1\n2\n");

    // Once it is out of the way, the file is there.
    container.shell("rm -r '/opt/a b/100%' /srv/theirs && systemd-tmpfiles --create deployix.conf");
    container.shell("systemctl start web.service job.service");
    container.wait_for("journalctl --output=cat | grep -x 'for web'");
    container.wait_for("journalctl --output=cat | grep -x 'for job'");
}

#[test]
fn a_program_that_ends_before_it_is_ready_has_failed_at_once() {
    let within = deployix_core::spec::Span::seconds(30);
    let brief = |seconds: &str| ServiceSpec::builder(["sleep", seconds]);
    let services = [
        // With a capability, as the port needs one.
        ("tcp", brief("0.5").endpoint("low", 81).ready_over_tcp("low")),
        ("http", brief("0.5").endpoint("http", 3000).ready_over_http("http", "/")),
        ("command", brief("0.5").ready_by_command(["false"])),
        ("instant", brief("0").ready_by_command(["false"])),
    ];
    let names = services.each_ref().map(|(name, _)| *name);
    let functionalities =
        services.map(|(name, service)| functionality(name, service.ready_within(within)));
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("brief");
    install(&Folder::new(&files), &container);
    for name in names {
        let start = std::time::Instant::now();
        container.shell(&format!("! systemctl start {name}.service"));
        assert!(start.elapsed().as_secs() < 8, "{name}: {:?}", start.elapsed());
        container
            .shell(&format!("journalctl --unit={name}.service | grep 'the program has ended'"));
    }
}

/// A number that systemd knows of a unit.
fn shown(container: &Container, unit: &str, property: &str) -> u64 {
    let text = container.shell(&format!("systemctl show --value --property {property} {unit}"));
    text.trim().parse().unwrap_or_else(|_| panic!("{property} of {unit} is {text:?}"))
}

fn events(container: &Container, folder: &str) -> Vec<String> {
    container.shell(&format!("cat {folder}/events")).lines().map(str::to_owned).collect()
}

#[test]
fn on_demand_a_service_starts_with_the_first_connection() {
    let on_demand = witness(&[], "/var/lib/witness")
        .env("WITNESS_PORT", "3000")
        .endpoint("http", 3000)
        .ready_by_notify()
        .on_demand();
    let files = support::files(deployment(
        [functionality("web", on_demand)],
        [machine("rack1", "10.0.0.1")],
    ));
    let container = Container::start("demand");
    install(&Folder::new(&files), &container);

    container.shell("systemctl start sockets.target && systemctl is-active web-http-3000.socket");
    container.shell("! systemctl is-active --quiet web.service && ! test -e /var/lib/witness/*");
    assert_eq!(container.shell("curl --silent --max-time 20 http://127.0.0.1:3000/"), "ok");
    let report = report(&container, "/var/lib/witness/started.json");
    assert_eq!(report["env"]["LISTEN_FDS"], hex("1"));
    assert_eq!(report["env"]["LISTEN_FDNAMES"], hex("http"));

    // Restarted, it is waited for until it says that it is ready; its socket stays open.
    container.shell("systemctl stop web.service && rm /var/lib/witness/ready");
    container.shell("systemctl is-active web-http-3000.socket");
    container.shell("systemctl start web.service && test -e /var/lib/witness/ready");
}

#[test]
fn sockets_listen_before_any_service_starts_and_no_order_is_declared() {
    let curl = "curl --silent --show-error --max-time 30 http://127.0.0.1:3000/ > \
                /var/lib/client/answer && exec sleep infinity";
    let client = ServiceSpec::builder(["sh", "-c", curl])
        .nix(["curl"])
        .initializer(["sh", "-c", &curl.replace("answer && exec sleep infinity", "early")])
        .state("/var/lib/client");
    let on_demand = |folder: &str, port: u16| {
        witness(&[], folder)
            .env("WITNESS_PORT", &port.to_string())
            .endpoint("http", port)
            .on_demand()
    };
    let member = |service: ServiceBuilder| service.build().expect("a service");
    let group = Group::new()
        .member("lazy", member(on_demand("/var/lib/lazy", 3001)))
        .and_then(|group| group.member("eager", member(ServiceSpec::builder(["sleep", "1000"]))))
        .expect("names");
    let group: Arc<dyn Service> = Arc::new(group);
    let functionalities = [
        functionality("client", client),
        FunctionalitySpec::new("pair", group).expect("a name"),
        // Started last, were it by name.
        functionality("web", on_demand("/var/lib/witness", 3000)),
    ];
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("order");
    install(&Folder::new(&files), &container);

    // Whoever does not wait for this socket comes too early.
    container.shell(
        "mkdir /etc/systemd/system/web-http-3000.socket.d && \
         printf '[Socket]\\nExecStartPre=sleep 2\\n' > /etc/systemd/system/web-http-3000.socket.d/slow.conf && \
         systemctl daemon-reload",
    );
    container.restart();
    container.wait_for("test -s /var/lib/client/answer");
    assert_eq!(container.shell("cat /var/lib/client/early /var/lib/client/answer"), "okok");
    assert_eq!(shown(&container, "client.service", "NRestarts"), 0);
    let opened = ["web-http-3000.socket", "pair-lazy-http-3001.socket"]
        .map(|socket| shown(&container, socket, "ActiveEnterTimestampMonotonic"));
    let started = ["client.service", "client-initializer.service", "pair-eager.service"]
        .map(|service| shown(&container, service, "ExecMainStartTimestampMonotonic"));
    assert!(opened.iter().max() <= started.iter().min(), "{opened:?} {started:?}");
    container.shell("! journalctl --no-pager | grep -i 'ordering cycle'");

    // A group stops and starts as one, its sockets with it.
    container.shell("systemctl stop pair.target");
    container.shell(
        "! systemctl is-active pair-lazy-http-3001.socket pair-eager.service pair-lazy.service",
    );
    container.shell("systemctl start pair.target");
    container.shell("systemctl is-active pair-lazy-http-3001.socket pair-eager.service");
    container.shell("! systemctl is-active --quiet pair-lazy.service");
}

#[test]
fn what_was_missed_while_the_timer_was_stopped_runs_once() {
    let daily = |folder: &str| witness(&[], folder).schedule("daily 03:30");
    let functionalities = [
        functionality("missed", daily("/var/lib/missed")),
        functionality("done", daily("/var/lib/done")),
    ];
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("timer");
    install(&Folder::new(&files), &container);

    // When each ran last: systemd.timer(5), `Persistent=`.
    container.shell(
        "cd /var/lib/systemd/timers 2> /dev/null || { mkdir -p /var/lib/systemd/timers; \
         cd /var/lib/systemd/timers; }; \
         touch -d '9 days ago' stamp-missed.timer; touch stamp-done.timer",
    );
    container.shell("systemctl start missed.timer done.timer");
    container.wait_for("grep done /var/lib/missed/events");
    container.shell("systemctl stop missed.timer && systemctl start missed.timer && sleep 1");
    assert_eq!(events(&container, "/var/lib/missed"), ["started", "started, done"]);
    container.shell("! test -e /var/lib/done/events");
    container.shell("! systemctl is-active --quiet missed.service");
}

#[test]
fn an_initializer_has_ended_before_the_start_and_runs_again_only_when_it_changed() {
    let service = witness(&[], "/var/lib/witness")
        .initializer(["witness", "--initialize"])
        .env("WITNESS_TAKES", "1")
        .env("WITNESS_PORT", "3000")
        .endpoint("http", 3000);
    let job = witness(&[], "/var/lib/job")
        .initializer(["witness", "--initialize"])
        .env("WITNESS_TAKES", "5")
        .schedule("yearly");
    let functionalities = [functionality("web", service), functionality("job", job)];
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("first");
    install(&Folder::new(&files), &container);
    let folder = "/var/lib/witness";

    let first = ["initialized", "initialized, done", "started", "started, done"];
    container.shell("systemctl start web.service");
    container.wait_for("test -e /var/lib/witness/listening");
    assert_eq!(events(&container, folder), first);
    let ended = shown(&container, "web-initializer.service", "ExecMainExitTimestampMonotonic");
    let started = shown(&container, "web.service", "ExecMainStartTimestampMonotonic");
    assert!(ended > 0 && ended <= started, "{ended} {started}");
    assert_eq!(container.shell("stat -c %a-%U /run/deployix/web").trim(), "700-web");

    container.shell("systemctl restart web.service");
    container.wait_for("test $(grep -c done /var/lib/witness/events) = 3");
    assert_eq!(events(&container, folder)[4..], ["started", "started, done"]);
    container.shell("systemctl stop web.service && test -d /run/deployix/web");
    container.shell("systemctl start web.service");
    container.wait_for("test $(grep -c done /var/lib/witness/events) = 4");

    // What a switch does where the initializer is another: the service comes after it again.
    container.shell("systemctl restart web-initializer.service");
    container.wait_for("test $(grep -c done /var/lib/witness/events) = 6");
    assert_eq!(events(&container, folder)[8..], first);

    // A run that has begun ends by itself, whatever becomes of its initializer.
    container.shell("systemctl start --no-block job.service");
    container.wait_for("grep -x started /var/lib/job/events");
    let process = shown(&container, "job.service", "MainPID");
    container.shell("systemctl restart --no-block job-initializer.service && sleep 1");
    assert_eq!(shown(&container, "job.service", "MainPID"), process);
    container.wait_for("grep -x 'started, done' /var/lib/job/events");
}

#[test]
fn while_an_initializer_is_tried_again_its_service_waits() {
    let service = |folder: &str| {
        let first = format!(
            "cd {folder}; test -e tried && touch initialized; touch tried; test -e initialized"
        );
        let start = format!("cd {folder} && test -e initialized && touch started && sleep 1000");
        ServiceSpec::builder(["sh", "-c", &start]).initializer(["sh", "-c", &first]).state(folder)
    };
    let functionalities = [
        functionality("web", service("/var/lib/web")),
        functionality("job", service("/var/lib/job").schedule("yearly")),
    ];
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("again");
    install(&Folder::new(&files), &container);
    container.shell("systemctl start --no-block web.service job.service");
    for name in ["web", "job"] {
        container.wait_for(&format!("test -e /var/lib/{name}/started"));
        assert_eq!(shown(&container, &format!("{name}-initializer.service"), "NRestarts"), 1);
        assert_eq!(shown(&container, &format!("{name}.service"), "NRestarts"), 0);
    }
}

/// The example with everything on one machine, where one page is enough.
fn example_on_one_machine() -> Deployment {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra");
    let folder = tempfile::tempdir().expect("a folder");
    for catalog in ["git", "hydra"] {
        copy_tree(&examples.join(catalog), &folder.path().join(catalog));
    }
    let catalog = folder.path().join("hydra/deployix.toml");
    let text = std::fs::read_to_string(&catalog).expect("a catalog");
    std::fs::write(catalog, text.replace("replicas = 2\n", "")).expect("written");
    let deployment = "version = 1\nname = \"zalora\"\ncatalogs = [\"git\", \"hydra\"]\n\
                      [location.singapore]\n[network.rack]\nlocation = \"singapore\"\n\
                      [target.rack1]\nbackend = \"nixos\"\nnetwork = \"rack\"\n\
                      address = \"10.0.0.1\"\n";
    let file = folder.path().join("deployment.toml");
    std::fs::write(&file, deployment).expect("written");
    deployix_core::load::load(&file).complete().expect("it loads").expect("a deployment")
}

#[test]
fn in_the_example_a_commit_travels_from_the_repository_to_the_page() {
    let files = support::files(example_on_one_machine());
    let container = Container::start("hydra");
    let settings = install(&Folder::new(&files), &container);
    container.shell(
        "cd /var/lib/deployix/secrets && for reader in hydra-db hydra-web hydra-evaluator; do \
         mkdir -p zalora/$reader && printf 's3cr3t\\n' > zalora/$reader/hydra-db; done",
    );
    for (address, names) in settings["networking"]["hosts"].as_object().expect("hosts") {
        for name in names.as_array().expect("names").iter().filter_map(Value::as_str) {
            container.shell(&format!("echo {address} {name} >> /etc/hosts"));
        }
    }
    container.shell("systemctl start git.service hydra-db.service hydra-web.service");
    container.shell(
        "systemctl start hydra-evaluator-evaluator.service hydra-evaluator-queue-runner.service",
    );
    container.shell(
        "git init -q --initial-branch=main /work && cd /work && git -c user.name=a -c user.email=a@b \
         commit -q --allow-empty -m 'a commit that travels' && \
         git push -q git://127.0.0.1/zalora.git main",
    );
    container
        .wait_for("curl --silent --fail http://127.0.0.1:3000/ | grep -F 'a commit that travels'");
    container.shell("! systemctl list-units --failed --no-legend | grep -E 'git|hydra'");
    // Nobody else reads what the services keep.
    container.shell("test $(stat -c %U-%a /var/lib/hydra-db) = hydra-db-700");
}

#[test]
fn nftables_takes_the_rules() {
    let files = support::files(support::sample::hydra(support::sample::targets()));
    let mut files = files;
    files.insert("rack1/hardware-configuration.nix".to_owned(), FileContent::plain("{ }\n"));
    let folder = Folder::new(&files);
    let container = Container::start("rules");
    for configuration in
        ["rack1/configuration.nix", "rack2/configuration.nix", "eu/configuration-0.nix"]
    {
        let settings = folder.settings(configuration).expect("evaluates");
        let rules = settings["networking"]["firewall"]["extraInputRules"].as_str().expect("rules");
        let tables = settings["networking"]["nftables"]["tables"].as_object().expect("tables");
        let own = tables.iter().map(|(name, table)| {
            let text = |key: &str| table[key].as_str().expect("text");
            format!("table {} {name} {{\n{}\n}}\n", text("family"), text("content"))
        });
        let own: String = own.collect();
        assert!(own.contains("rt ipsec missing drop"), "{own}");
        let table = tempfile::tempdir().expect("a folder");
        let ruleset =
            format!("table inet nixos-fw {{\n  chain input-allow {{\n{rules}\n  }}\n}}\n{own}");
        std::fs::write(table.path().join("rules.nft"), ruleset).expect("written");
        container.copy(table.path());
        container.shell("nft --check --file /rules.nft");
    }
}
