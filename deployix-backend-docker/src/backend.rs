//! [`DockerBackend`]: the contract's methods, each handed on to its room.

use async_trait::async_trait;
use deployix_core::{
    BackendId,
    backend::{
        Artifact, Assembly, Backend, BackendError, Capabilities, Change, CompileError, ErrorKind,
        Guest, Observed, Outcome, Resource, Scope, Site, Step, StepContext, Unit, UserData,
    },
    spec::ExtensionDecl,
};

use crate::{
    assemble, compile,
    extension::{DockerFunctionality, DockerLoadBalancer, DockerTarget},
    guest,
    instance::Instance,
    naming::BACKEND,
};

/// Compiles functionalities to images, containers and networks of one Docker engine.
///
/// ```
/// use deployix_backend_docker::DockerBackend;
/// use deployix_core::backend::Registry;
///
/// let registry = Registry::new().with(DockerBackend::new());
/// assert!(registry.backend_named("docker").is_some());
/// ```
#[derive(Debug)]
pub struct DockerBackend {
    id: BackendId,
    extensions: [ExtensionDecl; 3],
}

impl Default for DockerBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl DockerBackend {
    /// The backend, under the id `docker`.
    #[must_use]
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "a literal that is valid")]
        let id = BackendId::new(BACKEND).expect("valid");
        Self {
            id,
            extensions: [
                ExtensionDecl::of::<DockerFunctionality>(),
                ExtensionDecl::of::<DockerLoadBalancer>(),
                ExtensionDecl::of::<DockerTarget>(),
            ],
        }
    }
}

#[async_trait]
impl Backend for DockerBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolated: true, ..Capabilities::NONE }
    }

    fn extension_decls(&self) -> &[ExtensionDecl] {
        &self.extensions
    }

    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError> {
        compile::compile(unit)
    }

    fn assemble(&self, assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
        assemble::assemble(assembly)
    }

    /// The engine changes nothing in place. An instance is made anew beside the old one, where
    /// both can run at once. A volume is never made anew: that would lose what is in it; and a
    /// changed image or network is another resource.
    fn change(&self, from: &Resource, to: &Resource) -> Change {
        let kind = to.id().as_str().split('/').nth(2);
        match kind {
            _ if from.digest() == to.digest() => Change::Keep,
            Some("instance") => match Instance::gap_of(to.inputs()) {
                Some(gap) => Change::Recreate { why: gap.why() },
                None => Change::Replace,
            },
            _ => Change::Update,
        }
    }

    async fn observe(&self, _scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        Err(unsupported("observe"))
    }

    async fn apply(&self, _step: &Step<'_>, _: &StepContext<'_>) -> Result<Outcome, BackendError> {
        Err(unsupported("apply"))
    }
}

/// Boots a Debian 13, an Ubuntu 24.04 or newer into an engine that runs the units.
impl Guest for DockerBackend {
    fn user_data(&self, site: Site<'_>, units: &[Unit<'_>]) -> Result<UserData, CompileError> {
        guest::user_data(site, units)
    }
}

fn unsupported(operation: &'static str) -> BackendError {
    BackendError::permanent(
        ErrorKind::Unsupported,
        operation,
        "this version compiles for Docker and plans; start what it compiled with \
         `docker compose up --detach --wait`",
    )
}
