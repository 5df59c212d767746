//! [`DockerBackend`]: the contract's methods, each handed on to its room.

use async_trait::async_trait;
use deployix_core::{
    BackendId,
    backend::{
        Artifact, Assembly, Backend, BackendError, Capabilities, Change, CompileError, FirstBoot,
        Guest, Observed, Outcome, Permissions, Resource, Scope, Step, StepContext, Unit, UserData,
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
    #[cfg(feature = "live")]
    connections: crate::live::Connections,
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
            #[cfg(feature = "live")]
            connections: crate::live::Connections::default(),
        }
    }
}

#[async_trait]
impl Backend for DockerBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolated: true, live: cfg!(feature = "live"), ..Capabilities::NONE }
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

    #[cfg(feature = "live")]
    async fn observe(&self, scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        crate::live::observe(&self.connections, scope).await
    }

    async fn permissions(&self, _: &[Step<'_>]) -> Result<Permissions, BackendError> {
        Ok(Permissions::default())
    }

    #[cfg(feature = "live")]
    async fn apply(
        &self,
        step: &Step<'_>,
        context: &StepContext<'_>,
    ) -> Result<Outcome, BackendError> {
        crate::live::apply(&self.connections, step, context).await
    }

    #[cfg(not(feature = "live"))]
    async fn observe(&self, _scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        Err(unsupported("observe"))
    }

    #[cfg(not(feature = "live"))]
    async fn apply(&self, _step: &Step<'_>, _: &StepContext<'_>) -> Result<Outcome, BackendError> {
        Err(unsupported("apply"))
    }
}

/// Boots a Debian 13, an Ubuntu 24.04 or newer into an engine that runs the units. What they keep is
/// in folders of the disk that outlives the machine.
impl Guest for DockerBackend {
    fn keeps_on_disk(&self, unit: &Unit<'_>) -> bool {
        guest::keeps(unit)
    }

    fn user_data(&self, machine: &FirstBoot<'_>) -> Result<UserData, CompileError> {
        guest::user_data(machine)
    }
}

#[cfg(not(feature = "live"))]
fn unsupported(operation: &'static str) -> BackendError {
    BackendError::permanent(
        deployix_core::backend::ErrorKind::Unsupported,
        operation,
        "this build compiles for Docker and plans; build it with the feature `live` of its Docker \
         backend, or start what it compiled with `docker compose up --detach --wait`",
    )
}
