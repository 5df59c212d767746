//! An account, a history, and shortcuts from specs to what stands.

#[path = "../support/hunter.rs"]
mod hunter;

use std::{collections::BTreeMap, fmt, future::Future, path::Path, sync::Arc, time::Duration};

use deployix_backend_docker::DockerBackend;
use deployix_backend_ec2::{Ec2Backend, PlainGuest, engine::Aws};
use deployix_core::{
    BackendId, HistoryId, Name, ResourceId,
    backend::{
        Action, Backend, BackendError, ErrorStatus, Inputs, Keeper, NoFiles, Registry, Resource,
        Secrets, Step, StepContext,
    },
    diagnostic::Staged,
    execute::{ApplyOptions, EventSender, Interrupt, Observation, Report, apply, observe, settle},
    history::{Heads, History, Holder},
    load::load,
    plan::{Compiled, Only, Plan, compile, destroy, plan},
    spec::Deployment,
    topology::{connect, place, resolve},
};
use futures_util::TryStreamExt;
pub(crate) use hunter::Hunter;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use tokio::time::Instant;

/// A zone of Route 53, `example.com`, which is in every account: people make zones.
pub(crate) const ZONE: &str = "Z0123456789ABCDEFGHIJ";

/// An account and the history of one deployment.
#[derive(Debug)]
pub(crate) struct Site<A = crate::Standard> {
    pub(crate) aws: A,
    pub(crate) store: Arc<InMemory>,
    pub(crate) name: Name,
    /// Where the values of secrets are from.
    pub(crate) secrets: Arc<dyn Secrets>,
    /// The lost history whose things runs take over.
    pub(crate) take_over: Option<HistoryId>,
}

/// An account of a test's own, whoever plays AWS there.
pub(crate) trait Account: Clone + fmt::Debug + Send + Sync {
    /// Who talks to it.
    fn client(&self) -> Arc<dyn Aws>;

    /// A line for each thing in it but for what is there from the beginning: its region, kind,
    /// resource and digest, without ids, which differ.
    fn things(&self) -> impl Future<Output = Vec<String>> + Send;

    /// How often it was called so far.
    fn calls(&self) -> u64;

    /// The operations that were asked to write something since this was last asked.
    fn take_writes(&self) -> Vec<String>;

    /// From now on it refuses an operation, or all where that is `any`.
    fn refuse(&self, operation: &'static str, code: &'static str, message: &'static str);
}

impl<A: Account> Site<A> {
    pub(crate) fn of(aws: A, deployment: &Deployment) -> Self {
        Self {
            aws,
            store: Arc::new(InMemory::new()),
            name: deployment.name.clone(),
            secrets: Arc::new(Hunter),
            take_over: None,
        }
    }

    pub(crate) fn backend(&self) -> Ec2Backend {
        Ec2Backend::new().through(self.aws.client())
    }

    pub(crate) fn registry(&self) -> Registry {
        let native = BackendId::new("native").unwrap();
        let docker = BackendId::new("docker").unwrap();
        Registry::new()
            .with(self.backend())
            .with_guest(native, PlainGuest::new())
            .with_guest(docker, DockerBackend::new())
    }

    /// Everything that the history holds, as text.
    pub(crate) async fn written(&self) -> String {
        let objects: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        let mut all = String::new();
        for object in objects {
            let bytes = self.store.get(&object.location).await.unwrap().bytes().await.unwrap();
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
        all
    }

    async fn history(&self) -> History {
        History::open(self.store.clone(), &self.name).await.unwrap()
    }

    pub(crate) async fn heads(&self) -> Heads {
        self.history().await.heads().await.unwrap()
    }

    /// Runs all stages, of which none may find an error.
    pub(crate) fn compiled(&self, deployment: Deployment, heads: &Heads) -> Compiled {
        compiled(deployment, heads, &self.registry())
    }

    pub(crate) async fn plan(&self, deployment: Deployment) -> Plan {
        let heads = self.heads().await;
        let compiled = self.compiled(deployment, &heads);
        plan(&compiled, &heads, &self.registry(), &Only::All)
    }

    /// Plans a deployment in which something is wrong.
    pub(crate) async fn plan_in_part(&self, deployment: Deployment) -> Plan {
        let heads = self.heads().await;
        let staged = staged(deployment, &heads, &self.registry());
        assert!(!staged.value.failed().is_empty(), "{}", staged.diagnostics);
        plan(&staged.value, &heads, &self.registry(), &Only::All)
    }

    /// Plans by what the account shows, as well as by the history.
    pub(crate) async fn plan_refreshed(&self, deployment: Deployment) -> (Plan, Vec<String>) {
        let heads = self.heads().await.taking_over(self.take_over.clone());
        let (heads, drifts) = self.seen(&deployment).await.compare(&heads);
        let compiled = self.compiled(deployment, &heads);
        let plan = plan(&compiled, &heads, &self.registry(), &Only::All);
        let line =
            |it: &deployix_core::execute::Drift| format!("{}: {}", it.resource, it.what.join("; "));
        (plan, drifts.iter().map(line).collect())
    }

    /// What stands where something was made, or is to be.
    pub(crate) async fn seen(&self, deployment: &Deployment) -> Observation {
        let heads = self.heads().await;
        let mut sites = heads.sites.clone();
        for site in deployment.infrastructure.sites() {
            sites.insert(site.target.name.clone(), site.into());
        }
        let observation = observe(&self.registry(), &self.name, sites.into_values(), &heads).await;
        for seen in observation.targets.values() {
            assert!(seen.is_ok(), "{seen:?}");
        }
        observation
    }

    pub(crate) async fn carry_out(&self, plan: &Plan) -> Report {
        self.carry_out_by(Holder::current(), plan).await
    }

    /// Finds out how the steps of runs that died ended.
    pub(crate) async fn settle(&self) {
        settle(&self.history().await, &self.registry(), &self.name).await.unwrap();
    }

    pub(crate) async fn carry_out_by(&self, by: Holder, plan: &Plan) -> Report {
        self.told(by, plan, None).await
    }

    /// Carries a plan out with somebody who follows.
    pub(crate) async fn carry_out_telling(
        &self,
        plan: &Plan,
        events: Option<&EventSender>,
    ) -> Report {
        self.told(Holder::current(), plan, events).await
    }

    async fn told(&self, by: Holder, plan: &Plan, events: Option<&EventSender>) -> Report {
        let (history, interrupt) = (self.history().await, Interrupt::default());
        let mut options = ApplyOptions::new();
        options.by = by;
        options.retries = 30;
        options.secrets = self.secrets.clone();
        options.take_over.clone_from(&self.take_over);
        apply(plan, &history, &self.registry(), &options, &interrupt, events).await
    }

    /// Deploys, which has to succeed.
    pub(crate) async fn deploy(&self, deployment: Deployment) -> Report {
        let plan = self.plan(deployment).await;
        let report = self.carry_out(&plan).await;
        assert!(report.is_good(), "{}", ends(&report));
        report
    }

    /// Removes everything, data as well.
    pub(crate) async fn destroy(&self) {
        self.remove(true).await;
    }

    /// Removes everything but what holds data.
    pub(crate) async fn destroy_but_data(&self) {
        self.remove(false).await;
    }

    /// Plans to remove everything, data as well.
    pub(crate) async fn plan_to_destroy(&self) -> Plan {
        self.plan_to_remove(true).await
    }

    pub(crate) async fn plan_to_remove(&self, data: bool) -> Plan {
        destroy(&self.name, &self.heads().await, &Only::All, data).value
    }

    async fn remove(&self, data: bool) {
        let plan = self.plan_to_remove(data).await;
        let report = self.carry_out(&plan).await;
        assert!(report.is_good(), "{}", ends(&report));
    }
}

/// Runs all stages, of which none may find an error.
pub(crate) fn compiled(deployment: Deployment, heads: &Heads, registry: &Registry) -> Compiled {
    let staged = staged(deployment, heads, registry);
    assert!(!staged.diagnostics.has_errors(), "{}", staged.diagnostics);
    staged.value
}

fn staged(deployment: Deployment, heads: &Heads, registry: &Registry) -> Staged<Compiled> {
    resolve(deployment, registry)
        .then(|resolved| place(resolved, &heads.assignments, registry))
        .then(|placed| connect(placed, registry))
        .then(|connected| compile(connected, registry, None))
}

/// What is in one list and not in the other, in either direction.
pub(crate) fn beyond(has: &[String], wanted: &[String]) -> Vec<String> {
    let without = |all: &[String], others: &[String], sign: &str| {
        let mut all = all.to_vec();
        for other in others {
            if let Some(at) = all.iter().position(|it| it == other) {
                all.remove(at);
            }
        }
        all.into_iter().map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    [without(has, wanted, "too much:"), without(wanted, has, "missing:")].concat()
}

/// How steps ended that were not done.
pub(crate) fn ends(report: &Report) -> String {
    let failed = report.steps.iter().map(|(id, end)| format!("{id}: {end:?}"));
    let failed: Vec<_> = failed.filter(|line| !line.ends_with(": Done")).collect();
    failed.join("\n")
}

/// The deployment of the repository's own example.
pub(crate) fn hydra() -> Deployment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra/ops/deployment.toml");
    let loaded = load(&path);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics);
    loaded.value.unwrap()
}

/// Carries resources out one after the other, as an executor does that has just this to do.
#[derive(Debug)]
pub(crate) struct Hand {
    backend: Ec2Backend,
    compiled: Compiled,
    order: Vec<Resource>,
    outputs: BTreeMap<ResourceId, BTreeMap<String, String>>,
    /// On whose account.
    pub(crate) keeper: Option<Keeper>,
    /// How long it took to make each.
    pub(crate) took: BTreeMap<ResourceId, Duration>,
}

impl Hand {
    pub(crate) fn new<A: Account>(site: &Site<A>, deployment: Deployment) -> Self {
        let compiled = site.compiled(deployment, &Heads::default());
        let order = deployix_backend_ec2::resource::ordered(compiled.resources().values());
        let order = order.into_iter().cloned().collect();
        Self {
            backend: site.backend(),
            compiled,
            order,
            outputs: BTreeMap::new(),
            keeper: None,
            took: BTreeMap::new(),
        }
    }

    /// Makes everything that is not made yet.
    pub(crate) async fn make(&mut self) {
        for resource in self.order.clone() {
            if !self.outputs.contains_key(resource.id()) {
                let inputs = self.filled(&resource);
                let began = Instant::now();
                let outputs = self.step(&resource, Action::Create, &inputs).await.unwrap();
                self.took.insert(resource.id().clone(), began.elapsed());
                self.outputs.insert(resource.id().clone(), outputs);
            }
        }
    }

    /// Removes everything that is not removed yet.
    pub(crate) async fn remove(&mut self) {
        for resource in self.order.clone().iter().rev() {
            if self.outputs.contains_key(resource.id()) {
                let inputs = self.filled(resource);
                self.step(resource, Action::Remove, &inputs).await.unwrap();
                self.outputs.remove(resource.id());
            }
        }
    }

    /// Makes and then removes each resource alone, whatever stands; gives how either ended.
    pub(crate) async fn each(
        &self,
    ) -> Vec<(ResourceId, [Result<BTreeMap<String, String>, BackendError>; 2])> {
        let mut all = Vec::new();
        for resource in &self.order {
            let inputs = self.filled(resource);
            let made = self.step(resource, Action::Create, &inputs).await;
            let removed = self.step(resource, Action::Remove, &inputs).await;
            all.push((resource.id().clone(), [made, removed]));
        }
        all
    }

    fn filled(&self, resource: &Resource) -> Inputs {
        let value = |output: &deployix_core::backend::OutputRef| {
            self.outputs.get(&output.resource)?.get(&output.output).cloned()
        };
        let inputs = resource.inputs().iter();
        inputs.map(|(key, input)| (key.clone(), input.filled(&value).unwrap())).collect()
    }

    async fn step(
        &self,
        resource: &Resource,
        action: Action<'_>,
        inputs: &Inputs,
    ) -> Result<BTreeMap<String, String>, BackendError> {
        let deployment = self.compiled.connected().deployment();
        let (_, site) =
            self.compiled.sited().find(|(other, _)| other.id() == resource.id()).unwrap();
        let mut context = StepContext::new(&NoFiles, &Hunter, &|_| {});
        if let Some(keeper) = &self.keeper {
            context = context.kept_by(keeper);
        }
        let step = Step::new(deployment, site, resource, action).with_inputs(inputs);
        for _ in 0..8 {
            match self.backend.apply(&step, &context).await {
                Ok(outcome) => return Ok(outcome.outputs),
                Err(error) if error.status() == ErrorStatus::Temporary => {}
                Err(error) => return Err(error),
            }
        }
        self.backend.apply(&step, &context).await.map(|outcome| outcome.outputs)
    }
}
