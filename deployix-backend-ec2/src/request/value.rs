//! Values of a request, known now or after another resource was made.

use deployix_core::{ResourceId, backend::OutputRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// A type of value that some resource has as an output.
pub trait Output {
    /// The output's name, as the AWS API names it where AWS gives it.
    const NAME: &'static str;
}

/// A value of a request: known now, or another resource's output.
///
/// As JSON a known value stands as it is, an output as `{"$output": {"resource": .., "output": ..}}`.
/// No parameter of any AWS request is named `$output`, so the two are never mistaken for each other.
///
/// ```
/// use deployix_backend_ec2::request::{Value, VpcId};
/// use deployix_core::{ResourceId, backend::OutputRef};
///
/// let vpc: Value<VpcId> = Value::output_of(&ResourceId::new("ec2/network/sg/vpc")?);
/// assert_eq!(
///     serde_json::to_string(&vpc).unwrap(),
///     r#"{"$output":{"resource":"ec2/network/sg/vpc","output":"VpcId"}}"#
/// );
/// # Ok::<(), deployix_core::name::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value<T> {
    /// Known now.
    Known(T),
    /// Known once the resource exists.
    Output(OutputRef),
}

/// The only key of an output in a request's JSON.
pub const OUTPUT_KEY: &str = "$output";

impl<T: Output> Value<T> {
    /// The output of a resource.
    #[must_use]
    pub fn output_of(resource: &ResourceId) -> Self {
        Self::Output(OutputRef { resource: resource.clone(), output: T::NAME.to_owned() })
    }
}

impl<T> Value<T> {
    /// The value, where it is known.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Output(_) => None,
        }
    }
}

impl<T> From<T> for Value<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

/// The JSON form of an output.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagged<R> {
    #[serde(rename = "$output")]
    output: R,
}

/// What names an output in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    resource: ResourceId,
    output: String,
}

impl<T: Serialize> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Output(output) => Tagged { output }.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let json = serde_json::Value::deserialize(deserializer)?;
        if json.get(OUTPUT_KEY).is_some() {
            let Tagged { output: Named { resource, output } } =
                serde_json::from_value::<Tagged<Named>>(json).map_err(D::Error::custom)?;
            return Ok(Self::Output(OutputRef { resource, output }));
        }
        serde_json::from_value(json).map(Self::Known).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{SubnetId, VpcId};

    #[test]
    fn a_value_reads_back_as_what_it_was() {
        let known: Value<VpcId> = VpcId::new("vpc-0123456789abcdef0").unwrap().into();
        let output: Value<SubnetId> = Value::output_of(&ResourceId::new("a/b").unwrap());
        let json = serde_json::to_value((&known, &output)).unwrap();
        let back: (Value<VpcId>, Value<SubnetId>) = serde_json::from_value(json).unwrap();
        assert_eq!(back, (known, output));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        let subnet = serde_json::json!("subnet-0123456789abcdef0");
        assert!(serde_json::from_value::<Value<VpcId>>(subnet).is_err());
    }
}
