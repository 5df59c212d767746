//! [`Backend`]: the contract between the core and what makes specs real.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
};

use async_trait::async_trait;
use serde::Serialize;

use super::{
    Artifact, Assembly, Awaited, CompileError, Inputs, Owner, Resource, Site, StepContext, Unit,
};
use crate::{
    digest::Digest,
    name::{BackendId, HistoryId, Name, ResourceId},
    spec::{ExtensionDecl, TargetKind},
};

/// Compiles specs for one kind of target and makes the result real.
///
/// # Contract
/// * [`compile`](Self::compile), [`assemble`](Self::assemble) and [`change`](Self::change) do no
///   I/O, read no clock and use no randomness: equal arguments give equal results, everywhere.
/// * Nothing is silently dropped: a field that cannot be honoured is refused, or remarked on.
/// * Ids of resources start with the backend's own id and are unique within a deployment. Two
///   artifacts may hold the same resource (a network, for two targets in it) if it is equal.
/// * No secret's value is in anything that it gives.
/// * [`apply`](Self::apply) is idempotent and converges: a step may repeat after a crash, in whole or
///   in part, and whatever of the resource stands before it, the step's version alone stands after.
/// * Where what is made carries tags or labels, they say which history keeps it, and what another one
///   keeps is neither changed nor removed: see [`StepContext::keeper`].
/// * No method has a default, so that a backend decides each.
///
/// The kit in `deployix_core::conformance`, which the feature of that name turns on, holds a backend
/// to it.
#[async_trait]
pub trait Backend: Any + fmt::Debug + Send + Sync {
    /// The id under which specs name it.
    fn id(&self) -> &BackendId;

    /// What it can do; the core refuses beforehand what it cannot.
    fn capabilities(&self) -> Capabilities;

    /// The extensions that it owns.
    fn extension_decls(&self) -> &[ExtensionDecl];

    /// Compiles one functionality where it was placed, with its connections.
    ///
    /// # Errors
    /// Every reason why this functionality cannot be compiled; it is left as it last was.
    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError>;

    /// Compiles what ties one target's functionalities together: a host's configuration, a
    /// network, the machines themselves.
    ///
    /// # Errors
    /// Every reason why the target cannot be compiled; it is left as it last was.
    fn assemble(&self, assembly: &Assembly<'_>) -> Result<Artifact, CompileError>;

    /// How to get from a resource as it is to the same one as it is wanted; asked only where their
    /// digests differ.
    fn change(&self, from: &Resource, to: &Resource) -> Change;

    /// Reads what really exists, from the provider's own tags or labels.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    async fn observe(&self, scope: &Scope<'_>) -> Result<Vec<Observed>, BackendError>;

    /// Tells what whoever carries out these steps may not do of them, without doing any of it; nothing
    /// where the provider knows no permissions.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    async fn permissions(&self, steps: &[Step<'_>]) -> Result<Permissions, BackendError>;

    /// Carries out one step. What it makes or changes is ready when it returns; where a new version
    /// does not get there, the old one is put back.
    ///
    /// # Errors
    /// Where the step failed; the error says whether trying again can help, and whether what stands
    /// is what stood before.
    async fn apply(
        &self,
        step: &Step<'_>,
        context: &StepContext<'_>,
    ) -> Result<Outcome, BackendError>;
}

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each read by its name")]
pub struct Capabilities {
    /// Each functionality has network addresses and a file system of its own, so two on one machine
    /// may use one port or path, and several replicas may share a machine.
    pub isolated: bool,
    /// It makes machines, so their addresses are known only once they are made.
    pub makes_machines: bool,
    /// It has load balancers of its own; elsewhere a program on a target does it.
    pub load_balancers: bool,
    /// It can connect machines over IPsec.
    pub ipsec: bool,
    /// It fills in values that are looked up at run time.
    pub lookups: bool,
    /// It can run several identical machines as one target.
    pub pools: bool,
    /// It can run groups that scale by themselves.
    pub autoscaling: bool,
    /// It can run several engines as one.
    pub swarms: bool,
    /// [`Backend::observe`] and [`Backend::apply`] do their work; elsewhere both answer
    /// [`ErrorKind::Unsupported`].
    pub live: bool,
}

impl Capabilities {
    /// A backend that can do nothing but compile for single machines.
    pub const NONE: Self = Self {
        isolated: false,
        makes_machines: false,
        load_balancers: false,
        ipsec: false,
        lookups: false,
        pools: false,
        autoscaling: false,
        swarms: false,
        live: false,
    };

    /// Whether it can run targets of a kind.
    #[must_use]
    pub fn runs(&self, kind: TargetKind) -> bool {
        match kind {
            TargetKind::Machine => true,
            TargetKind::Pool { .. } => self.pools,
            TargetKind::Autoscaling { .. } => self.autoscaling,
            TargetKind::Swarm => self.swarms,
        }
    }
}

/// How to get from a resource as it is to the same one as it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing has to be done.
    Keep,
    /// It is changed in place.
    Update,
    /// It is made anew and counts once it is ready; only then the old one is removed.
    Replace,
    /// It is made anew, and the old one has to stop before the new one can start: there is a gap.
    Recreate {
        /// Why, in lower case, without a final dot: "it publishes a port of its host".
        why: &'static str,
    },
}

/// What part of the world to read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Scope<'a> {
    /// The deployment whose resources are wanted.
    pub deployment: &'a Name,
    /// The target to read.
    pub site: Site<'a>,
    /// What the history tells that stands there, to be compared with what is seen; nothing where there
    /// is no history.
    pub known: &'a [Known<'a>],
}

impl<'a> Scope<'a> {
    /// The resources of a deployment on one target.
    #[must_use]
    pub fn new(deployment: &'a Name, site: Site<'a>) -> Self {
        Self { deployment, site, known: &[] }
    }

    /// The same with what the history tells of it.
    #[must_use]
    pub fn knowing(self, known: &'a [Known<'a>]) -> Self {
        Self { known, ..self }
    }
}

/// A resource as the history tells that it was made.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// Its settings with every output filled in.
    pub inputs: Inputs,
}

/// A resource as it really is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Observed {
    /// Which one.
    pub id: ResourceId,
    /// On whose account it stands, where the provider's tag or label says.
    pub owner: Option<Owner>,
    /// The history that keeps it, where the provider's tag or label says.
    pub kept_by: Option<HistoryId>,
    /// The digest it was made from, as the provider's tag or label says; nothing where what stands
    /// is of no one version: half made, or two at once.
    pub digest: Option<Digest>,
    /// Whether data would be lost with it: see [`Resource::holds_data`].
    pub holds_data: bool,
    /// What it gives to others.
    pub outputs: BTreeMap<String, String>,
    /// What is other than it was made, each in lower case, without a final dot: "it is stopped".
    pub drift: Vec<String>,
    /// Who changed it, where the provider tells.
    pub changed_by: Option<String>,
}

impl Observed {
    /// A resource that stands as it was made.
    #[must_use]
    pub fn new(id: ResourceId, digest: Option<Digest>) -> Self {
        Self {
            id,
            owner: None,
            kept_by: None,
            digest,
            holds_data: false,
            outputs: BTreeMap::new(),
            drift: Vec::new(),
            changed_by: None,
        }
    }
}

/// What may be done and what may not, by the names that a provider has for it: `ec2:RunInstances`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Permissions {
    /// What is needed and denied.
    pub denied: BTreeSet<String>,
    /// What is needed and cannot be asked about.
    pub unasked: BTreeSet<String>,
}

impl Permissions {
    /// Adds what somebody else tells.
    pub fn extend(&mut self, other: Self) {
        self.denied.extend(other.denied);
        self.unasked.extend(other.unasked);
    }
}

/// One step of a plan.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// The deployment that the resource belongs to.
    pub deployment: &'a Name,
    /// The target that it was compiled for.
    pub site: Site<'a>,
    /// The resource: as it is wanted, or where it is to go, as it was.
    pub resource: &'a Resource,
    /// What to do with it.
    pub action: Action<'a>,
    /// Its settings with every output filled in.
    pub inputs: &'a Inputs,
    /// The generation of the history since which it is tried: the same however often it is tried, by
    /// whichever run, and another once it was done; 0 where there is no history.
    pub tried: u64,
}

impl<'a> Step<'a> {
    /// A step whose resource reads no outputs.
    #[must_use]
    pub fn new(
        deployment: &'a Name,
        site: Site<'a>,
        resource: &'a Resource,
        action: Action<'a>,
    ) -> Self {
        Self { deployment, site, resource, action, inputs: resource.inputs(), tried: 0 }
    }

    /// The same with the outputs in its settings filled in.
    #[must_use]
    pub fn with_inputs(self, inputs: &'a Inputs) -> Self {
        Self { inputs, ..self }
    }

    /// The same, tried since a generation of the history.
    #[must_use]
    pub fn tried_since(self, tried: u64) -> Self {
        Self { tried, ..self }
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Makes the resource.
    Create,
    /// Changes it in place.
    Update {
        /// As it was.
        from: &'a Resource,
    },
    /// Makes it anew and removes the old one.
    Replace {
        /// As it was.
        from: &'a Resource,
    },
    /// Removes it.
    Remove,
}

/// What a step gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// What the resource gives to others.
    pub outputs: BTreeMap<String, String>,
}

/// Tells why a provider did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct BackendError {
    kind: ErrorKind,
    status: ErrorStatus,
    as_it_was: bool,
    operation: &'static str,
    message: String,
    kept_by: Option<HistoryId>,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The backend does not do this.
    Unsupported,
    /// Something that has to exist does not.
    NotFound,
    /// The caller is not allowed to.
    Denied,
    /// The provider refuses what was asked as wrong.
    Invalid,
    /// Something else holds or uses it.
    Conflict,
    /// The provider does not answer, or not now.
    Unavailable,
    /// What was waited for did not come in its time. It may come yet: whoever does the same again goes on
    /// waiting.
    TimedOut,
    /// Anything else.
    Unexpected,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorStatus {
    /// It cannot, until somebody changes something or much time has passed.
    Permanent,
    /// It can.
    Temporary,
}

impl BackendError {
    /// A failure that trying again cannot mend.
    pub fn permanent(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(kind, ErrorStatus::Permanent, operation, message.into())
    }

    /// A failure that trying again can mend.
    pub fn temporary(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(kind, ErrorStatus::Temporary, operation, message.into())
    }

    fn new(kind: ErrorKind, status: ErrorStatus, operation: &'static str, message: String) -> Self {
        Self { kind, status, as_it_was: false, operation, message, kept_by: None, source: None }
    }

    /// A resource whose settings are of another shape than this release writes, such as those in a
    /// plan of another one; nothing was done.
    #[must_use]
    pub fn unreadable(reason: &str) -> Self {
        let message = format!(
            "its settings are not as this release writes them: {reason}; make the plan anew, or \
             carry it out with the release that made it"
        );
        Self::permanent(ErrorKind::Invalid, "settings", message).as_it_was()
    }

    /// A wait that ended because its time was over. It is not tried again by whoever carries out the step,
    /// since that would only wait once more. What to do is in lower case, without a final dot.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use deployix_core::backend::{Awaited, BackendError};
    /// let wait = Awaited {
    ///     what: "the instance i-0123 to run".to_owned(),
    ///     seen: "it is pending".to_owned(),
    ///     waited: Duration::from_secs(900),
    /// };
    /// let error = BackendError::timed_out("DescribeInstances", &wait, "look at its system log");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "DescribeInstances: waited 15 min for the instance i-0123 to run; seen last: it is pending; \
    ///      look at its system log, and do the same again to go on waiting"
    /// );
    /// ```
    #[must_use]
    pub fn timed_out(operation: &'static str, wait: &Awaited, to_do: &str) -> Self {
        let message = format!(
            "waited {} for {}; seen last: {}; {to_do}, and do the same again to go on waiting",
            wait.how_long(),
            wait.what,
            wait.seen
        );
        Self::permanent(ErrorKind::TimedOut, operation, message)
    }

    /// Adds the error behind it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says that what stands is what stood before the step.
    #[must_use]
    pub fn as_it_was(mut self) -> Self {
        self.as_it_was = true;
        self
    }

    /// Whether what stands is what stood before the step; where it is not known, the next run looks.
    #[must_use]
    pub fn is_as_it_was(&self) -> bool {
        self.as_it_was
    }

    /// The same, since another history keeps what it is about.
    #[must_use]
    pub fn since_kept_by(mut self, by: &HistoryId) -> Self {
        self.kept_by = Some(by.clone());
        self
    }

    /// The other history that keeps what it is about, where that is why.
    #[must_use]
    pub fn kept_by(&self) -> Option<&HistoryId> {
        self.kept_by.as_ref()
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn status(&self) -> ErrorStatus {
        self.status
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}
