//! Services as a real systemd runs them: from specs, over the generated modules and real Nix, to
//! running programs.

#[path = "support/container.rs"]
mod container;
mod support;

use std::path::Path;

use container::Container;
use deployix_core::spec::{Deployment, FileContent, ServiceBuilder, ServiceSpec, Template};
use serde_json::Value;
use support::nix::Folder;
use support::{deployment, functionality, machine};

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
    for (name, text) in folder.units("rack1/configuration.nix").expect("units") {
        write(&format!("etc/systemd/system/{name}"), text.as_bytes());
    }
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
    write("var/lib/deployix/secrets/zalora/db", b"s3cr3t 'x' $y\n");
    container.copy(machine.path());
    let store = tempfile::tempdir().expect("a folder");
    let nix = store.path().join("nix");
    std::fs::create_dir(&nix).expect("a folder");
    copy_tree(&folder.stored("/nix/store"), &nix.join("store"));
    container.copy(store.path());
    // In nixpkgs `writeShellScript` makes a program; here it made a plain file.
    container.shell("chmod +x /nix/store/*-prepare /nix/store/*-ready 2> /dev/null; sh /setup.sh");
    container.shell("systemd-tmpfiles --create deployix.conf && systemctl daemon-reload");
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
    let files =
        support::files(deployment([functionality("web", service)], [machine("rack1", "10.0.0.1")]));
    let container = Container::start("service");
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
    assert_eq!(report["before"], serde_json::json!(["initialized.json", "x"]));
    // Nobody else reads the secret: not from the list of processes, not from the files.
    assert_eq!(
        container.shell("stat -c %a-%U /run/deployix/web /run/deployix/web/*key.bin").trim(),
        "700-web\n600-web"
    );
    container.shell("! ps axww -o args | grep -v grep | grep -F s3cr3t");
}

#[test]
fn on_demand_a_service_starts_with_the_first_connection() {
    let on_demand = witness(&[], "/var/lib/witness")
        .env("WITNESS_PORT", "3000")
        .endpoint("http", 3000)
        .on_demand();
    let periodic = witness(&[], "/var/lib/periodic").schedule("every minute");
    let functionalities = [functionality("web", on_demand), functionality("periodic", periodic)];
    let files = support::files(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let container = Container::start("demand");
    install(&Folder::new(&files), &container);

    container.shell("systemctl start web.socket periodic.timer");
    container.shell("! systemctl is-active --quiet web.service");
    assert_eq!(container.shell("curl --silent --max-time 20 http://127.0.0.1:3000/"), "ok");
    container.shell("systemctl is-active web.service");
    container.shell("systemctl list-timers --all | grep periodic.timer");
    container.shell("systemctl start periodic.service && test -e /var/lib/periodic/started.json");
    container.shell("! systemctl is-active --quiet periodic.service");
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
    container.shell("printf 's3cr3t\\n' > /var/lib/deployix/secrets/zalora/hydra-db");
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
