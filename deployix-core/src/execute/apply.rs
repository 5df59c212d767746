//! [`apply`]: carries out a plan.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{Event, Report, run::Run, work::Work};
use crate::{
    backend::{NoSecrets, Registry, Secrets},
    history::{History, Holder},
    name::{HistoryId, Name},
    plan::Plan,
};

/// How a plan is carried out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// Who does it.
    pub by: Holder,
    /// How many steps run at once at most; 64 unless said otherwise. They wait for providers most of
    /// the time; what is a provider's own to bound, such as builds of an engine, its backend does.
    pub concurrency: NonZeroUsize,
    /// How long claims and intents hold unless renewed, which happens three times as often; 30
    /// seconds unless said otherwise. After a crash nobody else changes what was claimed for so
    /// long, unless the process is known to be gone.
    pub lease: Duration,
    /// How often a step whose error says that it can help is tried again; 8 times unless said
    /// otherwise, with waits that double from half a second to 15 seconds.
    pub retries: usize,
    /// Functionalities that were asked for by name: somebody else's being at one of them refuses it,
    /// while anything else is waited for. All that the plan changes unless said otherwise.
    pub asked: Option<BTreeSet<Name>>,
    /// Where the values of secrets are.
    pub secrets: Arc<dyn Secrets>,
    /// A history that is lost: what it kept is this one's from now on. That is written down before
    /// anything else is done.
    pub take_over: Option<HistoryId>,
}

impl ApplyOptions {
    /// How this process carries out a plan that needs no secrets.
    #[must_use]
    pub fn new() -> Self {
        Self {
            by: Holder::current(),
            concurrency: NonZeroUsize::MIN.saturating_add(63),
            lease: Duration::from_secs(30),
            retries: 8,
            asked: None,
            secrets: Arc::new(NoSecrets),
            take_over: None,
        }
    }
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Interrupts a run: what is under way ends, and nothing new is started.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Sender<bool>);

impl Default for Interrupt {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Interrupt {
    /// Interrupts the run.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// Whether the run was interrupted.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the run is interrupted.
    pub(super) async fn interrupted(&self) {
        // The sender is this one, so it is not gone.
        let _ = self.0.subscribe().wait_for(|interrupted| *interrupted).await;
    }
}

/// Where events are sent to; with nobody there, they are dropped.
pub type EventSender = mpsc::UnboundedSender<Event>;

/// Carries out a plan: in the order of its graph, side by side where that leaves a choice.
///
/// Each step is written into the history before its provider is asked and after it answered, so a
/// crash at any instant loses nothing: the next [`settle`](super::settle) finds out what became of
/// the steps that were under way. A failed step stops what needs it and nothing else. What somebody
/// else is at is refused where it was asked for, and waited for where it is only needed.
///
/// ```
/// use std::sync::Arc;
///
/// use deployix_core::{
///     backend::{MemoryBackend, Registry},
///     execute::{ApplyOptions, Interrupt, apply},
///     history::History,
///     load::{Format, SpecFile, parse_deployment},
///     plan::{Only, compile_anew, plan},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let text = r#"
/// version = 1
/// name = "small"
/// target.box.backend = "memory"
/// functionality.web.service.start = ["web"]
/// "#;
/// let file = SpecFile::new("deployment.toml", Format::Toml, text.to_owned());
/// let deployment = parse_deployment(&file, None).complete()?.ok_or("nothing to deploy")?;
/// let registry = Registry::new().with(MemoryBackend::new());
/// let history =
///     History::open(Arc::new(object_store::memory::InMemory::new()), &deployment.name).await?;
/// let compiled = compile_anew(deployment, &registry).complete()?;
/// let plan = plan(&compiled, &history.heads().await?, &registry, &Only::All);
///
/// let (options, interrupt) = (ApplyOptions::new(), Interrupt::default());
/// let report = apply(&plan, &history, &registry, &options, &interrupt, None).await;
/// assert!(report.is_good());
/// assert_eq!(history.heads().await?.resources.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn apply(
    plan: &Plan,
    history: &History,
    registry: &Registry,
    options: &ApplyOptions,
    interrupt: &Interrupt,
    events: Option<&EventSender>,
) -> Report {
    let is_empty = plan.steps.is_empty() && plan.assignments.is_empty();
    if is_empty && options.take_over.is_none() {
        return Report::of_nothing(plan.generation);
    }
    match Run::begin(plan, history, options).await {
        Ok(run) => Work::new(plan, &run, registry, options, interrupt, events).carry_out().await,
        Err(error) => Report { history: Some(error), ..Report::of_nothing(plan.generation) },
    }
}
