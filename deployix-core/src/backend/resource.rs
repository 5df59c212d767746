//! [`Resource`]: what a backend compiles to and later makes real.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{FileRef, Inputs};
use crate::{
    digest::Digest,
    name::{Name, ResourceId},
};

/// One thing that a backend makes real, as it is wanted.
///
/// Invariants: the first segment of the id is the id of the backend that compiled it; `after` holds
/// every resource whose output is among the inputs; the digest is that of the inputs.
///
/// Cheap to clone: clones share one allocation, as an artifact, what is wanted and what stands
/// often hold the same resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Resource(Arc<Content>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Content {
    id: ResourceId,
    owner: Owner,
    inputs: Inputs,
    after: Arc<[ResourceId]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    holds_data: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<Turn>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    serves: BTreeSet<Name>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    carries: BTreeMap<Name, Digest>,
    digest: Digest,
}

/// A place among resources that do the same work beside each other, such as machines behind a load
/// balancer: those that stand are changed place by place, so that at most one place at a time is out
/// of service, and what goes wrong at one of them stops those that come after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Turn {
    /// Those whose turns follow each other, such as the machines of the target of that name. Groups of two
    /// backends are never the same.
    pub group: Name,
    /// Whose turn it is, from 0. Several resources may share a place, in the order of what they come
    /// after: a machine, its disk, its parts in load balancers.
    pub place: u32,
}

/// `pool.2`.
impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.group, self.place)
    }
}

/// On whose account a resource stands: where that fails, the resource is left as it last was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Owner {
    /// One functionality or load balancer.
    Functionality(Name),
    /// One declared upstream.
    Edge {
        /// Who connects.
        consumer: Name,
        /// Whom it reaches.
        provider: Name,
    },
    /// One target.
    Target(Name),
    /// One network, for all targets in it.
    Network(Name),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Functionality(name) => write!(f, "{name}"),
            Self::Edge { consumer, provider } => write!(f, "{consumer} → {provider}"),
            Self::Target(name) => write!(f, "target {name}"),
            Self::Network(name) => write!(f, "network {name}"),
        }
    }
}

impl Resource {
    /// A resource; what it comes after is `after` and all whose outputs it reads.
    #[must_use]
    pub fn new(
        id: ResourceId,
        owner: Owner,
        inputs: Inputs,
        after: impl IntoIterator<Item = ResourceId>,
    ) -> Self {
        let mut after: Vec<_> = after.into_iter().collect();
        for input in inputs.values() {
            input.visit_outputs(&mut |output| after.push(output.resource.clone()));
        }
        after.retain(|before| *before != id);
        after.sort();
        after.dedup();
        // Inputs are a map of strings to JSON-like data, which always serializes.
        let bytes = serde_json::to_vec(&inputs).unwrap_or_default();
        let digest = Digest::of_bytes(&bytes);
        let after = if after.is_empty() { Arc::default() } else { after.into() };
        Self(Arc::new(Content {
            id,
            owner,
            inputs,
            after,
            holds_data: false,
            turn: None,
            serves: BTreeSet::new(),
            carries: BTreeMap::new(),
            digest,
        }))
    }

    /// The same, holding data that would be lost with it: it is removed only where somebody asks
    /// for that.
    #[must_use]
    pub fn holding_data(mut self) -> Self {
        Arc::make_mut(&mut self.0).holds_data = true;
        self
    }

    /// Whether data would be lost with it.
    #[must_use]
    pub fn holds_data(&self) -> bool {
        self.0.holds_data
    }

    /// The same, at a place of a turn: where it stands and changes, it waits for the places before.
    #[must_use]
    pub fn in_turn(mut self, group: Name, place: u32) -> Self {
        Arc::make_mut(&mut self.0).turn = Some(Turn { group, place });
        self
    }

    /// Its place in a turn, where it has one.
    #[must_use]
    pub fn turn(&self) -> Option<&Turn> {
        self.0.turn.as_ref()
    }

    /// The same, needed by all places of these turns, whichever version they are of: where it goes, it
    /// goes once all that changes or goes of them has, such as a rule by which machines are reached.
    #[must_use]
    pub fn serving(mut self, groups: impl IntoIterator<Item = Name>) -> Self {
        Arc::make_mut(&mut self.0).serves.extend(groups);
        self
    }

    /// The turns that it serves.
    #[must_use]
    pub fn serves(&self) -> &BTreeSet<Name> {
        &self.0.serves
    }

    /// The same, carrying functionalities: these run by it, though it stands on a target's account,
    /// as a machine does that is told of all that runs there at its first boot, and what it is
    /// started from. Each comes with a digest of what it is told of it, so that two versions tell
    /// whose change it was. A plan about a functionality is about what carries it as well; a
    /// functionality whose own resources are all that it runs by is carried by none.
    #[must_use]
    pub fn carrying(mut self, functionalities: BTreeMap<Name, Digest>) -> Self {
        Arc::make_mut(&mut self.0).carries = functionalities;
        self
    }

    /// The functionalities that run by it, each with a digest of what it is told of it.
    #[must_use]
    pub fn carries(&self) -> &BTreeMap<Name, Digest> {
        &self.0.carries
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ResourceId {
        &self.0.id
    }

    /// The id of the backend that compiled it.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.0.id.as_str().split('/').next().unwrap_or_default()
    }

    /// On whose account it stands.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// Its settings.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.0.inputs
    }

    /// What has to be made before it, in order, each once.
    #[must_use]
    pub fn after(&self) -> &[ResourceId] {
        &self.0.after
    }

    /// The same, to be shared.
    pub(crate) fn shared_after(&self) -> Arc<[ResourceId]> {
        Arc::clone(&self.0.after)
    }

    /// The files among its settings.
    pub fn files(&self) -> impl Iterator<Item = &FileRef> {
        let mut files = Vec::new();
        for input in self.0.inputs.values() {
            input.visit_files(&mut |file| files.push(file));
        }
        files.into_iter()
    }

    /// The digest of its settings.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

/// Read back as it was written; a digest that is not that of the settings is refused.
impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Read {
            id: ResourceId,
            owner: Owner,
            inputs: Inputs,
            after: Vec<ResourceId>,
            #[serde(default)]
            holds_data: bool,
            #[serde(default)]
            turn: Option<Turn>,
            #[serde(default)]
            serves: BTreeSet<Name>,
            #[serde(default)]
            carries: BTreeMap<Name, Digest>,
            digest: Digest,
        }
        let Read { id, owner, inputs, after, holds_data, turn, serves, carries, digest } =
            Read::deserialize(deserializer)?;
        let resource = Self::new(id, owner, inputs, after).serving(serves);
        if resource.digest() != digest {
            let message = format!("the settings of {} are not those of its digest", resource.id());
            return Err(de::Error::custom(message));
        }
        let resource = if holds_data { resource.holding_data() } else { resource };
        let resource = if carries.is_empty() { resource } else { resource.carrying(carries) };
        Ok(match turn {
            Some(Turn { group, place }) => resource.in_turn(group, place),
            None => resource,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Input;

    fn id(text: &str) -> ResourceId {
        ResourceId::new(text).unwrap()
    }

    #[test]
    fn a_resource_comes_after_all_whose_outputs_it_reads() {
        let deep = Input::map([("list", Input::list([Input::output(id("m/a"), "address")]))]);
        let inputs = Inputs::from([("peer", deep)]);
        let owner = Owner::Functionality(Name::new("web").unwrap());
        let resource = Resource::new(id("m/b"), owner, inputs, [id("m/c")]);
        let after: Vec<_> = resource.after().iter().map(ResourceId::as_str).collect();
        assert_eq!(after, ["m/a", "m/c"]);
        assert_eq!(resource.backend(), "m");
    }

    #[test]
    fn a_resource_is_read_back_and_its_digest_is_checked() {
        let owner =
            Owner::Edge { consumer: Name::new("a").unwrap(), provider: Name::new("b").unwrap() };
        let inputs = Inputs::from([("port", Input::Integer(80))]);
        let resource = Resource::new(id("m/b"), owner, inputs, [id("m/c")]);
        let name = |text: &str| Name::new(text).unwrap();
        let told = Digest::of_bytes(b"all there is to know");
        let resource = resource.holding_data().in_turn(name("pool"), 2).serving([name("other")]);
        let resource = resource.carrying([(name("a"), told)].into());
        let json = serde_json::to_string(&resource).unwrap();
        let read: Resource = serde_json::from_str(&json).unwrap();
        assert_eq!(read, resource);
        let edited = json.replace("80", "81");
        let error = serde_json::from_str::<Resource>(&edited).unwrap_err().to_string();
        assert!(error.contains("m/b"), "{error}");
    }
}
