//! The names under which others find an instance in its networks.
//!
//! The engine gives names to a container only when it joins a network, so names move by leaving and
//! joining again; the address is asked for again, too, so that connections only pause.

use std::{collections::BTreeMap, time::Duration};

use bollard::{
    errors::Error,
    models::{EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest},
};
use deployix_core::backend::BackendError;

use super::{
    container,
    engine::is_missing,
    instance::Roll,
    label::{self, Part},
    stand::Standing,
};
use crate::compose::Attachment;

/// How long an old version serves on that nobody finds by name any more: load balancers made here
/// look names up every two seconds.
const LOOK_UP_WITHIN: Duration = Duration::from_millis(2_500);

impl Roll<'_> {
    /// The aliases that a namespace has, network by network.
    async fn names(&self, namespace: &str) -> Result<BTreeMap<String, Vec<String>>, BackendError> {
        let networks = self.inspect(namespace).await?.network_settings;
        let networks = networks.and_then(|settings| settings.networks).unwrap_or_default();
        let entry = |(name, endpoint): (String, EndpointSettings)| {
            (name, endpoint.aliases.unwrap_or_default())
        };
        Ok(networks.into_iter().map(entry).collect())
    }

    pub(super) async fn has_names(&self, namespace: &str) -> Result<bool, BackendError> {
        let names = self.names(namespace).await?;
        Ok(self.instance.networks.iter().all(|(network, Attachment { aliases })| {
            names.get(network).is_some_and(|has| aliases.iter().all(|alias| has.contains(alias)))
        }))
    }

    /// Joins the networks that a namespace is not in.
    pub(super) async fn join_missing(
        &self,
        namespace: &str,
        named: bool,
    ) -> Result<(), BackendError> {
        let names = self.names(namespace).await?;
        for (network, attachment) in &self.instance.networks {
            if !names.contains_key(network) {
                self.join(namespace, network, attachment, named).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn join(
        &self,
        namespace: &str,
        network: &str,
        attachment: &Attachment,
        named: bool,
    ) -> Result<(), BackendError> {
        let request = NetworkConnectRequest {
            container: namespace.to_owned(),
            endpoint_config: Some(container::endpoint(attachment, named)),
        };
        let joined = self.engine.docker().connect_network(network, request).await;
        joined.map_err(|error| self.engine.error("join network", error))
    }

    /// Takes its names in the networks in which others are to find it.
    pub(super) async fn take_names(&self, namespace: &str) -> Result<(), BackendError> {
        self.rejoin(namespace, &self.instance.networks, true).await
    }

    /// Leaves networks in which it has names, or is to have some, and joins them with the names or
    /// without. Nothing else changes names; its address stays, so connections only pause.
    async fn rejoin(
        &self,
        namespace: &str,
        networks: &BTreeMap<String, Attachment>,
        named: bool,
    ) -> Result<(), BackendError> {
        let settings = self.inspect(namespace).await?.network_settings;
        let joined = settings.and_then(|settings| settings.networks).unwrap_or_default();
        for (network, attachment) in networks.iter().filter(|(_, at)| !at.aliases.is_empty()) {
            let request =
                NetworkDisconnectRequest { container: namespace.to_owned(), force: Some(true) };
            match self.engine.docker().disconnect_network(network, request).await {
                Err(error) if !is_missing(&error) && !is_not_in(&error) => {
                    return Err(self.engine.error("leave network", error));
                }
                _ => {}
            }
            let address = joined.get(network).and_then(|endpoint| endpoint.ip_address.clone());
            let address = address.filter(|address| !address.is_empty());
            let same = NetworkConnectRequest {
                container: namespace.to_owned(),
                endpoint_config: Some(container::endpoint_at(attachment, named, address)),
            };
            // Where another one took its address meanwhile, it gets a new one.
            if self.engine.docker().connect_network(network, same).await.is_err() {
                self.join(namespace, network, attachment, named).await?;
            }
        }
        Ok(())
    }

    /// Takes its names from an old version that serves, and gives those who look it up a moment to
    /// do so again.
    pub(super) async fn drop_names(&self, old: &[Standing]) -> Result<(), BackendError> {
        let holders = old.iter().filter(|s| s.part == Part::Namespace && s.running);
        let mut dropped = false;
        for holder in holders {
            let labels = self.inspect(&holder.id).await?.config.and_then(|config| config.labels);
            let networks = labels.and_then(|mut labels| labels.remove(label::NETWORKS));
            let networks: BTreeMap<String, Attachment> =
                networks.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            self.rejoin(&holder.id, &networks, false).await?;
            dropped |= networks.values().any(|at| !at.aliases.is_empty());
        }
        if dropped {
            tokio::time::sleep(LOOK_UP_WITHIN).await;
        }
        Ok(())
    }
}

/// Whether a container was not in the network that it was to leave.
fn is_not_in(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. }
        if message.contains("is not connected to"))
}
