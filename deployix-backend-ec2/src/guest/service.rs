//! One program as systemd units and the files beside them.

use deployix_core::{
    AbsolutePath, Digest, Name,
    backend::{CompileError, Remark, Unit},
    spec::{FileBody, Probe, Protocol, ServiceSpec, Shipped, Template},
};

use super::{HOME, RUNTIME, SECRETS, STATE, script, secret};
use crate::user_data::{
    cloud_config::{Content, WriteFile},
    text::Text,
    unit_file::{Command, Setting, UnitFile},
};

/// What one program needs on its machine.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Files to write before anything starts.
    pub(super) files: Vec<WriteFile>,
    /// Units to enable.
    pub(super) units: Vec<String>,
    /// Its user, with the number it gets where nobody made it before.
    pub(super) user: String,
    /// Directories that are its user's.
    pub(super) state: Vec<AbsolutePath>,
    /// Files that are its user's.
    pub(super) owned: Vec<AbsolutePath>,
}

/// What programs find on their machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground {
    /// A disk for state.
    pub(super) state_disk: bool,
    /// Secrets that a unit fetches.
    pub(super) fetches_secrets: bool,
}

/// Where a program's `PATH` ends.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Compiles one program of a unit.
pub(super) fn program(
    unit: &Unit<'_>,
    member: Option<&Name>,
    service: &ServiceSpec,
    ground: Ground,
) -> Result<Program, CompileError> {
    let name = match member {
        Some(member) => format!("{}-{member}", unit.name),
        None => unit.name.to_string(),
    };
    let builder = Builder { unit, member, service, name, ground };
    let reasons = builder.unsupported();
    if reasons.is_empty() { builder.build() } else { Err(CompileError { reasons }) }
}

/// The user of a service that names none: one of its own name, in the form of users' names.
fn user_of(unit: &Unit<'_>, service: &ServiceSpec) -> String {
    if let Some(user) = &service.user {
        return user.as_str().to_owned();
    }
    let name = unit.name.as_str();
    let valid = name.len() <= 31 && !name.starts_with(|c: char| c.is_ascii_digit());
    if valid {
        return name.to_owned();
    }
    let digest = Digest::of_bytes(name.as_bytes()).to_string();
    format!("d-{}-{}", name.get(..20.min(name.len())).unwrap_or_default(), &digest[..8])
}

struct Builder<'a, 'b> {
    unit: &'a Unit<'b>,
    member: Option<&'a Name>,
    service: &'a ServiceSpec,
    name: String,
    ground: Ground,
}

type Settings = Vec<(&'static str, Setting)>;

impl Builder<'_, '_> {
    fn keys<'k>(&'k self, rest: &[&'k str]) -> Vec<&'k str> {
        let top = match self.member {
            Some(member) => vec!["group", member.as_str()],
            None => vec!["service"],
        };
        top.into_iter().chain(rest.iter().copied()).collect()
    }

    /// What a plain machine cannot do.
    fn unsupported(&self) -> Vec<Remark> {
        let mut reasons = Vec::new();
        let software = &self.service.software;
        if self.service.start.is_empty() {
            let message = "it says no command to start, which only a ready image could know";
            reasons.push(
                Remark::new(self.keys(&["start"]), message)
                    .remedy("add `start`, or set `guest = \"docker\"` on the target"),
            );
        }
        let elsewhere = software.image.is_some() || !software.nix.is_empty();
        if elsewhere && software.debian.is_empty() && software.path.is_none() {
            let message = "the target's machines are plain Debian ones, and its software is only \
                           said for others";
            reasons.push(Remark::new(self.keys(&["software"]), message).remedy(
                "add `software.debian` or `software.path`, or set `guest` on the target to `docker` \
                 or `nixos`",
            ));
        }
        for path in self.service.files.keys() {
            let inside = |folder: &&AbsolutePath| path.as_str().starts_with(&format!("{folder}/"));
            if let Some(folder) = self.service.state.iter().find(inside) {
                let message = format!(
                    "{path} is below {folder}, whose contents come from a disk of their own"
                );
                reasons.push(
                    Remark::new(self.keys(&["files", path.as_str()]), message)
                        .remedy("put the file elsewhere, such as below /etc"),
                );
            }
        }
        reasons
    }

    fn build(self) -> Result<Program, CompileError> {
        let user = user_of(self.unit, self.service);
        let mut program = Program { user: user.clone(), ..Program::default() };
        program.state = self.service.state.iter().cloned().collect();
        self.files(&mut program)?;
        let unit = self.service_unit(&user)?;
        let service_name = format!("deployix-{}.service", self.name);
        program.files.push(text_file(&format!("/etc/systemd/system/{service_name}"), 0o644, unit)?);
        if let Some(schedule) = &self.service.schedule {
            let timer = UnitFile::default()
                .section("Unit", [("Description", self.description("when to run"))])
                .section(
                    "Timer",
                    [
                        ("OnCalendar", Setting::word(schedule.on_calendar())),
                        ("Persistent", Setting::word("yes")),
                        ("AccuracySec", Setting::word("1s")),
                    ],
                )
                .section("Install", [("WantedBy", Setting::word("timers.target"))]);
            program.units.push(self.beside(&mut program.files, "timer", &timer)?);
        } else if self.service.on_demand {
            let listen = self.service.endpoints.values().map(|endpoint| {
                let key = match endpoint.protocol {
                    Protocol::Tcp => "ListenStream",
                    Protocol::Udp => "ListenDatagram",
                };
                (key, Setting::word(endpoint.port.to_string()))
            });
            let socket = UnitFile::default()
                .section("Unit", [("Description", self.description("sockets"))])
                .section("Socket", listen)
                .section("Install", [("WantedBy", Setting::word("sockets.target"))]);
            program.units.push(self.beside(&mut program.files, "socket", &socket)?);
        } else {
            program.units.push(service_name);
        }
        Ok(program)
    }

    fn beside(
        &self,
        files: &mut Vec<WriteFile>,
        kind: &str,
        unit: &UnitFile,
    ) -> Result<String, CompileError> {
        let name = format!("deployix-{}.{kind}", self.name);
        files.push(text_file(&format!("/etc/systemd/system/{name}"), 0o644, unit.print())?);
        Ok(name)
    }

    fn description(&self, what: &str) -> Setting {
        Setting::Text(format!("{} of {}: {what}", self.name, self.unit.deployment))
    }

    /// Where its own files are.
    fn home(&self) -> String {
        format!("{HOME}/{}", self.name)
    }

    /// What of it has secrets in it.
    fn secret(&self) -> script::Secret<'_> {
        let variables = self.service.env.iter().filter(|(_, value)| script::has_secret(value));
        let files = self.service.files.iter().filter_map(|(path, file)| match &file.body {
            FileBody::Text(text) if script::has_secret(text) => Some((path, file, text)),
            _ => None,
        });
        script::Secret { variables: variables.collect(), files: files.collect() }
    }

    /// The file with the variables that have secrets in them.
    fn environment_file(&self) -> String {
        format!("{RUNTIME}/{}.env", self.name)
    }

    fn files(&self, program: &mut Program) -> Result<(), CompileError> {
        for (path, file) in &self.service.files {
            let content = match &file.body {
                FileBody::Bytes(content) => Content::from(&*content.bytes),
                FileBody::Text(text) => match text.as_literal() {
                    Some(text) => Content::Text(Text::from(text)),
                    None => continue,
                },
            };
            let mode = file.mode;
            program.files.push(WriteFile { path: path.clone(), mode, append: false, content });
            program.owned.push(path.clone());
        }
        let home = self.home();
        if let Some(shipped) = &self.service.software.path {
            for (path, file) in &shipped.files {
                let mode = if file.executable { 0o755 } else { 0o644 };
                let path = absolute(&format!("{}/{path}", shipped_at(shipped)?))?;
                let content = Content::from(&*file.bytes);
                program.files.push(WriteFile { path, mode, append: false, content });
            }
        }
        let own = self.secret();
        if !own.is_empty() {
            let owner = format!("{0}:{0}", program.user);
            let folder = if self.ground.fetches_secrets { secret::FOLDER } else { SECRETS };
            let text = own.script(folder, &self.environment_file(), &owner);
            program.files.push(text_file(&format!("{home}/secrets"), 0o700, text)?);
        }
        Ok(())
    }

    fn service_unit(&self, user: &str) -> Result<String, CompileError> {
        let mut unit: Settings = vec![
            ("Description", self.description("service")),
            ("Wants", Setting::word("network-online.target")),
            ("After", Setting::word("network-online.target")),
        ];
        if self.ground.state_disk && !self.service.state.is_empty() {
            unit.push(("Requires", Setting::word("deployix-state.service")));
            unit.push(("After", Setting::word("deployix-state.service")));
        }
        if self.ground.fetches_secrets && !self.secret().is_empty() {
            unit.push(("Requires", Setting::word(secret::SERVICE)));
            unit.push(("After", Setting::word(secret::SERVICE)));
        }
        let mut printed = UnitFile::default()
            .section("Unit", unit)
            .section("Service", [self.process()?, self.surroundings(user)?].concat());
        if self.service.schedule.is_none() && !self.service.on_demand {
            let wanted = Setting::word("multi-user.target");
            printed = printed.section("Install", [("WantedBy", wanted)]);
        }
        if !self.service.endpoints.is_empty() {
            printed = printed.section("X-Deployix", self.service.endpoints.iter().map(endpoint));
        }
        Ok(printed.print())
    }

    /// What runs, when it counts as started, and how it is stopped.
    fn process(&self) -> Result<Settings, CompileError> {
        let mut settings = Settings::new();
        let oneshot = self.service.schedule.is_some();
        let probe = self.service.readiness.as_ref();
        let kind = match probe.map(|readiness| &readiness.probe) {
            _ if oneshot => "oneshot",
            Some(Probe::Notify) => "notify",
            _ => "exec",
        };
        settings.push(("Type", Setting::word(kind)));
        let home = self.home();
        if !self.secret().is_empty() {
            let command = self.command(&["env"], [format!("{home}/secrets")])?;
            settings.push(("ExecStartPre", Setting::Command(command.privileged())));
        }
        if !self.service.initializer.is_empty() {
            let command = self.program_command("initializer", &self.service.initializer)?;
            settings.push(("ExecStartPre", Setting::Command(command)));
        }
        let start = self.program_command("start", &self.service.start)?;
        settings.push(("ExecStart", Setting::Command(start)));
        if let Some(readiness) = probe.filter(|_| !oneshot) {
            let seconds = readiness.within.as_seconds();
            if let Some(test) = self.probe(&readiness.probe)? {
                let words = [format!("{HOME}/ready"), seconds.to_string()];
                let words = words.into_iter().chain(test);
                let command = self.command(&["readiness"], words)?;
                settings.push(("ExecStartPost", Setting::Command(command)));
            }
        }
        // An initializer may take its time; where there is none, the start has to be done in it.
        let limit = match probe {
            Some(readiness) if self.service.initializer.is_empty() => {
                format!("{}s", readiness.within.as_seconds().saturating_add(5))
            }
            _ => "infinity".to_owned(),
        };
        settings.push(("TimeoutStartSec", Setting::word(limit)));
        if !oneshot {
            // What is started on demand may end when it has nothing more to do.
            let restart = if self.service.on_demand { "on-failure" } else { "always" };
            settings.push(("Restart", Setting::word(restart)));
            settings.push(("RestartSec", Setting::word("2s")));
        }
        let stop = &self.service.stop;
        settings.push(("KillSignal", Setting::word(stop.signal.as_str())));
        settings.push(("TimeoutStopSec", Setting::word(stop.within.to_string())));
        Ok(settings)
    }

    /// A probe as arguments of the script that waits for it.
    fn probe(&self, probe: &Probe) -> Result<Option<Vec<String>>, CompileError> {
        let port = |endpoint: &Name| {
            let found = self.service.endpoints.get(endpoint);
            found.map(|endpoint| endpoint.port.to_string()).unwrap_or_default()
        };
        Ok(match probe {
            Probe::Notify => None,
            Probe::Tcp(endpoint) => Some(vec!["tcp".to_owned(), port(endpoint)]),
            Probe::Http { endpoint, path } => {
                Some(vec!["http".to_owned(), port(endpoint), path.clone()])
            }
            Probe::Command(words) => {
                let command = self.program_command("readiness", words)?;
                Some(["command".to_owned()].into_iter().chain(command.words).collect())
            }
        })
    }

    /// A command of the spec, with its environment.
    fn program_command(&self, key: &str, words: &[Template]) -> Result<Command, CompileError> {
        let mut command = Vec::new();
        let words: Vec<_> =
            words.iter().map(|word| word.as_literal().unwrap_or_default().to_owned()).collect();
        // systemd itself looks for a bare name in a few folders of its own, and not on `PATH`.
        if words.first().is_some_and(|program| !program.contains('/')) {
            command.extend(["/usr/bin/env".to_owned(), "--".to_owned()]);
        }
        self.command(&[key], command.into_iter().chain(words))
    }

    fn command(
        &self,
        keys: &[&str],
        words: impl IntoIterator<Item = String>,
    ) -> Result<Command, CompileError> {
        Command::new(words).map_err(|error| {
            Remark::new(self.keys(keys), format!("the command cannot be a unit's: {error}"))
                .remedy("write the program by its path or name")
                .into()
        })
    }

    /// Its user, environment, limits, and all that it is kept from.
    fn surroundings(&self, user: &str) -> Result<Settings, CompileError> {
        let word = |key, value: &str| (key, Setting::word(value));
        let mut settings: Settings = vec![word("User", user), word("Group", user)];
        settings.push((
            "Environment",
            Setting::Environment { name: "PATH".into(), value: self.path()? },
        ));
        for (name, value) in &self.service.env {
            if let Some(text) = value.as_literal() {
                let (name, value) = (name.as_str().to_owned(), text.to_owned());
                settings.push(("Environment", Setting::Environment { name, value }));
            }
        }
        if !self.secret().variables.is_empty() {
            // Not there yet for the first command, which makes it; that fails where a secret does.
            let file = format!("-{}", self.environment_file());
            settings.push(("EnvironmentFile", Setting::Word(file)));
        }
        if self.ground.state_disk {
            let bind = |path: &AbsolutePath| format!("{STATE}{path}:{path}");
            let binds: Vec<_> = self.service.state.iter().map(bind).collect();
            if !binds.is_empty() {
                settings.push(("BindPaths", Setting::Paths(binds)));
            }
        }
        let writable: Vec<_> = self.service.state.iter().map(ToString::to_string).collect();
        if !writable.is_empty() {
            settings.push(("ReadWritePaths", Setting::Paths(writable)));
        }
        if let Some(cpus) = self.service.limits.cpus {
            settings.push(word("CPUQuota", &percent(cpus.0)));
        }
        if let Some(memory) = self.service.limits.memory {
            settings.push(word("MemoryMax", &memory.0.to_string()));
        }
        // Ports below 1024 are the only thing here that needs a capability (capabilities(7)).
        let low = self.service.endpoints.values().any(|endpoint| endpoint.port.get() < 1024);
        let capabilities = if low { "CAP_NET_BIND_SERVICE" } else { "" };
        settings.push(word("CapabilityBoundingSet", capabilities));
        settings.push(word("AmbientCapabilities", capabilities));
        settings.extend(HARDENING.iter().map(|(key, value)| word(key, value)));
        Ok(settings)
    }

    fn path(&self) -> Result<String, CompileError> {
        let Some(shipped) = &self.service.software.path else { return Ok(PATH.to_owned()) };
        let files = shipped_at(shipped)?;
        let bin = shipped.files.keys().any(|path| path.as_str().starts_with("bin/"));
        Ok(if bin { format!("{files}/bin:{files}:{PATH}") } else { format!("{files}:{PATH}") })
    }
}

/// Where shipped files are. The folder is named by what is in it, so programs of one repository,
/// which often ship the same, share it.
fn shipped_at(shipped: &Shipped) -> Result<String, CompileError> {
    let digest = Digest::of(shipped)
        .map_err(|error| Remark::new(["service", "software", "path"], error.to_string()))?;
    Ok(format!("{HOME}/files/{}", digest.short()))
}

/// Where it listens, for people and tools that look at the machine; systemd passes over sections
/// whose names start with `X-` (systemd.unit(5)).
fn endpoint((name, endpoint): (&Name, &deployix_core::spec::Endpoint)) -> (&'static str, Setting) {
    ("Endpoint", Setting::word(format!("{name} {}/{}", endpoint.port, endpoint.protocol)))
}

/// What no service needs unless it says so (systemd.exec(5)).
const HARDENING: &[(&str, &str)] = &[
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("UMask", "0027"),
];

/// Thousandths of a processor as percent of one.
fn percent(milli: u32) -> String {
    match (milli / 10, milli % 10) {
        (whole, 0) => format!("{whole}%"),
        (whole, tenth) => format!("{whole}.{tenth}%"),
    }
}

pub(super) fn absolute(path: &str) -> Result<AbsolutePath, CompileError> {
    AbsolutePath::new(path).map_err(|error| Remark::new(["service"], error.to_string()).into())
}

pub(super) fn text_file(
    path: &str,
    mode: u32,
    text: impl Into<Text>,
) -> Result<WriteFile, CompileError> {
    Ok(WriteFile {
        path: absolute(path)?,
        mode,
        append: false,
        content: Content::Text(text.into()),
    })
}
