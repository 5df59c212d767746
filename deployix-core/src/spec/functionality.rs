//! [`Functionality`]: a service plus what it needs from its surroundings.

use std::{fmt, num::NonZeroU32, sync::Arc};

use serde::Serialize;

use super::{Bytes, Extension, ExtensionError, Extensions, Lowered, MilliCpus, Service};
use crate::name::{Fqdn, Name, NameError};

/// A service plus what it needs from its surroundings.
///
/// [`FunctionalitySpec`] is the one that most tools use; implement the trait where a type of your
/// own knows its name, fqdn and upstreams.
pub trait Functionality: fmt::Debug + Send + Sync {
    /// Its name, unique within a deployment.
    fn name(&self) -> &Name;
    /// The host name under which others reach it.
    fn fqdn(&self) -> Option<&Fqdn>;
    /// What runs.
    fn service(&self) -> &dyn Service;
    /// The hosts it must reach; nothing else is opened to it.
    fn upstream_hosts(&self) -> &[Fqdn];
    /// What it wishes of the machine it runs on.
    fn machine(&self) -> &MachineWishes;
    /// How many of it run.
    fn replicas(&self) -> NonZeroU32;
    /// What one backend or transform owns.
    fn extensions(&self) -> &Extensions;
}

/// What a functionality wishes of the machine it runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MachineWishes {
    /// Where the machine stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Name>,
    /// Which target it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
    /// Processors that have to be free on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<MilliCpus>,
    /// Memory that has to be free on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

/// A functionality as plain data, whose service is a recipe of type `S`.
///
/// From files, `S` is [`Lowered`]; a Rust tool may put a recipe of its own there.
///
/// ```
/// use deployix_core::spec::{FunctionalitySpec, ServiceSpec};
///
/// let service = ServiceSpec::builder(["hydra-web"]).endpoint("http", 3000).build()?;
/// let web = FunctionalitySpec::new("hydra-web", service)?
///     .fqdn("hydra.example.com")?
///     .upstream("hydra-db.example.com")?
///     .location("singapore")?;
/// assert_eq!(web.upstream_hosts.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FunctionalitySpec<S = Lowered> {
    /// Its name, unique within a deployment.
    pub name: Name,
    /// The host name under which others reach it.
    pub fqdn: Option<Fqdn>,
    /// What runs.
    pub service: S,
    /// The hosts it must reach.
    pub upstream_hosts: Vec<Fqdn>,
    /// What it wishes of the machine it runs on.
    pub machine: MachineWishes,
    /// How many of it run.
    pub replicas: NonZeroU32,
    /// What one backend or transform owns.
    pub extensions: Extensions,
}

impl<S: Service> FunctionalitySpec<S> {
    /// A functionality that needs nothing from its surroundings, once.
    ///
    /// # Errors
    /// Refuses a name that is none.
    pub fn new(name: &str, service: S) -> Result<Self, NameError> {
        Ok(Self {
            name: Name::new(name)?,
            fqdn: None,
            service,
            upstream_hosts: Vec::new(),
            machine: MachineWishes::default(),
            replicas: NonZeroU32::MIN,
            extensions: Extensions::default(),
        })
    }

    /// Sets the host name under which others reach it.
    ///
    /// # Errors
    /// Refuses what is no host name.
    pub fn fqdn(mut self, fqdn: &str) -> Result<Self, NameError> {
        self.fqdn = Some(Fqdn::new(fqdn)?);
        Ok(self)
    }

    /// Adds a host it must reach.
    ///
    /// # Errors
    /// Refuses what is no host name.
    pub fn upstream(mut self, fqdn: &str) -> Result<Self, NameError> {
        self.upstream_hosts.push(Fqdn::new(fqdn)?);
        Ok(self)
    }

    /// Wishes a location.
    ///
    /// # Errors
    /// Refuses a name that is none.
    pub fn location(mut self, location: &str) -> Result<Self, NameError> {
        self.machine.location = Some(Name::new(location)?);
        Ok(self)
    }

    /// Wishes a target.
    ///
    /// # Errors
    /// Refuses a name that is none.
    pub fn target(mut self, target: &str) -> Result<Self, NameError> {
        self.machine.target = Some(Name::new(target)?);
        Ok(self)
    }

    /// Sets how many of it run.
    #[must_use]
    pub fn replicas(mut self, replicas: NonZeroU32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Adds settings that one backend or transform owns.
    ///
    /// # Errors
    /// Where the settings do not serialize to JSON.
    pub fn extension<E: Extension>(mut self, settings: &E) -> Result<Self, ExtensionError> {
        self.extensions.insert(settings)?;
        Ok(self)
    }

    /// The same with another service.
    pub(crate) fn with_service<T>(self, service: T) -> FunctionalitySpec<T> {
        let Self { name, fqdn, upstream_hosts, machine, replicas, extensions, .. } = self;
        FunctionalitySpec { name, fqdn, service, upstream_hosts, machine, replicas, extensions }
    }

    /// As one of a catalog's functionalities.
    #[must_use]
    pub fn shared(self) -> Arc<dyn Functionality>
    where
        S: 'static,
    {
        Arc::new(self)
    }
}

impl<S: Service> Functionality for FunctionalitySpec<S> {
    fn name(&self) -> &Name {
        &self.name
    }

    fn fqdn(&self) -> Option<&Fqdn> {
        self.fqdn.as_ref()
    }

    fn service(&self) -> &dyn Service {
        &self.service
    }

    fn upstream_hosts(&self) -> &[Fqdn] {
        &self.upstream_hosts
    }

    fn machine(&self) -> &MachineWishes {
        &self.machine
    }

    fn replicas(&self) -> NonZeroU32 {
        self.replicas
    }

    fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}
