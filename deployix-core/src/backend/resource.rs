//! [`Resource`]: what a backend compiles to and later makes real.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    digest::Digest,
    name::{Name, ResourceId, SecretName},
    ordered::OrderedMap,
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

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Content {
    id: ResourceId,
    owner: Owner,
    inputs: Inputs,
    after: Arc<[ResourceId]>,
    digest: Digest,
}

/// The settings of a resource, by name.
pub type Inputs = OrderedMap<Cow<'static, str>, Input>;

/// On whose account a resource stands: where that fails, the resource is left as it last was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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

/// A setting of a resource.
///
/// Printed as JSON: `{"$output": {"resource": …, "output": …}}` and `{"$secret": …}` for the two
/// that JSON does not have; a map's own keys that start with `$` get a second one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Input>),
    /// Settings by name.
    Map(Inputs),
    /// The value of a secret, filled in on the target only.
    Secret(SecretName),
    /// An output of another resource, known once that is made.
    Output(Box<OutputRef>),
}

/// An output of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OutputRef {
    /// The resource.
    pub resource: ResourceId,
    /// The output's name.
    pub output: String,
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
        Self(Arc::new(Content { id, owner, inputs, after, digest }))
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

    /// The digest of its settings.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Input {
    /// An output of another resource.
    pub fn output(resource: ResourceId, output: impl Into<String>) -> Self {
        Self::Output(Box::new(OutputRef { resource, output: output.into() }))
    }

    /// A list.
    pub fn list<I: Into<Self>>(items: impl IntoIterator<Item = I>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// Settings by name.
    pub fn map<K: Into<String>, I: Into<Self>>(entries: impl IntoIterator<Item = (K, I)>) -> Self {
        let entry = |(key, value): (K, I)| (Cow::Owned(key.into()), value.into());
        Self::Map(entries.into_iter().map(entry).collect())
    }

    /// Shows every output in it.
    pub fn visit_outputs<'a>(&'a self, visit: &mut impl FnMut(&'a OutputRef)) {
        match self {
            Self::Output(output) => visit(output),
            Self::List(items) => items.iter().for_each(|item| item.visit_outputs(visit)),
            Self::Map(entries) => entries.values().for_each(|item| item.visit_outputs(visit)),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Text(_) | Self::Secret(_) => {}
        }
    }
}

impl From<bool> for Input {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Input {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Input {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&Name> for Input {
    fn from(value: &Name) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<Digest> for Input {
    fn from(value: Digest) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<i64> for Input {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Input {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u16> for Input {
    fn from(value: u16) -> Self {
        Self::Integer(value.into())
    }
}

impl<T: Into<Self>> From<Vec<T>> for Input {
    fn from(items: Vec<T>) -> Self {
        Self::list(items)
    }
}

impl<T: Into<Self>> From<Option<T>> for Input {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> From<BTreeMap<String, T>> for Input {
    fn from(entries: BTreeMap<String, T>) -> Self {
        Self::map(entries)
    }
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    match key.strip_prefix('$') {
                        Some(_) => map.serialize_entry(&format!("${key}"), value)?,
                        None => map.serialize_entry(key, value)?,
                    }
                }
                map.end()
            }
            Self::Secret(name) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$secret", name)?;
                map.end()
            }
            Self::Output(output) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$output", output)?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_output_and_a_map_that_looks_like_one_differ() {
        let output = Input::output(id("m/a"), "x");
        let fake = Input::map([("$output", Input::map([("output", "x"), ("resource", "m/a")]))]);
        let json = |input: &Input| serde_json::to_string(input).unwrap();
        assert_ne!(json(&output), json(&fake));
        assert_eq!(json(&output), r#"{"$output":{"resource":"m/a","output":"x"}}"#);
        assert!(json(&fake).starts_with(r#"{"$$output""#));
    }
}
