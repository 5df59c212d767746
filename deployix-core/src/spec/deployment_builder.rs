//! Builds a [`Deployment`] from text, collecting every problem.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use super::{
    Catalog, CertificateAuthority, DefaultBackend, Deployment, Functionality, Infrastructure,
    InfrastructurePart, SpecError, problems::Problems,
};
use crate::name::{BackendId, Fqdn, Name};

/// Builds a [`Deployment`] from text; [`build`](Self::build) tells every problem at once.
///
/// ```
/// use deployix_core::spec::{Deployment, FunctionalitySpec, Infrastructure, ServiceSpec};
///
/// let service = ServiceSpec::builder(["hydra-web"]).endpoint("http", 3000).build()?;
/// let web = FunctionalitySpec::new("hydra-web", service)?.fqdn("hydra.example.com")?;
/// let infrastructure = Infrastructure::builder().target("box", "docker", |target| target);
/// let deployment = Deployment::builder("example")
///     .catalog([web.shared()])
///     .infrastructure(infrastructure.build()?)
///     .place("hydra-web", "box")
///     .build()?;
/// assert_eq!(deployment.catalogs.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct DeploymentBuilder {
    /// `None` where its name is none.
    made: Option<Deployment>,
    problems: Problems,
}

impl Deployment {
    /// Starts building a deployment.
    pub fn builder(name: &str) -> DeploymentBuilder {
        let mut problems = Problems::default();
        let name = problems.parsed("name", Name::new(name));
        DeploymentBuilder { made: name.map(|name| Self::new(name, Vec::new())), problems }
    }
}

impl DeploymentBuilder {
    /// Adds what one source exports.
    pub fn catalog(
        self,
        functionalities: impl IntoIterator<Item = Arc<dyn Functionality>>,
    ) -> Self {
        let catalog = functionalities.into_iter().collect::<Catalog>();
        self.with(|made| made.catalogs.push(catalog))
    }

    /// Sets where things can run.
    pub fn infrastructure(self, infrastructure: Infrastructure) -> Self {
        self.with(|made| made.infrastructure = infrastructure)
    }

    /// Sets who signs the certificates of machines that talk over IPsec: the certificate as PEM
    /// text, and the file of its private key.
    pub fn certificate_authority(
        self,
        certificate: impl Into<String>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let certificate = Some(certificate.into());
        let authority = CertificateAuthority { certificate, key: key.into() };
        self.with(|made| made.certificate_authority = Some(authority))
    }

    /// Adds an upstream host that is nobody's functionality.
    pub fn external_host(mut self, fqdn: &str) -> Self {
        let fqdn = self.problems.parsed("external-hosts", Fqdn::new(fqdn));
        self.with(|made| made.external_hosts.extend(fqdn))
    }

    /// Sets the folder of the secrets.
    pub fn secrets(self, folder: impl Into<PathBuf>) -> Self {
        self.with(|made| made.secrets = Some(folder.into()))
    }

    /// Sets where the history is: `file:FOLDER` or the URL of an object store.
    pub fn history(self, history: impl Into<String>) -> Self {
        self.with(|made| made.history = Some(history.into()))
    }

    /// Places a functionality on a target, whatever it wishes.
    pub fn place(mut self, functionality: &str, target: &str) -> Self {
        let functionality = self.problems.parsed("place", Name::new(functionality));
        let target = self.problems.parsed("place", Name::new(target));
        self.with(|made| made.place.extend(functionality.zip(target)))
    }

    /// Adds a set of functionalities that succeed or are put back together.
    pub fn atomic<'a>(mut self, functionalities: impl IntoIterator<Item = &'a str>) -> Self {
        let names = functionalities.into_iter();
        let names = names.filter_map(|name| self.problems.parsed("atomic", Name::new(name)));
        let set = names.collect();
        self.with(|made| made.atomic.push(set))
    }

    /// Sets what makes targets for what has none.
    pub fn default_backend(
        mut self,
        backend: &str,
        with: impl FnOnce(InfrastructurePart<DefaultBackend>) -> InfrastructurePart<DefaultBackend>,
    ) -> Self {
        let backend = self.problems.parsed("default-backend", BackendId::new(backend));
        let made = backend.map(|backend| {
            let made = DefaultBackend::new(backend);
            let part = with(InfrastructurePart::new(made, |made| &mut made.extensions));
            self.problems.extend("default-backend", part.problems);
            part.made
        });
        self.with(|deployment| deployment.default_backend = made)
    }

    /// The deployment.
    ///
    /// # Errors
    /// Every text that was not what it had to be.
    pub fn build(self) -> Result<Deployment, SpecError> {
        self.problems.none(self.made)?.ok_or_else(|| SpecError::because("name: there is none"))
    }

    fn with(mut self, change: impl FnOnce(&mut Deployment)) -> Self {
        if let Some(made) = &mut self.made {
            change(made);
        }
        self
    }
}

impl InfrastructurePart<DefaultBackend> {
    /// Sets how many functionalities one made machine takes at most.
    pub fn services_per_instance(mut self, services: u32) -> Self {
        self.made.services_per_instance = NonZeroU32::new(services);
        if services == 0 {
            self.problems.add("services-per-instance", "a machine takes at least one");
        }
        self
    }

    /// Sets where the machines stand, for functionalities that wish no location.
    pub fn location(mut self, location: &str) -> Self {
        self.made.location = self.name("location", location);
        self
    }

    /// Sets what compiles what runs inside.
    pub fn guest(mut self, guest: &str) -> Self {
        self.made.guest = self.problems.parsed("guest", BackendId::new(guest));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once() {
        let error = Deployment::builder("Big")
            .external_host("no host")
            .place("web", "THERE")
            .atomic(["web", "-"])
            .default_backend("ec2", |made| made.services_per_instance(0).location("-"))
            .build()
            .unwrap_err();
        let told: Vec<_> =
            error.reasons().iter().filter_map(|reason| reason.split(':').next()).collect();
        let default = "default-backend";
        assert_eq!(told, ["name", "external-hosts", "place", "atomic", default, default]);
    }
}
