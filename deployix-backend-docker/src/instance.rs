//! What one instance of a functionality is made from: the settings of its resource.
//!
//! An instance is one resource, whatever containers it takes: one that holds its network namespace,
//! one for each program, and one that runs for a moment where a program has an initializer. So a
//! new version takes over as a whole.

use std::collections::BTreeMap;

use deployix_core::{
    SecretName,
    backend::{Input, Inputs},
};
use serde::{Deserialize, Serialize};

use crate::compose::{Attachment, Service};

/// The settings of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Instance {
    /// The container that holds the network namespace, apart from its networks.
    pub(crate) namespace: Service,
    /// Its networks, by what the engine calls them. In those where it has aliases it provides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) networks: BTreeMap<String, Attachment>,
    /// The programs, by their containers' names.
    pub(crate) programs: BTreeMap<String, Member>,
    /// Why an old version stops before a new one starts, where it has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<Gap>,
}

/// One program of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Member {
    /// Its container; volumes are named as the engine calls them.
    pub(crate) container: Service,
    /// What runs to its end before the program starts, in a container like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) initializer: Vec<String>,
    /// The secrets that it finds below `/run/secrets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) secrets: Vec<Secret>,
}

/// A secret, by its name, as [`Input::Secret`] is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    #[serde(rename = "$secret")]
    pub(crate) name: SecretName,
}

/// Why an old version stops before a new one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gap {
    Asked,
    HostPort,
    Schedule,
    State,
}

impl Gap {
    /// In lower case, without a final dot, as a plan tells it.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Asked => "its extensions.docker.roll-out asks for it",
            Self::HostPort => "it publishes a port of its host",
            Self::Schedule => "it runs on a schedule, one run at a time",
            Self::State => "its state is held by one version at a time",
        }
    }
}

impl Instance {
    /// As a resource's settings.
    ///
    /// # Errors
    /// A number that a setting cannot hold.
    pub(crate) fn to_inputs(&self) -> Result<Inputs, serde_json::Error> {
        match serde_json::from_value(serde_json::to_value(self)?)? {
            Input::Map(inputs) => Ok(inputs),
            other => Ok(Inputs::from([("instance", other)])),
        }
    }

    /// Reads a resource's settings.
    ///
    /// # Errors
    /// Settings of another shape, such as those of another release.
    #[cfg(any(feature = "live", test))]
    pub(crate) fn from_inputs(inputs: &Inputs) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(inputs)?)
    }

    /// Why an old version of a resource with these settings stops before a new one starts.
    pub(crate) fn gap_of(inputs: &Inputs) -> Option<Gap> {
        let Some(Input::Text(gap)) = inputs.get("gap") else { return None };
        serde_json::from_value(gap.as_str().into()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let service = Service {
            entrypoint: vec![String::new(), "$x".to_owned()],
            environment: [("EMPTY".to_owned(), String::new())].into(),
            mem_limit: Some(1 << 30),
            ..Service::default()
        };
        let secret = Secret { name: SecretName::new("db").unwrap() };
        let member = Member {
            container: service,
            initializer: vec!["true".to_owned()],
            secrets: vec![secret],
        };
        let instance = Instance {
            namespace: Service::default(),
            networks: [("a".to_owned(), Attachment::default())].into(),
            programs: [("web".to_owned(), member)].into(),
            gap: Some(Gap::State),
        };
        let inputs = instance.to_inputs().unwrap();
        assert_eq!(Instance::from_inputs(&inputs).unwrap(), instance);
        assert_eq!(Instance::gap_of(&inputs), Some(Gap::State));
        let json = serde_json::to_string(&inputs).unwrap();
        assert!(json.contains(r#""secrets":[{"$secret":"db"}]"#), "{json}");
    }
}
