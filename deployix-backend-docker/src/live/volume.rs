//! Volumes: made once, and never made anew.

use bollard::{models::VolumeCreateRequest, query_parameters::RemoveVolumeOptionsBuilder};
use deployix_core::backend::{Action, BackendError, Step, StepContext};

use super::{
    engine::{Engine, found, is_missing},
    label,
};

pub(super) async fn apply(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let name = &*super::name(step, "name")?;
    let standing = found(engine.docker().inspect_volume(name).await)
        .map_err(|error| engine.error("inspect volume", error).as_it_was())?;
    let labels = standing.as_ref().map(|volume| &volume.labels);
    label::check(step, context, &format!("the volume {name}"), |key| labels?.get(key))?;
    match standing {
        _ if matches!(step.action, Action::Remove) => remove(engine, name).await,
        // One that was made by `docker compose` holds the same data.
        Some(_) => Ok(()),
        None => create(engine, name, label::of(step, context)).await,
    }
}

pub(super) async fn create(
    engine: &Engine,
    name: &str,
    labels: impl IntoIterator<Item = (String, String)>,
) -> Result<(), BackendError> {
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some(labels.into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    let created = engine.docker().create_volume(request).await;
    created.map(drop).map_err(|error| engine.error("create volume", error))
}

pub(super) async fn remove(engine: &Engine, name: &str) -> Result<(), BackendError> {
    let options = RemoveVolumeOptionsBuilder::new().build();
    match engine.docker().remove_volume(name, Some(options)).await {
        Err(error) if !is_missing(&error) => Err(engine.error("remove volume", error)),
        _ => Ok(()),
    }
}
