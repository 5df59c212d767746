//! Containers that stand, and what is done with them as they are.

use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{
        ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use deployix_core::{Digest, backend::BackendError};
use futures_util::{StreamExt, future::try_join_all};

use super::{
    engine::{Engine, is_being_removed, is_missing, is_unmodified},
    label::{self, Part},
    plain,
};

/// How many lines of a container's log an error holds.
const LAST_LINES: &str = "20";

/// A container that stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) id: String,
    /// What it is called in its instance, whatever the version.
    pub(super) container: String,
    pub(super) part: Part,
    /// The version it is of.
    pub(super) digest: Option<Digest>,
    pub(super) running: bool,
    /// Whether it was ever started and can be again.
    pub(super) startable: bool,
}

impl Standing {
    /// Reads a container of the engine's list; nothing for one that is no part of an instance.
    pub(super) fn read(summary: &ContainerSummary) -> Option<Self> {
        let labels = summary.labels.as_ref()?;
        let state = summary.state?;
        let running = [ContainerSummaryStateEnum::RUNNING, ContainerSummaryStateEnum::RESTARTING];
        let stopped = [ContainerSummaryStateEnum::EXITED, ContainerSummaryStateEnum::PAUSED];
        Some(Self {
            id: summary.id.clone()?,
            container: labels.get(label::CONTAINER)?.clone(),
            part: Part::read(labels.get(label::PART)?)?,
            digest: labels.get(label::DIGEST).and_then(|digest| digest.parse().ok()),
            running: running.contains(&state),
            startable: running.contains(&state) || stopped.contains(&state),
        })
    }
}

/// All containers with these labels, whether they run or not.
pub(super) async fn list(
    engine: &Engine,
    labels: Vec<String>,
) -> Result<Vec<ContainerSummary>, BackendError> {
    let filters = [("label".to_owned(), labels)].into();
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.docker().list_containers(Some(options)).await;
    listed.map_err(|error| engine.error("list containers", error))
}

/// Starts a container; one that runs is left alone.
pub(super) async fn start(engine: &Engine, id: &str) -> Result<(), BackendError> {
    match engine.docker().start_container(id, None).await {
        Err(error) if !is_unmodified(&error) => Err(engine.error("start container", error)),
        _ => Ok(()),
    }
}

/// Stops programs, each with its own signal and time, and then what holds their namespace.
pub(super) async fn stop(engine: &Engine, containers: &[Standing]) -> Result<(), BackendError> {
    let holds = |standing: &&Standing| standing.part == Part::Namespace;
    let running = containers.iter().filter(|standing| standing.running);
    let (holders, programs): (Vec<_>, Vec<_>) = running.partition(holds);
    for some in [programs, holders] {
        try_join_all(some.into_iter().map(|standing| stop_one(engine, &standing.id))).await?;
    }
    Ok(())
}

async fn stop_one(engine: &Engine, id: &str) -> Result<(), BackendError> {
    match engine.patient().stop_container(id, None).await {
        Err(error) if !is_unmodified(&error) && !is_missing(&error) => {
            Err(engine.error("stop container", error))
        }
        _ => Ok(()),
    }
}

/// Starts what holds a namespace again, and then the programs in it.
pub(super) async fn start_again(
    engine: &Engine,
    containers: &[Standing],
) -> Result<(), BackendError> {
    let holds = |standing: &&Standing| standing.part == Part::Namespace;
    let programs = |standing: &&Standing| standing.part == Part::Program;
    for standing in containers.iter().filter(holds).chain(containers.iter().filter(programs)) {
        start(engine, &standing.id).await?;
    }
    Ok(())
}

/// Removes containers, whatever state they are in; what holds a namespace goes last.
pub(super) async fn remove(engine: &Engine, containers: &[Standing]) -> Result<(), BackendError> {
    let holds = |standing: &&Standing| standing.part == Part::Namespace;
    let (holders, others): (Vec<_>, Vec<_>) = containers.iter().partition(holds);
    for some in [others, holders] {
        try_join_all(some.into_iter().map(|standing| remove_one(engine, &standing.id))).await?;
    }
    Ok(())
}

pub(super) async fn remove_one(engine: &Engine, id: &str) -> Result<(), BackendError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match engine.docker().remove_container(id, Some(options)).await {
        Err(error) if !is_missing(&error) && !is_being_removed(&error) => {
            Err(engine.error("remove container", error))
        }
        _ => Ok(()),
    }
}

/// The last lines of a container's log; empty where there is none to be had.
pub(super) async fn last_lines(engine: &Engine, id: &str) -> String {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LAST_LINES).build();
    let mut log = engine.docker().logs(id, Some(options));
    let mut bytes = Vec::new();
    while let Some(Ok(part)) = log.next().await {
        bytes.extend_from_slice(&part.into_bytes());
    }
    plain(&String::from_utf8_lossy(&bytes)).trim_end().to_owned()
}
