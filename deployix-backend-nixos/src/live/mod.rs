//! The backend's other half: makes machines run what was compiled, and tells what they run.
//!
//! A machine has one system, and each functionality a module in it. A step hands its module to the
//! machine's [`Host`](host::Host), which puts it beside those that the machine has already, builds
//! the system anew and switches to it ([`switch`]). Steps that wait for a machine meanwhile are
//! switched to together; where that fails, each is tried alone, so that one that cannot be built or
//! started keeps no other back.
//!
//! On the machine, `/var/lib/deployix/system/current` is what its system was built from, with a
//! record of each resource in it. A switch makes a new version of that folder, and renames it into
//! place once it is confirmed that the machine can still be reached. Whatever is killed in between
//! leaves the version that ran.
//!
//! Each record says which history keeps what it is about ([`keeper`]). A system is switched as a whole,
//! so it is kept by whoever switched it last, and by one history at a time; a profile stands for itself.

mod as_root;
mod build;
mod change;
mod command;
mod detached;
mod host;
mod keeper;
mod observe;
mod profile;
mod record;
mod step;
mod switch;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use deployix_core::{
    backend::{BackendError, ErrorKind, Observed, Outcome, Scope, Step, StepContext},
    spec::Target,
};
use deployix_transport::{Transport, TransportError};

use self::{as_root::AsRoot, host::Host};
use crate::assemble;

/// A way to reach a host by its address.
pub(crate) type Connect = dyn Fn(&str) -> Result<Arc<dyn Transport>, TransportError> + Send + Sync;

/// Hosts by their addresses.
#[derive(Clone)]
pub(crate) struct Connections {
    connect: Arc<Connect>,
    hosts: Arc<Mutex<BTreeMap<String, Arc<Host>>>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self::by(Arc::new(deployix_transport::connect))
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections(…)")
    }
}

impl Connections {
    pub(crate) fn by(connect: Arc<Connect>) -> Self {
        Self { connect, hosts: Arc::default() }
    }

    /// A machine of a target.
    fn host(&self, target: &Target, machine: u32) -> Result<Arc<Host>, BackendError> {
        let Some(address) = assemble::address(target, machine) else {
            let message = format!(
                "nothing says where machine {machine} of target `{}` is reached: give the target \
                 an `address`, or its machines `private-addresses`",
                target.name
            );
            let error = BackendError::permanent(ErrorKind::Invalid, "connect", message);
            return Err(error.as_it_was());
        };
        // Every change is one insertion, so a panic elsewhere leaves the map whole.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&address) {
            return Ok(Arc::clone(host));
        }
        let transport = (self.connect)(&address)
            .map_err(|error| command::error("connect", error).as_it_was())?;
        let transport = Arc::new(AsRoot::new(transport));
        let host = Arc::new(Host::new(transport, address.clone()));
        hosts.insert(address, Arc::clone(&host));
        Ok(host)
    }
}

/// Carries out one step.
pub(crate) async fn apply(
    connections: &Connections,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<Outcome, BackendError> {
    match step.resource.id().as_str().split('/').nth(2) {
        Some("system") => step::system(connections, step, context).await?,
        Some("functionality") => step::functionality(connections, step, context).await?,
        _ => {
            let message = format!("{} is nothing that NixOS knows", step.resource.id());
            return Err(BackendError::permanent(ErrorKind::Invalid, "apply", message).as_it_was());
        }
    }
    Ok(Outcome::default())
}

/// Tells what stands of a deployment on a target's machines.
pub(crate) async fn observe(
    connections: &Connections,
    scope: &Scope<'_>,
) -> Result<Vec<Observed>, BackendError> {
    observe::observe(connections, scope).await
}
