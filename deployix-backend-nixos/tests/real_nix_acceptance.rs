//! Whatever a spec asks for is in the evaluated units, field by field, of the example and of a
//! deployment that uses every field.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use deployix_core::Name;
use deployix_core::backend::{Unit, Via};
use deployix_core::spec::{Deployment, FileBody, Part, Probe, Protocol, ServiceSpec, Template};
use serde_json::{Value, json};
use support::nix::{Folder, parse};

#[test]
fn the_example_evaluates_to_what_its_specs_ask_for() {
    assert_as_asked(support::example, 5);
}

#[test]
fn every_field_evaluates_to_what_it_asks_for() {
    let fields = assert_as_asked(support::everything, 4);
    // All that a service has but what is different elsewhere, which is applied before.
    assert_eq!(fields.len(), 13, "{fields:?}");
}

#[test]
fn everything_that_is_compiled_parses() {
    let mut parsed = 0;
    for load in [support::example, support::everything] {
        let folder = support::folder(load());
        for path in support::files(load()).into_keys().filter(|path| path.ends_with(".nix")) {
            if let Err(error) = parse(&folder.path(&path)) {
                panic!("{path}: {error}");
            }
            parsed += 1;
        }
    }
    // Modules, lists of them, configurations (one more for a pool), flakes and tests.
    assert_eq!(parsed, (5 + 5 + 6 + 4 + 4) + (4 + 2 + 2 + 2 + 2));
}

/// Gives the fields that were asked for.
fn assert_as_asked(load: fn() -> Deployment, functionalities: usize) -> BTreeSet<String> {
    let folder = support::folder(load());
    let connected = support::connected(load());
    let mut settings = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut fields = BTreeSet::new();
    for unit in connected.units() {
        seen.insert(unit.name.clone());
        for machine in unit.machines {
            let file = support::configuration(unit.site.target, *machine);
            let settings = settings.entry(file.clone()).or_insert_with(|| {
                folder.settings(&file).unwrap_or_else(|error| panic!("{file}: {error}"))
            });
            assert_openings(settings, &unit);
            for (member, spec) in unit.service.members() {
                let asked = Asked::new(&folder, settings, &unit, member, spec);
                for field in asked.assert_every_field() {
                    fields.insert(field);
                }
            }
        }
    }
    assert_eq!(seen.len(), functionalities, "{seen:?}");
    fields
}

/// Exactly the consumers on other machines are let in.
fn assert_openings(settings: &Value, unit: &Unit<'_>) {
    let rules = settings["networking"]["firewall"]["extraInputRules"].as_str().unwrap_or_default();
    let expected = unit.consumers.iter().filter(|peer| peer.via == Via::Private).flat_map(|peer| {
        peer.endpoints.iter().map(move |endpoint| {
            let protocol = endpoint.endpoint.protocol;
            format!("# {} reaches {endpoint} of {}\n", peer.name, unit.name)
                + &peer.known_addresses().expect("addresses").iter().fold(
                    String::new(),
                    |rules, address| {
                        rules
                            + &format!(
                                "ip saddr {address} {protocol} dport {} accept\n",
                                endpoint.endpoint.port
                            )
                    },
                )
        })
    });
    for expected in expected {
        let lines = expected.lines().collect::<Vec<_>>();
        for line in lines {
            assert!(rules.contains(line), "{line:?} is not in {rules}");
        }
    }
}

/// A service's spec beside what was made of it.
struct Asked<'a> {
    folder: &'a Folder,
    settings: &'a Value,
    spec: &'a ServiceSpec,
    group: Option<String>,
    /// The deployment and the functionality that secrets are given to.
    secrets: String,
    unit: String,
    user: String,
    service: &'a Value,
    /// What runs before the program, where something has to.
    wrapper: Option<PathBuf>,
}

impl<'a> Asked<'a> {
    fn new(
        folder: &'a Folder,
        settings: &'a Value,
        unit: &'a Unit<'_>,
        member: Option<&Name>,
        spec: &'a ServiceSpec,
    ) -> Self {
        let name = match member {
            None => unit.name.to_string(),
            Some(member) => format!("{}-{member}", unit.name),
        };
        let service = &settings["systemd"]["services"][&name];
        let start = words(service["serviceConfig"]["ExecStart"].as_str().expect("a command"));
        let wrapped = start.len() > spec.start.len();
        Self {
            folder,
            settings,
            spec,
            group: member.map(|_| format!("{}.target", unit.name)),
            secrets: format!("{}/{}", unit.deployment, unit.name),
            user: spec.user.as_ref().map_or_else(|| unit.name.to_string(), ToString::to_string),
            unit: name,
            service,
            wrapper: wrapped.then(|| folder.stored(&start[0])),
        }
    }

    fn config(&self, key: &str) -> &Value {
        &self.service["serviceConfig"][key]
    }

    fn secrets(&self) -> BTreeSet<String> {
        let templates = self.spec.templates();
        templates.flat_map(|(_, text)| text.secrets()).map(ToString::to_string).collect()
    }

    /// Compares each field; one that a service gets anew has no expectation, which is told.
    fn assert_every_field(&self) -> Vec<String> {
        let fields = serde_json::to_value(self.spec).expect("JSON");
        let fields = fields.as_object().expect("fields");
        for field in fields.keys() {
            match field.as_str() {
                "software" => self.assert_software(),
                "start" => self.assert_command(self.service, &self.spec.start),
                "initializer" => self.assert_initializer(),
                "env" => self.assert_env(),
                "files" => self.assert_files(),
                "endpoints" => self.assert_endpoints(),
                "state" => self.assert_state(),
                "user" => self.assert_user(),
                "readiness" => self.assert_readiness(),
                "on-demand" => self.assert_on_demand(),
                "schedule" => self.assert_schedule(),
                "limits" => self.assert_limits(),
                "stop" => self.assert_stop(),
                other => panic!("there is no expectation for the field `{other}`"),
            }
        }
        let asked = |value: &&Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(entries) => !entries.is_empty(),
            _ => true,
        };
        fields.iter().filter(|(_, value)| asked(value)).map(|(field, _)| field.clone()).collect()
    }

    /// The programs of what is shipped, of the packages, of the base, in this order.
    fn assert_software(&self) {
        let path = self.service["environment"]["PATH"].as_str().expect("a PATH").replace("%%", "%");
        assert_eq!(self.config("ExecSearchPath"), &self.service["environment"]["PATH"]);
        let mut entries: Vec<&str> = path.split(':').collect();
        if let Some(shipped) = &self.spec.software.path {
            let folder = entries.remove(0);
            if shipped.files.keys().any(|path| path.as_str().starts_with("bin/")) {
                assert_eq!(entries.remove(0), format!("{folder}/bin"));
            }
            for (path, content) in &shipped.files {
                let path = self.folder.stored(folder).join(path.as_str());
                assert_eq!(std::fs::read(&path).expect("a file"), &*content.bytes);
                let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
                assert_eq!(mode & 0o111 != 0, content.executable, "{}", path.display());
            }
        }
        let mut packages: Vec<&str> = Vec::new();
        let python = |path: &str| path.starts_with("python3");
        for path in &self.spec.software.nix {
            // An interpreter and its libraries are one package.
            if !(python(path)
                && self.spec.software.nix.iter().take_while(|p| *p != path).any(|p| python(p)))
            {
                packages.push(if path == "postgresql" {
                    "/usr/lib/postgresql/17/bin"
                } else {
                    "/usr/bin"
                });
            }
        }
        packages.extend(["/usr/bin"; 5]);
        assert_eq!(entries, packages, "{}", self.unit);
    }

    fn assert_command(&self, service: &Value, asked: &[Template]) {
        let mut words = words(service["serviceConfig"]["ExecStart"].as_str().expect("a command"));
        if self.wrapper.is_some() {
            words.remove(0);
        }
        let mut asked: Vec<String> = asked.iter().map(|word| literal(word).to_owned()).collect();
        if asked[0].contains('/') && !asked[0].starts_with('/') {
            // A program by its path in what is shipped.
            assert!(words[0].ends_with(&format!("/{}", asked[0])), "{words:?}");
            asked[0].clone_from(&words[0]);
        }
        assert_eq!(words, asked);
    }

    fn assert_initializer(&self) {
        let name = format!("{}-initializer", self.unit);
        let unit = &self.settings["systemd"]["services"][&name];
        let relation = if self.spec.schedule.is_some() { "wants" } else { "requires" };
        let related = |key: &str| contains(&self.service[key], &format!("{name}.service"));
        if self.spec.initializer.is_empty() {
            assert_eq!(unit, &Value::Null);
            assert!(!related("after") && !related(relation));
            return;
        }
        self.assert_command(unit, &self.spec.initializer);
        assert_eq!(unit["serviceConfig"]["Type"], "oneshot");
        assert_eq!(unit["serviceConfig"]["RemainAfterExit"], true);
        assert!(related("after") && related(relation), "{}", self.service);
        for same in ["User", "LoadCredential", "ReadWritePaths", "RuntimeDirectory", "MemoryMax"] {
            assert_eq!(unit["serviceConfig"][same], *self.config(same), "{same}");
        }
        assert_eq!(unit["environment"], self.service["environment"]);
        assert_eq!(unit["unitConfig"], self.service["unitConfig"]);
    }

    fn assert_env(&self) {
        let given = self.service["environment"].as_object().expect("variables");
        let plain: BTreeMap<&str, &str> = self
            .spec
            .env
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_literal()?)))
            .collect();
        let given: BTreeMap<&str, String> = given
            .iter()
            .filter(|(name, _)| *name != "PATH")
            .map(|(name, value)| (name.as_str(), value.as_str().expect("text").replace("%%", "%")))
            .collect();
        assert!(given.iter().map(|(k, v)| (*k, v.as_str())).eq(plain), "{given:?}");

        let credentials = self
            .secrets()
            .into_iter()
            .map(|name| json!(format!("{name}:/var/lib/deployix/secrets/{}/{name}", self.secrets)));
        let credentials: Vec<Value> = credentials.collect();
        let loaded = self.config("LoadCredential").as_array().cloned().unwrap_or_default();
        assert_eq!(loaded, credentials);
        let (printed, _) = self.run_wrapper();
        for (name, value) in self.spec.env.iter().filter(|(_, value)| value.as_literal().is_none())
        {
            let expected = format!("{name}={}", filled(value));
            assert!(printed.contains(&expected), "{expected} is not in {printed:?}");
        }
    }

    /// Runs what runs before the program, its paths moved to a folder of the test; gives the
    /// environment that the program gets, and the folder.
    fn run_wrapper(&self) -> (Vec<String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(wrapper) = &self.wrapper else { return (Vec::new(), folder) };
        let text = std::fs::read_to_string(wrapper).expect("a script");
        let text = text
            .replace(&format!("/run/deployix/{}", self.unit), &folder.path().display().to_string())
            .replace("/nix/store", &self.folder.stored("/nix/store").display().to_string());
        let credentials = tempfile::tempdir().expect("a folder");
        for name in self.secrets() {
            std::fs::write(credentials.path().join(&name), value_of(&name) + "\n")
                .expect("written");
        }
        let output = Command::new("bash")
            .args(["-c", &text, "prepare", "env", "-0"])
            .env("CREDENTIALS_DIRECTORY", credentials.path())
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        (printed.split('\0').map(str::to_owned).collect(), folder)
    }

    fn assert_files(&self) {
        let (_, written) = self.run_wrapper();
        let directory = format!("/run/deployix/{}/", self.unit);
        for (path, file) in &self.spec.files {
            let to = self.linked(path.as_str());
            let expected = match &file.body {
                FileBody::Text(text) => filled(text).into_bytes(),
                FileBody::Bytes(content) => content.bytes.to_vec(),
            };
            let found = match to.strip_prefix(&directory) {
                Some(name) => {
                    let found = written.path().join(name);
                    let mode = std::fs::metadata(&found).expect("a file").permissions().mode();
                    assert_eq!(mode & 0o7777, file.mode, "{path}");
                    found
                }
                // Everybody can read what is in the store.
                None => {
                    assert_eq!(file.mode & 0o444, 0o444, "{path}");
                    assert!(contains(&self.service["restartTriggers"], &to), "{to}");
                    self.folder.stored(&to)
                }
            };
            assert_eq!(std::fs::read(found).expect("a file"), expected, "{path}");
        }
        assert_eq!(*self.config("RuntimeDirectory"), format!("deployix/{}", self.unit));
        let outside = self.spec.files.keys().map(|path| path.as_str());
        let outside: Vec<&str> = outside.filter(|path| !path.starts_with("/etc/")).collect();
        let asserted = &self.service["unitConfig"]["AssertPathIsSymbolicLink"];
        let asserted = asserted.as_array().cloned().unwrap_or_default();
        assert!(asserted.iter().eq(&outside), "{asserted:?}");
    }

    /// Where a path leads.
    fn linked(&self, path: &str) -> String {
        if let Some(below) = path.strip_prefix("/etc/") {
            let source = &self.settings["environment"]["etc"][below]["source"];
            return source.as_str().expect("a path").to_owned();
        }
        let link = format!("/etc/deployix/files{path}");
        let mut rules = self.rules().into_iter();
        let rule = rules.find(|rule| rule[0] == "L" && rule[1] == path);
        // Where a link leads is the rest of the line.
        let rule = rule.unwrap_or_else(|| panic!("nothing leads to {path}"));
        assert_eq!(rule[6..].join(" "), link);
        self.linked(&link)
    }

    fn rules(&self) -> Vec<Vec<String>> {
        let rules = self.settings["systemd"]["tmpfiles"]["rules"].as_array().expect("rules");
        rules.iter().map(|rule| words(rule.as_str().expect("a rule"))).collect()
    }

    fn assert_endpoints(&self) {
        let sockets = self.settings["systemd"]["sockets"].as_object().expect("sockets");
        let mine: BTreeMap<&str, &Value> = sockets
            .values()
            .filter(|socket| socket["socketConfig"]["Service"] == format!("{}.service", self.unit))
            .map(|socket| {
                (socket["socketConfig"]["FileDescriptorName"].as_str().expect("a name"), socket)
            })
            .collect();
        if !self.spec.on_demand {
            assert!(mine.is_empty(), "{mine:?}");
            let low = self.spec.endpoints.values().any(|endpoint| endpoint.port.get() < 1024);
            assert_eq!(*self.config("AmbientCapabilities") == "CAP_NET_BIND_SERVICE", low);
            return;
        }
        assert!(mine.keys().copied().eq(self.spec.endpoints.keys().map(AsRef::as_ref)));
        for (name, endpoint) in &self.spec.endpoints {
            let port = json!([endpoint.port.to_string()]);
            let (streams, datagrams) = match endpoint.protocol {
                Protocol::Tcp => (port, json!([])),
                Protocol::Udp => (json!([]), port),
            };
            let socket = mine[name.as_ref()];
            assert_eq!(socket["listenStreams"], streams);
            assert_eq!(socket["listenDatagrams"], datagrams);
            assert_eq!(socket["before"], json!(["deployix-on-demand.target"]));
            assert!(contains(&socket["wantedBy"], "deployix-on-demand.target"));
        }
    }

    fn assert_state(&self) {
        let paths: Vec<&str> = self.spec.state.iter().map(|path| path.as_str()).collect();
        let writable = self.config("ReadWritePaths").as_str().map(words).unwrap_or_default();
        assert_eq!(writable, paths);
        for path in paths {
            let expected = ["d", path, "0700", &self.user, &self.user, "-"];
            assert!(self.rules().iter().any(|rule| *rule == expected), "{expected:?}");
        }
    }

    fn assert_user(&self) {
        assert_eq!(
            (self.config("User"), self.config("Group")),
            (&json!(self.user), &json!(self.user))
        );
        let (user, group) = (
            &self.settings["users"]["users"][&self.user],
            &self.settings["users"]["groups"][&self.user],
        );
        assert_eq!(user["group"], self.user);
        assert!(user["uid"].as_u64() > Some(1000) && user["uid"] == group["gid"], "{user} {group}");
    }

    fn assert_readiness(&self) {
        let script = self.config("ExecStartPost").as_str().map(|command| {
            let path = self.folder.stored(words(command).last().expect("a script"));
            std::fs::read_to_string(path).expect("a script")
        });
        let simple = if self.spec.schedule.is_some() { "oneshot" } else { "exec" };
        let Some(readiness) = &self.spec.readiness else {
            assert_eq!((self.config("Type"), script), (&json!(simple), None));
            return;
        };
        assert_eq!(*self.config("TimeoutStartSec"), readiness.within.to_string());
        let port = |name: &Name| self.spec.endpoints[name].port;
        let expected = match &readiness.probe {
            Probe::Notify => {
                assert_eq!(*self.config("Type"), "notify");
                assert_eq!((self.config("NotifyAccess"), script), (&json!("main"), None));
                return;
            }
            Probe::Tcp(name) => vec![format!("/dev/tcp/127.0.0.1/{}", port(name))],
            Probe::Http { endpoint, path } => {
                let scheme = self.spec.endpoints[endpoint].scheme.as_deref();
                let scheme = scheme.filter(|scheme| *scheme == "https").unwrap_or("http");
                vec![format!("{scheme}://127.0.0.1:{}{path}", port(endpoint))]
            }
            Probe::Command(command) => {
                command.iter().map(|word| literal(word).replace('\'', "'\\''")).collect()
            }
        };
        let script = script.expect("a probe");
        for expected in expected {
            assert!(script.contains(&expected), "{expected} is not in {script}");
        }
        assert_eq!(*self.config("Type"), "exec");
    }

    fn assert_on_demand(&self) {
        let by_itself = !self.spec.on_demand && self.spec.schedule.is_none();
        let wanted_by = self.group.as_deref().unwrap_or("multi-user.target");
        assert_eq!(contains(&self.service["wantedBy"], wanted_by), by_itself);
        for key in ["after", "wants"] {
            assert!(contains(&self.service[key], "deployix-on-demand.target"));
        }
        let restart = self.config("Restart").as_str();
        let expected = match (by_itself, self.spec.on_demand) {
            (true, _) => Some("always"),
            (false, true) => Some("on-failure"),
            (false, false) => None,
        };
        assert_eq!(restart, expected);
    }

    fn assert_schedule(&self) {
        let timer = &self.settings["systemd"]["timers"][&self.unit];
        assert_eq!(self.service["restartIfChanged"], self.spec.schedule.is_none());
        let Some(schedule) = &self.spec.schedule else {
            assert_eq!(timer, &Value::Null);
            return;
        };
        assert_eq!(timer["timerConfig"]["OnCalendar"], schedule.on_calendar());
        assert_eq!(timer["timerConfig"]["Persistent"], true);
        assert_eq!(timer["wantedBy"], json!(["timers.target"]));
    }

    fn assert_limits(&self) {
        let quota = self.config("CPUQuota").as_str().map(|quota| {
            let percent: f64 = quota.trim_end_matches('%').parse().expect("a number");
            (percent * 10.0).round()
        });
        assert_eq!(quota, self.spec.limits.cpus.map(|cpus| f64::from(cpus.0)));
        let memory = self.config("MemoryMax").as_str().map(|memory| memory.parse().expect("bytes"));
        assert_eq!(memory, self.spec.limits.memory.map(|memory| memory.0));
    }

    fn assert_stop(&self) {
        assert_eq!(*self.config("KillSignal"), self.spec.stop.signal.as_str());
        assert_eq!(*self.config("TimeoutStopSec"), self.spec.stop.within.to_string());
    }
}

fn contains(list: &Value, item: &str) -> bool {
    list.as_array().is_some_and(|items| items.iter().any(|other| other == item))
}

fn literal(text: &Template) -> &str {
    text.as_literal().expect("all holes are filled in")
}

/// A text with the values of its secrets.
fn filled(text: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Secret(name) => value_of(name.as_ref()),
        other => panic!("{other:?}"),
    };
    text.parts().iter().map(part).collect()
}

fn value_of(secret: &str) -> String {
    format!("the value of '{secret}' $x")
}

/// A command line or list as systemd reads it: systemd.service(5), "Command lines", and
/// systemd.syntax(7), "Quoting".
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    // With `:` before the program, `$` means nothing.
    let mut chars = line.strip_prefix(':').unwrap_or(line).chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(match chars.next().expect("an escape") {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&digits, 16).expect("digits"))
                }
                other => other,
            }),
            '%' => {
                assert_eq!(chars.next(), Some('%'), "a specifier in {line}");
                word.get_or_insert_default().push('%');
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
