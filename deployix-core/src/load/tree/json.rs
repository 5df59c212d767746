//! JSON, by `serde_json`, whose raw values are slices of the text and so know their places.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{At, DEPTH, Entry, Node, Problem, Tree, Value, in_order};

/// Parses JSON (RFC 8259): no comments, no trailing commas.
pub(super) fn parse(text: &str) -> Tree<'_> {
    // This checks the form of the whole text, without recursion, before anything is read from it.
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => {
            let at = offset(text, error.line(), error.column());
            Tree { root: None, problems: vec![syntax(at..at + 1, &error)] }
        }
        Ok(raw) => {
            let mut reader = Reader { text, problems: Vec::new() };
            let root = reader.node(raw, 1);
            Tree { root: Some(root), problems: reader.problems }
        }
    }
}

/// A line and a column, in bytes and from 1, as an offset.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    lines.map(str::len).sum::<usize>() + column.saturating_sub(1)
}

fn syntax(at: impl Into<At>, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    // The library's own place counts from wherever it started to read.
    Problem::syntax(at, text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what))
}

struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    fn node(&mut self, raw: &'t RawValue, depth: usize) -> Node<'t> {
        let at = self.at(raw);
        let json = raw.get();
        let value = match json.as_bytes().first() {
            Some(b'{' | b'[') if depth > DEPTH => {
                self.problems.push(Problem::too_deep(at));
                Ok(Value::Broken)
            }
            Some(b'{') => serde_json::from_str(json).map(|Members(members)| {
                let entries = members.into_iter().map(|(key, value)| {
                    let key_at = self.at(key);
                    let mut node = self.node(value, depth + 1);
                    let key = text(key.get()).unwrap_or_else(|error| {
                        self.problems.push(syntax(key_at, &error));
                        node.value = Value::Broken;
                        Cow::Borrowed("")
                    });
                    Entry { key, key_at, node }
                });
                let entries = entries.collect();
                in_order(entries, &mut self.problems)
            }),
            Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(json).map(|items| {
                Value::List(items.into_iter().map(|item| self.node(item, depth + 1)).collect())
            }),
            Some(b'"') => text(json).map(Value::Text),
            Some(b't') => Ok(Value::Boolean(true)),
            Some(b'f') => Ok(Value::Boolean(false)),
            Some(b'n') => Ok(Value::Null),
            _ => serde_json::from_str(json).map(Value::Number),
        };
        let value = value.unwrap_or_else(|error| {
            self.problems.push(syntax(at, &error));
            Value::Broken
        });
        Node { at, value }
    }

    fn at(&self, raw: &RawValue) -> At {
        let start = raw.get().as_ptr() as usize - self.text.as_ptr() as usize;
        At::from(start..start + raw.get().len())
    }
}

/// A string; one without escapes is borrowed.
fn text(json: &str) -> serde_json::Result<Cow<'_, str>> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(json).map(Cow::Owned),
    }
}

/// The members of an object, in the order of the text.
struct Members<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(InOrder).map(Self)
    }
}
