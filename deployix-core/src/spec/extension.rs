//! Extensions: settings that a backend or a transform owns, and the core passes through.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::name::Namespace;

/// Typed settings that one backend or transform owns.
///
/// Derive `Serialize` and `Deserialize` with `rename_all = "kebab-case"` and `deny_unknown_fields`,
/// so that a misspelt key is told and not dropped.
///
/// ```
/// use deployix_core::spec::{Extension, Extensions, ExtensionSite, IfUnsupported};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// #[serde(rename_all = "kebab-case", deny_unknown_fields)]
/// struct Mesh {
///     weight: u32,
/// }
///
/// impl Extension for Mesh {
///     const NAMESPACE: &'static str = "example.org/mesh";
///     const SITE: ExtensionSite = ExtensionSite::Functionality;
///     const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
/// }
///
/// let mut extensions = Extensions::default();
/// extensions.insert(&Mesh { weight: 3 })?;
/// assert_eq!(extensions.get::<Mesh>()?.map(|mesh| mesh.weight), Some(3));
/// # Ok::<(), deployix_core::spec::ExtensionError>(())
/// ```
pub trait Extension: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// `ec2`, or `example.org/mesh`.
    const NAMESPACE: &'static str;
    /// What it can stand on.
    const SITE: ExtensionSite;
    /// What happens where the target's backend is not its owner.
    const IF_UNSUPPORTED: IfUnsupported;
}

/// What an extension can stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ExtensionSite {
    /// A functionality.
    Functionality,
    /// A target, or the default backend, which makes targets.
    Target,
    /// A location.
    Location,
    /// A network.
    Network,
    /// A load balancer.
    LoadBalancer,
}

impl ExtensionSite {
    /// With its article, as it is said: "a functionality".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Functionality => "a functionality",
            Self::Target => "a target",
            Self::Location => "a location",
            Self::Network => "a network",
            Self::LoadBalancer => "a load balancer",
        }
    }
}

/// What happens to an extension where the backend in charge is not its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnsupported {
    /// It is an error, since dropping it would change what the functionality means or weaken its
    /// security.
    Refuse,
    /// It is passed over with a remark.
    Note,
}

/// Tells that an extension's settings are not what its owner declared.
#[derive(Debug, thiserror::Error)]
#[error("extension `{namespace}`{}{path}", if path.is_empty() { "" } else { ", key " })]
pub struct ExtensionError {
    namespace: String,
    path: String,
    #[source]
    source: serde_json::Error,
}

impl ExtensionError {
    /// The keys that lead to what is wrong, from the extension's own top.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.path.split('.').filter(|key| !key.is_empty() && *key != "?")
    }

    /// What is wrong there.
    #[must_use]
    pub fn reason(&self) -> String {
        self.source.to_string()
    }
}

/// The extensions of one thing, by namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extensions {
    entries: BTreeMap<Namespace, Value>,
}

impl Extensions {
    /// The settings of one extension, where they are there.
    ///
    /// # Errors
    /// Where they are not of the extension's type.
    pub fn get<E: Extension>(&self) -> Result<Option<E>, ExtensionError> {
        self.entries.get(E::NAMESPACE).map(|payload| read::<E>(payload)).transpose()
    }

    /// Sets one extension.
    ///
    /// # Errors
    /// Where the settings do not serialize to JSON, or the namespace is none.
    pub fn insert<E: Extension>(&mut self, settings: &E) -> Result<(), ExtensionError> {
        let error = |source| ExtensionError {
            namespace: E::NAMESPACE.to_owned(),
            path: String::new(),
            source,
        };
        let namespace = Namespace::new(E::NAMESPACE)
            .map_err(|reason| error(serde::de::Error::custom(reason)))?;
        let payload = serde_json::to_value(settings).map_err(error)?;
        self.insert_value(namespace, payload);
        Ok(())
    }

    /// Sets settings whose type is not known here. Their keys are put in order.
    pub fn insert_value(&mut self, namespace: Namespace, payload: Value) {
        self.entries.insert(namespace, ordered(payload));
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Namespace, &Value)> {
        self.entries.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn read<E: Extension>(payload: &Value) -> Result<E, ExtensionError> {
    serde_path_to_error::deserialize(payload).map_err(|error| ExtensionError {
        namespace: E::NAMESPACE.to_owned(),
        path: error.path().to_string(),
        source: error.into_inner(),
    })
}

/// Sorts all keys, so that equal settings have equal digests whatever JSON's map is made of (the
/// feature `preserve_order` of `serde_json` may be turned on by any crate in the build).
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> =
                map.into_iter().map(|(key, value)| (key, ordered(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(ordered).collect()),
        other => other,
    }
}

/// A type-erased [`Extension`]: checks settings that the core cannot name.
#[derive(Clone, Copy)]
pub struct ExtensionDecl {
    namespace: &'static str,
    site: ExtensionSite,
    if_unsupported: IfUnsupported,
    check: fn(&Value) -> Result<(), ExtensionError>,
}

impl ExtensionDecl {
    /// Declares an extension.
    #[must_use]
    pub fn of<E: Extension>() -> Self {
        Self {
            namespace: E::NAMESPACE,
            site: E::SITE,
            if_unsupported: E::IF_UNSUPPORTED,
            check: |payload| read::<E>(payload).map(drop),
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// What it can stand on.
    #[must_use]
    pub fn site(&self) -> ExtensionSite {
        self.site
    }

    /// What happens where the backend in charge is not its owner.
    #[must_use]
    pub fn if_unsupported(&self) -> IfUnsupported {
        self.if_unsupported
    }

    /// Checks settings.
    ///
    /// # Errors
    /// Where they are not of the extension's type.
    pub fn check(&self, payload: &Value) -> Result<(), ExtensionError> {
        (self.check)(payload)
    }
}

impl fmt::Debug for ExtensionDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionDecl")
            .field("namespace", &self.namespace)
            .field("site", &self.site)
            .field("if_unsupported", &self.if_unsupported)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Disk {
        size: Size,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Size {
        gib: u32,
    }

    impl Extension for Disk {
        const NAMESPACE: &'static str = "disk";
        const SITE: ExtensionSite = ExtensionSite::Target;
        const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Refuse;
    }

    #[test]
    fn settings_of_the_wrong_type_name_the_key() {
        let mut extensions = Extensions::default();
        let payload = json!({ "size": { "gib": "much" } });
        extensions.insert_value(Namespace::new("disk").unwrap(), payload);
        let error = extensions.get::<Disk>().unwrap_err();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["size", "gib"]);
        assert_eq!(error.to_string(), "extension `disk`, key size.gib");
    }

    #[test]
    fn a_declaration_checks_settings_of_a_type_it_does_not_show() {
        let decl = ExtensionDecl::of::<Disk>();
        assert!(decl.check(&json!({ "size": { "gib": 3 } })).is_ok());
        assert!(decl.check(&json!({ "sizes": {} })).is_err());
    }
}
