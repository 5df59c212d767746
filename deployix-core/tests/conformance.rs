//! The reference backend holds the contract, and the kit notices whoever does not.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use deployix_core::{
    BackendId, ResourceId,
    backend::{
        Artifact, Assembly, Backend, BackendError, Capabilities, Change, CompileError, Keeper,
        MemoryBackend, Observed, Outcome, Owner, Permissions, Resource, Scope, Step, StepContext,
        Unit,
    },
    conformance::Kit,
    spec::ExtensionDecl,
};

#[tokio::test]
async fn the_memory_backend_conforms() {
    Kit::new(MemoryBackend::new()).run().await.unwrap();
}

/// A way to break the contract.
#[derive(Debug, Clone, Copy)]
enum Fault {
    ForgetsEnv,
    CountsItsCalls,
    TakesForeignIds,
    ComesAfterNothing,
    KeepsWhatChanged,
    PretendsToBeLive,
    ForgetsWhatItMade,
    SaysNothingOfHistories,
    TouchesWhatOthersKeep,
}

/// The reference backend with one fault.
#[derive(Debug)]
struct Faulty {
    inner: MemoryBackend,
    fault: Fault,
    calls: Arc<AtomicU64>,
}

impl Faulty {
    /// The same resource with another id or other inputs.
    fn spoil(&self, resource: &Resource) -> Resource {
        let mut id = resource.id().clone();
        let mut inputs = resource.inputs().clone();
        let mut after: Vec<ResourceId> = resource.after().to_vec();
        let own = matches!(resource.owner(), Owner::Functionality(_));
        match self.fault {
            Fault::ForgetsEnv if own => {
                inputs.insert("service".to_owned(), "all the same".into());
            }
            Fault::CountsItsCalls if own => {
                let calls = self.calls.fetch_add(1, Ordering::Relaxed);
                inputs.insert("calls".to_owned(), calls.to_string().into());
            }
            Fault::TakesForeignIds => id = ResourceId::new(format!("other/{id}")).unwrap(),
            Fault::ComesAfterNothing => after.push(ResourceId::new("memory/nowhere").unwrap()),
            _ => {}
        }
        Resource::new(id, resource.owner().clone(), inputs, after)
    }
}

#[async_trait]
impl Backend for Faulty {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        let live = !matches!(self.fault, Fault::PretendsToBeLive);
        Capabilities { live, ..self.inner.capabilities() }
    }

    fn extension_decls(&self) -> &[ExtensionDecl] {
        self.inner.extension_decls()
    }

    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError> {
        let mut artifact = self.inner.compile(unit)?;
        let changed = artifact.resources.iter().map(|resource| self.spoil(resource));
        artifact.resources = changed.collect();
        Ok(artifact)
    }

    fn assemble(&self, assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
        self.inner.assemble(assembly)
    }

    fn change(&self, from: &Resource, to: &Resource) -> Change {
        match self.fault {
            Fault::KeepsWhatChanged => Change::Keep,
            _ => self.inner.change(from, to),
        }
    }

    async fn observe(&self, scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        match self.fault {
            Fault::ForgetsWhatItMade => Ok(Vec::new()),
            Fault::SaysNothingOfHistories => {
                let mut all = self.inner.observe(scope).await?;
                all.iter_mut().for_each(|observed| observed.kept_by = None);
                Ok(all)
            }
            _ => self.inner.observe(scope).await,
        }
    }

    async fn permissions(&self, _: &[Step<'_>]) -> Result<Permissions, BackendError> {
        Ok(Permissions::default())
    }

    async fn apply(
        &self,
        step: &Step<'_>,
        context: &StepContext<'_>,
    ) -> Result<Outcome, BackendError> {
        if let (Fault::TouchesWhatOthersKeep, Some(keeper)) = (self.fault, context.keeper()) {
            let all = self.inner.observe(&Scope::new(step.deployment, step.site)).await?;
            let others = all.into_iter().filter_map(|observed| observed.kept_by);
            let of_all = Keeper::new(keeper.history().clone(), others);
            return self.inner.apply(step, &context.kept_by(&of_all)).await;
        }
        self.inner.apply(step, context).await
    }
}

async fn failures(fault: Fault) -> String {
    let calls = Arc::new(AtomicU64::new(0));
    let backend = Faulty { inner: MemoryBackend::new(), fault, calls };
    match Kit::new(backend).run().await {
        Ok(()) => panic!("{fault:?} is not noticed"),
        Err(failures) => failures.to_string(),
    }
}

#[tokio::test]
async fn every_breach_of_the_contract_is_noticed() {
    for (fault, told) in [
        (Fault::ForgetsEnv, "env is silently dropped"),
        (Fault::CountsItsCalls, "in another order compile differently"),
        (Fault::TakesForeignIds, "does not start with `memory/`"),
        (Fault::ComesAfterNothing, "comes after memory/nowhere, which nobody makes"),
        (Fault::CountsItsCalls, "changes the artifact of `db`"),
        (Fault::KeepsWhatChanged, "though a variable of it changed"),
        (Fault::PretendsToBeLive, "does not answer `Unsupported`"),
        (Fault::ForgetsWhatItMade, "was made and is not observed"),
        (Fault::SaysNothingOfHistories, "does not say which history keeps it"),
        (Fault::TouchesWhatOthersKeep, "is kept by another history, and Create is done"),
        (Fault::TouchesWhatOthersKeep, "is kept by another history, and Remove is done"),
    ] {
        let failures = failures(fault).await;
        assert!(failures.contains(told), "{fault:?}: {failures}");
    }
}
