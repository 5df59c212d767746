//! [`ServiceSpec`]: one program, what it is made of and how it runs, as plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU16,
    sync::Arc,
};

use serde::Serialize;

use super::{Bytes, MilliCpus, Schedule, Span, Template};
use crate::{
    name::{AbsolutePath, BackendId, Name, RelativePath},
    ordered::OrderedMap,
};

/// One program to run: the data that every recipe lowers to and every backend compiles.
///
/// All fields are public and plain; [`ServiceSpec::builder`](Self::builder) makes one from text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ServiceSpec {
    /// What has to be installed, one reference per ecosystem.
    pub software: Software,
    /// The command line. Empty means what a ready image starts by itself.
    pub start: Vec<Template>,
    /// A command that runs to completion before the first start; it may run again at any later
    /// one, so it has to be idempotent. Empty means none.
    pub initializer: Vec<Template>,
    /// The environment.
    pub env: OrderedMap<EnvName, Template>,
    /// Files put in place before the start.
    pub files: OrderedMap<AbsolutePath, FileSpec>,
    /// Where it listens.
    pub endpoints: OrderedMap<Name, Endpoint>,
    /// Directories whose contents survive restarts and new versions, owned by the user.
    pub state: BTreeSet<AbsolutePath>,
    /// The user it runs as; a backend makes one of the functionality's name where there is none.
    pub user: Option<UserName>,
    /// How to tell that it is ready.
    pub readiness: Option<Readiness>,
    /// Whether its sockets are opened first and it is started on the first connection.
    pub on_demand: bool,
    /// When to run it, where it does not run all the time.
    pub schedule: Option<Schedule>,
    /// The most that it may take.
    pub limits: Limits,
    /// How to stop it.
    pub stop: Stop,
    /// What is different for one backend.
    #[serde(skip_serializing_if = "OrderedMap::is_empty")]
    pub overrides: OrderedMap<BackendId, ServicePatch>,
}

/// What has to be installed, one reference per ecosystem; each backend takes what it can use.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Software {
    /// Attribute paths in nixpkgs, such as `python3Packages.psycopg2`.
    pub nix: Vec<String>,
    /// Debian packages.
    pub debian: Vec<String>,
    /// A ready container image.
    pub image: Option<String>,
    /// Files shipped along. On the machine they are in one folder; it, and its `bin` where there
    /// is one, come first on the service's `PATH`.
    pub path: Option<Shipped>,
}

/// Files that come from beside the spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Shipped {
    /// Each file by its path within what is shipped.
    pub files: BTreeMap<RelativePath, FileContent>,
}

/// A file's bytes and whether it may be executed.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FileContent {
    /// The bytes.
    #[serde(serialize_with = "serialize_bytes")]
    pub bytes: Arc<[u8]>,
    /// Whether the file is a program.
    pub executable: bool,
}

/// Text stands as it is; anything else as hexadecimal digits.
fn serialize_bytes<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = serializer.serialize_map(Some(1))?;
    match std::str::from_utf8(bytes) {
        Ok(text) => map.serialize_entry("text", text)?,
        Err(_) => {
            use fmt::Write;
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            map.serialize_entry("hex", &hex)?;
        }
    }
    map.end()
}

impl FileContent {
    /// A file that is not a program.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into().into(), executable: false }
    }

    /// A program.
    pub fn program(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into().into(), executable: true }
    }

    /// The bytes as text, where they are UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileContent({} bytes, executable: {})", self.bytes.len(), self.executable)
    }
}

/// The name of an environment variable.
///
/// Invariant: ASCII letters, digits and underscores, not starting with a digit (POSIX, Base
/// Definitions, section 8.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EnvName(String);

/// The name of a user of a Unix machine.
///
/// Invariant: 1 to 31 lower-case ASCII letters, digits, underscores and hyphens, starting with a
/// letter or an underscore (the strict form of systemd's "User/Group Name Syntax").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

/// Tells that a text is no name of a variable or user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct SystemNameError {
    text: String,
    what: &'static str,
}

impl EnvName {
    /// Parses the text.
    ///
    /// # Errors
    /// Refuses a text that breaks the invariant.
    pub fn new(text: &str) -> Result<Self, SystemNameError> {
        let rest = text.strip_prefix(|c: char| c.is_ascii_alphabetic() || c == '_');
        match rest {
            Some(rest) if rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(SystemNameError {
                text: text.chars().take(80).collect(),
                what: "an environment variable's name (letters, digits and underscores, no digit \
                       first)",
            }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserName {
    /// Parses the text.
    ///
    /// # Errors
    /// Refuses a text that breaks the invariant.
    pub fn new(text: &str) -> Result<Self, SystemNameError> {
        let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase() || c == '_');
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        match rest {
            Some(rest) if text.len() <= 31 && rest.bytes().all(allowed) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(SystemNameError {
                text: text.chars().take(80).collect(),
                what: "a user's name (up to 31 lower-case letters, digits, underscores and \
                       hyphens, a letter or an underscore first)",
            }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A file put in place before the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileSpec {
    /// What is in it.
    pub body: FileBody,
    /// Its permission bits, at most `0o7777`.
    pub mode: u32,
}

/// What is in a [`FileSpec`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileBody {
    /// Text with holes, written in the spec.
    Text(Template),
    /// Bytes as they are, from a file beside the spec.
    Bytes(FileContent),
}

impl FileSpec {
    /// The mode of a file that everybody may read.
    pub const DEFAULT_MODE: u32 = 0o644;

    /// A text file with the default mode.
    #[must_use]
    pub fn text(text: Template) -> Self {
        Self { body: FileBody::Text(text), mode: Self::DEFAULT_MODE }
    }
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Endpoint {
    /// The port.
    pub port: NonZeroU16,
    /// The protocol under it.
    pub protocol: Protocol,
    /// What is spoken over it, such as `https`; for people and lookups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name in lower case: `tcp` or `udp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How to tell that a service is ready.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Readiness {
    /// What to try.
    pub probe: Probe,
    /// How long a start may take until then.
    pub within: Span,
}

impl Readiness {
    /// How long a start may take where nothing else is said.
    pub const DEFAULT_WITHIN: Span = Span::seconds(60);
}

/// What to try to tell that a service is ready.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// The endpoint accepts a connection.
    Tcp(Name),
    /// A GET request is answered with a status from 200 to 399.
    Http {
        /// The endpoint.
        endpoint: Name,
        /// The path, with its leading slash.
        path: String,
    },
    /// The command ends with status 0.
    Command(Vec<Template>),
    /// The service says so itself, by `sd_notify(3)`.
    Notify,
}

/// The most that a service may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Processor time per time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<MilliCpus>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

/// How to stop a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stop {
    /// The signal that asks it to.
    pub signal: Signal,
    /// How long it may take until it is killed.
    pub within: Span,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: Signal::Term, within: Span::seconds(10) }
    }
}

/// A signal that asks a program to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Signal {
    /// Terminate.
    #[default]
    #[serde(rename = "SIGTERM")]
    Term,
    /// Interrupt.
    #[serde(rename = "SIGINT")]
    Int,
    /// Quit.
    #[serde(rename = "SIGQUIT")]
    Quit,
    /// Hang up.
    #[serde(rename = "SIGHUP")]
    Hup,
    /// User-defined.
    #[serde(rename = "SIGUSR1")]
    Usr1,
    /// User-defined.
    #[serde(rename = "SIGUSR2")]
    Usr2,
    /// Window change, which some servers take as a request to stop gracefully.
    #[serde(rename = "SIGWINCH")]
    Winch,
    /// Kill at once.
    #[serde(rename = "SIGKILL")]
    Kill,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Term,
        Self::Int,
        Self::Quit,
        Self::Hup,
        Self::Usr1,
        Self::Usr2,
        Self::Winch,
        Self::Kill,
    ];

    /// The name with its prefix: `SIGTERM`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Winch => "SIGWINCH",
            Self::Kill => "SIGKILL",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is different about a service for one backend: the fields that are there replace the
/// service's own; `env`, `files` and `endpoints` key by key, `software` ecosystem by ecosystem.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "each field is that of ServiceSpec")]
pub struct ServicePatch {
    pub software: Software,
    pub start: Option<Vec<Template>>,
    pub initializer: Option<Vec<Template>>,
    pub env: OrderedMap<EnvName, Template>,
    pub files: OrderedMap<AbsolutePath, FileSpec>,
    pub endpoints: OrderedMap<Name, Endpoint>,
    pub state: Option<BTreeSet<AbsolutePath>>,
    pub user: Option<UserName>,
    pub readiness: Option<Readiness>,
    pub on_demand: Option<bool>,
    pub schedule: Option<Schedule>,
    pub limits: Option<Limits>,
    pub stop: Option<Stop>,
}

impl ServicePatch {
    /// Applies it.
    pub fn apply_to(self, service: &mut ServiceSpec) {
        fn put<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        let Software { nix, debian, image, path } = self.software;
        put(&mut service.software.nix, Some(nix).filter(|nix| !nix.is_empty()));
        put(&mut service.software.debian, Some(debian).filter(|debian| !debian.is_empty()));
        put(&mut service.software.image, image.map(Some));
        put(&mut service.software.path, path.map(Some));
        put(&mut service.start, self.start);
        put(&mut service.initializer, self.initializer);
        service.env.extend(self.env);
        service.files.extend(self.files);
        service.endpoints.extend(self.endpoints);
        put(&mut service.state, self.state);
        put(&mut service.user, self.user.map(Some));
        put(&mut service.readiness, self.readiness.map(Some));
        put(&mut service.on_demand, self.on_demand);
        put(&mut service.schedule, self.schedule.map(Some));
        put(&mut service.limits, self.limits);
        put(&mut service.stop, self.stop);
    }
}

impl ServiceSpec {
    /// The service as one backend is to see it, without `overrides`.
    #[must_use]
    pub fn for_backend(&self, backend: &BackendId) -> Self {
        let mut service = Self { overrides: OrderedMap::new(), ..self.clone() };
        if let Some(patch) = self.overrides.get(backend) {
            patch.clone().apply_to(&mut service);
        }
        service
    }

    /// Every string with holes in it, each with the field that it stands in.
    pub fn templates(&self) -> impl Iterator<Item = (Field<'_>, &Template)> {
        let readiness: &[Template] = match &self.readiness {
            Some(Readiness { probe: Probe::Command(command), .. }) => command,
            _ => &[],
        };
        arguments(Field::Start, &self.start)
            .chain(arguments(Field::Initializer, &self.initializer))
            .chain(arguments(Field::Readiness, readiness))
            .chain(self.env.iter().map(|(name, value)| (Field::Env(name), value)))
            .chain(self.files.iter().filter_map(|(path, file)| match &file.body {
                FileBody::Text(text) => Some((Field::File(path), text)),
                FileBody::Bytes(_) => None,
            }))
    }

    /// Fills in the holes that `fill` knows.
    pub fn fill(&mut self, mut fill: impl FnMut(&super::Part) -> Option<super::Part>) {
        let command = match &mut self.readiness {
            Some(Readiness { probe: Probe::Command(command), .. }) => Some(command),
            _ => None,
        };
        let texts = self.files.values_mut().filter_map(|file| match &mut file.body {
            FileBody::Text(text) => Some(text),
            FileBody::Bytes(_) => None,
        });
        let templates = self
            .start
            .iter_mut()
            .chain(&mut self.initializer)
            .chain(command.into_iter().flatten())
            .chain(self.env.values_mut())
            .chain(texts);
        for template in templates.filter(|template| template.as_literal().is_none()) {
            *template = template.fill(&mut fill);
        }
    }
}

fn arguments<'a>(
    field: fn(usize) -> Field<'a>,
    argv: &'a [Template],
) -> impl Iterator<Item = (Field<'a>, &'a Template)> {
    argv.iter().enumerate().map(move |(at, argument)| (field(at), argument))
}

/// Where in a [`ServiceSpec`] a template stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// An argument of `start`.
    Start(usize),
    /// An argument of `initializer`.
    Initializer(usize),
    /// An argument of the readiness command.
    Readiness(usize),
    /// The value of a variable.
    Env(&'a EnvName),
    /// The text of a file.
    File(&'a AbsolutePath),
}

impl Field<'_> {
    /// Whether everybody on the machine can read it, in the list of processes.
    #[must_use]
    pub fn is_command_line(self) -> bool {
        matches!(self, Self::Start(_) | Self::Initializer(_) | Self::Readiness(_))
    }

    /// The keys that lead to it in a spec file.
    #[must_use]
    pub fn keys(self) -> Vec<String> {
        let keys = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        match self {
            Self::Start(at) => keys(&["start", &at.to_string()]),
            Self::Initializer(at) => keys(&["initializer", &at.to_string()]),
            Self::Readiness(at) => keys(&["readiness", "command", &at.to_string()]),
            Self::Env(name) => keys(&["env", name.as_str()]),
            Self::File(path) => keys(&["files", path.as_str(), "text"]),
        }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys().join("."))
    }
}
