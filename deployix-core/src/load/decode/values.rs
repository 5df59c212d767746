//! Readers of single values: lists, strings, numbers, and what only an extension's owner knows.

use std::{collections::BTreeMap, error::Error, num::NonZeroU32};

use serde_json::Number;

use super::{Reader, chain, invalid, shown};
use crate::{
    load::tree::{At, Node, Value},
    name::Namespace,
    spec::{Extensions, MilliCpus, Template},
    suggest::nearest,
};

impl Reader<'_> {
    /// Reads a list.
    pub(in crate::load) fn list<'n, 't, T>(
        &mut self,
        node: &'n Node<'t>,
        mut item: impl FnMut(&mut Self, &'n Node<'t>) -> Option<T>,
    ) -> Vec<T> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|node| item(self, node)).collect(),
            _ => {
                let diagnostic = self.unexpected("a list", node);
                let remedy = format!("put it in brackets: [{}]", self.text(node));
                self.mistyped(node, diagnostic.remedy(remedy));
                Vec::new()
            }
        }
    }

    /// Reads a list in which nothing stands twice.
    pub(in crate::load) fn distinct<'n, 't, T: Ord + Clone>(
        &mut self,
        node: &'n Node<'t>,
        mut item: impl FnMut(&mut Self, &'n Node<'t>) -> Option<T>,
    ) -> Vec<T> {
        let mut seen: BTreeMap<T, At> = BTreeMap::new();
        self.list(node, |reader, node| {
            let value = item(reader, node)?;
            let Some(first) = seen.insert(value.clone(), node.at) else { return Some(value) };
            let diagnostic = invalid(format!("{} is listed twice", reader.text(node)));
            let remedy = "remove one of the two";
            reader.fail_twice(node.at, diagnostic.remedy(remedy), ("first listed here", first));
            None
        })
    }

    /// Reads a string.
    pub(in crate::load) fn string<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let diagnostic = match &node.value {
            Value::Text(text) if !text.contains('\0') => return Some(text),
            Value::Text(_) => invalid("the string has a NUL character, which nothing can hold"),
            Value::Boolean(_) | Value::Number(_) | Value::Foreign(_) => {
                let remedy = format!("put it in quotes: \"{}\"", self.text(node));
                self.unexpected("a string", node).remedy(remedy)
            }
            _ => self.unexpected("a string", node),
        };
        self.mistyped(node, diagnostic);
        None
    }

    /// Reads a string and parses it.
    pub(in crate::load) fn parse<T, E: Error>(
        &mut self,
        node: &Node<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(self.string(node)?);
        parsed.map_err(|error| self.fail(node.at, invalid(chain(&error)))).ok()
    }

    /// Reads a string with holes.
    pub(in crate::load) fn template(&mut self, node: &Node<'_>) -> Option<Template> {
        self.parse(node, Template::parse)
    }

    /// Reads a string in which something stands, and nothing that a single line cannot hold.
    pub(in crate::load) fn line(&mut self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        let reason = match text {
            "" => "the string is empty",
            _ if text.chars().any(char::is_control) => "the string has a control character",
            _ if text.trim() != text => "the string starts or ends with a blank",
            _ => return Some(text.to_owned()),
        };
        self.fail(node.at, invalid(reason));
        None
    }

    /// Reads one of several words.
    pub(in crate::load) fn word<T: Copy>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let mut remedy = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"? "),
            None => String::new(),
        };
        remedy.push_str(&format!("known are: {}", known.join(", ")));
        let message = format!("\"{}\" is not {what}", shown(text));
        self.fail(node.at, invalid(message).remedy(remedy));
        None
    }

    /// Reads a boolean.
    pub(in crate::load) fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        match node.value {
            Value::Boolean(value) => Some(value),
            _ => {
                let diagnostic = self.unexpected("a boolean", node).remedy("write true or false");
                self.mistyped(node, diagnostic);
                None
            }
        }
    }

    /// Reads a whole number of a range.
    pub(in crate::load) fn integer<T: TryFrom<u64>>(
        &mut self,
        node: &Node<'_>,
        what: &str,
    ) -> Option<T> {
        let number = self.number(node, "an integer")?;
        let value = number.as_u64().and_then(|number| T::try_from(number).ok());
        if value.is_none() {
            self.fail(node.at, invalid(format!("{number} is not {what}")));
        }
        value
    }

    /// Reads how many of something there are, at least one.
    pub(in crate::load) fn count(&mut self, node: &Node<'_>) -> Option<NonZeroU32> {
        let count = self.integer::<u32>(node, "a number of at least 1")?;
        let some = NonZeroU32::new(count);
        if some.is_none() {
            self.fail(node.at, invalid("0 is not a number of at least 1"));
        }
        some
    }

    /// Reads a share of processors.
    pub(in crate::load) fn cpus(&mut self, node: &Node<'_>) -> Option<MilliCpus> {
        let number = self.number(node, "a number")?;
        let cpus = MilliCpus::from_cpus(number.as_f64().unwrap_or(f64::NAN));
        cpus.map_err(|error| self.fail(node.at, invalid(chain(&error)))).ok()
    }

    fn number<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n Number> {
        match &node.value {
            Value::Number(number) => Some(number),
            Value::Text(text) if text.parse::<f64>().is_ok() => {
                let diagnostic = self.unexpected(what, node);
                let remedy = format!("write it without quotes: {}", shown(text));
                self.fail(node.at, diagnostic.remedy(remedy));
                None
            }
            _ => {
                let diagnostic = self.unexpected(what, node);
                self.mistyped(node, diagnostic);
                None
            }
        }
    }

    /// Reads extensions: their owners alone know what is in them.
    pub(in crate::load) fn extensions(&mut self, node: Option<&Node<'_>>) -> Extensions {
        let mut extensions = Extensions::default();
        let Some(node) = node else { return extensions };
        let entries = self.map(
            node,
            |key| Namespace::new(key),
            |reader, entry| {
                let json = entry.node.to_json();
                json.map_err(|node| {
                    let diagnostic = reader.unexpected("a value that JSON has as well", node);
                    let remedy = format!("put it in quotes: \"{}\"", reader.text(node));
                    reader.mistyped(node, diagnostic.remedy(remedy));
                })
                .ok()
            },
        );
        for (namespace, payload) in entries {
            extensions.insert_value(namespace, payload);
        }
        extensions
    }
}
