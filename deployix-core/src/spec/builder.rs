//! Builds a [`ServiceSpec`] from text, collecting every problem.

use std::num::NonZeroU16;

use super::{
    Bytes, Endpoint, EnvName, FileBody, FileContent, FileSpec, MilliCpus, Probe, Protocol,
    Readiness, Schedule, ServicePatch, ServiceSpec, Shipped, Signal, Span, SpecError, Template,
    UserName, problems::Problems,
};
use crate::name::{AbsolutePath, BackendId, Name, RelativePath};

/// Builds a [`ServiceSpec`] from text; [`build`](Self::build) tells every problem at once.
///
/// ```
/// use deployix_core::spec::ServiceSpec;
///
/// let web = ServiceSpec::builder(["hydra-web", "--port", "${endpoint:http}"])
///     .debian(["hydra"])
///     .endpoint("http", 3000)
///     .env("HYDRA_DBI", "dbi:Pg:host=hydra-db.example.com;password=${secret:hydra-db}")
///     .ready_over_http("http", "/healthz")
///     .state("/var/lib/hydra")
///     .build()?;
/// assert_eq!(web.start.len(), 3);
/// # Ok::<(), deployix_core::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ServiceBuilder {
    spec: ServiceSpec,
    problems: Problems,
}

impl ServiceSpec {
    /// Starts building a service from its command line.
    pub fn builder<S: AsRef<str>>(start: impl IntoIterator<Item = S>) -> ServiceBuilder {
        let mut builder = ServiceBuilder::default();
        builder.spec.start = builder.argv("start", start);
        builder
    }
}

impl ServiceBuilder {
    /// Adds attribute paths in nixpkgs.
    pub fn nix<S: Into<String>>(mut self, packages: impl IntoIterator<Item = S>) -> Self {
        self.spec.software.nix.extend(packages.into_iter().map(Into::into));
        self
    }

    /// Adds Debian packages.
    pub fn debian<S: Into<String>>(mut self, packages: impl IntoIterator<Item = S>) -> Self {
        self.spec.software.debian.extend(packages.into_iter().map(Into::into));
        self
    }

    /// Sets the ready container image.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.spec.software.image = Some(image.into());
        self
    }

    /// Ships a file along, under a path within what is shipped.
    pub fn ship(mut self, path: &str, content: FileContent) -> Self {
        if let Some(path) = self.parsed("software.path", RelativePath::new(path)) {
            let shipped = self.spec.software.path.get_or_insert_with(Shipped::default);
            shipped.files.insert(path, content);
        }
        self
    }

    /// Sets the command that runs to completion before the first start.
    pub fn initializer<S: AsRef<str>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.spec.initializer = self.argv("initializer", argv);
        self
    }

    /// Sets a variable; the value may have holes.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let name = self.parsed("env", EnvName::new(name));
        let value = self.parsed("env", Template::parse(value));
        self.spec.env.extend(name.zip(value));
        self
    }

    /// Puts a text file in place; the text may have holes.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        let path = self.parsed("files", AbsolutePath::new(path));
        let text = self.parsed("files", Template::parse(text));
        self.spec.files.extend(path.zip(text.map(FileSpec::text)));
        self
    }

    /// Puts a file in place, its bytes as they are.
    pub fn file_bytes(mut self, path: &str, content: FileContent, mode: u32) -> Self {
        if mode > 0o7777 {
            self.problems.add("files", format_args!("{mode:o} is no file mode"));
        }
        if let Some(path) = self.parsed("files", AbsolutePath::new(path)) {
            self.spec.files.insert(path, FileSpec { body: FileBody::Bytes(content), mode });
        }
        self
    }

    /// Adds a TCP endpoint.
    pub fn endpoint(self, name: &str, port: u16) -> Self {
        self.endpoint_over(name, port, Protocol::Tcp)
    }

    /// Adds an endpoint over a protocol.
    pub fn endpoint_over(mut self, name: &str, port: u16, protocol: Protocol) -> Self {
        let name = self.parsed("endpoints", Name::new(name));
        match NonZeroU16::new(port) {
            None => self.problems.add("endpoints", "a port is at least 1"),
            Some(port) => {
                let endpoint = Endpoint { port, protocol, scheme: None };
                self.spec.endpoints.extend(name.map(|name| (name, endpoint)));
            }
        }
        self
    }

    /// Sets what is spoken over an endpoint, such as `https`; to be said after the endpoint.
    pub fn scheme(mut self, endpoint: &str, scheme: impl Into<String>) -> Self {
        match self.spec.endpoints.get_mut(endpoint) {
            Some(endpoint) => endpoint.scheme = Some(scheme.into()),
            None => self.problems.add("endpoints", format_args!("say first where `{endpoint}` is")),
        }
        self
    }

    /// Adds a directory whose contents survive.
    pub fn state(mut self, path: &str) -> Self {
        let path = self.parsed("state", AbsolutePath::new(path));
        self.spec.state.extend(path);
        self
    }

    /// Sets the user it runs as.
    pub fn user(mut self, user: &str) -> Self {
        self.spec.user = self.parsed("user", UserName::new(user));
        self
    }

    /// It is ready when the endpoint accepts a connection.
    pub fn ready_over_tcp(mut self, endpoint: &str) -> Self {
        let endpoint = self.parsed("readiness", Name::new(endpoint));
        self.ready(endpoint.map(Probe::Tcp))
    }

    /// It is ready when a GET request to the endpoint is answered with success.
    pub fn ready_over_http(mut self, endpoint: &str, path: impl Into<String>) -> Self {
        let endpoint = self.parsed("readiness", Name::new(endpoint));
        self.ready(endpoint.map(|endpoint| Probe::Http { endpoint, path: path.into() }))
    }

    /// It is ready when the command ends with status 0.
    pub fn ready_by_command<S: AsRef<str>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        let argv = self.argv("readiness", argv);
        self.ready(Some(Probe::Command(argv)))
    }

    /// It says itself when it is ready, by `sd_notify(3)`.
    pub fn ready_by_notify(self) -> Self {
        self.ready(Some(Probe::Notify))
    }

    /// How long a start may take until it is ready; to be said after how to tell.
    pub fn ready_within(mut self, within: Span) -> Self {
        match &mut self.spec.readiness {
            Some(readiness) => readiness.within = within,
            None => self.problems.add("readiness", "say first how to tell"),
        }
        self
    }

    /// Opens its sockets first and starts it on the first connection.
    pub fn on_demand(mut self) -> Self {
        self.spec.on_demand = true;
        self
    }

    /// Runs it on a schedule instead of all the time.
    pub fn schedule(mut self, schedule: &str) -> Self {
        self.spec.schedule = self.parsed("schedule", schedule.parse::<Schedule>());
        self
    }

    /// Limits its processor time.
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.spec.limits.cpus = self.parsed("limits.cpus", MilliCpus::from_cpus(cpus));
        self
    }

    /// Limits its memory, such as `"512MiB"`.
    pub fn memory(mut self, memory: &str) -> Self {
        self.spec.limits.memory = self.parsed("limits.memory", memory.parse::<Bytes>());
        self
    }

    /// Sets how to stop it.
    pub fn stop(mut self, signal: Signal, within: Span) -> Self {
        self.spec.stop = super::Stop { signal, within };
        self
    }

    /// Sets another command line for one backend.
    pub fn start_on<S: AsRef<str>>(
        mut self,
        backend: &str,
        argv: impl IntoIterator<Item = S>,
    ) -> Self {
        let argv = self.argv("overrides", argv);
        if let Some(backend) = self.parsed("overrides", BackendId::new(backend)) {
            let mut patch = self.spec.overrides.remove(&backend).unwrap_or_default();
            patch.start = Some(argv);
            self.spec.overrides.insert(backend, patch);
        }
        self
    }

    /// Sets what is different for one backend.
    pub fn for_backend(mut self, backend: &str, patch: ServicePatch) -> Self {
        let backend = self.parsed("overrides", BackendId::new(backend));
        self.spec.overrides.extend(backend.map(|backend| (backend, patch)));
        self
    }

    /// The service.
    ///
    /// # Errors
    /// Every text that was not what it had to be.
    pub fn build(self) -> Result<ServiceSpec, SpecError> {
        self.problems.none(self.spec)
    }

    fn ready(mut self, probe: Option<Probe>) -> Self {
        let within = Readiness::DEFAULT_WITHIN;
        self.spec.readiness = probe.map(|probe| Readiness { probe, within });
        self
    }

    fn argv<S: AsRef<str>>(
        &mut self,
        field: &str,
        argv: impl IntoIterator<Item = S>,
    ) -> Vec<Template> {
        argv.into_iter()
            .filter_map(|arg| self.parsed(field, Template::parse(arg.as_ref())))
            .collect()
    }

    fn parsed<T, E: std::error::Error>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        self.problems.parsed(field, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once() {
        let error = ServiceSpec::builder(["a", "${x"])
            .env("1A", "x")
            .endpoint("http", 0)
            .memory("1MB")
            .ready_within(Span::seconds(1))
            .build()
            .unwrap_err()
            .to_string();
        for part in ["start:", "env:", "endpoints:", "limits.memory:", "readiness:"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}
