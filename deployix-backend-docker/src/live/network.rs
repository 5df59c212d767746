//! Networks: each version one of its own, so that nothing of one ever changes.

use bollard::{
    errors::Error,
    models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkDisconnectRequest, NetworkInspect},
    query_parameters::InspectNetworkOptionsBuilder,
};
use deployix_core::backend::{Action, BackendError, ErrorKind, Input, Step, StepContext};
use ipnet::Ipv4Net;

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
    let standing = inspect(engine, name).await?;
    let labels = standing.as_ref().and_then(|network| network.labels.as_ref());
    label::check(step, context, &format!("the network {name}"), |key| labels?.get(key))?;
    if matches!(step.action, Action::Remove) {
        return match standing {
            Some(network) => remove(engine, &network).await,
            None => Ok(()),
        };
    }
    if let Some(network) = standing {
        let made_for = network.labels.as_ref().and_then(|labels| labels.get(label::RESOURCE));
        // Its name holds the version of all that matters, and the engine makes it in one go.
        if made_for.map(String::as_str) != Some(step.resource.id().as_str()) {
            let message = format!(
                "there is a network {name} that was not made for this: remove it, with \
                 `docker network rm`, or rename the deployment"
            );
            let error = BackendError::permanent(ErrorKind::Conflict, "create network", message);
            return Err(error.as_it_was());
        }
        return Ok(());
    }
    create(engine, step, context, name).await
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<NetworkInspect>, BackendError> {
    let options = InspectNetworkOptionsBuilder::new().build();
    let network = found(engine.docker().inspect_network(name, Some(options)).await)
        .map_err(|error| engine.error("inspect network", error).as_it_was())?;
    // The engine takes the beginning of an id for a name, too.
    Ok(network.filter(|network| network.name.as_deref() == Some(name)))
}

async fn create(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
    name: &str,
) -> Result<(), BackendError> {
    let subnet = step.inputs.text("subnet")?;
    let mut labels = label::of(step, context);
    let mut options = Vec::new();
    for (to, field) in [(true, "labels"), (false, "options")] {
        let Some(Input::Map(entries)) = step.inputs.get(field) else { continue };
        for (key, value) in entries {
            let Input::Text(value) = value else { continue };
            if to {
                labels.entry(key.to_string()).or_insert_with(|| value.clone());
            } else {
                options.push((key.to_string(), value.clone()));
            }
        }
    }
    let range = IpamConfig { subnet: Some(subnet.to_owned()), ..IpamConfig::default() };
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(step.inputs.get("internal") == Some(&Input::Bool(true))),
        ipam: Some(Ipam { config: Some(vec![range]), ..Ipam::default() }),
        options: Some(options.into_iter().collect()),
        labels: Some(labels.into_iter().collect()),
        ..NetworkCreateRequest::default()
    };
    let Err(error) = engine.docker().create_network(request).await else { return Ok(()) };
    let overlaps = matches!(&error, Error::DockerResponseServerError { message, .. }
        if message.contains("Pool overlaps"));
    let passing = match overlaps {
        true => passing(engine, step, subnet).await?,
        false => None,
    };
    if let Some(why) = passing {
        let message = format!("{subnet} is still that of another network{why}");
        let error = BackendError::temporary(ErrorKind::Conflict, "create network", message);
        return Err(error.as_it_was());
    }
    let error = engine.error("create network", error);
    Err(if overlaps { error.as_it_was() } else { error })
}

/// Why another network that has some of these addresses will not have them for long, where it will
/// not.
async fn passing(
    engine: &Engine,
    step: &Step<'_>,
    subnet: &str,
) -> Result<Option<&'static str>, BackendError> {
    let Ok(subnet) = subnet.parse::<Ipv4Net>() else { return Ok(None) };
    let networks = engine.docker().list_networks(None).await;
    let networks = networks.map_err(|error| engine.error("list networks", error))?;
    let overlapping: Vec<_> = networks
        .into_iter()
        .filter(|network| {
            let configs = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
            let mut blocks = configs.filter_map(|config| config.subnet.as_ref()?.parse().ok());
            blocks.any(|block: Ipv4Net| block.contains(&subnet) || subnet.contains(&block))
        })
        .collect();
    if overlapping.is_empty() {
        // The engine is still making it, for a process that may be no more, or removing it.
        return Ok(Some(", which the engine is just at"));
    }
    let own = [
        ("deployix.deployment", step.deployment.as_str()),
        ("deployix.target", step.site.target.name.as_str()),
    ];
    let is_own = overlapping.iter().any(|network| {
        let label = |key| network.labels.as_ref()?.get(key).map(String::as_str);
        own.iter().all(|(key, name)| label(*key) == Some(name))
    });
    Ok(is_own.then_some(" of this deployment, which goes once what is on it was rolled"))
}

/// Removes a network, and whatever is still on it from it.
async fn remove(engine: &Engine, network: &NetworkInspect) -> Result<(), BackendError> {
    let Some(id) = &network.id else { return Ok(()) };
    for container in network.containers.iter().flatten().map(|(container, _)| container) {
        let request = NetworkDisconnectRequest { container: container.clone(), force: Some(true) };
        match engine.docker().disconnect_network(id, request).await {
            Err(error) if !is_missing(&error) => {
                return Err(engine.error("disconnect from network", error));
            }
            _ => {}
        }
    }
    match engine.docker().remove_network(id).await {
        Err(error) if !is_missing(&error) => Err(engine.error("remove network", error)),
        _ => Ok(()),
    }
}
