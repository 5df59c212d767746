//! The labels that everything made here carries.

use std::collections::BTreeMap;

use deployix_core::{
    HistoryId, Name,
    backend::{BackendError, Owner, Step, StepContext},
};

pub(super) const DEPLOYMENT: &str = "deployix.deployment";
pub(super) const TARGET: &str = "deployix.target";
/// The id of the resource.
pub(super) const RESOURCE: &str = "deployix.resource";
/// The digest of the resource's settings.
pub(super) const DIGEST: &str = "deployix.digest";
/// On whose account it stands, as JSON.
pub(super) const OWNER: &str = "deployix.owner";
/// The id of the history that keeps it. Labels never change, so what was taken over keeps that of before.
pub(super) const HISTORY: &str = "deployix.history";
/// The functionality on whose account it stands.
const FUNCTIONALITY: &str = "deployix.functionality";
/// What a container or volume is within its instance: see [`Part`].
pub(super) const PART: &str = "deployix.part";
/// The name of a container in its instance, whatever the version.
pub(super) const CONTAINER: &str = "deployix.container";
/// On what holds the namespace: the containers of its programs, as a JSON list.
pub(super) const PROGRAMS: &str = "deployix.programs";
/// On what holds the namespace: its networks with its aliases there, as JSON.
pub(super) const NETWORKS: &str = "deployix.networks";

/// What a container or volume is within its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Namespace,
    Program,
    Initializer,
    Secrets,
}

impl Part {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Program => "program",
            Self::Initializer => "initializer",
            Self::Secrets => "secrets",
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let all = [Self::Namespace, Self::Program, Self::Initializer, Self::Secrets];
        all.into_iter().find(|part| part.as_str() == text)
    }
}

/// The labels of what a step makes.
pub(super) fn of(step: &Step<'_>, context: &StepContext<'_>) -> BTreeMap<String, String> {
    let owner = step.resource.owner();
    let mut labels = BTreeMap::from([
        (DEPLOYMENT.to_owned(), step.deployment.to_string()),
        (TARGET.to_owned(), step.site.target.name.to_string()),
        (RESOURCE.to_owned(), step.resource.id().to_string()),
        (DIGEST.to_owned(), step.resource.digest().to_string()),
        // An owner always serializes.
        (OWNER.to_owned(), serde_json::to_string(owner).unwrap_or_default()),
    ]);
    if let Some(keeper) = context.keeper() {
        labels.insert(HISTORY.to_owned(), keeper.history().to_string());
    }
    match owner {
        Owner::Functionality(name) => {
            labels.insert(FUNCTIONALITY.to_owned(), name.to_string());
        }
        Owner::Edge { consumer, provider } => {
            labels.insert("deployix.consumer".to_owned(), consumer.to_string());
            labels.insert("deployix.provider".to_owned(), provider.to_string());
        }
        _ => {}
    }
    labels
}

/// Refuses to touch what another history keeps of a step's deployment, by its labels.
pub(super) fn check<'l>(
    step: &Step<'_>,
    context: &StepContext<'_>,
    what: &str,
    label: impl Fn(&str) -> Option<&'l String>,
) -> Result<(), BackendError> {
    let by: Option<HistoryId> = label(HISTORY).and_then(|id| id.parse().ok());
    let Some((keeper, by)) = context.keeper().zip(by) else { return Ok(()) };
    let is_of_deployment = label(DEPLOYMENT).is_some_and(|it| it == step.deployment.as_str());
    if keeper.keeps(Some(&by)) || !is_of_deployment {
        return Ok(());
    }
    Err(BackendError::kept_by_another("look", step.deployment, what, &by).as_it_was())
}

/// What kind of thing a resource is, by its id: `image`, `network`, `volume` or `instance`.
pub(super) fn kind(resource: &str) -> Option<&str> {
    resource.split('/').nth(2)
}

/// A filter for what a deployment has on a target.
pub(super) fn of_target(deployment: &Name, target: &Name) -> Vec<String> {
    vec![format!("{DEPLOYMENT}={deployment}"), format!("{TARGET}={target}")]
}

/// A filter for what stands on the account of a step's functionality; nothing where it is of none.
pub(super) fn of_functionality(step: &Step<'_>) -> Option<Vec<String>> {
    let Owner::Functionality(name) = step.resource.owner() else { return None };
    let mut labels = of_target(step.deployment, &step.site.target.name);
    labels.push(format!("{FUNCTIONALITY}={name}"));
    Some(labels)
}

/// A filter for what stands of a step's resource, in whatever version.
pub(super) fn of_resource(step: &Step<'_>) -> Vec<String> {
    let mut labels = of_target(step.deployment, &step.site.target.name);
    labels.push(format!("{RESOURCE}={}", step.resource.id()));
    labels
}
