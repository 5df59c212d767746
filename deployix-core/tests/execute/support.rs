//! A backend that fails, waits and crashes as asked, and shortcuts from specs to what stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use deployix_core::{
    BackendId, Name, ResourceId,
    backend::{
        Artifact, Assembly, Awaited, Backend, BackendError, Capabilities, Change, CompileError,
        ErrorKind, MemoryBackend, Observed, Outcome, Permissions, Registry, Resource, Scope, Step,
        StepContext, Unit,
    },
    execute::{ApplyOptions, Event, Interrupt, Report, apply},
    history::{Heads, History},
    plan::{Compiled, Only, Plan, compile, plan},
    spec::{Catalog, Deployment, ExtensionDecl, FunctionalitySpec, ServiceSpec, Target},
    topology::{connect, place, resolve},
};
use object_store::{ObjectStore, memory::InMemory};
use tokio::sync::mpsc;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What a backend does with a step other than to carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It fails for good.
    Fails,
    /// It fails for good and leaves what stood.
    FailsAsItWas,
    /// It fails so many times, and then no more.
    Hiccups(u32),
    /// It does nothing, for ever.
    HangsBefore,
    /// It does its work and never tells.
    HangsAfter,
    /// It takes so many milliseconds.
    Takes(u64),
    /// It looks every second for so many seconds, and then its time is over.
    WaitsInVain(u64),
}

/// The in-memory backend, with trouble where it is asked for.
#[derive(Debug)]
pub(crate) struct Troubled {
    pub(crate) inner: MemoryBackend,
    trouble: Mutex<BTreeMap<String, Trouble>>,
    /// What was done, in the order of its ends.
    pub(crate) log: Mutex<Vec<String>>,
    /// What was to be made, and since when that is tried.
    pub(crate) tried: Mutex<Vec<(String, u64)>>,
    running: Mutex<(usize, usize)>,
}

impl Troubled {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryBackend::new(),
            trouble: Mutex::default(),
            log: Mutex::default(),
            tried: Mutex::default(),
            running: Mutex::default(),
        })
    }

    /// Asks for trouble with a resource, named without the backend.
    pub(crate) fn trouble(&self, resource: &str, trouble: Trouble) {
        self.trouble.lock().unwrap().insert(format!("memory/{resource}"), trouble);
    }

    pub(crate) fn no_trouble(&self) {
        self.trouble.lock().unwrap().clear();
    }

    /// What was done since it was last asked.
    pub(crate) fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// How many steps ran at once at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.running.lock().unwrap().1
    }

    fn enter(&self) {
        let mut running = self.running.lock().unwrap();
        running.0 += 1;
        running.1 = running.1.max(running.0);
    }

    fn next_trouble(&self, id: &ResourceId) -> Option<Trouble> {
        let mut all = self.trouble.lock().unwrap();
        let trouble = all.get_mut(id.as_str())?;
        let now = *trouble;
        if let Trouble::Hiccups(left) = trouble {
            *left = left.saturating_sub(1);
            if now == Trouble::Hiccups(0) {
                return None;
            }
        }
        Some(now)
    }
}

/// The same backend for several registries, as several processes have it.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) Arc<Troubled>);

#[async_trait]
impl Backend for Shared {
    fn id(&self) -> &BackendId {
        self.0.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.inner.capabilities()
    }

    fn extension_decls(&self) -> &[ExtensionDecl] {
        self.0.inner.extension_decls()
    }

    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError> {
        self.0.inner.compile(unit)
    }

    fn assemble(&self, assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
        self.0.inner.assemble(assembly)
    }

    fn change(&self, from: &Resource, to: &Resource) -> Change {
        self.0.inner.change(from, to)
    }

    async fn observe(&self, scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        self.0.inner.observe(scope).await
    }

    async fn permissions(&self, steps: &[Step<'_>]) -> Result<Permissions, BackendError> {
        self.0.inner.permissions(steps).await
    }

    async fn apply(
        &self,
        step: &Step<'_>,
        context: &StepContext<'_>,
    ) -> Result<Outcome, BackendError> {
        self.0.enter();
        if !matches!(step.action, deployix_core::backend::Action::Remove) {
            let tried = (step.resource.id().to_string(), step.tried);
            self.0.tried.lock().unwrap().push(tried);
        }
        let error = |message: &str| {
            BackendError::permanent(ErrorKind::Unexpected, "apply", message.to_owned())
        };
        let result = match self.0.next_trouble(step.resource.id()) {
            None => self.0.inner.apply(step, context).await,
            Some(Trouble::Fails) => Err(error("it does not work")),
            Some(Trouble::FailsAsItWas) => Err(error("it does not work").as_it_was()),
            Some(Trouble::Hiccups(_)) => {
                Err(BackendError::temporary(ErrorKind::Unavailable, "apply", "not now"))
            }
            Some(Trouble::HangsBefore) => std::future::pending().await,
            Some(Trouble::HangsAfter) => {
                self.0.inner.apply(step, context).await?;
                std::future::pending().await
            }
            Some(Trouble::Takes(millis)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.0.inner.apply(step, context).await
            }
            Some(Trouble::WaitsInVain(seconds)) => Err(waits_in_vain(context, seconds).await),
        };
        self.0.running.lock().unwrap().0 -= 1;
        if result.is_ok() {
            let what = match step.action {
                deployix_core::backend::Action::Remove => "remove",
                _ => "make",
            };
            let id = step.resource.id().as_str().trim_start_matches("memory/");
            self.0.log.lock().unwrap().push(format!("{what} {id}"));
        }
        result
    }
}

async fn waits_in_vain(context: &StepContext<'_>, seconds: u64) -> BackendError {
    let mut wait = Awaited {
        what: "it to run".to_owned(),
        seen: "it is pending".to_owned(),
        waited: Duration::ZERO,
    };
    while wait.waited < Duration::from_secs(seconds) {
        context.waits(&wait);
        tokio::time::sleep(Duration::from_secs(1)).await;
        wait.waited += Duration::from_secs(1);
    }
    BackendError::timed_out("apply", &wait, "look at it")
}

/// A deployment, its history and the world it is in, as one process sees them.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) backend: Arc<Troubled>,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: ApplyOptions,
}

impl Site {
    pub(crate) fn new() -> Self {
        let mut options = ApplyOptions::new();
        options.lease = Duration::from_millis(300);
        options.retries = 3;
        Self { backend: Troubled::new(), store: Arc::new(InMemory::new()), options }
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::new().with(Shared(Arc::clone(&self.backend)))
    }

    pub(crate) async fn history(&self) -> History {
        History::open(Arc::clone(&self.store), &name("test")).await.unwrap()
    }

    pub(crate) async fn heads(&self) -> Heads {
        self.history().await.heads().await.unwrap()
    }

    pub(crate) async fn plan(&self, deployment: Deployment, only: &[&str]) -> Plan {
        self.plan_from(deployment, only, &self.heads().await)
    }

    pub(crate) fn plan_from(&self, deployment: Deployment, only: &[&str], heads: &Heads) -> Plan {
        let compiled = self.compiled(deployment, heads);
        let only = match only {
            [] => Only::All,
            names => Only::Named(names.iter().map(|text| name(text)).collect()),
        };
        plan(&compiled, heads, &self.registry(), &only)
    }

    pub(crate) fn compiled(&self, deployment: Deployment, heads: &Heads) -> Compiled {
        let registry = self.registry();
        resolve(deployment, &registry)
            .then(|resolved| place(resolved, &heads.assignments, &registry))
            .then(|placed| connect(placed, &registry))
            .then(|connected| compile(connected, &registry, None))
            .complete()
            .unwrap()
    }

    pub(crate) async fn carry_out(&self, plan: &Plan) -> Report {
        let history = self.history().await;
        let interrupt = Interrupt::default();
        apply(plan, &history, &self.registry(), &self.options, &interrupt, None).await
    }

    /// The same, with all that happened.
    pub(crate) async fn carry_out_told(&self, plan: &Plan) -> (Report, Vec<Event>) {
        let history = self.history().await;
        let interrupt = Interrupt::default();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let registry = self.registry();
        let report =
            apply(plan, &history, &registry, &self.options, &interrupt, Some(&sender)).await;
        drop(sender);
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        (report, events)
    }

    pub(crate) async fn deploy(&self, deployment: Deployment) -> Report {
        let plan = self.plan(deployment, &[]).await;
        self.carry_out(&plan).await
    }

    /// What stands in the world, by resource.
    pub(crate) async fn world(&self) -> BTreeSet<String> {
        let target = machine();
        let site = deployix_core::backend::Site { target: &target, network: None, location: None };
        let deployment = name("test");
        let seen = self.backend.inner.observe(&Scope::new(&deployment, site)).await.unwrap();
        seen.iter().map(|seen| format!("{} {:?}", seen.id, seen.digest)).collect()
    }
}

pub(crate) fn machine() -> Target {
    Target::machine(name("box"), BackendId::new("memory").unwrap())
}

/// A functionality with the value of a variable and its upstreams.
pub(crate) type Written<'a> = (&'a str, &'a str, &'a [&'a str]);

/// A deployment of functionalities on one machine.
pub(crate) fn deployment(written: &[Written<'_>]) -> Deployment {
    let catalog: Catalog = written
        .iter()
        .map(|(text, value, upstreams)| {
            let service: ServiceSpec = ServiceSpec::builder([*text])
                .endpoint("main", port(text))
                .env("VALUE", value)
                .build()
                .unwrap();
            let mut spec = FunctionalitySpec::new(text, service)
                .unwrap()
                .fqdn(&format!("{text}.example.com"))
                .unwrap();
            for upstream in *upstreams {
                spec = spec.upstream(&format!("{upstream}.example.com")).unwrap();
            }
            spec.shared()
        })
        .collect();
    let mut deployment = Deployment::new(name("test"), vec![catalog]);
    deployment.infrastructure.targets.insert(name("box"), machine());
    deployment
}

/// A port that differs from name to name.
fn port(text: &str) -> u16 {
    text.bytes()
        .fold(1000, |port: u16, byte| port.wrapping_mul(31).wrapping_add(byte.into()) % 60_000)
        + 1000
}
