//! What stands of a deployment on an engine, by its labels: one question for each kind of thing.

use std::collections::{BTreeMap, BTreeSet};

use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum, Volume},
    query_parameters::{
        ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    },
};
use deployix_core::{
    Digest, Name, ResourceId,
    backend::{BackendError, Observed, Owner},
};
use futures_util::{StreamExt, stream};

use super::{
    engine::{Engine, found},
    label::{self, Part},
    ready,
    stand::{self, Standing},
};
use crate::{compile, compose::Attachment, naming};

/// How many containers are looked at closely at once.
const AT_ONCE: usize = 16;

/// Everything that stands of a deployment on a target.
pub(super) async fn observe(
    engine: &Engine,
    deployment: &Name,
    target: &Name,
) -> Result<Vec<Observed>, BackendError> {
    let labels = || label::of_target(deployment, target);
    let mut seen = Vec::new();
    let filters = [("label".to_owned(), labels())].into();

    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = engine.docker().list_networks(Some(options)).await;
    for network in networks.map_err(|error| engine.error("list networks", error))? {
        seen.extend(network.labels.and_then(|labels| observed(|key| labels.get(key))));
    }
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let images = engine.docker().list_images(Some(options)).await;
    for image in images.map_err(|error| engine.error("list images", error))? {
        // One without a name was left by a build that took it over.
        if image.repo_tags.iter().any(|tag| !tag.starts_with("<none>")) {
            seen.extend(observed(|key| image.labels.get(key)));
        }
    }
    let mut instances: BTreeMap<ResourceId, Vec<ContainerSummary>> = BTreeMap::new();
    let mut owners = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = engine.docker().list_volumes(Some(options)).await;
    let volumes = volumes.map_err(|error| engine.error("list volumes", error))?;
    for volume in volumes.volumes.into_iter().flatten() {
        let of = observed(|key| volume.labels.get(key));
        let of = of.or_else(|| adopted(&volume, deployment, target));
        let Some(mut of) = of else { continue };
        if volume.labels.contains_key(label::PART) {
            // Secrets of a version without containers are of an instance in pieces.
            instances.entry(of.id.clone()).or_default();
            secrets.entry(of.id.clone()).or_insert_with(BTreeSet::new).insert(of.digest);
            owners.insert(of.id.clone(), of);
        } else {
            of.holds_data = true;
            seen.push(of);
        }
    }
    for summary in stand::list(engine, labels()).await? {
        let labels = summary.labels.as_ref();
        let Some(of) = labels.and_then(|labels| observed(|key| labels.get(key))) else { continue };
        // A container has the labels of its image too, whoever runs it: that of a build, for one.
        if label::kind(of.id.as_str()) != Some("instance") {
            continue;
        }
        instances.entry(of.id.clone()).or_default().push(summary);
        owners.insert(of.id.clone(), of);
    }
    let looked = instances.into_iter().filter_map(|(id, containers)| {
        let of = owners.remove(&id)?;
        let secrets = secrets.remove(&id).unwrap_or_default();
        Some(instance(engine, of, containers, secrets))
    });
    let mut looked = stream::iter(looked).buffer_unordered(AT_ONCE);
    while let Some(instance) = looked.next().await {
        seen.push(instance?);
    }
    seen.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(seen)
}

/// What labels say; nothing where they are not ours.
fn observed<'l>(label: impl Fn(&str) -> Option<&'l String>) -> Option<Observed> {
    let id = ResourceId::new(label(label::RESOURCE)?).ok()?;
    let digest = label(label::DIGEST).and_then(|digest| digest.parse().ok());
    let mut observed = Observed::new(id, digest);
    observed.owner = label(label::OWNER).and_then(|owner| serde_json::from_str(owner).ok());
    observed.kept_by = label(label::HISTORY).and_then(|id| id.parse().ok());
    Some(observed)
}

/// A volume that `docker compose` made and that holds the same data under the same name.
fn adopted(volume: &Volume, deployment: &Name, target: &Name) -> Option<Observed> {
    let own = volume.name.strip_prefix(&naming::on_engine(deployment, target, ""))?;
    let id = naming::resource(target, "volume", own).ok()?;
    let owner = Name::new(volume.labels.get("deployix.functionality")?).ok()?;
    let resource = compile::volume(id.clone(), Owner::Functionality(owner), &volume.name);
    let mut observed = Observed::new(id, Some(resource.digest()));
    observed.owner = Some(resource.owner().clone());
    Some(observed)
}

/// An instance by its containers: of one version only where all of it is there and nothing else.
async fn instance(
    engine: &Engine,
    mut observed: Observed,
    summaries: Vec<ContainerSummary>,
    secrets: BTreeSet<Option<Digest>>,
) -> Result<Observed, BackendError> {
    let standing: Vec<_> = summaries.iter().filter_map(Standing::read).collect();
    let versions = standing.iter().map(|s| s.digest).chain(secrets);
    let versions: BTreeSet<Option<Digest>> = versions.collect();
    observed.digest = None;
    if versions.len() > 1 {
        observed.drift.push("two versions of it stand".to_owned());
        return Ok(observed);
    }
    let holder = standing.iter().find(|s| s.part == Part::Namespace);
    let holder = holder.and_then(|holder| {
        let summary = summaries.iter().find(|s| s.id.as_ref() == Some(&holder.id))?;
        Some((holder, summary))
    });
    let Some((holder, summary)) = holder else {
        observed.drift.push("a container of it is missing".to_owned());
        return Ok(observed);
    };
    let read = |key| summary.labels.as_ref().and_then(|labels| labels.get(key));
    let programs: Vec<String> =
        read(label::PROGRAMS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let is_there =
        |name: &String| standing.iter().any(|s| s.part == Part::Program && s.container == *name);
    let unmade = |state| state == Some(ContainerSummaryStateEnum::CREATED);
    if !programs.iter().all(is_there) {
        observed.drift.push("a container of it is missing".to_owned());
    } else if standing.iter().any(|s| s.part == Part::Initializer)
        || summaries.iter().any(|summary| unmade(summary.state))
    {
        observed.drift.push("it is half made".to_owned());
    } else {
        observed.digest = holder.digest;
    }
    let mut drift: BTreeSet<String> = summaries.iter().filter_map(drifted).collect();
    // Whoever made it may have died before it was ready; nobody has seen it so.
    for summary in summaries.iter().filter(|summary| is_starting(summary)) {
        if !ready::is_ready(engine, summary.id.as_deref().unwrap_or_default()).await? {
            drift.insert("it is not ready yet".to_owned());
        }
    }
    let networks: BTreeMap<String, Attachment> =
        read(label::NETWORKS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if holder.running && !networks.is_empty() {
        drift.extend(strayed(engine, holder, &networks).await?);
    }
    observed.drift.extend(drift);
    Ok(observed)
}

/// What is other with a container than that it runs.
fn drifted(summary: &ContainerSummary) -> Option<String> {
    use ContainerSummaryStateEnum::{CREATED, DEAD, EXITED, PAUSED, RESTARTING};
    let status = summary.status.as_deref().unwrap_or_default();
    let what = match summary.state {
        Some(EXITED | DEAD) => "it is stopped",
        Some(PAUSED) => "it is paused",
        Some(RESTARTING) => "it ends and is started again and again",
        Some(CREATED) => "it was never started",
        _ if status.ends_with("(unhealthy)") => "it is unhealthy",
        _ => return None,
    };
    Some(what.to_owned())
}

/// Whether the engine has not come to check yet, or not with success.
fn is_starting(summary: &ContainerSummary) -> bool {
    summary.status.as_deref().unwrap_or_default().ends_with("(health: starting)")
}

/// Networks that a namespace is not in, or not by its names. Only a close look tells names.
async fn strayed(
    engine: &Engine,
    holder: &Standing,
    networks: &BTreeMap<String, Attachment>,
) -> Result<Vec<String>, BackendError> {
    let inspected = found(engine.docker().inspect_container(&holder.id, None).await)
        .map_err(|error| engine.error("inspect container", error))?;
    let joined = inspected.and_then(|inspected| inspected.network_settings?.networks);
    let joined = joined.unwrap_or_default();
    let mut drift = Vec::new();
    for (network, Attachment { aliases }) in networks {
        let Some(endpoint) = joined.get(network) else {
            drift.push(format!("it is not in the network {network}"));
            continue;
        };
        let has = endpoint.aliases.as_deref().unwrap_or_default();
        let missing = aliases.iter().filter(|alias| !has.contains(alias));
        drift.extend(missing.map(|alias| format!("{network} does not know it as {alias}")));
    }
    Ok(drift)
}
