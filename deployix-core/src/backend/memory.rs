//! [`MemoryBackend`]: the reference backend, whose world is a map.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::{
    Action, Artifact, Assembly, Backend, BackendError, Capabilities, Change, CompileError, Input,
    Inputs, Observed, Outcome, Owner, Permissions, Resource, Scope, Step, StepContext, Unit,
};
use crate::{
    name::{BackendId, Name, ResourceId},
    spec::ExtensionDecl,
};

/// The reference backend: it honours every field by keeping it, and its world is a map.
///
/// For tests, benches and tools that only plan. A functionality becomes one resource, which holds
/// its whole specification and comes after those of its upstreams; each declared upstream one more,
/// which opens its endpoints; a target one that comes after all of them.
#[derive(Debug)]
pub struct MemoryBackend {
    id: BackendId,
    world: Mutex<BTreeMap<(Name, ResourceId), Observed>>,
    compiled: AtomicU64,
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBackend {
    /// A backend with the id `memory` and an empty world.
    #[must_use]
    pub fn new() -> Self {
        // "memory" is a name.
        #[expect(clippy::expect_used, reason = "a literal that is valid")]
        let id = BackendId::new("memory").expect("valid");
        Self::named(id)
    }

    /// A backend with an id of its own, so that one registry can hold several.
    #[must_use]
    pub fn named(id: BackendId) -> Self {
        Self { id, world: Mutex::default(), compiled: AtomicU64::new(0) }
    }

    /// How many functionalities were compiled by it so far.
    #[must_use]
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    fn world(&self) -> MutexGuard<'_, BTreeMap<(Name, ResourceId), Observed>> {
        // Every change is one insertion or removal, so a panic elsewhere leaves the map whole.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resource_id(&self, path: fmt::Arguments<'_>) -> Result<ResourceId, CompileError> {
        ResourceId::new(format!("{}/{path}", self.id))
            .map_err(|error| super::Remark::new(["name"], error.to_string()).into())
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: false,
            makes_machines: true,
            load_balancers: false,
            ipsec: true,
            lookups: true,
            pools: true,
            autoscaling: true,
            swarms: true,
            live: true,
        }
    }

    fn extension_decls(&self) -> &[ExtensionDecl] {
        &[]
    }

    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError> {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let target = &unit.site.target.name;
        let mut resources = Vec::with_capacity(1 + unit.upstreams.len());
        let mut after = Vec::with_capacity(2 * unit.upstreams.len());
        for upstream in &unit.upstreams {
            let id = self.resource_id(format_args!("edge/{}/{}", unit.name, upstream.name))?;
            let inputs = Inputs::from([
                ("fqdn", upstream.fqdn.as_str().into()),
                ("via", upstream.via.as_str().into()),
                ("endpoints", Input::list(upstream.endpoints.iter().map(ToString::to_string))),
            ]);
            let owner =
                Owner::Edge { consumer: unit.name.clone(), provider: upstream.name.clone() };
            resources.push(Resource::new(id.clone(), owner, inputs, []));
            after.push(id);
            // Two that need each other cannot both come first.
            if !upstream.mutual && upstream.site.target.backend == self.id {
                after.push(self.resource_id(format_args!("functionality/{}", upstream.name))?);
            }
        }
        let mut service = serde_json::to_string(unit.service)
            .map_err(|error| super::Remark::new(["service"], error.to_string()))?;
        service.shrink_to_fit();
        let mut inputs = Inputs::from([
            ("service", service.into()),
            ("target", target.into()),
            ("machines", Input::list(unit.machines.iter().copied())),
            ("replicas", unit.replicas.get().into()),
        ]);
        if !unit.extensions.is_empty() {
            let extensions = serde_json::to_string(unit.extensions)
                .map_err(|error| super::Remark::new(["extensions"], error.to_string()))?;
            inputs.insert("extensions", extensions.into());
        }
        let id = self.resource_id(format_args!("functionality/{}", unit.name))?;
        let owner = Owner::Functionality(unit.name.clone());
        resources.push(Resource::new(id, owner, inputs, after));
        Ok(Artifact { resources, ..Artifact::default() })
    }

    fn assemble(&self, assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
        let target = assembly.site.target;
        let after = assembly
            .artifacts
            .iter()
            .flat_map(|artifact| &artifact.resources)
            .map(|resource| resource.id().clone());
        let id = self.resource_id(format_args!("target/{}", target.name))?;
        let inputs = Inputs::from([("machines", target.kind.machines().into())]);
        let resource = Resource::new(id, Owner::Target(target.name.clone()), inputs, after);
        Ok(Artifact { resources: vec![resource], ..Artifact::default() })
    }

    fn change(&self, from: &Resource, to: &Resource) -> Change {
        if from.inputs().get("target") == to.inputs().get("target") {
            Change::Update
        } else {
            Change::Replace
        }
    }

    async fn observe(&self, scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        let world = self.world();
        let own = world.iter().filter(|((deployment, _), _)| deployment == scope.deployment);
        Ok(own.map(|(_, observed)| observed.clone()).collect())
    }

    async fn permissions(&self, _: &[Step<'_>]) -> Result<Permissions, BackendError> {
        Ok(Permissions::default())
    }

    async fn apply(
        &self,
        step: &Step<'_>,
        context: &StepContext<'_>,
    ) -> Result<Outcome, BackendError> {
        let id = step.resource.id().clone();
        let key = (step.deployment.clone(), id.clone());
        let mut world = self.world();
        if let Some(keeper) = context.keeper()
            && let Some(by) = world.get(&key).and_then(|standing| standing.kept_by.as_ref())
            && !keeper.keeps(Some(by))
        {
            let what = id.as_str();
            let refused = BackendError::kept_by_another("apply", step.deployment, what, by);
            return Err(refused.as_it_was());
        }
        match step.action {
            Action::Remove => {
                world.remove(&key);
                Ok(Outcome::default())
            }
            Action::Create | Action::Update { .. } | Action::Replace { .. } => {
                let outputs = BTreeMap::from([("id".to_owned(), id.to_string())]);
                let mut observed = Observed::new(id, Some(step.resource.digest()));
                observed.owner = Some(step.resource.owner().clone());
                observed.kept_by = context.keeper().map(|keeper| keeper.history().clone());
                observed.outputs.clone_from(&outputs);
                observed.holds_data = step.resource.holds_data();
                world.insert(key, observed);
                Ok(Outcome { outputs })
            }
        }
    }
}
