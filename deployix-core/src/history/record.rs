//! [`Record`]: one thing that was intended, done or noted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    backend::{OwnedSite, Owner, Resource},
    name::{HistoryId, Name, ResourceId},
    topology::Assignment,
};

/// One entry of the log: what was appended together, at once or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// Its place in the log, from 1: the generation that it makes.
    pub position: u64,
    /// When it was appended, by the clock of whoever did.
    pub at: Timestamp,
    /// What it says, in order.
    pub records: Vec<Record>,
}

/// One thing that was intended, done or noted.
///
/// A restart finds, after each of them: after `Begin` claims that run out by themselves; after
/// `Intent` a step that may have been done, in part or in whole; after `Outcome` a step that is
/// settled; after `End` nothing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Record {
    /// A run begins and claims what it is about, so that nobody else changes it meanwhile.
    Begin {
        /// The run.
        run: RunId,
        /// Who does it.
        by: Holder,
        /// Until when its claims and intents hold, unless it is renewed.
        until: Timestamp,
        /// What it claims.
        claims: BTreeSet<Owner>,
    },
    /// A run goes on.
    Renew {
        /// The run.
        run: RunId,
        /// Until when its claims and intents hold.
        until: Timestamp,
    },
    /// A run claims no longer what it is done with.
    Release {
        /// The run.
        run: RunId,
        /// What it claims no longer.
        claims: BTreeSet<Owner>,
    },
    /// A run is over.
    End {
        /// The run.
        run: RunId,
    },
    /// A step is about to be done: written before the provider is asked.
    Intent {
        /// The run.
        run: RunId,
        /// What is to be done.
        action: IntentAction,
        /// The resource: as it is wanted, or where it is to go, as it was.
        resource: Resource,
        /// The target it was compiled for.
        target: Name,
    },
    /// How a step ended: that of the newest intent about the resource. It counts only where that
    /// intent is the run's own: a run that was held up until its time ran out has no say any more.
    Outcome {
        /// The run that intended it.
        run: RunId,
        /// The resource.
        resource: ResourceId,
        /// How it ended.
        result: StepResult,
    },
    /// Where functionalities run from now on; nothing for those that run nowhere any more.
    Placed {
        /// By functionality.
        assignments: BTreeMap<Name, Option<Assignment>>,
    },
    /// A target as it is from now on.
    Site {
        /// The target with its network and location.
        site: Box<OwnedSite>,
    },
    /// The history's own id, drawn once: before anything is made on its account.
    Identity {
        /// The id.
        history: HistoryId,
    },
    /// From now on the history keeps what another one kept, which is lost.
    TakeOver {
        /// Who says so.
        by: Holder,
        /// The lost one.
        history: HistoryId,
    },
    /// What stood on a target is nobody's any more, and the target is known no longer: somebody said
    /// so, since nobody will reach it again. No provider was asked to remove anything.
    Forgotten {
        /// Who said so.
        by: Holder,
        /// The target.
        target: Name,
        /// What stood or may have stood there, each with on whose account.
        resources: BTreeMap<ResourceId, Owner>,
        /// Functionalities that ran there, and run nowhere any more as far as is known.
        functionalities: BTreeSet<Name>,
    },
    /// Something worth telling.
    Note {
        /// Who tells it.
        by: Holder,
        /// What.
        text: String,
    },
}

/// What a step is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentAction {
    /// It makes the resource, changes it or makes it anew.
    Make,
    /// It removes it.
    Remove,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepResult {
    /// The resource stands as intended.
    Made {
        /// What it gives to others.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, String>,
    },
    /// The resource is gone.
    Removed,
    /// It failed.
    Failed {
        /// Why.
        error: String,
        /// Whether what stands is what stood before; else it is in doubt.
        as_it_was: bool,
    },
}

/// A run: one person's or program's doing, from its begin to its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub(super) String);

impl RunId {
    /// No run at all.
    pub(crate) fn none() -> Self {
        Self(String::new())
    }

    /// The id's text: 16 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Who does something: a person's process on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Holder {
    /// The person, as their machine names them.
    pub name: String,
    /// The host.
    pub host: String,
    /// The process there.
    pub process: u32,
    /// What tells this process from a later one of the same number; nothing where that cannot be
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} (process {})", self.name, self.host, self.process)
    }
}
