//! [`Event`]: what happens while a plan is carried out, as it happens.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    backend::{Awaited, Owner, Turn},
    history::{Holder, RunId},
    name::{Name, ResourceId},
    plan::{PlannedAction, PlannedStep},
};

/// Something that happened while a plan was carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The run has begun and claimed what it is about.
    Began {
        /// The run.
        run: RunId,
        /// How many steps it has.
        steps: usize,
    },
    /// A step waits for somebody else who is at its resource.
    Waiting {
        /// The resource.
        resource: ResourceId,
        /// On whose account it stands.
        owner: Owner,
        /// Who is at it.
        holder: Held,
    },
    /// A step has started.
    Started {
        /// The resource.
        resource: ResourceId,
        /// On whose account it stands.
        owner: Owner,
        /// What is done with it.
        action: PlannedAction,
    },
    /// A step tells a line about what it does, such as one of a build's log.
    Told {
        /// The resource.
        resource: ResourceId,
        /// On whose account it stands.
        owner: Owner,
        /// The line.
        line: String,
    },
    /// A step waits for something that is slow: told first after 10 seconds of it, and then at most every
    /// 5 seconds.
    Awaiting {
        /// The resource.
        resource: ResourceId,
        /// On whose account it stands.
        owner: Owner,
        /// What it waits for.
        wait: Awaited,
    },
    /// A step failed and is tried again.
    Retrying {
        /// The resource.
        resource: ResourceId,
        /// On whose account it stands.
        owner: Owner,
        /// Why it failed.
        error: String,
        /// How long it waits before.
        after: Duration,
    },
    /// A step is over.
    Finished {
        /// The resource.
        resource: ResourceId,
        /// On whose account it stands.
        owner: Owner,
        /// What was to be done with it.
        action: PlannedAction,
        /// How it ended.
        end: StepEnd,
    },
    /// A functionality is over: none of its steps is left.
    Settled {
        /// The functionality.
        functionality: Name,
        /// How it ended.
        fate: Fate,
    },
    /// Nothing new is started any more, since somebody interrupted it.
    Interrupted,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepEnd {
    /// It was done.
    Done,
    /// Somebody else had done it already.
    DoneByAnother,
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
    /// It was not started, since something that it needs failed.
    Blocked {
        /// What failed.
        by: Owner,
    },
    /// It was not started, since another one whose turn is before its own was not done.
    Waits(Waiting),
    /// It was not started, since somebody else is at it.
    Held {
        /// Who.
        holder: Held,
    },
    /// It was not started, since what stands is not what the plan starts from.
    MovedOn {
        /// The generation in which it changed.
        since: u64,
    },
    /// It was not started, since the run was interrupted.
    Interrupted,
    /// It was done and put back, since another one of its atomic set failed.
    PutBack,
}

impl StepEnd {
    /// Whether what the step wanted stands.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Done | Self::DoneByAnother)
    }
}

/// Something that waits its turn behind something that was not done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    /// What waits.
    pub turn: Turn,
    /// Behind whom.
    pub behind: Turn,
    /// Why that was not done.
    pub why: String,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { turn, behind, why } = self;
        write!(f, "`{turn}` waits its turn behind `{behind}`, which was not done: {why}")
    }
}

/// Who holds something, since when, and until when unless they renew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// The run.
    pub run: RunId,
    /// Who.
    pub by: Holder,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "held by {} since {}, until {} unless renewed", self.by, self.since, self.until)
    }
}

/// How a functionality, target or network ended, all its steps taken together; with a functionality's,
/// those of what carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fate {
    /// All was done.
    Deployed,
    /// All was removed.
    Removed,
    /// It is what it was, and was started anew with a machine that it runs on.
    Restarted,
    /// The plan was not about it: of it only what others need was made.
    Prepared,
    /// A step of its own failed.
    Failed {
        /// Why, step by step.
        errors: Vec<(ResourceId, String)>,
    },
    /// It was not started, or not ended, since something else that it needs failed.
    Blocked {
        /// What, by name.
        by: Vec<Owner>,
    },
    /// Some of it waits its turn behind something that was not done, and goes on as it was.
    Waits {
        /// What, and behind whom.
        turns: BTreeSet<Waiting>,
    },
    /// Somebody else is at it.
    Held {
        /// Who.
        holder: Held,
    },
    /// What stands is not what the plan starts from.
    MovedOn {
        /// The generation in which it changed.
        since: u64,
    },
    /// The run was interrupted before it ended.
    Interrupted,
    /// It was put back, since another one of its atomic set failed.
    PutBack,
}

impl Fate {
    /// The fate of an owner whose steps ended so.
    pub(super) fn of<'s>(steps: impl Iterator<Item = (&'s PlannedStep, &'s StepEnd)>) -> Self {
        let (mut errors, mut by, mut turns) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let (mut held, mut moved_on, mut put_back, mut interrupted) = (None, None, false, false);
        let mut removed = true;
        for (step, end) in steps {
            removed &= step.action == PlannedAction::Remove;
            match end {
                StepEnd::Done | StepEnd::DoneByAnother => {}
                StepEnd::Failed { error } => errors.push((step.id().clone(), error.clone())),
                StepEnd::Blocked { by: owner } => {
                    by.insert(owner.clone());
                }
                StepEnd::Waits(waiting) => {
                    turns.insert(waiting.clone());
                }
                StepEnd::Held { holder } => held = Some(holder.clone()),
                StepEnd::MovedOn { since } => moved_on = Some(*since),
                StepEnd::Interrupted => interrupted = true,
                StepEnd::PutBack => put_back = true,
            }
        }
        match (held, moved_on) {
            _ if !errors.is_empty() => Self::Failed { errors },
            (Some(holder), _) => Self::Held { holder },
            (None, Some(since)) => Self::MovedOn { since },
            _ if !by.is_empty() => Self::Blocked { by: by.into_iter().collect() },
            _ if !turns.is_empty() => Self::Waits { turns },
            _ if put_back => Self::PutBack,
            _ if interrupted => Self::Interrupted,
            _ if removed => Self::Removed,
            _ => Self::Deployed,
        }
    }

    /// Whether what was asked for stands.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Deployed | Self::Removed | Self::Restarted | Self::Prepared)
    }
}
