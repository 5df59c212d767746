//! [`Ec2Backend`]: the backend.

use async_trait::async_trait;
use deployix_core::{
    BackendId,
    backend::{
        Artifact, Assembly, Backend, BackendError, Capabilities, Change, CompileError, ErrorKind,
        Observed, Outcome, Permissions, Resource, Scope, Step, StepContext, Unit,
    },
    spec::ExtensionDecl,
};

use crate::{assemble, change, compile, extension};

/// Compiles for Amazon EC2 without asking AWS anything; with a client it carries steps out as well.
///
/// ```
/// use deployix_backend_ec2::Ec2Backend;
/// use deployix_core::backend::{Backend, Registry};
///
/// let registry = Registry::new().with(Ec2Backend::new());
/// assert!(registry.backend_named("ec2").is_some());
/// ```
#[derive(Debug)]
pub struct Ec2Backend {
    id: BackendId,
    declarations: Vec<ExtensionDecl>,
    #[cfg(feature = "engine")]
    aws: Option<std::sync::Arc<dyn crate::engine::Aws>>,
}

impl Default for Ec2Backend {
    fn default() -> Self {
        Self::new()
    }
}

impl Ec2Backend {
    /// The backend, with the id `ec2`.
    #[must_use]
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "a literal that is valid")]
        let id = BackendId::new(crate::ID).expect("valid");
        Self {
            id,
            declarations: extension::declarations(),
            #[cfg(feature = "engine")]
            aws: None,
        }
    }

    /// The backend, carrying its steps out on AWS itself, as this machine's configuration says; see
    /// [`live::Sdk`](crate::live::Sdk). Nothing is read or called before the first step.
    #[cfg(feature = "live")]
    #[must_use]
    pub fn live() -> Self {
        Self::new().through(std::sync::Arc::new(crate::live::Sdk::new()))
    }

    /// The same, carrying its steps out through a client.
    #[cfg(feature = "engine")]
    #[must_use]
    pub fn through(mut self, aws: std::sync::Arc<dyn crate::engine::Aws>) -> Self {
        use std::sync::Arc;

        use crate::engine::{Gather, Reach};

        self.aws = Some(Arc::new(Gather::new(Arc::new(Reach::new(aws)))));
        self
    }
}

#[async_trait]
impl Backend for Ec2Backend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            makes_machines: true,
            load_balancers: true,
            ipsec: true,
            pools: true,
            autoscaling: true,
            #[cfg(feature = "engine")]
            live: self.aws.is_some(),
            ..Capabilities::NONE
        }
    }

    fn extension_decls(&self) -> &[ExtensionDecl] {
        &self.declarations
    }

    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError> {
        compile::compile(unit)
    }

    fn assemble(&self, assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
        assemble::assemble(assembly)
    }

    fn change(&self, from: &Resource, to: &Resource) -> Change {
        change::change(from, to)
    }

    async fn observe(&self, scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        #[cfg(feature = "engine")]
        if let Some(aws) = &self.aws {
            return crate::engine::observe(&**aws, scope).await;
        }
        let _ = scope;
        Err(unsupported("observe"))
    }

    async fn permissions(&self, steps: &[Step<'_>]) -> Result<Permissions, BackendError> {
        #[cfg(feature = "engine")]
        if let Some(aws) = &self.aws {
            return crate::engine::permissions(&**aws, steps).await;
        }
        let _ = steps;
        Err(unsupported("permissions"))
    }

    async fn apply(
        &self,
        step: &Step<'_>,
        context: &StepContext<'_>,
    ) -> Result<Outcome, BackendError> {
        #[cfg(feature = "engine")]
        if let Some(aws) = &self.aws {
            return crate::engine::apply(&**aws, step, context).await;
        }
        let _ = (step, context);
        Err(unsupported("apply"))
    }
}

fn unsupported(operation: &'static str) -> BackendError {
    let message = "this version compiles and plans for EC2 and does not talk to AWS";
    BackendError::permanent(ErrorKind::Unsupported, operation, message)
}
