//! Requests for parameters: secrets in Parameter Store, where machines fetch them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use deployix_core::{SecretName, backend::SecretValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use super::Tag;

/// Writes a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PutParameter {
    /// Its name: a path such as `/deployix/zalora/epsilon1/hydra-db`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it says.
    pub value: ParameterValue,
    /// Always `SecureString`: encrypted with the account's key `alias/aws/ssm`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Always `Intelligent-Tiering`: up to 4 KiB cost nothing, up to 8 KiB are taken.
    pub tier: String,
    /// Whether it may be there already.
    pub overwrite: bool,
    /// Its tags; none where it may be there already, since AWS refuses both together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// What a parameter says: in everything that is compiled, planned and written down the name of a
/// secret; its value only on the way to AWS.
///
/// A value is never shown and never written as JSON.
#[derive(Clone)]
pub enum ParameterValue {
    /// The value of the secret of this name.
    Secret(SecretName),
    /// A value, as it goes over the wire.
    Known(SecretValue),
}

/// What is before a value: it tells whoever looks at a parameter how to read it, and an empty secret
/// is no empty parameter, which AWS refuses.
const ENCODING: &str = "base64:";

impl ParameterValue {
    /// The most that a parameter holds, in bytes (AWS Systems Manager User Guide, "Managing
    /// parameter tiers").
    pub const AT_MOST: usize = 8192;

    /// A secret as a parameter holds it: in base64, as parameters are text, and some text means
    /// something to them.
    #[must_use]
    pub fn encoded(secret: &SecretValue) -> Self {
        let mut text =
            String::with_capacity(ENCODING.len() + secret.expose().len().div_ceil(3) * 4);
        text.push_str(ENCODING);
        STANDARD.encode_string(secret.expose(), &mut text);
        Self::Known(SecretValue::new(text.into_bytes()))
    }

    /// The text that goes to AWS; nothing where it is not known yet.
    #[must_use]
    pub fn expose(&self) -> Option<&str> {
        match self {
            Self::Secret(_) => None,
            Self::Known(value) => std::str::from_utf8(value.expose()).ok(),
        }
    }
}

impl PartialEq for ParameterValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Secret(one), Self::Secret(other)) => one == other,
            (Self::Known(one), Self::Known(other)) => one.expose() == other.expose(),
            _ => false,
        }
    }
}

impl fmt::Debug for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => f.debug_tuple("Secret").field(name).finish(),
            Self::Known(value) => value.fmt(f),
        }
    }
}

/// The form that the core's inputs give to a secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<N> {
    #[serde(rename = "$secret")]
    secret: N,
}

impl Serialize for ParameterValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Secret(secret) => Named { secret }.serialize(serializer),
            Self::Known(_) => Err(S::Error::custom("a secret's value is not written down")),
        }
    }
}

impl<'de> Deserialize<'de> for ParameterValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named::<SecretName> { secret } = Named::deserialize(deserializer)
            .map_err(|_| D::Error::custom("a parameter's value is the name of a secret"))?;
        Ok(Self::Secret(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(secret: &[u8]) -> ParameterValue {
        ParameterValue::encoded(&SecretValue::new(secret.to_vec()))
    }

    #[test]
    fn a_secret_is_any_bytes_and_never_an_empty_parameter() {
        assert_eq!(known(b"").expose(), Some("base64:"));
        assert_eq!(known(b"\xff\n").expose(), Some("base64:/wo="));
    }

    #[test]
    fn a_value_is_neither_shown_nor_written_down() {
        let value = known(b"hunter2");
        let shown = format!("{value:?} {value:#?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
        assert!(serde_json::to_value(&value).is_err());
    }

    #[test]
    fn the_name_of_a_secret_is_read_back_and_a_value_is_not() {
        let named = ParameterValue::Secret(SecretName::new("db").unwrap());
        let json = serde_json::to_value(&named).unwrap();
        assert_eq!(json, serde_json::json!({ "$secret": "db" }));
        assert_eq!(serde_json::from_value::<ParameterValue>(json).unwrap(), named);
        let error = serde_json::from_value::<ParameterValue>("hunter2".into()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
