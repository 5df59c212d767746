//! [`Plan`]: what has to be done, step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    backend::{Input, OwnedSite, Owner, Resource},
    digest::Digest,
    history::Standing,
    name::{Name, ResourceId},
    topology::Assignment,
};

/// What has to be done so that what is wanted stands.
///
/// Whole in itself: it can be written down, read elsewhere and carried out there. Steps come in an
/// order in which they can be done: what a step comes after stands before it, and removals are
/// last, dependents first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// The deployment.
    pub deployment: Name,
    /// The position in the history that it starts from.
    pub generation: u64,
    /// What is to be done.
    pub steps: Vec<PlannedStep>,
    /// How many resources stay as they are.
    pub kept: usize,
    /// The functionalities that it is about, where it is not about all: of others it has only what these
    /// need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<BTreeSet<Name>>,
    /// Functionalities that are left as they are, since they failed before this.
    pub left: BTreeSet<Name>,
    /// What would be changed, made or removed and is held back, each with the functionalities that
    /// failed and without which it cannot be what it should be: a machine that one of them runs on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<ResourceId, BTreeSet<Name>>,
    /// Functionalities that did not fail and whose changes wait for what is held back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub waiting: BTreeSet<Name>,
    /// Resources that nothing wants any more and that stay, since they hold data.
    pub data_kept: BTreeSet<ResourceId>,
    /// Where the functionalities that it is about are to run; nothing for those that go.
    pub assignments: BTreeMap<Name, Option<Assignment>>,
    /// The targets of its steps.
    pub sites: BTreeMap<Name, OwnedSite>,
    /// Sets of functionalities that succeed or are put back together.
    pub atomic: Vec<BTreeSet<Name>>,
    /// The contents of the files that its steps need.
    #[serde(with = "contents")]
    pub contents: BTreeMap<Digest, Arc<[u8]>>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The resource: as it is wanted, or where it is to go, as it was.
    pub resource: Resource,
    /// The target it was compiled for.
    pub target: Name,
    /// What to do with it.
    pub action: PlannedAction,
    /// What stands of it.
    pub from: Option<Standing>,
    /// Why the old one stops before the new one is ready, where it does.
    pub gap: Option<String>,
    /// Why it is not known what stands, where it is not.
    pub doubt: Option<String>,
    /// The settings that differ, as the reason; none where it is made or removed.
    pub changes: Vec<FieldChange>,
    /// Resources of this plan that have to be done first, in order, each once.
    pub after: Arc<[ResourceId]>,
    /// Those of them that it does not need: it waits its turn behind them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub behind: BTreeSet<ResourceId>,
}

impl PlannedStep {
    /// The id of the resource.
    #[must_use]
    pub fn id(&self) -> &ResourceId {
        self.resource.id()
    }

    /// On whose account it is done.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        self.resource.owner()
    }
}

/// What to do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedAction {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is made anew, and the old one removed.
    Replace,
    /// It is removed.
    Remove,
}

impl PlannedAction {
    /// In lower case, as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FieldChange {
    /// The keys that lead to it, joined by dots.
    pub field: String,
    /// As it is; nothing where it is new.
    pub from: Option<Input>,
    /// As it is wanted; nothing where it goes.
    pub to: Option<Input>,
}

/// Contents of files as text, or as Base64 where they are none.
mod contents {
    use std::{collections::BTreeMap, sync::Arc};

    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::digest::Digest;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Content {
        Text(String),
        Base64(String),
    }

    pub(super) fn serialize<S: Serializer>(
        contents: &BTreeMap<Digest, Arc<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(contents.iter().map(|(digest, bytes)| {
            let content = match str::from_utf8(bytes) {
                Ok(text) => Content::Text(text.to_owned()),
                Err(_) => Content::Base64(BASE64_STANDARD.encode(bytes)),
            };
            (digest.to_string(), content)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Digest, Arc<[u8]>>, D::Error> {
        let read = BTreeMap::<Digest, Content>::deserialize(deserializer)?;
        let content = |(digest, content)| {
            let bytes = match content {
                Content::Text(text) => text.into_bytes(),
                Content::Base64(text) => BASE64_STANDARD.decode(text).map_err(de::Error::custom)?,
            };
            if Digest::of_bytes(&bytes) == digest {
                Ok((digest, bytes.into()))
            } else {
                Err(de::Error::custom(format_args!("the content of {digest} was changed")))
            }
        };
        read.into_iter().map(content).collect()
    }
}
