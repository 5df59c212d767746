//! The roll-out of an instance: a new version is made beside the old one and takes over once it is
//! ready; where it does not get there, it goes and the old one stays.
//!
//! Where both cannot run at once, the old one stops first, and is started again where the new one
//! does not get ready. While both run, the new one is in its networks without a name there, so that
//! nobody is led to it. Once it is ready it joins again with its names and the old one without, and
//! a moment later that one stops.
//!
//! A step finds what stands by labels, whatever a crash left: its own version whole, which is then
//! only mended; in pieces, which go; and other versions, of which one may still serve.

use std::collections::BTreeMap;

use bollard::{
    models::{ContainerInspectResponse, PortSummary},
    query_parameters::ListVolumesOptionsBuilder,
};
use deployix_core::{
    Digest,
    backend::{Action, Awaited, BackendError, ErrorKind, Resource, Step, StepContext},
};
use futures_util::future::try_join_all;

use super::{
    engine::Engine,
    label::{self, Part},
    ready::{self, Failure},
    secrets::Values,
    stand::{self, Standing},
    volume,
};
use crate::{compose::Port, instance::Instance, naming};

/// How long an old version that was started again is looked at.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

pub(super) async fn apply(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    if matches!(step.action, Action::Remove) {
        return remove(engine, step, context).await;
    }
    let instance = Instance::from_inputs(step.inputs)
        .map_err(|error| BackendError::unreadable(&error.to_string()))?;
    let name = step.resource.id().as_str().rsplit('/').next().unwrap_or_default();
    let digest = step.resource.digest();
    let values = Values::default();
    Roll { engine, step, context, instance, name, digest, values }.run().await
}

/// Removes every version, each program with its own signal and time.
async fn remove(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let standing = standing(engine, step, context).await?;
    stand::stop(engine, &standing).await?;
    stand::remove(engine, &standing).await?;
    remove_secrets(engine, step, context, |_| true).await
}

/// What stands of the instance.
///
/// # Errors
/// A conflict where another history keeps some of it.
async fn standing(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<Vec<Standing>, BackendError> {
    let listed = stand::list(engine, label::of_resource(step)).await?;
    for container in &listed {
        let names = container.names.as_deref().unwrap_or_default().join(", ");
        let what = format!("the container {}", names.trim_start_matches('/'));
        label::check(step, context, &what, |key| container.labels.as_ref()?.get(key))?;
    }
    Ok(listed.iter().filter_map(Standing::read).collect())
}

/// Removes the volumes with the secrets of some versions.
async fn remove_secrets(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
    of: impl Fn(Option<Digest>) -> bool,
) -> Result<(), BackendError> {
    let mut labels = label::of_resource(step);
    labels.push(format!("{}={}", label::PART, Part::Secrets.as_str()));
    let filters = [("label".to_owned(), labels)].into();
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let listed = engine.docker().list_volumes(Some(options)).await;
    let listed = listed.map_err(|error| engine.error("list volumes", error))?;
    for volume in listed.volumes.into_iter().flatten() {
        let digest = volume.labels.get(label::DIGEST).and_then(|digest| digest.parse().ok());
        let label = |key: &str| volume.labels.get(key);
        if of(digest) && label::check(step, context, &volume.name, label).is_ok() {
            volume::remove(engine, &volume.name).await?;
        }
    }
    Ok(())
}

/// One version of an instance on its way.
pub(super) struct Roll<'a> {
    pub(super) engine: &'a Engine,
    pub(super) step: &'a Step<'a>,
    pub(super) context: &'a StepContext<'a>,
    pub(super) instance: Instance,
    /// What the instance is called.
    pub(super) name: &'a str,
    pub(super) digest: Digest,
    pub(super) values: Values,
}

/// The containers of a new version, by their names; the one that holds the namespace apart.
pub(super) struct Made {
    pub(super) namespace: String,
    pub(super) programs: BTreeMap<String, String>,
}

impl Roll<'_> {
    async fn run(mut self) -> Result<(), BackendError> {
        let (own, old): (Vec<_>, Vec<_>) = standing(self.engine, self.step, self.context)
            .await
            .map_err(BackendError::as_it_was)?
            .into_iter()
            .partition(|standing| standing.digest == Some(self.digest));
        match self.whole(&own) {
            Some(made) => self.mend(made, &own, &old).await,
            None => {
                stand::remove(self.engine, &own).await?;
                self.take_over(&old).await
            }
        }
    }

    /// What stands of this version, where nothing of it is missing.
    fn whole(&self, own: &[Standing]) -> Option<Made> {
        let startable = |standing: &&Standing| standing.startable;
        let namespace =
            own.iter().filter(startable).find(|standing| standing.part == Part::Namespace)?;
        let programs: BTreeMap<_, _> = own
            .iter()
            .filter(startable)
            .filter(|standing| standing.part == Part::Program)
            .map(|standing| (standing.container.clone(), standing.id.clone()))
            .collect();
        let all = self.instance.programs.keys().all(|name| programs.contains_key(name));
        all.then(|| Made { namespace: namespace.id.clone(), programs })
    }

    /// As it stood before the step, as far as the plan knew.
    fn from(&self) -> Option<&Resource> {
        match self.step.action {
            Action::Update { from } | Action::Replace { from } => Some(from),
            Action::Create | Action::Remove => None,
        }
    }

    /// Makes this version and lets it take over from old ones.
    async fn take_over(&mut self, old: &[Standing]) -> Result<(), BackendError> {
        for member in self.instance.programs.values() {
            if let Err(error) = self.values.read(member, self.context).await {
                return Err(self.as_it_was(error, old));
            }
        }
        let gap = self.instance.gap.is_some() && !old.is_empty();
        if gap {
            self.ports_are_free().await.map_err(|error| self.as_it_was(error, old))?;
        }
        let named = gap || old.is_empty();
        let began = async {
            let made = self.create(named).await?;
            if gap {
                self.context.tell("stopping the old version");
                stand::stop(self.engine, old).await?;
            }
            self.start(&made).await?;
            Ok(made)
        };
        match began.await {
            Ok(made) => {
                if !named {
                    self.take_names(&made.namespace).await?;
                }
                self.retire(old).await
            }
            Err(failure) => Err(self.put_back(failure, old, gap).await),
        }
    }

    /// Refuses to stop an old version for a new one that could not have its ports either, since a
    /// container of somebody else has one.
    async fn ports_are_free(&self) -> Result<(), BackendError> {
        let wanted = &self.instance.namespace.ports;
        if wanted.is_empty() {
            return Ok(());
        }
        for other in stand::list(self.engine, Vec::new()).await? {
            // Another of the same deployment may be about to give it up.
            let deployment = other.labels.as_ref().and_then(|labels| labels.get(label::DEPLOYMENT));
            if deployment.is_some_and(|deployment| deployment == self.step.deployment.as_str()) {
                continue;
            }
            let taken = wanted
                .iter()
                .find(|port| other.ports.iter().flatten().any(|held| is_held(port, held)));
            if let Some(port) = taken {
                let names = other.names.unwrap_or_default().join(", ");
                let message = format!(
                    "the container {} has port {} of the host: stop it, or publish another: \
                     extensions.docker.publish",
                    names.trim_start_matches('/'),
                    port.published
                );
                return Err(BackendError::permanent(ErrorKind::Conflict, "stop", message));
            }
        }
        Ok(())
    }

    /// Brings this version, which stands, to what it should be, and writes only what differs.
    async fn mend(
        &mut self,
        made: Made,
        own: &[Standing],
        old: &[Standing],
    ) -> Result<(), BackendError> {
        let gap = self.instance.gap.is_some() && !old.is_empty();
        let mended = async {
            for standing in own.iter().filter(|standing| standing.part == Part::Initializer) {
                stand::remove_one(self.engine, &standing.id).await?;
            }
            if gap {
                stand::stop(self.engine, old).await?;
            }
            self.join_missing(&made.namespace, gap || old.is_empty()).await?;
            let started = self.start_what_is_down(&made).await?;
            let look = |name: &str| !old.is_empty() || started.iter().any(|other| other == name);
            self.wait(&made, &look).await
        };
        if let Err(failure) = mended.await {
            for member in self.instance.programs.values() {
                // Only so that they are left out of what is told.
                let _ = self.values.read(member, self.context).await;
            }
            let before = self.from().map(Resource::digest);
            let serves = |standing: &Standing| standing.digest == before;
            return Err(if old.iter().any(serves) {
                self.put_back(failure, old, gap).await
            } else {
                self.told(failure).await
            });
        }
        if !self.has_names(&made.namespace).await? {
            self.take_names(&made.namespace).await?;
        }
        self.retire(old).await
    }

    /// Starts what does not run, and programs whose namespace began anew behind them; tells which
    /// programs were started.
    async fn start_what_is_down(&self, made: &Made) -> Result<Vec<String>, Failure> {
        let namespace = self.inspect(&made.namespace).await?;
        let mut programs = Vec::new();
        for (name, id) in &made.programs {
            programs.push((name, id, self.inspect(id).await?));
        }
        if !runs(&namespace) {
            for (_, id, _) in programs.iter().filter(|(.., inspected)| runs(inspected)) {
                self.stop(id).await?;
            }
            self.unpause(&namespace, &made.namespace).await?;
            self.start_namespace(&made.namespace).await?;
        }
        let since = started_at(&namespace);
        let mut started = Vec::new();
        for (name, id, inspected) in &programs {
            let stale = runs(inspected) && started_at(inspected) < since;
            if stale {
                self.stop(id).await?;
            }
            if !runs(&namespace) || !runs(inspected) || stale {
                self.unpause(inspected, id).await?;
                stand::start(self.engine, id).await?;
                started.push((*name).clone());
            }
        }
        Ok(started)
    }

    async fn stop(&self, id: &str) -> Result<(), BackendError> {
        let stopped = self.engine.patient().stop_container(id, None).await;
        stopped.map_err(|error| self.engine.error("stop container", error))
    }

    async fn unpause(
        &self,
        inspected: &ContainerInspectResponse,
        id: &str,
    ) -> Result<(), BackendError> {
        let state = inspected.state.as_ref();
        if state.and_then(|state| state.paused) == Some(true) {
            let unpaused = self.engine.docker().unpause_container(id).await;
            return unpaused.map_err(|error| self.engine.error("unpause container", error));
        }
        Ok(())
    }

    pub(super) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, BackendError> {
        let inspected = self.engine.docker().inspect_container(id, None).await;
        inspected.map_err(|error| self.engine.error("inspect container", error))
    }

    /// Waits until every program is ready that has a check, or that is to be looked at.
    pub(super) async fn wait(
        &self,
        made: &Made,
        look: &(impl Fn(&str) -> bool + Sync),
    ) -> Result<(), Failure> {
        let tell = |wait: Awaited| {
            let seen = self.values.redact(wait.seen);
            self.context.waits(&Awaited { seen, ..wait });
        };
        let waits = self.instance.programs.iter().filter_map(|(name, member)| {
            let id = made.programs.get(name)?;
            let due = member.container.healthcheck.is_some() || look(name);
            due.then(|| ready::program(self.engine, id, name, &member.container, tell))
        });
        try_join_all(waits).await.map(drop)
    }

    /// Stops old versions, each program with its own signal and time, and removes them.
    async fn retire(&self, old: &[Standing]) -> Result<(), BackendError> {
        if self.instance.gap.is_none() {
            self.drop_names(old).await?;
        }
        stand::stop(self.engine, old).await?;
        stand::remove(self.engine, old).await?;
        remove_secrets(self.engine, self.step, self.context, |digest| digest != Some(self.digest))
            .await
    }

    /// Removes this version, which did not get ready, and starts the old one again where it was
    /// stopped.
    async fn put_back(&self, failure: Failure, old: &[Standing], gap: bool) -> BackendError {
        let error = self.told(failure).await;
        let back = async {
            let standing = standing(self.engine, self.step, self.context).await?;
            let own: Vec<_> =
                standing.into_iter().filter(|s| s.digest == Some(self.digest)).collect();
            stand::remove(self.engine, &own).await?;
            remove_secrets(self.engine, self.step, self.context, |digest| {
                digest == Some(self.digest)
            })
            .await?;
            if gap { self.start_old(old).await } else { Ok(()) }
        };
        match back.await {
            Ok(()) => self.as_it_was(error, old),
            Err(_) => error,
        }
    }

    /// Starts the old version that ran, or that stood as far as the plan knew.
    async fn start_old(&self, old: &[Standing]) -> Result<(), BackendError> {
        let ran = old.iter().find(|standing| standing.running).map(|standing| standing.digest);
        let version = ran.unwrap_or(self.from().map(Resource::digest));
        let of_it: Vec<_> =
            old.iter().filter(|standing| standing.digest == version).cloned().collect();
        self.context.tell("starting the old version again");
        stand::start_again(self.engine, &of_it).await?;
        tokio::time::sleep(LOOK_AGAIN).await;
        let standing = standing(self.engine, self.step, self.context).await?;
        let down = standing.iter().find(|s| of_it.iter().any(|o| o.id == s.id) && !s.running);
        match down {
            None => Ok(()),
            Some(down) => {
                let message = format!("`{}` does not run again", down.container);
                Err(BackendError::permanent(ErrorKind::Unavailable, "put back", message))
            }
        }
    }

    /// Marks an error after which what stands is what stood, as far as the plan knew.
    fn as_it_was(&self, error: BackendError, old: &[Standing]) -> BackendError {
        let stood = match self.from() {
            None => old.is_empty(),
            Some(from) => {
                let of_it =
                    |part| move |s: &Standing| s.part == part && s.digest == Some(from.digest());
                old.iter().any(of_it(Part::Namespace)) && old.iter().any(of_it(Part::Program))
            }
        };
        if stood { error.as_it_was() } else { error }
    }

    /// A failure with the last lines of the log of what failed, and no secret in it.
    async fn told(&self, failure: Failure) -> BackendError {
        match failure {
            Failure::Engine(error) => error,
            Failure::NotReady { id, why } => {
                let log = stand::last_lines(self.engine, &id).await;
                let log = if log.is_empty() { log } else { format!("; it said last:\n{log}") };
                let message = self.values.redact(format!("{why}{log}"));
                BackendError::permanent(ErrorKind::Unavailable, "wait until ready", message)
            }
        }
    }

    /// What a container is called on the engine, in this version.
    pub(super) fn on_engine(&self, container: &str) -> String {
        let target = &self.step.site.target.name;
        let name = naming::on_engine(self.step.deployment, target, container);
        naming::versioned(&name, self.digest)
    }
}

/// Whether a port that is held on the host keeps one from being published.
fn is_held(port: &Port, held: &PortSummary) -> bool {
    let anywhere = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
    let address = held.ip.as_deref().unwrap_or_default();
    let protocol = port.protocol.to_string();
    held.public_port == Some(port.published)
        && held.typ.is_some_and(|held| held.as_ref() == protocol)
        && (address == port.host_address || anywhere(address) || anywhere(&port.host_address))
}

fn runs(inspected: &ContainerInspectResponse) -> bool {
    let state = inspected.state.as_ref();
    state.is_some_and(|state| state.running == Some(true) && state.paused != Some(true))
}

/// When a container was last started: texts of one form and zone, which compare as times do.
fn started_at(inspected: &ContainerInspectResponse) -> Option<&str> {
    inspected.state.as_ref()?.started_at.as_deref()
}
