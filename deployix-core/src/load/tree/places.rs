//! Where things are, for what is found long after a text was read.

use std::ops::Range;

use super::{At, Node, Tree, Value};
use crate::{load::Format, source::Index};

/// Indexes a text of a format.
pub(in crate::load) fn index(format: Format) -> fn(&str) -> Box<dyn Index> {
    match format {
        Format::Toml => |text| build(text, Format::Toml),
        Format::Yaml => |text| build(text, Format::Yaml),
        Format::Json => |text| build(text, Format::Json),
    }
}

fn build(text: &str, format: Format) -> Box<dyn Index> {
    let empty = Node { at: At::START, value: Value::Broken };
    Box::new(Places::of(&Tree::parse(text, format).root.unwrap_or(empty), At::START))
}

/// The place of a value, and of what is in it.
struct Places {
    at: At,
    inside: Inside,
}

enum Inside {
    Nothing,
    List(Box<[Places]>),
    /// In the order of the keys.
    Map(Box<[(Box<str>, Places)]>),
}

impl Places {
    /// A map is where its key is, since a map may be many lines; anything else is where it is.
    fn of(node: &Node<'_>, key_at: At) -> Self {
        match &node.value {
            Value::Map(entries) => {
                let places = entries
                    .iter()
                    .map(|entry| (entry.key.as_ref().into(), Self::of(&entry.node, entry.key_at)));
                Self { at: key_at, inside: Inside::Map(places.collect()) }
            }
            Value::List(items) => {
                let places = items.iter().map(|item| Self::of(item, item.at));
                Self { at: node.at, inside: Inside::List(places.collect()) }
            }
            _ => Self { at: node.at, inside: Inside::Nothing },
        }
    }

    fn get(&self, key: &str) -> Option<&Self> {
        match &self.inside {
            Inside::Nothing => None,
            Inside::List(items) => items.get(key.parse::<usize>().ok()?),
            Inside::Map(entries) => {
                let found = entries.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
                Some(&entries[found].1)
            }
        }
    }
}

impl Index for Places {
    fn range(&self, path: &[&str]) -> Option<Range<usize>> {
        let mut place = self;
        for key in path {
            match place.get(key) {
                Some(inner) => place = inner,
                None => break,
            }
        }
        Some(place.at.range())
    }
}
