//! Connections to engines, and what an engine's errors mean.

use std::{
    collections::BTreeMap,
    env,
    error::Error as _,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use deployix_core::{
    backend::{BackendError, ErrorKind},
    spec::Target,
};

use super::image::Builds;

/// Seconds after which an engine that has not begun to answer is given up.
const TIMEOUT: u64 = 120;

/// The longest that anybody may take to stop.
const LONGEST_STOP: Duration = Duration::from_secs(24 * 3600);

/// Connections to engines, one for each address.
#[derive(Default)]
pub(crate) struct Connections(Mutex<BTreeMap<String, Engine>>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections(…)")
    }
}

/// One engine.
#[derive(Clone)]
pub(super) struct Engine {
    docker: Docker,
    address: String,
    /// Builds under way.
    pub(super) builds: Arc<Builds>,
}

impl Connections {
    /// The engine of a target.
    ///
    /// # Errors
    /// An address that leads to no engine.
    pub(super) fn engine(&self, target: &Target) -> Result<Engine, BackendError> {
        let address = address(target.address.as_deref(), env::var("DOCKER_HOST").ok())?;
        // Every change is one insertion, so a panic elsewhere leaves the map whole.
        let mut engines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(&address) {
            return Ok(engine.clone());
        }
        let docker = connect(&address).map_err(|error| {
            let message = format!("cannot connect to the Docker engine at {address}: {error}");
            let missing = matches!(error, Error::SocketNotFoundError(_));
            if missing {
                BackendError::temporary(
                    ErrorKind::Unavailable,
                    "connect",
                    message + "; is it running?",
                )
            } else {
                BackendError::permanent(ErrorKind::Invalid, "connect", message)
            }
            .as_it_was()
        })?;
        let engine = Engine { docker, address: address.clone(), builds: Arc::default() };
        engines.insert(address, engine.clone());
        Ok(engine)
    }
}

/// Where a target's engine is: `local` or nothing is that of this machine, or what `DOCKER_HOST`
/// names; a bare host is reached over SSH.
fn address(given: Option<&str>, docker_host: Option<String>) -> Result<String, BackendError> {
    const LOCAL: &str = "unix:///var/run/docker.sock";
    let address = match given {
        None | Some("local") => {
            docker_host.filter(|host| !host.is_empty()).unwrap_or_else(|| LOCAL.to_owned())
        }
        Some(host) if !host.contains("://") => format!("ssh://{host}"),
        Some(address) => address.to_owned(),
    };
    match address.split_once("://") {
        // The client would take it for a part of the host's name.
        Some(("ssh", rest)) if rest.contains(':') => {
            let message = format!(
                "{address} names a port: give it to SSH instead, as `Port` of a `Host` in \
                 ~/.ssh/config, and name that host"
            );
            Err(BackendError::permanent(ErrorKind::Invalid, "connect", message).as_it_was())
        }
        Some(("unix" | "tcp" | "ssh", rest)) if !rest.is_empty() => Ok(address),
        _ => {
            let message = format!(
                "{address:?} is not the address of a Docker engine: write local, a host to reach \
                 over SSH, or unix://PATH, tcp://HOST:PORT or ssh://USER@HOST"
            );
            Err(BackendError::permanent(ErrorKind::Invalid, "connect", message).as_it_was())
        }
    }
}

fn connect(address: &str) -> Result<Docker, Error> {
    if address.starts_with("unix://") {
        Docker::connect_with_unix(address, TIMEOUT, API_DEFAULT_VERSION)
    } else if address.starts_with("tcp://") {
        Docker::connect_with_http(address, TIMEOUT, API_DEFAULT_VERSION)
    } else {
        Docker::connect_with_ssh(address, TIMEOUT, API_DEFAULT_VERSION, None)
    }
}

impl Engine {
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The same, for requests that are answered only once somebody has stopped.
    pub(super) fn patient(&self) -> Docker {
        self.docker.clone().with_timeout(LONGEST_STOP)
    }

    /// What an error of the engine means.
    pub(super) fn error(&self, operation: &'static str, error: Error) -> BackendError {
        use ErrorKind::{Conflict, Denied, Invalid, NotFound, Unavailable, Unexpected};
        let (status, message) = match error {
            Error::DockerResponseServerError { status_code, message } => (status_code, message),
            Error::DockerStreamError { error } => (500, error),
            other => return self.unanswered(operation, other),
        };
        let message = message.trim();
        let has = |part: &str| message.contains(part);
        let advised = |advice: &str| format!("{message}; {advice}");
        if has("port is already allocated") || has("address already in use") {
            let advice = "something else has that port of the host: stop it, or publish another: \
                          extensions.docker.publish";
            return BackendError::temporary(Conflict, operation, advised(advice));
        }
        // Of a network: what was in it may still be on its way out.
        if has("has active endpoints") {
            return BackendError::temporary(Conflict, operation, message);
        }
        if has("Pool overlaps") {
            let advice = "another network has these addresses: give the target another range: \
                          extensions.docker.subnets";
            return BackendError::permanent(Conflict, operation, advised(advice));
        }
        if has("no space left on device") {
            let advice = "make room on the engine's disk, such as by `docker system prune`";
            return BackendError::permanent(Unavailable, operation, advised(advice));
        }
        // What an engine that is being stopped, or whose containerd is, answers.
        let leaving =
            ["shutting down", "context canceled", "transport is closing", "connection refused"];
        let temporary = |kind| BackendError::temporary(kind, operation, message);
        let permanent = |kind| BackendError::permanent(kind, operation, message);
        match status {
            404 => permanent(NotFound),
            409 => temporary(Conflict),
            401 | 403 => permanent(Denied),
            400..=499 => permanent(Invalid),
            502..=504 => temporary(Unavailable),
            _ if leaving.iter().any(|part| has(part)) => temporary(Unavailable),
            _ => permanent(Unexpected),
        }
    }

    /// An answer that never came, or not whole.
    fn unanswered(&self, operation: &'static str, error: Error) -> BackendError {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        let mut denied = false;
        while let Some(error) = source {
            let io = error.downcast_ref::<io::Error>();
            denied |= io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied);
            source = error.source();
        }
        let deepest = deepest(&error);
        let address = &self.address;
        if denied {
            let message = format!(
                "nobody but root and the group `docker` may use the engine at {address}: {deepest}"
            );
            return BackendError::permanent(ErrorKind::Denied, operation, message);
        }
        let message = format!("the Docker engine at {address} does not answer: {deepest}");
        BackendError::temporary(ErrorKind::Unavailable, operation, message)
    }
}

/// What is at the bottom of an error.
fn deepest(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

/// Whether what was asked for is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether there was nothing to do.
pub(super) fn is_unmodified(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 304, .. })
}

/// Whether somebody else is just removing it.
pub(super) fn is_being_removed(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 409, message }
        if message.contains("is already in progress"))
}

/// Whether another container has the name.
pub(super) fn is_taken(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 409, message }
        if message.contains("is already in use by container"))
}

/// What is there, or nothing where it is not.
pub(super) fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use deployix_core::backend::ErrorStatus;

    use super::*;

    #[test]
    fn addresses_lead_to_engines_or_are_refused() {
        let read = |given, host: Option<&str>| address(given, host.map(str::to_owned)).unwrap();
        assert_eq!(read(None, None), "unix:///var/run/docker.sock");
        assert_eq!(read(Some("local"), Some("tcp://10.0.0.2:2375")), "tcp://10.0.0.2:2375");
        assert_eq!(read(Some("rack1.example.com"), None), "ssh://rack1.example.com");
        assert_eq!(read(Some("ssh://me@rack1"), Some("unix:///x")), "ssh://me@rack1");
        for bad in ["https://rack1", "ssh://me@rack1:2222", "tcp://", "npipe:////./pipe/x"] {
            let error = address(Some(bad), None).unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn errors_say_whether_to_try_again() {
        let docker = connect("tcp://127.0.0.1:1").unwrap();
        let address = "tcp://127.0.0.1:1".to_owned();
        let engine = Engine { docker, address, builds: Arc::default() };
        let said = |status_code, message: &str| {
            let message = message.to_owned();
            engine.error("start", Error::DockerResponseServerError { status_code, message })
        };
        let taken = said(500, "Bind for 0.0.0.0:80 failed: port is already allocated");
        assert_eq!((taken.status(), taken.kind()), (ErrorStatus::Temporary, ErrorKind::Conflict));
        let leaving = said(403, "error while removing network: network x has active endpoints");
        assert_eq!(leaving.status(), ErrorStatus::Temporary);
        let overlaps = said(403, "Pool overlaps with other one on this address space");
        assert_eq!(overlaps.status(), ErrorStatus::Permanent);
        assert!(overlaps.to_string().contains("extensions.docker.subnets"));
        assert_eq!(said(404, "no such image").kind(), ErrorKind::NotFound);
        assert_eq!(said(503, "not now").status(), ErrorStatus::Temporary);
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_may_come_back() {
        let docker = connect("tcp://127.0.0.1:1").unwrap();
        let address = "tcp://127.0.0.1:1".to_owned();
        let engine = Engine { docker, address, builds: Arc::default() };
        let error = engine.docker().ping().await.unwrap_err();
        let error = engine.error("ping", error);
        assert_eq!(error.status(), ErrorStatus::Temporary);
        assert!(error.to_string().contains("tcp://127.0.0.1:1 does not answer"), "{error}");
    }
}
