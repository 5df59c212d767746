//! A deployment in a folder of its own, the program run in it, and what then stands on an engine.
pub(crate) mod private;
pub(crate) mod probe;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// A small HTTP server in the Perl that every Debian has: it listens on the port that its argument
/// names and answers with a variable and a file.
pub(crate) const SERVER: &str = r#"#!/usr/bin/perl
use strict;
use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => shift, Listen => 128, ReuseAddr => 1) or die $!;
# Whoever is told to stop finishes what has begun, and takes what came before it was told.
my $stop = 0;
$SIG{TERM} = sub { $stop = 1 };
while (!$stop) {
  my $ready = '';
  vec($ready, fileno($server), 1) = 1;
  next unless select($ready, undef, undef, 0.05) > 0;
  my $client = $server->accept or next;
  while (<$client>) { last if /^\s*$/ }
  print $client "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n$ENV{GREETING}|$ENV{HOSTNAME}\n";
  close $client;
}
"#;

/// Images that are nobody's: what others are made from, and what has no name.
const BASES: [&str; 2] = ["debian:bookworm-slim", "<none>:<none>"];

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_deployix");

/// What images are called that only keep layers for later builds.
const KEPT: &str = "kept-for-tests";

fn is_base(tag: &str) -> bool {
    BASES.contains(&tag) || tag.starts_with(KEPT)
}

/// So many seconds a command has: what hangs is told by its name before the test's own time is over.
const LONGEST: &str = "180";

/// A command that is ended, with the exit code 124, when it takes too long.
pub(crate) fn limited(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LONGEST).arg(program);
    command
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    pub(crate) fn failed(self) -> Self {
        assert_eq!(self.code, Some(1), "{self}");
        self
    }

    /// All that it printed.
    pub(crate) fn told(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Whether it printed this, wherever.
    pub(crate) fn tells(self, part: &str) -> Self {
        assert!(self.told().contains(part), "{part:?} in {self}");
        self
    }

    /// Its document, as `--json` prints it.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr } = self;
        writeln!(f, "exit code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// An engine: this machine's, or the one at a socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Engine {
    pub(crate) socket: Option<PathBuf>,
}

impl Engine {
    /// The client, to ask this engine.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = limited("docker");
        if let Some(socket) = &self.socket {
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        }
        command.args(arguments);
        command
    }

    /// Runs `docker` and gives what it printed.
    ///
    /// # Panics
    /// When it fails, with what it said. A missing engine is a failure, never a silent skip.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    /// The same, whatever comes of it.
    pub(crate) fn try_docker(&self, arguments: &[&str]) -> Ran {
        self.command(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{error}: run scripts/test"))
            .into()
    }

    /// The words that `docker` printed.
    fn words(&self, arguments: &[&str]) -> Vec<String> {
        self.docker(arguments).split_whitespace().map(str::to_owned).collect()
    }

    /// What stands here, of a deployment or of anybody.
    pub(crate) fn world(&self, deployment: Option<&str>) -> World {
        let label = deployment.map(|name| format!("label=deployix.deployment={name}"));
        let filter: Vec<&str> = label.iter().flat_map(|label| ["--filter", label]).collect();
        let list = |words: &[&str]| self.words(&[words, &filter[..]].concat());
        let mut containers = BTreeMap::new();
        let ids = list(&["ps", "--all", "--quiet", "--no-trunc"]);
        for inspected in self.inspected(&ids) {
            let container = Container::from(&inspected);
            containers.insert(container.name.clone(), container);
        }
        let own = |name: &String| !["bridge", "host", "none"].contains(&name.as_str());
        let tags = "{{.Repository}}:{{.Tag}}";
        let images = list(&["image", "ls", "--no-trunc", "--format", tags]);
        World {
            containers,
            networks: list(&["network", "ls", "--format", "{{.Name}}"])
                .into_iter()
                .filter(own)
                .collect(),
            volumes: list(&["volume", "ls", "--quiet"]).into_iter().collect(),
            images: images.into_iter().filter(|tag| !is_base(tag)).collect(),
        }
    }

    /// Keeps the layers of all images, so that they are built again quickly: all but the last, which
    /// only adds the labels.
    pub(crate) fn keep_layers(&self) {
        for (number, image) in self.world(None).images.iter().enumerate() {
            let parent = self.docker(&["image", "inspect", "--format", "{{.Parent}}", image]);
            self.docker(&["tag", parent.trim(), &format!("{KEPT}:{number}")]);
        }
    }

    /// How many images have neither a name nor anything that was made from them: with a label of
    /// ours, and without.
    pub(crate) fn nameless(&self) -> (Vec<String>, usize) {
        let list = ["image", "ls", "--quiet", "--no-trunc", "--filter", "dangling=true"];
        let labelled = [&list[..], &["--filter", "label=deployix.deployment"]].concat();
        let (all, labelled) = (self.words(&list).len(), self.words(&labelled));
        let cached = all - labelled.len();
        let told = |image: &Value| format!("{} {}", image["Id"], image["Config"]["Labels"]);
        (self.inspected(&labelled).iter().map(told).collect(), cached)
    }

    fn inspected(&self, ids: &[String]) -> Vec<Value> {
        if ids.is_empty() {
            return Vec::new();
        }
        let mut arguments = vec!["inspect"];
        arguments.extend(ids.iter().map(String::as_str));
        let ran = self.try_docker(&arguments);
        // What was listed may be gone by now, such as a container of a build under way.
        let gone = |line: &str| line.trim().is_empty() || line.contains("No such object");
        assert!(ran.code == Some(0) || ran.stderr.lines().all(gone), "{ran}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Removes all that a deployment left, or anybody, by its labels. Never fails.
    pub(crate) fn clean(&self, deployment: Option<&str>) {
        let label = deployment.map(|name| format!("label=deployix.deployment={name}"));
        let filter: Vec<&str> = label.iter().flat_map(|label| ["--filter", label]).collect();
        let remove = |list: &[&str], remove: &[&str], keep: &dyn Fn(&str) -> bool| {
            let listed = self.command(&[list, &filter[..]].concat()).output();
            let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let listed = listed.unwrap_or_default();
            let words: Vec<&str> = listed.split_whitespace().filter(|word| !keep(word)).collect();
            if !words.is_empty() {
                let _ = self.command(&[remove, &words[..]].concat()).output();
            }
        };
        remove(&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"], &|_| false);
        let builtin = |word: &str| ["bridge", "host", "none"].contains(&word);
        remove(&["network", "ls", "--format", "{{.Name}}"], &["network", "rm"], &builtin);
        remove(&["volume", "ls", "--quiet"], &["volume", "rm", "--force"], &|_| false);
        let tags = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"];
        remove(&tags, &["image", "rm"], &is_base);
        remove(
            &["image", "ls", "--quiet", "--filter", "dangling=true"],
            &["image", "rm", "--force"],
            &|_| false,
        );
    }
}

/// What stands on an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) containers: BTreeMap<String, Container>,
    pub(crate) networks: BTreeSet<String>,
    pub(crate) volumes: BTreeSet<String>,
    /// By their tags.
    pub(crate) images: BTreeSet<String>,
}

/// A container as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) started: String,
    pub(crate) state: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl From<&Value> for Container {
    fn from(inspected: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = inspected["Config"]["Labels"].as_object();
        Self {
            name: text(&inspected["Name"]).trim_start_matches('/').to_owned(),
            id: text(&inspected["Id"]),
            started: text(&inspected["State"]["StartedAt"]),
            state: text(&inspected["State"]["Status"]),
            labels: labels
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
        }
    }
}

impl World {
    /// Whether nothing stands.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What does not differ between two worlds that were made alike: what everything is called, its
    /// labels and whether it runs.
    pub(crate) fn shape(&self) -> Vec<String> {
        let mut shape = Vec::new();
        for container in self.containers.values() {
            let Container { name, state, mut labels, .. } = container.clone();
            // Each has a history of its own.
            if let Some(id) = labels.get_mut("deployix.history") {
                id.clear();
            }
            shape.push(format!("container {name} {state} {labels:?}"));
        }
        shape.extend(self.networks.iter().map(|name| format!("network {name}")));
        shape.extend(self.volumes.iter().map(|name| format!("volume {name}")));
        shape.extend(self.images.iter().map(|name| format!("image {name}")));
        shape
    }

    /// The containers of a functionality.
    pub(crate) fn of<'w>(&'w self, functionality: &'w str) -> impl Iterator<Item = &'w Container> {
        self.containers.values().filter(move |container| {
            container.labels.get("deployix.functionality").is_some_and(|name| name == functionality)
        })
    }

    /// Which containers these are, and since when they run.
    pub(crate) fn incarnations(&self) -> BTreeMap<&str, (&str, &str)> {
        let all = self.containers.values();
        all.map(|c| (c.name.as_str(), (c.id.as_str(), c.started.as_str()))).collect()
    }
}

/// A deployment in a folder of its own; what it made goes with it.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    pub(crate) name: String,
    pub(crate) engine: Engine,
}

impl Home {
    /// An empty folder for a deployment of a name that nobody else has.
    pub(crate) fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("deployix-test-{}-{next}-{what}", std::process::id());
        Self::named(&name, Engine::default())
    }

    /// The same with a name that is unlike all others on its engine.
    pub(crate) fn named(name: &str, engine: Engine) -> Self {
        let folder = tempfile::Builder::new().prefix("deployix-test-").tempdir().unwrap();
        Self { folder, name: name.to_owned(), engine }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces the first of some part of a file, which has to be there.
    pub(crate) fn edit(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(old), "{old} in {text}");
        self.write(path, &text.replacen(old, new, 1));
    }

    /// The program, or one that runs it, in the folder.
    fn here(&self, mut command: Command, arguments: &str) -> Command {
        command.args(arguments.split_whitespace());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        if let Some(socket) = &self.engine.socket {
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        }
        command
    }

    /// Runs the program with arguments that are separated by blanks.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.here(limited(PROGRAM), arguments).output().unwrap().into()
    }

    /// Starts the program and does not wait for it.
    pub(crate) fn start(&self, arguments: &str) -> Child {
        let mut command = self.here(Command::new(PROGRAM), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs the program with `--json` and gives its document.
    pub(crate) fn json(&self, arguments: &str) -> (Value, Option<i32>) {
        let ran = self.run(&format!("{arguments} --json"));
        (ran.json(), ran.code)
    }

    pub(crate) fn world(&self) -> World {
        self.engine.world(Some(&self.name))
    }

    /// Every file below a folder with its content.
    pub(crate) fn files(&self, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.path(below)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        found
    }

    /// The one running container of a program, by the name of its instance or member.
    pub(crate) fn container(&self, program: &str) -> String {
        let world = self.world();
        let label = |container: &Container| {
            let functionality = container.labels.get("deployix.functionality").cloned();
            let member = container.labels.get("deployix.member").map(|member| format!(".{member}"));
            functionality.unwrap_or_default() + &member.unwrap_or_default()
        };
        let mut found = world.containers.values().filter(|container| {
            container.state == "running"
                && label(container) == program
                && !container.name.contains("_network")
                && !container.name.contains("_init")
        });
        let container = found.next().unwrap_or_else(|| panic!("no {program} in {world:?}"));
        container.name.clone()
    }

    /// Whether a command in a program's container succeeds.
    pub(crate) fn can(&self, program: &str, command: &[&str]) -> bool {
        let container = self.container(program);
        self.engine.try_docker(&[&["exec", &container], command].concat()).code == Some(0)
    }

    /// What a command in a program's container prints.
    pub(crate) fn says(&self, program: &str, command: &[&str]) -> String {
        let container = self.container(program);
        self.engine.docker(&[&["exec", &container], command].concat())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let label = format!("label=deployix.deployment={}", self.name);
            let listed = self.engine.try_docker(&["ps", "--all", "--filter", &label]);
            eprintln!("{}", listed.stdout);
        }
        self.engine.clean(Some(&self.name));
    }
}

/// Waits for a child and gives what it did.
pub(crate) fn ended(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

/// Kills a process at once, which has no chance to say anything.
pub(crate) fn kill(process: u32, signal: &str) {
    run(Command::new("kill").args([&format!("-{signal}"), &process.to_string()]));
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test"));
    let told = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {printed}{told}");
    printed
}

/// A port that is free on this machine just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A range of 4,096 addresses that is this process's own, as far as its number tells: tests that run
/// at once have others.
pub(crate) fn subnets(which: u8) -> String {
    assert!(which < 4, "a process has four ranges");
    let number = std::process::id() % 1024 * 4 + u32::from(which);
    format!("10.{}.{}.0/20", 128 + number / 16 % 64, number % 16 * 16)
}

pub(crate) fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        sleep(Duration::from_millis(100));
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-r").arg(from).arg(to));
}
