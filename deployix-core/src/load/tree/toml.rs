//! TOML, by the `toml` crate, which tells every syntax error of a text at once.

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
    let mut problems = Vec::new();
    let mut root = Node { at: At::START, value: table_value(table.into_inner(), 1, &mut problems) };
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

/// Breaks the value that a path of keys leads to, or the last one on the way.
fn break_at(node: &mut Node<'_>, path: &[&str]) {
    if let (Some((key, rest)), Value::Map(entries)) = (path.split_first(), &mut node.value)
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key)
    {
        return break_at(&mut entry.node, rest);
    }
    node.value = Value::Broken;
}

fn table_value<'t>(table: DeTable<'t>, depth: usize, problems: &mut Vec<Problem>) -> Value<'t> {
    // The table is ordered by its keys, and has each of them once.
    let entries = table.into_iter().map(|(key, node)| Entry {
        key_at: key.span().into(),
        key: key.into_inner(),
        node: self::node(node, depth + 1, problems),
    });
    Value::Map(entries.collect())
}

fn node<'t>(spanned: Spanned<DeValue<'t>>, depth: usize, problems: &mut Vec<Problem>) -> Node<'t> {
    let at = At::from(spanned.span());
    let mut out_of_range = |what: &str| {
        problems.push(Problem::syntax(at, format!("{what} is out of range")));
        Value::Broken
    };
    let value = match spanned.into_inner() {
        DeValue::Table(_) | DeValue::Array(_) if depth > DEPTH => {
            problems.push(Problem::too_deep(at));
            Value::Broken
        }
        DeValue::Table(table) => table_value(table, depth, problems),
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node(item, depth + 1, problems)).collect())
        }
        DeValue::String(text) => Value::Text(text),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Integer(number) => {
            integer(&number).map_or_else(|| out_of_range("the integer"), Value::Number)
        }
        DeValue::Float(number) => match float(&number) {
            Some(number) if number.is_finite() => {
                Number::from_f64(number).map_or(Value::Broken, Value::Number)
            }
            Some(_) if number.as_str().contains(['i', 'n']) => Value::Foreign("no finite number"),
            _ => out_of_range("the number"),
        },
        DeValue::Datetime(_) => Value::Foreign("a date or a time"),
    };
    Node { at, value }
}

fn integer(number: &DeInteger<'_>) -> Option<Number> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(Number::from)
}

fn float(number: &DeFloat<'_>) -> Option<f64> {
    number.as_str().parse().ok()
}
