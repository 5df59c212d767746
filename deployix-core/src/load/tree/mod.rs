//! One tree for three formats: every key and value with its place, borrowed from the text.
//!
//! The formats' own libraries do the parsing; each module here turns what its library gives into
//! [`Node`]s. Whatever the format, keys stand in order, a key that is given twice has a
//! [`Value::Broken`] instead of one of its values, and nothing is nested deeper than [`DEPTH`].

mod json;
mod outline;
mod places;
mod toml;
mod yaml;

use std::{borrow::Cow, ops::Range};

use serde_json::{Number, Value as Json};

pub(super) use self::{places::index, toml::parse_part};
use super::Format;
use crate::diagnostic::{Code, Diagnostic};

/// How deep values may be nested: far deeper than any spec, and far from any stack's end.
pub(super) const DEPTH: usize = 64;

/// A range of bytes in a text of less than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    start: u32,
    end: u32,
}

impl At {
    /// The start of the text.
    pub(super) const START: Self = Self { start: 0, end: 0 };

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for At {
    fn from(range: Range<usize>) -> Self {
        // A text is shorter than that: `SpecFile` refuses longer ones.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: offset(range.start), end: offset(range.end) }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub(super) at: At,
    pub(super) value: Value<'t>,
}

/// What TOML, YAML and JSON can say alike.
#[derive(Debug, Clone)]
pub(super) enum Value<'t> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'t, str>),
    List(Vec<Node<'t>>),
    /// In the order of the keys, each of them once.
    Map(Vec<Entry<'t>>),
    /// What only some formats have, as it is said: "a date".
    Foreign(&'static str),
    /// What is wrong in itself, and has been told.
    Broken,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) key_at: At,
    pub(super) node: Node<'t>,
}

/// A finding in a text.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: At,
    pub(super) diagnostic: Diagnostic,
    pub(super) related: Option<(&'static str, At)>,
}

/// A text's content, as far as there is any, and what is wrong with its form.
#[derive(Debug, Default)]
pub(super) struct Tree<'t> {
    /// `None` where the text as a whole makes no sense.
    pub(super) root: Option<Node<'t>>,
    pub(super) problems: Vec<Problem>,
}

impl<'t> Tree<'t> {
    /// Parses a text.
    pub(super) fn parse(text: &'t str, format: Format) -> Self {
        match format {
            Format::Toml => toml::parse(text),
            Format::Yaml => yaml::parse(text),
            Format::Json => json::parse(text),
        }
    }
}

impl Problem {
    pub(super) fn new(at: impl Into<At>, diagnostic: Diagnostic) -> Self {
        Self { at: at.into(), diagnostic, related: None }
    }

    fn syntax(at: impl Into<At>, message: impl Into<String>) -> Self {
        Self::new(at, Diagnostic::error(Code::SyntaxInvalid, message))
    }

    fn too_deep(at: impl Into<At>) -> Self {
        Self::syntax(at, format!("values are nested more than {DEPTH} deep"))
    }

    fn key_twice(key: &str, first: At, second: At) -> Self {
        let diagnostic = Diagnostic::error(Code::NameTaken, format!("`{key}` is given twice"))
            .remedy("rename one of the two, or remove it");
        Self { related: Some(("first given here", first)), ..Self::new(second, diagnostic) }
    }
}

impl Value<'_> {
    /// What it is, as it is said.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing (null)",
            Self::Boolean(_) => "a boolean",
            Self::Number(number) if number.is_f64() => "a fraction",
            Self::Number(_) => "an integer",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a table of keys",
            Self::Foreign(kind) => kind,
            Self::Broken => "something broken",
        }
    }
}

impl Node<'_> {
    /// The value as JSON; `Err` with the node that cannot be.
    pub(super) fn to_json(&self) -> Result<Json, &Self> {
        Ok(match &self.value {
            Value::Null => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.as_ref().to_owned()),
            Value::List(items) => {
                Json::Array(items.iter().map(Self::to_json).collect::<Result<_, _>>()?)
            }
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| Ok((entry.key.as_ref().to_owned(), entry.node.to_json()?)))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Foreign(_) | Value::Broken => return Err(self),
        })
    }
}

/// Puts the entries of a map in order; a key that is given twice is told, and its value broken.
fn in_order<'t>(mut entries: Vec<Entry<'t>>, problems: &mut Vec<Problem>) -> Value<'t> {
    entries.sort_by(|a, b| a.key.cmp(&b.key).then(a.key_at.cmp(&b.key_at)));
    entries.dedup_by(|later, first| {
        let twice = later.key == first.key;
        if twice {
            problems.push(Problem::key_twice(&first.key, first.key_at, later.key_at));
            first.node.value = Value::Broken;
        }
        twice
    });
    Value::Map(entries)
}
