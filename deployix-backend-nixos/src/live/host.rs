//! A machine, and the changes that wait for it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use deployix_core::{
    HistoryId, Name,
    backend::{BackendError, ErrorKind, Keeper},
};
use deployix_transport::{Command, Transport};
use tokio::sync::{Mutex as Turn, oneshot};

use super::{change::Change, command, switch};

/// A machine.
pub(super) struct Host {
    pub(super) transport: Arc<dyn Transport>,
    /// As the target names it.
    pub(super) address: String,
    waiting: Mutex<Vec<Waiting>>,
    /// Held by who switches.
    turn: Turn<()>,
}

/// A machine's place in a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) deployment: Name,
    /// What it is called there.
    pub(super) name: String,
    /// The history on whose account it is changed.
    pub(super) keeper: Option<Keeper>,
}

struct Waiting {
    machine: Machine,
    change: Change,
    done: oneshot::Sender<Result<(), Failure>>,
}

/// An error that several may get.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) temporary: bool,
    pub(super) as_it_was: bool,
    pub(super) operation: &'static str,
    pub(super) message: String,
    pub(super) kept_by: Option<HistoryId>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(transport: Arc<dyn Transport>, address: String) -> Self {
        Self { transport, address, waiting: Mutex::default(), turn: Turn::default() }
    }

    /// Changes what the machine runs, together with all that waits at the same time.
    pub(super) async fn change(
        &self,
        machine: Machine,
        change: Change,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<(), BackendError> {
        let (done, mut result) = oneshot::channel();
        self.waiting().push(Waiting { machine, change, done });
        let turn = self.turn.lock().await;
        if let Ok(result) = result.try_recv() {
            return result.map_err(Failure::into_error);
        }
        // Nobody else was here in between, so it is among those that wait.
        let batch = std::mem::take(&mut *self.waiting());
        self.carry_out(batch, tell).await;
        drop(turn);
        result.await.unwrap_or_else(|_| Err(Failure::given_up())).map_err(Failure::into_error)
    }

    /// Runs a command that has to go well, and gives what it wrote to standard output.
    pub(super) async fn run(
        &self,
        operation: &'static str,
        command: Command,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Vec<u8>, BackendError> {
        command::run(&*self.transport, operation, command, tell).await
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        // Every change is one push or take, so a panic elsewhere leaves the list whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches to all of them at once, and where that fails to each alone.
    async fn carry_out(&self, mut batch: Vec<Waiting>, tell: &(dyn Fn(&str) + Sync)) {
        while let Some(machine) = batch.first().map(|first| first.machine.clone()) {
            let (now, later): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|waiting| waiting.machine == machine);
            batch = later;
            let changes: Vec<&Change> = now.iter().map(|waiting| &waiting.change).collect();
            let together = switch::to(self, &machine, &changes, tell).await;
            match together {
                Err(failure) if now.len() > 1 && failure.is_of_the_change() => {
                    tell("together it failed, so each is tried alone");
                    for waiting in now {
                        let alone = switch::to(self, &machine, &[&waiting.change], tell).await;
                        // Whoever waited may have been cancelled.
                        let _ = waiting.done.send(alone);
                    }
                }
                result => {
                    for waiting in now {
                        let _ = waiting.done.send(result.clone());
                    }
                }
            }
        }
    }
}

impl Failure {
    fn given_up() -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            temporary: true,
            as_it_was: false,
            operation: "switch",
            message: "whoever switched the machine was stopped".to_owned(),
            kept_by: None,
        }
    }

    /// The same, where something was changed before.
    pub(super) fn in_part(error: BackendError) -> BackendError {
        Self { as_it_was: false, ..error.into() }.into_error()
    }

    /// Whether another change may go well on the same machine.
    fn is_of_the_change(&self) -> bool {
        !self.temporary && self.as_it_was && self.kind == ErrorKind::Invalid
    }

    fn into_error(self) -> BackendError {
        let Self { kind, temporary, as_it_was, operation, message, kept_by } = self;
        let error = if temporary {
            BackendError::temporary(kind, operation, message)
        } else {
            BackendError::permanent(kind, operation, message)
        };
        let error = if as_it_was { error.as_it_was() } else { error };
        match kept_by {
            Some(by) => error.since_kept_by(&by),
            None => error,
        }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let text = error.to_string();
        let message = text.strip_prefix(error.operation()).unwrap_or(&text);
        Self {
            kind: error.kind(),
            temporary: error.status() == deployix_core::backend::ErrorStatus::Temporary,
            as_it_was: error.is_as_it_was(),
            operation: error.operation(),
            message: message.trim_start_matches(": ").to_owned(),
            kept_by: error.kept_by().cloned(),
        }
    }
}
