//! [`Heads`]: what stands at one moment, as the history tells.

use std::collections::BTreeMap;

use crate::{backend::Resource, name::ResourceId, topology::Assignments};

/// What stands at one moment: the newest outcome for each resource, and where everything runs.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Heads {
    /// The position in the history that this is a replay up to; 0 is before anything happened.
    pub generation: u64,
    /// Every resource as it was last made.
    pub resources: BTreeMap<ResourceId, Resource>,
    /// Where each functionality was last placed.
    pub assignments: Assignments,
}
