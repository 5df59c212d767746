//! [`apply`]: carries out a plan.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{Event, Report};
use crate::{
    backend::{Registry, Secrets},
    history::{History, Holder},
    name::Name,
    plan::Plan,
};

/// How a plan is carried out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// Who does it.
    pub by: Holder,
    /// How many steps run at once at most; 16 unless said otherwise.
    pub concurrency: NonZeroUsize,
    /// How long claims and intents hold unless renewed, which happens three times as often; 30
    /// seconds unless said otherwise. After a crash nobody else changes what was claimed for so
    /// long.
    pub lease: Duration,
    /// How often a step whose error says that it can help is tried again; 8 times unless said
    /// otherwise, with waits that double from half a second to 15 seconds.
    pub retries: usize,
    /// Functionalities that were asked for by name: somebody else's being at one of them refuses it
    /// instead of waiting. All that the plan changes unless said otherwise.
    pub asked: Option<BTreeSet<Name>>,
    /// Where the values of secrets are.
    pub secrets: Arc<dyn Secrets>,
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
}

/// Carries out a plan: in the order of its graph, side by side where that leaves a choice.
///
/// Each step is written into the history before its provider is asked and after it answered, so a
/// crash at any instant loses nothing. Events are sent to whoever listens; with nobody there, they
/// are dropped.
pub async fn apply(
    plan: &Plan,
    history: &History,
    registry: &Registry,
    options: &ApplyOptions,
    interrupt: &Interrupt,
    events: Option<&mpsc::Sender<Event>>,
) -> Report {
    let _ = (plan, history, registry, options, interrupt, events);
    todo!()
}
