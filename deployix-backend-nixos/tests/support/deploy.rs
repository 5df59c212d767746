//! Deployments made real on [`Host`]s, by the core's own executor.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deployix_backend_nixos::NixosBackend;
use deployix_core::backend::{OwnedSite, Registry, SecretError, SecretValue, Secrets};
use deployix_core::execute::{
    ApplyOptions, Event, Fate, Interrupt, Report, apply, observe, settle,
};
use deployix_core::history::{Heads, History};
use deployix_core::plan::{Compiled, Only, Plan, compile, destroy, ordered_by, plan};
use deployix_core::spec::Deployment;
use deployix_core::topology::{connect, place, resolve};
use deployix_core::{HistoryId, Name, SecretName};
use deployix_transport::{Ssh, Transport, TransportError};

use crate::host::Host;

/// Somebody who deploys: a history and a way to hosts.
#[derive(Clone)]
pub(crate) struct Deployer {
    pub(crate) registry: Arc<Registry>,
    store: Arc<dyn object_store::ObjectStore>,
    name: Name,
    secrets: Values,
    /// The lost history whose things runs take over.
    pub(crate) take_over: Option<HistoryId>,
    told: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Debug, Default)]
struct Values(BTreeMap<String, String>);

#[async_trait]
impl Secrets for Values {
    async fn value(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        match self.0.get(name.as_str()) {
            Some(value) => Ok(SecretValue::new(value.as_bytes().to_vec())),
            None => Err(SecretError { name: name.clone(), reason: "it is not there".to_owned() }),
        }
    }
}

/// Reaches hosts with the key and the known hosts of one of them.
pub(crate) fn reaching(
    host: &Host,
) -> impl Fn(&str) -> Result<Arc<dyn Transport>, TransportError> + Send + Sync + 'static {
    let config = host.ssh_config();
    move |address| Ok(Arc::new(Ssh::new(address)?.with_config(&config)))
}

impl Deployer {
    pub(crate) fn new<F>(name: &str, connect: F) -> Self
    where
        F: Fn(&str) -> Result<Arc<dyn Transport>, TransportError> + Send + Sync + 'static,
    {
        let backend = NixosBackend::new().reaching_hosts_by(connect);
        Self {
            registry: Arc::new(Registry::new().with(backend)),
            store: Arc::new(object_store::memory::InMemory::new()),
            name: Name::new(name).expect("a name"),
            secrets: Values::default(),
            take_over: None,
            told: Arc::default(),
        }
    }

    /// The same with a history in a folder, where other processes find it as well.
    pub(crate) fn with_history_in(self, folder: &Path) -> Self {
        let store = deployix_core::history::store("file:history", folder).expect("a store");
        Self { store, ..self }
    }

    /// The same history, reached in another way.
    pub(crate) fn reaching_by<F>(&self, connect: F) -> Self
    where
        F: Fn(&str) -> Result<Arc<dyn Transport>, TransportError> + Send + Sync + 'static,
    {
        let backend = NixosBackend::new().reaching_hosts_by(connect);
        Self { registry: Arc::new(Registry::new().with(backend)), ..self.clone() }
    }

    /// A colleague's fresh checkout: the same name and hosts, and an empty history.
    pub(crate) fn another(&self) -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self { store, told: Arc::default(), ..self.clone() }
    }

    pub(crate) fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Every line that steps told.
    pub(crate) fn told(&self) -> String {
        self.told.lock().expect("told").join("\n")
    }

    /// The id of its history.
    pub(crate) async fn id(&self) -> HistoryId {
        self.history().await.heads().await.expect("heads").history.expect("it was used")
    }

    async fn history(&self) -> History {
        History::open(Arc::clone(&self.store), &self.name).await.expect("a history")
    }

    pub(crate) async fn plan(&self, deployment: Deployment, only: &Only) -> Plan {
        let history = self.history().await;
        settle(&history, &self.registry, &self.name).await.expect("settled");
        let heads = history.heads().await.expect("heads");
        self.plan_from(deployment, &heads, only)
    }

    /// Deploys from what really stands.
    pub(crate) async fn refreshed(&self, deployment: Deployment) -> Report {
        let history = self.history().await;
        settle(&history, &self.registry, &self.name).await.expect("settled");
        let heads = history.heads().await.expect("heads");
        let sites: Vec<OwnedSite> = heads.sites.values().cloned().collect();
        let seen = observe(&self.registry, &self.name, sites, &heads).await;
        let (heads, _) = seen.compare(&heads);
        let plan = self.plan_from(deployment, &heads, &Only::All);
        self.carry_out(&plan).await
    }

    /// What is other on a target than it was made.
    pub(crate) async fn drift(&self, target: &str, deployment: Deployment) -> Vec<String> {
        let target = Name::new(target).expect("a name");
        let site = deployment.infrastructure.targets[&target].clone();
        let site = OwnedSite { target: site, network: None, location: None };
        let heads = self.history().await.heads().await.expect("heads");
        let observation = observe(&self.registry, &self.name, [site], &heads).await;
        let seen = observation.targets[&target].as_ref().expect("it answers");
        seen.iter().flat_map(|observed| observed.drift.clone()).collect()
    }

    fn plan_from(&self, deployment: Deployment, heads: &Heads, only: &Only) -> Plan {
        plan(&self.compiled(deployment, heads), heads, &self.registry, only)
    }

    fn compiled(&self, deployment: Deployment, heads: &Heads) -> Compiled {
        let staged = resolve(deployment, &self.registry)
            .then(|resolved| place(resolved, &heads.assignments, &self.registry))
            .then(|placed| connect(placed, &self.registry))
            .then(|connected| compile(connected, &self.registry, None));
        staged.value
    }

    pub(crate) async fn carry_out(&self, plan: &Plan) -> Report {
        let history = self.history().await;
        let mut options = ApplyOptions::new();
        options.secrets = Arc::new(self.secrets.clone());
        options.retries = 2;
        options.take_over.clone_from(&self.take_over);
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let told = Arc::clone(&self.told);
        let listening = tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                if let Event::Told { owner, line, .. } = event {
                    told.lock().expect("told").push(format!("{owner}: {line}"));
                }
            }
        });
        let interrupt = Interrupt::default();
        let report =
            apply(plan, &history, &self.registry, &options, &interrupt, Some(&sender)).await;
        drop(sender);
        listening.await.expect("listens");
        report
    }

    pub(crate) async fn deploy(&self, deployment: Deployment) -> Report {
        let plan = self.plan(deployment, &Only::All).await;
        self.carry_out(&plan).await
    }

    /// Deploys what has to go well.
    pub(crate) async fn deployed(&self, deployment: Deployment) -> Report {
        let report = self.deploy(deployment).await;
        assert!(report.is_good(), "{report:#?}\n{}", self.told());
        report
    }

    /// Removes what is found where a deployment is described, whatever the history knows.
    pub(crate) async fn destroy_found(&self, deployment: Deployment) -> Report {
        let heads = self.history().await.heads().await.expect("heads");
        let mut heads = heads.taking_over(self.take_over.clone());
        for site in deployment.infrastructure.sites() {
            heads.sites.insert(site.target.name.clone(), site.into());
        }
        let sites: Vec<OwnedSite> = heads.sites.values().cloned().collect();
        let (heads, _) = observe(&self.registry, &self.name, sites, &heads).await.compare(&heads);
        let compiled = self.compiled(deployment, &heads);
        let heads = ordered_by(heads, &compiled);
        let plan = destroy(&self.name, &heads, &Only::All, true).complete().expect("a plan");
        self.carry_out(&plan).await
    }

    pub(crate) async fn destroy(&self) -> Report {
        let heads = self.history().await.heads().await.expect("heads");
        let plan = destroy(&self.name, &heads, &Only::All, true).complete().expect("a plan");
        self.carry_out(&plan).await
    }
}

/// How a functionality ended.
pub(crate) fn fate<'r>(report: &'r Report, functionality: &str) -> &'r Fate {
    let name = Name::new(functionality).expect("a name");
    &report.fates[&deployix_core::backend::Owner::Functionality(name)]
}
