//! One program of a functionality: every field of its spec honoured, refused or remarked on.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    AbsolutePath, Digest, Name, RelativePath,
    backend::{Remark, Unit},
    spec::{
        Endpoint, FileBody, FileContent, FileSpec, Probe, Readiness, ServiceSpec, Template,
        UserName,
    },
};

use crate::{
    compose::Healthcheck,
    dockerfile::image_reference,
    extension::{DockerFunctionality, DockerTarget},
    image::{Baked, Image, Software, USER_ID, shipped_folders},
    naming, probe,
    script::{self, HOME, RECORD, RENDERED, Start, StartContent, StartFile},
    shell::{Part, Word},
};

/// Linux gives a single argument or variable no more room than this, its final NUL included
/// (`MAX_ARG_STRLEN`, execve(2)).
const LONGEST_ARGUMENT: usize = 128 * 1024;

/// Directories that are mounted over when a container starts, so that an image cannot put files
/// there.
const IN_MEMORY: [&str; 3] = ["/tmp", "/run", "/var/run"];

/// Paths that belong to the engine and the kernel.
const NOT_OURS: [&str; 6] =
    ["/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// Milliseconds between two health checks. The first comes after as many, and whoever waits for this
/// one waits for that; each check starts a process, so it is not sooner.
const CHECK_EVERY: u64 = 2_000;
/// Milliseconds after which a check has failed.
const CHECK_WITHIN: u64 = 5_000;

/// A program, ready to be written down.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) member: Option<&'a Name>,
    pub(crate) spec: &'a ServiceSpec,
    /// The build context's folder, below the target's.
    pub(crate) folder: String,
    /// The build context.
    pub(crate) context: BTreeMap<RelativePath, FileContent>,
    /// What the image is called.
    pub(crate) image: String,
    /// Who it runs as, where not as the image's own user.
    pub(crate) user: Option<String>,
    /// Variables without secrets.
    pub(crate) environment: BTreeMap<String, String>,
    /// The whole command that runs before the first start.
    pub(crate) initializer: Vec<String>,
    /// Directories kept in volumes.
    pub(crate) state: Vec<AbsolutePath>,
    /// Secrets that are mounted.
    pub(crate) secrets: Vec<String>,
    pub(crate) healthcheck: Option<Healthcheck>,
}

/// Lowers a program, adding to the problems and remarks.
pub(crate) fn lower<'a>(
    unit: &Unit<'a>,
    member: Option<&'a Name>,
    spec: &'a ServiceSpec,
    settings: &DockerFunctionality,
    target: &DockerTarget,
    notes: &mut Notes,
) -> Option<Program<'a>> {
    let problems_before = notes.problems.len();
    notes.member = member.cloned();
    let program = Lowering { unit, spec, settings, target, notes: &mut *notes }.lower(member);
    program.filter(|_| notes.problems.len() == problems_before)
}

/// What there is to say about a functionality.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    member: Option<Name>,
    /// Why it cannot be compiled.
    pub(crate) problems: Vec<Remark>,
    /// What is other than one might expect.
    pub(crate) remarks: Vec<Remark>,
}

impl Notes {
    /// The keys that lead to a field of the program in hand.
    fn keys(&self, field: &[&str]) -> Vec<String> {
        let top = match &self.member {
            Some(member) => vec!["group".to_owned(), member.to_string()],
            None => vec!["service".to_owned()],
        };
        top.into_iter().chain(field.iter().map(|&key| key.to_owned())).collect()
    }

    fn refuse(&mut self, field: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Remark::new(self.keys(field), message).remedy(remedy));
    }

    fn remark(&mut self, field: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.remarks.push(Remark::new(self.keys(field), message).remedy(remedy));
    }
}

struct Lowering<'a, 'n> {
    unit: &'n Unit<'a>,
    spec: &'a ServiceSpec,
    settings: &'n DockerFunctionality,
    target: &'n DockerTarget,
    notes: &'n mut Notes,
}

impl<'a> Lowering<'a, '_> {
    fn lower(&mut self, member: Option<&'a Name>) -> Option<Program<'a>> {
        let spec = self.spec;
        if spec.on_demand {
            self.notes.refuse(
                &["on-demand"],
                "Docker cannot open a container's sockets before its program runs",
                "set overrides.docker.on-demand = false if the program can open them itself, or \
                 place it on a target of another backend",
            );
        }
        let start = self.argv("start", &spec.start);
        let initializer = self.argv("initializer", &spec.initializer);
        let software = self.software();
        let user = self.user();
        let mut work = Start {
            secrets: secrets(spec).into_iter().map(ToString::to_string).collect(),
            ..Start::default()
        };
        let environment = self.environment(&mut work);
        let (baked, links) = self.files(&mut work);
        let schedule_script = self.schedule();
        let (healthcheck, ready_script) = self.healthcheck().unzip();

        let ready_image = matches!(software, Some(Software::Ready(_)));
        if start.is_empty() && !(ready_image && work.is_empty() && schedule_script.is_none()) {
            self.notes.refuse(
                &["start"],
                if ready_image {
                    "the image's own command is not known here, and something has to be done \
                     around it: a secret, a file or a schedule"
                } else {
                    "there is nothing to start"
                },
                "say the command line in `start`",
            );
        }
        if ready_image && !(work.is_empty() && schedule_script.is_none()) {
            self.notes.remark(
                &["software", "image"],
                "a script in the container fills in secrets and files and runs schedules, so the \
                 image needs a POSIX shell with cat, mkdir, rm and chmod",
                "use an image that has them, or software.debian",
            );
        }
        let mut directories: Vec<(String, u32)> = match user {
            None => Vec::new(),
            Some(_) => spec.state.iter().map(|path| (path.to_string(), 0o700)).collect(),
        };
        let mut state: Vec<AbsolutePath> = spec.state.iter().cloned().collect();
        if schedule_script.is_some() {
            directories.push((RECORD.to_owned(), if user.is_some() { 0o700 } else { 0o1777 }));
            state.extend(AbsolutePath::new(RECORD).ok());
        }
        if user.is_none() && !spec.state.is_empty() {
            self.notes.remark(
                &["state"],
                "the image's own user is not known here, so its directories are left as the image \
                 has them",
                "make sure that the image's user owns them there",
            );
        }
        let scripted = !work.is_empty();
        let image = Image {
            functionality: self.unit.name,
            base_image: &self.target.base_image,
            from: software?,
            user: user.as_deref(),
            shipped: spec.software.path.as_ref().map(|shipped| &shipped.files),
            entrypoint: command(scripted, schedule_script.is_some(), &start),
            scripts: [
                ("start", scripted.then(|| work.print())),
                ("schedule", schedule_script),
                (probe::FILE, ready_script.flatten().map(str::to_owned)),
            ]
            .into_iter()
            .filter_map(|(name, script)| Some((name, script?)))
            .collect(),
            files: baked,
            links,
            directories,
            endpoints: spec.endpoints.values().collect(),
            stop_signal: spec.stop.signal,
        };
        let context = match image.context() {
            Ok(context) => context,
            Err(problem) => {
                self.notes.problems.push(problem);
                return None;
            }
        };
        let folder = naming::folder(self.unit.name, member);
        // File contents and paths always serialize.
        let contents = Digest::of(&context).unwrap_or_else(|_| Digest::of_bytes(b""));
        Some(Program {
            member,
            spec,
            image: naming::image(self.unit.deployment, &folder, contents),
            folder,
            context,
            user,
            environment,
            initializer: command(scripted, false, &initializer),
            state,
            secrets: work.secrets,
            healthcheck,
        })
    }

    fn argv(&mut self, field: &'static str, argv: &[Template]) -> Vec<String> {
        let mut arguments = Vec::with_capacity(argv.len());
        for (at, argument) in argv.iter().enumerate() {
            match argument.as_literal() {
                Some(text) if text.len() >= LONGEST_ARGUMENT => {
                    self.too_long(&[field, &at.to_string()])
                }
                Some(text) if text.contains('\0') => self.nul(&[field, &at.to_string()]),
                Some(text) => arguments.push(text.to_owned()),
                None => self.notes.refuse(
                    &[field, &at.to_string()],
                    "a value that is filled in at the start cannot stand in a command line",
                    "hand it on in `env` or `files`",
                ),
            }
        }
        arguments
    }

    fn too_long(&mut self, field: &[&str]) {
        self.notes.refuse(
            field,
            "Linux gives one argument or variable at most 128 KiB",
            "put the text in `files`",
        );
    }

    fn nul(&mut self, field: &[&str]) {
        self.notes.refuse(
            field,
            "no argument, variable or file name can hold a NUL byte",
            "leave it out, or ship a file with it in software.path",
        );
    }

    fn software(&mut self) -> Option<Software<'a>> {
        let software = &self.spec.software;
        if let Some(image) = &software.image {
            return match image_reference(image) {
                Ok(image) => Some(Software::Ready(image)),
                Err(error) => {
                    self.notes.refuse(
                        &["software", "image"],
                        error.to_string(),
                        "write NAME:TAG or NAME@sha256:DIGEST",
                    );
                    None
                }
            };
        }
        if software.debian.is_empty() && software.path.is_none() && !software.nix.is_empty() {
            self.notes.refuse(
                &["software", "nix"],
                "its software is known for Nix alone",
                "add software.debian or software.image, or place it on a NixOS target",
            );
            return None;
        }
        for package in &software.debian {
            if !is_package(package) {
                self.notes.refuse(
                    &["software", "debian"],
                    format!("{package:?} is not a package such as `python3` or `python3=3.11.2-1`"),
                    "name Debian packages, one each",
                );
            }
        }
        let named = self.spec.user.as_ref().map(UserName::as_str);
        if named == Some("root") {
            self.notes.refuse(
                &["user"],
                "programs do not run as root",
                "name another user; a port below 1024 needs none",
            );
        }
        let own = UserName::new(self.unit.name.as_str()).map(|_| self.unit.name.as_str());
        let home = self.spec.state.iter().next().map(AbsolutePath::as_str);
        Some(Software::Packages {
            packages: &software.debian,
            user: named.unwrap_or(own.unwrap_or("app")).to_owned(),
            home: home.filter(|home| !home.contains(':')).unwrap_or("/nonexistent"),
        })
    }

    fn user(&mut self) -> Option<String> {
        let own = Some(USER_ID.to_owned());
        let ready_image = self.spec.software.image.is_some();
        match &self.settings.user {
            Some(user) if !ready_image => {
                self.notes.problems.push(
                    Remark::new(
                        ["extensions", "docker", "user"],
                        format!("`{user}` is for ready images; this one's user is made"),
                    )
                    .remedy("name the user in service.user"),
                );
                own
            }
            Some(user) if user == "image" => None,
            Some(user) => {
                let part = |part: &str| {
                    !part.is_empty()
                        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
                };
                let (name, group) = user.split_once(':').unwrap_or((user, "0"));
                if !part(name) || !part(group) {
                    self.notes.problems.push(
                        Remark::new(
                            ["extensions", "docker", "user"],
                            format!("{user:?} is neither `image` nor a user, or user:group"),
                        )
                        .remedy("write a name or number that the image knows, such as `1000:1000`"),
                    );
                }
                if matches!(name, "root" | "0") {
                    self.notes.remarks.push(Remark::new(
                        ["extensions", "docker", "user"],
                        "it runs as root inside its container",
                    ));
                }
                Some(user.clone())
            }
            None => {
                if ready_image && let Some(user) = &self.spec.user {
                    let message = format!(
                        "it runs as {USER_ID} and not as `{user}`: which users a ready image \
                         knows is not known here"
                    );
                    let remedy =
                        format!("set extensions.docker.user = \"{user}\" if the image knows it");
                    self.notes.remark(&["user"], message, remedy);
                }
                own
            }
        }
    }

    /// The variables that need no work at the start; the others are added to it.
    fn environment(&mut self, work: &mut Start) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        // What is shipped along comes first, whatever the service's own PATH is.
        let first = self.spec.software.path.as_ref().map(|_| shipped_folders().join(":") + ":");
        for (name, value) in &self.spec.env {
            let name = name.as_str();
            let prefix = first.as_deref().filter(|_| name == "PATH").unwrap_or_default();
            match value.as_literal() {
                Some(text) if name.len() + prefix.len() + text.len() + 1 >= LONGEST_ARGUMENT => {
                    self.too_long(&["env", name]);
                }
                Some(text) if text.contains('\0') => self.nul(&["env", name]),
                Some(text) => {
                    environment.insert(name.to_owned(), format!("{prefix}{text}"));
                }
                None => {
                    if let Some(mut word) = self.word(value, &["env", name]) {
                        word.0.insert(0, Part::Text(prefix.to_owned()));
                        work.variables.push((name.to_owned(), word));
                    }
                }
            }
        }
        environment
    }

    fn word(&mut self, value: &Template, field: &[&str]) -> Option<Word> {
        let literals = value.parts().iter();
        let nul = literals.clone().any(
            |part| matches!(part, deployix_core::spec::Part::Literal(text) if text.contains('\0')),
        );
        if nul {
            self.nul(field);
            return None;
        }
        match script::word(value) {
            Ok(word) => Some(word),
            Err(hole) => {
                self.notes.refuse(
                    field,
                    format!("{hole} cannot be filled in when a container starts"),
                    "write the value, or keep it in a secret",
                );
                None
            }
        }
    }

    /// The files that the image holds, and the links to those that are written at the start.
    fn files(&mut self, work: &mut Start) -> (Vec<Baked>, Vec<(String, String)>) {
        let (mut baked, mut links) = (Vec::new(), Vec::new());
        for (index, (path, file)) in self.spec.files.iter().enumerate() {
            let field = ["files", path.as_str()];
            if NOT_OURS.iter().any(|other| lies_in(path, other)) {
                self.notes.refuse(
                    &field,
                    "the engine puts its own in that place in every container",
                    "put the file elsewhere",
                );
                continue;
            }
            let over = self.spec.state.iter().map(AbsolutePath::as_str);
            let mounted_over = over.chain(IN_MEMORY).any(|other| lies_in(path, other));
            let FileSpec { body, mode } = file;
            let content = match body {
                FileBody::Text(text) => match text.as_literal() {
                    Some(text) => FileContent::plain(text.as_bytes()),
                    None => {
                        let rendered = format!("{RENDERED}/{index}");
                        if let Some(word) = self.word(text, &field) {
                            let to = if mounted_over { path.as_str() } else { rendered.as_str() };
                            work.files.push(StartFile {
                                path: to.to_owned(),
                                mode: *mode,
                                content: StartContent::Text(word),
                            });
                            if !mounted_over {
                                links.push((path.to_string(), rendered));
                            }
                        }
                        continue;
                    }
                },
                FileBody::Bytes(content) => content.clone(),
            };
            let mut path = path.to_string();
            let mut image_mode = *mode;
            if mounted_over {
                let copy = format!("{HOME}/files/{index}");
                work.files.push(StartFile {
                    path,
                    mode: *mode,
                    content: StartContent::CopyOf(copy.clone()),
                });
                path = copy;
                image_mode = 0o400;
            }
            baked.push(Baked { path, mode: image_mode, content });
        }
        (baked, links)
    }

    fn schedule(&mut self) -> Option<String> {
        let schedule = self.spec.schedule.as_ref()?;
        let script = script::schedule(schedule);
        if script.is_none() {
            self.notes.refuse(
                &["schedule"],
                format!("`{schedule}` is a systemd calendar expression, and no systemd runs here"),
                "write `every N minutes`, `every N hours` or `daily HH:MM`, also in \
                 overrides.docker.schedule, or place it on a NixOS target",
            );
        } else {
            self.notes.remark(
                &["schedule"],
                "a script in its container waits for the time and runs it; times are the \
                 container's local time, which is UTC unless the image says otherwise",
                "set env.TZ in an image that has time zones",
            );
        }
        if self.spec.readiness.is_some() {
            self.notes.remark(
                &["readiness"],
                "a program that runs on a schedule is not checked for readiness",
                "leave readiness out",
            );
        }
        script
    }

    /// The check, and the script that it runs where it is none of the service's own.
    fn healthcheck(&mut self) -> Option<(Healthcheck, Option<&'static str>)> {
        let Readiness { probe, within } = self.spec.readiness.as_ref()?;
        if self.spec.schedule.is_some() {
            return None;
        }
        let ours = |check: probe::Check| (check.command(), Some(check.script));
        let (command, script) = match probe {
            Probe::Tcp(name) => ours(probe::tcp(self.probed(name)?.port.get())),
            Probe::Http { endpoint, path } => ours(self.http(endpoint, path)?),
            Probe::Command(argv) => (self.argv("readiness", argv), None),
            Probe::Notify => {
                self.notes.refuse(
                    &["readiness"],
                    "Docker has no way for a program to say by itself that it is ready",
                    "set overrides.docker.readiness to a tcp, http or command probe",
                );
                return None;
            }
        };
        let check = Healthcheck {
            command,
            interval: CHECK_EVERY,
            timeout: CHECK_WITHIN,
            retries: 3,
            start_period: within.0,
        };
        Some((check, script))
    }

    fn probed(&mut self, name: &Name) -> Option<&'a Endpoint> {
        let endpoint = self.spec.endpoints.get(name);
        let tcp = endpoint.filter(|endpoint| endpoint.protocol.as_str() == "tcp");
        if tcp.is_none() {
            self.notes.refuse(
                &["readiness"],
                format!("`{name}` is not a TCP endpoint of this program"),
                "name one, or use a command",
            );
        }
        tcp
    }

    fn http(&mut self, name: &Name, path: &str) -> Option<probe::Check> {
        let endpoint = self.probed(name)?;
        let tls = endpoint.scheme.as_deref() == Some("https");
        let software = &self.spec.software;
        let has_client =
            software.debian.iter().any(|package| package == "curl" || package == "wget");
        if tls && software.image.is_none() && !has_client {
            self.notes.refuse(
                &["readiness"],
                "a check over HTTPS needs curl or wget in the image",
                "add curl to software.debian, also in overrides.docker, or use a tcp probe",
            );
        }
        let host = self.unit.fqdn.map_or("localhost", deployix_core::Fqdn::as_str);
        Some(probe::http(endpoint.port.get(), path, host, tls))
    }
}

/// The whole command, with the scripts that come before the program.
fn command(scripted: bool, scheduled: bool, argv: &[String]) -> Vec<String> {
    if argv.is_empty() {
        return Vec::new();
    }
    let mut command = Vec::new();
    for (used, script) in [(scripted, "start"), (scheduled, "schedule")] {
        if used {
            command.extend(["/bin/sh".to_owned(), format!("{HOME}/{script}")]);
        }
    }
    command.extend_from_slice(argv);
    command
}

fn secrets(spec: &ServiceSpec) -> BTreeSet<&deployix_core::SecretName> {
    spec.templates().flat_map(|(_, template)| template.secrets()).collect()
}

fn lies_in(path: &AbsolutePath, folder: &str) -> bool {
    let rest = path.as_str().strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A package's name with architecture, version or release as apt-get(8) takes them. A name that
/// ends in a hyphen would be removed, and other characters make it a pattern.
fn is_package(text: &str) -> bool {
    let end = text.find([':', '=', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() > 1
        && name.bytes().next().is_some_and(lower)
        && name.bytes().all(|b| lower(b) || b"+-.".contains(&b))
        && !name.ends_with('-')
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b":=/+-.~_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_names_and_never_options_or_patterns() {
        for good in ["python3", "g++", "libc6:amd64", "git=1:2.39.5-0+deb12u1", "curl/bookworm"] {
            assert!(is_package(good), "{good}");
        }
        for bad in ["", "a", "-y", "git-", "git*", "Git", "git curl", "git;id", "git\n", "$(id)"] {
            assert!(!is_package(bad), "{bad}");
        }
    }

    #[test]
    fn a_path_lies_in_itself_and_its_parents_alone() {
        let path = AbsolutePath::new("/run/x").unwrap();
        assert!(lies_in(&path, "/run") && lies_in(&path, "/run/x"));
        assert!(!lies_in(&path, "/ru") && !lies_in(&path, "/run/x/y"));
    }
}
