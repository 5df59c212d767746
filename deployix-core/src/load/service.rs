//! Services: each key of `service`, of a member of `group` and of `overrides.<backend>`.

use std::num::NonZeroU16;

use super::{
    decode::{Fields, Reader, invalid},
    tree::Node,
};
use crate::{
    diagnostic::{Code, Diagnostic},
    name::{AbsolutePath, BackendId, Name, RelativePath},
    spec::{
        Bytes, Endpoint, EnvName, FileBody, FileSpec, Limits, Probe, Protocol, Readiness,
        ServicePatch, ServiceSpec, Signal, Software, Span, Stop, Template, UserName,
    },
};

/// The keys of a service.
pub(super) const KEYS: [&str; 14] = [
    "endpoints",
    "env",
    "files",
    "initializer",
    "limits",
    "on-demand",
    "overrides",
    "readiness",
    "schedule",
    "software",
    "start",
    "state",
    "stop",
    "user",
];

/// Reads a service.
pub(super) fn service(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<ServiceSpec> {
    reader.table(node, "a service", read)
}

/// Reads a service that is one of a group.
pub(super) fn member(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<ServiceSpec> {
    reader.table(node, "a member of a group", |reader, fields| {
        if let Some(entry) = fields.misplaced("machine") {
            let message = "the members of a group share one host, and this one wishes its own";
            let diagnostic = Diagnostic::error(Code::GroupSplit, message);
            let remedy = "give `machine` to the group's functionality, or make this member a \
                          functionality of its own";
            reader.fail(entry.key_at, diagnostic.remedy(remedy));
        }
        read(reader, fields)
    })
}

fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> ServiceSpec {
    let mut service = ServiceSpec::default();
    // A service is what it says about a service that says nothing.
    patch(reader, fields).apply_to(&mut service);
    if let Some(node) = fields.get("overrides") {
        service.overrides = reader.map(
            node,
            |key| BackendId::new(key),
            |reader, entry| reader.table(&entry.node, "an override", patch),
        );
    }
    service
}

fn patch(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> ServicePatch {
    let mut patch = ServicePatch::default();
    if let Some(node) = fields.get("software") {
        patch.software = software(reader, node).unwrap_or_default();
    }
    patch.start = fields.get("start").map(|node| argv(reader, node));
    patch.initializer = fields.get("initializer").map(|node| argv(reader, node));
    if let Some(node) = fields.get("env") {
        let value =
            |reader: &mut Reader<'_>, entry: &super::tree::Entry<'_>| reader.template(&entry.node);
        patch.env = reader.map(node, EnvName::new, value);
    }
    if let Some(node) = fields.get("files") {
        patch.files = reader.map(
            node,
            |key| AbsolutePath::new(key),
            |reader, entry| file(reader, &entry.node),
        );
    }
    if let Some(node) = fields.get("endpoints") {
        patch.endpoints =
            reader.map(node, |key| Name::new(key), |reader, entry| endpoint(reader, &entry.node));
    }
    patch.state = fields.get("state").map(|node| {
        let path = |reader: &mut Reader<'_>, node: &Node<'_>| {
            reader.parse(node, |text| AbsolutePath::new(text))
        };
        reader.distinct(node, path).into_iter().collect()
    });
    patch.user = fields.get("user").and_then(|node| reader.parse(node, UserName::new));
    patch.readiness = fields.get("readiness").and_then(|node| readiness(reader, node));
    patch.on_demand = fields.get("on-demand").and_then(|node| reader.boolean(node));
    patch.schedule = fields.get("schedule").and_then(|node| reader.parse(node, str::parse));
    patch.limits = fields.get("limits").and_then(|node| limits(reader, node));
    patch.stop = fields.get("stop").and_then(|node| stop(reader, node));
    patch
}

fn argv(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Template> {
    reader.list(node, Reader::template)
}

fn software(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Software> {
    reader.table(node, "software", |reader, fields| {
        let mut software = Software::default();
        for (key, packages) in [("nix", &mut software.nix), ("debian", &mut software.debian)] {
            if let Some(node) = fields.get(key) {
                *packages = reader.distinct(node, Reader::line);
            }
        }
        software.image = fields.get("image").and_then(|node| reader.line(node));
        if let Some(node) = fields.get("path")
            && let Some(path) = reader.parse(node, |text| RelativePath::new(text))
        {
            software.path = reader.beside(node, |folder| folder.ship(&path));
        }
        software
    })
}

fn file(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<FileSpec> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let body = match (fields.entry("text"), fields.entry("source")) {
            (Some(text), None) => reader.template(&text.node).map(FileBody::Text),
            (None, Some(source)) => reader
                .parse(&source.node, |text| RelativePath::new(text))
                .and_then(|path| reader.beside(&source.node, |folder| folder.file(&path)))
                .map(FileBody::Bytes),
            (Some(_), Some(source)) => {
                let message = "a file has either `text` or `source`, and this one has both";
                let diagnostic = Diagnostic::error(Code::ValuesConflict, message);
                reader.fail(source.key_at, diagnostic.remedy("remove one of the two"));
                None
            }
            (None, None) => {
                let message = "a file needs the key `text` or the key `source`";
                reader.fail(fields.at(), Diagnostic::error(Code::KeyMissing, message));
                None
            }
        };
        let mode = fields.get("mode").map_or(Some(FileSpec::DEFAULT_MODE), |n| mode(reader, n));
        Some(FileSpec { body: body?, mode: mode? })
    };
    reader.table(node, "a file", read).flatten()
}

fn mode(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<u32> {
    let text = reader.string(node)?;
    let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| octal);
    if mode.is_none() {
        let diagnostic = invalid(format!("{text:?} is not a file mode"));
        reader.fail(node.at, diagnostic.remedy("write 3 or 4 octal digits, such as \"0644\""));
    }
    mode
}

fn endpoint(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Endpoint> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let port = reader.required(fields, "port").and_then(|node| port(reader, node));
        let protocols = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
        let protocol = fields
            .get("protocol")
            .map_or(Some(Protocol::default()), |node| reader.word(node, "a protocol", &protocols));
        let scheme = fields.get("scheme").and_then(|node| reader.line(node));
        Some(Endpoint { port: port?, protocol: protocol?, scheme })
    };
    reader.table(node, "an endpoint", read).flatten()
}

/// Reads a port.
pub(super) fn port(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<NonZeroU16> {
    const WHAT: &str = "a port, from 1 to 65535";
    let port = NonZeroU16::new(reader.integer(node, WHAT)?);
    if port.is_none() {
        reader.fail(node.at, invalid(format!("0 is not {WHAT}")));
    }
    port
}

fn readiness(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Readiness> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let tries = ["tcp", "http", "command", "notify"].map(|key| fields.entry(key));
        let path = fields.entry("path");
        let within = fields
            .get("within")
            .map_or(Some(Readiness::DEFAULT_WITHIN), |node| reader.parse(node, str::parse));
        let conflict = |message| Diagnostic::error(Code::ValuesConflict, message);
        let given: Vec<_> = tries.iter().flatten().collect();
        if let [first, second, ..] = given.as_slice() {
            let (first, second) =
                if first.key_at <= second.key_at { (first, second) } else { (second, first) };
            let message = format!("readiness has `{}` and `{}`", first.key, second.key);
            let remedy = "keep one of `tcp`, `http`, `command` and `notify`";
            reader.fail(second.key_at, conflict(message).remedy(remedy));
            return None;
        }
        let [tcp, http, command, notify] = tries;
        if let (None, Some(path)) = (http, path) {
            let message = "readiness has a `path` and no `http`".to_owned();
            let remedy = "name the endpoint: http = \"ENDPOINT\"";
            reader.fail(path.key_at, conflict(message).remedy(remedy));
        }
        let mut name = |node| reader.parse(node, |text| Name::new(text));
        let probe = if let Some(tcp) = tcp {
            name(&tcp.node).map(Probe::Tcp)
        } else if let Some(http) = http {
            let endpoint = name(&http.node);
            let path = path.map_or(Some("/".to_owned()), |path| url_path(reader, &path.node));
            endpoint.zip(path).map(|(endpoint, path)| Probe::Http { endpoint, path })
        } else if let Some(command) = command {
            let argv = argv(reader, &command.node);
            if argv.is_empty() {
                reader.fail(command.node.at, invalid("the command is empty"));
            }
            Some(Probe::Command(argv))
        } else if let Some(notify) = notify {
            if reader.boolean(&notify.node) == Some(false) {
                let diagnostic = invalid("`notify` can only be true");
                reader.fail(notify.node.at, diagnostic.remedy("remove it"));
            }
            Some(Probe::Notify)
        } else {
            let message = "readiness needs one of the keys `tcp`, `http`, `command` and `notify`";
            reader.fail(fields.at(), Diagnostic::error(Code::KeyMissing, message));
            None
        };
        Some(Readiness { probe: probe?, within: within? })
    };
    reader.table(node, "readiness", read).flatten()
}

fn url_path(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let path = reader.line(node)?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(path);
    }
    let diagnostic = invalid(format!("{path:?} is not the path of a URL"));
    let remedy = "start with a slash, and write what is not plain ASCII as %XX";
    reader.fail(node.at, diagnostic.remedy(remedy));
    None
}

fn limits(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Limits> {
    reader.table(node, "limits", |reader, fields| Limits {
        cpus: fields.get("cpus").and_then(|node| reader.cpus(node)),
        memory: fields.get("memory").and_then(|node| reader.parse(node, str::parse::<Bytes>)),
    })
}

fn stop(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Stop> {
    reader.table(node, "stop", |reader, fields| {
        let signals = Signal::ALL.map(|signal| (signal.as_str(), signal));
        let signal = fields.get("signal").and_then(|node| reader.word(node, "a signal", &signals));
        let within = fields.get("within").and_then(|node| reader.parse(node, str::parse::<Span>));
        let default = Stop::default();
        Stop { signal: signal.unwrap_or(default.signal), within: within.unwrap_or(default.within) }
    })
}
