//! The kit that every backend runs, a third party's too: holds a [`Backend`] to its contract.
//!
//! ```
//! use deployix_core::{backend::MemoryBackend, conformance::Kit};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! Kit::new(MemoryBackend::new()).run().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A backend that needs more than a bare target, such as a region, gets it by
//! [`Kit::prepare`]. Cases are chosen by the backend's [`Capabilities`](crate::backend::Capabilities).

mod fields;
mod live;
mod pure;
mod sample;

use std::{fmt, sync::Arc};

use crate::diagnostic::Staged;
use crate::{
    backend::{Backend, Registry},
    plan::{Compiled, compile_anew},
    spec::Deployment,
};

/// Holds one backend to its contract.
pub struct Kit {
    backend: Arc<dyn Backend>,
    prepare: Box<dyn Fn(&mut Deployment) + Send + Sync>,
    live: bool,
}

/// Tells which cases a backend fails, and how: all of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures(Vec<String>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken:\n- {}", self.0.len(), self.0.join("\n- "))
    }
}

impl std::error::Error for Failures {}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Kit {
    /// A kit for one backend.
    pub fn new(backend: impl Backend) -> Self {
        Self { backend: Arc::new(backend), prepare: Box::new(|_| {}), live: true }
    }

    /// Gives every sample deployment what the backend needs besides, such as a region.
    #[must_use]
    pub fn prepare(mut self, prepare: impl Fn(&mut Deployment) + Send + Sync + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Leaves out the cases that ask the provider, for tests that have none at hand.
    #[must_use]
    pub fn without_provider(mut self) -> Self {
        self.live = false;
        self
    }

    /// Runs every case that the backend's capabilities choose.
    ///
    /// # Errors
    /// Every rule of the contract that the backend breaks.
    pub async fn run(&self) -> Result<(), Failures> {
        let mut failures = Vec::new();
        pure::check(self, &mut failures);
        fields::check(self, &mut failures);
        if self.live {
            live::check(self, &mut failures).await;
        }
        if failures.is_empty() { Ok(()) } else { Err(Failures(failures)) }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::new();
        registry.add(Arc::clone(&self.backend));
        registry
    }

    /// Compiles a sample, prepared, with this backend.
    fn compile(&self, mut deployment: Deployment) -> Staged<Compiled> {
        (self.prepare)(&mut deployment);
        let registry = self.registry();
        compile_anew(deployment, &registry)
    }
}
