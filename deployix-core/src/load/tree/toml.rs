//! TOML, by the `toml` crate, which tells every syntax error of a text at once.

use std::ops::Range;

use serde_json::Number;
use toml::{
    Spanned,
    de::{DeFloat, DeInteger, DeTable, DeValue},
};

use super::{At, DEPTH, Entry, Node, Problem, Tree, Value, outline::Outline};

/// Parses TOML.
///
/// A key that is given twice is a syntax error in TOML. It is no reason to read nothing else,
/// though: the text's outline tells which key it is, and only that one's value is broken.
pub(super) fn parse(text: &str) -> Tree<'_> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut nodes = Nodes { offset: 0, problems: Vec::new() };
    let mut root = Node { at: At::START, value: nodes.table(table.into_inner(), 1) };
    let mut problems = nodes.problems;
    if errors.is_empty() {
        return Tree { root: Some(root), problems };
    }
    let outline = Outline::of(text);
    let mut broken: Vec<Vec<&str>> = Vec::new();
    let mut readable = true;
    for error in errors {
        let Some(at) = error.span().map(At::from) else {
            // A dotted key with too many parts is all that has no place.
            readable = false;
            problems.push(Problem::too_deep(outline.too_deep().unwrap_or(At::START)));
            continue;
        };
        let taken = error.message() == "duplicate key" || error.message().starts_with("cannot ext");
        match outline.path_at(at).filter(|_| taken) {
            Some(path) => {
                // What follows from an outer key given twice is no finding of its own.
                if !broken.iter().any(|outer| path.starts_with(outer)) {
                    let key = path.last().copied().unwrap_or_default();
                    let first = outline.first(&path).unwrap_or(at);
                    problems.push(Problem::key_twice(key, first, at));
                    break_at(&mut root, &path);
                    broken.push(path);
                }
            }
            None => {
                readable = false;
                problems.push(Problem::syntax(at, error.message()));
            }
        }
    }
    Tree { root: readable.then_some(root), problems }
}

/// Parses a part of a text that is TOML by itself; `None` where anything is wrong with it.
pub(in crate::load) fn parse_part(text: &str, part: Range<usize>) -> Option<Vec<Entry<'_>>> {
    let table = DeTable::parse(text.get(part.clone())?).ok()?;
    let mut nodes = Nodes { offset: part.start, problems: Vec::new() };
    match nodes.table(table.into_inner(), 1) {
        Value::Map(entries) if nodes.problems.is_empty() => Some(entries),
        _ => None,
    }
}

/// Breaks the value that a path of keys leads to, or the last one on the way.
fn break_at(node: &mut Node<'_>, path: &[&str]) {
    if let (Some((key, rest)), Value::Map(entries)) = (path.split_first(), &mut node.value)
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key)
    {
        return break_at(&mut entry.node, rest);
    }
    node.value = Value::Broken;
}

/// Makes nodes of what the library found.
struct Nodes {
    /// Where in the whole text the parsed one starts.
    offset: usize,
    problems: Vec<Problem>,
}

impl Nodes {
    fn at(&self, span: Range<usize>) -> At {
        At::from(span.start + self.offset..span.end + self.offset)
    }

    fn table<'t>(&mut self, table: DeTable<'t>, depth: usize) -> Value<'t> {
        // The table is ordered by its keys, and has each of them once.
        let entries = table.into_iter().map(|(key, node)| Entry {
            key_at: self.at(key.span()),
            key: key.into_inner(),
            node: self.node(node, depth + 1),
        });
        Value::Map(entries.collect())
    }

    fn node<'t>(&mut self, spanned: Spanned<DeValue<'t>>, depth: usize) -> Node<'t> {
        let at = self.at(spanned.span());
        let value = match spanned.into_inner() {
            DeValue::Table(_) | DeValue::Array(_) if depth > DEPTH => {
                self.problems.push(Problem::too_deep(at));
                Value::Broken
            }
            DeValue::Table(table) => self.table(table, depth),
            DeValue::Array(items) => {
                Value::List(items.into_iter().map(|item| self.node(item, depth + 1)).collect())
            }
            DeValue::String(text) => Value::Text(text),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Integer(number) => {
                integer(&number).map_or_else(|| self.out_of_range(at), Value::Number)
            }
            DeValue::Float(number) => match float(&number) {
                Some(number) if number.is_finite() => {
                    Number::from_f64(number).map_or(Value::Broken, Value::Number)
                }
                Some(_) if number.as_str().contains(['i', 'n']) => {
                    Value::Foreign("no finite number")
                }
                _ => self.out_of_range(at),
            },
            DeValue::Datetime(_) => Value::Foreign("a date or a time"),
        };
        Node { at, value }
    }

    fn out_of_range(&mut self, at: At) -> Value<'static> {
        self.problems.push(Problem::syntax(at, "the number is out of range"));
        Value::Broken
    }
}

fn integer(number: &DeInteger<'_>) -> Option<Number> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(Number::from)
}

fn float(number: &DeFloat<'_>) -> Option<f64> {
    number.as_str().parse().ok()
}
