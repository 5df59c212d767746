#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! What ARCHITECTURE.md says must hold of the sources and of what the crates depend on.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const CRATES: [&str; 6] = [
    "deployix-backend-docker",
    "deployix-backend-ec2",
    "deployix-backend-nixos",
    "deployix-cli",
    "deployix-core",
    "deployix-transport",
];

/// Crates that talk to something outside: clouds, engines, machines.
const LIVE: [&str; 10] = [
    "aws-",
    "bollard",
    "deployix-transport",
    "hyper",
    "libssh",
    "openssh",
    "reqwest",
    "russh",
    "rustls",
    "zbus",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(path: &str) -> toml::Table {
    toml::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

/// A source file's path below the root of the workspace, and its code: without comments and what
/// only tests see.
struct Source {
    path: String,
    code: Vec<String>,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// The lines in which one of the words stands.
    fn naming<'s>(&'s self, words: &'s [&str]) -> impl Iterator<Item = String> {
        let lines = self.code.iter().filter(|line| words.iter().any(|word| names(line, word)));
        lines.map(|line| format!("{}: {}", self.path, line.trim()))
    }
}

/// Whether a source is of a backend's other half, which makes things real.
fn is_live(source: &Source) -> bool {
    ["/src/live", "/src/engine/"].iter().any(|folder| source.path.contains(folder))
}

/// Whether a word stands in a line, and not as the end of a longer one.
fn names(line: &str, word: &str) -> bool {
    let longer = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| word.starts_with('.') || !longer(&line[..at]))
}

/// The sources of all crates.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in CRATES.map(|name| format!("{name}/src")).into_iter().chain(["src".to_owned()]) {
        let mut only_tests = BTreeSet::new();
        for path in rust_files(&root().join(&folder)) {
            let (code, test_modules) = code(&fs::read_to_string(&path).unwrap());
            let own = path.with_extension("");
            let beside = match path.file_name().and_then(|name| name.to_str()) {
                Some("lib.rs" | "main.rs" | "mod.rs") => own.parent().unwrap(),
                _ => own.as_path(),
            };
            only_tests.extend(test_modules.iter().map(|module| beside.join(module)));
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            sources.push(Source { path, code });
        }
        sources.retain(|source| {
            let module = root().join(&source.path).with_extension("");
            !only_tests.iter().any(|tests| module.starts_with(tests))
        });
    }
    sources
}

fn rust_files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    folders.iter().flat_map(|folder| rust_files(folder)).chain(files).collect()
}

/// The lines of a file that are not comments and not `#[cfg(test)]`, and the names of the modules
/// in other files that are.
fn code(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut code, mut test_modules) = (Vec::new(), Vec::new());
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push(line.to_owned());
            continue;
        }
        // Formatted code closes an item where it began.
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let mut item = lines.by_ref().skip_while(|line| line.trim_start().starts_with('#'));
        let first = item.next().unwrap();
        match first.trim().strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            Some(module) => test_modules.push(module.to_owned()),
            None if first.trim_end().ends_with(['{', '(']) => {
                while item.next().is_some_and(|line| line != end) {}
            }
            None => {}
        }
    }
    (code, test_modules)
}

/// The crates that a crate needs to be built, with some features.
fn needed_by(package: &str, features: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--edges=normal,build", "--prefix=none"])
        .args(["--format={p}", "--package", package])
        .args(features)
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn live_ones(crates: &BTreeSet<String>) -> Vec<&String> {
    crates.iter().filter(|name| LIVE.iter().any(|live| name.starts_with(live))).collect()
}

#[test]
fn the_core_needs_no_backend_and_nothing_that_talks_to_the_outside() {
    // `s3` is for talking to the outside, and all that does so: histories in S3.
    let manifest = manifest("deployix-core/Cargo.toml");
    let others = manifest["features"].as_table().unwrap().keys().filter(|name| *name != "s3");
    let others = format!("--features={}", others.cloned().collect::<Vec<_>>().join(","));
    for features in [&[][..], &[&*others]] {
        let needed = needed_by("deployix-core", features);
        assert!(needed.contains("petgraph"), "the tree is not what was asked for: {needed:?}");
        assert_eq!(live_ones(&needed), [""; 0]);
        let own: Vec<_> = needed.iter().filter(|name| name.starts_with("deployix")).collect();
        assert_eq!(own, ["deployix-core"]);
    }
    let needed = needed_by("deployix-core", &["--features=s3"]);
    let two: Vec<_> = needed.iter().filter(|name| name.starts_with("aws-lc")).collect();
    assert_eq!(two, [""; 0], "TLS is ring's alone");
    assert!(needed.contains("reqwest"));
}

#[test]
fn ec2_compiles_and_plans_without_the_sdk() {
    let needed = needed_by("deployix-backend-ec2", &["--no-default-features"]);
    assert_eq!(live_ones(&needed), [""; 0]);
    let engine = needed_by("deployix-backend-ec2", &["--no-default-features", "--features=engine"]);
    assert!(engine.contains("backon"), "the tree is not what was asked for: {engine:?}");
    assert_eq!(
        live_ones(&engine),
        [""; 0],
        "steps are carried out through whatever client there is"
    );
    let manifest = manifest("deployix-backend-ec2/Cargo.toml");
    let live = manifest["features"]["live"].as_array().unwrap();
    assert!(live.contains(&"dep:aws-sdk-ec2".into()), "the feature `live` brings it: {live:?}");
}

#[test]
fn the_first_command_builds_nothing_live() {
    assert_eq!(live_ones(&needed_by("deployix", &[])), [""; 0]);
}

#[test]
fn the_command_line_talks_to_everything_and_can_be_built_without_the_sdk() {
    let sdk = |needed: &BTreeSet<String>| needed.iter().any(|name| name.starts_with("aws-"));
    let whole = needed_by("deployix-cli", &[]);
    assert!(whole.contains("bollard") && whole.contains("aws-sdk-ec2"), "{whole:?}");
    let without = needed_by("deployix-cli", &["--no-default-features"]);
    assert!(without.contains("bollard") && !sdk(&without), "{without:?}");
}

#[test]
fn docker_compiles_and_plans_without_a_client() {
    assert_eq!(live_ones(&needed_by("deployix-backend-docker", &[])), [""; 0]);
    let live = needed_by("deployix-backend-docker", &["--features=live"]);
    assert!(live.contains("bollard"), "the feature `live` brings it: {live:?}");
}

#[test]
fn backends_need_the_core_and_not_each_other() {
    for backend in CRATES.iter().filter(|name| name.contains("backend")) {
        let needed = needed_by(backend, &["--no-default-features"]);
        let own: Vec<_> = needed.iter().filter(|name| name.starts_with("deployix")).collect();
        assert_eq!(own, [*backend, "deployix-core"]);
    }
}

#[test]
fn what_runs_commands_on_hosts_knows_nothing_of_what_is_deployed() {
    let needed = needed_by("deployix-transport", &[]);
    let own: Vec<_> = needed.iter().filter(|name| name.starts_with("deployix")).collect();
    assert_eq!(own, ["deployix-transport"]);
}

#[test]
fn only_the_graph_names_petgraph() {
    let graph = "deployix-core/src/topology/graph.rs";
    let (inside, outside): (Vec<_>, Vec<_>) =
        sources().into_iter().partition(|source| source.path == graph);
    assert!(inside.iter().any(|source| source.naming(&["petgraph"]).next().is_some()));
    let named: Vec<_> = outside.iter().flat_map(|source| source.naming(&["petgraph"])).collect();
    assert_eq!(named, [""; 0]);
}

#[test]
fn only_the_history_execution_observe_and_apply_and_what_tries_them_are_async() {
    let rooms = [
        "deployix-core/src/backend/context.rs",
        "deployix-cli/",
        "deployix-core/src/conformance/",
        "deployix-core/src/execute/",
        "deployix-core/src/history/",
        "deployix-core/src/secret/",
        "deployix-transport/",
    ];
    let mut seen = 0;
    for source in sources().iter().filter(|source| !rooms.iter().any(|path| source.is_in(path))) {
        for line in source.naming(&["async "]) {
            let asks = ["async fn observe(", "async fn permissions(", "async fn apply("];
            let fine = asks.iter().any(|f| line.contains(f));
            assert!(fine || is_live(source), "{line}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "the trait, the reference backend and three others: {seen}");
}

#[test]
fn only_loading_writing_the_history_and_execution_touch_the_outside() {
    const OUTSIDE: [&str; 9] = [
        "fs::",
        "env::",
        "process::",
        "net::Tcp",
        "net::Udp",
        "SystemTime",
        "Instant",
        "rand::",
        "std::fs",
    ];
    let allowed = [
        "deployix-core/src/execute/",
        "deployix-core/src/history/",
        "deployix-core/src/load/",
        "deployix-core/src/output/",
        "deployix-core/src/secret/",
        "deployix-cli/",
        "deployix-transport/",
    ];
    for source in sources() {
        if is_live(&source) || allowed.iter().any(|folder| source.is_in(folder)) {
            continue;
        }
        assert_eq!(source.naming(&OUTSIDE).collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn maps_without_an_order_are_only_looked_up() {
    // Each read and found to be walked by nobody, or by what gives the same in any order.
    const LOOKED_UP: [&str; 4] = [
        "deployix-core/src/load/tree/yaml.rs",
        "deployix-core/src/plan/order.rs",
        "deployix-core/src/topology/connect.rs",
        "deployix-core/src/topology/resolve.rs",
    ];
    let sources = sources();
    let others = sources.iter().filter(|source| !LOOKED_UP.contains(&source.path.as_str()));
    let named: Vec<_> = others.flat_map(|source| source.naming(&["HashMap", "HashSet"])).collect();
    assert_eq!(named, [""; 0], "use `BTreeMap` in what is printed, hashed or stored");
}

#[test]
fn nothing_outside_tests_gives_up_or_is_unsafe() {
    const WORDS: [&str; 6] =
        [".unwrap()", "unsafe {", "unsafe fn", "todo!", "unimplemented!", "dbg!"];
    let sources = sources();
    assert!(sources.len() > 100, "the sources were not found");
    let named: Vec<_> = sources.iter().flat_map(|source| source.naming(&WORDS)).collect();
    assert_eq!(named, [""; 0]);
}

#[test]
fn every_crate_is_held_to_the_lints_of_the_workspace() {
    let workspace = manifest("Cargo.toml");
    let lints = &workspace["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    assert_eq!(lints["rust"]["missing_docs"].as_str(), Some("warn"));
    assert_eq!(lints["clippy"]["unwrap_used"].as_str(), Some("warn"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<_> = members.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(members, CRATES.into_iter().collect());
    for path in CRATES
        .map(|name| format!("{name}/Cargo.toml"))
        .iter()
        .chain(["Cargo.toml".to_owned()].iter())
    {
        assert_eq!(manifest(path)["lints"]["workspace"].as_bool(), Some(true), "{path}");
    }
}

#[test]
fn a_backend_decides_each_method_itself() {
    let (code, _) =
        code(&fs::read_to_string(root().join("deployix-core/src/backend/contract.rs")).unwrap());
    let start = code.iter().position(|line| line.starts_with("pub trait Backend:")).unwrap();
    let body = code[start + 1..].iter().take_while(|line| *line != "}");
    let methods = body.clone().filter(|line| line.contains("fn ")).count();
    assert_eq!(methods, 9);
    assert_eq!(body.filter(|line| line.contains('{')).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn only_a_stage_makes_its_own_result() {
    for (file, stage) in [
        ("topology/resolve.rs", "Resolved"),
        ("topology/place.rs", "Placed"),
        ("topology/connect.rs", "Connected"),
        ("plan/compile.rs", "Compiled"),
    ] {
        let path = root().join("deployix-core/src").join(file);
        let (code, _) = code(&fs::read_to_string(path).unwrap());
        let head = format!("pub struct {stage} {{");
        let start = code.iter().position(|line| *line == head).unwrap();
        let fields = code[start + 1..].iter().take_while(|line| *line != "}");
        let public: Vec<_> = fields.filter(|line| line.trim().starts_with("pub ")).collect();
        assert_eq!(public, [""; 0], "{stage}");
    }
}

#[test]
fn what_only_tests_see_is_not_taken_for_code() {
    let text = "use a;\n#[cfg(test)]\nmod far;\n// petgraph\nfn f() {}\n#[cfg(test)]\nmod tests {\n    \
                #[test]\n    fn g() {}\n}\nfn h() {}\n";
    let (code, test_modules) = code(text);
    assert_eq!(code, ["use a;", "fn f() {}", "fn h() {}"]);
    assert_eq!(test_modules, ["far"]);
}
