//! When an instance is ready: each program by its own check, or by running for a while.
//!
//! The engine runs a check every two seconds and tells after that; until it does, the same check is
//! run here as soon as the program runs, so that a program which is quick is ready quickly.

use std::time::{Duration, Instant};

use bollard::{
    exec::StartExecResults,
    models::{ContainerState, ExecConfig, HealthStatusEnum},
};
use deployix_core::backend::{Awaited, BackendError, ErrorKind};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::engine::{Engine, found};
use crate::compose::{Healthcheck, Service};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// A program without a check is ready once it has run for so long.
const STEADY: Duration = Duration::from_secs(1);
/// A program that was started again so often will not get ready.
const RESTARTS: i64 = 3;
/// The longest that the packet filter takes to be loaded.
const FILTER_WITHIN: Duration = Duration::from_secs(20);

/// Why something is not ready.
pub(super) enum Failure {
    /// It will not get there.
    NotReady {
        /// The container to look at.
        id: String,
        /// Why, in lower case, without a final dot.
        why: String,
    },
    /// The engine did not do its part.
    Engine(BackendError),
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Engine(error)
    }
}

/// Waits for a program to be ready, and tells each time that it looked.
///
/// # Errors
/// Where it is not ready in time, or ends.
pub(super) async fn program(
    engine: &Engine,
    id: &str,
    name: &str,
    service: &Service,
    waits: impl Fn(Awaited),
) -> Result<(), Failure> {
    let begin = Instant::now();
    let check = service.healthcheck.as_ref();
    let within = check.map_or(STEADY * 30, |check| Duration::from_millis(check.start_period));
    let mut said = String::new();
    let mut steady: Option<(String, Instant)> = None;
    loop {
        let (state, restarts) = state(engine, id, name).await?;
        let running = state.running == Some(true) && state.restarting != Some(true);
        if restarts >= RESTARTS || (!running && state.restarting != Some(true)) {
            let code = state.exit_code.unwrap_or_default();
            let why = state.error.filter(|error| !error.is_empty());
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            return Err(failed(id, format!("`{name}` ends with status {code}{why}")));
        }
        if running {
            match check {
                Some(check) => {
                    let health = state.health.and_then(|health| health.status);
                    if health == Some(HealthStatusEnum::HEALTHY) {
                        return Ok(());
                    }
                    let left = within.saturating_sub(begin.elapsed()).max(EVERY);
                    match try_check(engine, id, check, left).await {
                        // What the engine takes for unhealthy is once it says otherwise.
                        Ok(()) if health == Some(HealthStatusEnum::UNHEALTHY) => {}
                        Ok(()) => return Ok(()),
                        Err(why) => said = why,
                    }
                }
                None => {
                    let started = state.started_at.unwrap_or_default();
                    match &steady {
                        Some((before, since)) if *before == started => {
                            if since.elapsed() >= STEADY {
                                return Ok(());
                            }
                        }
                        _ => steady = Some((started, Instant::now())),
                    }
                }
            }
        }
        if begin.elapsed() >= within {
            let seconds = within.as_secs_f32();
            let said = if said.is_empty() { said } else { format!(": {said}") };
            return Err(failed(id, format!("`{name}` is not ready within {seconds} s{said}")));
        }
        let seen = match (running, said.is_empty()) {
            (false, _) => "it starts again",
            (true, true) => "it runs",
            (true, false) => &said,
        };
        let (what, waited) = (format!("`{name}` to be ready"), begin.elapsed());
        waits(Awaited { what, seen: seen.to_owned(), waited });
        sleep(EVERY).await;
    }
}

/// Waits for a program that runs once to end well.
///
/// # Errors
/// Where it ends otherwise.
pub(super) async fn ended(
    engine: &Engine,
    id: &str,
    name: &str,
    waits: impl Fn(Awaited),
) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        let (state, _) = state(engine, id, name).await?;
        if state.running != Some(true) {
            return match state.exit_code {
                Some(0) => Ok(()),
                code => {
                    let code = code.unwrap_or_default();
                    Err(failed(id, format!("the initializer of `{name}` ends with status {code}")))
                }
            };
        }
        // It may take as long as it needs, but nobody should wonder what is waited for.
        let (what, seen) = (format!("the initializer of `{name}` to end"), "it runs".to_owned());
        waits(Awaited { what, seen, waited: begin.elapsed() });
        sleep(EVERY).await;
    }
}

/// Waits for a namespace's packet filter: until it is loaded, no program may run behind it.
///
/// # Errors
/// Where it is not loaded in time.
pub(super) async fn filter(engine: &Engine, id: &str, name: &str) -> Result<(), Failure> {
    let begin = Instant::now();
    let listing = ["nft", "list", "table", "inet", "deployix"].map(str::to_owned).to_vec();
    loop {
        let why = match run(engine, id, listing.clone(), FILTER_WITHIN).await {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        let (state, restarts) = state(engine, id, name).await?;
        let gone = state.running != Some(true) && state.restarting != Some(true);
        if gone || restarts >= RESTARTS || begin.elapsed() >= FILTER_WITHIN {
            return Err(failed(id, format!("the packet filter of `{name}` is not loaded: {why}")));
        }
        sleep(EVERY).await;
    }
}

async fn state(
    engine: &Engine,
    id: &str,
    name: &str,
) -> Result<(ContainerState, i64), BackendError> {
    let found = found(engine.docker().inspect_container(id, None).await)
        .map_err(|error| engine.error("inspect container", error))?;
    let Some(inspected) = found else {
        let message = format!("somebody removed the container of `{name}`");
        return Err(BackendError::temporary(ErrorKind::NotFound, "wait until ready", message));
    };
    Ok((inspected.state.unwrap_or_default(), inspected.restart_count.unwrap_or_default()))
}

fn failed(id: &str, why: String) -> Failure {
    Failure::NotReady { id: id.to_owned(), why }
}

/// Whether a program is ready by the check that its container has, run once; where the engine does
/// not know yet.
pub(super) async fn is_ready(engine: &Engine, id: &str) -> Result<bool, BackendError> {
    let inspected = found(engine.docker().inspect_container(id, None).await)
        .map_err(|error| engine.error("inspect container", error))?;
    let check = inspected.and_then(|inspected| inspected.config?.healthcheck);
    let Some((test, timeout)) = check.and_then(|check| Some((check.test?, check.timeout))) else {
        return Ok(true);
    };
    let within = timeout.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
    let within = within.map_or(STEADY * 30, Duration::from_nanos);
    match test.split_first() {
        Some((kind, command)) if kind == "CMD" => {
            Ok(run(engine, id, command.to_vec(), within).await.is_ok())
        }
        _ => Ok(true),
    }
}

/// Runs a check once; where it fails, tells what it said.
async fn try_check(
    engine: &Engine,
    id: &str,
    check: &Healthcheck,
    left: Duration,
) -> Result<(), String> {
    let within = Duration::from_millis(check.timeout).min(left);
    run(engine, id, check.command.clone(), within).await
}

/// Runs a command in a container; where it fails, tells what it said. An engine that does not
/// answer is told by whoever asks it next.
async fn run(
    engine: &Engine,
    id: &str,
    command: Vec<String>,
    within: Duration,
) -> Result<(), String> {
    let docker = engine.docker();
    let config = ExecConfig {
        cmd: Some(command),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let finished = async {
        let exec = docker.create_exec(id, config).await?.id;
        let mut said = Vec::new();
        if let StartExecResults::Attached { mut output, .. } =
            docker.start_exec(&exec, None).await?
        {
            while let Some(Ok(part)) = output.next().await {
                said.extend_from_slice(&part.into_bytes());
            }
        }
        let code = loop {
            let inspected = docker.inspect_exec(&exec).await?;
            if inspected.running != Some(true) {
                break inspected.exit_code.unwrap_or(-1);
            }
            sleep(EVERY / 5).await;
        };
        Ok::<_, bollard::errors::Error>((code, said))
    };
    match timeout(within, finished).await {
        Ok(Ok((0, _))) => Ok(()),
        Ok(Ok((code, said))) => {
            let said = String::from_utf8_lossy(&said);
            let said = said.trim().lines().next_back().unwrap_or_default();
            Err(format!("its check ends with status {code}: {said}"))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its check takes too long".to_owned()),
    }
}
