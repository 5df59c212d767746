//! [`Input`]: a setting of a resource.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use super::BackendError;
use crate::{
    digest::Digest,
    name::{Name, ResourceId, SecretName},
    ordered::OrderedMap,
};

/// The settings of a resource, by name.
pub type Inputs = OrderedMap<Cow<'static, str>, Input>;

impl Inputs {
    /// A setting that is a text.
    ///
    /// # Errors
    /// Where it is none.
    pub fn text(&self, name: &str) -> Result<&str, BackendError> {
        match self.get(name) {
            Some(Input::Text(text)) => Ok(text),
            _ => Err(BackendError::unreadable(&format!("there is no `{name}`"))),
        }
    }
}

/// A setting of a resource.
///
/// Written as JSON, and read from it: `{"$output": {"resource": …, "output": …}}`, `{"$secret": …}`
/// and `{"$file": {"digest": …}}` for those that JSON does not have; a map's own keys that start
/// with `$` get a second one.
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
    /// A file's content, by its digest; see [`Artifact::file`](super::Artifact::file).
    File(FileRef),
}

/// An output of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRef {
    /// The resource.
    pub resource: ResourceId,
    /// The output's name.
    pub output: String,
}

/// A file's content, by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileRef {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whether it is a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
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
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Text(_)
            | Self::Secret(_)
            | Self::File(_) => {}
        }
    }
}

impl Input {
    /// Shows every file in it.
    pub fn visit_files<'a>(&'a self, visit: &mut impl FnMut(&'a FileRef)) {
        match self {
            Self::File(file) => visit(file),
            Self::List(items) => items.iter().for_each(|item| item.visit_files(visit)),
            Self::Map(entries) => entries.values().for_each(|item| item.visit_files(visit)),
            _ => {}
        }
    }

    /// The same with the value of every output in its place.
    ///
    /// # Errors
    /// The output that is not known.
    pub fn filled<'a>(
        &'a self,
        value: &impl Fn(&OutputRef) -> Option<String>,
    ) -> Result<Self, &'a OutputRef> {
        Ok(match self {
            Self::Output(output) => Self::Text(value(output).ok_or(&**output)?),
            Self::List(items) => {
                Self::List(items.iter().map(|item| item.filled(value)).collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let entries =
                    entries.iter().map(|(key, item)| Ok((key.clone(), item.filled(value)?)));
                Self::Map(entries.collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
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
            Self::File(file) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$file", file)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting of a resource")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Input, E> {
        Ok(Input::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Input, E> {
        Ok(Input::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Input, E> {
        Ok(Input::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Input, E> {
        i64::try_from(value).map(Input::Integer).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Input, E> {
        Ok(Input::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Input, E> {
        Ok(Input::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Input, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Input::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Input, A::Error> {
        let mut map: Vec<(Cow<'static, str>, Input)> = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            let special = match key.as_str() {
                "$secret" => Input::Secret(entries.next_value()?),
                "$output" => Input::Output(entries.next_value()?),
                "$file" => Input::File(entries.next_value()?),
                _ => {
                    let own = key.strip_prefix('$').unwrap_or(&key);
                    if own.len() < key.len() && !own.starts_with('$') {
                        return Err(de::Error::custom(format_args!("`{key}` means nothing")));
                    }
                    map.push((Cow::Owned(own.to_owned()), entries.next_value()?));
                    continue;
                }
            };
            if !map.is_empty() || entries.next_key::<de::IgnoredAny>()?.is_some() {
                return Err(de::Error::custom(format_args!("`{key}` stands alone")));
            }
            return Ok(special);
        }
        Ok(Input::Map(map.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ResourceId {
        ResourceId::new(text).unwrap()
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

    #[test]
    fn what_is_written_is_read_back() {
        let file = FileRef { digest: Digest::of_bytes(b"x"), executable: true };
        let input = Input::map([
            ("$plain", Input::Integer(-3)),
            ("nothing", Input::Null),
            ("list", Input::list([Input::Bool(true), Input::output(id("m/a"), "x")])),
            ("secret", Input::Secret(SecretName::new("db").unwrap())),
            ("file", Input::File(file)),
        ]);
        let json = serde_json::to_string(&input).unwrap();
        assert_eq!(serde_json::from_str::<Input>(&json).unwrap(), input, "{json}");
        for bad in [r#"{"$what": 1}"#, r#"{"$secret": "a", "b": 1}"#, "1.5", "18446744073709551615"]
        {
            assert!(serde_json::from_str::<Input>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn outputs_are_filled_in_or_named() {
        let input = Input::list([Input::output(id("m/a"), "x")]);
        let known = |output: &OutputRef| Some(format!("{}!", output.output));
        assert_eq!(input.filled(&known), Ok(Input::list(["x!"])));
        assert_eq!(input.filled(&|_| None).unwrap_err().output, "x");
    }
}
