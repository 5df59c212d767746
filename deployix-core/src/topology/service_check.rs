//! What must hold within one functionality's services before any backend sees them.

use std::num::NonZeroU16;

use crate::{
    diagnostic::Code,
    name::{AbsolutePath, Fqdn, Name},
    ordered::OrderedMap,
    spec::{Lowered, Part, Probe, Protocol, ServiceSpec},
};

/// Something wrong within a functionality, with the keys that lead to it.
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) keys: Vec<String>,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

/// Checks all members against each other and against what the functionality declares.
pub(super) fn check(service: &Lowered, upstream_hosts: &[Fqdn]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ports: OrderedMap<(NonZeroU16, Protocol), _> = OrderedMap::new();
    for (member, service) in service.members() {
        let mut found = Findings { member, problems: &mut problems };
        check_one(service, upstream_hosts, &mut found);
        for (name, endpoint) in &service.endpoints {
            let port = (endpoint.port, endpoint.protocol);
            if let Some((member, name_there)) = ports.insert(port, (member, name)) {
                let taken = member.map_or_else(
                    || name_there.to_string(),
                    |member| format!("{member}.{name_there}"),
                );
                found.push(
                    Code::PortTaken,
                    &["endpoints", name.as_str(), "port"],
                    format!(
                        "port {}/{} is already that of endpoint `{taken}`",
                        endpoint.port, endpoint.protocol
                    ),
                    "give one of them another port; members of a group share their ports",
                );
            }
        }
    }
    problems
}

/// Collects what is wrong with one member.
struct Findings<'a> {
    member: Option<&'a Name>,
    problems: &'a mut Vec<Problem>,
}

impl Findings<'_> {
    fn push<K: AsRef<str>>(
        &mut self,
        code: Code,
        keys: &[K],
        message: String,
        remedy: &'static str,
    ) {
        let mut path = match self.member {
            Some(member) => vec!["group".to_owned(), member.to_string()],
            None => vec!["service".to_owned()],
        };
        path.extend(keys.iter().map(|key| key.as_ref().to_owned()));
        self.problems.push(Problem { code, keys: path, message, remedy });
    }
}

fn check_one(service: &ServiceSpec, upstreams: &[Fqdn], found: &mut Findings<'_>) {
    check_templates(service, upstreams, found);
    let endpoint = |name: &Name| service.endpoints.contains_key(name);
    match service.readiness.as_ref().map(|readiness| &readiness.probe) {
        Some(Probe::Tcp(name) | Probe::Http { endpoint: name, .. }) if !endpoint(name) => {
            found.push(
                Code::ReferenceUnknown,
                &["readiness"],
                format!("there is no endpoint `{name}` to try"),
                "name one of the service's own endpoints",
            );
        }
        Some(Probe::Http { path, .. }) if !is_request_path(path) => found.push(
            Code::ValueInvalid,
            &["readiness", "path"],
            format!("{path:?} is not the path of a request"),
            "start it with a slash, write special characters as %XX; nothing is filled in here",
        ),
        Some(Probe::Command(command)) if command.is_empty() => found.push(
            Code::ValueInvalid,
            &["readiness", "command"],
            "the command is empty".to_owned(),
            "give the program and its arguments",
        ),
        _ => {}
    }
    check_commands(service, found);
    check_paths(service, found);
    check_packages(service, found);
    if service.on_demand && service.endpoints.is_empty() {
        found.push(
            Code::ServiceInvalid,
            &["on-demand"],
            "it starts on the first connection, and has no endpoint to connect to".to_owned(),
            "give it an endpoint",
        );
    }
    if service.on_demand && service.schedule.is_some() {
        found.push(
            Code::ValuesConflict,
            &["schedule"],
            "it starts on the first connection, so it cannot run on a schedule as well".to_owned(),
            "remove `schedule` or `on-demand`",
        );
    }
}

/// A command has a program.
fn check_commands(service: &ServiceSpec, found: &mut Findings<'_>) {
    let commands = [("start", &service.start), ("initializer", &service.initializer)];
    for (key, command) in commands {
        if command.first().is_some_and(|program| program.as_literal() == Some("")) {
            found.push(
                Code::ValueInvalid,
                &[key, "0"],
                "the program's name is empty".to_owned(),
                "give the program first, then its arguments",
            );
        }
    }
}

/// Files and state lie where they can, and none within another.
fn check_paths(service: &ServiceSpec, found: &mut Findings<'_>) {
    /// What the kernel shows there cannot be replaced.
    const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
    /// What a machine or an image cannot do without.
    const SYSTEM: [&str; 11] = [
        "/bin", "/boot", "/etc", "/lib", "/lib64", "/run", "/sbin", "/tmp", "/usr", "/var",
        "/var/lib",
    ];
    let files = service.files.keys().map(|path| ("files", path.as_str()));
    let state = service.state.iter().map(|path| ("state", path.as_str()));
    for (key, path) in files.chain(state) {
        if path.contains("${") {
            found.push(
                Code::ValueInvalid,
                &[key],
                format!("nothing is filled in within the path {path:?}"),
                "write the path out",
            );
        }
        if KERNEL.iter().any(|kernel| path == *kernel || is_within(path, kernel))
            || (key == "state" && SYSTEM.contains(&path))
        {
            found.push(
                Code::ValueInvalid,
                &[key],
                format!("{path} is the system's own"),
                "choose a path of the service's own, such as one below /var/lib",
            );
        }
    }
    for path in &service.state {
        if let Some(outer) = service.state.iter().find(|o| is_within(path.as_str(), o.as_str())) {
            found.push(
                Code::ValuesConflict,
                &["state"],
                format!("{path} lies within {outer}, which survives as a whole already"),
                "leave the inner one out",
            );
        }
    }
    // Whatever lies within a path follows it in order, with nothing but its like in between.
    let mut outer: Option<&str> = None;
    let mut paths: Vec<_> = service.files.keys().map(AbsolutePath::as_str).collect();
    paths.sort_unstable_by(|a, b| a.split('/').cmp(b.split('/')));
    for path in paths {
        match outer {
            Some(outer) if is_within(path, outer) => found.push(
                Code::ValuesConflict,
                &["files", path],
                format!("{path} lies within {outer}, which is a file"),
                "give one of them another path",
            ),
            _ => outer = Some(path),
        }
    }
}

/// Whether a path lies within another.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Names of packages are such, and no options or commands of whoever installs them.
fn check_packages(service: &ServiceSpec, found: &mut Findings<'_>) {
    let debian = |c: char| c.is_ascii_alphanumeric() || "+-.:~=/".contains(c);
    let nix = |c: char| c.is_ascii_alphanumeric() || "_-'.".contains(c);
    let debian = service.software.debian.iter().filter(|name| !is_package(name, debian));
    let nix = service.software.nix.iter().filter(|name| !is_package(name, nix));
    for (key, name) in debian.map(|name| ("debian", name)).chain(nix.map(|name| ("nix", name))) {
        found.push(
            Code::ValueInvalid,
            &["software", key],
            format!("{name:?} is no package's name"),
            "give one package per item, without options",
        );
    }
}

fn is_package(name: &str, allowed: impl Fn(char) -> bool) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && name.chars().all(allowed)
}

fn check_templates(service: &ServiceSpec, upstreams: &[Fqdn], found: &mut Findings<'_>) {
    for (field, template) in service.templates() {
        for part in template.parts() {
            match part {
                Part::Secret(name) if field.is_command_line() => found.push(
                    Code::SecretExposed,
                    &field.keys(),
                    format!("secret `{name}` would show in the machine's list of processes"),
                    "pass it in `env` or in a file",
                ),
                Part::Upstream(fqdn) if !upstreams.contains(fqdn) => found.push(
                    Code::ReferenceUnknown,
                    &field.keys(),
                    format!("{fqdn} is not among the functionality's upstream hosts"),
                    "add it to `upstream-hosts`, so that it can be reached",
                ),
                Part::Endpoint(name) if !service.endpoints.contains_key(name) => found.push(
                    Code::ReferenceUnknown,
                    &field.keys(),
                    format!("there is no endpoint `{name}`"),
                    "name one of the service's own endpoints",
                ),
                Part::Literal(text) if text.contains('\0') => found.push(
                    Code::ValueInvalid,
                    &field.keys(),
                    "it has a NUL character, which no program can be given".to_owned(),
                    "remove it; for binary files use `source`",
                ),
                _ => {}
            }
        }
    }
}

/// RFC 3986, section 3.3 and 3.4: a path and maybe a query, nothing that ends a request line.
fn is_request_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("${")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}
