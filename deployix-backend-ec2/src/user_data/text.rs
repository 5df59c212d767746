//! Text with holes for what is known only once other resources exist.

use std::collections::BTreeMap;

use deployix_core::{ResourceId, backend::OutputRef};

use crate::request::{Output, Value};

/// Text with holes, each of which is filled in with another resource's output as it is.
///
/// Invariant: no two texts stand side by side and none is empty, so equal texts have equal parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<Value<String>>);

/// Tells why user data cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The resource has not told the output.
    #[error("output {} of resource {} is not known", .0.output, .0.resource)]
    Unknown(OutputRef),
    /// The output could mean something else where it is put in.
    #[error("output {} of resource {} is no address or identifier", .0.output, .0.resource)]
    Unsafe(OutputRef),
}

impl Text {
    /// The longest that a hole is taken to become when sizes are worked out: an IPv6 address.
    const LONGEST: usize = 39;

    /// Adds text.
    pub fn push(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Value::Known(last)) => last.push_str(text),
            _ => self.0.push(Value::Known(text.to_owned())),
        }
    }

    /// Adds a hole.
    pub fn push_output<T: Output>(&mut self, resource: &ResourceId) {
        let output = OutputRef { resource: resource.clone(), output: T::NAME.to_owned() };
        self.0.push(Value::Output(output));
    }

    /// Adds another text.
    pub fn append(&mut self, other: &Self) {
        for part in &other.0 {
            match part {
                Value::Known(text) => self.push(text),
                Value::Output(output) => self.0.push(Value::Output(output.clone())),
            }
        }
    }

    /// The parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Value<String>] {
        &self.0
    }

    /// The text, where it has no holes.
    #[must_use]
    pub fn as_known(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Value::Known(text)] => Some(text),
            _ => None,
        }
    }

    /// Fills the holes in.
    ///
    /// A hole may stand within quotes, so a value is taken only if it has no character that
    /// anything gives a meaning: letters, digits, `.`, `:`, `-`, `/` and `_`.
    ///
    /// # Errors
    /// Names an output that is not there or has another character.
    pub fn render(&self, outputs: &BTreeMap<OutputRef, String>) -> Result<String, RenderError> {
        let mut rendered = String::new();
        for part in &self.0 {
            match part {
                Value::Known(text) => rendered.push_str(text),
                Value::Output(output) => {
                    let value =
                        outputs.get(output).ok_or_else(|| RenderError::Unknown(output.clone()))?;
                    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-/_".contains(&byte);
                    if value.is_empty() || !value.bytes().all(plain) {
                        return Err(RenderError::Unsafe(output.clone()));
                    }
                    rendered.push_str(value);
                }
            }
        }
        Ok(rendered)
    }

    /// The text with a readable mark in each hole, for people.
    #[must_use]
    pub fn preview(&self) -> String {
        self.fill(|output| format!("<<{} of {}>>", output.output, output.resource))
    }

    /// The text with the longest thing that may come in each hole, to work out its size.
    #[must_use]
    pub fn longest(&self) -> String {
        // Digits that compress badly, so that the size is not taken for smaller than it can be.
        self.fill(|output| {
            let digest = deployix_core::Digest::of_bytes(output.resource.as_str().as_bytes());
            digest.to_string().chars().take(Self::LONGEST).collect()
        })
    }

    /// The text with the same in each hole.
    pub(super) fn fill_with(&self, hole: &str) -> String {
        self.fill(|_| hole.to_owned())
    }

    fn fill(&self, hole: impl Fn(&OutputRef) -> String) -> String {
        let filled = |part: &Value<String>| match part {
            Value::Known(text) => text.clone(),
            Value::Output(output) => hole(output),
        };
        self.0.iter().map(filled).collect()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut made = Self::default();
        made.push(text);
        made
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Vec<Value<String>>> for Text {
    fn from(parts: Vec<Value<String>>) -> Self {
        let mut made = Self::default();
        made.append(&Self(parts));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::PrivateIp;

    fn text() -> (Text, OutputRef) {
        let resource = ResourceId::new("a/b").unwrap();
        let mut text = Text::from("x ");
        text.push_output::<PrivateIp>(&resource);
        text.push("\n");
        (text, OutputRef { resource, output: "PrivateIpAddress".into() })
    }

    #[test]
    fn holes_are_filled_in() {
        let (text, output) = text();
        let outputs = BTreeMap::from([(output, "10.0.0.1".to_owned())]);
        assert_eq!(text.render(&outputs).unwrap(), "x 10.0.0.1\n");
        assert_eq!(text.preview(), "x <<PrivateIpAddress of a/b>>\n");
    }

    #[test]
    fn a_value_that_could_break_out_is_refused() {
        let (text, output) = text();
        assert_eq!(text.render(&BTreeMap::new()), Err(RenderError::Unknown(output.clone())));
        for bad in ["", "10.0.0.1\n", "\"", "a b", "$(x)"] {
            let outputs = BTreeMap::from([(output.clone(), bad.to_owned())]);
            assert_eq!(text.render(&outputs), Err(RenderError::Unsafe(output.clone())), "{bad:?}");
        }
    }
}
