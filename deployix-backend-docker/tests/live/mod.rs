//! Steps carried out one after the other, and a look at what they left on the engine.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use deployix_backend_docker::DockerBackend;
use deployix_core::{
    Name, ResourceId, SecretName,
    backend::{
        Action, Awaited, Backend, BackendError, Keeper, Observed, Registry, Scope, SecretError,
        SecretValue, Secrets, Step, StepContext,
    },
    history::{Heads, Standing},
    plan::{Only, Plan, PlannedAction, PlannedStep, destroy, plan},
    spec::Deployment,
};

use crate::{
    real::{docker, docker_json},
    stage::compiled_whole,
};

/// An engine as one deployment sees it, and what the tests know to stand.
pub(crate) struct World {
    backend: DockerBackend,
    deployment: Name,
    pub(crate) heads: Heads,
    /// On whose account steps are carried out.
    pub(crate) keeper: Option<Keeper>,
    secrets: Values,
    told: Mutex<Vec<String>>,
    runtime: tokio::runtime::Runtime,
}

/// The values of secrets.
#[derive(Debug, Default)]
struct Values(BTreeMap<String, String>);

#[async_trait]
impl Secrets for Values {
    async fn value(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        match self.0.get(name.as_str()) {
            Some(value) => Ok(SecretValue::new(value.as_bytes().to_vec())),
            None => {
                Err(SecretError { name: name.clone(), reason: "nobody wrote it down".to_owned() })
            }
        }
    }
}

impl World {
    pub(crate) fn new(deployment: &Deployment) -> Self {
        Self {
            backend: DockerBackend::new(),
            deployment: deployment.name.clone(),
            heads: Heads::default(),
            keeper: None,
            secrets: Values::default(),
            told: Mutex::default(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    pub(crate) fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Every line that steps told so far, and what they waited for each time that they looked.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// What has to be done for a deployment.
    pub(crate) fn plan(&self, deployment: Deployment) -> Plan {
        let compiled = compiled_whole(deployment);
        let registry = Registry::new().with(DockerBackend::new());
        plan(&compiled, &self.heads, &registry, &Only::All)
    }

    /// Carries out all that is to be done, up to the first step that fails.
    pub(crate) fn deploy(&mut self, deployment: Deployment) -> Result<Plan, BackendError> {
        let plan = self.plan(deployment);
        self.carry_out(&plan)?;
        Ok(plan)
    }

    pub(crate) fn carry_out(&mut self, plan: &Plan) -> Result<(), BackendError> {
        for step in &plan.steps {
            self.carry_out_one(plan, step)?;
        }
        Ok(())
    }

    /// Carries out one step and remembers what stands then.
    pub(crate) fn carry_out_one(
        &mut self,
        plan: &Plan,
        step: &PlannedStep,
    ) -> Result<(), BackendError> {
        let site = plan.sites[&step.target].clone();
        let from = step.from.as_ref().map(|standing| &standing.resource);
        let action = match (step.action, from) {
            (PlannedAction::Create, _) => Action::Create,
            (PlannedAction::Update, Some(from)) => Action::Update { from },
            (PlannedAction::Replace, Some(from)) => Action::Replace { from },
            (PlannedAction::Remove, _) => Action::Remove,
            (action, None) => panic!("{action:?} of nothing"),
        };
        let tell = |line: &str| self.told.lock().unwrap().push(line.to_owned());
        let watcher = |wait: &Awaited| tell(&wait.to_string());
        let mut context =
            StepContext::new(&plan.contents, &self.secrets, &tell).watched_by(&watcher);
        if let Some(keeper) = &self.keeper {
            context = context.kept_by(keeper);
        }
        let whole = Step::new(&self.deployment, site.site(), &step.resource, action);
        let begin = Instant::now();
        let done = self.runtime.block_on(self.backend.apply(&whole, &context));
        println!("{:?} {} {:?} {done:?}", step.action, step.id(), begin.elapsed());
        done?;
        if matches!(action, Action::Remove) {
            self.heads.resources.remove(step.id());
        } else {
            let standing = Standing::new(step.resource.clone(), step.target.clone(), 1);
            self.heads.resources.insert(step.id().clone(), standing);
        }
        self.heads.sites.insert(step.target.clone(), site);
        Ok(())
    }

    /// Begins a step and is cut off after a while, as a process that is killed; what stands is not
    /// known then. Tells whether the step was done before.
    pub(crate) fn cut_off(&self, plan: &Plan, step: &PlannedStep, after: Duration) -> bool {
        let site = plan.sites[&step.target].clone();
        let action = match &step.from {
            Some(standing) => Action::Replace { from: &standing.resource },
            None => Action::Create,
        };
        let context = StepContext::new(&plan.contents, &self.secrets, &|_| {});
        let whole = Step::new(&self.deployment, site.site(), &step.resource, action);
        let applied = async {
            let applied = self.backend.apply(&whole, &context);
            tokio::time::timeout(after, applied).await.is_ok()
        };
        let done = self.runtime.block_on(applied);
        // The engine finishes what it is at.
        std::thread::sleep(Duration::from_millis(500));
        done
    }

    /// Applies what stands once more, as a repair does.
    pub(crate) fn repair(&mut self, id: &ResourceId) -> Result<(), BackendError> {
        let standing = self.heads.resources[id].clone();
        let site = self.heads.sites[&standing.target].clone();
        let tell = |line: &str| self.told.lock().unwrap().push(line.to_owned());
        let files = BTreeMap::new();
        let context = StepContext::new(&files, &self.secrets, &tell);
        let action = Action::Update { from: &standing.resource };
        let step = Step::new(&self.deployment, site.site(), &standing.resource, action);
        self.runtime.block_on(self.backend.apply(&step, &context)).map(drop)
    }

    /// What the backend sees on the target `box`.
    pub(crate) fn observed(&self) -> BTreeMap<String, Observed> {
        let site = self.heads.sites["box"].clone();
        let scope = Scope::new(&self.deployment, site.site());
        let observed = self.runtime.block_on(self.backend.observe(&scope)).unwrap();
        observed.into_iter().map(|observed| (observed.id.to_string(), observed)).collect()
    }

    /// Everything that stands, as it was made and without any drift.
    pub(crate) fn assert_as_made(&self) {
        let observed = self.observed();
        let ids: Vec<_> = observed.keys().map(String::as_str).collect();
        let known: Vec<_> = self.heads.resources.keys().map(ResourceId::as_str).collect();
        assert_eq!(ids, known);
        for (id, standing) in &self.heads.resources {
            let observed = &observed[id.as_str()];
            assert_eq!(observed.digest, Some(standing.resource.digest()), "{observed:?}");
            assert_eq!(observed.owner.as_ref(), Some(standing.resource.owner()));
            assert_eq!(observed.drift, [""; 0], "{id}");
        }
    }

    /// The containers, by their names on the engine: their ids and since when they run.
    pub(crate) fn containers(&self) -> BTreeMap<String, String> {
        let ids = self.listed("container");
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if ids.is_empty() {
            return BTreeMap::new();
        }
        let inspected = docker_json(&[&["inspect"], ids.as_slice()].concat());
        let entry = |container: &serde_json::Value| {
            let name = container["Name"].as_str().unwrap().trim_start_matches('/');
            let name = name.split_once("_box_").unwrap().1.to_owned();
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (name, format!("{} {}", text(&container["Id"]), text(&container["State"]["StartedAt"])))
        };
        inspected.as_array().unwrap().iter().map(entry).collect()
    }

    /// The id of the one container whose name begins so.
    pub(crate) fn container(&self, begin: &str) -> String {
        let containers = self.containers();
        let found: Vec<_> =
            containers.iter().filter(|(name, _)| name.starts_with(&format!("{begin}."))).collect();
        assert_eq!(found.len(), 1, "{begin} in {containers:?}");
        found[0].1.split(' ').next().unwrap().to_owned()
    }

    /// Ids or names of everything of a kind that the deployment has.
    pub(crate) fn listed(&self, kind: &str) -> Vec<String> {
        let filter = format!("label=deployix.deployment={}", self.deployment);
        let mut arguments = vec![kind, "ls", "--quiet", "--filter", &filter];
        if kind == "container" {
            arguments.push("--all");
        }
        docker(&arguments).lines().map(str::to_owned).collect()
    }

    /// Removes everything, data too, and looks that nothing is left.
    pub(crate) fn remove_all(&mut self) {
        let all = destroy(&self.deployment, &self.heads, &Only::All, true).value;
        self.carry_out(&all).unwrap();
        for kind in ["container", "network", "volume", "image"] {
            assert_eq!(self.listed(kind), [""; 0], "{kind}");
        }
        assert!(self.observed().is_empty());
    }
}

/// A test that fails leaves nothing behind, either.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for kind in ["container", "network", "volume", "image"] {
                for id in self.listed(kind) {
                    let mut arguments = vec![kind, "rm", &id];
                    if kind != "network" {
                        arguments.push("--force");
                    }
                    let _ = std::process::Command::new("docker").args(arguments).output();
                }
            }
        }
    }
}

/// Asks a server on this machine once.
pub(crate) fn ask(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let Some((_, body)) = answer.split_once("\r\n\r\n") else {
        return Err(std::io::Error::other(format!("{answer:?} is no answer")));
    };
    Ok(body.split('|').next().unwrap_or_default().to_owned())
}

/// Somebody who asks a server again and again.
pub(crate) struct Probe {
    end: Arc<AtomicBool>,
    asking: JoinHandle<BTreeMap<String, usize>>,
}

impl Probe {
    pub(crate) fn of(port: u16) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let asking = std::thread::spawn(move || {
            let mut answers = BTreeMap::new();
            while !ended.load(Ordering::Relaxed) {
                let answer = ask(port).unwrap_or_else(|error| format!("error: {error}"));
                *answers.entry(answer).or_default() += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            answers
        });
        Self { end, asking }
    }

    /// Every answer that there was, and how often.
    pub(crate) fn end(self) -> BTreeMap<String, usize> {
        self.end.store(true, Ordering::Relaxed);
        self.asking.join().unwrap()
    }
}
